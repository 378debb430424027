# pyright: strict
"""What a user with a strict type checker writes: every public name, and what it is.

Checked by mypy and pyright in ``tests/unit/test_typing.py``; it never runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from typing import assert_never, assert_type

import peerdisco
from peerdisco import (
    AmbiguousPrimary,
    Attempt,
    Change,
    Condition,
    ConfigurationError,
    Decision,
    Discovery,
    DiscoveryError,
    HookEnded,
    Identity,
    IdentityConflict,
    IdentityError,
    IncompleteAnswer,
    LookupEnded,
    NotHeadless,
    NotReady,
    Observer,
    Outcome,
    Peer,
    PeerNotListed,
    Ports,
    PrimaryPolicy,
    PrimaryWatch,
    Probe,
    Reason,
    ReasonCode,
    ResolverUnavailable,
    ResolveTimeout,
    ServiceNotFound,
    Snapshot,
    SourceFailed,
    StaleAnswer,
    UnusableAnswer,
    Verdict,
    Watch,
    WatcherError,
    at_least,
    confirm_local_primary,
    discover,
    local_identity,
    lowest_ordinal,
    may_bootstrap,
    must_step_down,
    ordinal,
    parse_pod_name,
    probe_peers,
    quorum,
    sync,
)
from peerdisco.model import Answered, Empty, Failed, Observation
from peerdisco.primary.verdicts import Code
from peerdisco.sources import Source

Address = IPv4Address | IPv6Address


async def lookup() -> None:
    snapshot = await discover("my-database", timeout=5)
    assert_type(snapshot, Snapshot)
    assert_type(await peerdisco.discover(), Snapshot)
    assert_type(
        await discover(
            "my-database",
            namespace="shop",
            cluster_domain="cluster.local",
            statefulset="mysql",
            port_name="mysql",
            primary=ordinal(5),
            identity=local_identity(),
            nameservers=["10.96.0.10", "[fd00::a]:53"],
            resolver="aiodns",
            source="dns",
            timeout=0.5,
        ),
        Snapshot,
    )
    assert_type(await discover(source=Fixed(), primary=lowest_ordinal), Snapshot)
    assert_type(await discover(primary=last), Snapshot)


async def watching() -> None:
    async with Discovery("my-database", identity=local_identity()) as disco:
        assert_type(disco, Discovery)
        assert_type(await disco.wait(), Snapshot)
        assert_type(await disco.wait(3, stable_for=5.0, timeout=120), Snapshot)
        assert_type(await disco.wait(required=quorum(5), local=True), Snapshot)
        assert_type(await disco.wait(enough), Snapshot)
        assert_type(disco.watch(), Watch)
        async for change in disco.watch():
            assert_type(change, Change)
            changes(change)
        assert_type(disco.snapshot, Snapshot)
        assert_type(disco.local, Peer | None)
        assert_type(disco.service, str)
        disco.refresh()
        disco.leaving()
    await Discovery(source=Fixed(), interval=0.5, min_interval=0.1, leave_after=30).run()
    closed = Discovery("db.shop", nameservers=("10.96.0.10",), resolver="builtin")
    await closed.aclose()


def changes(change: Change) -> None:
    assert_type(change.joined, tuple[Peer, ...])
    assert_type(change.left, tuple[Peer, ...])
    assert_type(change.replaced, tuple[tuple[Peer, Peer], ...])
    for before, after in change.replaced:
        assert_type(before, Peer)
        assert_type(after, Peer)
    assert_type(change.snapshot, Snapshot)
    assert_type(change.degraded, bool)
    assert_type(change.recovered, bool)
    assert_type(change.incomplete, bool)
    assert_type(change.completed, bool)


def enough(snapshot: Snapshot) -> bool:
    return snapshot.complete and snapshot.primary is not None


def conditions(snapshot: Snapshot) -> None:
    chosen: list[Condition] = [at_least(3), quorum(5), enough, lambda seen: not seen.missing]
    for condition in chosen:
        assert_type(condition(snapshot), bool)
    assert_type(at_least(3).count, int)
    assert_type(quorum(5), at_least)


def watching_in_a_thread() -> None:
    with sync.Discovery("my-database", timeout=1) as disco:
        assert_type(disco, sync.Discovery)
        assert_type(disco.wait(3, stable_for=5.0, local=True, timeout=120), Snapshot)
        assert_type(disco.snapshot, Snapshot)
        assert_type(disco.local, Peer | None)
        for change in disco.watch():
            assert_type(change, Change)
        disco.refresh()
        disco.leaving()
        disco.close()


def blocking() -> None:
    assert_type(sync.discover("my-database", timeout=5), Snapshot)
    assert_type(peerdisco.sync.discover(), Snapshot)
    assert_type(sync.local_identity(), Identity)
    assert_type(sync.parse_pod_name("mysql-0"), tuple[str, int])


def reading(snapshot: Snapshot) -> None:
    for peer in snapshot:
        assert_type(peer, Peer)
    assert_type(iter(snapshot), Iterator[Peer])
    assert_type(len(snapshot), int)
    assert_type("mysql-0" in snapshot, bool)
    assert_type(snapshot.service, str)
    assert_type(snapshot.peers, tuple[Peer, ...])
    assert_type(snapshot.statefulset, str | None)
    assert_type(snapshot.first_ordinal, int)
    assert_type(snapshot.observed_at, datetime | None)
    assert_type(snapshot.age, float)
    assert_type(snapshot.known, bool)
    assert_type(snapshot.complete, bool)
    assert_type(snapshot.incomplete_reason, str | None)
    assert_type(snapshot.stale, bool)
    assert_type(snapshot.unconfirmed, tuple[Peer, ...])
    assert_type(snapshot.last_error, DiscoveryError | None)
    assert_type(snapshot.identity, Identity | None)
    assert_type(snapshot.policy, PrimaryPolicy | None)
    assert_type(snapshot.primary, Peer | None)
    assert_type(snapshot.local, Peer | None)
    assert_type(snapshot.others, tuple[Peer, ...])
    assert_type(snapshot.members, tuple[Peer, ...])
    assert_type(snapshot.replicas, tuple[Peer, ...])
    assert_type(snapshot.by_ordinal(0), Peer | None)
    assert_type(snapshot.missing, tuple[int, ...])
    assert_type(snapshot.require_complete(), Snapshot)


def peers(peer: Peer) -> None:
    assert_type(peer.name, str)
    assert_type(peer.ordinal, int | None)
    assert_type(peer.statefulset, str | None)
    assert_type(peer.hostname, str)
    assert_type(peer.addresses, tuple[Address, ...])
    assert_type(peer.address, Address | None)
    assert_type(peer.port, int | None)
    assert_type(peer.ready, bool | None)
    assert_type(peer.ports, Ports)
    assert_type(peer.ports[""], int)
    assert_type(peer.ports.get("mysql"), int | None)
    mapping: Mapping[str, int] = peer.ports
    assert_type(Ports(mapping), Ports)
    assert_type(Ports.of_numbers([3306], "mysql"), Ports)
    assert_type({peer: peer.ports}, dict[Peer, Ports])


def identity(me: Identity) -> None:
    assert_type(
        local_identity(
            pod_name="mysql-0", namespace="shop", service="db", cluster_domain="cluster.local"
        ),
        Identity,
    )
    assert_type(me.pod_name, str)
    assert_type(me.namespace, str)
    assert_type(me.ordinal, int | None)
    assert_type(me.statefulset, str | None)
    assert_type(me.service, str | None)
    assert_type(me.cluster_domain, str | None)
    assert_type(me.hostname, str | None)
    assert_type(me.addresses, tuple[Address, ...])
    statefulset, number = parse_pod_name("mysql-0")
    assert_type(statefulset, str)
    assert_type(number, int)


def last(snapshot: Snapshot) -> Peer | None:
    return snapshot.members[-1] if snapshot.members else None


def policies(snapshot: Snapshot) -> None:
    chosen: list[PrimaryPolicy] = [ordinal(0), lowest_ordinal, last]
    for policy in chosen:
        assert_type(policy(snapshot), Peer | None)
    assert_type(ordinal(5).number, int)


def errors(error: DiscoveryError) -> str:
    match error:
        case ConfigurationError(what=what, given=given, expected=expected):
            assert_type(what, str)
            assert_type(given, object)
            assert_type(expected, str)
        case IdentityConflict(missing=missing, checked=checked):
            print(missing, checked)
        case IdentityError(missing=missing, checked=checked, advice=advice):
            assert_type(missing, str)
            assert_type(checked, tuple[str, ...])
            assert_type(advice, str)
        case ServiceNotFound(service=service, attempt=attempt, snapshot=snapshot):
            assert_type(service, str)
            assert_type(attempt, Attempt | None)
            assert_type(snapshot, Snapshot)
            assert_type(error.port_name, str | None)
        case ResolveTimeout(timeout=timeout):
            assert_type(timeout, float)
        case StaleAnswer(seconds=seconds):
            assert_type(seconds, float)
        case NotHeadless(alias=alias, cluster_ip=cluster_ip):
            assert_type(alias, str | None)
            assert_type(cluster_ip, tuple[IPv4Address | IPv6Address, ...])
        case UnusableAnswer(records=records):
            assert_type(records, tuple[tuple[str, str], ...])
        case ResolverUnavailable(name=name, attempts=attempts):
            assert_type(name, str)
            assert_type(attempts, tuple[Attempt, ...])
        case IncompleteAnswer(service=service, reason=reason, snapshot=snapshot):
            assert_type(reason, str)
            assert_type(snapshot, Snapshot)
        case AmbiguousPrimary(candidates=candidates, statefulsets=statefulsets):
            assert_type(error.ordinal, int)
            assert_type(candidates, tuple[Peer, ...])
            assert_type(statefulsets, tuple[str, ...])
        case NotReady(required=required, snapshot=there):
            assert_type(required, str)
            assert_type(there, Snapshot | None)
        case SourceFailed(service=service, error=reason):
            assert_type(reason, str)
        case WatcherError(problem=problem, advice=advice):
            assert_type(problem, str)
        case _:
            pass
    return str(error)


def catching() -> Snapshot | None:
    try:
        return sync.discover()
    except TimeoutError as error:
        assert_type(error, TimeoutError)
    except ServiceNotFound as error:
        return error.snapshot
    return None


def timeouts(given: ResolveTimeout, waited: NotReady, wrong: ConfigurationError) -> None:
    late: list[TimeoutError] = [given, waited]
    value: ValueError = wrong
    failed: list[DiscoveryError] = [given, waited, wrong]
    unavailable: ResolverUnavailable = given
    print(late, value, failed, unavailable)


def attempts(attempt: Attempt) -> None:
    assert_type(attempt.server, str)
    assert_type(attempt.transport, str)
    assert_type(attempt.name, str)
    assert_type(attempt.type, str)
    assert_type(attempt.outcome, Outcome)
    word: str = attempt.outcome.value
    print(word)
    assert_type(attempt.seconds, float)
    assert_type(attempt.detail, str)


class Fixed:
    """A source of a user's own."""

    @property
    def service(self) -> str:
        return "db.shop.svc.cluster.local"

    async def observe(self, *, timeout: float) -> Observation:
        return Answered((Peer("mysql-0", 0, "mysql", f"mysql-0.{self.service}"),), ttl=timeout)

    async def aclose(self) -> None:
        pass


def observing(observation: Observation) -> Source:
    match observation:
        case Answered(peers=found, incomplete_reason=reason):
            assert_type(found, tuple[Peer, ...])
            assert_type(reason, str | None)
        case Empty(outcome=outcome, ttl=ttl):
            assert_type(outcome, Outcome)
            assert_type(ttl, float | None)
        case Failed(error=error):
            assert_type(error, DiscoveryError)
        case _:
            assert_never(observation)
    return Fixed()


async def bootstrapping(snapshot: Snapshot) -> bool:
    me = local_identity()
    probes = await probe_peers(snapshot.others, ask, timeout=1.5)
    assert_type(probes, tuple[Probe, ...])
    confirmed = confirm_local_primary(snapshot, me, probes)
    assert_type(confirmed, Verdict)
    may = may_bootstrap(snapshot, me, probes, expected=3, first_start=False)
    assert_type(may.decision, Decision)
    assert_type(may.allowed, bool)
    for reason in may.reasons:
        assert_type(reason, Reason)
        assert_type(reason.code, Code)
        assert_type(reason.code is ReasonCode.CONFIRMED, bool)
        assert_type(reason.code.code, str)
        assert_type(reason.peer, str | None)
    assert_type(must_step_down(snapshot, me), Reason | None)
    assert_type(snapshot.backup_candidate, Peer | None)
    assert_type(snapshot.clone_source, Peer | None)
    return bool(confirmed and may)


async def ask(peer: Peer) -> Probe:
    return Probe(peer.name, answered=True, holds_data=None, claims_primary=False, detail="asked")


async def comforts(change: Change, disco: Discovery, blocking: sync.Discovery) -> None:
    try:
        assert_type(change.snapshot["mysql-0"], Peer)
    except PeerNotListed as error:
        assert_type(error.candidates, tuple[Peer, ...])
    assert_type(change.snapshot.names, tuple[str, ...])
    assert_type(change.snapshot.as_dict(), dict[str, object])
    assert_type(change.as_dict(), dict[str, object])
    assert_type(change.added, tuple[Peer, ...])
    assert_type(change.removed, tuple[Peer, ...])
    assert_type(change.primary, tuple[Peer | None, Peer | None])
    for peer in change.snapshot:
        assert_type(peer.endpoint, str | None)
        assert_type(peer.url("mysql", scheme="http"), str | None)
    assert_type(disco.watch_primary(), PrimaryWatch)
    async for primary in disco.watch_primary():
        assert_type(primary, Peer | None)
    for primary in blocking.watch_primary():
        assert_type(primary, Peer | None)
    await discover("db", port_name=["mysql", "metrics"])
    assert_type(peerdisco.sources.Source, type[Source])
    runner = peerdisco.hooks.HookRunner(disco, on_change=print)
    await runner.run()
    assert_type(peerdisco.testing.peers("db", 3), Answered)
    print(peerdisco.mysql.DatabaseError)


class Counting(Observer):
    """An observer of a user's own."""

    def lookup_ended(self, event: LookupEnded) -> None:
        assert_type(event.outcome, str)
        assert_type(event.server, str)
        assert_type(event.seconds, float)
        assert_type(event.change, Change)
        assert_type(event.attempts, tuple[Attempt, ...])

    def hook_ended(self, event: HookEnded) -> None:
        assert_type(event.error, BaseException | None)


def observing_lookups() -> Discovery:
    return Discovery("db", observers=[Counting()])
