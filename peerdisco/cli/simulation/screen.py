"""The screen of ``simulate``: plain lines, or live tables on a terminal with rich installed."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ...model import Change, Peer, Snapshot
from ..output import PEER_HEADER, peer_row, use_colour
from ..streams import print_now

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live
    from rich.table import Table

    from ...discovery import Discovery
    from ...testing import StatefulSet


class Screen:
    """Prints a line for each event in the cluster, and for each change that the client sees.

    The client is a `peerdisco.Discovery`. A failed lookup only makes its list older.

    Args:
        ends_unread: Whether a line that cannot be written ends the simulation, with `Unwritable`.
    """

    def __init__(self, *, ends_unread: bool = True) -> None:
        self._print = print_now if ends_unread else _print
        self._start = time.monotonic()
        self._primary = ""
        self.over = False
        """Whether the story has ended."""
        self.snapshot: Snapshot | None = None
        """The list after the last change that was shown; None before the first."""
        self.changed = asyncio.Event()
        """Set when a change was shown."""
        self.disco: Discovery | None = None
        self.statefulset: StatefulSet | None = None

    def introduce(self, environment: Mapping[str, str], service: str, *, serving: bool) -> None:
        """Print how to use the name server from another terminal."""
        variables = " ".join(f"{name}={value}" for name, value in environment.items())
        print(f"A cluster DNS runs on {environment['PEERDISCO_NAMESERVERS']}. To use it elsewhere:")
        print(f"  export {variables}")
        print(f"  peerdisco peers {service}")
        if serving:
            print("Press Ctrl-C to end it.")
        print(flush=True)

    def happened(self, words: str, statefulset: StatefulSet) -> None:
        """Show an event in the cluster."""
        self.statefulset = statefulset
        self.print_line("cluster", words)

    def watches(self, disco: Discovery) -> None:
        """Set the client whose list is shown."""
        self.disco = disco

    def saw(self, change: Change) -> None:
        """Show a change that the client reported."""
        for words in _change_lines(change):
            self.print_line("client", words)
        primary = change.snapshot.primary
        if primary is not None and primary.name != self._primary:
            self._primary = primary.name
            self.print_line("client", f"{primary.name} is the primary")
        self.snapshot = change.snapshot
        self.changed.set()

    def finish(self) -> None:
        """Print what was shown and what to type next, if the story is over."""
        if self.over:
            self._print(_END)

    def refresh(self) -> None:
        """Show the time that has passed, on a live screen."""

    def print_line(self, actor: str, words: str) -> None:
        self._print(self._line(actor, words))

    def _line(self, actor: str, words: str) -> str:
        return f"{time.monotonic() - self._start:6.1f} s  {actor:7}  {words}"


_END = """
You saw a first start, a scale-up, a pod that came back with another address, an outage of the DNS
in which no peer left, and a scale-down. To try it yourself, in two terminals:
  peerdisco simulate --serve --story
  PEERDISCO_NAMESERVERS=127.0.0.1:5300 peerdisco watch my-database.default.svc.cluster.local
Then read docs/tutorial/first-steps.md, or 'peerdisco help' for every command."""


def _print(line: str) -> None:
    print(line, flush=True)


def _change_lines(change: Change) -> list[str]:
    """The lines that describe a change."""
    lines = []
    if change.recovered:
        lines.append("DNS lookups succeed again")
    lines += [f"{peer.name} joined at {_at(peer)}" for peer in change.joined]
    lines += [f"{new.name} moved to {_at(new)}" for _, new in change.replaced]
    lines += [f"{peer.name} left" for peer in change.left]
    if change.incomplete:
        lines.append(f"departures cannot be confirmed: {change.snapshot.incomplete_reason}")
    if change.completed:
        lines.append("the list is complete again")
    if change.degraded:
        lines.append(f"DNS lookups fail: keeping the {len(change.snapshot)} peers, marked stale")
    return lines


def _at(peer: Peer) -> str:
    return ", ".join(map(str, peer.addresses)) or "an unknown address"


class LiveScreen(Screen):
    """Two tables, redrawn at each change: the pods of the cluster, and the list of the client."""

    LINES = 12

    def __init__(self, live: Live) -> None:
        super().__init__()
        self._live = live
        self._lines: deque[str] = deque(maxlen=self.LINES)

    def print_line(self, actor: str, words: str) -> None:
        self._lines.append(self._line(actor, words))
        self.refresh()

    def refresh(self) -> None:
        self._live.update(self.render(), refresh=True)

    def render(self) -> RenderableType:
        from rich.columns import Columns  # noqa: PLC0415
        from rich.console import Group  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        return Group(
            Columns([self._cluster(), self._client()], padding=(0, 4)),
            Text("\n".join(["", *self._lines])),
        )

    def _cluster(self) -> RenderableType:
        table = _table("the cluster", ("POD", "ADDRESS"))
        for pod in self.statefulset.pods if self.statefulset else ():
            table.add_row(pod.name, ", ".join(map(str, pod.addresses)))
        return table

    def _client(self) -> RenderableType:
        snapshot = self.disco.snapshot if self.disco is not None else None
        if snapshot is None or not snapshot.known:
            return _table("what the client sees: nothing yet", PEER_HEADER)
        state = f"stale for {snapshot.age:.1f} s" if snapshot.stale else "up to date"
        table = _table(f"what the client sees: {state}", PEER_HEADER)
        for peer in snapshot:
            style = "dim" if snapshot.stale else "green" if peer is snapshot.primary else None
            table.add_row(*peer_row(peer, snapshot, snapshot.primary), style=style)
        return table


def _table(title: str, header: tuple[str, ...]) -> Table:
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    return Table(*header, title=title, title_justify="left", box=box.SIMPLE_HEAD)


@contextmanager
def open_screen(*, plain: bool, ends_unread: bool) -> Iterator[Screen]:
    """Live tables on a terminal if rich is installed, else plain lines."""
    if plain or not use_colour(sys.stdout):
        yield Screen(ends_unread=ends_unread)
        return
    try:
        from rich.live import Live  # noqa: PLC0415
    except ImportError:
        yield Screen(ends_unread=ends_unread)
        return
    with Live(auto_refresh=False) as live:
        yield LiveScreen(live)
