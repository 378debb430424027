"""How a lookup ended, in one word: the label of a metric."""

from __future__ import annotations

import pytest

from peerdisco.exceptions import (
    DiscoveryError,
    ResolverUnavailable,
    ResolveTimeout,
    StaleAnswer,
    UnusableAnswer,
)
from peerdisco.model import Attempt, Change, Empty, Failed, Observation, Outcome, Snapshot
from peerdisco.observability.events import LookupEnded
from peerdisco.testing import peers

NAME = "db.shop.svc.cluster.local"
ATTEMPTS = tuple(
    Attempt(server, "udp", f"{NAME}.", "SRV", outcome, 0.1)
    for server, outcome in (("10.0.0.1:53", Outcome.TIMEOUT), ("10.0.0.2:53", Outcome.REFUSED))
)


def ended(observation: Observation, error: DiscoveryError | None = None) -> LookupEnded:
    change = Change((), (), (), Snapshot(NAME, last_error=error))
    return LookupEnded(NAME, observation, 0.1, change)


@pytest.mark.parametrize(
    ("observation", "word"),
    [
        (peers("db", 3), "answer"),
        (Empty(Outcome.NXDOMAIN), "nxdomain"),
        (Empty(Outcome.NO_DATA), "no_data"),
    ],
)
def test_an_answer(observation: Observation, word: str) -> None:
    assert ended(observation).outcome == word


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (StaleAnswer(NAME, ATTEMPTS, 30.0), "stale"),
        (UnusableAnswer(NAME, ATTEMPTS), "unusable"),
        (ResolveTimeout(NAME, ATTEMPTS, 5.0), "timeout"),
        (ResolverUnavailable(NAME, ATTEMPTS), "refused"),
        (ResolverUnavailable(NAME, ()), "error"),
        (DiscoveryError("the source failed"), "error"),
    ],
)
def test_a_failure(error: DiscoveryError, word: str) -> None:
    assert ended(Failed(error), error).outcome == word


def test_the_server_that_decided_it() -> None:
    assert ended(Failed(ResolverUnavailable(NAME, ATTEMPTS))).server == "10.0.0.2:53"
    assert ended(Failed(DiscoveryError("the source failed"))).server == ""
    assert ended(Empty(Outcome.NXDOMAIN, attempt=ATTEMPTS[0])).server == "10.0.0.1:53"
    assert ended(peers("db", 3)).attempts == ()
