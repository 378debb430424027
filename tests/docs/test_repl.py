"""The tutorial's blocks can be pasted into the interactive interpreter of this Python.

There an empty line ends an indented block, so that none may stand within one.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from peerdisco.testing import StatefulSet

from .markdown import ROOT, Block, blocks

TUTORIAL = sorted((ROOT / "docs" / "tutorial").glob("*.md"))
FIRST_STEPS = ROOT / "docs" / "tutorial" / "first-steps.md"
REPL = [sys.executable, "-m", "asyncio"]
LIMIT = 40.0

_ESCAPES = re.compile(r"\x1b[\[(][0-9;?]*[A-Za-z]|\x1b[>=]|\r")


def python_blocks(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language == "python"]


def expected() -> list[str]:
    """What the blocks print, one after another."""
    return [
        line
        for block in blocks(FIRST_STEPS)
        if block.language == "output"
        for line in block.text.splitlines()
    ]


def printed(text: str) -> list[str]:
    """Those lines that the blocks should print, without the prompts, in the order of the text."""
    lines = (re.sub(r"^((>>>|\.\.\.) ?)+", "", line) for line in _ESCAPES.sub("", text).split("\n"))
    wanted = set(expected())
    return [line for line in lines if line in wanted]


def assert_no_error(text: str) -> None:
    assert not re.search(r"^\s*(Traceback|\w+Error:)", _ESCAPES.sub("", text), re.MULTILINE), text


def piped(text: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        REPL,
        input=text,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


@pytest.fixture
def plain(environment: dict[str, str]) -> dict[str, str]:
    """The environment of the plain line editor, which every Python has."""
    plain = {**environment, "TERM": "dumb", "PYTHON_BASIC_REPL": "1"}
    probe = piped("if True:\n    print('indented')\n\n", plain)
    if "Error" in probe.stderr:
        pytest.skip("this Python's plain editor refuses every indented block, as that of 3.13.0")
    return plain


def test_the_blocks_can_be_fed(mysql: StatefulSet, plain: dict[str, str]) -> None:
    done = piped("".join(f"{block.text}\n" for block in python_blocks(FIRST_STEPS)), plain)
    assert_no_error(done.stderr)
    assert printed(done.stdout) == expected(), done.stdout


class Terminal:
    """A terminal of 200 columns in which the interpreter runs."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._fd, secondary = pty.openpty()
        fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("4H", 60, 200, 0, 0))
        self.process = subprocess.Popen(
            REPL,
            stdin=secondary,
            stdout=secondary,
            stderr=secondary,
            env=environment,
            start_new_session=True,
        )
        os.close(secondary)
        self._deadline = time.monotonic() + LIMIT
        self.said = ""

    def read_until(self, text: str, since: int) -> None:
        while text not in self.said[since:]:
            ready, _, _ = select.select([self._fd], [], [], self._deadline - time.monotonic())
            assert ready, self.said
            self.said += os.read(self._fd, 65536).decode()

    def paste(self, text: str) -> None:
        for line in f"{text}\n".splitlines():
            self._type(f"{line}\n", "... " if line.startswith(" ") else "")

    def enter(self, text: str, until: str) -> None:
        self._type(f"{text}\n", until)

    def _type(self, text: str, until: str) -> None:
        since = len(self.said)
        os.write(self._fd, text.encode())
        self.read_until(until, since)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(LIMIT)
        os.close(self._fd)


def test_the_blocks_can_be_pasted(mysql: StatefulSet, plain: dict[str, str]) -> None:
    terminal = Terminal(plain)
    try:
        terminal.read_until(">>> ", 0)
        for number, block in enumerate(python_blocks(FIRST_STEPS)):
            terminal.paste(block.text)
            # Not as it is typed, or the echo would do.
            terminal.enter(f"print('pasted', {number})", f"\npasted {number}")
    finally:
        terminal.close()
    assert_no_error(terminal.said)
    assert printed(terminal.said) == expected(), terminal.said


@pytest.mark.parametrize("page", TUTORIAL, ids=lambda page: page.stem)
def test_no_empty_line_stands_within_an_indented_block(page: Path) -> None:
    for block in python_blocks(page):
        assert not re.search(r"\n[ \t]*\n[ \t]", block.text), block.where
