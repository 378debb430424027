"""Draws ``docs/explanation/outage.svg`` from a simulated run.

``python docs/_tools/outage_picture.py`` makes it. The DNS fails for twenty seconds, and a pod
restarts meanwhile: the truth, what a loop over `getaddrinfo` reports, and what peerdisco reports.
"""

from __future__ import annotations

import sys
from ipaddress import IPv4Address

from svg import ROOT, document, number, save, text

sys.path.insert(0, str(ROOT))

from tests.simulation.clients import Run, address_loop, peerdisco
from tests.simulation.verdict import believed
from tests.simulation.world import Addresses, Setup, Trouble, Truth

SECONDS = 45.0
OUTAGE = Trouble(10.0, 30.0, "servfail")
ADDRESSES = tuple(IPv4Address(f"10.244.0.{number}") for number in (3, 4, 5, 6))
NAMES = ("mysql-0", "mysql-1", "mysql-2")
SETUP = Setup(
    seed=4,
    seconds=SECONDS,
    events=(
        *((-100.0, name, (ADDRESSES[index],)) for index, name in enumerate(NAMES)),
        (14.0, "mysql-1", ()),
        (19.0, "mysql-1", (ADDRESSES[3],)),
    ),
    lags=(0.2, 0.4),
    troubles=(OUTAGE,),
)

WIDTH = 860
LEFT, RIGHT = 96.0, 24.0
TOP = 66.0
ROW, BAR = 22.0, 13.0
PANEL = 3 * ROW + 58.0

Span = tuple[float, float, Addresses]


def x_of(seconds: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * seconds / SECONDS


def bars(top: float, spans: dict[str, list[Span]], stale: list[tuple[float, float]]) -> list[str]:
    """A row for each pod, hatched where it is marked as stale."""
    shown = []
    for row, name in enumerate(NAMES):
        y = top + row * ROW
        shown.append(text(LEFT - 12, y + 11, name, "small", "end"))
        for start, end, addresses in spans[name]:
            if not addresses:
                continue
            colour = "--two" if addresses == (ADDRESSES[3],) else "--one"
            shown += bar(y, max(0.0, start), min(SECONDS, end), f"var({colour})")
            for since, until in stale:
                shown += bar(y, max(since, start), min(until, end), "url(#stale)")
    return shown


def bar(y: float, start: float, end: float, fill: str) -> list[str]:
    if start >= end:
        return []
    width = x_of(end) - x_of(start)
    return [
        (
            f'<rect x="{number(x_of(start))}" y="{number(y)}" width="{number(width)}" '
            f'height="{number(BAR)}" rx="2.5" fill="{fill}"/>'
        )
    ]


def stale_spans(run: Run) -> list[tuple[float, float]]:
    """When the newest lookup had failed."""
    spans = []
    start: float | None = None
    for _, answered, wrong in [*run.lookups, (SECONDS, SECONDS, False)]:
        if wrong and start is None:
            start = answered
        elif not wrong and start is not None:
            spans.append((start, answered))
            start = None
    return spans


def lookups(y: float, run: Run) -> list[str]:
    """A stroke for each lookup: tall and red where it failed."""
    shown = [text(LEFT - 12, y + 8, "lookups", "small faint", "end")]
    for _, answered, wrong in run.lookups:
        colour = "--bad" if wrong else "--faint"
        shown.append(
            f'<line x1="{number(x_of(answered))}" x2="{number(x_of(answered))}" '
            f'y1="{number(y)}" y2="{number(y + 9)}" stroke="var({colour})" stroke-width="1.6"/>'
        )
    return shown


def reports(run: Run) -> str:
    """The changes reported after the beginning, counted."""
    words = {"left": "departure", "joined": "arrival", "replaced": "new address"}
    counts = [
        (sum(report.action == action for report in run.reports if report.time > 5), word)
        for action, word in words.items()
    ]
    parts = [
        f"{n} {word}{'' if n == 1 else 'es' if word.endswith('s') else 's'}"
        for n, word in counts
        if n
    ]
    return "reports " + ", ".join(parts)


def render() -> str:
    """The picture."""
    truth = Truth(SETUP.events, SETUP.seconds)
    naive, ours = address_loop(SETUP, truth), peerdisco(SETUP, truth)
    panels: list[tuple[str, str, dict[str, list[Span]], Run | None]] = [
        (
            "What is true",
            "mysql-1 restarts, with a new address",
            {name: [(s.start, s.end, s.addresses) for s in truth.segments[name]] for name in NAMES},
            None,
        ),
        *(
            (
                title,
                reports(run),
                {n: [(b.start, b.end, b.addresses) for b in believed(run, n)] for n in NAMES},
                run,
            )
            for title, run in (("A loop over getaddrinfo", naive), ("peerdisco", ours))
        ),
    ]
    height = TOP + sum(PANEL if run else PANEL - 18 for *_, run in panels) + 14
    body = [
        (
            '<defs><pattern id="stale" width="7" height="7" patternUnits="userSpaceOnUse" '
            'patternTransform="rotate(45)"><line x1="0" y1="0" x2="0" y2="7" stroke="var(--paper)" '
            'stroke-width="3.4" stroke-opacity="0.62"/></pattern></defs>'
        ),
        (
            f'<rect x="{number(x_of(OUTAGE.start))}" y="{number(TOP - 26)}" '
            f'width="{number(x_of(OUTAGE.end) - x_of(OUTAGE.start))}" '
            f'height="{number(height - TOP - 8)}" fill="var(--wash)"/>'
        ),
        text(
            (x_of(OUTAGE.start) + x_of(OUTAGE.end)) / 2,
            TOP - 34,
            "DNS fails",
            "bad strong",
            "middle",
        ),
    ]
    y = TOP
    for title, words, spans, run in panels:
        body.append(text(18, y - 8, title, "strong"))
        body.append(text(WIDTH - RIGHT, y - 8, words, "small faint", "end"))
        body += bars(y + 6, spans, stale_spans(ours) if run is ours else [])
        if run is not None:
            body += lookups(y + 6 + 3 * ROW, run)
        y += PANEL if run else PANEL - 18
    axis = height - 30
    body.append(
        f'<line x1="{number(LEFT)}" x2="{number(WIDTH - RIGHT)}" y1="{number(axis)}" '
        f'y2="{number(axis)}" stroke="var(--line)"/>'
    )
    for second in range(0, int(SECONDS) + 1, 5):
        body.append(text(x_of(second), axis + 17, f"{second} s", "small faint", "middle"))
    words = (
        "Timelines of three pods. While DNS fails for twenty seconds, the loop reports that all of "
        "them left; peerdisco keeps them, marked as stale, and reports the new address of the one "
        "that restarted."
    )
    return document(WIDTH, int(height), "An outage of the DNS", words, body)


if __name__ == "__main__":
    save("outage.svg", render())
