"""Draws the pictures of ``docs/explanation/scaling.md`` from its figures.

``python docs/_tools/scaling_pictures.py questions|bytes|detection [-]`` makes one of them, from
what ``python -m tests.load`` has found.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from log_axes import Frame, Look, sample
from svg import ROOT, document, number, save, text

sys.path.insert(0, str(ROOT))

from tests.load.figures import CACHES, PODS, Figures, Load, load
from tests.load.tables import CHANGES, seconds

WIDTH = 860

LOOKS = {
    "DNS, no cache": Look("--one"),
    "DNS, cache of 5 s": Look("--one", "dashed"),
    "DNS, cache of 30 s": Look("--one", "dotted"),
    "DNS, cache on each node": Look("--good"),
    "EndpointSlices, all watch": Look("--two"),
    "EndpointSlices, 3 watch": Look("--two", "dashed"),
}
COLUMNS = [(n, f"{n:,}") for n in (3, 10, 30, 100, 300, 1000, 3000, 10000)]

ONE_COREDNS = 33_669
"""Small answers a second from one CoreDNS on two processors, as its authors measured
(github.com/coredns/deployment, kubernetes/Scaling_CoreDNS.md)."""

GIGABIT = 1e9 / 8
UNDER = "pods that watch each other"


def legend(x: float, y: float, sources: Sequence[str], columns: int, width: float) -> list[str]:
    shown = []
    for index, source in enumerate(sources):
        row, column = divmod(index, columns)
        left, top = x + column * width, y + row * 21
        shown += [*sample(left, top, LOOKS[source]), text(left + 38, top + 4, source, "small")]
    return shown


def curves(
    frame: Frame, figures: Figures, sources: Sequence[str], value: Callable[[Load], float]
) -> list[str]:
    shown = []
    for source in sources:
        points = [(pods, value(figures.load(source, pods))) for pods in PODS]
        shown += frame.curve(points, LOOKS[source])
    return shown


def where_it_ends(figures: Figures) -> int:
    """The largest service whose answer holds everything."""
    return figures.rooms[0].tcp


def questions(figures: Figures) -> str:
    """Questions a second to the cluster DNS."""
    height, end = 470, where_it_ends(figures)
    frame = Frame(96, WIDTH - 34, 84, height - 62, (2.5, 0.01), (12000, 3e8))
    rows = [
        (10.0**power, words)
        for power, words in zip(
            range(-2, 9),
            ("1 in 100 s", "1 in 10 s", "1", "10", "100", "1,000", "10,000", "100,000",
             "1 million", "10 million", "100 million"),
            strict=True,
        )
    ]  # fmt: skip
    body = [
        text(18, 26, "Questions a second to the cluster DNS, all pods together", "strong"),
        *legend(18, 50, list(CACHES), 4, 208),
        frame.beyond(end),
        *frame.grid(COLUMNS, rows),
        *frame.level(ONE_COREDNS, "what one CoreDNS answers, if answers are small", frame.left + 8),
        *curves(frame, figures, list(CACHES), lambda load: load.questions),
        *frame.words_beyond(
            end, ["one answer does not hold all pods:", "questions for some of them"]
        ),
        text((frame.left + frame.right) / 2, height - 18, UNDER, "small faint", "middle"),
    ]
    words = (
        "Curves over the number of pods, both axes logarithmic. They rise in proportion to the "
        f"pods up to {end} of them, a cache of 30 seconds seven times lower and "
        "one on each node a hundred times lower than none; beyond, they jump to some forty times "
        "as many."
    )
    return document(WIDTH, height, "Questions a second to the cluster DNS", words, body)


def volumes(figures: Figures) -> str:
    """Bytes a second, at rest and while pods restart."""
    height, end = 520, where_it_ends(figures)
    rows = [
        (10.0**power, words)
        for power, words in zip(
            range(11),
            ("1 B", "", "", "1 kB", "", "", "1 MB", "", "", "1 GB", ""),
            strict=True,
        )
    ]
    title = "Bytes a second to and from the cluster DNS or the API server, all pods together"
    body = [text(18, 26, title, "strong"), *legend(18, 50, list(LOOKS), 3, 278)]
    gap = 30.0
    panel = (WIDTH - 66 - 34 - gap) / 2
    for index, (title, value) in enumerate(
        (
            ("while nothing changes", lambda load: load.bytes),
            ("while a pod restarts every 30 seconds", lambda load: load.restart_bytes),
        )
    ):
        left = 66 + index * (panel + gap)
        frame = Frame(left, left + panel, 122, height - 62, (2.5, 0.05), (12000, 1e11))
        body.append(frame.beyond(end))
        body += frame.grid(COLUMNS, rows if index == 0 else [(power, "") for power, _ in rows])
        body += frame.level(GIGABIT, "1 gigabit a second", frame.left + 8)
        body += curves(frame, figures, list(LOOKS), value)
        body.append(text(left + panel / 2, 108, title, "small strong", "middle"))
        body += frame.words_beyond(end, ["one answer does", "not hold all"])
        body.append(text(left + panel / 2, height - 18, UNDER, "small faint", "middle"))
    words = (
        "Two panels of curves over the number of pods, all axes logarithmic. Without a cache the "
        "bytes rise with the square of the pods. EndpointSlices carry next to nothing while "
        "nothing changes; while pods restart, they carry less than DNS without a cache and more "
        "than DNS with a cache on each node."
    )
    return document(WIDTH, height, "Bytes a second", words, body)


def detection(figures: Figures) -> str:
    """How soon a change is reported: median to longest."""
    sources = list(dict.fromkeys(one.source for one in figures.detections))
    row, panel = 25.0, 25.0 * len(sources) + 40
    height = int(62 + 3 * panel + 56)
    frame = Frame(196, WIDTH - 130, 62, height - 64, (0.08, 1), (100, 10))
    body = [text(18, 26, "Seconds from the API to the application", "strong")]
    body += frame.grid([(value, f"{value:g} s") for value in (0.1, 1, 10, 100)], [])
    y = 62.0
    for change, title in CHANGES.items():
        body.append(text(18, y + 16, title, "strong small"))
        for index, source in enumerate(sources):
            found = figures.detection(source, change)
            look = LOOKS.get(source, LOOKS["EndpointSlices, all watch"])
            top = y + 34 + index * row
            x, end = frame.x(found.median), frame.x(found.worst)
            body.append(text(frame.left - 12, top + 4, source, "small", "end"))
            body.append(
                f'<line x1="{number(x)}" y1="{number(top)}" x2="{number(end)}" y2="{number(top)}" '
                f'stroke="var({look.colour})" stroke-width="6" stroke-opacity="0.35"/>'
            )
            body.append(
                f'<circle cx="{number(x)}" cy="{number(top)}" r="5" fill="var({look.colour})"/>'
            )
            body.append(text(end + 10, top + 4, seconds(found), "small faint"))
        y += panel
    body.append(
        text(18, height - 16, "The dot is the median, the bar ends at the longest.", "small faint")
    )
    words = (
        "Median and longest time until a join, a leave and a new address are reported, by source."
    )
    return document(WIDTH, height, "How soon a change is reported", words, body)


PICTURES = {"questions": questions, "bytes": volumes, "detection": detection}


if __name__ == "__main__":
    name = sys.argv.pop(1)
    save(f"scaling-{name}.svg", PICTURES[name](load()))
