"""Draws ``docs/explanation/architecture.svg`` from the imports of the package.

``python docs/_tools/architecture_picture.py`` makes it. A box is a room: a folder or a module at
the top of the package. An arrow is an import; one that follows from others is left out.
"""

from __future__ import annotations

import sys
from collections import defaultdict

from svg import ROOT, document, number, save, text

sys.path.insert(0, str(ROOT))

from tests.unit.test_imports import MODULES, all_imports

WALK = ("dns", "sources", "membership", "discovery", "hooks")
"""The rooms that an answer passes, from the socket to the hook."""

GROUND = ("exceptions", "model", "names", "conditions", "clock", "timing", "wording")
"""What every room may import: one box, to which no arrow is drawn."""

SKIPPED = ("", "__main__")

MACHINE = {"asyncio", "os", "socket", "time"}
"""What a room that is not pure imports of the standard library, as shown in its box."""

LEFT_TO_RIGHT = ("sync", "mysql", "hooks", "testing", "dns", "membership", "pod")

WIDTH, ROW = 900, 96
BOX_WIDTH, BOX_HEIGHT = 176, 50
TOP = 40

Graph = dict[str, set[str]]


def imports() -> Graph:
    """Which room imports which others, but for the ground."""
    found: Graph = defaultdict(set)
    for module in MODULES:
        if (room := module.partition(".")[0]) not in (*SKIPPED, *GROUND):
            found[room] = set()
    for line in all_imports():
        importer, target = (name.partition(".")[0] for name in (line.importer, line.module))
        if line.own and not line.typing_only and importer in found and target in found:
            found[importer] |= {target} - {importer}
    return found


def below(graph: Graph, room: str) -> set[str]:
    """Everything that a room imports, directly or not."""
    return graph[room].union(*(below(graph, other) for other in graph[room]))


def reduced(graph: Graph) -> Graph:
    """The same without the imports that follow from others."""
    return {
        room: targets - set().union(*(below(graph, other) for other in targets))
        for room, targets in graph.items()
    }


def depths(graph: Graph) -> dict[str, int]:
    """The row of each room: below all that import it, or right above the rooms that it imports."""

    def depth(room: str) -> int:
        importers = [other for other, targets in graph.items() if room in targets]
        return 1 + max((depth(other) for other in importers), default=-1)

    found = {room: depth(room) for room in graph}
    for room, targets in graph.items():
        if found[room] == 0 and targets:
            found[room] = min(found[target] for target in targets) - 1
    return found


def places(graph: Graph) -> dict[str, tuple[float, float]]:
    """The middle of each box."""
    rows: dict[int, list[str]] = defaultdict(list)
    order = {room: index for index, room in enumerate(LEFT_TO_RIGHT)}
    for room, depth in sorted(depths(graph).items(), key=lambda item: order.get(item[0], 99)):
        rows[depth].append(room)
    return {
        room: (WIDTH * (2 * index + 1) / (2 * len(row)), TOP + BOX_HEIGHT / 2 + ROW * depth)
        for depth, row in rows.items()
        for index, room in enumerate(row)
    }


def touches(room: str) -> str:
    """What of the machine the room's modules import."""
    found = {
        line.module
        for line in all_imports()
        if line.importer.partition(".")[0] == room and not line.own and not line.typing_only
    } & MACHINE
    return ", ".join(sorted(found)) or "pure"


def box(x: float, y: float, width: float, words: str, below: str) -> list[str]:
    return [
        (
            f'<rect x="{number(x - width / 2)}" y="{number(y - BOX_HEIGHT / 2)}" '
            f'width="{number(width)}" height="{BOX_HEIGHT}" rx="10" fill="var(--node)" '
            'stroke="var(--one)" stroke-width="1.4"/>'
        ),
        text(x, y - 3, words, "strong", "middle"),
        text(x, y + 14, below, "small faint", "middle"),
    ]


def step(x: float, y: float, which: int) -> list[str]:
    """The number of a room on the way of an answer."""
    left, top = x - BOX_WIDTH / 2, y - BOX_HEIGHT / 2
    return [
        f'<circle cx="{number(left)}" cy="{number(top)}" r="12" fill="var(--two)"/>',
        text(left, top + 4.5, str(which), "strong", "middle"),
    ]


def arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    return (
        f'<line x1="{number(start[0])}" y1="{number(start[1] + BOX_HEIGHT / 2)}" '
        f'x2="{number(end[0])}" y2="{number(end[1] - BOX_HEIGHT / 2 - 3)}" '
        'stroke="var(--edge)" stroke-width="1.5" marker-end="url(#head)"/>'
    )


def render() -> str:
    """The picture."""
    graph = imports()
    where = places(graph)
    floor = max(y for _, y in where.values()) + ROW
    body = [
        (
            '<defs><marker id="head" viewBox="0 0 10 10" refX="8.5" refY="5" markerWidth="7" '
            'markerHeight="7" orient="auto"><path d="M 0 0.8 L 9.5 5 L 0 9.2 z" '
            'fill="var(--edge)"/></marker></defs>'
        )
    ]
    for room, targets in sorted(reduced(graph).items()):
        body += [arrow(where[room], where[target]) for target in sorted(targets)]
    for room, (x, y) in sorted(where.items()):
        body += box(x, y, BOX_WIDTH, room, touches(room))
        if room in WALK:
            body += step(x, y, WALK.index(room) + 1)
    ground = "   ".join(name for name in GROUND if name in {m.partition(".")[0] for m in MODULES})
    body += box(WIDTH / 2, floor, WIDTH - 40, ground, "every room may import these")
    height = int(floor + BOX_HEIGHT / 2 + 46)
    legend = (
        "1 to 5: the way of an answer. Arrow: imports. Below a name: what of the machine it uses."
    )
    body.append(text(20, height - 16, legend, "small faint"))
    words = f"The rooms of the package and their imports; an answer passes {', '.join(WALK)}."
    return document(WIDTH, height, "The rooms of the package", words, body)


if __name__ == "__main__":
    save("architecture.svg", render())
