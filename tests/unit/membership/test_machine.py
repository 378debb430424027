"""The membership machine: its transitions, its rules, and any sequence of lookups."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from peerdisco.exceptions import StaleAnswer
from peerdisco.membership.caching import Caching
from peerdisco.membership.freshness import Staleness
from peerdisco.membership.machine import TRANSITIONS, Action, Changes, Evidence, Membership, State
from peerdisco.membership.rules import ConfirmationRules
from peerdisco.model import Answered, Failed, Observation, Outcome, Peer, Ports
from peerdisco.testing import failure, no_data, nxdomain

UNCACHED = (0.0, 1.0, 2.0, 3.0, 4.0)
"""Five lookups with the same TTL show that there is no cache."""


def pod(name: str, *addresses: str, port: int = 3306, ready: bool | None = None) -> Peer:
    statefulset, _, number = name.rpartition("-")
    given = addresses or (f"10.244.0.{int(number) + 3}",)
    known = tuple(sorted((ip_address(one) for one in given), key=lambda one: (one.version, one)))
    hostname = f"{name}.db.default.svc.cluster.local"
    return Peer(name, int(number), statefulset, hostname, known, Ports({"": port}), ready)


def three(*changed: Peer, without: str = "") -> tuple[Peer, ...]:
    peers = {peer.name: peer for peer in (pod("db-0"), pod("db-1"), pod("db-2"), *changed)}
    return tuple(peer for name, peer in peers.items() if name not in without.split())


def saw(*peers: Peer, ttl: float = 5.0, truncated: str | None = None) -> Answered:
    return Answered(peers, ttl, truncated)


def settled(rules: ConfirmationRules | None = None) -> Membership:
    """A machine with db-0 to db-2 and without a cache, at four seconds."""
    machine = Membership(rules)
    for now in UNCACHED:
        machine.observe(saw(*three()), now)
    return machine


def names(peers: Iterable[Peer]) -> list[str]:
    return [peer.name for peer in peers]


def left_at(machine: Membership, observation: Observation, times: Iterable[float]) -> float | None:
    """When a peer leaves, if every lookup has this result."""
    for now in times:
        if machine.observe(observation, now).left:
            return now
    return None


def test_an_unchanged_answer_is_not_applied_again() -> None:
    """For any time; until a peer is suspected, or a lookup fails."""
    machine = settled()
    peers = three()
    for now in (6.0, 8.0, 1000.0):
        assert not machine.observe(saw(*peers), now)
        assert not machine.observe(Answered(peers, 5.0), now + 1)
        assert not machine.tick(now + 1)
        assert (machine.observed_at, machine.unconfirmed) == (now + 1, False)
    assert not machine.observe(saw(*three(without="db-1")), 1002.0)
    assert machine.unconfirmed
    assert not machine.observe(Answered(peers, 5.0), 1003.0)
    assert not machine.unconfirmed
    assert not machine.observe(failure(), 1004.0)
    assert not machine.observe(Answered(peers, 5.0), 1005.0)
    assert machine.stable_since == 1005.0
    machine.observe(nxdomain(), 1006.0)
    assert machine.unconfirmed


# The table.


def test_actions_match_the_states() -> None:
    for (state, evidence), (following, action) in TRANSITIONS.items():
        assert (action is Action.JOINED) == (state is State.GONE)
        assert (action is Action.LEFT) == (following is State.GONE)
        if action is Action.REPLACED:
            assert following is State.PRESENT
        if evidence in (Evidence.SAME, Evidence.MOVED, Evidence.SETTLED):
            assert following is State.PRESENT
        if evidence is Evidence.UNSETTLED:
            assert (following, action) == (State.SETTLING, Action.NOTHING)
        if evidence is Evidence.ABSENT:
            assert (following, action) == (State.SUSPECTED, Action.NOTHING)


def test_every_state_of_a_member_has_its_transitions() -> None:
    for state in set(State) - {State.GONE}:
        for evidence in (Evidence.SAME, Evidence.MOVED, Evidence.UNSETTLED, Evidence.ABSENT):
            assert (state, evidence) in TRANSITIONS
    assert {evidence for state, evidence in TRANSITIONS if state is State.GONE} == {Evidence.MOVED}
    assert {state for state, evidence in TRANSITIONS if evidence is Evidence.SETTLED} == {
        State.SETTLING
    }
    assert {state for state, evidence in TRANSITIONS if evidence is Evidence.ABSENT_FOR_LONG} == {
        State.SUSPECTED
    }


both = pod("db-1", "10.244.0.4", "10.9.0.1")
moved = pod("db-1", "10.9.0.1")


gone = three(without="db-1")
STEPS: dict[tuple[State, Evidence], tuple[list[tuple[Peer, ...]], tuple[Peer, ...], str | None]] = {
    (State.GONE, Evidence.MOVED): ([], three(pod("db-3")), "joined"),
    (State.PRESENT, Evidence.MOVED): ([], three(moved), "replaced"),
    (State.PRESENT, Evidence.SAME): ([], three(pod("db-1", ready=True)), None),
    (State.PRESENT, Evidence.UNSETTLED): ([], three(both), None),
    (State.PRESENT, Evidence.ABSENT): ([], gone, None),
    (State.SUSPECTED, Evidence.SAME): ([gone], three(), None),
    (State.SUSPECTED, Evidence.MOVED): ([gone], three(moved), "replaced"),
    (State.SUSPECTED, Evidence.UNSETTLED): ([gone], three(both), None),
    (State.SUSPECTED, Evidence.ABSENT): ([gone], gone, None),
    (State.SUSPECTED, Evidence.ABSENT_FOR_LONG): ([gone] * 3, gone, "left"),
    (State.SETTLING, Evidence.SAME): ([three(both)], three(), None),
    (State.SETTLING, Evidence.MOVED): ([three(both)], three(moved), "replaced"),
    (State.SETTLING, Evidence.UNSETTLED): ([three(both)], three(both), None),
    (State.SETTLING, Evidence.SETTLED): ([three(both)] * 3, three(both), "replaced"),
    (State.SETTLING, Evidence.ABSENT): ([three(both)], gone, None),
}
"""The answers before, 1.5 seconds apart, the last answer, and the change that it confirms."""


def test_each_transition_has_a_test() -> None:
    assert set(STEPS) == set(TRANSITIONS)


@pytest.mark.parametrize("pair", STEPS, ids=lambda pair: f"{pair[0].value}-{pair[1].value}")
def test_each_transition(
    monkeypatch: pytest.MonkeyPatch,
    pair: tuple[State, Evidence],
) -> None:
    before, last, change = STEPS[pair]
    machine = settled()
    now = 4.0
    for peers in before:
        now += 1.5
        assert not machine.observe(saw(*peers), now)
    taken = steps_of(machine, monkeypatch)
    outcome = machine.observe(saw(*last), now + 1.5)
    assert pair in taken
    following, action = TRANSITIONS[pair]
    assert action.value == (change or "-")
    assert {
        field.name for field in dataclasses.fields(Changes) if getattr(outcome, field.name)
    } == ({change} if change else set())
    name = "db-3" if change == "joined" else "db-1"
    assert machine.state(name) is following


def steps_of(machine: Membership, monkeypatch: pytest.MonkeyPatch) -> list[tuple[State, Evidence]]:
    """The transitions that the machine takes from now on."""
    taken: list[tuple[State, Evidence]] = []
    transition, join = machine._transition, machine._join

    def record(name: str, evidence: Evidence, *rest: Any) -> None:
        taken.append((machine.state(name), evidence))
        transition(name, evidence, *rest)

    def record_join(name: str, *rest: Any) -> None:
        taken.append((machine.state(name), Evidence.MOVED))
        join(name, *rest)

    monkeypatch.setattr(machine, "_transition", record)
    monkeypatch.setattr(machine, "_join", record_join)
    return taken


# Any sequence of lookups.

ADDRESSES = tuple(map(ip_address, ("10.0.0.1", "10.0.0.2", "fd00::1")))
ttls = st.sampled_from([0.0, 5.0, 17.0, 30.0])


def some_peers(*ports: int) -> st.SearchStrategy[Peer]:
    return st.builds(
        lambda peer, addresses: dataclasses.replace(peer, addresses=addresses),
        st.builds(
            pod,
            st.sampled_from(["db-0", "db-1", "db-2", "db-3"]),
            port=st.sampled_from(ports),
            ready=st.sampled_from([None, True, False]),
        ),
        st.sets(st.sampled_from(ADDRESSES)).map(lambda given: tuple(sorted(given, key=str))),
    )


def some_lookups(*ports: int) -> st.SearchStrategy[list[tuple[float, Observation]]]:
    """Any observations, and the seconds before each."""
    observations: st.SearchStrategy[Observation] = st.one_of(
        st.builds(
            lambda peers, ttl, truncated: Answered(tuple(peers), ttl, truncated),
            st.lists(some_peers(*ports), max_size=4, unique_by=lambda peer: peer.name),
            ttls,
            st.sampled_from([None, None, None, "the answer was truncated"]),
        ),
        st.builds(nxdomain, st.none() | ttls),
        st.builds(no_data, st.none() | ttls),
        st.sampled_from([failure(Outcome.TIMEOUT), failure(Outcome.SERVFAIL)]),
    )
    pauses = st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0, 40.0])
    return st.lists(st.tuples(pauses, observations), max_size=40)


rules = st.builds(
    ConfirmationRules,
    interval=st.sampled_from([0.5, 2.0, 10.0]),
    leave_after=st.sampled_from([None, None, 0.1, 20.0]),
    leave_lookups=st.sampled_from([1, 3]),
)


@settings(derandomize=True, max_examples=120, deadline=None)
@given(rules=rules, lookups=some_lookups(3306))
def test_no_sequence_of_lookups_breaks_a_guarantee(
    rules: ConfirmationRules, lookups: list[tuple[float, Observation]]
) -> None:
    check_guarantees(rules, lookups)


@settings(derandomize=True, max_examples=120, deadline=None, phases=[Phase.generate, Phase.shrink])
@given(rules=rules, lookups=some_lookups(3306, 3307))
def test_nor_does_one_with_changing_ports(
    rules: ConfirmationRules, lookups: list[tuple[float, Observation]]
) -> None:
    check_guarantees(rules, lookups)


def check_guarantees(rules: ConfirmationRules, lookups: list[tuple[float, Observation]]) -> None:
    machine = Membership(rules)
    members: dict[str, Peer] = {}
    missing: dict[str, int] = {}
    now = 0.0
    for pause, observation in lookups:
        now += pause
        before = machine.peers
        changes = machine.observe(observation, now)
        if isinstance(observation, Failed):
            assert not changes
            assert machine.peers == before
            assert machine.last_error is observation.error
        elif machine.freshness.staleness in (Staleness.UNCLEAR, Staleness.STALE):
            assert observation.ttl == 0
            assert not changes
            assert machine.peers == before
            stale = machine.freshness.staleness is Staleness.STALE
            assert isinstance(machine.last_error, StaleAnswer) or not stale
            continue
        else:
            assert machine.last_error is None
        listed = observation.peers if isinstance(observation, Answered) else ()
        truncated = isinstance(observation, Answered) and observation.incomplete_reason is not None
        if not isinstance(observation, Failed):
            if truncated:
                assert not changes.left
            else:
                for name in [name for name in members if name not in names(listed)]:
                    missing[name] = missing.get(name, 0) + 1
            for name in names(listed):
                missing.pop(name, None)
                assert machine.state(name) is not State.GONE
        for each in (changes, machine.tick(now)):
            apply(each, members, missing, rules)
        assert {name: facts(peer) for name, peer in members.items()} == {
            peer.name: facts(peer) for peer in machine.peers
        }
        assert machine.unconfirmed == any(
            machine.state(name) in (State.SUSPECTED, State.SETTLING) for name in members
        )


def apply(
    changes: Changes, members: dict[str, Peer], missing: dict[str, int], rules: ConfirmationRules
) -> None:
    """Apply the reported changes, as a user does."""
    for peer in changes.left:
        assert missing[peer.name] >= max(2, rules.leave_lookups)
        del members[peer.name], missing[peer.name]
    for peer in changes.joined:
        assert peer.name not in members
        members[peer.name] = peer
    for old, new in changes.replaced:
        assert old.name == new.name
        assert facts(members[old.name]) == facts(old) != facts(new)
        members[old.name] = new
    assert bool(changes) == bool(changes.left or changes.joined or changes.replaced)


def facts(peer: Peer) -> tuple[object, ...]:
    return peer.name, peer.addresses, peer.ports


@settings(
    derandomize=True,
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(lookups=some_lookups(3306, 3307))
def test_every_transition_is_in_the_table(
    monkeypatch: pytest.MonkeyPatch, lookups: list[tuple[float, Observation]]
) -> None:
    machine = Membership()
    with monkeypatch.context() as patch:
        taken = steps_of(machine, patch)
        now = 0.0
        for pause, observation in lookups:
            now += pause
            machine.observe(observation, now)
            machine.tick(now)
    assert set(taken) <= set(TRANSITIONS)


# Leaving.


def test_a_departure_takes_three_answers_and_its_time() -> None:
    machine = settled()
    gone = saw(*three(without="db-2"))
    assert not machine.observe(gone, 6.0)
    assert not machine.observe(gone, 8.0)
    assert machine.hold == 4.0
    assert not machine.observe(gone, 9.9)
    assert names(machine.observe(gone, 10.0).left) == ["db-2"]
    assert names(machine.peers) == ["db-0", "db-1"]


def test_a_departure_takes_three_answers_however_long_they_take() -> None:
    assert left_at(settled(), saw(*three(without="db-2")), (100, 200, 300, 400)) == 300


def test_half_of_the_peers_take_one_answer_more() -> None:
    gone = saw(*three(without="db-1 db-2"))
    assert left_at(settled(), gone, (100, 200, 300, 400, 500)) == 400


def test_a_peer_missing_with_many_takes_one_answer_more_even_if_they_return() -> None:
    machine = settled()
    machine.observe(saw(*three(without="db-1 db-2")), 100)
    one = saw(*three(without="db-2"))
    assert left_at(machine, one, (200, 300, 400, 500)) == 400


def test_an_answer_that_lists_a_peer_ends_the_suspicion() -> None:
    machine = settled()
    gone = saw(*three(without="db-2"))
    for now in (10, 12, 13):
        machine.observe(gone, now)
    assert machine.state("db-2") is State.SUSPECTED
    assert not machine.observe(saw(*three()), 13.5)
    assert machine.state("db-2") is State.PRESENT
    assert left_at(machine, gone, (16, 18, 20, 22)) == 20


def test_an_incomplete_answer_neither_confirms_nor_ends_a_suspicion() -> None:
    machine = settled()
    machine.observe(saw(*three(without="db-2")), 10)
    truncated = saw(*three(without="db-2"), truncated="truncated")
    assert left_at(machine, truncated, (20, 30, 40, 50)) is None
    assert machine.state("db-2") is State.SUSPECTED
    assert machine.incomplete_reason == "truncated"
    machine.observe(saw(*three(), truncated="truncated"), 60)
    assert machine.state("db-2") is State.PRESENT


def test_leave_after_is_the_hold() -> None:
    machine = settled(ConfirmationRules(leave_after=30.0))
    assert machine.hold == 30
    assert left_at(machine, saw(*three(without="db-2")), range(10, 60)) == 40
    machine = settled(ConfirmationRules(leave_after=30.0))
    assert left_at(machine, nxdomain(300), range(10, 60)) == 40


@pytest.mark.parametrize(("ttl", "seconds"), [(None, 15), (5, 15), (60, 61)])
@pytest.mark.parametrize("empty", [nxdomain, no_data])
def test_an_empty_answer_is_held_longer(empty: Any, ttl: float | None, seconds: int) -> None:
    assert left_at(settled(), empty(ttl), range(10, 100)) == 10 + seconds


def test_an_empty_answer_behind_a_cache_is_held_twice_as_long() -> None:
    machine = Membership()
    for now, ttl in ((0, 30), (2, 28), (30, 30)):
        machine.observe(saw(*three(), ttl=ttl), now)
    assert machine.hold == 34
    assert left_at(machine, nxdomain(5), range(40, 200)) == 40 + 68


def test_an_empty_result_is_an_answer() -> None:
    machine = Membership()
    assert not machine.observe(nxdomain(), 3.0)
    assert machine.observed_at == 3.0
    assert machine.peers == ()
    assert machine.incomplete_reason is None


# Addresses and ports.


def test_a_new_address_is_reported_at_once_and_a_former_one_is_held() -> None:
    machine = settled()
    ((old, new),) = machine.observe(saw(*three(moved)), 6).replaced
    assert (old, new) == (pod("db-1"), moved)
    assert not machine.observe(saw(*three()), 7)
    assert machine.state("db-1") is State.SETTLING
    assert not machine.observe(saw(*three(moved)), 8)
    assert machine.state("db-1") is State.PRESENT


def test_a_former_address_that_stays_is_reported_after_the_hold() -> None:
    machine = settled()
    machine.observe(saw(*three(moved)), 6)
    for now in (7, 8, 9, 10):
        assert not machine.observe(saw(*three()), now)
        assert not machine.tick(now)
    changes = machine.observe(saw(*three()), 11.5) or machine.tick(11.5)
    assert changes.replaced == ((moved, pod("db-1")),)


def test_a_former_address_takes_five_answers_however_long_they_take() -> None:
    machine = settled()
    machine.observe(saw(*three(moved)), 6)
    machine.observe(saw(*three(moved)), 9)
    for now in (100, 200, 300, 400):
        assert not machine.observe(saw(*three()), now)
        assert not machine.tick(now + 50)
    assert machine.observe(saw(*three()), 500).replaced == ((moved, pod("db-1")),)


def test_two_addresses_settle() -> None:
    machine = settled()
    for now in (6, 7, 8):
        assert not machine.observe(saw(*three(both)), now)
    assert not machine.tick(9.9)
    assert machine.tick(10.0).replaced == ((pod("db-1"), both),)
    assert not machine.tick(20)
    assert not machine.unconfirmed


def test_another_difference_starts_to_settle_again() -> None:
    machine = settled()
    machine.observe(saw(*three(both)), 6)
    other = pod("db-1", "10.244.0.4", "10.9.0.2")
    for now in (9, 10, 11):
        machine.observe(saw(*three(other)), now)
        assert not machine.tick(now)
    assert machine.tick(13.5).replaced == ((pod("db-1"), other),)


def test_a_difference_takes_three_answers_however_long_they_take() -> None:
    machine = settled()
    for now in (100, 200):
        assert not machine.observe(saw(*three(both)), now)
        assert not machine.tick(now + 50)
    assert machine.observe(saw(*three(both)), 300).replaced == ((pod("db-1"), both),)


def test_nothing_settles_while_lookups_fail() -> None:
    machine = settled()
    machine.observe(saw(*three(both)), 6)
    machine.observe(failure(), 7)
    assert not machine.tick(100)
    assert machine.peers == three()
    assert not machine.observe(saw(*three(both)), 101)
    assert not machine.observe(saw(*three(both)), 103.9)
    # It was seen from 6 to 7 and from 101; the time without answers does not count.
    assert machine.observe(saw(*three(both)), 104).replaced == ((pod("db-1"), both),)


def test_changed_ports_are_reported_like_addresses() -> None:
    machine = settled()
    other = pod("db-1", port=3307)
    assert machine.observe(saw(*three(other)), 6).replaced == ((pod("db-1"), other),)


def test_changed_readiness_is_kept_but_not_reported() -> None:
    machine = settled()
    assert not machine.observe(saw(*three(pod("db-1", ready=True))), 6)
    assert machine.peers[1].ready is True


def test_addresses_that_an_answer_omits_are_kept() -> None:
    machine = settled()
    without = dataclasses.replace(pod("db-1"), addresses=())
    assert not machine.observe(saw(*three(without), truncated="no addresses"), 6)
    assert machine.peers == three()
    assert not machine.unconfirmed


def test_addresses_that_come_later_are_reported() -> None:
    machine = Membership()
    without = dataclasses.replace(pod("db-1"), addresses=())
    assert names(machine.observe(saw(without, truncated="no addresses"), 0).joined) == ["db-1"]
    assert machine.observe(saw(pod("db-1")), 1).replaced == ((without, pod("db-1")),)


# Failures and stability.


def test_failures_are_counted_until_an_answer_comes() -> None:
    machine = settled()
    for count, now in enumerate((5, 6, 7), 1):
        machine.observe(failure(), now)
        assert machine.failures == count
    assert machine.last_error is not None
    assert machine.observed_at == 4
    machine.observe(saw(*three()), 8)
    assert (machine.failures, machine.last_error, machine.observed_at) == (0, None, 8)


def test_stable_since_the_newest_change_suspicion_or_failure() -> None:
    machine = Membership()
    assert machine.stable_since is None
    machine.observe(saw(*three()), 0)
    assert machine.stable_since == 0
    machine.observe(saw(*three()), 2)
    machine.observe(saw(*three()), 4)
    assert machine.stable_since == 0
    machine.observe(saw(*three(without="db-1")), 6)
    assert machine.stable_since == 6
    machine.observe(saw(*three()), 8)
    assert machine.stable_since == 6
    machine.observe(failure(), 10)
    assert machine.stable_since == 10
    machine.observe(saw(*three()), 12)
    assert machine.stable_since == 12
    machine.observe(saw(*three(moved)), 14)
    machine.observe(saw(*three(moved)), 16)
    assert machine.stable_since == 14
    machine.observe(saw(*three(moved), pod("db-3")), 18)
    assert machine.stable_since == 18


# Caches.


def caching(*seen: tuple[float, float]) -> Caching:
    known = Caching()
    for now, ttl in seen:
        known = known.after(ttl, now)
    return known


RULES = ConfirmationRules()


@pytest.mark.parametrize(
    ("seen", "none_seen", "hold", "expires"),
    [
        ([], False, 4.0, None),
        ([(0, 0)], True, 4.0, None),
        ([(0, 5)], False, 9.0, None),
        ([(0, 30), (2, 30)], False, 34.0, None),
        ([(0, 30), (0.5, 30), (1, 30)], False, 34.0, None),
        ([(0, 30), (2, 30), (4, 30), (6, 30)], False, 34.0, None),
        ([(0, 30), (2, 30), (4, 30), (6, 30), (8, 30)], True, 4.0, None),
        ([(n, 600) for n in range(5)], True, 4.0, None),
        ([(0, 17), (2, 15)], False, 34.0, 17),
        ([(0, 30), (2, 28), (30, 30)], False, 34.0, None),
        ([(0, 5), (2, 3), (5, 5)], False, 9.0, None),
        ([(0, 600), (2, 598)], False, 604.0, 600),
        ([(0, 4000), (2, 3998)], False, 4004.0, 4000),
        ([(0, 86_400), (2, 86_398)], False, 86_404.0, 86_400),
        ([(0, 2**31 - 1), (2, 2**31 - 3)], False, 604_800.0, 2**31 - 1),
    ],
)
def test_caching(
    seen: list[tuple[float, float]], none_seen: bool, hold: float, expires: float | None
) -> None:
    known = caching(*seen)
    assert known.none_seen == none_seen
    assert known.hold(RULES) == hold
    assert known.expires() == expires


def test_the_hold_is_never_less_than_the_least() -> None:
    slow = ConfirmationRules(interval=60)
    assert slow.least_hold == 120
    assert caching((0, 5), (10, 5), (20, 5)).hold(slow) == 125
    assert caching(*((n, 60) for n in range(0, 50, 10))).hold(slow) == 120


def test_the_assumed_ttl_of_a_cache_is_replaced_when_its_full_ttl_is_known() -> None:
    known = caching((0, 3), (2, 1))
    assert not known.refreshed
    assert known.hold(RULES) == 34
    known = known.after(5, 4)
    assert known.refreshed
    assert known.hold(RULES) == 9


def test_only_complete_answers_count_as_evidence_of_caches() -> None:
    machine = Membership()
    machine.observe(saw(*three(), ttl=30, truncated="truncated"), 0)
    machine.observe(failure(), 2)
    machine.observe(nxdomain(30), 4)
    assert machine.caching == Caching()


def test_the_ttl_of_a_cache_may_be_0_and_not_below() -> None:
    assert ConfirmationRules(cache_ttl=0).cache_ttl == 0
    with pytest.raises(ValueError, match=r"^cache_ttl: got -1, "):
        ConfirmationRules(cache_ttl=-1)


def test_the_newest_sixteen_answers_are_remembered() -> None:
    known = caching(*((float(n), 60.0) for n in range(40)))
    assert [answer.at for answer in known.recent] == [float(n) for n in range(24, 40)]
    assert len(caching((0.0, 5.0), (1.0, 5.0), (2.0, 5.0)).recent) == 3


def test_the_answers_without_a_cache_are_counted() -> None:
    assert [caching(*[(0.0, 0.0)] * n).uncached for n in (1, 2, 3)] == [1, 2, 3], "TTL 0"
    assert [caching(*[(0.0, 1.0)] * n).uncached for n in (1, 2, 3)] == [0, 0, 0], "at once"
    steady = [(10.0 * n, 60.0) for n in range(4)]
    assert caching(*steady).uncached == 3
    assert caching(*steady, (50.0, 40.0)).uncached == 0, "it counted down"


@pytest.mark.parametrize("pause", [0.0, 2.0])
def test_the_answer_that_may_confirm_a_departure_is_known_before(pause: float) -> None:
    machine = settled()
    assert machine.confirmable_at(5.0, pause) == float("inf")
    machine.observe(saw(*three(without="db-2")), 5.0)
    due = machine.confirmable_at(5.0, pause)
    times = [5.0 + 0.1 * step for step in range(1, 200)]
    left = left_at(machine, saw(*three(without="db-2")), times)
    assert left is not None
    assert due <= left + 0.001, "it is not confirmed before an answer was due"
    if not pause:
        assert left == pytest.approx(due, abs=0.11)


def test_the_answer_that_may_confirm_addresses_is_known_before() -> None:
    machine = settled()
    both = three(pod("db-2", "10.244.0.5", "10.244.0.9"))
    machine.observe(saw(*both), 5.0)
    assert machine.settling == {"db-2"}
    assert 5.0 <= machine.confirmable_at(5.0, 0.0) < float("inf")


def test_for_a_peer_that_is_there_again_no_answer_is_due() -> None:
    machine = settled()
    machine.observe(saw(*three(without="db-1")), 5.0)
    assert machine.confirmable_at(5.0, 0.0) < float("inf")
    machine.observe(saw(*three()), 6.0)
    assert not machine.unconfirmed
    assert machine.confirmable_at(6.0, 0.0) == float("inf")
