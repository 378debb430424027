"""The simulation against real watchers: the same questions, the same bytes, the same moments."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from peerdisco.membership.machine import Changes
from peerdisco.names import parse_nameserver, parse_service
from peerdisco.sources.headless_dns import HeadlessDNS
from peerdisco.testing.cluster import Cluster
from tests.simulation.world import Event

from .figures import beginning
from .reality import Change, CommonClock, CountingDNS, watch
from .simulation import Caches, Setup, simulate
from .sizes import Messages, Service, lookup_size

SERVICE = Service()

KINDS = [
    pytest.param(Caches(ttl=30, replicas=1), id="no cache"),
    pytest.param(Caches(ttl=5, replicas=1), id="no cache, TTL of 5 s"),
    pytest.param(Caches(ttl=5, kept_by="servers", replicas=1), id="cache of 5 s"),
    pytest.param(Caches(ttl=30, kept_by="servers", replicas=1), id="cache of 30 s"),
]


def a_dns(cluster: Cluster, caches: Caches, clock: CommonClock) -> CountingDNS:
    cached = caches.ttl if caches.kept_by == "servers" else None
    return CountingDNS(cluster, cached, clock.now)


def changes(reported: list[tuple[float, Changes]]) -> list[Change]:
    """The changes of a simulated watcher, as a real one reports them."""
    return [
        (
            time,
            frozenset(peer.name for peer in each.joined),
            frozenset(peer.name for peer in each.left),
            frozenset(new.name for _, new in each.replaced),
        )
        for time, each in reported
    ]


@pytest.mark.parametrize("caches", [KINDS[0], *KINDS[2:]])
@pytest.mark.parametrize("pods", [3, 20])
async def test_the_load_at_rest(pods: int, caches: Caches) -> None:
    end = 70.0
    cluster = Cluster(ttl=caches.ttl)
    cluster.statefulset(SERVICE.statefulset, SERVICE.name, pods)
    clock = CommonClock(pods)
    async with a_dns(cluster, caches, clock) as dns:
        await watch(dns, clock, SERVICE.fqdn, pods, end)
    size = lookup_size(pods)
    run = simulate(Setup(caches, pods, size, beginning(pods), end, together=True))
    lookups = sum(time > 0 for time in run.reached["srv"])
    assert lookups > pods
    assert dns.counted() == size.whole * lookups


@pytest.mark.parametrize("caches", KINDS)
async def test_what_is_reported_and_when(caches: Caches) -> None:
    pods, end = 8, 340.0
    cluster = Cluster(ttl=caches.ttl)
    mysql = cluster.statefulset(SERVICE.statefulset, SERVICE.name, pods)
    address = IPv4Address("10.245.0.1")
    events: tuple[Event, ...] = (
        *beginning(pods),
        (100.0, "mysql-8", (address,)),
        (180.5, "mysql-3", ()),
        (190.5, "mysql-3", (address + 1,)),
        (260.0, "mysql-8", ()),
    )
    actions = [
        (100.0, lambda: mysql.scale(9)),
        (180.5, lambda: mysql.stop(3)),
        (190.5, lambda: mysql.start(3)),
        (260.0, lambda: mysql.scale(8)),
    ]
    clock = CommonClock(pods, actions)
    async with a_dns(cluster, caches, clock) as dns:
        reported = await watch(dns, clock, SERVICE.fqdn, pods, end)
    run = simulate(Setup(caches, pods, lookup_size(pods), events, end, together=True))
    assert reported == [changes(each) for each in run.reported]
    assert {name for each in reported[0] for names in each[1:] for name in names} >= {"mysql-8"}
    assert dns.counted().count == sum(time > 0 for time in run.lookups)


@pytest.mark.parametrize("pods", [3, 14, 15, 100, 393, 394, 731, 740])
async def test_one_lookup(pods: int) -> None:
    cluster = Cluster(ttl=30)
    cluster.statefulset(SERVICE.statefulset, SERVICE.name, pods)
    async with CountingDNS(cluster) as dns:
        source = HeadlessDNS(parse_service(SERVICE.fqdn), [parse_nameserver(dns.nameserver)])
        try:
            await source.observe(timeout=50.0)  # what does not fit over UDP is known by then
            dns.exchanges.clear()
            await source.observe(timeout=50.0)
        finally:
            await source.aclose()
    real, expected = sum((sizes for _, sizes in dns.exchanges), Messages()), lookup_size(pods).whole
    if not lookup_size(pods).truncated:
        assert real == expected
        return
    # The names of the pods whose turn it is are shorter or longer than on average.
    assert real.count == expected.count
    assert abs(real.size - expected.size) < 3 * len(f"{pods}") * lookup_size(pods).pods.count
