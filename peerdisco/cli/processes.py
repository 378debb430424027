"""Signals, and being process 1: what commands share that run until they are ended."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["Ended", "become_init", "until_signal"]

_T = TypeVar("_T")

ENDING = (signal.SIGINT, signal.SIGTERM)

PATIENCE = 0.5
"""Seconds between the two times that work is cancelled: hooks get SIGTERM, then SIGKILL."""


class Ended(Exception):
    """A signal ended the work.

    Attributes:
        number: Which.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def status(self) -> int:
        """The exit status by which shells know a command that a signal ended."""
        return 128 + self.number


async def until_signal(work: Coroutine[Any, Any, _T], *, patience: float = PATIENCE) -> _T:
    """Do some work until it is done, or SIGINT or SIGTERM comes.

    At the signal the work is cancelled, and once more if it has not ended after so many seconds.

    Args:
        work: What to do.
        patience: Seconds.

    Returns:
        What the work returns.

    Raises:
        Ended: A signal came.
        Exception: What the work raises.
    """
    loop = asyncio.get_running_loop()
    came: asyncio.Future[int] = loop.create_future()

    def note(number: int) -> None:
        if not came.done():
            came.set_result(number)

    task = loop.create_task(work)
    for number in ENDING:
        loop.add_signal_handler(number, note, number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)  # see become_init
    try:
        waiting: set[asyncio.Future[Any]] = {task, came}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for _ in range(2):
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=patience)
        if came.done() and (not task.done() or task.cancelled()):
            raise Ended(came.result())
        return task.result()
    finally:
        for number in ENDING:
            loop.remove_signal_handler(number)


def become_init() -> int | None:
    """Where this is process 1 of a container, leave the work to a child, and do what is left.

    The kernel gives process 1 every process whose parent has ended, and keeps it as a zombie until
    process 1 has waited for it. Whoever runs hooks cannot do that: waiting for any child would take
    the exit status of the hook that ends at this moment from the one that waits for that. So the
    work is done by a child, and this process waits for everybody and passes on SIGINT and SIGTERM.

    Returns:
        None in the process that has to do the work, which is this one unless it is process 1;
        else the exit status of the child that did it.
    """
    if os.getpid() != 1:
        return None
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    awaited = {*ENDING, signal.SIGCHLD}
    # Blocked, a signal that comes before somebody is ready for it is kept.
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    worker = os.fork()
    if worker == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        return None
    while True:
        number = signal.sigwait(awaited)
        if number != signal.SIGCHLD:
            os.kill(worker, number)
            continue
        pid = -1
        while pid != 0:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == worker:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
