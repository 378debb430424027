"""The live table of ``watch``: on a terminal, with rich installed."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..model import Change, Peer, Snapshot, clear_primary
from ..wording.foreign import one_line

if TYPE_CHECKING:
    from ..discovery import Discovery

REFRESH = 0.5
"""Seconds between two updates of the ages."""
NARROW = 80
"""Columns below which only the essential columns are shown."""
TIGHT = 50
"""Columns below which they have no space around them."""
_LINES = 200
"""Changes that are kept for the list below the table."""
_RESERVED = 6
"""Rows for the title, the header, the last change and the cursor."""


class LiveTable:
    """The peers as a table that is redrawn, with the newest changes below it.

    Args:
        disco: A running watcher.
        console: The terminal; None for stdout.
    """

    def __init__(self, disco: Discovery, console: Console | None = None) -> None:
        self._disco = disco
        self._changed: dict[str, tuple[str, datetime]] = {}
        """What happened to each peer last, and when."""
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._live = Live(
            self,
            console=console or _terminal(),
            auto_refresh=False,
            vertical_overflow="crop",
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._ticker: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        self._ticker = asyncio.get_running_loop().create_task(self._tick())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
        self._live.stop()

    async def _tick(self) -> None:
        """Redraw the ages; a terminal that was resized gets the new size."""
        while True:
            await asyncio.sleep(REFRESH)
            self._live.refresh()

    def saw(self, change: Change, at: datetime) -> None:
        """Show a change."""
        from .change_lines import change_text  # noqa: PLC0415 - imports the model

        for event, peers in (
            ("joined", change.joined),
            ("replaced", [new for _, new in change.replaced]),
        ):
            for peer in peers:
                self._changed[peer.unique_name] = (event, at)
        for peer in change.left:
            self._changed.pop(peer.unique_name, None)
        self._lines.append(one_line(change_text(change, at.astimezone())))
        self._live.refresh()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        # `Console.size` follows the terminal; a piped console in a test has a fixed one.
        height = options.height or console.size.height
        snapshot = self._disco.snapshot
        room = max(1, height - _RESERVED)
        table = self._table(snapshot, width=width, room=room)
        listed = min(len(snapshot), room)
        lines = list(self._lines)[-max(1, height - _RESERVED - listed) :]
        yield Group(
            Text(_title(snapshot), style="bold", no_wrap=True, overflow="ellipsis"),
            table,
            *(Text(line, style="dim", no_wrap=True, overflow="ellipsis") for line in lines),
        )

    def _table(self, snapshot: Snapshot, *, width: int, room: int) -> Table:
        narrow, padding = width < NARROW, 0 if width < TIGHT else 1
        header: tuple[str, ...] = ("NAME", "ADDRESS", "ROLE", "STATE")
        if not narrow:
            header = ("ORDINAL", *header, "LAST CHANGE")
        table = Table(*header, box=box.SIMPLE_HEAD, padding=(0, padding), pad_edge=False)
        primary, settling = clear_primary(snapshot), self._disco.settling
        hidden = len(snapshot) - room
        # Of a long list the primary, this pod and the suspected peers are shown first.
        peers: Sequence[Peer] = snapshot.peers
        if hidden > 0:
            marked = {*snapshot.unconfirmed, primary, snapshot.local}
            peers = sorted(snapshot.peers, key=lambda peer: peer not in marked)[: room - 1]
        for peer in peers:
            state = _state(peer, snapshot, settling)
            roles = [
                n for n, one in (("primary", primary), ("local", snapshot.local)) if one is peer
            ]
            row = [
                snapshot.name_of(peer),
                ", ".join(map(str, peer.addresses)) or "-",
                ",".join(roles) or "-",
                state,
            ]
            if not narrow:
                ordinal = "-" if peer.ordinal is None else str(peer.ordinal)
                row = [ordinal, *row, self._last_change(peer)]
            table.add_row(*(Text(cell, no_wrap=True) for cell in row), style=_style(state, roles))
        if hidden > 0:
            more = f"... {len(snapshot) - len(peers)} more"
            row = [more, ""] if narrow else ["", more]
            table.add_row(*(Text(cell, no_wrap=True) for cell in row))
        return table

    def _last_change(self, peer: Peer) -> str:
        event = self._changed.get(peer.unique_name)
        return "-" if event is None else f"{event[0]} {event[1].astimezone():%H:%M:%S}"


def _terminal() -> Console:
    """The terminal with its real size, which changes; COLUMNS and LINES would fix it."""
    fixed = ("COLUMNS", "LINES")
    environment = {name: value for name, value in os.environ.items() if name not in fixed}
    return Console(_environ=environment)


def _title(snapshot: Snapshot) -> str:
    """The service, the number of peers, the age of the newest answer and what is wrong."""
    if not snapshot.known:
        state = "no answer yet"
    else:
        state = f"{len(snapshot)} peer{'' if len(snapshot) == 1 else 's'}"
        state += f", last answer {snapshot.age:.1f} s ago"
    if snapshot.stale:
        state += f", lookups fail: {one_line(str(snapshot.last_error))}"
    elif snapshot.known and not snapshot.complete:
        state += f", may be incomplete: {one_line(snapshot.incomplete_reason or '')}"
    return f"{snapshot.service.partition('.svc.')[0]}: {state}"


def _state(peer: Peer, snapshot: Snapshot, settling: frozenset[str]) -> str:
    if peer not in snapshot.unconfirmed:
        return "stale" if snapshot.stale else "listed"
    return "settling" if peer.unique_name in settling else "suspected"


def _style(state: str, roles: Sequence[str]) -> str:
    if state in ("suspected", "settling"):
        return "yellow"
    if state == "stale":
        return "dim"
    return "green" if "primary" in roles else ""
