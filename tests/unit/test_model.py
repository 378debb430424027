"""The values: their order, the questions to a snapshot, and that they are immutable."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import pickle
from collections.abc import Iterable
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerdisco.exceptions import AmbiguousPrimary, IncompleteAnswer, ResolverUnavailable
from peerdisco.model import (
    Answered,
    Attempt,
    Empty,
    Failed,
    Identity,
    Outcome,
    Peer,
    Ports,
    Snapshot,
)
from peerdisco.names import ordinal_of
from peerdisco.primary.policies import lowest_ordinal, ordinal

SERVICE = "db.shop.svc.cluster.local"


def peer(name: str, **facts: Any) -> Peer:
    statefulset, number = ordinal_of(name) or (None, None)
    return Peer(name, number, statefulset, f"{name}.{SERVICE}", **facts)


def snapshot(names: str, **facts: Any) -> Snapshot:
    return Snapshot(SERVICE, tuple(peer(name) for name in names.split()), **facts)


def names(peers: Iterable[Peer]) -> str:
    return " ".join(peer.name for peer in peers)


def me(pod_name: str, namespace: str = "shop") -> Identity:
    return Identity(pod_name, namespace)


# Order.


def test_peers_are_in_the_order_of_their_ordinals_and_not_of_their_text() -> None:
    assert names(snapshot("db-10 db-2 db-0 db-1")) == "db-0 db-1 db-2 db-10"


def test_the_same_ordinal_is_in_the_order_of_the_names() -> None:
    assert names(snapshot("web-0 db-1 db-0 web-1")) == "db-0 web-0 db-1 web-1"


def test_peers_without_an_ordinal_come_last() -> None:
    assert names(snapshot("10-244-1-0 db-7 alpha db-0")) == "db-0 db-7 10-244-1-0 alpha"


def test_every_order_of_the_answer_gives_the_same_snapshot() -> None:
    peers = snapshot("db-0 db-1 web-0 10-244-1-0").peers
    shuffled = {Snapshot(SERVICE, order) for order in itertools.permutations(peers)}
    assert shuffled == {Snapshot(SERVICE, peers)}


# Sized, iterable, `in` by name.


def test_a_snapshot_is_iterable_and_sized() -> None:
    three = snapshot("db-0 db-1 db-2")
    assert list(three) == list(three.peers)
    assert len(three) == 3
    assert len(Snapshot(SERVICE)) == 0
    assert not Snapshot(SERVICE)


def test_in_is_by_name_or_by_peer() -> None:
    two = snapshot("db-0 db-1")
    assert "db-1" in two
    assert "db-2" not in two
    assert f"db-1.{SERVICE}" not in two
    assert two.peers[0] in two
    assert peer("db-0", ready=False) not in two
    assert None not in two
    assert 0 not in two


# The primary and the others.


def test_the_primary_is_ordinal_0() -> None:
    three = snapshot("db-2 db-1 db-0")
    assert three.primary is three.peers[0]
    assert names(three.replicas) == "db-1 db-2"


def test_no_other_peer_replaces_an_absent_primary() -> None:
    two = snapshot("db-1 db-2")
    assert two.primary is None
    assert names(two.replicas) == "db-1 db-2"


def test_a_peer_without_an_ordinal_is_neither_primary_nor_replica() -> None:
    mixed = snapshot("10-244-1-0 db-1")
    assert mixed.primary is None
    assert names(mixed.members) == "db-1"
    assert names(mixed.replicas) == "db-1"


def test_the_primary_is_the_first_ordinal_where_they_start_later() -> None:
    late = snapshot("db-5 db-6 db-7", first_ordinal=5)
    assert late.primary == peer("db-5")
    assert names(late.replicas) == "db-6 db-7"


def test_a_policy_picks_the_primary() -> None:
    two = snapshot("db-1 db-2", policy=lowest_ordinal)
    assert two.primary == peer("db-1")
    assert names(two.replicas) == "db-2"
    assert snapshot("db-1 db-2", policy=ordinal(2)).primary == peer("db-2")
    assert snapshot("db-0 db-2", policy=lambda seen: seen.peers[-1]).primary == peer("db-2")


def test_by_ordinal_finds_the_peer_or_none() -> None:
    two = snapshot("db-0 db-2")
    assert two.by_ordinal(2) == peer("db-2")
    assert two.by_ordinal(1) is None
    assert two.by_ordinal(-1) is None


# This pod.


def test_the_local_peer_is_the_one_with_this_pods_name() -> None:
    seen = snapshot("db-0 db-1 db-2", identity=me("db-1"))
    assert seen.local is seen.peers[1]
    assert names(seen.others) == "db-0 db-2"


def test_a_pod_that_is_not_listed_has_no_local_peer() -> None:
    seen = snapshot("db-0 db-1", identity=me("db-2"))
    assert seen.local is None
    assert names(seen.others) == "db-0 db-1"


def test_without_an_identity_everyone_is_another() -> None:
    seen = snapshot("db-0 db-1")
    assert seen.local is None
    assert names(seen.others) == "db-0 db-1"


def test_a_pod_of_the_same_name_in_another_namespace_is_another() -> None:
    assert snapshot("db-0", identity=me("db-0", "stage")).local is None


@pytest.mark.parametrize("namespace", ["db", "db-0", "svc", "cluster"])
def test_a_namespace_that_is_called_as_another_part_of_the_name_is_another(namespace: str) -> None:
    """``db-0.prod.stage.svc…`` is in the namespace stage, whatever its service is called."""
    assert snapshot("db-0", identity=me("db-0", namespace)).local is None


# Holes.


@pytest.mark.parametrize(
    ("present", "first", "missing"),
    [
        ("", 0, ()),
        ("db-0", 0, ()),
        ("db-0 db-1 db-2", 0, ()),
        ("db-0 db-2", 0, (1,)),
        ("db-1 db-2", 0, (0,)),
        ("db-3", 0, (0, 1, 2)),
        ("db-0 db-1", 0, ()),
        ("db-5 db-6", 5, ()),
        ("db-6 db-8", 5, (5, 7)),
        ("db-5 db-6", 0, (0, 1, 2, 3, 4)),
        ("db-0 db-1", 5, ()),
        ("10-244-1-0 alpha", 0, ()),
    ],
)
def test_holes_are_missing_and_a_tail_is_not(
    present: str, first: int, missing: tuple[int, ...]
) -> None:
    assert snapshot(present, first_ordinal=first).missing == missing


# Several StatefulSets.

BOTH = "blue-0 blue-1 green-0"


@pytest.mark.parametrize("asked", ["members", "primary", "replicas", "missing"])
def test_two_statefulsets_are_not_guessed_between(asked: str) -> None:
    both = snapshot(BOTH)
    with pytest.raises(AmbiguousPrimary) as caught:
        getattr(both, asked)
    assert names(caught.value.candidates) == "blue-0 green-0"
    assert caught.value.statefulsets == ("blue", "green")
    assert caught.value.ordinal == 0


def test_two_statefulsets_are_ambiguous_even_where_only_one_has_the_ordinal() -> None:
    with pytest.raises(AmbiguousPrimary) as caught:
        snapshot("blue-0 green-1").by_ordinal(0)
    assert names(caught.value.candidates) == "blue-0"


def test_two_statefulsets_can_still_be_listed() -> None:
    both = snapshot(BOTH, identity=me("blue-1"))
    assert names(both) == "blue-0 green-0 blue-1"
    assert "green-0" in both
    assert names(both.others) == "blue-0 green-0"
    assert both.local == peer("blue-1")


def test_a_chosen_statefulset_settles_it() -> None:
    both = snapshot(BOTH + " green-2", statefulset="green")
    assert names(both.members) == "green-0 green-2"
    assert both.primary == peer("green-0")
    assert both.missing == (1,)
    assert names(both.replicas) == "green-2"
    assert both.by_ordinal(1) is None


def test_a_chosen_statefulset_that_is_absent_has_no_members() -> None:
    other = snapshot("blue-0", statefulset="green")
    assert other.members == ()
    assert other.primary is None
    assert other.missing == ()


def test_a_peer_without_an_ordinal_makes_nothing_ambiguous() -> None:
    assert snapshot("db-0 10-244-1-0").primary == peer("db-0")


# Complete, stale.


def test_a_whole_list_says_so() -> None:
    whole = snapshot("db-0")
    assert whole.complete
    assert whole.require_complete() is whole


def test_an_incomplete_list_is_not_accepted_as_complete() -> None:
    partial = snapshot("db-0", incomplete_reason="truncated after 1 name")
    assert not partial.complete
    with pytest.raises(IncompleteAnswer) as caught:
        partial.require_complete()
    assert caught.value.snapshot is partial
    assert caught.value.reason == "truncated after 1 name"
    assert caught.value.service == SERVICE


def test_a_snapshot_is_stale_after_a_failed_lookup() -> None:
    fresh = snapshot("db-0")
    assert not fresh.stale
    stale = dataclasses.replace(fresh, last_error=ResolverUnavailable(SERVICE, ()))
    assert stale.stale
    assert stale.peers == fresh.peers


def test_when_it_was_seen_does_not_make_a_membership_another() -> None:
    seen = snapshot("db-0", observed_at=datetime(2025, 1, 1, tzinfo=UTC), age=1.0)
    again = snapshot("db-0", observed_at=datetime(2025, 1, 2, tzinfo=UTC), age=2.0)
    assert seen == again
    assert hash(seen) == hash(again)
    assert seen != snapshot("db-0 db-1")
    assert seen != snapshot("db-0", incomplete_reason="truncated")


# Ports.


def test_ports_are_a_mapping() -> None:
    ports = Ports({"mysql": 3306, "admin": 33062})
    assert ports["mysql"] == 3306
    assert ports.get("other") is None
    assert list(ports) == ["mysql", "admin"]
    assert len(ports) == 2
    assert dict(ports) == {"mysql": 3306, "admin": 33062}
    assert repr(Ports({"": 3306})) == "Ports({'': 3306})"
    with pytest.raises(KeyError):
        ports["other"]


def test_equal_ports_are_equal_and_hash_alike_in_any_order() -> None:
    one, other = Ports({"a": 1, "b": 2}), Ports([("b", 2), ("a", 1)])
    assert one == other
    assert hash(one) == hash(other)
    assert one == {"a": 1, "b": 2}
    assert one != Ports({"a": 1})
    assert len({one, other, Ports()}) == 2


def test_ports_do_not_change_with_what_they_were_made_from() -> None:
    numbers = {"mysql": 3306}
    ports = Ports(numbers)
    numbers["mysql"] = 1
    assert ports["mysql"] == 3306
    with pytest.raises(TypeError):
        ports["mysql"] = 1  # type: ignore[index]


@pytest.mark.parametrize(
    ("numbers", "name", "expected"),
    [
        ([], "", {}),
        ([0], "", {}),
        ([0], "mysql", {}),
        ([3306], "", {"": 3306}),
        ([3306], "mysql", {"mysql": 3306}),
        ([3306, 3306], "", {"": 3306}),
        ([0, 3306], "", {"": 3306}),
        ([33062, 3306], "", {"3306": 3306, "33062": 33062}),
        ([33062, 3306], "mysql", {"3306": 3306, "33062": 33062}),
    ],
)
def test_ports_of_numbers(numbers: list[int], name: str, expected: dict[str, int]) -> None:
    ports = Ports.of_numbers(numbers, name)
    assert dict(ports) == expected
    assert list(ports.values()) == sorted(expected.values())


@pytest.mark.parametrize("ports", [Ports(), Ports({"": 3306}), Ports({"a": 1, "b": 2})])
def test_ports_survive_copies_and_pickles(ports: Ports) -> None:
    assert copy.deepcopy(ports) == ports
    assert copy.copy(ports) == ports
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(ports, protocol))
        assert again == ports
        assert hash(again) == hash(ports)


@given(st.dictionaries(st.text(max_size=15), st.integers(1, 65535)))
def test_ports_hash_as_they_compare(numbers: dict[str, int]) -> None:
    assert Ports(numbers) == Ports(reversed(numbers.items()))
    assert hash(Ports(numbers)) == hash(Ports(reversed(numbers.items())))


# Peers.


def test_the_one_address_and_the_one_port() -> None:
    both = (ip_address("10.0.0.1"), ip_address("fd00::1"))
    assert peer("db-0", addresses=both).address == both[0]
    assert peer("db-0").address is None
    assert peer("db-0", ports=Ports({"": 3306})).port == 3306
    assert peer("db-0", ports=Ports({"a": 1, "b": 2})).port is None
    assert peer("db-0").port is None


def test_a_peer_as_text_is_its_name() -> None:
    assert str(peer("db-0")) == "db-0"


# Attempts.


def test_an_attempt_says_what_came_from_where() -> None:
    attempt = Attempt("10.96.0.10:53", "udp", "db.", "SRV", Outcome.SERVFAIL, 0.0123)
    assert str(attempt) == "SERVFAIL from 10.96.0.10:53 for SRV db. over udp after 0.012 s"
    named = dataclasses.replace(attempt, outcome=Outcome.ERROR, detail="NOTIMP")
    assert str(named) == "error from 10.96.0.10:53 for SRV db. over udp after 0.012 s, NOTIMP"


# Frozen values.

ATTEMPT = Attempt("10.96.0.10:53", "udp", f"{SERVICE}.", "SRV", Outcome.NXDOMAIN, 0.1)
FULL = snapshot(
    "db-0 db-1",
    statefulset="db",
    observed_at=datetime(2025, 1, 1, tzinfo=UTC),
    age=0.5,
    incomplete_reason="truncated",
    last_error=ResolverUnavailable(SERVICE, (ATTEMPT,)),
    identity=me("db-1"),
    policy=ordinal(0),
)
VALUES = [
    peer("db-0", addresses=(ip_address("10.0.0.1"),), ports=Ports({"": 3306}), ready=True),
    me("db-0"),
    FULL,
    ATTEMPT,
    Answered((peer("db-0"),), 30.0, "truncated", ATTEMPT),
    Empty(Outcome.NXDOMAIN, 5.0, ATTEMPT),
    Failed(ResolverUnavailable(SERVICE, (ATTEMPT,))),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_do_not_change(value: Any) -> None:
    for field in dataclasses.fields(value):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, field.name, None)
    with pytest.raises((AttributeError, TypeError)):
        value.something_else = 1
    assert not hasattr(value, "__dict__")


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_hash(value: Any) -> None:
    assert hash(value) == hash(copy.copy(value))


@pytest.mark.parametrize("value", VALUES[:-1], ids=lambda value: type(value).__name__)
def test_values_survive_copies_and_pickles(value: Any) -> None:
    assert copy.deepcopy(value) == value
    assert pickle.loads(pickle.dumps(value)) == value


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_become_plain_dictionaries(value: Any) -> None:
    plain = dataclasses.asdict(value)
    assert list(plain) == [field.name for field in dataclasses.fields(value)]


def test_a_snapshot_as_a_dictionary_holds_its_peers() -> None:
    plain = dataclasses.asdict(FULL)
    assert [entry["name"] for entry in plain["peers"]] == ["db-0", "db-1"]
    assert dict(plain["peers"][0]["ports"]) == {}
    assert plain["identity"]["pod_name"] == "db-1"
    assert isinstance(plain["last_error"], ResolverUnavailable)


# Backups and clones.


@pytest.mark.parametrize(
    ("names", "candidate"),
    [
        ("db-0 db-1 db-2", "db-2"),
        ("db-0 db-10 db-9", "db-10"),
        ("db-0", None),
        ("db-1 db-2", "db-2"),
        ("10-244-1-0", None),
        ("", None),
    ],
)
def test_the_backup_candidate_is_the_highest_ordinal_that_is_not_the_primary(
    names: str, candidate: str | None
) -> None:
    assert snapshot(names).backup_candidate == (peer(candidate) if candidate else None)


def test_the_backup_candidate_is_never_what_the_policy_picks() -> None:
    highest = snapshot("db-0 db-1 db-2", policy=lambda seen: seen.members[-1])
    assert highest.backup_candidate == peer("db-1")


@pytest.mark.parametrize(
    ("names", "pod", "source"),
    [
        ("db-0 db-1 db-2 db-3", "db-3", "db-2"),
        ("db-0 db-1 db-3", "db-3", "db-1"),  # not listed yet itself: db-2 is away
        ("db-0 db-1 db-2", "db-3", "db-2"),
        ("db-0", "db-1", "db-0"),
        ("db-1 db-2", "db-2", "db-1"),
        ("db-2 db-3", "db-1", None),
        ("db-0 db-1 db-2", "db-0", None),
        ("db-1 db-2", "db-0", None),
        ("db-0 db-1", "tool", None),
        ("db-0 db-1", "other-1", None),
        ("", "db-1", None),
    ],
)
def test_the_clone_source_is_the_nearest_lower_ordinal(
    names: str, pod: str, source: str | None
) -> None:
    statefulset, number = ordinal_of(pod) or (None, None)
    identity = Identity(pod, "shop", number, statefulset)
    found = snapshot(names, identity=identity, statefulset="db").clone_source
    assert found == (peer(source) if source else None)


def test_below_the_primary_the_primary_is_the_clone_source() -> None:
    identity = Identity("db-1", "shop", 1, "db")
    policy = ordinal(3)
    seen = snapshot("db-1 db-2 db-3", identity=identity, policy=policy, first_ordinal=0)
    assert seen.clone_source == peer("db-3")


def test_the_primary_of_a_policy_copies_from_nobody() -> None:
    identity = Identity("db-3", "shop", 3, "db", addresses=())
    seen = snapshot("db-1 db-2 db-3", identity=identity, policy=ordinal(3))
    assert seen.primary is seen.local is not None
    assert seen.clone_source is None


def test_without_an_identity_there_is_no_clone_source() -> None:
    assert snapshot("db-0 db-1").clone_source is None


@pytest.mark.parametrize("asked", ["backup_candidate", "clone_source"])
def test_backups_and_clones_do_not_guess_between_statefulsets(asked: str) -> None:
    with pytest.raises(AmbiguousPrimary):
        getattr(snapshot("blue-0 green-0", identity=Identity("tool", "shop")), asked)


def test_a_snapshot_of_the_same_peers_is_not_sorted_again() -> None:
    known = snapshot("db-2 db-0 db-1")
    later = dataclasses.replace(known, age=3.0)
    assert later.peers is known.peers
    assert names(later) == "db-0 db-1 db-2"
    assert known.peers == (peer("db-0"), peer("db-1"), peer("db-2"))
    assert repr(known.peers) == repr(tuple(known.peers))
    others = dataclasses.replace(known, peers=known.peers[::-1])
    assert others == known


def test_a_copy_that_knows_more_is_no_longer_incomplete_for_that_reason() -> None:
    before = Snapshot(SERVICE)
    assert before.incomplete_reason is not None
    after = dataclasses.replace(before, peers=(peer("db-0"),))
    assert (after.incomplete_reason, after.complete) == (None, True)
    cut = dataclasses.replace(after, incomplete_reason="truncated")
    assert dataclasses.replace(cut, peers=()).incomplete_reason == "truncated"
