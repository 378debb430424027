"""Services of a thousand pods and more through a real BIND, which sends no addresses along."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from peerdisco.model import Answered
from peerdisco.names import parse_service
from peerdisco.sources.headless_dns import HeadlessDNS
from peerdisco.sources.large.rotation import LISTING_POLLS, MOST_VERIFIED
from tests import bind
from tests.benchmarks.services import Service, headless, zones
from tests.bind import Bind, HeadlessService

from .polling import TIMEOUT, Counting

pytestmark = pytest.mark.timeout(180)

SIZES = (100, 1000, 2000)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bind]:
    bind.require_named()
    with bind.serving(zones(map(Service, SIZES)), tmp_path_factory.mktemp("bind")) as server:
        yield server


async def addresses(source: HeadlessDNS) -> dict[str, str]:
    observation = await source.observe(timeout=TIMEOUT)
    assert isinstance(observation, Answered), observation
    assert observation.incomplete_reason is None
    return {peer.name: str(peer.address) for peer in observation.peers}


def expected(service: HeadlessService, pods: int) -> dict[str, str]:
    return {f"mysql-{n}": str(service.addresses(n)[0]) for n in range(pods)}


@pytest.mark.parametrize("pods", SIZES)
async def test_a_poll_that_finds_nothing_new_costs_a_handful_of_exchanges(
    named: Bind, pods: int
) -> None:
    """At most 8, and at most 64 for the pods that are verified in turn."""
    resolver = Counting([named.endpoint])
    service = Service(pods)
    source = HeadlessDNS(parse_service(service.fqdn), [named.endpoint], resolver=lambda _: resolver)
    try:
        assert await addresses(source) == expected(headless(service), pods)
        first = resolver.asked
        # A few lead to the StatefulSet, and up to 80 ordinals beyond its end are queried.
        assert first <= pods + 100, "one exchange for each pod, at the first lookup"
        for _ in range(LISTING_POLLS + 2):
            resolver.asked = 0
            assert await addresses(source) == expected(headless(service), pods)
            assert resolver.asked <= 8 + min(MOST_VERIFIED, -(-pods // 32))
    finally:
        await source.aclose()


async def test_changes_at_a_real_bind_are_found_by_the_next_lookup(tmp_path: Path) -> None:
    bind.require_named()
    service, pods = HeadlessService(statefulset="mysql"), 300
    with bind.serving(service.zones(range(pods)), tmp_path) as server:
        source = HeadlessDNS(parse_service(service.fqdn.rstrip(".")), [server.endpoint])
        try:
            for _ in range(2):
                assert await addresses(source) == expected(service, pods)
            server.update(add=service.records([pods]))
            for _ in range(2):
                assert await addresses(source) == expected(service, pods + 1)
            server.update(remove=service.records([pods]))
            for _ in range(2):
                assert await addresses(source) == expected(service, pods)
        finally:
            await source.aclose()
