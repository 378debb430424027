"""Reads scenarios, and simulates the lookups in them. Pure; see README.md."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, Literal

from peerdisco.membership.rules import ConfirmationRules
from peerdisco.membership.schedule import Schedule
from peerdisco.model import Answered, Observation, Outcome, Peer, Ports
from peerdisco.testing import failure, no_data, nxdomain

__all__ = [
    "FAILURES",
    "SCENARIOS",
    "SERVICE",
    "Expected",
    "Pod",
    "Scenario",
    "Situation",
    "World",
    "pods",
]

SERVICE = "my-database.default.svc.cluster.local"
FAILURES = {
    "timeout": Outcome.TIMEOUT,
    "servfail": Outcome.SERVFAIL,
    "refused": Outcome.REFUSED,
    "malformed": Outcome.MALFORMED,
    "unreachable": Outcome.UNREACHABLE,
    "error": Outcome.ERROR,
}

_FIRST_ADDRESS = IPv4Address("10.244.0.3")
_DEFAULT_PORT = 3306
_SMALLEST_CACHE_TTL = 5
_LONGEST_NEGATIVE_TTL = 300

Kind = Literal["join", "leave", "replace", "degraded", "recovered"]
_KINDS: tuple[Kind, ...] = ("join", "leave", "replace", "degraded", "recovered")


# Pods, as text.


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod as DNS may list it."""

    name: str
    addresses: tuple[IPv4Address | IPv6Address, ...]
    port: int | None = _DEFAULT_PORT

    def peer(self, *, ports: bool = True) -> Peer:
        statefulset, _, number = self.name.rpartition("-")
        numbers = {"": self.port} if ports and self.port is not None else {}
        return Peer(
            self.name,
            int(number),
            statefulset,
            f"{self.name}.{SERVICE}",
            self.addresses,
            Ports(numbers),
        )


_PODS = re.compile(
    r"(?P<set>[a-z][a-z0-9-]*?)-(?P<first>\d+)(\.\.(?P<last>\d+))?"
    r"(=(?P<addresses>[^@]+))?(@(?P<port>\d+))?"
)


def pods(text: str) -> tuple[Pod, ...]:
    """``mysql-0..4``, ``mysql-1=10.0.0.9``, ``mysql-1=10.0.0.9+fd00::9@3307``, with spaces."""
    return tuple(pod for word in text.split() for pod in _pods(word))


def _pods(word: str) -> Iterable[Pod]:
    match = _PODS.fullmatch(word)
    assert match, f"no pods: {word!r}"
    first = int(match["first"])
    port = int(match["port"] or _DEFAULT_PORT)
    for number in range(first, int(match["last"] or first) + 1):
        if match["addresses"]:
            bases = [ip_address(base) for base in match["addresses"].split("+")]
            addresses = tuple(base + (number - first) for base in bases)
        else:
            addresses = (_FIRST_ADDRESS + number,)
        yield Pod(f"{match['set']}-{number}", addresses, port)


# Scenarios.


@dataclass(frozen=True, slots=True)
class Expected:
    """One change that must be reported."""

    kind: Kind
    pod: Pod | None
    """None for a change of health."""
    exact: bool
    """Whether the addresses are compared."""
    after: float
    """The time of the change itself."""
    not_before: float
    not_after: float

    def __str__(self) -> str:
        who = self.pod.name if self.pod else ""
        what = f"={'+'.join(map(str, self.pod.addresses))}" if self.pod and self.exact else ""
        return f"{self.kind} {who}{what} from {self.not_before:g} to {self.not_after:g}".strip()


@dataclass(frozen=True, slots=True)
class Phase:
    """Something that happens, to one replica or to all."""

    at: float
    action: str
    value: Any
    replica: str | None = None
    seconds: float = float("inf")
    every: int = 1
    takes: float = 0.0

    @property
    def end(self) -> float:
        return self.at + self.seconds


_TRUTH = ("see", "go", "come", "ttl", "cache")
_FAULTS = ("fail", "nxdomain", "nodata", "hide", "partial", "truncate")
_MODIFIERS = {"at", "ttl", "replica", "for", "every", "takes"}
_TOP = {
    "name",
    "description",
    "rules",
    "min_interval",
    "ports",
    "self",
    "ttl",
    "cache",
    "replicas",
    "balance",
    "phases",
    "until",
    "expect",
    "health",
    "wire",
}


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario, as read from its file."""

    name: str
    description: str
    rules: ConfirmationRules
    schedule: Schedule
    ports: bool
    own: str | None
    replicas: Mapping[str, Mapping[str, Any]]
    balance: str
    ttl: int
    phases: tuple[Phase, ...]
    until: float
    expected: tuple[Expected, ...]
    any_health: bool
    wire: bool

    @property
    def cached(self) -> int:
        """The TTL of the longest cache; 0 without one."""
        return max(
            [int(facts.get("cache") or 0) for facts in self.replicas.values()]
            + [int(phase.value) for phase in self.phases if phase.action == "cache"]
        )

    @property
    def outcomes(self) -> set[Outcome]:
        """The kinds of failed lookups in it."""
        return {FAILURES[phase.value] for phase in self.phases if phase.action == "fail"}

    def promised(self, kind: Kind) -> float:
        """Seconds within which a change is reported; see README.md."""
        interval = self.rules.interval
        poll = interval * (1 + self.schedule.jitter)
        cached = self.cached
        if kind == "leave":
            return 4 * interval + 2 * cached
        if kind == "recovered":
            return self.schedule.max_backoff * (1 + self.schedule.jitter)
        return poll + (cached + 1 if cached else 0)

    @classmethod
    def read(cls, path: Path) -> Scenario:
        return cls.of(json.loads(path.read_text(encoding="utf-8")))

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Scenario:
        """A scenario from the content of its file."""
        unknown = set(data) - _TOP
        assert not unknown, f"{data['name']}: unknown keys {unknown}"
        rules = ConfirmationRules(**data.get("rules", {}))
        replicas = data.get("replicas", {"a": {}})
        if "cache" in data:
            replicas = {name: {"cache": data["cache"], **facts} for name, facts in replicas.items()}
        phases = tuple(phase for item in data["phases"] for phase in _phases(item, set(replicas)))
        assert list(phases) == sorted(phases, key=lambda phase: phase.at), "phases out of order"
        scenario = cls(
            name=data["name"],
            description=data["description"],
            rules=rules,
            schedule=Schedule(
                rules.interval,
                min(data.get("min_interval", Schedule().min_interval), rules.interval),
            ),
            ports=data.get("ports", True),
            own=data.get("self"),
            replicas=replicas,
            balance=data.get("balance", "turn"),
            ttl=data.get("ttl", 5),
            phases=phases,
            until=data["until"],
            expected=(),
            any_health=data.get("health") == "any",
            wire=data.get("wire", False),
        )
        expected = tuple(one for item in data["expect"] for one in _expected(item, scenario))
        object.__setattr__(scenario, "expected", expected)
        return scenario


def _phases(item: Mapping[str, Any], replicas: set[str]) -> Iterable[Phase]:
    facts = dict(item)
    actions = [key for key in (*_TRUTH, *_FAULTS) if key in facts]
    unknown = set(facts) - set(actions) - _MODIFIERS
    assert not unknown, f"unknown keys {unknown} in {item}"
    assert actions, f"nothing happens in {item}"
    assert facts.get("replica") in {None, *replicas}, item
    assert "fail" not in facts or facts["fail"] in FAILURES, item
    for action in actions:
        yield Phase(
            at=facts["at"],
            action=action,
            value=pods(facts[action])
            if action in ("see", "go", "come", "hide", "partial")
            else facts[action],
            replica=facts.get("replica"),
            seconds=facts.get("for", float("inf")),
            every=facts.get("every", 1),
            takes=facts.get("takes", 0.0),
        )


def _expected(item: Mapping[str, Any], scenario: Scenario) -> Iterable[Expected]:
    kinds = [kind for kind in _KINDS if kind in item]
    assert len(kinds) == 1, f"one change each, not {item}"
    assert not set(item) - {*kinds, "after", "from", "by"}, item
    kind = kinds[0]
    if kind in ("degraded", "recovered"):
        times: list[tuple[Pod | None, bool, float]] = [(None, False, item[kind])]
    else:
        times = [
            (pod, "=" in word or "@" in word, item["after"])
            for word in item[kind].split()
            for pod in pods(word)
        ]
    for pod, exact, after in times:
        by = item.get("by", after + scenario.promised(kind))
        yield Expected(kind, pod, exact, after, item.get("from", after), by)


# Lookups.


@dataclass(frozen=True, slots=True)
class Situation:
    """One replica at the time of a lookup: the pods that it knows, and its fault."""

    replica: str
    now: float
    known: tuple[Pod, ...]
    ttl: int
    cache: int
    fault: Phase | None = None
    hidden: frozenset[str] = frozenset()

    @property
    def takes(self) -> float:
        return self.fault.takes if self.fault else 0.0

    @property
    def fails(self) -> bool:
        return self.fault is not None and self.fault.action == "fail"


@dataclass
class _Cache:
    since: float = float("-inf")
    held: float = 0.0
    known: tuple[Pod, ...] = ()


@dataclass
class World:
    """A running scenario; its time goes forward from lookup to lookup."""

    scenario: Scenario
    lookups: int = 0
    _chance: random.Random = field(default_factory=lambda: random.Random(1))
    _hits: dict[Phase, int] = field(default_factory=dict)
    _caches: dict[str, _Cache] = field(default_factory=dict)

    def situations(self, now: float) -> list[Situation]:
        """The replicas that this lookup queries, in order; the last one sends the answer."""
        names = list(self.scenario.replicas)
        balance = self.scenario.balance
        self.lookups += 1
        if balance == "failover":
            found = []
            for name in names:
                found.append(self._situation(name, now))
                if not found[-1].fails:
                    break
            return found
        if balance == "turn":
            name = names[(self.lookups - 1) % len(names)]
        elif balance == "random":
            name = self._chance.choice(names)
        else:
            name = balance[(self.lookups - 1) % len(balance)]
        return [self._situation(name, now)]

    def lookup(self, now: float) -> tuple[Observation, float]:
        """The result of a lookup, and its duration in seconds."""
        situations = self.situations(now)
        return self._observation(situations[-1]), situations[-1].takes

    def truth(self, replica: str, now: float) -> dict[str, Pod]:
        """The pods that a replica knows of."""
        known: dict[str, Pod] = {}
        for phase in self.scenario.phases:
            if phase.at > now or phase.replica not in (None, replica):
                continue
            if phase.action == "see":
                known = {}
            if phase.action in ("see", "come"):
                known.update({pod.name: pod for pod in phase.value})
            elif phase.action == "go":
                for pod in phase.value:
                    assert pod.name in known, f"{pod.name} goes at {phase.at} and is not there"
                    del known[pod.name]
        return known

    def _number(self, action: str, replica: str, now: float, otherwise: int) -> int:
        for phase in self.scenario.phases:
            if phase.action == action and phase.at <= now and phase.replica in (None, replica):
                otherwise = phase.value
        return otherwise

    def _situation(self, replica: str, now: float) -> Situation:
        fault = None
        hidden: set[str] = set()
        for phase in self.scenario.phases:
            if (
                phase.action not in _FAULTS
                or phase.replica not in (None, replica)
                or not phase.at <= now < phase.end
            ):
                continue
            self._hits[phase] = hits = self._hits.get(phase, 0) + 1
            if hits % phase.every:
                continue
            if phase.action in ("hide", "partial"):
                hidden |= {pod.name for pod in phase.value}
            if phase.action != "hide" and (fault is None or phase.action == "fail"):
                fault = phase
        facts = self.scenario.replicas[replica]
        return Situation(
            replica,
            now,
            tuple(self.truth(replica, now).values()),
            self._number("ttl", replica, now, self.scenario.ttl),
            self._number("cache", replica, now, int(facts.get("cache") or 0)),
            fault,
            frozenset(hidden),
        )

    def _observation(self, now: Situation) -> Observation:
        fault = now.fault
        if fault is not None and fault.action == "fail":
            return failure(FAILURES[fault.value], seconds=fault.takes)
        if fault is not None and fault.action == "nxdomain":
            return nxdomain(fault.value)
        if fault is not None and fault.action == "nodata":
            return no_data(fault.value)
        known, ttl = self._answer(now)
        if fault is not None and fault.action == "truncate" and fault.value == "both":
            half = known[: len(known) // 2]
            return Answered(self._peers(half), ttl, "the answer was truncated")
        listed = tuple(pod for pod in known if pod.name not in now.hidden)
        if fault is not None and fault.action == "partial":
            return Answered(self._peers(listed), ttl, "the answer was truncated")
        if not listed:
            return nxdomain(min(ttl, _LONGEST_NEGATIVE_TTL))
        return Answered(self._peers(listed), ttl)

    def _peers(self, listed: Iterable[Pod]) -> tuple[Peer, ...]:
        return tuple(pod.peer(ports=self.scenario.ports) for pod in listed)

    def _answer(self, now: Situation) -> tuple[tuple[Pod, ...], float]:
        """Through the replica's cache, if it has one."""
        if not now.cache:
            return now.known, float(now.ttl)
        held = max(_SMALLEST_CACHE_TTL, min(now.cache, now.ttl))
        busy = self.scenario.replicas[now.replica].get("busy")
        if busy is not None:
            # Other clients query all the time, so it is refreshed as soon as it expires.
            age = (now.now + busy) % held
            known = tuple(self.truth(now.replica, now.now - age).values())
            if now.now - age < 0:
                known = tuple(self.truth(now.replica, 0).values())
            return known, float(held - int(age))
        cache = self._caches.setdefault(now.replica, _Cache())
        if now.now - cache.since >= cache.held:
            cache.since, cache.held, cache.known = now.now, held, now.known
        return cache.known, float(cache.held - int(now.now - cache.since))


SCENARIOS = [Scenario.read(path) for path in sorted(Path(__file__).parent.glob("*.json"))]
