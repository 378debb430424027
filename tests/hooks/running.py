"""A command that runs until it is ended, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.cli.command import WAITING, bare_environment

QUICK = {"PEERDISCO_INTERVAL": "0.05"}
"""Lookups follow each other at once, so that the tests are short."""


class Running:
    """What runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def line(self) -> str:
        """The next line on stdout."""
        return self._next(self.process.stdout)

    def complaint(self) -> str:
        """The next line on stderr that does not only say what is waited for."""
        while (line := self._next(self.process.stderr)).startswith(WAITING):
            pass
        return line

    def waits(self) -> str:
        """What is waited for, as the next line on stderr that says so has it."""
        while not (line := self._next(self.process.stderr)).startswith(WAITING):
            pass
        return line.removeprefix(WAITING)

    def _next(self, stream: IO[str] | None) -> str:
        assert stream is not None
        line = stream.readline()
        assert line.endswith("\n"), f"it has ended: {self.process.wait(20)}"
        return line[:-1]

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, str, float]:
        """End it with a signal: the status, what was still to be read, and how long it took."""
        start = time.monotonic()
        self.process.send_signal(number)
        status = self.process.wait(20)
        seconds = time.monotonic() - start
        out, err = self.process.communicate(timeout=20)
        return status, out, _said(err), seconds

    def ended(self) -> tuple[int, str, str]:
        """Wait for its end: the status, and what was still to be read."""
        out, err = self.process.communicate(timeout=50)
        return self.process.returncode, out, _said(err)


def _said(err: str) -> str:
    """Without the lines that only say what is waited for: on a busy machine anything may wait."""
    lines = err.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(WAITING))


@contextmanager
def running(
    *args: str,
    env: Mapping[str, str] | None = None,
    module: str = "peerdisco",
    before: tuple[str, ...] = (),
    stdout: int = subprocess.PIPE,
) -> Iterator[Running]:
    """Run ``python -m peerdisco`` with these arguments; warnings are errors."""
    process = subprocess.Popen(
        [*before, sys.executable, "-W", "error", "-m", module, *args],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env=bare_environment({**QUICK, **(env or {})}),
    )
    with process:
        try:
            yield Running(process)
        finally:
            process.kill()


class Pipe:
    """A named pipe with this test at both ends, for lines from a hook and to it."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self._fd = os.open(path, os.O_RDWR)
        self._read = b""

    def __str__(self) -> str:
        return str(self.path)

    def line(self) -> str:
        """The next line that a process writes."""
        while b"\n" not in self._read:
            self._read += os.read(self._fd, 65536)
        line, _, self._read = self._read.partition(b"\n")
        return line.decode()

    def say(self, line: str = "go") -> None:
        os.write(self._fd, f"{line}\n".encode())

    def close(self) -> None:
        os.close(self._fd)
