"""Runs targets over many inputs, and measures how long each input takes."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from .target import Target
from .targets import TARGETS

__all__ = ["MOST_SECONDS", "Fault", "Result", "portions", "run", "share"]

MOST_SECONDS = 0.05
"""CPU time for one input, above which it holds an event loop for too long."""


PORTION = 2000
"""Inputs until the clock is read again."""


@dataclass(frozen=True, slots=True)
class Fault:
    """An input on which a reader fails.

    Attributes:
        data: The input.
        where: The error, with the line that raised it: one for each kind of fault.
    """

    data: bytes
    where: str

    @classmethod
    def of(cls, data: bytes, error: BaseException) -> Fault:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"
        return cls(data, f"{place}: {type(error).__name__}: {str(error)[:200]}")


@dataclass(slots=True)
class Result:
    """The result of many inputs.

    Attributes:
        accepted: Inputs that were read.
        refused: Inputs that were refused as documented.
        faults: The first input of each kind of fault, by the line that raised it.
        slowest: The largest CPU time of one input, in seconds.
    """

    accepted: int = 0
    refused: int = 0
    faults: dict[str, Fault] = field(default_factory=dict)
    slowest: float = 0.0

    @property
    def inputs(self) -> int:
        return self.accepted + self.refused + len(self.faults)

    def add(self, other: Result) -> None:
        self.accepted += other.accepted
        self.refused += other.refused
        self.faults = other.faults | self.faults
        self.slowest = max(self.slowest, other.slowest)


def run(target: Target, inputs: Iterable[bytes]) -> Result:
    """Read these inputs; within ``target.prepared()``."""
    result = Result()
    for data in inputs:
        began = time.thread_time()
        try:
            if target.read(data):
                result.accepted += 1
            else:
                result.refused += 1
        except Exception as error:  # noqa: BLE001 - any exception is a fault, and the next input counts
            fault = Fault.of(data, error)
            result.faults.setdefault(fault.where.partition(": ")[0], fault)
        took = time.thread_time() - began
        if took > result.slowest:
            result.slowest = _again(target, data, took) if took > MOST_SECONDS else took
            if result.slowest > MOST_SECONDS:
                where = f"{target.name}: {result.slowest:.3f} s of CPU time for one input"
                result.faults.setdefault("slow", Fault(data, where))
    return result


def _again(target: Target, data: bytes, took: float) -> float:
    """The smallest of four measurements: another process may have disturbed the first."""
    for _ in range(3):
        began = time.thread_time()
        try:
            target.read(data)
        except Exception:  # noqa: BLE001 - reported before; only the time counts here
            continue
        took = min(took, time.thread_time() - began)
    return took


def portions(target: Target, seed: int, count: int, portion: int) -> Iterator[list[bytes]]:
    """The first ``count`` inputs of a seed, in lists of at most ``portion``."""
    inputs = islice(target.inputs(target, seed), count)
    while batch := list(islice(inputs, portion)):
        yield batch


def share(work: tuple[str, int, int, float]) -> Result:
    """One process's share of the inputs of a target."""
    name, seed, cases, deadline = work
    target, total = TARGETS[name], Result()
    with target.prepared():
        for batch in portions(target, seed, cases, PORTION):
            total.add(run(target, batch))
            if time.monotonic() > deadline:
                break
    return total
