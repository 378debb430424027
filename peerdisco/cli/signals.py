"""How signals end a command, also as process 1 of a container."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from .exit_status import Ended

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
"""The signals that end a command: those that people and supervisors send. Their default action
would end the process at once, and orphan a running hook."""

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
"""The signals that process 1 does not pass on: its own faults, and the job control of terminals."""

PATIENCE = 0.5
"""Seconds between the first cancellation of the work and the second: hooks get SIGTERM, then
SIGKILL."""

AGAIN_AFTER = 1.0
"""Seconds within which several signals count as one."""


async def until_signal(work: Coroutine[Any, Any, _T], *, patience: float | None = PATIENCE) -> _T:
    """Run a coroutine until it returns, or until a signal of `ENDING` arrives.

    The signal cancels the work. A second signal cancels it again, and so does the end of
    `patience`. Signals within one second count as one: a terminal and process 1 both send the same
    signal.
    A signal that was ignored when this process started (``nohup``) stays ignored, except SIGINT and
    SIGTERM: a shell without job control starts background commands with SIGINT ignored.

    Args:
        work: The coroutine.
        patience: Seconds until the second cancellation; None for no limit.

    Returns:
        The result of the work.

    Raises:
        Ended: A signal arrived.
        Exception: The error that the work raised.
    """
    loop = asyncio.get_running_loop()
    first: asyncio.Future[int] = loop.create_future()
    second: asyncio.Future[None] = loop.create_future()
    counts_from = 0.0

    def note(number: int) -> None:
        nonlocal counts_from
        if not first.done():
            first.set_result(number)
            counts_from = loop.time() + AGAIN_AFTER
        elif not second.done() and loop.time() >= counts_from:
            second.set_result(None)

    before = {number: signal.getsignal(number) or signal.SIG_DFL for number in ENDING}
    handled = [
        number
        for number in ENDING
        if before[number] is not signal.SIG_IGN or number in (signal.SIGINT, signal.SIGTERM)
    ]
    for number in handled:
        loop.add_signal_handler(number, note, number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)  # see become_init
    try:
        # The handlers come first: with eager tasks, the work begins in this line.
        task = loop.create_task(work)
        waiting: set[asyncio.Future[Any]] = {task, first}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            waiting = {task, second}
            await asyncio.wait(waiting, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=PATIENCE)
        if first.done() and (not task.done() or task.cancelled()):
            raise Ended(first.result())
        return task.result()
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])


def run_until_signal(work: Coroutine[Any, Any, _T], *, patience: float | None = PATIENCE) -> _T:
    """Run a coroutine in a new event loop; see `until_signal`.

    Args:
        work: The coroutine.
        patience: As for `until_signal`.

    Raises:
        Ended: A signal arrived.
        Exception: The error that the work raised.
    """
    return asyncio.run(until_signal(work, patience=patience))


def end_as_process_1() -> None:
    """As process 1 of a container, let signals end this process as they end any other.

    The kernel takes no default action for process 1 (pid_namespaces(7)): without a handler, SIGTERM
    would have no effect until the grace period of the container is over. These handlers are for the
    time before and after `until_signal`.
    """
    if os.getpid() != 1:
        return
    for number in ENDING:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, lambda number, _: os._exit(128 + number))


def become_init() -> int | None:
    """As process 1 of a container, act as the init process, and let a child do the work.

    Process 1 inherits every process whose parent has ended, and must reap it. The process that runs
    hooks cannot do that: waiting for any child would also take the exit status of a hook. So a
    child does the work, and this process reaps all processes and passes on signals.

    Returns:
        None in the process that does the work, which is this one unless it is process 1; else the
        exit status of that child.
    """
    if os.getpid() != 1:
        return None
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    awaited = signal.valid_signals() - _KEPT - {signal.SIGKILL, signal.SIGSTOP}
    # A blocked signal stays pending until sigwait, or the handler of the child, takes it.
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
