"""A poll that finds nothing new costs a handful of exchanges, and each change is found in time."""

from __future__ import annotations

import asyncio
import gc
import random

import pytest

from peerdisco import Discovery
from peerdisco.dns import wire
from peerdisco.model import Answered
from peerdisco.sources.headless_dns import HeadlessDNS
from peerdisco.sources.large.partial import MOST_UNSEEN
from peerdisco.sources.large.rotation import LISTING_POLLS, MOST_VERIFIED, ROUND_POLLS

from .polling import TIMEOUT, opened, poll_often
from .server import serving
from .service import LargeService, Pod, address, statefulset

pytestmark = pytest.mark.timeout(180)


def round_of(pods: int) -> int:
    """The polls in which each of so many pods is verified, as docs/explanation has it."""
    return max(ROUND_POLLS, -(-pods // MOST_VERIFIED))


def verified_at_once(pods: int) -> int:
    return min(MOST_VERIFIED, -(-pods // ROUND_POLLS))


def listed(observation: object) -> dict[str, tuple[bytes, ...]]:
    assert isinstance(observation, Answered), observation
    return {peer.name: tuple(a.packed for a in peer.addresses) for peer in observation.peers}


def actual(service: LargeService) -> dict[str, tuple[bytes, ...]]:
    return {pod.label: pod.packed for pod in service.pods.values()}


async def polls_until_right(source: HeadlessDNS, service: LargeService, most: int) -> int:
    """The polls until the list is that of the service; every other difference is an error."""
    for poll in range(1, most + 1):
        observation = await source.observe(timeout=TIMEOUT)
        if listed(observation) == actual(service):
            return poll
    raise AssertionError(f"not found within {most} polls")


def swap(service: LargeService, one: str, other: str) -> None:
    first, second = service.pods[one], service.pods[other]
    service.pods[one] = Pod(one, second.packed, first.port)
    service.pods[other] = Pod(other, first.packed, second.port)


@pytest.mark.parametrize(("pods", "most"), [(1000, 8), (2000, 8), (4080, 8), (5000, 16)])
async def test_a_poll_that_finds_nothing_new_costs_a_handful(pods: int, most: int) -> None:
    """And what it found before is the same object."""
    service = LargeService(statefulset("db", range(pods)))
    async with opened(service) as (source, _):
        first = await source.observe(timeout=TIMEOUT)
        for _ in range(3 * LISTING_POLLS):
            service.asked.clear()
            observation = await source.observe(timeout=TIMEOUT)
            assert sum(service.asked.values()) <= most + verified_at_once(pods)
            assert isinstance(first, Answered)
            assert isinstance(observation, Answered)
            assert observation.peers is first.peers
            assert observation.incomplete_reason is None
            assert observation.attempt is not None
            assert observation.ttl == 5


@pytest.mark.parametrize("pods", [1000, 4000, 5000])
async def test_a_swap_is_found_in_one_round(pods: int) -> None:
    """The addresses of the service stay the same, wherever in the round the two are."""
    chance = random.Random(pods)
    service = LargeService(statefulset("db", range(pods)))
    async with opened(service) as (source, _):
        await source.observe(timeout=TIMEOUT)
        for _ in range(3):
            one, other = chance.sample(sorted(service.pods), 2)
            swap(service, one, other)
            await polls_until_right(source, service, round_of(pods))


async def test_each_of_many_swaps_is_found_in_one_round() -> None:
    service = LargeService(statefulset("db", range(1000)))
    labels = sorted(service.pods)
    random.Random(3).shuffle(labels)
    async with opened(service) as (source, _):
        await source.observe(timeout=TIMEOUT)
        for one, other in zip(labels[:300:2], labels[1:300:2], strict=True):
            swap(service, one, other)
        await polls_until_right(source, service, ROUND_POLLS)


async def test_an_address_that_another_pod_took_over() -> None:
    """``db-1`` left, and ``db-2`` came back with its address, between two polls."""
    service = LargeService(statefulset("db", range(1000)))
    async with opened(service) as (source, _):
        await source.observe(timeout=TIMEOUT)
        service.pods["db-2"] = Pod("db-2", service.pods.pop("db-1").packed)
        assert await polls_until_right(source, service, 1) == 1
        # A new pod has the address of one that left: the addresses of the service are the same.
        service.pods["db-1"] = Pod("db-1", service.pods.pop("db-999").packed)
        await polls_until_right(source, service, ROUND_POLLS)


async def test_a_pod_that_joins_alone_is_found_at_once() -> None:
    """Every known address is still there."""
    service = LargeService(statefulset("db", range(1000)))
    async with opened(service) as (source, _):
        await source.observe(timeout=TIMEOUT)
        service.pods["db-1000"] = Pod("db-1000", (address(90_000),))
        assert await polls_until_right(source, service, 1)


@pytest.mark.parametrize("pods", [1000, 4000])
async def test_changes_of_the_addresses_are_found_at_once(pods: int) -> None:
    service = LargeService(statefulset("db", range(pods)))
    async with opened(service) as (source, _):
        await source.observe(timeout=TIMEOUT)
        service.asked.clear()
        del service.pods["db-7"]
        assert await polls_until_right(source, service, 1)
        service.pods["db-7"] = Pod("db-7", (address(90_000),))
        service.pods["db-8"] = Pod("db-8", (address(90_001),))
        for pod in statefulset("db", range(pods, pods + 20), 91_000):
            service.pods[pod.label] = pod
        assert await polls_until_right(source, service, 1)
        for number in range(300):
            service.pods[f"db-{number}"] = Pod(f"db-{number}", (address(92_000 + number),))
        assert await polls_until_right(source, service, 1)
        for number in range(300, 600):
            del service.pods[f"db-{number}"]
        assert await polls_until_right(source, service, 1)
        assert sum(service.asked.values()) < 1500, "only what changed was queried"


@pytest.mark.parametrize("pods", [5000, 9000])
async def test_beyond_the_addresses_of_one_answer(pods: int) -> None:
    service = LargeService(statefulset("db", range(pods)), seed=pods)
    async with opened(service) as (source, _):
        await source.observe(timeout=TIMEOUT)
        for _ in range(3):
            await source.observe(timeout=TIMEOUT)
        del service.pods["db-7"]
        assert await polls_until_right(source, service, round_of(pods)) <= 12
        service.pods["db-7"] = Pod("db-7", (address(90_000),))
        assert await polls_until_right(source, service, 20)
        service.pods["db-8"] = Pod("db-8", (address(90_001),))
        assert await polls_until_right(source, service, 20)
        for number in range(200, 500):
            del service.pods[f"db-{number}"]
        assert await polls_until_right(source, service, round_of(pods)) <= 20


async def test_an_address_that_a_truncated_answer_leaves_out_proves_nothing() -> None:
    """No server shows this pod's address again; its own record does."""

    class Hides(LargeService):
        def _in_slices(self) -> list[Pod]:
            return [pod for pod in super()._in_slices() if pod.label != "db-7"]

    service = Hides(statefulset("db", range(5000)))
    async with opened(service) as (source, _):
        await source.observe(timeout=TIMEOUT)
        for _ in range(20):
            assert "db-7" in listed(await source.observe(timeout=TIMEOUT))


async def test_a_pod_whose_record_fails_does_not_leave() -> None:
    class Partly(LargeService):
        broken = b""

        def reply(self, query: bytes, transport: str = "tcp") -> bytes:
            raw = super().reply(query, transport)
            if self.broken and query[12 : 12 + len(self.broken)] == self.broken:
                return raw[:3] + bytes((wire.SERVFAIL,)) + raw[4:]
            return raw

    service = Partly(statefulset("db", range(1000)))
    async with opened(service) as (source, _):
        await source.observe(timeout=TIMEOUT)
        service.broken = b"\x06db-777"
        reasons = set()
        for _ in range(ROUND_POLLS + 2):
            observation = await source.observe(timeout=TIMEOUT)
            assert listed(observation) == actual(service)
            assert isinstance(observation, Answered)
            reasons.add(observation.incomplete_reason)
        assert observation.incomplete_reason is not None, "it is queried until it answers"
        assert "the addresses of 1 of" in observation.incomplete_reason
        service.broken = b""
        observation = await source.observe(timeout=TIMEOUT)
        assert isinstance(observation, Answered)
        assert observation.incomplete_reason is None


async def test_refresh_verifies_every_pod() -> None:
    """A wait after it must not rest on what an earlier lookup learned."""
    service = LargeService(statefulset("db", range(1000)))
    async with opened(service) as (source, _):
        await source.observe(timeout=TIMEOUT)
        swap(service, "db-1", "db-998")
        source.refresh()
        assert await polls_until_right(source, service, 1) == 1
        service.asked.clear()
        await source.observe(timeout=TIMEOUT)
        assert sum(service.asked.values()) < 100, "once is enough"


async def test_refresh_of_a_watcher_verifies_every_pod() -> None:
    service = LargeService(statefulset("db", range(1000)))
    async with (
        serving(service) as server,
        Discovery(
            service.name, nameservers=[str(server.endpoint)], source="dns", interval=600
        ) as disco,
    ):
        assert len(await disco.wait(1000, timeout=TIMEOUT)) == 1000
        swap(service, "db-1", "db-998")
        disco.refresh()
        snapshot = await disco.wait(1000, timeout=TIMEOUT)
        assert {p.name: tuple(a.packed for a in p.addresses) for p in snapshot} == actual(service)


async def test_a_refresh_whose_lookup_fails_counts_for_the_next_one() -> None:
    service = LargeService(statefulset("db", range(1000)))
    async with opened(service) as (source, _):
        await source.observe(timeout=TIMEOUT)
        swap(service, "db-1", "db-998")
        source.refresh()
        service.refuses = {wire.SRV, wire.A, wire.AAAA}
        assert not isinstance(await source.observe(timeout=1.0), Answered)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await source.observe(timeout=TIMEOUT)
        service.refuses = set()
        assert await polls_until_right(source, service, 1) == 1


@pytest.mark.parametrize("refused", [{wire.A, wire.AAAA, wire.SRV}])
async def test_an_outage_does_not_end_in_a_flood(refused: set[int]) -> None:
    """When the name server is back, it is not asked for every pod by every watcher."""
    service = LargeService(statefulset("db", range(2000)))
    async with opened(service) as (source, _):
        await source.observe(timeout=TIMEOUT)
        service.refuses = refused
        assert not isinstance(await source.observe(timeout=1.0), Answered)
        service.refuses = set()
        service.asked.clear()
        assert listed(await source.observe(timeout=TIMEOUT)) == actual(service)
        assert sum(service.asked.values()) < 100


async def test_pods_that_share_addresses() -> None:
    """A departure leaves the service's addresses as they are; its turn comes within a round."""
    pods = [Pod(f"db-{n}", (address(n // 2 + 1),)) for n in range(1800)]
    service = LargeService(pods)
    async with opened(service) as (source, _):
        await source.observe(timeout=TIMEOUT)
        service.asked.clear()
        await source.observe(timeout=TIMEOUT)
        assert sum(service.asked.values()) <= 8 + MOST_VERIFIED
        del service.pods["db-500"]
        await polls_until_right(source, service, round_of(1800))
        service.pods["db-500"] = Pod("db-500", (address(251),))
        assert await polls_until_right(source, service, 1), "one that left is queried by name"


async def test_nothing_is_reported_that_did_not_happen() -> None:
    for pods, polls in ((2000, 150), (5000, 100)):
        service = LargeService(statefulset("db", range(pods)))
        async with opened(service) as (source, _):
            changes = await poll_often(lambda: source.observe(timeout=TIMEOUT), polls)
        assert (changes.incomplete, changes.joined, changes.left, changes.replaced) == (
            {},
            [],
            [],
            [],
        )


def test_the_limits_are_those_of_the_documentation() -> None:
    assert (MOST_VERIFIED, ROUND_POLLS, LISTING_POLLS, MOST_UNSEEN) == (64, 32, 16, 8)


async def test_the_collector_visits_few_objects_for_each_pod() -> None:
    """A peer, its address and two tuples: CPython's collector holds the event loop for them.

    20,000 of them take two milliseconds in a collection of the oldest generation.
    """
    few, many = 1000, 5000

    async def tracked(pods: int) -> tuple[HeadlessDNS, int]:
        service = LargeService(statefulset("db", range(pods)))
        async with opened(service) as (source, _):
            gc.collect()
            before = len(gc.get_objects())
            for _ in range(2):
                observation = await source.observe(timeout=TIMEOUT)
            assert isinstance(observation, Answered)
            gc.collect()
            return source, len(gc.get_objects()) - before

    _, less = await tracked(few)
    _, more = await tracked(many)
    assert more - less < 4.1 * (many - few)


@pytest.mark.parametrize("earlier", [0, 2])
async def test_nothing_of_a_poll_stays_until_the_next_garbage_collection(earlier: int) -> None:
    """At 5,000 pods it would be some 400 KiB of each poll."""
    async with opened(LargeService(statefulset("db", range(1500)))) as (source, _):
        for _ in range(earlier):
            await source.observe(timeout=TIMEOUT)
        gc.collect()
        gc.disable()
        try:
            await source.observe(timeout=TIMEOUT)
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            left = {type(one).__name__ for one in gc.garbage}
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
    assert not left & {"AddressRecords", "PartialEnumeration", "Batch"}
