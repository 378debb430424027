"""Named pipes to processes that a test does not start itself: no sleeping, no polling."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path


class Fifo:
    """A named pipe with this test at both ends, so that neither side waits to open it."""

    def __init__(self, path: Path, flags: int = os.O_RDWR) -> None:
        os.mkfifo(path)
        self.path = path
        self._fd = os.open(path, flags | os.O_NONBLOCK)
        self._read = b""

    def __str__(self) -> str:
        return str(self.path)

    def say(self, line: str = "go") -> None:
        os.write(self._fd, f"{line}\n".encode())

    async def line(self) -> str:
        """The next line that a process writes."""
        while b"\n" not in self._read:
            self._read += await self._more()
        line, _, self._read = self._read.partition(b"\n")
        return line.decode()

    async def _more(self) -> bytes:
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self._fd, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(self._fd)
        return os.read(self._fd, 65536)

    def close(self) -> None:
        os.close(self._fd)


class Life(Fifo):
    """A named pipe that processes hold open as long as they live: its end is their end."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, os.O_RDONLY)

    async def ended(self) -> None:
        """Wait until none of those that have opened it is there. One must have done so."""
        while await self._more():
            pass

    @property
    def is_held(self) -> bool:
        try:
            return os.read(self._fd, 1) != b""
        except BlockingIOError:
            return True
