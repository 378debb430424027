"""How often a question is repeated whose failure may be that of one replica."""

from __future__ import annotations

import pytest

from peerdisco.dns.retries import PAUSES, FailedQuestions
from peerdisco.model import Outcome

ONE, OTHER = (b"\x02db\x00", 33), (b"\x02db\x00", 1)


def after(*lookups: Outcome) -> FailedQuestions:
    """The memory after lookups in which one question ended so, and in the next lookup."""
    failed = FailedQuestions()
    for outcome in lookups:
        failed.begin()
        failed.note(ONE, outcome)
    failed.begin()
    return failed


@pytest.mark.parametrize("outcome", [Outcome.SERVFAIL, Outcome.REFUSED, Outcome.LAME])
def test_a_second_failure_in_a_row_is_not_repeated_for_long(outcome: Outcome) -> None:
    failed = after(outcome)
    assert failed.pauses(ONE, servers=1) == PAUSES[:1]
    assert failed.pauses(ONE, servers=2) == (), "the other server was asked"
    assert failed.pauses(OTHER, servers=1) == PAUSES


@pytest.mark.parametrize("outcome", [Outcome.ANSWER, Outcome.TIMEOUT, Outcome.NXDOMAIN])
def test_what_is_no_failure_of_a_replica_is_repeated_as_at_first(outcome: Outcome) -> None:
    assert after(outcome).pauses(ONE, servers=1) == PAUSES


def test_a_lookup_that_succeeds_ends_it() -> None:
    assert after(Outcome.SERVFAIL, Outcome.ANSWER).pauses(ONE, servers=1) == PAUSES
    failed = after(Outcome.SERVFAIL)
    failed.note(ONE, Outcome.SERVFAIL)
    failed.note(ONE, Outcome.ANSWER)
    failed.begin()
    assert failed.pauses(ONE, servers=1) == PAUSES, "an answer of the same lookup counts"
