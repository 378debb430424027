"""Memberships, and lists of names, in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from peerdisco.exceptions import NotReady, ResolverUnavailable
from peerdisco.model import Attempt, Outcome, Snapshot
from peerdisco.testing import peers
from peerdisco.wording.lists import listed
from peerdisco.wording.members import count_in_words, none_selected, peers_in_words

SERVICE = "db.default.svc.cluster.local"


def snapshot(size: int, **given: Any) -> Snapshot:
    return Snapshot(SERVICE, peers("db", size).peers, **given)


def left_out(**given: Any) -> Snapshot:
    """Two pods of the StatefulSet db, of which the choice leaves none."""
    return Snapshot(SERVICE, (), left_out=peers("db", 2).peers, **given)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "nobody"), (1, "a"), (3, "a, b, c"), (4, "a, b and 2 more")]
)
def test_a_list_names_the_first_and_counts_the_others(size: int, text: str) -> None:
    assert listed("abcd"[:size], empty="nobody", most=2) == text


def test_peers_are_named_and_counted() -> None:
    assert peers_in_words(snapshot(2)) == "db-0, db-1"
    assert count_in_words(snapshot(2)) == "2 (db-0, db-1)"


def test_no_peers_at_all() -> None:
    assert peers_in_words(snapshot(0)) == "nobody"
    assert count_in_words(snapshot(0)) == "none"


def test_a_choice_that_leaves_nobody_names_the_nearest_statefulset() -> None:
    found = left_out(statefulset="bd")
    assert peers_in_words(found) == count_in_words(found) == none_selected(found)
    assert none_selected(found).startswith("2 peers, none of StatefulSet bd (there is db")


def test_a_choice_that_is_like_no_name_gets_no_suggestion() -> None:
    assert none_selected(left_out(statefulset="zzz")) == (
        "2 peers, none of StatefulSet zzz (there is db)"
    )


def test_a_cluster_that_is_not_there() -> None:
    one = replace(peers("db", 1).peers[0], cluster="east")
    found = Snapshot(SERVICE, (), left_out=(one,), cluster="west")
    assert none_selected(found).startswith("1 peer, none of cluster west (there is east")


def test_a_cluster_where_no_peer_has_one() -> None:
    assert none_selected(left_out(cluster="west")) == ("2 peers, none of cluster west or any other")


def test_a_missing_pod_of_a_wait_is_named() -> None:
    error = NotReady("3 peers", 5.0, snapshot(2), unlisted="db-2")
    assert str(error).endswith("saw 2 (db-0, db-1); this pod, db-2, is not listed")


def test_servers_of_another_cluster_point_to_the_cluster_domain() -> None:
    attempt = Attempt("10.0.0.1", "udp", f"{SERVICE}.", "SRV", Outcome.FOREIGN, 0.1)
    assert "--cluster-domain" in str(ResolverUnavailable(SERVICE, (attempt,)))
    assert "--cluster-domain" not in str(ResolverUnavailable(SERVICE, ()))
