"""Draws ``docs/explanation/benchmarks.svg`` from ``docs/explanation/benchmarks.json``.

``python docs/_tools/benchmark_picture.py`` makes it; ``make bench`` measures, and then runs it.
"""

from __future__ import annotations

import json
import math
from typing import Any

from svg import ROOT, document, number, save, text

RESULTS = ROOT / "docs" / "explanation" / "benchmarks.json"

WIDTH, HEIGHT = 860, 470
LEFT, RIGHT, TOP, BOTTOM = 72.0, 236.0, 52.0, 58.0

LINES = {
    "floor": ("bare exchange", "--faint"),
    "peerdisco": ("peerdisco", "--one"),
    "aiodns": ("aiodns", "--good"),
    "dnspython": ("dnspython", "--bad"),
    "getaddrinfo": ("getaddrinfo, no names", "--two"),
}
"""Who is shown, under which name, in which colour."""

GAP = 17.0
"""Between two names at the right."""

MARGIN = 1.5
"""By how much more than what was measured is shown, up and down."""


def render() -> str:
    """The picture."""
    rows: list[dict[str, Any]] = json.loads(RESULTS.read_text(encoding="utf-8"))["enumeration"]
    rows = [row for row in rows if row["server"] == "the testing DNS" and row["who"] in LINES]
    pods = sorted({row["pods"] for row in rows})
    lowest = min(row["wall"] for row in rows) / MARGIN
    highest = max(row["wall"] for row in rows) * MARGIN

    def x_of(count: float) -> float:
        share = math.log(count / pods[0]) / math.log(pods[-1] / pods[0])
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y_of(seconds: float) -> float:
        share = math.log(seconds / lowest) / math.log(highest / lowest)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    body = [
        text(
            18, 28, "One lookup of all pods of a service: milliseconds, by their number", "strong"
        ),
        text(18, HEIGHT - 14, "Hollow: pods were lost. Median of one run.", "small faint"),
    ]
    for power in range(math.ceil(math.log10(lowest)), math.floor(math.log10(highest)) + 1):
        y = y_of(10.0**power)
        body.append(
            f'<line x1="{number(LEFT)}" x2="{number(WIDTH - RIGHT)}" y1="{number(y)}" '
            f'y2="{number(y)}" stroke="var(--line)"/>'
        )
        label = f"{10.0 ** (power + 3):,g} ms"
        body.append(text(LEFT - 10, y + 4, label, "small faint", "end"))
    for count in pods:
        if count != 700:  # too near to its neighbours to be read
            where = HEIGHT - BOTTOM + 20
            body.append(text(x_of(count), where, f"{count:,}", "small faint", "middle"))
    ends = []
    for who, (name, colour) in LINES.items():
        mine = sorted((row for row in rows if row["who"] == who), key=lambda row: row["pods"])
        if not mine:
            continue
        points = [(x_of(row["pods"]), y_of(row["wall"]), lost(row)) for row in mine]
        path = " ".join(f"{number(x)},{number(y)}" for x, y, _ in points)
        body.append(
            f'<polyline points="{path}" fill="none" stroke="var({colour})" stroke-width="2"/>'
        )
        for x, y, hollow in points:
            fill = "var(--paper)" if hollow else f"var({colour})"
            body.append(
                f'<circle cx="{number(x)}" cy="{number(y)}" r="3.8" fill="{fill}" '
                f'stroke="var({colour})" stroke-width="1.8"/>'
            )
        ends.append((points[-1][1], name, found(mine[-1])))
    y = 0.0
    for wanted, name, count in sorted(ends):
        y = max(wanted + 4, y + GAP)
        body.append(text(WIDTH - RIGHT + 14, y, f"{name}{count}", "small"))
    words = "; ".join(f"{name}{count}" for _, name, count in sorted(ends))
    description = (
        f"Lines of the time of a lookup against the number of pods. At {pods[-1]:,} pods: {words}."
    )
    return document(WIDTH, HEIGHT, "The time of one lookup", description, body)


def lost(row: dict[str, Any]) -> bool:
    """Whether it did not find all pods."""
    return bool(row["addresses"] < row["pods"])


def found(row: dict[str, Any]) -> str:
    return f": {row['addresses']:,} of {row['pods']:,}" if lost(row) else ""


if __name__ == "__main__":
    save("benchmarks.svg", render())
