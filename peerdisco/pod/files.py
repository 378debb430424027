"""Reads the pod's files without waiting for them: no FIFO and no mount that hangs holds anybody."""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from collections.abc import Callable

__all__ = ["Background", "NotAFileError", "read_text"]

LARGEST_FILE = 1 << 20
"""Characters of a file that are read; the kubelet's files have some hundreds."""

_STEP = 0.001
"""Seconds between two checks whether a thread has ended."""
_LEAST_STEPS, _MOST_STEPS = 10, 1000
"""A process that was stopped meanwhile has not waited; nor has one without a processor."""


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
            return self.wait(patience)
        return False

    def wait(self, patience: float) -> bool:
        """Wait for the last run; whether it ended within so many seconds.

        A thread that has no processor then gets up to a second more: no mount hangs.
        """
        thread, until, steps = self._thread, time.monotonic() + patience, 0
        while patience > 0 and thread is not None and thread.is_alive():
            thread.join(_STEP)
            steps += 1
            had_time = steps >= _LEAST_STEPS and time.monotonic() >= until
            if had_time and (steps >= _MOST_STEPS or not _is_runnable(thread)):
                break
        return thread is None or not thread.is_alive()


def _is_runnable(thread: threading.Thread) -> bool:
    """Whether it runs or waits for a processor: the state R of proc(5)."""
    try:
        with open(f"/proc/self/task/{thread.native_id}/stat", "rb") as file:  # noqa: PTH123
            return file.read().rpartition(b") ")[2].startswith(b"R")
    except OSError:
        return False
