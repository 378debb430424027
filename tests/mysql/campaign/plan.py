"""Which events come, from a seed alone. Pure, so that the same seed gives the same events."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

__all__ = ["DISTURBANCES", "KINDS", "MOVE", "OPERATIONS", "PODS", "Event", "Plan", "Round", "plan"]

PODS = 3

DISTURBANCES = {
    "kill the server": 4,
    "kill the sidecar": 3,
    "kill the pod": 3,
    "stop the server for a while": 2,
    "stop the sidecar for a while": 2,
    "move the pod to another node": 3,
    "cut the pod off": 2,
    "break the DNS": 3,
    "unlist the pod": 2,
    "pause the sidecar": 2,
    "restart the pod": 2,
    "change tables": 2,
    "kill the server while tables change": 3,
    "change the password": 2,
    "kill the server in a large transaction": 2,
    "leave a transaction prepared": 2,
    "restart a server with a MEMORY table": 2,
    "lock all tables": 1,
    "stop the replication": 1,
    "use all connections": 1,
}
"""How often each comes. Several of these may come at the same time."""

OPERATIONS = {
    "move the role": 6,
    "restart all pods": 2,
    "copy the volume of a replica": 2,
    "restore an older volume of a replica": 2,
    "lose the volume of a replica": 1,
    "lose the volume of the primary": 2,
    "lock a replica and lose the volume of the primary": 1,
    "restore an older volume of the primary": 2,
    "open an older volume of the primary": 2,
    "reset the log of the primary": 2,
    "flush on a replica": 2,
}
"""Each of these is a round of its own: what comes of it is known only without the others.

Moves of the role are the exception, since they end as asked whatever else happens: two may follow
each other before the first one has ended, and disturbances may come during them.
"""

MOVE = "move the role"
KINDS = (*DISTURBANCES, *OPERATIONS)

DNS_FAULTS = ("drop", "servfail", "refused", "nxdomain", "truncate", "garbage", "lame")


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes:
        kind: One of `KINDS`.
        pod: The ordinal of the pod that it is about.
        seconds: How long it lasts, or how long after it the next one comes.
        detail: The kind of a fault, or which of two orders.
        beside: Whether it begins at the same time as the one before it.
    """

    kind: str
    pod: int
    seconds: float
    detail: str = ""
    beside: bool = False

    def __str__(self) -> str:
        detail = f" ({self.detail})" if self.detail else ""
        beside = "at the same time " if self.beside else ""
        return f"{beside}{self.kind}{detail}: mysql-{self.pod}, {self.seconds:.2f} s"


Round = tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What one seed does.

    Attributes:
        seed: The seed.
        semi_sync: Whether the primary waits for a replica's acknowledgement.
        rounds: The events; the cluster has to come to rest after each round.
    """

    seed: int
    semi_sync: bool
    rounds: tuple[Round, ...]

    @property
    def events(self) -> list[Event]:
        return [event for one in self.rounds for event in one]


def plan(seed: int, rounds: int, only: str | None = None) -> Plan:
    """The plan of a seed. A longer one begins as a shorter one does.

    Args:
        seed: The seed.
        rounds: How many rounds it has.
        only: The only kind of disturbance that comes, on replicas; None for all kinds.
    """
    chance = random.Random(seed)
    if only is not None:
        return Plan(seed, bool(seed % 2), tuple(_alike(chance, only) for _ in range(rounds)))
    return Plan(seed, bool(seed % 2), tuple(_rounds(chance, rounds)))


def _alike(chance: random.Random, kind: str) -> Round:
    return tuple(Event(kind, chance.randrange(1, PODS), chance.uniform(0.0, 1.0)) for _ in range(6))


def _rounds(chance: random.Random, count: int) -> Iterator[Round]:
    primary = 0
    for _ in range(count):
        if chance.random() < _OPERATION:
            event = _operation(chance, primary)
            events = _moves(chance, event) if event.kind == MOVE else (event,)
            yield events
            primary = next((one.pod for one in reversed(events) if one.kind == MOVE), primary)
        else:
            yield tuple(_disturbances(chance, chance.randint(*_DISTURBANCES)))


def _moves(chance: random.Random, first: Event) -> Round:
    """A move of the role, perhaps with a second one, and with what disturbs both."""
    during = list(_disturbances(chance, chance.choice(_DURING_MOVES)))
    if chance.random() < _SECOND_MOVE:
        pod = chance.choice([pod for pod in range(PODS) if pod != first.pod])
        during.append(Event(MOVE, pod, chance.uniform(0.0, 1.0)))
    return (first, *during)


_OPERATION = 0.4
"""The part of the rounds that are operations."""

_DISTURBANCES = (2, 7)
"""The fewest and the most disturbances of a round without operations."""

_DURING_MOVES = (0, 0, 1, 2, 3, 4)
"""How many disturbances a move of the role may have."""

_SECOND_MOVE = 0.25
"""The part of the moves that another one follows at once."""


def _operation(chance: random.Random, primary: int) -> Event:
    kind = _pick(chance, OPERATIONS)
    replica = chance.choice([pod for pod in range(PODS) if pod != primary])
    pod = primary if kind.endswith("of the primary") else replica
    return Event(kind, pod, chance.uniform(0.1, 1.0))


def _disturbances(chance: random.Random, count: int) -> Iterator[Event]:
    """So many, some of them at the same time, on different pods."""
    pods: set[int] = set()
    for _ in range(count):
        event = _disturbance(chance)
        beside = chance.random() < _BESIDE and bool(pods) and event.pod not in pods
        pods = {*(pods if beside else ()), event.pod}
        yield replace(event, beside=beside)


_BESIDE = 0.4
"""The part of the disturbances that come at the same time as another one, if its pod allows it."""


def _disturbance(chance: random.Random) -> Event:
    kind, detail = _pick(chance, DISTURBANCES), ""
    if kind == "break the DNS":
        detail = chance.choice(DNS_FAULTS)
    elif kind == "change the password":
        detail = chance.choice(("account first", "Secret first"))
    # Most are short; some outlast the sidecar's and the server's patience.
    seconds = chance.uniform(2.0, 6.0) if chance.random() < _LONG else chance.uniform(0.0, 1.0)
    return Event(kind, chance.randrange(PODS), seconds, detail)


_LONG = 0.15


def _pick(chance: random.Random, weights: dict[str, int]) -> str:
    return chance.choices(list(weights), list(weights.values()))[0]
