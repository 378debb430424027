"""The tables of ``docs/explanation/scaling.md``, made of the figures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.simulation.compare import EXPLANATION, written

from .figures import CACHES, INTERVAL, WATCHERS, Detection, Figures, nodes_for

PAGE = EXPLANATION / "scaling.md"
SHOWN = (10, 100, 300, 700, 1000, 5000)
CHANGES = {"joined": "a pod that joins", "left": "a pod that leaves", "back": "a new address"}


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Markdown."""
    cells = [tuple(header), *map(tuple, rows)]
    cells.insert(1, ("---",) * len(cells[0]))
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)


def amount(number: float) -> str:
    """Two digits and a word, or as many as it has before the point."""
    for size, word in ((1e9, " thousand million"), (1e6, " million")):
        if number >= size:
            return f"{_two_digits(number / size)}{word}"
    return _two_digits(number)


def volume(number: float) -> str:
    """Bytes."""
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= size:
            return f"{_two_digits(number / size)} {unit}"
    return f"{_two_digits(number)} B"


def _two_digits(number: float) -> str:
    if number >= 9.95:
        return f"{float(f'{number:.3g}'):,.0f}"
    return f"{float(f'{number:.2g}'):g}"


def seconds(detection: Detection) -> str:
    return f"{_seconds(detection.median)} / {_seconds(detection.worst)} s"


def _seconds(number: float) -> str:
    return (
        f"{number:.2f}"
        if number < 0.995
        else f"{number:.1f}"
        if number < 99.95
        else f"{number:.0f}"
    )


def lookups(figures: Figures) -> str:
    """The size of one lookup, by the number of pods."""
    rows = [
        (
            f"{one.pods:,}",
            "TCP, truncated" if one.truncated else one.transport.upper(),
            f"{one.questions:,}",
            volume(one.bytes),
            f"{one.bytes / one.pods:.0f} B",
            volume(one.listing),
        )
        for one in figures.lookups
    ]
    header = ("pods", "over", "questions", "bytes", "for each pod", "a list of EndpointSlices")
    return table(header, rows)


def rooms(figures: Figures) -> str:
    """Up to how many pods one answer holds everything."""
    rows = [(room.service, f"{room.udp:,}", f"{room.tcp:,}") for room in figures.rooms]
    return table(("names like", "over UDP", "over TCP"), rows)


def loads(figures: Figures) -> str:
    """Bytes a second at rest and while pods restart."""
    rows = [
        (
            source,
            *(
                f"{volume(load.bytes)} / {volume(load.restart_bytes)}"
                for load in (figures.load(source, pods) for pods in SHOWN)
            ),
        )
        for source in (*CACHES, *WATCHERS)
    ]
    return table(("", *(f"{pods:,} pods" for pods in SHOWN)), rows)


def per_node(figures: Figures) -> str:
    """What one node sends and receives for it, where it has ten of the pods."""
    rows = [
        (
            source,
            *(volume(figures.load(source, pods).bytes / nodes_for(pods)) for pods in SHOWN),
        )
        for source in CACHES
    ]
    return table(("", *(f"{pods:,} pods" for pods in SHOWN)), rows)


def pods_a_node(figures: Figures) -> str:
    """How many of the pods share a cache."""
    rows = [
        (f"{one.pods_a_node}", amount(one.load.questions), volume(one.load.bytes))
        for one in figures.nodes
    ]
    pods = figures.nodes[0].load.pods
    return table((f"of {pods} pods, on a node", "questions a second", "bytes a second"), rows)


def busiest(figures: Figures) -> str:
    """How lookups fall together."""
    rows = [(one.source, amount(one.mean), f"{one.most:,}") for one in figures.busiest]
    pods = figures.busiest[0].pods
    return table((f"{pods} pods at rest", "on average, each second", "in the busiest second"), rows)


def detections(figures: Figures) -> str:
    """How soon a change is reported."""
    sources = dict.fromkeys(one.source for one in figures.detections)
    rows = [
        (source, *(seconds(figures.detection(source, change)) for change in CHANGES))
        for source in sources
    ]
    return table(("median / longest", *CHANGES.values()), rows)


def intervals(figures: Figures) -> str:
    """What an interval costs, and what it brings."""
    rows = [
        (
            f"{one.interval:g} s{' (default)' if one.interval == INTERVAL else ''}",
            amount(one.load.questions),
            volume(one.load.bytes),
            *(seconds(each) for each in one.detections),
        )
        for one in figures.intervals
    ]
    header = ("interval", "questions a second", "bytes a second", *CHANGES.values())
    return table(header, rows)


TABLES = {
    "lookups": lookups,
    "rooms": rooms,
    "loads": loads,
    "nodes": per_node,
    "pods a node": pods_a_node,
    "busiest": busiest,
    "detections": detections,
    "intervals": intervals,
}


def page(text: str, figures: Figures) -> str:
    """The page with each table as these figures make it."""
    for name, make in TABLES.items():
        text = written(text, name, make(figures))
    return text


def write(figures: Figures, file: Path = PAGE) -> None:
    file.write_text(page(file.read_text(encoding="utf-8"), figures), encoding="utf-8")
