"""What ``simulate`` shows: lines anywhere, two live tables on a terminal that has rich."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ..exceptions import DiscoveryError, ServiceNotFound
from ..model import Failed, Observation, Snapshot
from .output import PEER_HEADER, peer_row, use_colour

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live
    from rich.table import Table

    from ..discovery import View
    from ..testing import StatefulSet


class Screen:
    """Prints a line for everything that happens in the cluster, and for every change a client sees.

    What the client sees is one look after the other, each against the one before. A look that
    fails changes nothing but the age of what was seen.
    """

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._seen_at = self._start
        self.snapshot: Snapshot | None = None
        self.statefulset: StatefulSet | None = None

    def introduce(self, environment: Mapping[str, str], service: str, *, serving: bool) -> None:
        """Say how to use the server from another terminal."""
        variables = " ".join(f"{name}={value}" for name, value in environment.items())
        print(f"A cluster DNS runs on {environment['PEERDISCO_NAMESERVERS']}. To use it elsewhere:")
        print(f"  export {variables}")
        print(f"  peerdisco peers {service}")
        if serving:
            print("Ctrl-C ends it.")
        print(flush=True)

    def happened(self, words: str, statefulset: StatefulSet) -> None:
        """Something happened in the cluster."""
        self.statefulset = statefulset
        self.tell("cluster", words)

    def saw(self, observation: Observation, view: View, service: str) -> None:
        """A look of the client came to this."""
        before = self.snapshot
        try:
            after = view.look_at(observation, service)
        except ServiceNotFound as error:
            after = error.snapshot
        except DiscoveryError as error:
            assert isinstance(observation, Failed)
            self._failed(error)
            return
        self._seen_at = time.monotonic()
        self.snapshot = after
        if before is not None and before.stale:
            self.tell("client", "DNS answers again")
        for words in differences(before, after):
            self.tell("client", words)

    def _failed(self, error: DiscoveryError) -> None:
        before = self.snapshot
        if before is None:
            self.tell("client", f"no answer yet ({type(error).__name__})")
            return
        age = time.monotonic() - self._seen_at
        self.snapshot = replace(before, last_error=error, age=age)
        if not before.stale:
            self.tell(
                "client",
                f"no answer ({type(error).__name__}): nobody left, the {len(before)} peers stay, "
                "marked stale",
            )

    def tell(self, who: str, words: str) -> None:
        print(self._line(who, words), flush=True)

    def _line(self, who: str, words: str) -> str:
        return f"{time.monotonic() - self._start:6.1f} s  {who:7}  {words}"


def differences(before: Snapshot | None, after: Snapshot) -> list[str]:
    """What changed between two snapshots, in words."""
    known = {peer.name: peer for peer in before} if before is not None else {}
    lines = []
    for peer in after:
        old = known.pop(peer.name, None)
        addresses = ", ".join(map(str, peer.addresses))
        if old is None:
            lines.append(f"{peer.name} joined at {addresses}")
        elif old.addresses != peer.addresses:
            lines.append(f"{peer.name} moved to {addresses}")
    lines += [f"{name} left" for name in known]
    was = before.primary if before is not None else None
    if after.primary is not None and (was is None or was.name != after.primary.name):
        lines.append(f"{after.primary.name} is the primary")
    return lines


class LiveScreen(Screen):
    """Two tables that are drawn again with every change: the cluster, and what a client sees."""

    LINES = 12

    def __init__(self, live: Live) -> None:
        super().__init__()
        self._live = live
        self._lines: deque[str] = deque(maxlen=self.LINES)

    def tell(self, who: str, words: str) -> None:
        self._lines.append(self._line(who, words))
        self._live.update(self.render(), refresh=True)

    def saw(self, observation: Observation, view: View, service: str) -> None:
        super().saw(observation, view, service)
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
        snapshot = self.snapshot
        if snapshot is None:
            return _table("what a client sees: nothing yet", PEER_HEADER)
        state = f"stale for {snapshot.age:.1f} s" if snapshot.stale else "up to date"
        table = _table(f"what a client sees: {state}", PEER_HEADER)
        for peer in snapshot:
            style = "dim" if snapshot.stale else "green" if peer is snapshot.primary else None
            table.add_row(*peer_row(peer, primary=snapshot.primary, local=None), style=style)
        return table


def _table(title: str, header: tuple[str, ...]) -> Table:
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    return Table(*header, title=title, title_justify="left", box=box.SIMPLE_HEAD)


@contextmanager
def open_screen(*, plain: bool) -> Iterator[Screen]:
    """The best screen there is: live tables on a terminal, if rich is installed; else lines."""
    if plain or not use_colour(sys.stdout):
        yield Screen()
        return
    try:
        from rich.live import Live  # noqa: PLC0415
    except ImportError:
        yield Screen()
        return
    with Live(auto_refresh=False) as live:
        yield LiveScreen(live)
