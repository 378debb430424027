"""A server that lists every pod without its address, as BIND does beyond 13 SRV records."""

from __future__ import annotations

import pytest

from peerdisco.dns import wire
from peerdisco.model import Answered, Peer
from peerdisco.sources.headless_dns import HeadlessDNS
from peerdisco.sources.large.rotation import LISTING_POLLS, MOST_VERIFIED, ROUND_POLLS

from .polling import TIMEOUT, opened
from .service import LargeService, Pod, address, statefulset

PODS = 320
TURN = PODS // ROUND_POLLS
"""Pods that a poll verifies in turn."""
QUIET = {wire.A: 1 + TURN, wire.AAAA: 1}


class WithoutGlue(LargeService):
    """The SRV answer of the service has no addresses; there are none of the pods' own names.

    Attributes:
        stray: An address of the service's name that no pod has.
    """

    stray: bytes | None = None

    def _find(self, name: bytes, rtype: int) -> tuple[int, list[bytes], list[bytes]]:
        rcode, answers, _ = super()._find(name, rtype)
        own = name != wire.name_from_text(self.name)
        if rtype == wire.A and not own and self.stray is not None:
            ghost = LargeService([Pod("ghost", (self.stray,))])
            answers = answers + ghost._find(name, rtype)[1]
        return rcode, [] if own and rtype == wire.SRV else answers, []


async def look_up(source: HeadlessDNS, service: LargeService) -> tuple[Peer, ...]:
    """The peers, which must be complete, with the number of questions in `service.asked`."""
    service.asked.clear()
    observation = await source.observe(timeout=TIMEOUT)
    assert isinstance(observation, Answered)
    assert observation.incomplete_reason is None
    return observation.peers


def check(peers: tuple[Peer, ...], service: LargeService) -> None:
    found = {peer.name: tuple(a.packed for a in peer.addresses) for peer in peers}
    assert found == {name: pod.packed for name, pod in service.pods.items()}
    assert {peer.name: dict(peer.ports) for peer in peers} == {
        name: {"": pod.port} for name, pod in service.pods.items()
    }


async def test_a_poll_that_finds_nothing_new_queries_the_service_and_some_pods_in_turn() -> None:
    service = WithoutGlue(statefulset("db", range(PODS)))
    async with opened(service) as (source, _):
        first = await look_up(source, service)
        check(first, service)
        asked: list[dict[int, int]] = []
        for _ in range(2 * LISTING_POLLS):
            assert await look_up(source, service) is first, "what did not change is the same object"
            asked.append(dict(service.asked))
    assert asked.count(QUIET) == 2 * LISTING_POLLS - 2
    assert asked.count(QUIET | {wire.SRV: 1}) == 2, "one in 16 polls shows ports that changed"


@pytest.mark.parametrize(
    "change",
    [
        lambda pods: pods.update({"db-9999": Pod("db-9999", (address(7000),))}),
        lambda pods: pods.update({"db-320": Pod("db-320", (address(7000),), 5432)}),
        lambda pods: pods.update({"one": Pod("one", (address(7000),))}),
        lambda pods: pods.pop("db-77"),
        lambda pods: pods.update({"db-5": Pod("db-5", (address(7001),))}),
        lambda pods: pods.update({"db-5": Pod("db-5", (address(7001), address(7002)))}),
        lambda pods: pods.update({"db-5": Pod("db-5", (*pods["db-5"].packed, bytes(16)))}),
        lambda pods: [pods.pop(f"db-{n}") for n in range(0, PODS, 2)],
        lambda pods: pods.update({"db-400": Pod("db-400", pods.pop("db-3").packed)}),
    ],
    ids=[
        "joins",
        "other port",
        "no ordinal",
        "leaves",
        "moves",
        "two",
        "family",
        "half leave",
        "reuse",
    ],
)
async def test_a_change_is_found(change: object) -> None:
    """By the next lookup; an address that another pod took over, when its turn comes."""
    service = WithoutGlue(statefulset("db", range(PODS)))
    async with opened(service) as (source, _):
        for _ in range(3):
            check(await look_up(source, service), service)
        before = {name: pod.packed for name, pod in service.pods.items()}
        change(service.pods)  # type: ignore[operator]
        same = {p for many in before.values() for p in many} == {
            p for pod in service.pods.values() for p in pod.packed
        }
        for _ in range(LISTING_POLLS if same else 1):
            peers = await look_up(source, service)
        check(peers, service)
        check(await look_up(source, service), service)
        assert sum(service.asked.values()) <= 8 + MOST_VERIFIED or len(service.pods) < PODS


async def test_pods_that_swap_their_addresses_are_found_within_their_turn() -> None:
    service = WithoutGlue(statefulset("db", range(PODS)))
    async with opened(service) as (source, _):
        await look_up(source, service)
        one, other = service.pods["db-8"], service.pods["db-9"]
        service.pods |= {"db-8": Pod("db-8", other.packed), "db-9": Pod("db-9", one.packed)}
        for _ in range(ROUND_POLLS):
            peers = await look_up(source, service)
        check(peers, service)


async def test_a_port_that_changed_is_found_within_16_polls() -> None:
    service = WithoutGlue(statefulset("db", range(PODS)))
    async with opened(service) as (source, _):
        await look_up(source, service)
        service.pods["db-8"] = Pod("db-8", service.pods["db-8"].packed, 5432)
        for _ in range(LISTING_POLLS):
            peers = await look_up(source, service)
        check(peers, service)


async def test_refresh_verifies_every_pod() -> None:
    service = WithoutGlue(statefulset("db", range(PODS)))
    async with opened(service) as (source, _):
        await look_up(source, service)
        source.refresh()
        await look_up(source, service)
        assert service.asked == {wire.SRV: 1, wire.A: 1 + PODS, wire.AAAA: 1}
        await look_up(source, service)
        assert service.asked == QUIET


@pytest.mark.parametrize("why", ["shared", "stray", "few"])
async def test_every_pod_is_queried_where_the_addresses_of_the_service_prove_nothing(
    why: str,
) -> None:
    """Pods share an address, another one is shown, or so many may be verified in each poll."""
    service = WithoutGlue(statefulset("db", range(MOST_VERIFIED if why == "few" else PODS)))
    if why == "shared":
        service.pods["db-8"] = Pod("db-8", service.pods["db-9"].packed)
    service.stray = address(9999) if why == "stray" else None
    async with opened(service) as (source, _):
        for _ in range(3):
            check(await look_up(source, service), service)
            assert service.asked[wire.A] == 1 + len(service.pods)
        del service.pods["db-8"]
        check(await look_up(source, service), service)


async def test_after_a_failed_query_every_pod_is_queried() -> None:
    service = WithoutGlue(statefulset("db", range(PODS)))
    async with opened(service) as (source, _):
        await look_up(source, service)
        service.refuses = {wire.AAAA}
        observation = await source.observe(timeout=TIMEOUT)
        assert isinstance(observation, Answered)
        assert len(observation.peers) == PODS
        service.refuses = set()
        for _ in range(3):
            check(await look_up(source, service), service)
        assert service.asked == QUIET
