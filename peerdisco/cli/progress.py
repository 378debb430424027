"""What a command waits for, shown on stderr once it has waited for longer than a second."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ..wording.foreign import one_line
from .output import is_terminal

if TYPE_CHECKING:
    from ..discovery import Discovery
    from ..model import Snapshot

AFTER = 1.0
"""Seconds after which something is shown."""
_UPDATE = 0.5
"""Seconds between two updates of the line on a terminal."""
_LOG_AT = (AFTER, 10.0, 30.0)
_LOG_EVERY = 30.0
"""Seconds after the start of the first lines in a log, and then between two of them."""
_CLEAR = "\r\x1b[K"


@asynccontextmanager
async def progress(
    words: Callable[[float], str], *, log: Callable[[str], object] | None = None
) -> AsyncIterator[None]:
    """Show what this block waits for: one updated line on a terminal, else a line now and then.

    Args:
        words: The line, from the seconds that the block has taken so far.
        log: Writes a line that stays; None to show nothing unless stderr is a terminal.
    """
    terminal = is_terminal(sys.stderr)
    task = None
    if terminal or log is not None:
        show = _update_line(words) if terminal or log is None else _log_lines(words, log)
        task = asyncio.create_task(show)
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def waiting_in_words(
    disco: Discovery, what: Callable[[Snapshot], str], limit: float | None
) -> Callable[[float], str]:
    """The words of `progress` for a command that waits for a membership.

    Args:
        disco: A running watcher.
        what: What is there, and what is missing.
        limit: Seconds after which the command gives up; None if it does not.
    """

    def words(seconds: float) -> str:
        snapshot = disco.snapshot
        of = "" if limit is None else f" of {limit:g} s"
        parts = [what(snapshot), f"{seconds:.0f} s{of}"]
        if snapshot.known:
            parts.append(f"last answer {snapshot.age:.1f} s ago")
        else:
            parts.append("no answer yet")
        if snapshot.last_error is not None:
            parts.append(f"lookups fail: {one_line(str(snapshot.last_error))}")
        return ", ".join(parts)

    return words


def print_waiting(line: str) -> None:
    """The log of `progress` for a command without a log of its own."""
    print(f"peerdisco: waiting: {line}", file=sys.stderr, flush=True)


async def _update_line(words: Callable[[float], str]) -> None:
    now = asyncio.get_running_loop().time
    start = now()
    await asyncio.sleep(AFTER)
    try:
        while True:
            width = _columns()
            line = f"waiting: {words(now() - start)}"[: max(1, width - 1)]
            print(f"{_CLEAR}{line}", end="", file=sys.stderr, flush=True)
            await asyncio.sleep(_UPDATE)
    finally:
        print(_CLEAR, end="", file=sys.stderr, flush=True)


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


async def _log_lines(words: Callable[[float], str], log: Callable[[str], object]) -> None:
    now = asyncio.get_running_loop().time
    start = now()
    for at in _times():
        await asyncio.sleep(start + at - now())
        log(words(now() - start))


def _times() -> Iterator[float]:
    yield from _LOG_AT
    at = _LOG_AT[-1]
    while True:
        at += _LOG_EVERY
        yield at
