"""peerdisco and the loops that people write, in the same simulated clusters."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from .clients import Client, Run, address_loop, peer_finder, peerdisco
from .verdict import Bounds, believed, false_departures
from .world import Setup, Truth, draw

EXPLANATION = Path(__file__).parents[2] / "docs" / "explanation"
RUNS = 600

CLIENTS: dict[str, Client] = {
    "peerdisco": peerdisco,
    "SRV each second": peer_finder,
    "A each second": address_loop,
}

LASTING = 90.0
"""Seconds that a change must last to count as one that has to be reported."""


@dataclass
class Tally:
    """What one client reported in many runs."""

    hours: float = 0.0
    lookups: int = 0
    false_departures: int = 0
    flaps: int = 0
    joins: list[float] = field(default_factory=list)
    leaves: list[float] = field(default_factory=list)

    def add(self, run: Run) -> None:
        self.hours += run.setup.seconds / 3600
        self.lookups += len(run.lookups)
        self.false_departures += sum(1 for _ in false_departures(run))
        self.flaps += flaps(run)
        for name, segments in run.truth.segments.items():
            spans = believed(run, name)
            for segment in segments:
                if segment.start <= 0 or segment.end - segment.start < LASTING:
                    continue
                reported = min(
                    span.start
                    for span in [*spans, replace(spans[0], start=math.inf)]
                    if span.start == math.inf
                    or (span.end > segment.start and span.addresses == segment.addresses)
                )
                seconds = max(0.0, reported - segment.start) if reported < segment.end else math.inf
                (self.joins if segment.addresses else self.leaves).append(seconds)


def flaps(run: Run) -> int:
    """How often a pod was reported to leave and to be back within a minute, and did neither.

    It has the address that it had, and did not come in all that time and a minute before.
    """
    count = 0
    has: dict[str, object] = {}
    left: dict[str, tuple[float, object]] = {}
    for report in run.reports:
        if report.action == "left":
            left[report.name] = report.time, has[report.name]
        elif report.action == "joined" and report.name in left:
            time, addresses = left[report.name]
            returned = any(
                segment.addresses == addresses and time - 60 < segment.start <= report.time
                for segment in run.truth.segments.get(report.name, ())
            )
            count += report.time - time < 60 and report.addresses == addresses and not returned
        has[report.name] = report.addresses
    return count


def tally(setups: Iterable[Setup]) -> dict[str, Tally]:
    """What each client reported in these runs."""
    tallies = {name: Tally() for name in CLIENTS}
    for setup in setups:
        truth = Truth(setup.events, setup.seconds)
        for name, client in CLIENTS.items():
            tallies[name].add(client(setup, truth))
    return tallies


def groups(runs: int) -> dict[str, list[Setup]]:
    """The runs of the first seeds, with peerdisco's default interval, by what DNS is like."""
    setups = [replace(draw(seed), interval=2.0) for seed in range(runs)]
    found: dict[str, list[Setup]] = {}
    for setup in setups:
        cache = "with caches" if setup.cached else "no caches"
        well = replace(setup, loss=0.0, truncated=0.0, troubles=(), serve_stale="never", old=False)
        found.setdefault(f"{cache}, nothing fails", []).append(well)
        found.setdefault(f"{cache}, failures", []).append(setup)
    return dict(sorted(found.items(), key=lambda item: ("with" in item[0], "failures" in item[0])))


def share(numbers: Sequence[float], part: float) -> str:
    """The number that this part of them does not exceed, among those that are not endless."""
    finite = sorted(number for number in numbers if number < math.inf)
    if not finite:
        return "-"
    return f"{finite[min(len(finite) - 1, math.ceil(part * len(finite)) - 1)]:.1f}"


HEADER = (
    "DNS",
    "client",
    "false departures an hour",
    "flaps an hour",
    "arrival reported after, median / 95 %",
    "departure reported after, median / 95 %",
    "not reported while it lasted",
    "lookups an hour",
)


def row(group: str, name: str, tally: Tally) -> tuple[str, ...]:
    changes = [*tally.joins, *tally.leaves]
    missed = changes.count(math.inf) / len(changes) if changes else 0.0
    return (
        group,
        name,
        f"{tally.false_departures / tally.hours:.1f}",
        f"{tally.flaps / tally.hours:.1f}",
        f"{share(tally.joins, 0.5)} / {share(tally.joins, 0.95)} s",
        f"{share(tally.leaves, 0.5)} / {share(tally.leaves, 0.95)} s",
        f"{missed:.0%}".replace("%", " %"),
        f"{tally.lookups / tally.hours:,.0f}",
    )


def table(runs: int = RUNS) -> str:
    """The comparison, as Markdown."""
    rows = [
        row(group, name, one)
        for group, setups in groups(runs).items()
        for name, one in tally(setups).items()
    ]
    lines = [HEADER, ("---",) * len(HEADER), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def bounds_table() -> str:
    """How long it may take until a change is reported, as Markdown; without L and D."""
    lines = [
        ("caches", "a pod that joins", "a pod that leaves", "the last pods"),
        ("---",) * 4,
    ]
    for ttl in (None, 5, 30):
        setup = Setup(0, 1.0, (), ttl=ttl or 30, cached=ttl is not None)
        bounds = Bounds.of(Run(setup, Truth((), 1.0)), sure=True)
        times = (bounds.join, bounds.leave, bounds.leave_of_the_last)
        name = "none" if ttl is None else f"{ttl} s"
        lines.append((name, *(f"{time:.1f} s" for time in times)))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def tables() -> dict[str, tuple[str, str]]:
    """Each table that stands in a page: its page, and what it is today."""
    return {
        "comparison": ("simulation.md", table()),
        "bounds": ("guarantees.md", bounds_table()),
    }


def written(text: str, name: str, table: str) -> str:
    """The page with this table between its markers."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
    pattern = re.compile(f"(?<={re.escape(begin)}).*(?={re.escape(end)})", re.DOTALL)
    assert pattern.search(text), "the page has no markers"
    return pattern.sub(lambda _: f"\n{table}\n", text)


def write(folder: Path = EXPLANATION) -> str:
    """Write the tables into their pages; what was written."""
    made = tables()
    for name, (page, table) in made.items():
        text = (folder / page).read_text(encoding="utf-8")
        (folder / page).write_text(written(text, name, table), encoding="utf-8")
    return "\n".join(table for _, table in made.values())
