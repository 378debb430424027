"""Which ordinals to ask for, so that every pod of a StatefulSet comes to be known. Pure.

The ordinals of a StatefulSet are numbers in a row, from ``spec.ordinals.start`` on, with a hole for
each pod that is away. From those that are known: the holes between them are asked for, then upward
from the highest and downward from the lowest, in strides that double as long as all of them are
there. A row of `MARGIN` that are absent ends the row of pods.

Absent pods are asked for as little as this takes, and not again for `ABSENT_FOR` seconds: a cache
that was asked for a name holds its absence, also when the pod has come in the meantime.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

__all__ = ["ABSENT_FOR", "MARGIN", "Ordinals", "Pod"]

MARGIN = 16
"""So many absent ordinals in a row, at either end, are the end of a StatefulSet."""

ABSENT_FOR = 30.0
"""For so many seconds an ordinal that was absent is not asked for again."""

_LONGEST_STRIDE = 256
_MOST_HOLES = 10_000
"""So many holes are asked for at most: a name with a huge ordinal must not cost a flood."""
_LARGEST_ORDINAL = 2**31 - 1

Pod = tuple[str, int]
"""A StatefulSet's name and an ordinal."""


class Ordinals:
    """What is known of the ordinals behind a service.

    Args:
        present: The pods that are there.
        absent: Those that are known not to be there.
    """

    def __init__(self, present: Iterable[Pod], absent: Iterable[Pod] = ()) -> None:
        self._rows: dict[str, _Row] = {}
        for statefulset, ordinal in present:
            row = self._rows.get(statefulset)
            if row is None:
                row = self._rows[statefulset] = _Row()
            row.present.add(ordinal)
        for statefulset, ordinal in absent:
            if statefulset in self._rows:
                self._rows[statefulset].absent.add(ordinal)

    def learn(self, pod: Pod, present: bool) -> None:
        """Take in whether a pod is there, that `next` said to ask for."""
        row = self._rows[pod[0]]
        (row.present if present else row.absent).add(pod[1])

    def next(self, most: int) -> list[Pod]:
        """The pods to ask for now; none when every row is closed.

        Of each row holes, at most about so many in all, and beyond both of its ends.

        What it gives has to be told with `learn` before it is called again.
        """
        stride = max(MARGIN, min(most, _LONGEST_STRIDE))
        pods: list[Pod] = []
        for statefulset, row in self._rows.items():
            if len(pods) < most:
                pods += [(statefulset, n) for n in row.next(most - len(pods), stride)]
        return pods

    @property
    def given_up(self) -> tuple[str, ...]:
        """The StatefulSets with more holes than are asked for."""
        return tuple(name for name, row in self._rows.items() if row.given_up)


class _Row:
    """The ordinals of one StatefulSet."""

    __slots__ = ("_down", "_up", "absent", "asked_holes", "given_up", "present")

    def __init__(self) -> None:
        self.present: set[int] = set()
        self.absent: set[int] = set()
        self.asked_holes = 0
        self.given_up = False
        self._up = _Stride()
        self._down = _Stride()

    def next(self, most: int, longest: int) -> list[int]:
        lowest, highest = min(self.present), max(self.present)
        holes = list(islice(self._unknown(range(lowest + 1, highest)), most))
        self.asked_holes += len(holes)
        if self.asked_holes > _MOST_HOLES:
            self.given_up = True
            holes = []
        up = self._up.after(highest, longest)
        down = self._down.after(-lowest, longest)
        above = range(highest + 1, min(highest + up, _LARGEST_ORDINAL) + 1)
        below = range(lowest - 1, max(lowest - down, 0) - 1, -1)
        return [*holes, *self._unknown(above), *self._unknown(below)]

    def _unknown(self, ordinals: Iterable[int]) -> Iterator[int]:
        present, absent = self.present, self.absent
        return (n for n in ordinals if n not in present and n not in absent)


class _Stride:
    """How far to go in one direction: twice as far as the last time, if all of that was there."""

    __slots__ = ("_edge", "_length")

    def __init__(self) -> None:
        self._edge: int | None = None
        self._length = MARGIN

    def after(self, edge: int, longest: int) -> int:
        """How many ordinals beyond the outermost one that is there."""
        if self._edge is not None and edge > self._edge:
            whole = edge - self._edge >= self._length
            self._length = min(2 * self._length, longest) if whole else MARGIN
        self._edge = edge
        return self._length
