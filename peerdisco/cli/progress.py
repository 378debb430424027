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
SAID_AGAIN = 5.0
"""Seconds after which a reason that was printed at once is printed again."""
_UPDATE = 0.5
"""Seconds between two updates of the line on a terminal."""
_LOG_AT = (AFTER, 10.0, 30.0)
_LOG_EVERY = 30.0
"""Seconds after the start of the first lines in a log, and then between two of them."""
_CLEAR = "\r\x1b[K"


Words = Callable[[float], str | None]
"""What is waited for, from the seconds that it has taken so far.

None while nothing is waited for, and an empty text where the log has the reason already.
"""


@asynccontextmanager
async def progress(
    words: Words, *, log: Callable[[str], object] | None = None, update: bool = True
) -> AsyncIterator[None]:
    """Show what this block waits for: one updated line on a terminal, else a line now and then.

    Args:
        words: The line. After None, the line of a terminal comes again with the next wait, whose
            seconds begin at 0; those of a log do not.
        log: Writes a line that stays; None to show nothing unless stderr is a terminal.
        update: Whether a line of a terminal may be updated; it must not where others write to it.
    """
    terminal = is_terminal(sys.stderr) and update
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


def reason_in_words(
    read: Callable[[], str], before: str, limit: float | None = None
) -> Callable[[float], str]:
    """The words of `progress` for a command that prints each new reason itself.

    Args:
        read: The newest reason; empty before the first.
        before: What is waited for before the first reason.
        limit: Seconds after which the command gives up; None if that depends on the reason.
    """
    of = "" if limit is None else f" of {limit:g} s"

    def words(seconds: float) -> str:
        reason = one_line(read())
        if reason and seconds < SAID_AGAIN:
            return ""
        return f"{reason or before}, {seconds:.0f} s{of}"

    return words


def print_waiting(line: str) -> None:
    """The log of `progress` for a command without a log of its own."""
    print_line(f"waiting: {line}")


def print_line(line: str) -> None:
    """Print a line of the command itself on stderr, in the place of the updated line."""
    updated_line.clear()
    print(f"peerdisco: {line}", file=sys.stderr, flush=True)


class UpdatedLine:
    """The line of a terminal that is written again and again."""

    def __init__(self) -> None:
        self._shown = False

    def show(self, text: str) -> None:
        """Write this text in the place of the one before, cut to the width of the terminal."""
        self._shown = True
        line = text[: max(1, _columns() - 1)]
        print(f"{_CLEAR}{line}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Remove it, if it is there; what others have written meanwhile stays."""
        if self._shown:
            self._shown = False
            print(_CLEAR, end="", file=sys.stderr, flush=True)


updated_line = UpdatedLine()
"""The one of stderr."""


async def _update_line(words: Words) -> None:
    now = asyncio.get_running_loop().time
    while True:
        start = now()
        await asyncio.sleep(_UPDATE if words(0.0) is None else AFTER)
        try:
            while (text := words(now() - start)) is not None:
                if text:
                    updated_line.show(f"waiting: {text}")
                await asyncio.sleep(_UPDATE)
        finally:
            updated_line.clear()


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


async def _log_lines(words: Words, log: Callable[[str], object]) -> None:
    now = asyncio.get_running_loop().time
    start = now()
    for at in _times():
        await asyncio.sleep(start + at - now())
        line = words(now() - start)
        if line is None:
            return
        if line:
            log(line)


def _times() -> Iterator[float]:
    yield from _LOG_AT
    at = _LOG_AT[-1]
    while True:
        at += _LOG_EVERY
        yield at
