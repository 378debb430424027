"""The figures of ``docs/explanation/scaling.md``: what is simulated for them, and what came out.

A watcher's life depends on the number of pods only by the caches that it shares with others and by
whether an answer is truncated. So beyond `SAMPLE` watchers a sample of that many is simulated,
exactly, and counted as often as there are watchers; each machine knows `KNOWN` pods, since it
decides about each pod alone unless half of them go at once. The sizes of the messages are those
of all pods.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path
from random import Random
from typing import Any

from peerdisco.membership.schedule import MANY
from tests.simulation.world import Addresses, Event

from . import slices
from .simulation import Caches, Run, Setup, busiest, first_reported, simulate
from .sizes import LookupSize, Messages, Service, lookup_size, most_pods

FILE = Path(__file__).parents[2] / "docs" / "explanation" / "scaling.json"

PODS = (3, 10, 30, 100, 300, 500, 700, 1000, 2000, 5000, 10000)
INTERVAL = 2.0
INTERVALS = (2.0, 5.0, 10.0, 30.0, 60.0)
SOME_HUNDREDS = 500
PODS_A_NODE = (1, 5, 10, 25, 50)

SAMPLE = 30
KNOWN = 10
SEED = 1

CACHES = {
    "DNS, no cache": Caches(),
    "DNS, cache of 5 s": Caches(ttl=5, kept_by="servers"),
    "DNS, cache of 30 s": Caches(ttl=30, kept_by="servers"),
    "DNS, cache on each node": Caches(ttl=30, kept_by="nodes"),
}
FEW = 3
WATCHERS = {"EndpointSlices, all watch": None, "EndpointSlices, 3 watch": FEW}
"""How many watch; None for each pod."""

REST = 600.0
BETWEEN_RESTARTS = 30.0
"""On average: no two have the same time between them, or they would go in step with the caches."""
AWAY = 10.0
RESTARTS = 20
CHANGES = 20
"""How many joins, leaves and new addresses are timed."""

SERVICES = {
    "`mysql-0.my-database.default`": Service(),
    "the same, both address families": Service(families=("ipv4", "ipv6")),
    "`cockroachdb-0.cockroachdb-headless.production-data`": Service(
        "cockroachdb-headless", "cockroachdb", "production-data"
    ),
}


@dataclass(frozen=True)
class Load:
    """What so many pods cost in a second, all together.

    Attributes:
        source: How they watch each other.
        pods: How many watch, and are watched.
        questions: To the cluster DNS, or requests to the API server, while nothing changes.
        bytes: Of these and of what came back.
        restart_questions: The same while one pod after the other restarts.
        restart_bytes: The same while one pod after the other restarts.
    """

    source: str
    pods: int
    questions: float
    bytes: float
    restart_questions: float
    restart_bytes: float


@dataclass(frozen=True)
class Detection:
    """How long it took from the API to the application, in seconds.

    Attributes:
        source: How the pods watch each other.
        change: `joined`, `left` or `back`, which is a pod that was away and has a new address.
    """

    source: str
    change: str
    median: float
    worst: float


@dataclass(frozen=True)
class OfInterval:
    """What an interval costs some hundreds of pods without caches, and what it brings."""

    interval: float
    load: Load
    detections: tuple[Detection, ...]


@dataclass(frozen=True)
class OfNodes:
    """What some hundreds of pods ask the cluster DNS where each node has a cache."""

    pods_a_node: int
    load: Load


@dataclass(frozen=True)
class Busiest:
    """How the lookups of some hundreds of pods, each of them simulated, fall together."""

    source: str
    pods: int
    mean: float
    most: int


@dataclass(frozen=True)
class Room:
    """Of how many pods one answer holds everything."""

    service: str
    udp: int
    tcp: int


@dataclass(frozen=True)
class OneLookup:
    """The size of one lookup of so many pods, and of a list of their slices."""

    pods: int
    transport: str
    truncated: bool
    questions: int
    bytes: int
    listing: int


@dataclass(frozen=True)
class Figures:
    """All of them."""

    loads: tuple[Load, ...]
    detections: tuple[Detection, ...]
    intervals: tuple[OfInterval, ...]
    nodes: tuple[OfNodes, ...]
    busiest: tuple[Busiest, ...]
    rooms: tuple[Room, ...]
    lookups: tuple[OneLookup, ...]

    def load(self, source: str, pods: int) -> Load:
        return next(one for one in self.loads if (one.source, one.pods) == (source, pods))

    def detection(self, source: str, change: str) -> Detection:
        return next(one for one in self.detections if (one.source, one.change) == (source, change))


# --- what is simulated


def beginning(pods: int) -> tuple[Event, ...]:
    """So many pods, there from the beginning."""
    return tuple((-1.0, f"mysql-{number}", (_address(number),)) for number in range(pods))


def _address(number: int) -> IPv4Address:
    return IPv4Address("10.244.0.3") + number


def warm_up(interval: float) -> float:
    """Seconds until each watcher knows what caches there are."""
    return max(120.0, 20 * interval)


def rest_and_restarts(pods: int, interval: float) -> tuple[Event, ...]:
    """Nothing for a while; then one pod after the other restarts, with a new address."""
    chance = Random(SEED)
    start = warm_up(interval) + REST
    events = list(beginning(pods))
    for number in range(RESTARTS):
        at = start + (number + 0.6 * chance.random()) * BETWEEN_RESTARTS
        name = f"mysql-{number % pods}"
        events += [(at, name, ()), (at + AWAY, name, (_address(1000 + number),))]
    return tuple(events)


def run_of_load(
    caches: Caches, watchers: int, pods: int, size: LookupSize, interval: float = INTERVAL
) -> Run:
    """So many watchers of so many pods, at rest and then while pods restart."""
    return _run_of_load(caches, watchers, min(pods, MANY), _of_shape(size), interval)


@cache
def _run_of_load(
    caches: Caches, watchers: int, pods: int, size: LookupSize, interval: float
) -> Run:
    seconds = warm_up(interval) + REST + RESTARTS * BETWEEN_RESTARTS
    lag = slices.RecordedWatch().delay
    events = rest_and_restarts(min(pods, KNOWN), interval)
    return simulate(
        Setup(caches, watchers, size, events, seconds, lag, interval, seed=SEED, pods=pods)
    )


def _of_shape(size: LookupSize) -> LookupSize:
    """A size that stands for all with which a watcher lives the same life."""
    none = Messages()
    return LookupSize(size.transport, none, none, size.truncated)


def load_of_dns(
    source: str, caches: Caches, pods: int, interval: float = INTERVAL, sample: int = SAMPLE
) -> Load:
    """What so many pods cost the cluster DNS."""
    size = lookup_size(pods)
    watchers = min(pods, sample)
    run = run_of_load(caches, watchers, pods, size, interval)
    of_part = {
        "srv": size.srv_over_tcp if caches.kept_by == "nodes" else size.srv,
        "addresses": size.addresses,
        "nothing": size.nothing,
        "pods": size.pods,
    }
    rates: list[float] = []
    start = warm_up(interval)
    for begin, end in ((start, start + REST), (start + REST, run.setup.seconds)):
        total = Messages()
        for part, times in run.reached.items():
            total += of_part[part] * sum(begin <= time < end for time in times)
        scale = pods / watchers / (end - begin)
        rates += [total.count * scale, total.size * scale]
    return Load(source, pods, *map(_short, rates))


def load_of_slices(source: str, watchers: int | None, pods: int) -> Load:
    """What a list and a watch of the slices cost the API server."""
    count = pods if watchers is None else min(watchers, pods)
    watch = slices.RecordedWatch()
    requests = count / slices.WATCH_SECONDS
    quiet = count * watch.bookmark
    changes = count * slices.restart_size(pods) / BETWEEN_RESTARTS
    return Load(source, pods, *map(_short, (requests, quiet, requests, quiet + changes)))


def detections_of_dns(
    source: str, caches: Caches, interval: float = INTERVAL
) -> tuple[Detection, ...]:
    """How long it takes until a join, a leave and a new address are reported, one after another."""
    chance = Random(f"{SEED} {source} {interval}")
    now = warm_up(interval)
    lag = slices.RecordedWatch().delay
    events = list(beginning(KNOWN))
    changes: list[tuple[str, str, Addresses, float]] = []
    for number in range(CHANGES):
        gone = chance.randrange(KNOWN)
        for change, name, address in (
            ("joined", f"mysql-{KNOWN}", (_address(2000 + number),)),
            ("left", f"mysql-{KNOWN}", ()),
            ("back", f"mysql-{gone}", (_address(3000 + number),)),
        ):
            now += max(120.0, 6 * interval + 60.0) + chance.uniform(0.0, 30.0)
            if change == "back":
                events.append((now - AWAY, name, ()))
            events.append((now, name, address))
            changes.append((change, name, address, now))
    seconds = now + max(120.0, 6 * interval + 60.0)
    size = _of_shape(lookup_size(SOME_HUNDREDS))
    run = simulate(
        Setup(
            caches,
            caches.pods_a_node,
            size,
            tuple(events),
            seconds,
            lag,
            interval,
            seed=SEED,
            pods=SOME_HUNDREDS,
        )
    )
    found: dict[str, list[float]] = {}
    for change, name, address, at in changes:
        for reported in run.reported:
            when = first_reported(reported, name, address, at)
            assert when is not None, f"{source}: {name} {change} at {at} was not reported"
            found.setdefault(change, []).append(when - at)
    return tuple(_detection(source, change, times) for change, times in found.items())


def detections_of_slices(source: str) -> tuple[Detection, ...]:
    """As recorded, from the change to the first line of the watch that reports it."""
    delays = slices.RecordedWatch().delays
    return tuple(_detection(source, change, delays) for change in ("joined", "left", "back"))


def _detection(source: str, change: str, times: Sequence[float]) -> Detection:
    return Detection(source, change, _short(statistics.median(times)), _short(max(times)))


def busiest_second(source: str, caches: Caches, pods: int = SOME_HUNDREDS) -> Busiest:
    """The lookups in the fullest second of two minutes at rest; every watcher is simulated."""
    start, end = warm_up(INTERVAL), warm_up(INTERVAL) + 120.0
    size = _of_shape(lookup_size(pods))
    run = simulate(Setup(caches, pods, size, beginning(KNOWN), end, seed=SEED, pods=pods))
    times = run.reached["srv"]
    mean = sum(start <= time < end for time in times) / (end - start)
    return Busiest(source, pods, _short(mean), busiest(times, start, end))


def of_interval(interval: float) -> OfInterval:
    source = "DNS, no cache"
    return OfInterval(
        interval,
        load_of_dns(source, CACHES[source], SOME_HUNDREDS, interval),
        detections_of_dns(source, CACHES[source], interval),
    )


def of_nodes(pods_a_node: int) -> OfNodes:
    """A sample of whole nodes."""
    caches = Caches(kept_by="nodes", pods_a_node=pods_a_node)
    watchers = math.ceil(SAMPLE / pods_a_node) * pods_a_node
    return OfNodes(
        pods_a_node, load_of_dns("DNS, cache on each node", caches, SOME_HUNDREDS, sample=watchers)
    )


def one_lookup(pods: int) -> OneLookup:
    size = lookup_size(pods)
    listing = slices.RecordedWatch().listing(slices.full_slices(pods))
    return OneLookup(
        pods, size.transport, size.truncated, size.whole.count, size.whole.size, listing
    )


def room(name: str) -> Room:
    service = SERVICES[name]
    return Room(name, most_pods(service, "udp"), most_pods(service, "tcp"))


def measure() -> Figures:
    """Simulate everything; some seconds."""
    return Figures(
        loads=(
            *(load_of_dns(name, caches, n) for name, caches in CACHES.items() for n in PODS),
            *(load_of_slices(name, count, n) for name, count in WATCHERS.items() for n in PODS),
        ),
        detections=(
            *(one for name, caches in CACHES.items() for one in detections_of_dns(name, caches)),
            *detections_of_slices("EndpointSlices"),
        ),
        intervals=tuple(of_interval(interval) for interval in INTERVALS),
        nodes=tuple(of_nodes(pods) for pods in PODS_A_NODE),
        busiest=tuple(busiest_second(name, caches) for name, caches in CACHES.items()),
        rooms=tuple(room(name) for name in SERVICES),
        lookups=tuple(one_lookup(pods) for pods in PODS),
    )


def _short(number: float) -> float:
    """Four digits: more would not mean anything."""
    return float(f"{number:.4g}")


# --- where they are kept


def save(figures: Figures, file: Path = FILE) -> None:
    file.write_text(json.dumps(asdict(figures), indent=1) + "\n", encoding="utf-8")


def load(file: Path = FILE) -> Figures:
    """The figures as they were saved."""
    return from_json(json.loads(file.read_text(encoding="utf-8")))


def from_json(saved: Any) -> Figures:
    return Figures(
        loads=tuple(Load(**one) for one in saved["loads"]),
        detections=tuple(Detection(**one) for one in saved["detections"]),
        intervals=tuple(
            OfInterval(
                one["interval"],
                Load(**one["load"]),
                tuple(Detection(**each) for each in one["detections"]),
            )
            for one in saved["intervals"]
        ),
        nodes=tuple(OfNodes(one["pods_a_node"], Load(**one["load"])) for one in saved["nodes"]),
        busiest=tuple(Busiest(**one) for one in saved["busiest"]),
        rooms=tuple(Room(**one) for one in saved["rooms"]),
        lookups=tuple(OneLookup(**one) for one in saved["lookups"]),
    )


def nodes_for(pods: int) -> int:
    """On how many nodes so many pods run."""
    return math.ceil(pods / Caches().pods_a_node)
