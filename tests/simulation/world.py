"""A simulated cluster and its DNS. Pure: randomness comes from a seed.

Truth is the list of pods that the Kubernetes API holds, over time. Each replica of the DNS learns
of it some time later; it may cache its answers for a TTL, fail, answer NXDOMAIN while it restarts,
lose the API for minutes, or serve expired answers; servers that do not serve the zone reply in its
place; lookups are lost, and answers are truncated.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from random import Random
from typing import Any, Literal

from peerdisco.exceptions import ResolverUnavailable, ResolveTimeout
from peerdisco.model import Answered, Attempt, Empty, Failed, Observation, Outcome, Peer, Ports

SERVICE = "my-database.default.svc.cluster.local"
TIMEOUT = 5.0

TIMED_OUT = Failed(ResolveTimeout(SERVICE, (), TIMEOUT))
REFUSED = Failed(ResolverUnavailable(SERVICE, ()))
ASKED = Attempt("10.96.0.10:53", "udp", f"{SERVICE}.", "SRV", Outcome.ANSWER, 0.002)

Addresses = tuple[IPv4Address, ...]
Event = tuple[float, str, Addresses]
"""At this time the pod of this name has these addresses; none: it is gone."""


def pod(name: str, addresses: Addresses) -> Peer:
    """One pod of the simulated StatefulSet."""
    return Peer(
        name,
        int(name.rpartition("-")[2]),
        "mysql",
        f"{name}.{SERVICE}",
        addresses,
        Ports({"": 3306}),
    )


@dataclass(frozen=True)
class Segment:
    """For so long, one pod was this."""

    start: float
    end: float
    addresses: Addresses


class Truth:
    """Which pods there were, over time.

    Args:
        events: In any order; those before 0 are how it begins.
        end: When the run ends.
    """

    def __init__(self, events: Sequence[Event], end: float) -> None:
        self.end = end
        self.times: list[float] = [float("-inf")]
        self.states: list[tuple[Peer, ...]] = [()]
        self.segments: dict[str, list[Segment]] = {}
        present: dict[str, Peer] = {}
        for time, name, addresses in sorted(events, key=lambda event: event[0]):
            before = present.get(name)
            if time >= end or addresses == (before.addresses if before else ()):
                continue
            if addresses:
                present[name] = pod(name, addresses)
            else:
                del present[name]
            segments = self.segments.setdefault(name, [Segment(float("-inf"), end, ())])
            last = segments.pop()
            if last.start < time:
                segments.append(Segment(last.start, time, last.addresses))
            segments.append(Segment(time, end, addresses))
            self.times.append(time)
            self.states.append(tuple(present.values()))

    def at(self, time: float) -> tuple[Peer, ...]:
        """The pods at this time."""
        return self.states[bisect_right(self.times, time) - 1]

    def segment(self, name: str, time: float) -> Segment:
        """What a pod was at this time."""
        for segment in self.segments.get(name, ()):
            if segment.start <= time < segment.end or time >= segment.end == self.end:
                return segment
        return Segment(float("-inf"), self.end, ())

    def ever_empty(self, start: float, end: float) -> bool:
        """Whether there was a moment in this time without any pod."""
        first = max(0, bisect_right(self.times, start) - 1)
        last = bisect_right(self.times, end)
        return any(not state for state in self.states[first:last])


@dataclass(frozen=True)
class Trouble:
    """For so long a replica, or each of them, does not do what it should.

    Attributes:
        kind: `timeout` and `servfail` are failures, and so is what a `foreign` server, which does
            not serve the zone, or a `lame` one, which refers to others, replies in the place of
            the replica; `restart` is a replica that answers NXDOMAIN because it has not learned of
            anything yet, and whose cache begins empty; `upstream` is a cache that cannot refresh
            what has expired; `disconnected` is a replica that lost the API and goes on answering.
        replica: Which; None for each of them.
    """

    start: float
    end: float
    kind: Literal["timeout", "servfail", "foreign", "lame", "restart", "upstream", "disconnected"]
    replica: int | None = None


@dataclass(frozen=True)
class Setup:
    """Everything that a run depends on.

    Attributes:
        seed: Seed of the remaining randomness: the replica, the lost lookups, the jitter.
        seconds: How long the run is.
        events: What happens to the pods.
        lags: For each replica of the DNS, how long after the API it learns of a change.
        ttl: The TTL of its answers, negative ones too.
        cached: Whether each replica keeps its answers for the TTL and counts it down.
        serve_stale: What a cache does with an answer that has expired: `never` serves it,
            `verify` does where it cannot refresh it, `immediate` does and refreshes it then. The
            TTL is 0 in both.
        old: Whether caches that serve stale hold answers from before the run, with a pod that is
            gone.
        pick: How the replica for a lookup is chosen: `sticky` stays with one until a lookup fails,
            and is moved to another one now and then, as connection tracking does.
        loss: The fraction of lookups that fail.
        truncated: The fraction of answers that are truncated.
        others: How often, a second, somebody else asks each replica, and so renews its cache.
        troubles: The failures of replicas.
        interval: The client's.
    """

    seed: int
    seconds: float
    events: tuple[Event, ...]
    lags: tuple[float, ...] = (0.0,)
    ttl: int = 30
    cached: bool = False
    serve_stale: Literal["never", "verify", "immediate"] = "never"
    old: bool = False
    pick: Literal["turn", "random", "sticky"] = "random"
    loss: float = 0.0
    truncated: float = 0.0
    others: float = 0.0
    troubles: tuple[Trouble, ...] = ()
    interval: float = 2.0


_BEHIND = frozenset({"upstream", "disconnected"})
_FAILURES = frozenset({"timeout", "servfail", "foreign", "lame"})

ZEROS = 5
"""So many answers in a row with TTL 0, from the beginning, are needed until they count."""

GONE = pod("mysql-99", (IPv4Address("10.255.0.99"),))
"""A pod that was there before the run, in caches that hold answers from then."""


@dataclass(slots=True)
class _Entry:
    """What a replica answers, and keeps if it has a cache."""

    peers: tuple[Peer, ...]
    filled: float
    until: float
    wrong: bool


@dataclass(slots=True)
class _Replica:
    lag: float
    troubles: tuple[Trouble, ...]
    chance: Random
    entry: _Entry | None = None

    def trouble(self, time: float) -> Trouble | None:
        """What goes wrong with its answers."""
        for trouble in self.troubles:
            if trouble.start <= time < trouble.end and trouble.kind not in _BEHIND:
                return trouble
        return None

    def behind(self, time: float, kind: str) -> Trouble | None:
        """What goes wrong behind it."""
        for trouble in self.troubles:
            if trouble.start <= time < trouble.end and trouble.kind == kind:
                return trouble
        return None


@dataclass(frozen=True, slots=True)
class Lookup:
    """The result of one lookup.

    Attributes:
        observation: What the client sees.
        seconds: How long it took.
        wrong: Whether it is no evidence: it failed, was truncated, was served stale, may have
            been, or came from a replica that had just restarted.
    """

    observation: Observation
    seconds: float
    wrong: bool


class DNS:
    """The DNS as one client meets it."""

    def __init__(self, setup: Setup, truth: Truth, seed: str = "") -> None:
        self._setup = setup
        self._truth = truth
        self._chance = Random(f"{setup.seed} {seed}")
        self._replicas = [
            _Replica(
                lag,
                tuple(trouble for trouble in setup.troubles if trouble.replica in {None, number}),
                Random(f"{setup.seed} {number}"),
            )
            for number, lag in enumerate(setup.lags)
        ]
        self._turn = self._chance.randrange(len(setup.lags))
        self._zeros = 0
        if setup.cached and setup.others:
            for replica in self._replicas:
                self._fill(replica, -replica.chance.random() * setup.ttl)
        if setup.old:
            for replica in self._replicas:
                held = (*truth.at(-3000.0), GONE)
                replica.entry = _Entry(held, -3000.0, -2000.0, wrong=True)

    def lookup(self, now: float) -> Lookup:
        """Ask for every pod of the service."""
        lookup = self._lookup(now)
        if self._setup.ttl > 0 or self._zeros >= ZEROS:
            return lookup
        # A TTL of 0 is taken for the zone's own when it has come so often in a row.
        came = getattr(lookup.observation, "peers", ()) or isinstance(lookup.observation, Empty)
        self._zeros = self._zeros + 1 if came else 0
        return lookup if self._zeros >= ZEROS else replace(lookup, wrong=True)

    def _lookup(self, now: float) -> Lookup:
        chance = self._chance
        number = self._next_replica()
        replica = self._replicas[number]
        trouble = replica.trouble(now)
        kind = trouble.kind if trouble is not None else ""
        if kind in _FAILURES or chance.random() < self._setup.loss:
            self._turn = number + 1 if self._setup.pick == "sticky" else self._turn
            if kind in {"servfail", "foreign", "lame"} or (not kind and chance.random() < 0.5):
                return Lookup(REFUSED, 0.002, wrong=True)
            return Lookup(TIMED_OUT, TIMEOUT, wrong=True)
        # A datagram that is lost is asked for again.
        seconds = 0.002 if chance.random() < 0.95 else chance.uniform(0.5, 2.0)
        entry = self._ask(replica, now)
        if entry is None:
            return Lookup(REFUSED, 0.002, wrong=True)
        ttl = self._setup.ttl
        stale = self._setup.cached and entry.until <= now
        if self._setup.cached:
            ttl = 0 if stale else ttl - int(now - entry.filled)
        if not entry.peers:
            soa = (ttl, self._setup.ttl)
            return Lookup(Empty(Outcome.NXDOMAIN, ttl, ASKED, *soa), seconds, entry.wrong or stale)
        if stale:
            return Lookup(Answered(entry.peers, 0, None, ASKED), seconds, wrong=True)
        if self._setup.truncated and chance.random() < self._setup.truncated:
            return Lookup(self._truncated(entry.peers, ttl), seconds, wrong=True)
        return Lookup(Answered(entry.peers, ttl, None, ASKED), seconds, wrong=False)

    def _next_replica(self) -> int:
        setup = self._setup
        if setup.pick == "turn":
            self._turn += 1
        elif setup.pick == "random" or self._chance.random() < 0.03:
            self._turn = self._chance.randrange(len(setup.lags))
        return self._turn % len(setup.lags)

    def _ask(self, replica: _Replica, now: float) -> _Entry | None:
        """What it answers; None if it cannot."""
        setup = self._setup
        if not setup.cached:
            return self._fill(replica, now)
        entry = replica.entry
        while entry is None or entry.until <= now:
            filled = now
            if entry is not None and setup.others and entry.filled >= -setup.ttl:
                asked = entry.until + replica.chance.expovariate(setup.others)
                trouble = replica.trouble(asked)
                dead = replica.behind(asked, "upstream") is not None
                if asked < now and not dead and (trouble is None or trouble.kind == "restart"):
                    filled = asked
            if filled == now and replica.behind(now, "upstream") is not None:
                return entry if setup.serve_stale != "never" else None
            if filled == now and entry is not None and setup.serve_stale == "immediate":
                self._fill(replica, now)
                return entry
            entry = self._fill(replica, filled)
        return entry

    def _fill(self, replica: _Replica, now: float) -> _Entry:
        trouble = replica.trouble(now)
        wrong = trouble is not None and trouble.kind == "restart"
        restarts = [t.start for t in replica.troubles if t.kind == "restart" and t.start > now]
        until = min([now + self._setup.ttl, *restarts])
        lost = replica.behind(now, "disconnected")
        known = now - replica.lag if lost is None else min(now, lost.start) - replica.lag
        peers = () if wrong else self._truth.at(known)
        replica.entry = _Entry(peers, now, until, wrong)
        return replica.entry

    def _truncated(self, peers: tuple[Peer, ...], ttl: int) -> Answered:
        chance = self._chance
        some = [peer for peer in peers if chance.random() < 0.6]
        bare = [pod(peer.name, ()) if chance.random() < 0.3 else peer for peer in some]
        return Answered(tuple(bare), ttl, "the answer was truncated", ASKED)


# --- chance


@dataclass
class Plan:
    """Draws what happens to the pods."""

    chance: Random
    end: float
    events: list[Event] = field(default_factory=list)
    addresses: dict[str, list[IPv4Address]] = field(default_factory=dict)
    replicas: int = 0
    next_address: int = 0

    def make(self) -> tuple[Event, ...]:
        chance = self.chance
        self.scale(chance.choice((0, 1, 2, 3, 3, 3, 5, 8)), -1000.0)
        pace = chance.choice((5.0, 20.0, 40.0, 80.0))
        now = chance.uniform(0.0, 30.0)
        while now < self.end:
            kind = chance.choices(
                ("scale", "restart", "crash", "rolling", "zero"), (30, 25, 20, 15, 10)
            )[0]
            if kind == "scale":
                self.scale(max(0, self.replicas + chance.choice((-2, -1, -1, 1, 1, 2, 3))), now)
            elif kind == "zero":
                self.scale(0, now)
                now += chance.uniform(1.0, 90.0)
                self.scale(chance.randint(1, 5), now)
            elif self.replicas and kind == "rolling":
                for number in reversed(range(self.replicas)):
                    now = self.restart(number, now, chance.uniform(1.0, 10.0))
                    now += chance.uniform(0.0, 5.0)
            elif self.replicas:
                number = chance.randrange(self.replicas)
                self.restart(number, now, chance.uniform(0.5, 90.0 if kind == "crash" else 20.0))
            now += chance.expovariate(1 / pace)
        return tuple(self.events)

    def scale(self, replicas: int, now: float) -> None:
        for number in range(self.replicas, replicas):
            self.events.append((now, f"mysql-{number}", (self.new(number),)))
            if now > 0:
                now += self.chance.choice((0.0, 0.2, 3.0))
        for number in reversed(range(replicas, self.replicas)):
            self.events.append((now, f"mysql-{number}", ()))
            if now > 0:
                now += self.chance.choice((0.0, 0.2, 3.0))
        self.replicas = replicas

    def restart(self, number: int, now: float, away: float) -> float:
        """The pod is absent for this time; returns when it is back."""
        chance = self.chance
        name = f"mysql-{number}"
        had = self.addresses[name]
        draw = chance.random()
        if draw < 0.1:
            address = had[-1]  # the container restarted, not the pod
        elif draw < 0.15:
            address = chance.choice(had)
        else:
            address = self.new(number)
        if draw > 0.95:  # for a moment the old slice and the new one both list it
            self.events.append((now, name, (had[-2] if len(had) > 1 else address, address)))
            self.events.append((now + chance.uniform(0.2, 10.0), name, (address,)))
            return now
        self.events.append((now, name, ()))
        self.events.append((now + away, name, (address,)))
        return now + away

    def new(self, number: int) -> IPv4Address:
        self.next_address += 1
        address = IPv4Address(0x0AF40000 + self.next_address)
        self.addresses.setdefault(f"mysql-{number}", []).append(address)
        return address


def draw_troubles(chance: Random, end: float, replicas: int) -> tuple[Trouble, ...]:
    """Outages of the whole DNS or of one replica, and restarts of single replicas."""
    troubles: list[Trouble] = []
    for _ in range(chance.choice((0, 0, 1, 1, 2, 3))):
        start = chance.uniform(0.0, end)
        seconds = chance.choice((1.0, 5.0, 20.0, 60.0)) * chance.uniform(0.5, 1.5)
        kind: Literal["timeout", "servfail"] = chance.choice(("timeout", "servfail"))
        which = chance.choice((None, chance.randrange(replicas)))
        troubles.append(Trouble(start, start + seconds, kind, which))
    if chance.random() < 0.5:  # the DNS itself is rolled out, or one of its pods dies
        start = chance.uniform(0.0, end)
        for replica in range(chance.choice((1, replicas))):
            troubles.append(Trouble(start, start + chance.uniform(0.1, 2.0), "restart", replica))
            start += chance.uniform(3.0, 30.0)
    return tuple(troubles)


def draw(seed: int) -> Setup:
    """The run of this seed."""
    chance = Random(seed)
    seconds = chance.choice((120.0, 180.0, 240.0))
    replicas = chance.randint(1, 4)
    most_lag = chance.choice((0.0, 0.3, 2.0))
    cached = chance.random() < 0.6
    setup = Setup(
        seed=seed,
        seconds=seconds,
        events=Plan(chance, seconds).make(),
        lags=tuple(chance.uniform(0.0, most_lag) for _ in range(replicas)),
        ttl=chance.choice((5, 10, 15, 30, chance.randint(5, 30)))
        if cached
        else chance.choice((0, 5, 30)),
        cached=cached,
        pick=chance.choice(("turn", "random", "sticky")),
        loss=chance.choice((0.0, 0.0, 0.05, 0.3)),
        truncated=chance.choice((0.0, 0.0, 0.0, 0.1)),
        others=chance.choice((0.0, 0.05, 1.0, 20.0)),
        troubles=draw_troubles(chance, seconds, replicas),
        interval=chance.choice((2.0, 2.0, 2.0, 1.0, 5.0)),
    )
    return with_old_answers(setup)


def with_old_answers(setup: Setup) -> Setup:
    """The same, with servers that do not serve the zone, caches that serve stale answers, and
    replicas that lose the API, in some of the runs."""
    chance = Random(f"{setup.seed} old answers")
    replicas = len(setup.lags)
    troubles = list(setup.troubles)

    def trouble(kind: Any, most: float) -> None:
        start = chance.uniform(5.0, setup.seconds)
        which = chance.choice((None, chance.randrange(replicas)))
        troubles.append(Trouble(start, start + chance.uniform(1.0, most), kind, which))

    for kind in ("foreign", "lame"):
        if chance.random() < 0.15:
            trouble(kind, 60.0)
    serve_stale: Any = "never"
    if setup.cached and chance.random() < 0.6:
        serve_stale = chance.choice(("verify", "immediate"))
    if setup.cached and chance.random() < 0.4:
        for _ in range(chance.randint(1, 2)):
            trouble("upstream", 120.0)
    if chance.random() < 0.15:
        start = chance.uniform(5.0, setup.seconds)
        end = start + chance.uniform(5.0, 240.0)
        troubles.append(Trouble(start, end, "disconnected", chance.randrange(replicas)))
    old = serve_stale == "immediate" and chance.random() < 0.3
    return replace(setup, troubles=tuple(troubles), serve_stale=serve_stale, old=old)
