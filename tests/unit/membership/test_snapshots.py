"""The snapshot of a service, as seen from this pod."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from peerdisco.exceptions import ResolverUnavailable
from peerdisco.membership.snapshots import SnapshotBuilder
from peerdisco.model import Identity, Peer
from peerdisco.primary.policies import lowest_ordinal, ordinal
from tests.unit.membership.test_machine import pod

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SERVICE = "db.default.svc.cluster.local"
MYSQL = (pod("mysql-0"), pod("mysql-1"))
PROXY = (pod("proxy-0"),)


def test_what_is_given_is_in_the_snapshot() -> None:
    error = ResolverUnavailable(SERVICE, ())
    builder = SnapshotBuilder(policy=ordinal(1))
    snapshot = builder.snapshot(
        SERVICE, MYSQL, observed_at=NOW, age=2.5, incomplete_reason="truncated",
        last_error=error, may_be_stale=True,
    )  # fmt: skip
    assert snapshot.service == SERVICE
    assert snapshot.peers == MYSQL
    assert (snapshot.observed_at, snapshot.age) == (NOW, 2.5)
    assert (snapshot.incomplete_reason, snapshot.last_error) == ("truncated", error)
    assert snapshot.may_be_stale is True
    assert snapshot.left_out == ()
    assert (snapshot.identity, snapshot.cluster, snapshot.statefulset) == (None, None, None)
    assert snapshot.policy == ordinal(1)
    assert snapshot.first_ordinal == 1
    assert snapshot.primary is MYSQL[1]


def test_without_more_it_is_fresh_and_complete() -> None:
    snapshot = SnapshotBuilder().snapshot(SERVICE, MYSQL, observed_at=NOW)
    assert (snapshot.age, snapshot.complete, snapshot.stale) == (0.0, True, False)
    assert snapshot.may_be_stale is False
    assert snapshot.first_ordinal == 0
    policy = SnapshotBuilder(policy=lowest_ordinal).snapshot(SERVICE, MYSQL, observed_at=NOW)
    assert policy.first_ordinal == 0


@pytest.mark.parametrize(
    ("statefulset", "listed", "left_out"),
    [
        (None, [*MYSQL, *PROXY], []),
        ("mysql", MYSQL, PROXY),
        ("proxy", PROXY, MYSQL),
        ("other", [], [*MYSQL, *PROXY]),
    ],
)
def test_the_pods_of_one_statefulset(
    statefulset: str | None, listed: tuple[Peer, ...], left_out: tuple[Peer, ...]
) -> None:
    builder = SnapshotBuilder(statefulset=statefulset)
    snapshot = builder.snapshot(SERVICE, (*MYSQL, *PROXY), observed_at=NOW)
    assert set(snapshot.peers) == set(listed)
    assert snapshot.left_out == tuple(left_out)
    assert snapshot.statefulset == statefulset


def test_the_pods_of_one_cluster_and_statefulset() -> None:
    east = tuple(replace(peer, cluster="east") for peer in (*MYSQL, *PROXY))
    west = tuple(replace(peer, cluster="west") for peer in MYSQL)
    builder = SnapshotBuilder(statefulset="mysql", cluster="east")
    snapshot = builder.snapshot(SERVICE, (*east, *west), observed_at=NOW)
    assert snapshot.peers == east[:2]
    assert snapshot.left_out == (east[2], *west)
    assert snapshot.cluster == "east"
    every = SnapshotBuilder(cluster="west").snapshot(SERVICE, (*east, *west), observed_at=NOW)
    assert every.peers == west


@pytest.mark.parametrize(("own", "counted"), [("mysql", "mysql"), ("web", None), (None, None)])
def test_the_ordinals_that_count_are_those_of_the_own_statefulset(
    own: str | None, counted: str | None
) -> None:
    me = Identity("me-0", "default", 0, own)
    snapshot = SnapshotBuilder(me).snapshot(SERVICE, (*MYSQL, *PROXY), observed_at=NOW)
    assert snapshot.statefulset == counted
    assert snapshot.identity is me
    assert [peer.name for peer in snapshot] == ["mysql-0", "proxy-0", "mysql-1"]
    given = SnapshotBuilder(me, "proxy").snapshot(SERVICE, (*MYSQL, *PROXY), observed_at=NOW)
    assert given.statefulset == "proxy"
