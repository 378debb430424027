"""Programs of the examples, as processes of their own."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.docs.markdown import ROOT

EXAMPLES = ROOT / "examples"
DEADLINE = 20.0


class Process:
    """A program whose output is read line by line, with a deadline."""

    def __init__(self, *command: str | Path, environment: dict[str, str]) -> None:
        self.popen = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert self.popen.stdout is not None
        self._stdout = self.popen.stdout
        self._rest = b""
        self.lines: list[str] = []

    def wait_for_line(self, pattern: str) -> str:
        """The next line that the pattern is found in."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdout, selectors.EVENT_READ)
            deadline = time.monotonic() + DEADLINE
            while True:
                line = self._next_line()
                if line is not None:
                    self.lines.append(line)
                    if re.search(pattern, line):
                        return line
                    continue
                assert selector.select(deadline - time.monotonic()), self._missing(pattern)
                chunk = os.read(self._stdout.fileno(), 65536)
                assert chunk, self._missing(pattern)
                self._rest += chunk

    def _next_line(self) -> str | None:
        line, newline, rest = self._rest.partition(b"\n")
        if not newline:
            return None
        self._rest = rest
        return line.decode()

    def _missing(self, pattern: str) -> str:
        return f"no line with {pattern!r} in:\n" + "\n".join(self.lines)

    def terminate(self) -> int:
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(DEADLINE)


@contextlib.contextmanager
def running(*command: str | Path, environment: dict[str, str]) -> Iterator[Process]:
    process = Process(*command, environment=environment)
    try:
        yield process
    finally:
        if process.popen.poll() is None:
            process.popen.kill()
        process.popen.wait()
        assert process.popen.stdout is not None
        process.popen.stdout.close()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def assert_tests_pass(directory: Path) -> None:
    """The example's own tests, as its readers run them."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "--quiet", "-rs", "-p", "no:cacheprovider"),
            *("-o", "addopts=", "-o", f"pythonpath={directory}", str(directory)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
