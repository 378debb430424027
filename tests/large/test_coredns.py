"""Services of any size through a real CoreDNS, where one is named."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from peerdisco.model import Answered, Peer
from peerdisco.names import parse_service
from peerdisco.sources.headless_dns import HeadlessDNS
from peerdisco.testing import Cluster, StatefulSet
from tests import coredns

from .polling import TIMEOUT

pytestmark = pytest.mark.timeout(180)

SIZES = (3, 700, 1000, 2000, 5000)
TTL = 30


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[coredns.CoreDns, dict[int, StatefulSet]]]:
    """A CoreDNS with a service for each size."""
    coredns.require()
    cluster = Cluster(ttl=TTL)
    statefulsets = {
        pods: cluster.statefulset("db", f"of-{pods}", pods, namespace=f"of-{pods}")
        for pods in SIZES
    }
    with coredns.serving(cluster, tmp_path_factory.mktemp("coredns")) as server:
        yield server, statefulsets


@asynccontextmanager
async def opened(server: coredns.CoreDns, pods: int) -> AsyncIterator[HeadlessDNS]:
    name = parse_service(f"of-{pods}.of-{pods}.svc.cluster.local")
    source = HeadlessDNS(name, [server.endpoint])
    try:
        yield source
    finally:
        await source.aclose()


async def look_up(source: HeadlessDNS) -> dict[str, Peer]:
    observation = await source.observe(timeout=TIMEOUT)
    assert isinstance(observation, Answered), observation
    assert observation.incomplete_reason is None
    assert observation.ttl == TTL
    return {peer.name: peer for peer in observation.peers}


def expected(statefulset: StatefulSet) -> dict[str, tuple[object, ...]]:
    return {pod.name: pod.addresses for pod in statefulset.pods}


@pytest.mark.parametrize("pods", SIZES)
async def test_every_pod_of_a_real_coredns_is_found(
    served: tuple[coredns.CoreDns, dict[int, StatefulSet]], pods: int
) -> None:
    """By the first lookup and by polls, with its address and its port."""
    server, statefulsets = served
    async with opened(server, pods) as source:
        for _ in range(5):
            found = await look_up(source)
            assert {name: peer.addresses for name, peer in found.items()} == expected(
                statefulsets[pods]
            )
            assert all(dict(peer.ports) == {"": 3306} for peer in found.values())


async def test_changes_at_a_real_coredns_are_found_by_the_next_lookup(
    served: tuple[coredns.CoreDns, dict[int, StatefulSet]],
) -> None:
    server, statefulsets = served
    statefulset = statefulsets[1000]
    async with opened(server, 1000) as source:
        await look_up(source)
        for change in (
            lambda: statefulset.scale(1020),
            lambda: statefulset.restart(500),
            lambda: statefulset.stop(77),
            lambda: statefulset.scale(990),
        ):
            change()
            server.publish()
            found = await look_up(source)
            assert {name: peer.addresses for name, peer in found.items()} == expected(statefulset)
