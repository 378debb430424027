"""Curves over logarithmic axes: their frame, and lines with a mark at each point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from svg import number, text

DASHES = {"solid": "", "dashed": "7 4", "dotted": "1.5 4"}


@dataclass(frozen=True)
class Look:
    """How a curve is drawn."""

    colour: str
    dashes: str = "solid"

    @property
    def attributes(self) -> str:
        dashes = DASHES[self.dashes]
        cap = ' stroke-linecap="round"' if self.dashes == "dotted" else ""
        pattern = f' stroke-dasharray="{dashes}"' if dashes else ""
        return f'fill="none" stroke="var({self.colour})" stroke-width="2.2"{pattern}{cap}'


@dataclass(frozen=True)
class Frame:
    """The place of a panel, and the values at its edges."""

    left: float
    right: float
    top: float
    bottom: float
    least: tuple[float, float]
    most: tuple[float, float]

    def x(self, value: float) -> float:
        return self._place(value, 0, self.left, self.right)

    def y(self, value: float) -> float:
        return self._place(value, 1, self.bottom, self.top)

    def _place(self, value: float, axis: int, start: float, end: float) -> float:
        least, most = math.log(self.least[axis]), math.log(self.most[axis])
        return start + (end - start) * (math.log(value) - least) / (most - least)

    def grid(
        self, columns: Sequence[tuple[float, str]], rows: Sequence[tuple[float, str]]
    ) -> list[str]:
        """A line for each value, with its name outside; without a name for an empty one."""
        shown = []
        for value, words in columns:
            x = self.x(value)
            shown.append(_line(x, self.top, x, self.bottom, "--line", 0.7))
            shown.append(text(x, self.bottom + 18, words, "small faint", "middle"))
        for value, words in rows:
            y = self.y(value)
            shown.append(_line(self.left, y, self.right, y, "--line", 0.7))
            if words:
                shown.append(text(self.left - 8, y + 4, words, "small faint", "end"))
        return shown

    def curve(self, points: Sequence[tuple[float, float]], look: Look) -> list[str]:
        """Straight from point to point, with a mark at each."""
        places = [(number(self.x(x)), number(self.y(y))) for x, y in points]
        path = " L ".join(f"{x} {y}" for x, y in places)
        marks = [
            f'<circle cx="{x}" cy="{y}" r="2.6" fill="var({look.colour})"/>' for x, y in places
        ]
        return [f'<path d="M {path}" {look.attributes}/>', *marks]

    def level(self, value: float, words: str, x: float | None = None) -> list[str]:
        """A thin line across, with words over it."""
        y = self.y(value)
        place = self.right - 6 if x is None else x
        anchor = "end" if x is None else "start"
        return [
            _line(self.left, y, self.right, y, "--edge", 1.0, "3 3"),
            text(place, y - 6, words, "small faint", anchor),
        ]

    def beyond(self, value: float) -> str:
        """A ground under what lies right of this value; drawn first."""
        x = self.x(value)
        return (
            f'<rect x="{number(x)}" y="{number(self.top)}" width="{number(self.right - x)}" '
            f'height="{number(self.bottom - self.top)}" fill="var(--wash)"/>'
        )

    def words_beyond(self, value: float, lines: Sequence[str]) -> list[str]:
        """Why, at its lower end; drawn last, each on a piece of the ground."""
        x, shown = self.x(value) + 7, []
        for index, line in enumerate(lines):
            y = self.bottom - 12 - 15 * (len(lines) - 1 - index)
            box = f'x="{number(x - 3)}" y="{number(y - 12)}" width="{number(self.right - x)}"'
            shown.append(f'<rect {box} height="16" fill="var(--wash)"/>')
            shown.append(text(x, y, line, "small bad"))
        return shown


def sample(x: float, y: float, look: Look) -> list[str]:
    """A short piece of a curve, for a legend."""
    return [
        f'<path d="M {number(x)} {number(y)} L {number(x + 30)} {number(y)}" {look.attributes}/>',
        f'<circle cx="{number(x + 15)}" cy="{number(y)}" r="2.6" fill="var({look.colour})"/>',
    ]


def _line(
    x1: float, y1: float, x2: float, y2: float, colour: str, width: float, dashes: str = ""
) -> str:
    pattern = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<line x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}" '
        f'stroke="var({colour})" stroke-width="{number(width)}"{pattern}/>'
    )
