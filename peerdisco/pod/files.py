"""Reads the pod's files without waiting for them: no FIFO and no mount that hangs holds anybody."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable

__all__ = ["Background", "NotAFileError", "read_text"]

LARGEST_FILE = 1 << 20
"""Characters of a file that are read; the kubelet's files have some hundreds."""


class NotAFileError(OSError):
    """A FIFO, a device or a directory, which might never end."""


def read_text(path: str) -> str:
    """The text of a regular file, with the ends of its lines unchanged.

    Raises:
        NotAFileError: It is no regular file.
        OSError: It is missing or unreadable.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    # No pathlib at start-up, and no line end but "\n".
    with open(descriptor, encoding="utf-8", errors="replace", newline="\n") as file:  # noqa: PTH123
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotAFileError(errno.EINVAL, "not a regular file", path)
        return file.read(LARGEST_FILE)


class Background:
    """Runs one function on a thread of its own, at most once at a time.

    A system call on a mount that hangs cannot be interrupted; the thread waits, not the caller.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._thread: threading.Thread | None = None

    def run(self, patience: float) -> bool:
        """Run the function; whether it ended within so many seconds.

        While an earlier run is still going on, this returns False at once.
        """
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="peerdisco files", daemon=True)
            self._thread.start()
            self._thread.join(patience)
        return not self._thread.is_alive()

    def wait(self, patience: float) -> bool:
        """Wait for the last run; whether it ended within so many seconds."""
        if self._thread is not None:
            self._thread.join(patience)
        return self._thread is None or not self._thread.is_alive()
