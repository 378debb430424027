"""Pods that watch each other over DNS, as one pure function of a seed.

What decides when a watcher polls and what it reports is peerdisco's own: `Membership`, which holds
`Caching`, and `Schedule`, driven as `peerdisco.Discovery` drives them. A lookup takes no time here,
and none fails: what is counted is how many there are, and what they see is as old as the caches
on the way make it.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from peerdisco.membership.machine import Changes, Membership
from peerdisco.membership.rules import ConfirmationRules
from peerdisco.membership.schedule import Schedule
from peerdisco.model import Answered
from peerdisco.sources.large.rotation import LISTING_POLLS
from tests.simulation.world import Addresses, Event, Truth

from .sizes import LookupSize

MIN_INTERVAL = 0.5
IDLE = 10.0
"""CoreDNS closes a TCP connection that was silent for so many seconds (core/dnsserver)."""

LEAST_TTL = 5
"""The ``cache`` plugin keeps nothing for less (plugin/cache, ``minttl``)."""

Part = Literal["srv", "addresses", "nothing", "pods"]
"""The questions of a lookup, by the fate of their answers; see `LookupSize`."""


@dataclass(frozen=True)
class Caches:
    """What keeps answers on the way from the API to a watcher.

    Attributes:
        ttl: Of the answers of the cluster DNS.
        kept_by: ``servers`` are the replicas of the cluster DNS, each for itself; ``nodes`` is a
            cache on each node, as NodeLocal DNSCache, before a cluster DNS that keeps nothing.
        replicas: Of the cluster DNS; two are what kubeadm sets up.
        pods_a_node: How many of the watchers share a node.
        nothing_ttl: How long a node keeps an answer without data (nodelocaldns.yaml).
    """

    ttl: int = 30
    kept_by: Literal["nobody", "servers", "nodes"] = "nobody"
    replicas: int = 2
    pods_a_node: int = 10
    nothing_ttl: int = 5

    def ttl_of(self, part: Part, *, truncated: bool) -> int | None:
        """For how long a cache keeps the answers; None if it does not."""
        if self.kept_by == "nobody" or part == "pods":
            return None  # each watcher verifies other pods
        if self.kept_by == "nodes":
            if part == "srv" and truncated:
                return None  # it comes truncated from the cluster DNS, and that is not kept
            if part == "nothing":
                return self.nothing_ttl
        return max(LEAST_TTL, self.ttl)


@dataclass(frozen=True)
class Setup:
    """Everything that a run depends on.

    Attributes:
        caches: On the way.
        watchers: Number of watchers.
        size: The questions of a lookup.
        events: What happens to the pods; those before 0 are how it begins.
        seconds: How long the run is.
        lag: Seconds until the cluster DNS knows what the API knows.
        interval: Of each watcher.
        together: Whether all watchers begin at 0, and not at any time in the first interval.
        seed: Of the jitter, the beginnings and the choice of replicas.
        pods: Of how many the schedule of each watcher is; None for those that it knows.
    """

    caches: Caches
    watchers: int
    size: LookupSize
    events: tuple[Event, ...]
    seconds: float
    lag: float = 0.0
    interval: float = 2.0
    together: bool = False
    seed: int = 0
    pods: int | None = None

    @property
    def parts(self) -> tuple[Part, ...]:
        return ("srv", "addresses", "nothing", "pods") if self.size.truncated else ("srv",)


@dataclass
class Run:
    """What came of it.

    Attributes:
        lookups: The time of each lookup, in order.
        reached: For each part of a lookup, when it reached the cluster DNS, in order.
        reported: The changes of each watcher, with their time.
    """

    setup: Setup
    lookups: list[float] = field(default_factory=list)
    reached: dict[Part, list[float]] = field(default_factory=dict)
    reported: list[list[tuple[float, Changes]]] = field(default_factory=list)


def chance_of(seed: int, watcher: int) -> Random:
    """Where a watcher's jitter comes from."""
    return Random(f"{seed} watcher {watcher}")


@dataclass
class _Watcher:
    number: int
    membership: Membership
    schedule: Schedule
    jitter: Random
    server: int = -1
    asked_at: float = float("-inf")
    lookups: int = 0


class _Sample(Membership):
    """A membership that knows a sample of so many pods."""

    def __init__(self, interval: float, pods: int | None) -> None:
        super().__init__(ConfirmationRules(interval=interval))
        self._pods = pods

    @property
    def size(self) -> int:
        return super().size if self._pods is None else self._pods


class _Cache:
    """What one cache holds: for each part when it was filled."""

    def __init__(self) -> None:
        self.filled: dict[Part, float] = {}


class _Dns:
    """The cluster DNS, and the caches before it."""

    def __init__(self, setup: Setup, truth: Truth, run: Run) -> None:
        self._setup = setup
        self._truth = truth
        self._run = run
        self._chance = Random(f"{setup.seed} servers")
        self._caches: dict[int, _Cache] = {}

    def lookup(self, watcher: _Watcher, now: float) -> Answered:
        setup, caches = self._setup, self._setup.caches
        cache = self._caches.setdefault(self._way(watcher, now), _Cache())
        ttl = caches.ttl
        seen_at = now
        without = setup.size.truncated and watcher.lookups % LISTING_POLLS != 0
        watcher.lookups += 1
        for part in setup.parts:
            if part == "srv" and without:
                continue
            kept = caches.ttl_of(part, truncated=setup.size.truncated)
            filled = cache.filled.get(part, float("-inf"))
            fresh = kept is None or now - filled >= kept
            if fresh:
                filled = cache.filled[part] = now
            if fresh or caches.kept_by == "servers":
                self._run.reached[part].append(now)
            if kept is not None and part != "nothing":
                ttl = min(ttl, kept - int(now - filled))
                seen_at = filled
        return Answered(self._truth.at(seen_at - setup.lag), ttl)

    def _way(self, watcher: _Watcher, now: float) -> int:
        """Which cache a question goes through.

        kube-proxy picks a server for each UDP socket and each TCP connection.
        """
        caches = self._setup.caches
        if caches.kept_by == "nodes":
            return watcher.number // caches.pods_a_node
        if (
            watcher.server < 0
            or self._setup.size.transport == "udp"
            or now - watcher.asked_at >= IDLE
        ):
            watcher.server = self._chance.randrange(caches.replicas)
        watcher.asked_at = now
        return watcher.server


def simulate(setup: Setup) -> Run:
    """The lives of all watchers."""
    truth = Truth(setup.events, setup.seconds)
    run = Run(setup, reached={part: [] for part in setup.parts})
    dns = _Dns(setup, truth, run)
    beginnings = Random(f"{setup.seed} beginnings")
    due: list[tuple[float, int, _Watcher]] = []
    order = itertools.count()
    for number in range(setup.watchers):
        watcher = _Watcher(
            number,
            _Sample(setup.interval, setup.pods),
            Schedule(setup.interval, min(MIN_INTERVAL, setup.interval)),
            chance_of(setup.seed, number),
        )
        run.reported.append([])
        begins = 0.0 if setup.together else setup.interval * beginnings.random()
        due.append((begins, next(order), watcher))
    heapq.heapify(due)
    while due[0][0] < setup.seconds:
        now, _, watcher = due[0]
        run.lookups.append(now)
        for reported in (
            watcher.membership.observe(dns.lookup(watcher, now), now),
            watcher.membership.tick(now),
        ):
            if reported:
                run.reported[watcher.number].append((now, reported))
        wait = watcher.schedule.wait(watcher.membership, now, watcher.jitter.random())
        heapq.heapreplace(due, (now + wait, next(order), watcher))
    return run


def first_reported(
    reported: Sequence[tuple[float, Changes]], name: str, addresses: Addresses, since: float
) -> float | None:
    """When a pod was first reported with these addresses, or as left; None if never."""
    for time, each in reported:
        if time < since:
            continue
        if not addresses and any(peer.name == name for peer in each.left):
            return time
        arrived = (*each.joined, *(new for _, new in each.replaced))
        if any(peer.name == name and peer.addresses == addresses for peer in arrived):
            return time
    return None


def busiest(times: Sequence[float], start: float, end: float, seconds: float = 1.0) -> int:
    """How many of these times, in order, lie in the fullest second between start and end."""
    most = first = 0
    within = [time for time in times if start <= time < end]
    for last, time in enumerate(within):
        while within[first] <= time - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most
