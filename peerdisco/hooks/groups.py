"""A process in its own process group: its start, its exit status, and the end of the group.

It works on every event loop: `subprocess.Popen` starts the process, as asyncio itself does, and a
file descriptor of the process (pidfd) reports its end.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import IO

__all__ = ["Group"]

_POLL = 0.01
_REAP_WITHIN = 1.0
"""Seconds a process may take to end after SIGKILL while nothing else can be waited for. It ends
within milliseconds, unless the kernel itself holds it up (an unreachable network file system)."""


class Group:
    """A process in a session and a process group of its own.

    Args:
        command: The program and its arguments.
        stdin: Its standard input.
        environment: All its environment variables.

    Attributes:
        pid: The ID of the process, of its session and of its group.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(
        self, command: Sequence[str], *, stdin: IO[bytes], environment: Mapping[str, str]
    ) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - hooks are commands that a user gave
            command, stdin=stdin, env=environment, start_new_session=True
        )
        self.pid = self._process.pid
        self._status: int | None = None

    async def wait(self) -> int | None:
        """Wait until the process has ended. Other processes of its group may keep running.

        Returns:
            Its exit status, or the negative number of the signal that killed it; None if other code
            in this program has reaped the process.
        """
        try:
            descriptor = os.pidfd_open(self.pid)
        except (AttributeError, OSError):  # Linux before 5.3, and other systems
            while not self._has_ended():  # noqa: ASYNC110 - no event comes
                await asyncio.sleep(_POLL)
            return self._status
        try:
            while not self._has_ended():
                await _readable(descriptor)
        finally:
            os.close(descriptor)
        return self._status

    async def end(self, grace: float | None) -> None:
        """End all processes of the group: with SIGTERM, then with SIGKILL.

        When cancelled, it sends SIGKILL at once. When cancelled again, it blocks the event loop
        until the process has ended, for 1 second at most: nothing else would reap the process.

        Args:
            grace: Seconds between the two signals. None for no limit: only SIGTERM is sent.
        """
        loop = asyncio.get_running_loop()
        deadline = None if grace is None else loop.time() + grace
        # The ID of a group is not reused while the group has processes.
        alive = self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)  # a stopped process handles no SIGTERM
        try:
            while alive and (deadline is None or loop.time() < deadline):
                await asyncio.sleep(_POLL)
                self._has_ended()
                alive = self._signal(0)
        finally:
            if alive:
                self._signal(signal.SIGKILL)
            try:
                await self.wait()
            finally:
                self._reap()

    def _reap(self) -> None:
        """Take the exit status of a killed process without an `await`, which can be cancelled."""
        deadline = time.monotonic() + _REAP_WITHIN
        while not self._has_ended() and time.monotonic() < deadline:
            time.sleep(_POLL / 10)

    def _has_ended(self) -> bool:
        if self._process.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                self._process.returncode = 255  # unknown; Popen itself would report 0
                return True
            if pid:
                self._status = self._process.returncode = os.waitstatus_to_exitcode(status)
        return self._process.returncode is not None

    def _signal(self, number: int) -> bool:
        """Send a signal to the group. Returns whether it has processes that can get it."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return False
        except PermissionError:  # all its processes belong to another user now
            return False
        return True


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(descriptor, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(descriptor)
