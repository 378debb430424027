"""The clients: peerdisco, and the two loops that people write instead."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from peerdisco.membership.machine import Membership
from peerdisco.membership.rules import ConfirmationRules
from peerdisco.membership.schedule import Schedule
from peerdisco.model import Answered, Empty, Failed, Peer

from .world import DNS, Addresses, Lookup, Setup, Truth


@dataclass(frozen=True, slots=True)
class Report:
    """A reported change of one pod: its new addresses, or none if it left."""

    time: float
    name: str
    action: str
    addresses: Addresses


@dataclass
class Run:
    """A client's run.

    Attributes:
        reports: The reported changes, in order.
        lookups: The start and the end of each lookup, and whether its result is no evidence.
        sure_at: When the client knew whether there are caches, and for how long they hold; None if
            it never did.
        trouble: Reports that contradict earlier ones, such as a second join.
        refuted: For each pod, when a complete answer listed it again after one without it, while
            it was a member as reported.
        returns: For each pod, when it returned to a former state: when an answer with a formerly
            reported address was followed by one with the address that was reported last, and when
            such an address, or a pod that had left with it, was reported again.
        fresh_at: When the first answer with a TTL above 0 came; endless if none did.
        undone: The returns that were reported, with the addresses.
    """

    setup: Setup
    truth: Truth
    reports: list[Report] = field(default_factory=list)
    lookups: list[tuple[float, float, bool]] = field(default_factory=list)
    sure_at: float | None = None
    trouble: list[str] = field(default_factory=list)
    refuted: dict[str, list[float]] = field(default_factory=dict)
    returns: dict[str, list[float]] = field(default_factory=dict)
    fresh_at: float = math.inf
    undone: dict[str, list[tuple[float, Addresses]]] = field(default_factory=dict)


Client = Callable[[Setup, Truth], Run]


def peerdisco(
    setup: Setup,
    truth: Truth,
    rules: ConfirmationRules | None = None,
    on_lookup: Callable[[float, Lookup], None] = lambda _time, _lookup: None,
) -> Run:
    """The membership machine, driven by the schedule, as `peerdisco.Discovery` drives it."""
    run = Run(setup, truth)
    dns = DNS(setup, truth, "peerdisco")
    chance = Random(f"{setup.seed} jitter")
    rules = rules or ConfirmationRules(interval=setup.interval)
    membership = Membership(rules)
    schedule = Schedule(setup.interval, min(0.5, setup.interval))
    known: dict[str, Peer] = {}
    absent: set[str] = set()
    past = _Past(run)
    asked = chance.random() * setup.interval
    while asked < setup.seconds:
        lookup = dns.lookup(asked)
        now = asked + lookup.seconds
        on_lookup(now, lookup)
        if not isinstance(lookup.observation, Failed):
            listed: tuple[Peer, ...] = getattr(lookup.observation, "peers", ())
            for name in absent & {peer.name for peer in listed}:
                absent.discard(name)
                run.refuted.setdefault(name, []).append(now)
            past.see(now, listed, known)
            if getattr(lookup.observation, "incomplete_reason", None) is None:
                absent |= known.keys() - {peer.name for peer in listed}
        run.lookups.append((asked, now, lookup.wrong))
        if getattr(lookup.observation, "ttl", 0):
            run.fresh_at = min(run.fresh_at, now)
        for changes in (membership.observe(lookup.observation, now), membership.tick(now)):
            for peer in changes.joined:
                if peer.name in known:
                    run.trouble.append(f"{now:.1f}: {peer} joined twice")
                known[peer.name] = peer
                past.report(now, peer, joined=True)
                run.reports.append(Report(now, peer.name, "joined", peer.addresses))
            for old, new in changes.replaced:
                if known.get(old.name) != old:
                    run.trouble.append(f"{now:.1f}: {old} replaced, but was reported differently")
                known[new.name] = new
                past.report(now, new, joined=False)
                run.reports.append(Report(now, new.name, "replaced", new.addresses))
            for peer in changes.left:
                if known.pop(peer.name, None) is None:
                    run.trouble.append(f"{now:.1f}: {peer} left, but was not there")
                absent.discard(peer.name)
                run.reports.append(Report(now, peer.name, "left", ()))
        if dict.fromkeys(known) != {peer.name: None for peer in membership.peers}:
            run.trouble.append(f"{now:.1f}: the reports do not give the membership")
        if run.sure_at is None:
            caching = membership.caching
            if caching.refreshed or (not setup.cached and caching.none_seen):
                run.sure_at = now
        asked = now + schedule.wait(membership, now, chance.random())
    return run


class _Past:
    """Finds the moments at which a pod comes back to what it was before; see `Run.returns`."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._had: dict[str, list[Addresses]] = {}
        self._odd: set[str] = set()

    def see(self, now: float, listed: tuple[Peer, ...], known: dict[str, Peer]) -> None:
        """Compare the listed peers of an answer with the reported ones."""
        for peer in listed:
            reported = known.get(peer.name)
            if reported is None or not peer.addresses:
                continue
            if peer.addresses == reported.addresses:
                if peer.name in self._odd:
                    self._count(now, peer)
            elif peer.addresses in self._had.get(peer.name, ()):
                self._odd.add(peer.name)

    def report(self, now: float, peer: Peer, *, joined: bool) -> None:
        """A pod is reported as joined or replaced, with these addresses."""
        had = self._had.setdefault(peer.name, [])
        if peer.addresses in (had[-1:] if joined else had):
            self._count(now, peer)
            self._run.undone.setdefault(peer.name, []).append((now, peer.addresses))
        had.append(peer.addresses)

    def _count(self, now: float, peer: Peer) -> None:
        self._odd.discard(peer.name)
        self._run.returns.setdefault(peer.name, []).append(now)


def peer_finder(setup: Setup, truth: Truth) -> Run:
    """SRV every second, names compared; a failed lookup keeps the list, any answer counts."""
    return _every_second(setup, truth, "peer-finder", failed_is_empty=False, by_name=True)


def address_loop(setup: Setup, truth: Truth) -> Run:
    """A records every second, addresses compared; a failed lookup is an empty list.

    Its reports have the names of the pods with these addresses, for the comparison.
    """
    return _every_second(setup, truth, "addresses", failed_is_empty=True, by_name=False)


def _every_second(
    setup: Setup, truth: Truth, who: str, *, failed_is_empty: bool, by_name: bool
) -> Run:
    run = Run(setup, truth)
    dns = DNS(setup, truth, who)
    known: dict[str, Peer] = {}
    asked = 0.5
    while asked < setup.seconds:
        lookup = dns.lookup(asked)
        now = asked + lookup.seconds
        run.lookups.append((asked, now, lookup.wrong))
        seen: dict[str, Peer] | None = None
        match lookup.observation:
            case Answered(peers=peers):
                seen = {peer.name: peer for peer in peers if by_name or peer.addresses}
            case Empty():
                seen = {}
            case Failed() if failed_is_empty:
                seen = {}
        if seen is not None:
            _report_differences(run, now, known, seen, by_name=by_name)
        asked = now + 1.0
    return run


def _report_differences(
    run: Run, now: float, known: dict[str, Peer], seen: dict[str, Peer], *, by_name: bool
) -> None:
    for name in [name for name in known if name not in seen]:
        del known[name]
        run.reports.append(Report(now, name, "left", ()))
    for name, peer in seen.items():
        before = known.get(name)
        if before is None:
            run.reports.append(Report(now, name, "joined", peer.addresses))
        elif by_name or before.addresses == peer.addresses:
            continue
        else:
            run.reports.append(Report(now, name, "replaced", peer.addresses))
        known[name] = peer
