"""Replicas that disagree permanently: a change that was undone takes longer to confirm again."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from peerdisco.membership.machine import Membership
from peerdisco.membership.schedule import Schedule
from peerdisco.model import Answered, Peer
from tests.unit.membership.test_machine import pod, saw, three

Pick = Callable[[random.Random, int], int]
NEW, OLD = three(pod("db-1", "10.9.0.1")), three()
HOUR = 3600


def turn(chance: random.Random, last: int) -> int:
    return last + 1


def at_random(chance: random.Random, last: int) -> int:
    return chance.randrange(1000)


def sticky(chance: random.Random, last: int) -> int:
    """Connection tracking keeps a client with one replica for half a minute or so."""
    return chance.randrange(1000) if chance.random() < 0.03 else last


def mostly_the_first(chance: random.Random, last: int) -> int:
    return 0 if chance.random() < 0.75 else chance.randrange(1000)


PICKS: list[Pick] = [turn, at_random, sticky, mostly_the_first]


def reported(
    replicas: list[tuple[Peer, ...]], pick: Pick, seed: int, *, seconds: float = HOUR, ttl: float
) -> list[tuple[float, str]]:
    """The reports about db-1 while the replicas list these; before, all list ``OLD``."""
    machine, schedule, chance = Membership(), Schedule(), random.Random(seed)
    reports: list[tuple[float, str]] = []
    now, replica = -60.0, 0
    while now < seconds:
        replica = pick(chance, replica)
        peers = OLD if now < 0 else replicas[replica % len(replicas)]
        for step in (machine.observe(Answered(peers, ttl), now), machine.tick(now)):
            reports += [(now, f"joined {peer.address}") for peer in step.joined]
            reports += [(now, f"left {peer.address}") for peer in step.left]
            reports += [(now, f"now {peer.address}") for _, peer in step.replaced]
        now += schedule.wait(machine, now, chance.random())
    return [report for report in reports if report[0] >= 0]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ttl", [5.0, 30.0])
@pytest.mark.parametrize("pick", PICKS)
def test_replaced_does_not_flap_between_two_replicas(pick: Pick, ttl: float, seed: int) -> None:
    reports = reported([NEW, OLD], pick, seed, ttl=ttl)
    assert reports, "the new address is reported"
    if pick is sticky:  # at first, the same as a pod that gets its former address back
        assert len(reports) <= 12
        assert len([at for at, _ in reports if at > HOUR / 2]) <= 2
    else:
        assert len(reports) <= 3
        assert reports[-1][0] < 120


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("pick", [turn, at_random, sticky])
def test_nor_between_three_addresses(pick: Pick, seed: int) -> None:
    replicas = [NEW, three(pod("db-1", "10.9.0.2")), OLD]
    reports = reported(replicas, pick, seed, ttl=5.0)
    assert {"now 10.9.0.1", "now 10.9.0.2"} <= {what for _, what in reports}
    assert len(reports) <= (14 if pick is sticky else 4)
    assert len([at for at, _ in reports if at > HOUR / 2]) <= 3


@pytest.mark.parametrize("seed", range(4))
def test_nor_between_an_old_port_and_a_new_one(seed: int) -> None:
    reports = reported([three(pod("db-1", port=3307)), OLD], at_random, seed, ttl=5.0)
    assert 1 <= len(reports) <= 3


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("pick", PICKS)
def test_a_departure_does_not_flap(pick: Pick, seed: int) -> None:
    """One replica lists a pod permanently that has left."""
    reports = reported([three(without="db-1"), OLD], pick, seed, ttl=5.0)
    early = [at for at, _ in reports if at < HOUR / 4]
    late = [at for at, _ in reports if at > HOUR / 4]
    assert len(early) <= 10
    assert len(late) <= (14 if pick in (sticky, mostly_the_first) else 0)


def returning(machine: Membership, begin: float) -> float:
    """How long a former address must be listed until it is reported."""
    now = begin
    while not machine.observe(saw(*OLD), now).replaced and not machine.tick(now).replaced:
        now += 1.0
        assert now < begin + 1000
    return now - begin


def moved() -> Membership:
    machine = Membership()
    for now in range(0, 20, 2):
        machine.observe(saw(*OLD), now)
    assert machine.observe(saw(*NEW), 20).replaced
    return machine


def test_a_pod_that_gets_its_old_address_back_is_reported_as_fast_as_a_departure() -> None:
    assert returning(moved(), 25) == 4.0
    assert returning(moved(), 10_000) == 4.0


def test_the_time_until_it_is_reported_doubles_and_has_a_limit() -> None:
    machine, now, took = moved(), 25.0, []
    for _ in range(9):
        machine.observe(saw(*OLD), now)  # a replica that lags
        machine.observe(saw(*NEW), now + 1)
        took.append(returning(machine, now + 2))
        now += 4 + took[-1]
        machine.observe(saw(*NEW), now)
        while not machine.observe(saw(*NEW), now).replaced:
            now += 1
        now += 2
    assert took == sorted(took)
    assert took[0] == 9.0
    assert took[-1] == 319.0


def test_undone_changes_are_forgotten_in_the_end() -> None:
    machine, now = moved(), 25.0
    for _ in range(20):
        machine.observe(saw(*OLD), now)
        machine.observe(saw(*NEW), now + 1)
        now += 2
    now += 6 * 600
    machine.observe(saw(*NEW), now)
    assert returning(machine, now + 2) == 4.0


def test_a_new_address_is_reported_at_once_after_any_undone_change() -> None:
    machine, now = moved(), 25.0
    for number in range(30):
        machine.observe(saw(*OLD), now)
        machine.observe(saw(*NEW), now + 1)
        now += 2
        new = three(pod("db-1", f"10.9.1.{number}"))
        assert machine.observe(saw(*new), now).replaced
        now = now + 2
        while machine.peers != NEW:
            machine.observe(saw(*NEW), now)
            now += 1


def test_a_pod_with_another_address_after_its_departure_is_not_suspected() -> None:
    machine = Membership()
    for now in range(0, 20, 2):
        machine.observe(saw(*OLD), now)
    now = 20.0
    for number in range(10):
        begin = now
        while not machine.observe(saw(*three(without="db-1")), now).left:
            now += 1
        assert now - begin == 4.0
        now += 1
        assert machine.observe(saw(*three(pod("db-1", f"10.9.0.{number}"))), now).joined
        now += 1
