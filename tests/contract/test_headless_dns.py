"""What holds for a lookup of a headless service, with every resolver and every server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from peerdisco.dns import wire
from peerdisco.exceptions import ResolverUnavailable, ResolveTimeout
from peerdisco.model import Answered, Empty, Failed, Outcome, Peer
from peerdisco.names import parse_nameserver, parse_service
from peerdisco.sources.headless_dns import HeadlessDNS
from peerdisco.testing import ClusterDNS
from tests import bind
from tests.unit.scripted import dead_endpoint, soon

from .clusters import CLUSTERS, SERVICE, TTL, Cluster, Wanted
from .resolvers import Kind, Limit

Start = Callable[[Wanted], AbstractAsyncContextManager[Cluster]]


@pytest.fixture(params=CLUSTERS)
async def start(request: pytest.FixtureRequest, tmp_path: Path) -> Start:
    return lambda wanted: CLUSTERS[request.param](wanted, tmp_path)


@asynccontextmanager
async def opened(
    kind: Kind, cluster: Cluster, service: str = SERVICE, port_name: str | None = None
) -> AsyncIterator[HeadlessDNS]:
    source = HeadlessDNS(
        parse_service(service),
        [cluster.nameserver],
        port_name=port_name,
        resolver=kind.open_for,
    )
    try:
        yield source
    finally:
        await source.aclose()


async def look_up(source: HeadlessDNS) -> Answered:
    seen = await source.observe(timeout=20)
    assert isinstance(seen, Answered), seen
    return seen


def names(peers: tuple[Peer, ...]) -> list[str]:
    return sorted((peer.name for peer in peers), key=lambda name: int(name.rpartition("-")[2]))


def pods(count: int) -> list[str]:
    return [f"db-{n}" for n in range(count)]


async def test_peers_with_their_addresses_and_ports(kind: Kind, start: Start) -> None:
    async with start(Wanted()) as cluster, opened(kind, cluster) as source:
        seen = await look_up(source)
        assert seen.incomplete_reason is None
        assert seen.ttl == TTL
        assert names(seen.peers) == pods(3)
        for peer in seen.peers:
            assert peer.ordinal is not None
            assert [str(address) for address in peer.addresses] == cluster.addresses(peer.ordinal)
            assert peer.hostname == f"{peer.name}.{SERVICE}"
            assert dict(peer.ports) == {"": 3306}


async def test_both_address_families(kind: Kind, start: Start) -> None:
    async with start(Wanted(dual_stack=True)) as cluster, opened(kind, cluster) as source:
        seen = await look_up(source)
        assert seen.incomplete_reason is None
        for peer in seen.peers:
            assert peer.ordinal is not None
            assert [str(address) for address in peer.addresses] == cluster.addresses(peer.ordinal)
            assert len(peer.addresses) == 2


@pytest.mark.parametrize("dual_stack", [False, True])
async def test_a_service_without_ports(kind: Kind, start: Start, dual_stack: bool) -> None:
    """Addresses, and the name of each from its PTR record."""
    wanted = Wanted(ports=False, dual_stack=dual_stack)
    async with start(wanted) as cluster, opened(kind, cluster) as source:
        seen = await look_up(source)
        assert seen.incomplete_reason is None
        assert names(seen.peers) == pods(3)
        for peer in seen.peers:
            assert peer.ordinal is not None
            assert [str(address) for address in peer.addresses] == cluster.addresses(peer.ordinal)
            assert not peer.ports


async def test_a_named_port(kind: Kind, start: Start) -> None:
    async with (
        start(Wanted()) as cluster,
        opened(kind, cluster, port_name="mysql") as source,
        opened(kind, cluster, port_name="metrics") as other,
    ):
        assert dict((await look_up(source)).peers[0].ports) == {"mysql": 3306}
        seen = await other.observe(timeout=20)
        assert isinstance(seen, Empty)
        assert seen.outcome is Outcome.NXDOMAIN


async def test_a_service_that_does_not_exist(kind: Kind, start: Start) -> None:
    nobody = "nobody.default.svc.cluster.local"
    async with start(Wanted()) as cluster, opened(kind, cluster, nobody) as source:
        seen = await source.observe(timeout=20)
        assert isinstance(seen, Empty)
        assert seen.outcome is Outcome.NXDOMAIN
        assert (seen.ttl is not None) is kind.can(Limit.TELL_THE_SOA)


async def test_a_change_is_seen_by_the_next_lookup(kind: Kind, start: Start) -> None:
    """Within the 30 s for which the records hold."""
    async with start(Wanted()) as cluster, opened(kind, cluster) as source:
        assert names((await look_up(source)).peers) == pods(3)
        cluster.scale(5)
        assert names((await look_up(source)).peers) == pods(5)
        cluster.scale(2)
        assert names((await look_up(source)).peers) == pods(2)
        cluster.scale(0)
        seen = await source.observe(timeout=20)
        assert isinstance(seen, Empty)
        assert seen.outcome is Outcome.NXDOMAIN
        cluster.scale(1)
        assert names((await look_up(source)).peers) == pods(1)


@pytest.mark.parametrize("count", [10, 40, 100, 700])
async def test_a_large_service_is_whole(kind: Kind, start: Start, count: int) -> None:
    async with start(Wanted(pods=count)) as cluster, opened(kind, cluster) as source:
        for _ in range(2):
            seen = await look_up(source)
            assert seen.incomplete_reason is None
            assert names(seen.peers) == pods(count)
            assert all(peer.addresses for peer in seen.peers)


async def test_a_large_service_without_ports_is_whole(kind: Kind, start: Start) -> None:
    wanted = Wanted(pods=300, ports=False)
    async with start(wanted) as cluster, opened(kind, cluster) as source:
        seen = await look_up(source)
        assert seen.incomplete_reason is None
        assert names(seen.peers) == pods(300)


async def test_a_service_too_large_for_a_message_never_claims_to_be_whole(
    kind: Kind, start: Start
) -> None:
    """1,200 pods: more than fit into 64 KiB, and as many as BIND can hold."""
    async with start(Wanted(pods=1200)) as cluster, opened(kind, cluster) as source:
        seen = await look_up(source)
        assert set(names(seen.peers)) <= set(pods(1200))
        assert (seen.incomplete_reason is None) is (len(seen.peers) == 1200)


async def test_a_named_port_of_too_many_pods_is_not_empty(kind: Kind, start: Start) -> None:
    """BIND sends nothing at all of what does not fit."""
    async with (
        start(Wanted(pods=1200)) as cluster,
        opened(kind, cluster, port_name="mysql") as source,
    ):
        seen = await source.observe(timeout=20)
        assert not isinstance(seen, Empty)
        if isinstance(seen, Answered):
            assert (seen.incomplete_reason is None) is (len(seen.peers) == 1200)


@pytest.mark.parametrize(
    ("rtype", "statefulset"),
    [(wire.A, "db"), (wire.SRV, "db"), (wire.SRV, "a-statefulset-with-a-rather-long-name")],
)
async def test_a_cut_answer_is_never_taken_for_the_whole(
    kind: Kind, rtype: int, statefulset: str
) -> None:
    """Around the number of records at which a message is full."""
    name = wire.name_from_text(SERVICE)
    largest = 4092 if rtype == wire.A else 65_450 // (18 + len(f".{statefulset}-999.{SERVICE}"))
    async with ClusterDNS() as dns:
        pods = dns.statefulset(statefulset, service="my-database", replicas=0)
        asking = kind.open(parse_nameserver(dns.nameserver))
        was_cut = []
        for count in range(largest - 20, largest + 21, 10):
            pods.scale(count)
            reply = await asking.ask(name, rtype, deadline=soon(30), tcp=True)
            assert reply.message is not None
            came = len(reply.message.answers)
            assert reply.truncated or came == count
            was_cut.append(came < count)
        await asking.aclose()
    assert (was_cut[0], was_cut[-1]) == (False, True)


# What goes wrong.


async def test_a_zone_that_is_not_served_is_a_failure(kind: Kind, start: Start) -> None:
    elsewhere = "db.default.svc.elsewhere.test"
    async with start(Wanted()) as cluster, opened(kind, cluster, elsewhere) as source:
        seen = await source.observe(timeout=20)
        assert isinstance(seen, Failed)
        assert isinstance(seen.error, ResolverUnavailable)
        assert {attempt.outcome for attempt in seen.error.attempts} == {Outcome.REFUSED}


async def test_a_zone_that_cannot_be_loaded_is_a_failure(kind: Kind, tmp_path: Path) -> None:
    bind.require_named()
    zones = bind.HeadlessService().zones([0])
    with bind.serving(zones, tmp_path, broken=["svc.broken.test."]) as server:
        source = HeadlessDNS(
            parse_service("db.default.svc.broken.test"),
            [server.endpoint],
            resolver=kind.open_for,
        )
        seen = await source.observe(timeout=20)
        await source.aclose()
        assert isinstance(seen, Failed)
        assert isinstance(seen.error, ResolverUnavailable)
        assert {attempt.outcome for attempt in seen.error.attempts} == {Outcome.SERVFAIL}


FAULTS = {
    "servfail": (ResolverUnavailable, Outcome.SERVFAIL),
    "refused": (ResolverUnavailable, Outcome.REFUSED),
    "formerr": (ResolverUnavailable, Outcome.ERROR),
    "garbage": (ResolverUnavailable, Outcome.MALFORMED),
    "drop": (ResolveTimeout, Outcome.TIMEOUT),
}


@pytest.fixture
async def dns() -> AsyncIterator[ClusterDNS]:
    async with ClusterDNS(ttl=TTL) as server:
        server.statefulset("db", service="my-database")
        yield server


def source_for(kind: Kind, *servers: str) -> HeadlessDNS:
    return HeadlessDNS(
        parse_service(SERVICE),
        [parse_nameserver(server) for server in servers],
        resolver=kind.open_for,
    )


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_server_that_fails_is_a_failure_until_it_recovers(
    kind: Kind, dns: ClusterDNS, fault: str
) -> None:
    error, outcome = FAULTS[fault]
    source = source_for(kind, dns.nameserver)
    with dns.fail(fault):  # type: ignore[arg-type]
        seen = await source.observe(timeout=0.5)
    assert isinstance(seen, Failed)
    assert type(seen.error) is error
    assert isinstance(seen.error, ResolverUnavailable)
    assert {attempt.outcome for attempt in seen.error.attempts} == {outcome}
    assert names((await look_up(source)).peers) == pods(3)
    await source.aclose()


async def test_a_server_that_is_away_is_a_failure(kind: Kind) -> None:
    source = source_for(kind, str(dead_endpoint()))
    seen = await source.observe(timeout=5)
    await source.aclose()
    assert isinstance(seen, Failed)
    assert isinstance(seen.error, ResolverUnavailable)
    assert [attempt.outcome for attempt in seen.error.attempts] == [Outcome.UNREACHABLE]


async def test_another_server_answers(kind: Kind, dns: ClusterDNS) -> None:
    async with ClusterDNS(dns.cluster) as other:
        source = source_for(kind, str(dead_endpoint()), dns.nameserver, other.nameserver)
        with dns.fail("servfail"):
            seen = await look_up(source)
        await source.aclose()
    assert names(seen.peers) == pods(3)
    assert seen.incomplete_reason is None


async def test_an_answer_that_was_cut_over_udp_is_whole(kind: Kind, dns: ClusterDNS) -> None:
    source = source_for(kind, dns.nameserver)
    with dns.fail("truncate", transport="udp"):
        seen = await look_up(source)
    await source.aclose()
    assert seen.incomplete_reason is None
    assert names(seen.peers) == pods(3)


async def test_addresses_that_cannot_be_had_make_it_incomplete(kind: Kind, dns: ClusterDNS) -> None:
    """Without glue the addresses are asked for; a failure there is no pod without an address."""
    dns.cluster.statefulset("more", service="my-database", replicas=20)
    source = source_for(kind, dns.nameserver)
    with dns.fail("truncate", rtype="SRV"), dns.fail("servfail", name="more-7.*"):
        seen = await look_up(source)
    await source.aclose()
    assert seen.incomplete_reason is not None
    assert all(peer.addresses for peer in seen.peers if peer.name != "more-7")
