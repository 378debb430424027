"""When the next poll is due."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerdisco.exceptions import ResolverUnavailable
from peerdisco.membership.machine import Membership
from peerdisco.membership.rules import ConfirmationRules
from peerdisco.membership.schedule import Schedule
from peerdisco.model import Failed, Outcome
from peerdisco.testing import failure, nxdomain, peers
from tests.unit.membership.test_machine import saw, settled, three

SCHEDULE = Schedule()
CHANCES = (0.0, 0.25, 0.5, 0.999)


def quiet() -> Membership:
    return settled()


def failing(times: int, outcome: Outcome = Outcome.TIMEOUT) -> Membership:
    machine = settled()
    for _ in range(times):
        machine.observe(failure(outcome), 5.0)
    return machine


def cached(ttl: float) -> Membership:
    """A machine that knows a cache, with this TTL at ten seconds."""
    machine = Membership()
    machine.observe(saw(*three(), ttl=ttl + 2), 8.0)
    machine.observe(saw(*three(), ttl=ttl), 10.0)
    return machine


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 1.8), (0.25, 1.9), (0.5, 2.0), (0.75, 2.1)])
def test_an_interval_with_jitter(chance: float, seconds: float) -> None:
    assert SCHEDULE.wait(quiet(), 5.0, chance) == pytest.approx(seconds)


def test_without_jitter_chance_does_not_count() -> None:
    schedule = Schedule(jitter=0)
    assert {schedule.wait(quiet(), 5.0, chance) for chance in CHANCES} == {2.0}


def test_twice_as_often_while_something_is_unconfirmed() -> None:
    machine = quiet()
    machine.observe(saw(*three(without="db-1")), 6.0)
    assert SCHEDULE.wait(machine, 6.0, 0.5) == 1.0


def test_a_confirmed_empty_service_is_polled_each_interval() -> None:
    machine = Membership()
    machine.observe(nxdomain(), 0.0)
    assert SCHEDULE.wait(machine, 0.0, 0.5) == 2.0


def test_failures_double_the_wait_up_to_its_limit() -> None:
    waits = [SCHEDULE.wait(failing(times), 5.0, 0.5) for times in range(1, 8)]
    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0]


@pytest.mark.parametrize(
    ("outcome", "replied"),
    [
        (Outcome.SERVFAIL, True),
        (Outcome.REFUSED, True),
        (Outcome.ERROR, True),
        (Outcome.MALFORMED, True),
        (Outcome.TIMEOUT, False),
        (Outcome.UNREACHABLE, False),
    ],
)
def test_a_server_that_replies_is_polled_as_often_as_a_healthy_one(
    outcome: Outcome, replied: bool
) -> None:
    waits = [SCHEDULE.wait(failing(times, outcome), 5.0, 0.5) for times in (1, 2, 3, 4, 5, 1000)]
    assert waits == ([1.0, 2.0, 2.0, 2.0, 2.0, 2.0] if replied else [1.0, 2.0, 4.0, 8.0, 8.0, 8.0])


def test_after_a_long_silence_the_first_reply_is_followed_soon() -> None:
    machine = failing(100)
    assert SCHEDULE.wait(machine, 5.0, 0.5) == 8.0
    machine.observe(failure(Outcome.SERVFAIL), 6.0)
    assert SCHEDULE.wait(machine, 6.0, 0.5) == 2.0


def test_one_server_of_several_that_replies_is_enough() -> None:
    silent, replies = failure(Outcome.TIMEOUT).error, failure(Outcome.REFUSED).error
    assert isinstance(silent, ResolverUnavailable)
    assert isinstance(replies, ResolverUnavailable)
    machine = settled()
    for _ in range(9):
        both = ResolverUnavailable("db", (*silent.attempts, *replies.attempts, *silent.attempts))
        machine.observe(Failed(both), 5.0)
    assert SCHEDULE.wait(machine, 5.0, 0.5) == 2.0


def test_a_long_interval_does_not_make_a_failing_server_wait_longer() -> None:
    assert Schedule(60.0).wait(failing(9, Outcome.SERVFAIL), 5.0, 0.5) == 8.0


def test_a_thousand_failures_do_not_overflow() -> None:
    machine = quiet()
    machine.failures = 1000
    assert SCHEDULE.wait(machine, 5.0, 0.5) == 8.0


def test_failures_take_precedence_over_unconfirmed_changes() -> None:
    machine = failing(4)
    machine.observe(saw(*three(without="db-1")), 6.0)
    for _ in range(4):
        machine.observe(failure(Outcome.TIMEOUT), 7.0)
    assert machine.unconfirmed
    assert SCHEDULE.wait(machine, 7.0, 0.5) == 8.0


@pytest.mark.parametrize("ttl", [3.0, 20.0, 600.0])
@pytest.mark.parametrize("chance", CHANCES)
def test_a_cached_answer_is_not_polled_before_it_expires(ttl: float, chance: float) -> None:
    wait = SCHEDULE.wait(cached(ttl), 10.0, chance)
    assert ttl <= wait <= ttl + 0.2


@pytest.mark.parametrize("ttl", [1.0, 2.0])
def test_an_answer_that_expires_soon_is_polled_after_an_interval(ttl: float) -> None:
    assert SCHEDULE.wait(cached(ttl), 10.0, 0.5) == 2.0


def test_after_ttl_0_following_a_larger_one_the_lookup_is_repeated_soon() -> None:
    assert SCHEDULE.wait(cached(0.0), 10.0, 0.5) == 0.5
    assert SCHEDULE.wait(cached(0.0), 10.0, 0.0) == SCHEDULE.min_interval == 0.5
    assert Schedule(interval=0.2, min_interval=0.1).wait(cached(0.0), 10.0, 0.5) == 0.2


@settings(derandomize=True, deadline=None)
@given(
    chance=st.floats(0, 1, exclude_max=True),
    failures=st.integers(0, 50),
    unconfirmed=st.booleans(),
    outcome=st.sampled_from([Outcome.TIMEOUT, Outcome.SERVFAIL]),
    interval=st.floats(0.1, 60),
    least=st.floats(0.05, 5),
)
def test_never_sooner_than_the_minimum_never_later_than_the_backoff(
    chance: float,
    failures: int,
    unconfirmed: bool,
    outcome: Outcome,
    interval: float,
    least: float,
) -> None:
    schedule = Schedule(interval, least)
    machine = failing(0)
    if unconfirmed:
        machine.observe(saw(*three(without="db-1")), 6.0)
    for _ in range(failures):
        machine.observe(failure(outcome), 7.0)
    wait = schedule.wait(machine, 7.0, chance)
    assert least <= wait <= max(least, 1.1 * max(interval, 8.0)) + 1e-9


@pytest.mark.parametrize("interval", [1.0, 2.0, 5.0, 30.0])
@pytest.mark.parametrize("chance", CHANCES)
def test_a_departure_is_reported_within_four_intervals(interval: float, chance: float) -> None:
    """It happens just after a lookup that still lists the peer."""
    schedule = Schedule(interval)
    machine = settled(ConfirmationRules(interval=interval))
    now = 4.0 + schedule.wait(machine, 4.0, chance)
    machine.observe(saw(*three()), now)
    departure = now
    for _ in itertools.count():
        now += schedule.wait(machine, now, chance)
        if machine.observe(saw(*three(without="db-2")), now).left:
            break
    assert now - departure <= 4 * interval


# Caches, while something is unconfirmed.


def suspecting(ttl: float) -> Membership:
    """A machine with a cache of 30 s, one pod suspected since ten seconds, and this TTL left."""
    machine = Membership()
    for at, left in ((0.0, 2.0), (2.0, 30.0), (5.0, 27.0), (32.0, 30.0)):
        machine.observe(saw(*three(), ttl=left), at)
    machine.observe(saw(*three(without="db-1"), ttl=30.0), 62.0)
    machine.observe(saw(*three(without="db-1"), ttl=ttl), 62.0 + 30.0 - ttl)
    assert machine.suspected == {"db-1"}
    return machine


def test_a_cached_answer_is_not_asked_for_again_although_a_peer_is_suspected() -> None:
    """It cannot say anything else before it expires."""
    assert SCHEDULE.wait(suspecting(20.0), 72.0, 0.0) == pytest.approx(20.0)
    assert 20.0 < SCHEDULE.wait(suspecting(20.0), 72.0, 1.0) < 20.3


def test_a_departure_is_confirmed_in_time_by_a_cached_answer() -> None:
    """The wait ends with the hold, although the answer does not expire before."""
    machine = suspecting(29.0)
    machine.observe(saw(*three(without="db-1"), ttl=30.0), 92.5)
    machine.observe(saw(*three(without="db-1"), ttl=29.0), 93.5)
    held_until = 62.0 + machine.hold
    assert held_until == 62.0 + 30.0 + 4.0
    wait = SCHEDULE.wait(machine, 93.5, 0.0)
    assert 93.5 + wait == pytest.approx(held_until)
    left = machine.observe(saw(*three(without="db-1"), ttl=27.0), 93.5 + wait).left
    assert [peer.name for peer in left] == ["db-1"]


def test_the_answers_that_a_confirmation_takes_are_collected_before_the_hold_ends() -> None:
    machine = suspecting(29.5)
    assert machine.confirmable_at(62.5, 1.0) == pytest.approx(62.0 + 34.0)
    assert Membership().confirmable_at(0.0, 1.0) == float("inf")
    few = Membership(ConfirmationRules(leave_after=5.0))
    few.observe(saw(*three(), ttl=30.0), 0.0)
    few.observe(saw(*three(without="db-1"), ttl=28.0), 2.0)
    assert few.confirmable_at(2.0, 1.0) == pytest.approx(2.0 + 5.0 - 1.0)


def test_an_empty_answer_is_asked_for_again_although_an_older_one_is_cached() -> None:
    machine = suspecting(20.0)
    machine.observe(nxdomain(), 73.0)
    assert SCHEDULE.wait(machine, 73.0, 0.5) == 1.0


@pytest.mark.parametrize(
    ("pods", "latest"), [(3, 0.2), (9, 0.2), (50, 0.6), (100, 1.2), (5000, 1.2)]
)
def test_the_polls_of_many_pods_are_spread_when_a_cache_expires(pods: int, latest: float) -> None:
    """As far as the second within which the expiry is known leaves of an interval."""
    machine = Membership()
    for at, ttl in ((8.0, 22.0), (10.0, 20.0)):
        machine.observe(replace(peers("db", pods), ttl=ttl), at)
    assert SCHEDULE.wait(machine, 10.0, 0.0) == pytest.approx(20.0)
    assert SCHEDULE.wait(machine, 10.0, 1.0) == pytest.approx(20.0 + latest)
    assert Schedule(jitter=0).wait(machine, 10.0, 1.0) == pytest.approx(20.0)
