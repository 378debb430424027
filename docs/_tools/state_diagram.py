"""Draws ``docs/explanation/states.svg`` from the transitions.

``python docs/_tools/state_diagram.py`` makes it.
"""

from __future__ import annotations

import math

from svg import document, number, save, text

from peerdisco.membership.machine import TRANSITIONS, Action, State

WIDTH, HEIGHT = 900, 520
NODE_WIDTH, NODE_HEIGHT = 116, 44

PLACES = {
    State.GONE: (110.0, 260.0),
    State.PRESENT: (410.0, 130.0),
    State.SUSPECTED: (410.0, 390.0),
    State.SETTLING: (715.0, 260.0),
}
LOOPS = {State.PRESENT: -90.0, State.SUSPECTED: 90.0, State.SETTLING: 0.0, State.GONE: 180.0}
"""To which side a state's transition to itself is drawn, in degrees."""

SWAPPED = ({State.PRESENT, State.SETTLING},)
"""Pairs whose two arrows change sides, so that long labels have room."""

BEND = 26.0
LINE = 16.0


def labels() -> dict[tuple[State, State], list[tuple[str, Action]]]:
    """The evidence that leads from one state to another, and the reported changes."""
    found: dict[tuple[State, State], list[tuple[str, Action]]] = {}
    for (state, evidence), (following, action) in TRANSITIONS.items():
        found.setdefault((state, following), []).append((evidence.value, action))
    return found


def node(state: State) -> list[str]:
    x, y = PLACES[state]
    return [
        (
            f'<rect x="{number(x - NODE_WIDTH / 2)}" y="{number(y - NODE_HEIGHT / 2)}" '
            f'width="{NODE_WIDTH}" height="{NODE_HEIGHT}" rx="12" fill="var(--node)" '
            'stroke="var(--one)" stroke-width="1.6"/>'
        ),
        text(x, y + 4.5, state.value, "strong", "middle"),
    ]


def border(x: float, y: float, towards_x: float, towards_y: float) -> tuple[float, float]:
    """The point at which the line from a node's centre crosses its border."""
    dx, dy = towards_x - x, towards_y - y
    scale = min(
        (NODE_WIDTH / 2 + 4) / abs(dx) if dx else math.inf,
        (NODE_HEIGHT / 2 + 4) / abs(dy) if dy else math.inf,
    )
    return x + dx * scale, y + dy * scale


def arrow(path: str) -> str:
    return (
        f'<path d="{path}" fill="none" stroke="var(--edge)" stroke-width="1.5" '
        'marker-end="url(#head)"/>'
    )


def caption(x: float, y: float, lines: list[tuple[str, Action]], anchor: str) -> list[str]:
    """The evidence, and in colour the reported change."""
    shown = []
    top = y - (len(lines) - 1) * LINE / 2 + 4
    for index, (words, action) in enumerate(lines):
        if action is not Action.NOTHING:
            colour = "bad" if action is Action.LEFT else "good"
            tail = f'<tspan class="strong {colour}"> → {action.value}</tspan>'
        else:
            tail = ""
        line = text(x, top + index * LINE, words, "small", anchor)
        shown.append(line.replace("</text>", f"{tail}</text>"))
    return shown


def edge(start: State, end: State, lines: list[tuple[str, Action]], both: bool) -> list[str]:
    x1, y1 = PLACES[start]
    x2, y2 = PLACES[end]
    length = math.hypot(x2 - x1, y2 - y1)
    # Each arrow bends to its own left.
    side = -1 if {start, end} in SWAPPED else 1
    nx, ny = side * (y2 - y1) / length, -side * (x2 - x1) / length
    bend = BEND if both else 0.0
    cx, cy = (x1 + x2) / 2 + nx * bend * 2, (y1 + y2) / 2 + ny * bend * 2
    ax, ay = border(x1, y1, cx, cy)
    bx, by = border(x2, y2, cx, cy)
    path = " ".join(
        ("M", number(ax), number(ay), "Q", number(cx), number(cy), number(bx), number(by))
    )
    mx, my = (x1 + x2) / 2 + nx * bend, (y1 + y2) / 2 + ny * bend
    anchor = "start" if nx > 0.2 else "end" if nx < -0.2 else "middle"
    gap = 10.0 + (len(lines) * LINE / 2 if anchor == "middle" else abs(ny) * len(lines) * LINE / 2)
    return [arrow(path), *caption(mx + nx * gap, my + ny * gap, lines, anchor)]


def loop(state: State, lines: list[tuple[str, Action]]) -> list[str]:
    x, y = PLACES[state]
    angle = math.radians(LOOPS[state])
    dx, dy = math.cos(angle), math.sin(angle)
    ax = x + dx * (NODE_WIDTH / 2 + 4) - dy * 18
    ay = y + dy * (NODE_HEIGHT / 2 + 4) - dx * 10
    bx = x + dx * (NODE_WIDTH / 2 + 4) + dy * 18
    by = y + dy * (NODE_HEIGHT / 2 + 4) + dx * 10
    out = 46.0
    path = " ".join(
        (
            "M", number(ax), number(ay),
            "C", number(ax + dx * out - dy * 16), number(ay + dy * out - dx * 16),
            number(bx + dx * out + dy * 16), number(by + dy * out + dx * 16),
            number(bx), number(by),
        )
    )  # fmt: skip
    far = 54.0 + (len(lines) * LINE / 2 if dy else 0)
    anchor = "middle" if abs(dy) > 0.5 else "start" if dx > 0 else "end"
    cx = x + dx * (NODE_WIDTH / 2 + 42)
    cy = y + dy * (NODE_HEIGHT / 2 + far - 12)
    if abs(dy) > 0.5:
        return [arrow(path), *caption(cx, cy, lines, anchor)]
    return [arrow(path), *caption(cx + dx * 4, cy, lines, anchor)]


def render() -> str:
    """The picture."""
    found = labels()
    unknown = {state for pair in found for state in pair} - PLACES.keys()
    assert not unknown, f"give these states a place: {unknown}"
    body = [
        (
            '<defs><marker id="head" viewBox="0 0 10 10" refX="8.5" refY="5" markerWidth="7" '
            'markerHeight="7" orient="auto-start-reverse"><path d="M 0 0.8 L 9.5 5 L 0 9.2 z" '
            'fill="var(--edge)"/></marker></defs>'
        )
    ]
    for (start, end), lines in found.items():
        if start is end:
            body += loop(start, lines)
        else:
            body += edge(start, end, lines, both=(end, start) in found)
    for state in PLACES:
        body += node(state)
    body.append(
        text(18, HEIGHT - 16, "At each arrow: what an answer says about the peer.", "small faint")
    )
    body.append(
        text(WIDTH - 18, HEIGHT - 16, "After →: the change that is reported.", "small faint", "end")
    )
    reported = ", ".join(action.value for action in Action if action is not Action.NOTHING)
    words = (
        f"The states of a peer, the evidence of an answer, and the reported changes: {reported}."
    )
    return document(WIDTH, HEIGHT, "The states of a peer", words, body)


if __name__ == "__main__":
    save("states.svg", render())
