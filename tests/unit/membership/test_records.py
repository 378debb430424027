"""What is remembered about a single peer."""

from __future__ import annotations

from peerdisco.exceptions import ResolverUnavailable, StaleAnswer
from peerdisco.membership.machine import Membership
from peerdisco.membership.records import PeerRecord
from peerdisco.membership.rules import ConfirmationRules
from peerdisco.membership.transitions import State
from peerdisco.model import Answered, Attempt, Outcome
from tests.unit.membership.test_machine import pod, saw, settled, three

DB1 = pod("db-1")


def test_a_failure_moves_a_suspicion_by_its_time() -> None:
    record = PeerRecord(DB1, State.SUSPECTED, since=10.0, lookups=2)
    assert record.postponed(3.0) == record._replace(since=13.0)
    alone = record.postponed(3.0)
    assert alone.interrupted is False
    together = record._replace(mass=True).postponed(3.0)
    assert together.interrupted is True
    settling = PeerRecord(DB1, State.SETTLING, since=10.0, mass=True).postponed(3.0)
    assert settling.interrupted is False


def test_a_peer_that_joins_again_is_remembered_as_one_that_returned() -> None:
    old = pod("db-1", "10.9.0.1")
    record = PeerRecord(DB1, former=(old,), returns=2, returned_at=90.0, refuted=3, lookups=4)
    again = record.rejoined(DB1, 100.0, 2.0)
    assert again == PeerRecord(DB1, former=(old,), returns=3, returned_at=100.0)
    assert record.rejoined(old, 100.0, 2.0).peer is old


def test_returns_are_forgotten_one_by_one() -> None:
    record = PeerRecord(DB1, returns=9, returned_at=100.0)
    counts = [record.recent_returns(100.0 + seconds, 2.0) for seconds in (0, 599, 600, 1200, 1e6)]
    assert counts == [6, 6, 5, 4, 0]


def test_a_machine_remembers_who_left_and_joined_again() -> None:
    """The next departure of the same pod takes longer to confirm."""

    def seconds_until_it_left(machine: Membership, now: float) -> float:
        for step in range(1, 200):
            if machine.observe(saw(*three(without="db-1")), now + step).left:
                return step
        raise AssertionError("it never left")

    machine = settled()
    first = seconds_until_it_left(machine, 10.0)
    (joined,) = machine.observe(saw(*three()), 100.0).joined
    assert joined.name == "db-1"
    assert seconds_until_it_left(machine, 110.0) > first


# Failures.


def incomplete(*without: str) -> Answered:
    return saw(*three(without=" ".join(without)), truncated="truncated")


def test_a_failure_counts_neither_for_nor_against_a_peer_that_incomplete_answers_omit() -> None:
    """Two watchers: in the one, the lookups fail for a while in between."""
    rules = ConfirmationRules()
    undisturbed, disturbed = settled(rules), settled(rules)
    error = ResolverUnavailable("db", ())
    for now in (10.0, 11.0):
        undisturbed.observe(incomplete("db-1"), now)
        disturbed.observe(incomplete("db-1"), now)
    disturbed.fail(error, 11.5)
    gap, now, suspected_at = 20.0, 12.0, [0.0, 0.0]
    while not all(suspected_at):
        undisturbed.observe(incomplete("db-1"), now)
        disturbed.observe(incomplete("db-1"), now + gap)
        for number, machine in enumerate((undisturbed, disturbed)):
            if machine.suspected and not suspected_at[number]:
                suspected_at[number] = now
                assert machine.suspected == {"db-1"}
        now += 0.25
        assert now < 100
    assert suspected_at[0] <= suspected_at[1] <= suspected_at[0] + 1


def test_the_error_of_stale_answers_says_of_whom_and_for_how_long() -> None:
    attempt = Attempt("10.0.0.1:53", "udp", "db.default.svc.", "SRV", Outcome.ANSWER, 0.1)
    machine = settled()
    for now in (20.0, 20.5, 21.0, 21.5, 22.0):
        machine.observe(Answered(three(), 0.0, attempt=attempt), now)
    error = machine.last_error
    assert isinstance(error, StaleAnswer)
    assert (error.name, error.attempts, error.seconds) == ("db.default.svc", (attempt,), 2.0)
    machine.observe(Answered(three(), 0.0), 29.0)
    error = machine.last_error
    assert isinstance(error, StaleAnswer)
    assert (error.name, error.attempts, error.seconds) == ("the service", (), 9.0)
