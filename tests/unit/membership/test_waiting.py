"""Whether a caller of `Discovery.wait` may return, without a watcher."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from peerdisco.exceptions import NotReady, ResolverUnavailable
from peerdisco.membership.published import Published
from peerdisco.membership.waiting import Waiting
from peerdisco.model import Peer, Snapshot

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SERVICE = "db.default.svc.cluster.local"


DNS_FAILED = ResolverUnavailable(SERVICE, ())


def published(peers: int, *, stable_since: float | None = 0.0, lookups: int = 1) -> Published:
    listed = tuple(Peer(f"db-{n}", f"db-{n}.{SERVICE}", n, "db") for n in range(peers))
    snapshot = Snapshot(SERVICE, listed, observed_at=NOW)
    return Published(snapshot, observed_at=0.0, stable_since=stable_since, lookups=lookups)


def waiting(stable_for: float = 0.0, timeout: float | None = None, refreshes: int = 0) -> Waiting:
    def three(snapshot: Snapshot) -> bool:
        return len(snapshot) >= 3

    return Waiting(three, "3 peers", stable_for, timeout, 0.0, refreshes, None)


def test_enough_peers_end_the_wait_at_once() -> None:
    found = waiting().check(published(3), 1.0)
    assert found is not None
    assert (len(found), found.age) == (3, 1.0)


def test_without_a_limit_nothing_but_a_lookup_leads_to_the_next_check() -> None:
    caller = waiting()
    assert caller.check(published(2), 1.0) is None
    assert caller.pause is None


def test_the_next_check_is_when_the_peers_are_stable_or_the_time_is_over() -> None:
    for timeout, pause in ((None, 4.0), (9.0, 4.0), (3.0, 2.0)):
        caller = waiting(stable_for=5.0, timeout=timeout)
        assert caller.check(published(3), 1.0) is None
        assert caller.pause == pause


def test_stable_is_since_the_last_change() -> None:
    caller = waiting(stable_for=5.0)
    assert caller.check(published(3, stable_since=2.0), 6.9) is None
    assert caller.check(published(3, stable_since=2.0), 7.0) is not None


def test_before_the_first_lookup_nothing_has_been_stable() -> None:
    caller = waiting(stable_for=5.0)
    assert caller.check(published(3, stable_since=None), 100.0) is None
    assert caller.pause == 5.0


def test_at_the_limit_the_error_has_the_last_membership() -> None:
    caller = waiting(timeout=2.0)
    assert caller.check(published(2), 1.99) is None
    with pytest.raises(NotReady, match="timed out after 2 s: needed 3 peers, saw 2"):
        caller.check(published(2), 2.0)


def test_a_stale_answer_is_not_enough() -> None:
    stale = published(3)
    stale = replace(stale, snapshot=replace(stale.snapshot, last_error=DNS_FAILED))
    assert waiting().check(stale, 1.0) is None


def test_an_answer_from_before_a_refresh_is_not_enough() -> None:
    caller = waiting(refreshes=1)
    assert caller.check(published(3), 1.0) is None
    assert caller.check(replace(published(3), refreshes=1), 1.0) is not None


def test_after_a_stall_the_next_lookup_decides_and_not_the_time() -> None:
    caller = waiting(stable_for=5.0, timeout=10.0)
    caller.stalled(published(3, lookups=7), 25.0)
    assert caller.check(published(3, lookups=7), 20.0) is None
    assert caller.pause == 5.0
    assert caller.check(published(3, lookups=8), 20.0) is not None


def test_after_a_stall_without_a_lookup_the_time_decides_in_the_end() -> None:
    caller = waiting(timeout=10.0)
    caller.stalled(published(2, lookups=7), 25.0)
    assert caller.check(published(2, lookups=7), 24.9) is None
    with pytest.raises(NotReady):
        caller.check(published(2, lookups=7), 25.0)


def test_a_stall_does_not_delay_a_caller_that_needs_no_stable_time() -> None:
    caller = waiting()
    caller.stalled(published(3), 25.0)
    assert caller.check(published(3), 20.0) is not None


@pytest.mark.parametrize(
    ("snapshot", "unlisted"),
    [
        (Snapshot(SERVICE, (), observed_at=NOW), "db-1"),
        (Snapshot(SERVICE, (), observed_at=None), None),
    ],
)
def test_the_error_names_this_pod_if_the_known_list_does_not_have_it(
    snapshot: Snapshot, unlisted: str | None
) -> None:
    wait = Waiting(bool, "3 peers", 0.0, 2.0, 0.0, 0, "db-1")
    with pytest.raises(NotReady) as caught:
        wait.check(Published(snapshot, observed_at=0.0, lookups=1), 2.5)
    assert caught.value.unlisted == unlisted
    assert (caught.value.snapshot is None) == (unlisted is None), "nothing is known"
