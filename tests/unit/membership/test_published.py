"""The published state of a watcher, and what its consumers make of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from peerdisco.exceptions import ResolverUnavailable
from peerdisco.membership.published import Published
from peerdisco.membership.watches import PrimaryWatch, Watch
from peerdisco.model import Change, Peer, Snapshot
from tests.unit.membership.test_machine import pod, saw, settled, three

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SERVICE = "db.default.svc.cluster.local"
FAILED = ResolverUnavailable(SERVICE, ())


def snapshot(*peers: Peer, known: bool = True, reason: str | None = None) -> Snapshot:
    return Snapshot(SERVICE, peers, observed_at=NOW if known else None, incomplete_reason=reason)


THREE = snapshot(*three())
NOTHING = snapshot(known=False)


def test_the_age_is_the_time_since_the_newest_answer() -> None:
    published = Published(THREE, observed_at=10.0)
    assert [published.at(now).age for now in (9.0, 10.0, 12.5)] == [0.0, 0.0, 2.5]
    assert replace(published.at(12.5), age=0.0) == THREE
    assert Published(NOTHING).at(12.5) is NOTHING


def test_the_state_after_a_lookup_has_the_evidence_of_the_membership() -> None:
    machine = settled()
    machine.observe(saw(*three(without="db-1")), 20.0)
    before = Published(NOTHING, lookups=4, refreshes=1)
    after = before.after(THREE, machine, 3, NOW)
    assert (after.lookups, after.refreshes, after.failure) == (5, 3, None)
    assert (after.observed_at, after.stable_since) == (20.0, 20.0)
    assert [peer.name for peer in after.snapshot.unconfirmed] == ["db-1"]
    assert (after.snapshot.last_error, after.snapshot.complete) == (None, True)
    assert after.snapshot.may_be_stale is False
    assert after.snapshot.observed_at == NOW

    machine.observe(saw(*three(), truncated="truncated"), 21.0)
    assert before.after(THREE, machine, 0, NOW).snapshot.incomplete_reason == "truncated"
    machine.fail(FAILED, 22.0)
    failed = before.after(THREE, machine, 0, NOW)
    assert failed.snapshot.last_error is FAILED
    assert (failed.observed_at, failed.stable_since) == (21.0, 22.0)


def test_what_a_consumer_gets_to_know() -> None:
    published = Published(THREE, observed_at=10.0, lookups=1)
    first = published.change_since(None, 11.0, None)
    assert first is not None
    assert [peer.name for peer in first.joined] == ["db-0", "db-1", "db-2"]
    assert first.snapshot.age == 1.0
    assert published.change_since(first.snapshot, 12.0, None) is None
    fewer = replace(published, snapshot=snapshot(*three(without="db-1")))
    change = fewer.change_since(first.snapshot, 12.0, None)
    assert change is not None
    assert [peer.name for peer in change.left] == ["db-1"]
    assert change.snapshot.age == 2.0
    assert fewer.change_since(first.snapshot, 12.0, "db-1") is None, "it is this pod, and ends"
    ignoring = published.change_since(snapshot(*three(without="db-1")), 12.0, "db-0")
    assert ignoring is not None
    assert [peer.name for peer in ignoring.joined] == ["db-1"]


def test_before_anything_is_known_there_is_nothing_to_report() -> None:
    assert Published(THREE, lookups=0).change_since(None, 1.0, None) is None
    assert Published(NOTHING, lookups=1).change_since(None, 1.0, None) is None
    failed = replace(NOTHING, last_error=FAILED)
    assert failed.stale
    change = Published(failed, lookups=1).change_since(None, 1.0, None)
    assert change is not None
    assert change.degraded
    empty = Published(snapshot(), observed_at=1.0, lookups=1).change_since(None, 1.0, None)
    assert empty is not None
    assert not empty.joined


@pytest.mark.parametrize("reason", [None, "truncated"])
def test_the_first_and_the_last_unconfirmed_peer_of_incomplete_answers(reason: str | None) -> None:
    calm = snapshot(*three(), reason=reason)
    one, two = replace(calm, unconfirmed=calm.peers[:1]), replace(calm, unconfirmed=calm.peers[:2])

    def reported(before: Snapshot, now: Snapshot) -> bool:
        return Published(now, 10.0, lookups=3).change_since(before, 10.0, None) is not None

    pairs = [(calm, one), (one, two), (two, calm), (calm, calm)]
    found = [reported(before, now) for before, now in pairs]
    assert found == ([True, False, True, False] if reason else [False] * 4)


# The iterators.


def watch(*snapshots: Snapshot) -> Watch:
    """A watch to which these are reported; it notes what its consumer received before."""
    left = list(snapshots)

    async def next_change(last: Snapshot | None) -> Change | None:
        seen.append(last)
        return Change.between(last, left.pop(0)) if left else None

    seen: list[Snapshot | None] = []
    found = Watch(next_change)
    found.seen = seen  # type: ignore[attr-defined]
    return found


async def test_a_watch_reports_differences_to_what_it_reported_last() -> None:
    fewer = snapshot(*three(without="db-2"))
    changes = watch(THREE, fewer)
    found = [change async for change in changes]
    assert [[peer.name for peer in change.left] for change in found] == [[], ["db-2"]]
    assert [len(change.joined) for change in found] == [3, 0]
    assert changes.seen == [None, THREE, fewer]  # type: ignore[attr-defined]


async def test_the_primary_is_reported_when_it_becomes_another() -> None:
    moved = pod("db-0", "10.9.9.9")
    changes = watch(
        snapshot(*three(without="db-0"), reason="truncated"),  # it may be missing from the list
        THREE,
        snapshot(*three(without="db-2")),
        snapshot(*three(moved)),
        snapshot(*three(without="db-0"), reason="truncated"),
        snapshot(*three(without="db-0")),
        THREE,
    )
    found = [primary async for primary in PrimaryWatch(changes)]
    assert found == [pod("db-0"), moved, None, pod("db-0")]


async def test_a_primary_that_is_absent_from_a_whole_list_is_reported() -> None:
    changes = watch(snapshot(*three(without="db-0")), THREE)
    assert [primary async for primary in PrimaryWatch(changes)] == [None, pod("db-0")]


async def test_a_primary_on_another_port_is_another() -> None:
    other = pod("db-0", port=3307)
    changes = watch(THREE, snapshot(*three(other)))
    assert [primary async for primary in PrimaryWatch(changes)] == [pod("db-0"), other]
