"""Answers with TTL 0: served stale, expired at this moment, or configured."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

import pytest

from peerdisco.exceptions import StaleAnswer
from peerdisco.membership.freshness import LONGEST_STALE, MOST_STALE_ANSWERS, Freshness, Staleness
from peerdisco.membership.machine import Changes, Membership
from peerdisco.membership.schedule import Schedule
from peerdisco.model import Answered, Attempt, Empty, Observation, Outcome, Peer
from peerdisco.testing import failure, no_data, nxdomain
from tests.unit.membership.test_machine import names, pod, three

SERVER = Attempt("169.254.20.10:53", "udp", "db.svc.", "SRV", Outcome.ANSWER, 0.001)

Observe = Callable[[float], Observation]


def saw(*peers: Peer, ttl: float = 5.0) -> Answered:
    return Answered(peers, ttl, None, SERVER)


def stale_nxdomain(soa_minimum: float = 5.0) -> Empty:
    return Empty(Outcome.NXDOMAIN, 0.0, SERVER, 0.0, soa_minimum)


class Watcher:
    """The machine, polling as the schedule wants."""

    def __init__(self, seed: int = 0, interval: float = 2.0) -> None:
        self.machine = Membership()
        self.now = 0.0
        self.polls: list[float] = []
        self.changes: list[tuple[float, Changes]] = []
        self.health: list[tuple[float, bool]] = []
        self._chance = random.Random(seed).random
        self._schedule = Schedule(interval, min(0.5, interval))

    def poll(self, until: float, observe: Observe) -> None:
        machine = self.machine
        while self.now < until:
            self.polls.append(self.now)
            for changes in (machine.observe(observe(self.now), self.now), machine.tick(self.now)):
                if changes:
                    self.changes.append((self.now, changes))
            failing = machine.last_error is not None
            if failing != (self.health[-1][1] if self.health else False):
                self.health.append((self.now, failing))
            self.now += self._schedule.wait(machine, self.now, self._chance())

    def names_reported(self, kind: str) -> list[str]:
        return [peer.name for _, changes in self.changes for peer in getattr(changes, kind)]


def always(observation: Observation) -> Observe:
    return lambda now: observation


def counting_down(ttl: int, answer: Callable[[float], Observation]) -> Observe:
    """A cache whose entry is filled at multiples of its TTL, down to 0 in its last second."""
    return lambda now: answer(float(max(0, ttl - 1 - int(now % ttl))))


EMPTY = [
    pytest.param(nxdomain(0.0), id="nxdomain"),
    pytest.param(no_data(0.0), id="no data"),
    pytest.param(stale_nxdomain(), id="nxdomain with a SOA"),
]


@pytest.mark.parametrize("empty", EMPTY)
@pytest.mark.parametrize("interval", [0.5, 2.0, 10.0])
def test_a_stale_nxdomain_is_an_outage_and_not_a_departure(empty: Empty, interval: float) -> None:
    """A cache serves it for as long as it cannot reach its upstream, here for hours."""
    watcher = Watcher(interval=interval)
    watcher.poll(60, always(saw(*three())))
    begin = watcher.now
    watcher.poll(begin + 6 * 3600, always(empty))
    assert watcher.names_reported("left") == []
    machine = watcher.machine
    assert machine.peers == three()
    assert isinstance(machine.last_error, StaleAnswer)
    assert machine.observed_at is not None
    assert machine.observed_at < begin, "the age of the snapshot grows"
    ((degraded, _),) = watcher.health
    assert degraded - begin <= 2.3
    outage = [now for now in watcher.polls if now > begin + 60]
    assert len(outage) < 6 * (watcher.now - begin) / 8, "polling backs off"
    end = watcher.now
    watcher.poll(end + 120, always(saw(*three())))
    assert [failing for _, failing in watcher.health] == [True, False]
    assert watcher.health[-1][0] - end <= 8.8
    assert watcher.changes == watcher.changes[:1], "no peer joins again"


def test_a_stale_list_is_no_evidence_of_a_join_a_departure_or_an_address() -> None:
    watcher = Watcher()
    watcher.poll(60, always(saw(*three())))
    old = three(pod("db-1", "10.9.0.9"), pod("db-7"), without="db-2")
    watcher.poll(watcher.now + 3600, always(saw(*old, ttl=0.0)))
    assert watcher.changes == watcher.changes[:1]
    assert watcher.machine.peers == three()
    assert watcher.machine.last_error is not None


def test_time_in_which_answers_are_stale_does_not_count_towards_a_departure() -> None:
    watcher = Watcher()
    watcher.poll(60, always(saw(*three())))
    gone = saw(*three(without="db-2"))
    watcher.poll(watcher.now + 0.1, always(gone))
    watcher.poll(watcher.now + 300, always(saw(*three(without="db-2"), ttl=0.0)))
    watcher.poll(watcher.now + 0.1, always(gone))
    assert watcher.names_reported("left") == []
    watcher.poll(watcher.now + 30, always(gone))
    assert watcher.names_reported("left") == ["db-2"]


@pytest.mark.parametrize("ttl", [2, 5, 30])
@pytest.mark.parametrize("interval", [0.5, 1.0, 2.0, 10.0])
def test_a_cache_that_counts_down_to_0_is_not_taken_for_stale(ttl: int, interval: float) -> None:
    watcher = Watcher(interval=interval)
    watcher.poll(1200, counting_down(ttl, lambda left: saw(*three(), ttl=left)))
    assert watcher.health == []
    assert watcher.machine.peers == three()
    gone = counting_down(ttl, lambda left: saw(*three(without="db-2"), ttl=left))
    watcher.poll(watcher.now + 4 * ttl + 10 * interval, gone)
    assert watcher.names_reported("left") == ["db-2"]
    watcher.poll(
        watcher.now + 300 + 6 * ttl + 20 * interval,
        counting_down(ttl, lambda left: Empty(Outcome.NXDOMAIN, left, SERVER, left, ttl)),
    )
    assert sorted(watcher.names_reported("left")) == ["db-0", "db-1", "db-2"]
    assert watcher.health == []


class Immediate:
    """A cache that serves stale and refreshes in the background, with no other clients."""

    def __init__(self, ttl: float, upstream: Callable[[float], tuple[Peer, ...]]) -> None:
        self._ttl, self._upstream = ttl, upstream
        self._filled, self._held = float("-inf"), upstream(-1.0)

    def __call__(self, now: float) -> Observation:
        left = self._ttl - (now - self._filled)
        held = self._held
        if left <= 0:
            self._filled, self._held = now, self._upstream(now)
            return saw(*held, ttl=0.0)
        return saw(*held, ttl=float(int(left) or 1))


@pytest.mark.parametrize("interval", [0.5, 2.0, 10.0])
@pytest.mark.parametrize("ttl", [1, 5, 30])
def test_a_cache_that_serves_stale_while_it_refreshes_hides_no_change(
    interval: float, ttl: int
) -> None:
    """Each poll after the TTL gets a stale answer; the next one gets the new answer."""

    def upstream(now: float) -> tuple[Peer, ...]:
        peers = three() if now < 300 else three(pod("db-3"))
        return peers if now < 600 else three(without="db-2")

    watcher = Watcher(interval=interval)
    watcher.poll(900, Immediate(ttl, upstream))
    assert watcher.health == []
    assert watcher.names_reported("joined") == ["db-0", "db-1", "db-2", "db-3"]
    assert sorted(watcher.names_reported("left")) == ["db-2", "db-3"]
    joined = [now for now, changes in watcher.changes if names(changes.joined) == ["db-3"]]
    assert joined[0] - 300 <= 2 * ttl + 2.2 * interval + 1


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [2, 3, 4])
def test_nor_do_several_of_them(count: int, seed: int) -> None:
    """Without other clients, so that each is queried long after its entry has expired."""
    ghosts = three(pod("db-9"))
    caches = [Immediate(5, lambda now: three() if now >= 0 else ghosts) for _ in range(count)]
    chance = random.Random(seed)
    watcher = Watcher(seed)

    def observe(now: float) -> Observation:
        cache = chance.choice(caches)
        return cache(now)

    watcher.poll(600, observe)
    assert watcher.health == []
    assert watcher.names_reported("joined") == ["db-0", "db-1", "db-2"]
    assert not watcher.machine.may_be_stale


def test_a_cache_that_refreshes_in_the_background_recovers_after_an_outage() -> None:
    """Even though each poll while lookups fail comes after the TTL and gets a stale answer."""
    watcher = Watcher()
    watcher.poll(60, always(saw(*three())))
    watcher.poll(watcher.now + 120, always(saw(*three(), ttl=0.0)))
    assert watcher.health[-1][1]
    end = watcher.now
    watcher.poll(end + 60, Immediate(5, lambda now: three()))
    assert [failing for _, failing in watcher.health] == [True, False]
    assert watcher.health[-1][0] - end <= 8.8 + 2


# From the first answer.


def test_the_first_lookup_is_repeated_and_the_fresh_answer_counts() -> None:
    """A replica with a cache entry of 50 minutes ago lists a pod that has left."""
    watcher = Watcher()
    watcher.poll(0.1, always(saw(*three(pod("db-9")), ttl=0.0)))
    assert watcher.machine.observed_at is None
    watcher.poll(60, always(saw(*three())))
    assert watcher.names_reported("joined") == ["db-0", "db-1", "db-2"]
    assert watcher.changes[0][0] <= 0.6


def test_a_zone_that_is_configured_with_0_counts_and_may_be_stale() -> None:
    watcher = Watcher()
    watcher.poll(20, always(saw(*three(), ttl=0.0)))
    assert watcher.names_reported("joined") == ["db-0", "db-1", "db-2"]
    assert 2.0 <= watcher.changes[0][0] <= 2.3
    assert watcher.machine.may_be_stale
    assert watcher.health == []
    begin = watcher.now
    watcher.poll(begin + 60, always(saw(*three(without="db-2"), ttl=0.0)))
    assert watcher.names_reported("left") == ["db-2"]
    assert watcher.changes[-1][0] - begin <= 8
    begin = watcher.now
    watcher.poll(begin + 100, always(Empty(Outcome.NXDOMAIN, 0.0, SERVER, 0.0, 0.0)))
    assert sorted(watcher.names_reported("left")) == ["db-0", "db-1", "db-2"]


def test_a_failure_costs_no_time_if_the_ttl_is_always_0() -> None:
    """The time since the first answer with TTL 0 is not a time without answers."""
    watcher = Watcher()
    watcher.poll(600, always(saw(*three(), ttl=0.0)))
    watcher.poll(watcher.now + 0.1, always(saw(*three(without="db-2"), ttl=0.0)))
    watcher.poll(watcher.now + 0.1, always(failure()))
    watcher.poll(watcher.now + 30, always(saw(*three(without="db-2"), ttl=0.0)))
    assert watcher.names_reported("left") == ["db-2"]


def test_a_static_list_counts_at_once() -> None:
    machine = Membership()
    assert machine.observe(Answered(three()), 0.0).joined
    assert not machine.may_be_stale
    assert not machine.recheck


def test_an_answer_without_ttls_does_not_restart_the_check() -> None:
    watcher = Watcher()
    watcher.poll(60, always(saw(*three(), ttl=0.0)))
    for observation in (Answered((), 0.0, "truncated", SERVER), nxdomain(None)):
        watcher.poll(watcher.now + 0.1, always(observation))
        assert not watcher.machine.may_be_stale
        watcher.poll(watcher.now + 0.1, always(saw(*three(), ttl=0.0)))
        assert watcher.machine.may_be_stale
        assert not watcher.machine.recheck


def test_a_stale_nxdomain_is_recognised_from_the_first_answer() -> None:
    """Its SOA minimum is above 0, and its TTL is 0."""
    watcher = Watcher()
    watcher.poll(600, always(stale_nxdomain()))
    assert watcher.machine.observed_at is None
    assert isinstance(watcher.machine.last_error, StaleAnswer)


@pytest.mark.parametrize(("soa_ttl", "minimum"), [(30.0, 0.0), (5.0, 5.0)])
def test_a_minimum_of_0_is_no_sign_of_a_stale_answer(soa_ttl: float, minimum: float) -> None:
    watcher = Watcher()
    watcher.poll(60, always(saw(*three())))
    ttl = min(soa_ttl, minimum)
    watcher.poll(watcher.now + 100, always(Empty(Outcome.NXDOMAIN, ttl, SERVER, soa_ttl, minimum)))
    assert len(watcher.names_reported("left")) == 3
    assert watcher.health == []


def test_an_answer_without_a_soa_counts() -> None:
    watcher = Watcher()
    watcher.poll(60, always(saw(*three())))
    watcher.poll(watcher.now + 100, always(Empty(Outcome.NXDOMAIN, None, SERVER)))
    assert len(watcher.names_reported("left")) == 3


# A TTL that is configured as 0.


def rolling(count: int) -> Iterable[tuple[Peer, ...]]:
    """The lists during a rolling restart of this many pods."""
    peers = three()
    for number in range(count):
        yield three(*peers, without=f"db-{number}")
        back = {peer.name: peer for peer in peers} | {
            f"db-{number}": pod(f"db-{number}", f"10.9.0.{number}")
        }
        peers = tuple(back.values())
        yield peers


def test_answers_with_ttl_0_that_keep_changing_count() -> None:
    """A cache that serves stale repeats its answer, and there are only a few caches."""
    watcher = Watcher()
    watcher.poll(60, always(saw(*three())))
    watcher.poll(watcher.now + 60, always(saw(*three(), ttl=0.0)))
    assert watcher.machine.last_error is not None
    for peers in rolling(3):
        watcher.poll(watcher.now + 3, always(saw(*peers, ttl=0.0)))
    watcher.poll(watcher.now + 9, always(saw(*peers, ttl=0.0)))
    assert watcher.machine.last_error is None
    assert not watcher.machine.may_be_stale
    watcher.poll(watcher.now + 60, always(saw(*peers, ttl=0.0)))
    assert set(watcher.machine.peers) == set(peers)
    begin = watcher.now
    watcher.poll(begin + 30, always(saw(*peers[1:], ttl=0.0)))
    assert watcher.names_reported("left") == [peers[0].name], "there is no cache in between"
    watcher.poll(watcher.now + 30, always(saw(*peers[1:], ttl=30.0)))
    watcher.poll(watcher.now + 30, always(saw(*peers[2:], ttl=0.0)))
    assert watcher.machine.last_error is not None, "a larger TTL restarts the check"


@pytest.mark.parametrize("seed", range(5))
def test_several_caches_that_serve_stale_do_not_count(seed: int) -> None:
    chance = random.Random(seed)
    old = [three(), three(without="db-0"), (), three(pod("db-1", "10.9.0.1"))]
    assert len(old) == MOST_STALE_ANSWERS
    answers = [saw(*peers, ttl=0.0) if peers else stale_nxdomain() for peers in old]
    watcher = Watcher(seed)
    watcher.poll(60, always(saw(*three())))
    watcher.poll(watcher.now + 3600, lambda now: chance.choice(answers))
    assert watcher.changes == watcher.changes[:1]


def test_after_a_day_a_ttl_of_0_is_the_configured_one() -> None:
    watcher = Watcher()
    watcher.poll(60, always(saw(*three(), ttl=30.0)))
    begin = watcher.now
    without = saw(*three(without="db-2"), ttl=0.0)
    watcher.poll(begin + LONGEST_STALE - 60, always(without))
    assert watcher.names_reported("left") == []
    watcher.poll(begin + LONGEST_STALE + 60, always(without))
    assert watcher.names_reported("left") == ["db-2"]
    assert watcher.machine.last_error is None


def test_an_incomplete_answer_without_peers_is_no_evidence_about_the_zone() -> None:
    freshness = Freshness()
    for observation in (Answered((), 0.0, "truncated", SERVER), nxdomain(None), failure()):
        freshness = freshness.after(observation, 1.0)
        assert (freshness.staleness, freshness.positive) == (Staleness.FRESH, False)


def test_a_ttl_of_0_that_persists_is_not_checked_again_whatever_the_list() -> None:
    """No answer has shown another TTL: the list counts, and may be stale."""
    freshness = Freshness()
    for now in (0.0, 0.5, 1.0, 1.5, 2.0):
        freshness = freshness.after(saw(*three(), ttl=0.0), now)
    assert freshness.staleness is Staleness.UNVERIFIED
    since = freshness.since
    for number in range(MOST_STALE_ANSWERS - 1):
        changed = three(pod("db-0", f"10.9.0.{number}"))
        freshness = freshness.after(saw(*changed, ttl=0.0), 10.0 + number)
        assert (freshness.staleness, freshness.recheck) == (Staleness.UNVERIFIED, False)
        assert freshness.since == since
    freshness = freshness.after(saw(*three(pod("db-0", "10.9.9.9")), ttl=0.0), 1000.0)
    assert freshness.configured


def test_a_stale_nxdomain_ends_the_trust_in_a_ttl_of_0() -> None:
    """Its SOA shows that the zone has a TTL, so that no answer with TTL 0 is fresh."""
    freshness = Freshness()
    for now in (0.0, 0.5, 1.0, 1.5, 2.0):
        freshness = freshness.after(saw(*three(), ttl=0.0), now)
    assert freshness.staleness is Staleness.UNVERIFIED
    freshness = freshness.after(stale_nxdomain(), 10.0)
    assert (freshness.staleness, freshness.recheck) == (Staleness.UNCLEAR, True)
    for now in (10.5, 11.0, 11.5, 12.0):
        freshness = freshness.after(saw(*three(), ttl=0.0), now)
    assert (freshness.staleness, freshness.recheck) == (Staleness.STALE, False)
