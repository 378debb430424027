"""Signals, and being process 1: what commands share that run until they are ended."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from .status import Ended

__all__ = ["Ended", "become_init", "end_as_process_1", "run_until_signal", "until_signal"]

_T = TypeVar("_T")

ENDING = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
"""The signals that end a command: all that a person or a supervisor sends and that end a process by
default. By default they would end it at once, and leave the hook that runs without a parent."""

_KEPT = {
    signal.SIGILL,
    signal.SIGTRAP,
    signal.SIGABRT,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGSEGV,
    signal.SIGSYS,
    signal.SIGPIPE,
    signal.SIGTSTP,
    signal.SIGTTIN,
    signal.SIGTTOU,
}
"""The signals that process 1 does not pass on: its own faults, and those of a terminal's job
control."""

PATIENCE = 0.5
"""Seconds between the two times that work is cancelled: hooks get SIGTERM, then SIGKILL."""

AGAIN_AFTER = 1.0
"""Seconds after which another signal is a second one, and not the first by another way."""


async def until_signal(work: Coroutine[Any, Any, _T], *, patience: float | None = PATIENCE) -> _T:
    """Do some work until it is done, or a signal of `ENDING` comes.

    At the signal the work is cancelled, and once more if it has not ended after so many seconds, or
    when a second signal comes. Signals within a second count as one: a terminal and process 1 both
    send the same.
    A signal that whoever started this process had it ignore (``nohup``) stays ignored, but for
    SIGINT and SIGTERM: a shell without job control starts background commands with SIGINT ignored.

    Args:
        work: What to do.
        patience: Seconds; None for no limit.

    Returns:
        What the work returns.

    Raises:
        Ended: A signal came.
        Exception: What the work raises.
    """
    loop = asyncio.get_running_loop()
    came: asyncio.Future[int] = loop.create_future()
    again: asyncio.Future[None] = loop.create_future()
    counts_from = 0.0

    def note(number: int) -> None:
        nonlocal counts_from
        if not came.done():
            came.set_result(number)
            counts_from = loop.time() + AGAIN_AFTER
        elif not again.done() and loop.time() >= counts_from:
            again.set_result(None)

    before = {number: signal.getsignal(number) or signal.SIG_DFL for number in ENDING}
    heeded = [
        number
        for number in ENDING
        if before[number] is not signal.SIG_IGN or number in (signal.SIGINT, signal.SIGTERM)
    ]
    for number in heeded:
        loop.add_signal_handler(number, note, number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)  # see become_init
    try:
        # Not before: where the loop starts tasks eagerly, the work begins in this line.
        task = loop.create_task(work)
        waiting: set[asyncio.Future[Any]] = {task, came}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            waiting = {task, again}
            await asyncio.wait(waiting, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=PATIENCE)
        if came.done() and (not task.done() or task.cancelled()):
            raise Ended(came.result())
        return task.result()
    finally:
        for number in heeded:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])


def run_until_signal(work: Coroutine[Any, Any, _T], *, patience: float | None = PATIENCE) -> _T:
    """Do some work in an event loop of its own, until it is done or a signal of `ENDING` comes.

    Args:
        work: What to do.
        patience: As for `until_signal`.

    Raises:
        Ended: A signal came.
        Exception: What the work raises.
    """
    return asyncio.run(until_signal(work, patience=patience))


def end_as_process_1() -> None:
    """Where this is process 1 of a container, have signals end it as they end any other process.

    The kernel takes no default action for process 1 (pid_namespaces(7)): without a handler, SIGTERM
    would do nothing until the container's grace period is over. This is for the time in which no
    `until_signal` handles them.
    """
    if os.getpid() != 1:
        return
    for number in ENDING:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, lambda number, _: os._exit(128 + number))


def become_init() -> int | None:
    """Where this is process 1 of a container, leave the work to a child, and do what is left.

    The kernel gives process 1 every process whose parent has ended, and keeps it as a zombie until
    process 1 has waited for it. Whoever runs hooks cannot do that: waiting for any child would take
    the exit status of the hook that ends at this moment from the one that waits for that. So the
    work is done by a child, and this process waits for everybody and passes on the signals it gets.

    Returns:
        None in the process that has to do the work, which is this one unless it is process 1;
        else the exit status of the child that did it.
    """
    if os.getpid() != 1:
        return None
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    awaited = signal.valid_signals() - _KEPT - {signal.SIGKILL, signal.SIGSTOP}
    # Blocked, a signal that comes before somebody is ready for it is kept.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    worker = os.fork()
    if worker == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, {*before, *ENDING})
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
