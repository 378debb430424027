"""Cancelling a coroutine at each place where it can be cancelled.

A task is cancelled after it has been resumed n times, for n = 1, 2, ..., until a run is so short
that it ends before: then every await that it reaches has been cancelled once.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator
from pathlib import Path
from types import coroutine
from typing import Any

from tests.unit.scripted import open_files


class Stepped:
    """Counts how often a coroutine is suspended, and cancels its task the n-th time."""

    def __init__(self, work: Coroutine[Any, Any, Any], cancel_at: int) -> None:
        self.work = work
        self.cancel_at = cancel_at
        self.steps = 0
        self.cancelled = False

    @coroutine
    def run(self) -> Generator[Any, Any, Any]:
        """Drive the coroutine; what it awaits is passed on to the event loop."""
        task = asyncio.current_task()
        assert task is not None
        send: Callable[[], Any] = lambda: self.work.send(None)  # noqa: E731
        while True:
            try:
                awaited = send()
            except StopIteration as stop:
                return stop.value
            self.steps += 1
            if self.steps == self.cancel_at:
                self.cancelled = True
                task.cancel()
            try:
                value = yield awaited
            except BaseException as error:  # noqa: BLE001 - passed on, whatever it is
                send = lambda error=error: self.work.throw(error)  # noqa: E731
            else:
                send = lambda value=value: self.work.send(value)  # noqa: E731


def remains() -> tuple[set[asyncio.Task[Any]], int, list[str]]:
    """The tasks, open files, threads and child processes that there are."""
    children = Path("/proc/thread-self/children").read_text().split()
    threads = sorted(thread.name for thread in threading.enumerate() if not _waits(thread))
    return asyncio.all_tasks(), open_files(), threads + children


def _waits(thread: threading.Thread) -> bool:
    """Whether this is asyncio's thread that waits for a child, which the child's end ends."""
    return thread.name.startswith("waitpid")


async def cancel_everywhere(
    make: Callable[[], Awaitable[Coroutine[Any, Any, Any]]],
    check: Callable[[], Awaitable[None]],
    *,
    most: int = 400,
) -> int:
    """Cancel a fresh coroutine at each of its steps in turn; how many there were.

    Args:
        make: Makes the coroutine, and what it needs.
        check: What must hold after each cancellation.
        most: More steps than this are a loop without an end.
    """
    gc.collect()  # or what earlier tests left may go while the files are counted
    # Once: the server may notice only in the next round that a connection came and went.
    before = remains()
    for cancel_at in range(1, most):
        stepped = Stepped(await make(), cancel_at)

        async def drive(stepped: Stepped = stepped) -> Any:
            return await stepped.run()

        task = asyncio.create_task(drive())
        await asyncio.wait({task}, timeout=20)
        assert task.done(), f"step {cancel_at}: it did not end when it was cancelled"
        await check()
        if task.cancelled():
            assert stepped.cancelled
        elif task.exception() is not None:
            raise AssertionError(f"step {cancel_at}") from task.exception()
        # The server in this process closes its end of a connection when it sees ours close;
        # what we left open would stay open for ever.
        deadline = asyncio.get_running_loop().time() + 5
        while (left := remains()) != before and asyncio.get_running_loop().time() < deadline:
            # Not 0: many short system calls keep the interpreter's lock from the server's thread.
            await asyncio.sleep(0.001)
        assert left == before, f"step {cancel_at} left something behind"
        if not stepped.cancelled:
            return cancel_at - 1
    raise AssertionError(f"still not done after {most} steps")
