"""Several name servers, and servers that are not the cluster's: no failure is a departure."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

import peerdisco
from peerdisco.dns import wire
from peerdisco.exceptions import ResolverUnavailable
from peerdisco.model import Answered, Empty, Failed, Outcome
from peerdisco.names import parse_service
from peerdisco.sources.headless_dns import HeadlessDNS
from tests.unit.scripted import Asked, NameServer, Script, Serve, addresses, says, silent, soon

from .name_servers import FOREIGN, SERVICE, cluster, empty, once, serves
from .resolvers import NAME, Kind, Limit


@asynccontextmanager
async def source_for(
    kind: Kind, servers: Sequence[NameServer], service: str = SERVICE
) -> AsyncIterator[HeadlessDNS]:
    source = HeadlessDNS(
        parse_service(service), [s.endpoint for s in servers], resolver=kind.open_for
    )
    try:
        yield source
    finally:
        await source.aclose()


async def seen_names(source: HeadlessDNS, timeout: float = 20) -> list[str]:
    seen = await source.observe(timeout=timeout)
    assert isinstance(seen, Answered), seen
    assert seen.incomplete_reason is None
    return [peer.name for peer in seen.peers]


PODS = ["db-0", "db-1", "db-2"]


@pytest.mark.parametrize("foreign", FOREIGN)
async def test_while_the_cluster_dns_is_silent_no_other_server_is_believed(
    kind: Kind, serve: Serve, foreign: str
) -> None:
    first, second = await serve(serves(cluster())), await serve(FOREIGN[foreign]())
    async with source_for(kind, [first, second]) as source:
        assert await seen_names(source) == PODS
        good, first.script = first.script, silent
        for _ in range(2):
            seen = await source.observe(timeout=1)
            assert isinstance(seen, Failed), seen
            assert isinstance(seen.error, ResolverUnavailable)
        assert second.asked or not kind.can(Limit.TELL_EACH_TRANSPORT)
        first.script = good
        assert await seen_names(source) == PODS


@pytest.mark.parametrize("foreign", FOREIGN)
async def test_the_server_after_a_foreign_one_is_asked(
    kind: Kind, serve: Serve, foreign: str
) -> None:
    servers = [await serve(FOREIGN[foreign]()), await serve(serves(cluster()))]
    async with source_for(kind, servers) as source:
        assert await seen_names(source) == PODS


async def test_one_lost_datagram_does_not_change_the_server(kind: Kind, serve: Serve) -> None:
    dns = cluster()
    first, second = await serve(once(silent, serves(dns))), await serve(empty(soa="."))
    async with source_for(kind, [first, second]) as source:
        assert await seen_names(source) == PODS
        asked = len(second.asked)
        for _ in range(5):
            assert await seen_names(source) == PODS
        assert len(second.asked) == asked


ALONE: dict[str, tuple[Script, Outcome | None, Outcome | None]] = {
    # What the only server says, and what it means: to the builtin resolver, and to c-ares.
    "NXDOMAIN of the zone": (empty(soa="cluster.local."), Outcome.NXDOMAIN, Outcome.NXDOMAIN),
    "NXDOMAIN of a zone below": (
        empty(soa="shop.svc.cluster.local."),
        Outcome.NXDOMAIN,
        Outcome.NXDOMAIN,
    ),
    "NXDOMAIN without an SOA": (empty(), Outcome.NXDOMAIN, Outcome.NXDOMAIN),
    "no data without an SOA, RA": (empty("NOERROR"), Outcome.NO_DATA, Outcome.NO_DATA),
    "no data without an SOA, AA": (empty("NOERROR", flags="AA"), Outcome.NO_DATA, Outcome.NO_DATA),
    "NXDOMAIN of the root": (empty(soa="."), None, Outcome.NXDOMAIN),
    "NXDOMAIN of a parent": (empty(soa="local."), None, Outcome.NXDOMAIN),
    "no data of the root": (empty("NOERROR", soa="."), None, Outcome.NO_DATA),
    "a referral": (empty("NOERROR", ns="local."), None, Outcome.NO_DATA),
    "a referral to the root": (empty("NOERROR", ns=".", flags=""), None, Outcome.NO_DATA),
    "a lame answer": (empty("NOERROR", flags=""), None, Outcome.NO_DATA),
    "REFUSED": (empty("REFUSED"), None, None),
    "SERVFAIL": (empty("SERVFAIL"), None, None),
}


@pytest.mark.parametrize("case", ALONE)
async def test_what_the_only_server_says(kind: Kind, serve: Serve, case: str) -> None:
    script, builtin, cares = ALONE[case]
    outcome = builtin if kind.can(Limit.TELL_THE_SOA) else cares
    async with source_for(kind, [await serve(script)]) as source:
        seen = await source.observe(timeout=20)
    if outcome is None:
        assert isinstance(seen, Failed), seen
        assert isinstance(seen.error, ResolverUnavailable)
    else:
        assert isinstance(seen, Empty), seen
        assert seen.outcome is outcome


async def test_a_server_that_named_pods_before_may_leave_out_the_soa(
    kind: Kind, serve: Serve
) -> None:
    """dnsmasq keeps no SOA with a negative answer: scaling to zero still shows."""
    first, second = await serve(serves(cluster())), await serve(empty(soa="."))
    async with source_for(kind, [first, second]) as source:
        assert await seen_names(source) == PODS
        first.script = empty()
        seen = await source.observe(timeout=20)
        assert isinstance(seen, Empty)
        assert seen.outcome is Outcome.NXDOMAIN


async def test_the_error_names_the_zones_and_says_what_to_do(serve: Serve) -> None:
    server = await serve(empty(soa="example.com."))
    with pytest.raises(ResolverUnavailable) as caught:
        await peerdisco.discover(SERVICE, nameservers=[str(server.endpoint)])
    message = str(caught.value)
    assert "foreign answer" in message
    assert "NXDOMAIN of the zone 'example.com', not of 'cluster.local'" in message
    assert "--cluster-domain" in message
    assert "\n" not in message


@pytest.mark.parametrize("domain", ["clusterset.local", "k8s.example.com"])
async def test_the_zone_is_that_of_the_service(kind: Kind, serve: Serve, domain: str) -> None:
    own, other = await serve(empty(soa=f"{domain}.")), await serve(empty(soa="."))
    async with source_for(kind, [own], f"db.shop.svc.{domain}") as source:
        assert isinstance(await source.observe(timeout=20), Empty)
    servers = [other, await serve(empty(soa="cluster.local."))]
    async with source_for(kind, servers, f"db.shop.svc.{domain}") as source:
        assert isinstance(await source.observe(timeout=20), Failed)


@pytest.mark.parametrize(
    ("service", "zone", "believed"),
    [
        ("db.corp.example.com.", "corp.example.com.", True),
        ("db.corp.example.com.", "example.com.", True),
        ("db.corp.example.com.", "com.", False),
        ("db.corp.example.com.", ".", False),
        ("db.", ".", True),
        ("db.local.", "local.", True),
    ],
)
async def test_outside_a_cluster_a_registry_and_the_root_prove_nothing(
    serve: Serve, service: str, zone: str, believed: bool
) -> None:
    server = await serve(empty(soa=zone))
    source = HeadlessDNS(parse_service(service), [server.endpoint])
    seen = await source.observe(timeout=20)
    await source.aclose()
    assert isinstance(seen, Empty if believed else Failed), seen


# Silence.


@pytest.mark.parametrize("dead", [1, 2])
@pytest.mark.parametrize("timeout", [1.0, 5.0])
@pytest.mark.parametrize("ports", [True, False], ids=["ports", "no ports"])
async def test_silent_servers_leave_the_last_one_its_time(
    kind: Kind, serve: Serve, dead: int, timeout: float, ports: bool
) -> None:
    """Also where a lookup has to ask several questions one after another."""
    servers = [*[await serve(silent) for _ in range(dead)], await serve(serves(cluster(3, ports)))]
    async with source_for(kind, servers) as source:
        for _ in range(2):
            assert await seen_names(source, timeout) == PODS
    # Once a lookup.
    assert len(servers[0].asked) <= 2


async def test_an_address_family_that_is_never_answered_leaves_the_names_some_time(
    kind: Kind, serve: Serve
) -> None:
    good = serves(cluster(ports=False))

    def script(asked: Asked) -> None:
        if asked.message.questions[0].type != wire.AAAA:
            good(asked)

    async with source_for(kind, [await serve(script)]) as source:
        seen = await source.observe(timeout=3)
    assert isinstance(seen, Answered), seen
    assert [peer.name for peer in seen.peers] == PODS
    assert seen.incomplete_reason is not None
    assert "one address family is not known" in seen.incomplete_reason


# One address, several replicas.


async def test_one_of_two_replicas_that_fails_is_not_noticed(kind: Kind, serve: Serve) -> None:
    chance = random.Random(7)
    good, failed = serves(cluster()), says(rcode="SERVFAIL")
    replicas: dict[object, Script] = {}

    def script(asked: Asked) -> None:
        """A connection, and a client's port, lead to one replica."""
        flow = asked.client, asked.connection
        replicas.setdefault(flow, chance.choice((good, failed)))(asked)

    server = await serve(script)
    for _ in range(40):
        async with source_for(kind, [server]) as source:
            assert await seen_names(source, 5) == PODS
    # Each is asked from a random port, and two of some seventy may coincide.
    assert len({asked.client for asked in server.asked}) > 0.9 * len(server.asked)


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED"])
async def test_over_tcp_another_connection_leads_to_another_replica(
    kind: Kind, serve: Serve, rcode: str
) -> None:
    def script(asked: Asked) -> None:
        asked.answer("10.0.0.1", rcode="NOERROR" if asked.connection == 2 else rcode)

    server = await serve(script)
    asking = kind.open(server)
    reply = await asking.ask(NAME, wire.A, deadline=soon(), tcp=True)
    await asking.aclose()
    assert addresses(reply) == ["10.0.0.1"]
    assert server.connections == 3


async def test_a_server_that_always_fails_is_asked_a_few_times(kind: Kind, serve: Serve) -> None:
    server = await serve(says(rcode="SERVFAIL"))
    asking = kind.open(server)
    start = asyncio.get_running_loop().time()
    reply = await asking.ask(NAME, wire.A, deadline=soon(60))
    assert asyncio.get_running_loop().time() - start < 20
    await asking.aclose()
    assert reply.outcome is Outcome.SERVFAIL
    assert 2 < len(server.asked) < 12


FAILURES = {
    "SERVFAIL": says(rcode="SERVFAIL"),
    "REFUSED": says(rcode="REFUSED"),
    "lame": lambda asked: asked.send(refers(asked)),
}


def refers(asked: Asked) -> bytes:
    """No data, from a server that is neither authoritative nor recursive."""
    reply = bytearray(asked.reply())
    reply[2] &= ~0x04
    return bytes(reply)


def can_fail_so(kind: Kind, failure: str) -> bool:
    return failure != "lame" or kind.can(Limit.TELL_THE_SOA)


@pytest.mark.parametrize("servers", [1, 2])
async def test_in_an_outage_a_lookup_sends_two_queries(
    kind: Kind, serve: Serve, servers: int
) -> None:
    for failure in FAILURES:
        if can_fail_so(kind, failure):
            await check_an_outage(kind, serve, failure, servers)


async def check_an_outage(kind: Kind, serve: Serve, failure: str, servers: int) -> None:
    listening = [await serve(FAILURES[failure]) for _ in range(servers)]
    now = asyncio.get_running_loop().time

    async def lookup() -> tuple[int, float]:
        for server in listening:
            server.asked.clear()
        start = now()
        assert isinstance(await source.observe(timeout=30), Failed)
        return sum(len(server.asked) for server in listening), now() - start

    async with source_for(kind, listening) as source:
        queries, _ = await lookup()
        assert queries == 9 * servers
        for _ in range(20):
            queries, seconds = await lookup()
            assert queries == 2
            assert seconds < 0.3
        # Once a lookup has succeeded, failing replicas go unnoticed again.
        for server in listening:
            server.script = serves(cluster())
        assert await seen_names(source, 5) == PODS
        for server in listening:
            server.script = FAILURES[failure]
        assert (await lookup())[0] == 9 * servers


async def test_in_an_outage_one_of_two_replicas_is_found_within_some_lookups(
    kind: Kind, serve: Serve
) -> None:
    server = await serve(says(rcode="SERVFAIL"))
    async with source_for(kind, [server]) as source:
        for _ in range(2):
            assert isinstance(await source.observe(timeout=5), Failed)
        server.asked.clear()
        good, failed = serves(cluster()), says(rcode="SERVFAIL")

        def script(asked: Asked) -> None:
            (failed if len(server.asked) < 4 else good)(asked)

        server.script = script
        assert isinstance(await source.observe(timeout=5), Failed)
        assert await seen_names(source, 5) == PODS


async def test_a_question_that_always_fails_is_repeated_in_the_first_lookup_alone(
    kind: Kind, serve: Serve
) -> None:
    good, failed = serves(cluster(ports=())), says(rcode="SERVFAIL")

    def script(asked: Asked) -> None:
        (failed if asked.message.questions[0].type == wire.AAAA else good)(asked)

    def asked_for_ipv6() -> int:
        return sum(a.message.questions[0].type == wire.AAAA for a in server.asked)

    server = await serve(script)
    async with source_for(kind, [server]) as source:
        for expected in (9, 2, 2):
            server.asked.clear()
            seen = await source.observe(timeout=5)
            assert isinstance(seen, Answered)
            assert asked_for_ipv6() == expected


# What is lost on the way.


def drops_edns(asked: Asked) -> None:
    if not asked.edns:
        asked.answer("10.0.0.1")


def drops_udp(asked: Asked) -> None:
    if asked.transport == "tcp":
        asked.answer("10.0.0.1")


@pytest.mark.parametrize("script", [drops_edns, drops_udp])
@pytest.mark.parametrize("timeout", [1.0, 5.0])
async def test_what_the_path_drops_is_asked_another_way(
    kind: Kind, serve: Serve, script: Script, timeout: float
) -> None:
    asking = kind.open(await serve(script))
    reply = await asking.ask(NAME, wire.A, deadline=soon(timeout))
    await asking.aclose()
    assert addresses(reply) == ["10.0.0.1"]


async def test_a_resolver_asks_as_resolv_conf_says(kind: Kind, serve: Serve) -> None:
    server = await serve(serves(cluster()))
    use_vc = replace(server.endpoint, tcp=True)
    source = HeadlessDNS(parse_service(SERVICE), [use_vc], resolver=kind.open_for)
    assert await seen_names(source) == PODS
    await source.aclose()
    assert set(server.transports) == {"tcp"}
