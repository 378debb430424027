"""Which ordinals to query, so that every pod of a StatefulSet is found. Pure.

The ordinals of a StatefulSet are consecutive from ``spec.ordinals.start`` on, with a hole for each
absent pod. Queries begin with the holes between the known ordinals, then go upward from the highest
and downward from the lowest, in strides that double while all of their pods exist. `MARGIN` absent
ordinals in a row are the end.

Absent pods are queried as little as possible, and not again for `ABSENT_FOR` seconds: a query makes
caches keep the absence, even if the pod is created in the meantime.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

__all__ = ["ABSENT_FOR", "MARGIN", "Ordinals", "Pod"]

MARGIN = 16
"""Number of consecutive absent ordinals that are the end of a StatefulSet, in either direction."""

ABSENT_FOR = 30.0
"""Seconds for which an absent ordinal is not queried again."""

_LONGEST_STRIDE = 64
"""Ordinals beyond an end that are queried together, at most.

A server may take many milliseconds for each name that does not exist, and send no reply before it
has answered all of them; the replies about names that exist do not show it.
"""
_MOST_HOLES = 10_000
"""The most holes that are queried: a name with a huge ordinal must not cause a flood."""
_LARGEST_ORDINAL = 2**31 - 1

Pod = tuple[str, int]
"""A StatefulSet's name and an ordinal."""


class Ordinals:
    """The known ordinals behind a service.

    Args:
        present: The pods that exist.
        absent: The pods that are known not to exist.
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
        """Record whether a pod that `next` returned exists."""
        row = self._rows[pod[0]]
        (row.present if present else row.absent).add(pod[1])

    def next(self, most: int) -> list[Pod]:
        """The pods to query now: holes, and ordinals beyond both ends. None when all is closed.

        Call `learn` for each of them before the next call.

        Args:
            most: About how many pods to return.
        """
        stride = max(MARGIN, min(most, _LONGEST_STRIDE))
        pods: list[Pod] = []
        for statefulset, row in self._rows.items():
            if len(pods) < most:
                pods += [(statefulset, n) for n in row.next(most - len(pods), stride)]
        return pods

    @property
    def count(self) -> int:
        """The number of pods that exist."""
        return sum(len(row.present) for row in self._rows.values())

    @property
    def given_up(self) -> tuple[str, ...]:
        """The StatefulSets with more holes than are queried."""
        return tuple(name for name, row in self._rows.items() if row.given_up)


class _Row:
    """The ordinals of one StatefulSet."""

    __slots__ = ("_down", "_up", "absent", "given_up", "present", "queried_holes")

    def __init__(self) -> None:
        self.present: set[int] = set()
        self.absent: set[int] = set()
        self.queried_holes = 0
        self.given_up = False
        self._up = _Stride()
        self._down = _Stride()

    def next(self, most: int, longest: int) -> list[int]:
        lowest, highest = min(self.present), max(self.present)
        holes = list(islice(self._unknown(range(lowest + 1, highest)), most))
        self.queried_holes += len(holes)
        if self.queried_holes > _MOST_HOLES:
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
    """How far to go in one direction: twice as far as the last time, if all of those exist."""

    __slots__ = ("_edge", "_length")

    def __init__(self) -> None:
        self._edge: int | None = None
        self._length = MARGIN

    def after(self, edge: int, longest: int) -> int:
        """The number of ordinals to query beyond the outermost known one."""
        if self._edge is not None and edge > self._edge:
            whole = edge - self._edge >= self._length
            self._length = min(2 * self._length, longest) if whole else MARGIN
        self._edge = edge
        return self._length
