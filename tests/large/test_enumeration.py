"""Services that do not fit into one answer: every pod is found, or the list is incomplete."""

from __future__ import annotations

import asyncio
import socket
import weakref
from collections.abc import Generator, Iterable
from typing import Any

import pytest

from peerdisco.dns import wire
from peerdisco.dns.fast_path import ServiceRecords
from peerdisco.model import Answered, Observation, Peer
from peerdisco.sources.large.enumeration import Enumeration
from peerdisco.sources.large.invented import MOST_AT_ONE_ADDRESS
from peerdisco.sources.large.ordinals import MARGIN
from peerdisco.sources.large.rotation import LISTING_POLLS, MOST_VERIFIED, ROUND_POLLS
from peerdisco.sources.peer_factory import PeerFactory

from .polling import TIMEOUT, opened, poll_often, quiet_polls
from .service import LargeService, Pod, address, statefulset

pytestmark = pytest.mark.timeout(180)

LARGEST_A_ANSWER = 4092
"""So many addresses fit into 64 KiB."""


def names(observation: Observation) -> list[str]:
    assert isinstance(observation, Answered), observation
    return sorted(peer.name for peer in observation.peers)


def check(observation: Observation, service: LargeService, *, port: int | None = 3306) -> None:
    """Every pod of the service, with its address and its port, and that this is all."""
    assert isinstance(observation, Answered)
    assert observation.incomplete_reason is None
    assert names(observation) == sorted(service.pods)
    for peer in observation.peers:
        pod = service.pods[peer.name]
        expected = sorted(pod.packed, key=lambda packed: (len(packed), packed))
        assert [a.packed for a in peer.addresses] == expected
        assert dict(peer.ports) == ({} if port is None else {"": pod.port})
    assert observation.ttl == 5


def verified(pods: int) -> int:
    """How many pods a poll verifies in turn."""
    return min(MOST_VERIFIED, -(-pods // ROUND_POLLS))


async def two_lookups(service: LargeService, *, port: int | None = 3306) -> dict[str, int]:
    """Make two lookups that list every pod; returns the number of questions of the second one."""
    async with opened(service) as (source, _):
        first = await source.observe(timeout=TIMEOUT)
        check(first, service, port=port)
        service.asked.clear()
        service.absent.clear()
        second = await source.observe(timeout=TIMEOUT)
        check(second, service, port=port)
        assert isinstance(first, Answered)
        assert isinstance(second, Answered)
        assert second.peers is first.peers, "what did not change is the same object"
    return {wire.TYPE_NAMES[rtype]: count for rtype, count in service.asked.items()}


# Sizes.


@pytest.mark.parametrize("pods", [3, 100, 850])
async def test_what_fits_takes_one_question(pods: int) -> None:
    service = LargeService(statefulset("db", range(pods)))
    assert await two_lookups(service) == {"SRV": 1}


@pytest.mark.parametrize("pods", [900, 1000, 2000, LARGEST_A_ANSWER - 2])
async def test_beyond_one_answer_a_few_pods_are_queried(pods: int) -> None:
    """And the service's own name, but neither absent pods nor PTR records."""
    service = LargeService(statefulset("db", range(pods)))
    assert await two_lookups(service) == {"A": 1 + verified(pods), "AAAA": 1}
    assert service.absent == []


@pytest.mark.parametrize("pods", [LARGEST_A_ANSWER + 10, 5000])
async def test_beyond_one_answer_of_addresses(pods: int) -> None:
    """The service's addresses are queried twice, to see that they are a random part."""
    service = LargeService(statefulset("db", range(pods)))
    assert await two_lookups(service) == {"A": 2 + verified(pods), "AAAA": 1}
    assert service.absent == []


async def test_absent_pods_are_hardly_asked_for() -> None:
    """By the first lookup too; later lookups query none of them."""
    service = LargeService(statefulset("db", range(5000)))
    async with opened(service) as (source, _):
        check(await source.observe(timeout=TIMEOUT), service)
        assert len(service.absent) <= 2 * 64
        assert len(set(service.absent)) == len(service.absent)
        service.absent.clear()
        for _ in range(3):
            check(await source.observe(timeout=TIMEOUT), service)
        assert service.absent == []


# Shapes.

SHAPES: dict[str, list[Pod]] = {
    "ordinals from 1000 on": statefulset("db", range(1000, 3000)),
    "holes": [p for p in statefulset("db", range(2500)) if int(p.label[3:]) % 7],
    "a wide hole": statefulset("db", [*range(200), *range(1700, 3000)]),
    "several StatefulSets": [
        *statefulset("db", range(1500)),
        *statefulset("db-replica", range(700), 10_000),
        *statefulset("arbiter", range(1), 20_000),
    ],
    "other pods": [
        *statefulset("db", range(1200)),
        *[Pod(f"10-9-0-{n}", (address(30_000 + n),)) for n in range(200)],
        *[Pod(f"extra-{n:x}-pod", (address(40_000 + n),)) for n in range(50)],
    ],
    "more than one answer of addresses, holes": [
        p for p in statefulset("db", range(5400)) if int(p.label[3:]) % 17
    ],
    "more than one answer of addresses, several StatefulSets": [
        *statefulset("db", range(3000)),
        *statefulset("web", range(5, 2005), 10_000),
    ],
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_every_pod_is_found(shape: str) -> None:
    service = LargeService(SHAPES[shape], seed=5)
    await two_lookups(service)


@pytest.mark.parametrize("seed", range(4))
async def test_every_pod_is_found_in_any_order(seed: int) -> None:
    await two_lookups(LargeService(statefulset("db", range(2000)), seed=seed))


def dual(pods: int) -> list[Pod]:
    return [Pod(f"db-{n}", (address(n + 1), six(n + 1))) for n in range(pods)]


def six(number: int) -> bytes:
    return socket.inet_pton(socket.AF_INET6, "fd00::")[:12] + number.to_bytes(4, "big")


@pytest.mark.parametrize("pods", [700, 1500])
async def test_dual_stack_pods_have_both_addresses(pods: int) -> None:
    """At 700 pods the names fit, and of their addresses one family of some."""
    await two_lookups(LargeService(dual(pods)))


async def test_ipv6_pods_are_asked_for_with_aaaa_alone() -> None:
    service = LargeService([Pod(f"db-{n}", (six(n),)) for n in range(1500)])
    asked = await two_lookups(service)
    assert asked == {"A": 1, "AAAA": 1 + verified(1500)}


async def test_pods_without_host_names() -> None:
    """Dashed names have no ordinal: the PTR of each address names it, in the first lookup only."""
    service = LargeService([Pod(f"10-0-{n // 250}-{n % 250}", (address(n),)) for n in range(2000)])
    asked = await two_lookups(service)
    assert asked == {"A": 1 + verified(2000), "AAAA": 1}


@pytest.mark.parametrize("pods", [1500, 4500])
async def test_a_service_without_ports(pods: int) -> None:
    """It has no SRV records at all."""
    labels = statefulset("db", range(pods))
    service = LargeService([Pod(pod.label, pod.packed, None) for pod in labels])
    async with opened(service) as (source, _):
        for _ in range(2):
            check(await source.observe(timeout=TIMEOUT), service, port=None)


async def test_ports_that_differ_are_asked_for() -> None:
    """A named ``targetPort`` may be another number in each pod; what is not listed is asked."""
    pods = [Pod(f"db-{n}", (address(n + 1),), 3306 + n % 2) for n in range(2000)]
    service = LargeService(pods)
    async with opened(service) as (source, _):
        check(await source.observe(timeout=TIMEOUT), service)
        service.asked.clear()
        check(await source.observe(timeout=TIMEOUT), service)
        assert wire.SRV not in service.asked, "they are known, as long as the address is the same"
        for pod in pods:
            service.pods[pod.label] = Pod(pod.label, pod.packed, 5000)
        for _ in range(LISTING_POLLS):
            observation = await source.observe(timeout=TIMEOUT)
        check(observation, service)


async def test_pods_that_share_an_address() -> None:
    """With ``hostNetwork`` the addresses do not show how many pods there are."""
    pods = [Pod(f"db-{n}", (address(n // 2 + 1),)) for n in range(1800)]
    service = LargeService(pods)
    async with opened(service) as (source, _):
        for _ in range(2):
            check(await source.observe(timeout=TIMEOUT), service)


async def test_names_that_are_as_long_as_names_can_be() -> None:
    """No ordinal is asked for that does not fit into a label."""
    pods = statefulset("d" * 59, range(900))
    async with opened(LargeService(pods)) as (source, _):
        observation = await source.observe(timeout=TIMEOUT)
        assert len(names(observation)) == 900
    many = statefulset("d" * 58, range(4500))
    service = LargeService(many)
    async with opened(service) as (source, _):
        check(await source.observe(timeout=TIMEOUT), service)


async def test_a_named_port_lists_the_pods_that_have_it() -> None:
    """Whose answer is truncated too, and whose addresses are those of these pods alone."""

    class Named(LargeService):
        def _find(self, name: bytes, rtype: int) -> tuple[int, list[bytes], list[bytes]]:
            prefix = wire.name_from_text("_mysql._tcp")[:-1]
            if not name.startswith(prefix):
                return super()._find(name, rtype)
            everybody = self.pods
            self.pods = {n: pod for n, pod in everybody.items() if pod.port == 3306}
            try:
                answers = super()._find(name[len(prefix) :], rtype)
            finally:
                self.pods = everybody
            return answers

    pods = [Pod(f"db-{n}", (address(n + 1),), 3306 if n < 1500 else 9104) for n in range(1600)]
    async with opened(Named(pods), port_name="mysql") as (source, _):
        for _ in range(2):
            observation = await source.observe(timeout=TIMEOUT)
            assert isinstance(observation, Answered)
            assert observation.incomplete_reason is None
            assert names(observation) == sorted(f"db-{n}" for n in range(1500))
            assert {str(dict(peer.ports)) for peer in observation.peers} == {"{'mysql': 3306}"}


# Changes.


async def test_changes_show_at_once() -> None:
    service = LargeService(statefulset("db", range(2000)))
    async with opened(service) as (source, _):
        check(await source.observe(timeout=TIMEOUT), service)
        service.pods["db-7"] = Pod("db-7", (address(9_000),))
        check(await source.observe(timeout=TIMEOUT), service)
        del service.pods["db-1234"]
        check(await source.observe(timeout=TIMEOUT), service)
        for pod in statefulset("db", range(2000, 2100), 50_000):
            service.pods[pod.label] = pod
        check(await source.observe(timeout=TIMEOUT), service)
        service.pods["db-1234"] = Pod("db-1234", (address(9_001),))
        check(await source.observe(timeout=TIMEOUT), service)
        for pod in statefulset("other", range(30), 60_000):
            service.pods[pod.label] = pod
        check(await source.observe(timeout=TIMEOUT), service)


async def test_without_reverse_zones_new_pods_are_found_by_their_ordinals() -> None:
    service = LargeService(statefulset("db", range(1500)))
    service.refuses = {wire.PTR}
    async with opened(service) as (source, _):
        check(await source.observe(timeout=TIMEOUT), service)
        for pod in statefulset("db", range(1500, 1503), 50_000):
            service.pods[pod.label] = pod
        # The ordinals were queried a moment ago, and are not queried again so soon: an SRV answer
        # that happens to hold the new pods shows them.
        for _ in range(20):
            observation = await source.observe(timeout=TIMEOUT)
            assert isinstance(observation, Answered)
            if observation.incomplete_reason is None:
                break
            assert "the names of 3 of 1503 addresses" in observation.incomplete_reason
        check(observation, service)


async def test_an_old_address_of_a_pod_that_has_left_is_no_riddle() -> None:
    """An answer about the service may be older than that about a pod: caches hold each alone."""

    class Cached(LargeService):
        held: dict[str, Pod]

        def _in_slices(self) -> list[Pod]:
            return list(self.held.values())

    service = Cached(statefulset("db", range(1500)))
    service.held = dict(service.pods)
    async with opened(service) as (source, _):
        check(await source.observe(timeout=TIMEOUT), service)
        del service.pods["db-7"]
        service.pods["db-9"] = Pod("db-9", (address(60_000),))
        source.refresh()
        observation = await source.observe(timeout=TIMEOUT)
        assert isinstance(observation, Answered)
        assert observation.incomplete_reason is None
        listed = {peer.name: peer for peer in observation.peers}
        assert [a.packed for a in listed["db-9"].addresses] == [address(60_000)]
        service.held = dict(service.pods)
        check(await source.observe(timeout=TIMEOUT), service)


async def test_it_grows_beyond_one_answer_and_shrinks_again() -> None:
    service = LargeService(statefulset("db", range(10)))
    async with opened(service) as (source, _):
        for pods in (10, 800, 1500, 5000, 1000, 3):
            service.pods = {pod.label: pod for pod in statefulset("db", range(pods))}
            check(await source.observe(timeout=TIMEOUT), service)


async def test_pods_that_make_the_addresses_too_many_are_found() -> None:
    """The known ones are the same as before, and the answer is truncated for the first time."""
    service = LargeService(statefulset("db", range(4080)))
    async with opened(service) as (source, _):
        for _ in range(2):
            check(await source.observe(timeout=TIMEOUT), service)
        for pod in statefulset("db", range(4080, 4100), 50_000):
            service.pods[pod.label] = pod
        check(await source.observe(timeout=TIMEOUT), service)


async def test_a_connection_that_is_lost_again_and_again_costs_no_pod() -> None:
    service = LargeService(statefulset("db", range(2000)))
    async with opened(service) as (source, server):
        server.hangs_up_after = 600
        for _ in range(3):
            check(await source.observe(timeout=TIMEOUT), service)
        assert server.accepted > 3


# What cannot be closed.


def reason(observation: Observation) -> str:
    assert isinstance(observation, Answered)
    assert observation.incomplete_reason is not None
    return observation.incomplete_reason


async def test_addresses_that_come_in_the_same_order_each_time_prove_nothing() -> None:
    service = LargeService(statefulset("db", range(5000)))
    service.shuffles = False
    async with opened(service) as (source, _):
        for _ in range(2):
            observation = await source.observe(timeout=TIMEOUT)
            assert "every answer has the same part of its addresses" in reason(observation)
            # Its one StatefulSet is found all the same.
            assert names(observation) == sorted(service.pods)


async def test_too_many_pods_without_ordinals() -> None:
    pods = [Pod(f"10-0-{n // 250}-{n % 250}", (address(n),)) for n in range(4500)]
    async with opened(LargeService(pods)) as (source, _):
        assert "have no ordinal" in reason(await source.observe(timeout=TIMEOUT))


async def test_addresses_without_names() -> None:
    """Pods whose ordinals are out of reach, and a server without reverse zones."""
    pods = [*statefulset("db", range(1200)), *statefulset("far", range(500), 10_000)]
    service = LargeService(pods)
    service.shuffles = False  # so that the truncated answer holds no pod of the second one
    service.refuses = {wire.PTR}
    async with opened(service) as (source, _):
        why = reason(await source.observe(timeout=TIMEOUT))
    assert "the names of 500 of 1700 addresses are not known (SERVFAIL" in why


@pytest.mark.parametrize("refused", [wire.A, wire.AAAA])
async def test_a_family_that_is_not_known(refused: int) -> None:
    service = LargeService(statefulset("db", range(1500)))
    service.refuses = {refused}
    async with opened(service) as (source, _):
        observation = await source.observe(timeout=TIMEOUT)
    assert "one address family is not known (SERVFAIL" in reason(observation)


async def test_some_pods_that_no_server_lists() -> None:
    class Partly(LargeService):
        def reply(self, query: bytes, transport: str = "tcp") -> bytes:
            raw = super().reply(query, transport)
            if query[12:18] == b"\x05db-77":
                return raw[:3] + bytes((wire.SERVFAIL,)) + raw[4:]
            return raw

    service = Partly(statefulset("db", range(1500)))
    async with opened(service) as (source, _):
        observation = await source.observe(timeout=TIMEOUT)
        assert "the addresses of 1 of" in reason(observation)
        assert "SERVFAIL from" in reason(observation)
        assert set(service.pods) - set(names(observation)) <= {"db-77"}


async def test_a_deadline_that_is_too_short() -> None:
    service = LargeService(statefulset("db", range(3000)))
    async with opened(service) as (source, _):
        observation = await source.observe(timeout=0.02)
        assert not isinstance(observation, Answered) or observation.incomplete_reason
        # The next lookup uses what it learned.
        check(await source.observe(timeout=TIMEOUT), service)


async def test_a_name_with_a_huge_ordinal_costs_no_flood() -> None:
    pods = [*statefulset("db", range(4500)), Pod("db-2000000000", (address(100_000),))]
    service = LargeService(pods)
    async with opened(service) as (source, _):
        observation = await source.observe(timeout=TIMEOUT)
        assert isinstance(observation, Answered)
        assert set(names(observation)) >= {f"db-{n}" for n in range(4500)}
        assert len(service.absent) < 12_000


async def test_what_the_first_lookup_took_is_free_before_the_peers_are_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise the process keeps the memory of both."""
    ended: list[weakref.ref[Enumeration]] = []
    run, make = Enumeration.run, PeerFactory.peers_in_slices
    alive: list[object] = []

    async def noted(enumeration: Enumeration, listing: ServiceRecords) -> None:
        ended.append(weakref.ref(enumeration))
        await run(enumeration, listing)

    def peers(factory: PeerFactory, *found: Any) -> Generator[None, None, tuple[Peer, ...]]:
        alive.extend(enumeration() for enumeration in ended)
        return make(factory, *found)

    monkeypatch.setattr(Enumeration, "run", noted)
    monkeypatch.setattr(PeerFactory, "peers_in_slices", peers)
    service = LargeService(statefulset("db", range(1100)))
    async with opened(service) as (source, _):
        check(await source.observe(timeout=TIMEOUT), service)
    assert alive == [None]


@pytest.mark.parametrize("shuffles", [True, False])
@pytest.mark.parametrize("pods", [4500, 6000])
async def test_a_wildcard_record_invents_no_pods(pods: int, shuffles: bool) -> None:
    """The server has an address for every name, so that no ordinal is absent."""
    service = LargeService(statefulset("db", range(pods)))
    service.wildcard = address(200_000)
    service.shuffles = shuffles
    timeout = 5.0
    now = asyncio.get_running_loop().time
    async with opened(service) as (source, _):
        for _ in range(2):
            start, before = now(), service.asked.get(wire.A, 0)
            observation = await source.observe(timeout=timeout)
            assert now() - start < timeout + 0.5
            assert "a wildcard record" in reason(observation)
            assert set(names(observation)) <= set(service.pods)
            assert service.asked[wire.A] - before < pods + 2 * (MOST_AT_ONE_ADDRESS + 1024)


# Over many lookups.


@pytest.mark.parametrize(("pods", "lookups"), [(2000, 40), (5000, 15)])
async def test_nobody_joins_or_leaves_in_vain(pods: int, lookups: int) -> None:
    changes = await quiet_polls(pods, lookups)
    assert (changes.lookups, changes.incomplete) == (lookups, {})
    assert (changes.joined, changes.left, changes.replaced) == ([], [], [])


async def test_changes_are_reported_and_nothing_else() -> None:
    service = LargeService(statefulset("db", range(4500)))
    steps: dict[int, Iterable[Pod] | str] = {
        3: statefulset("db", range(4500, 4503), 50_000),
        6: "db-100",
        14: [Pod("db-200", (address(70_000),))],
    }

    def change(lookup: int) -> None:
        step = steps.get(lookup, ())
        if isinstance(step, str):
            del service.pods[step]
            return
        service.pods |= {pod.label: pod for pod in step}

    async with opened(service) as (source, _):
        changes = await poll_often(lambda: source.observe(timeout=TIMEOUT), 20, between=change)
    assert sorted(changes.joined) == ["db-4500", "db-4501", "db-4502"]
    assert changes.left == ["db-100"]
    assert changes.replaced == ["db-200"]


def test_the_margin_is_what_the_documentation_says() -> None:
    assert MARGIN == 16
