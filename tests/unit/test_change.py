"""The difference between two memberships."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerdisco.exceptions import ResolverUnavailable
from peerdisco.model import Change, Peer, Ports, Snapshot

from .test_model import SERVICE, names, peer, snapshot

ERROR = ResolverUnavailable(SERVICE, ())


def at(name: str, address: str, port: int = 3306, **facts: Any) -> Peer:
    return peer(name, addresses=(ip_address(address),), ports=Ports({"": port}), **facts)


def of(*peers: Peer, **facts: Any) -> Snapshot:
    return Snapshot(SERVICE, peers, **facts)


def summary(change: Change) -> str:
    words = [f"+{name}" for name in names(change.joined).split()]
    words += [f"-{name}" for name in names(change.left).split()]
    words += [f"~{old.name}" for old, _ in change.replaced]
    words += ["degraded"] * change.degraded + ["recovered"] * change.recovered
    return " ".join(words)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("", "", ""),
        ("db-0", "db-0", ""),
        ("", "db-0 db-1", "+db-0 +db-1"),
        ("db-0 db-1", "db-0", "-db-1"),
        ("db-0 db-1", "", "-db-0 -db-1"),
        ("db-0 db-1 db-2", "db-0 db-2 db-3", "+db-3 -db-1"),
        ("db-10 db-9", "db-10 db-9 db-2 db-1", "+db-1 +db-2"),
    ],
)
def test_joined_and_left(before: str, after: str, expected: str) -> None:
    change = Change.between(snapshot(before), snapshot(after))
    assert summary(change) == expected
    assert bool(change) == bool(expected)
    assert change.snapshot == snapshot(after)


def test_from_nothing_everybody_has_joined() -> None:
    change = Change.between(None, snapshot("db-0 db-1"))
    assert summary(change) == "+db-0 +db-1"
    assert not Change.between(None, snapshot(""))


def test_replaced_is_a_pair_of_before_and_after() -> None:
    old, new = at("db-1", "10.0.0.1"), at("db-1", "10.0.0.9")
    zero = at("db-0", "10.0.0.2")
    change = Change.between(of(zero, old), of(zero, new))
    assert change.replaced == ((old, new),)
    assert summary(change) == "~db-1"


def test_a_new_port_is_a_replacement_and_a_new_readiness_is_none() -> None:
    old = at("db-1", "10.0.0.1")
    assert summary(Change.between(of(old), of(at("db-1", "10.0.0.1", 3307)))) == "~db-1"
    assert not Change.between(of(old), of(at("db-1", "10.0.0.1", ready=True)))


def test_a_peer_that_left_has_its_last_known_addresses() -> None:
    old = at("db-1", "10.0.0.1")
    assert Change.between(of(old), of()).left == (old,)


def test_several_changes_are_one() -> None:
    first = of(at("db-0", "10.0.0.1"), at("db-1", "10.0.0.2"), at("db-2", "10.0.0.3"))
    last = of(at("db-0", "10.0.0.1"), at("db-1", "10.0.0.9"), at("db-3", "10.0.0.4"))
    assert summary(Change.between(first, last)) == "+db-3 -db-2 ~db-1"


def test_a_peer_that_came_and_left_in_between_is_not_reported() -> None:
    first = of(at("db-0", "10.0.0.1"))
    between = of(at("db-0", "10.0.0.7"), at("db-1", "10.0.0.2"))
    assert Change.between(first, between)
    assert not Change.between(first, of(at("db-0", "10.0.0.1")))


def test_who_left_and_came_back_elsewhere_was_replaced() -> None:
    first, last = of(at("db-0", "10.0.0.1")), of(at("db-0", "10.0.0.2"))
    assert summary(Change.between(first, last)) == "~db-0"


@pytest.mark.parametrize(
    ("before", "after"),
    [("db-0", "db-0 db-1"), ("db-0 db-1", "db-0"), ("db-1", "db-1 db-0"), ("", "db-1")],
)
def test_changes_of_an_ignored_peer_are_left_out(before: str, after: str) -> None:
    change = Change.between(snapshot(before), snapshot(after), ignore="db-1")
    assert "db-1" not in summary(change)
    assert summary(change) in ("", "+db-0")


def test_nor_of_its_new_address() -> None:
    before, after = of(at("db-1", "10.0.0.1")), of(at("db-1", "10.0.0.2"))
    assert Change.between(before, after)
    assert not Change.between(before, after, ignore="db-1")


@pytest.mark.parametrize(
    ("was_stale", "is_stale", "expected"),
    [
        (None, False, ""),
        (None, True, "degraded"),
        (False, False, ""),
        (False, True, "degraded"),
        (True, True, ""),
        (True, False, "recovered"),
    ],
)
def test_health(was_stale: bool | None, is_stale: bool, expected: str) -> None:
    before = None if was_stale is None else snapshot("", last_error=ERROR if was_stale else None)
    change = Change.between(before, snapshot("", last_error=ERROR if is_stale else None))
    assert summary(change) == expected
    assert bool(change) == bool(expected)


memberships = st.dictionaries(
    st.integers(0, 6).map(lambda number: f"db-{number}"), st.integers(1, 3), max_size=7
).map(lambda given: of(*(at(name, f"10.0.0.{last}") for name, last in given.items())))


@settings(derandomize=True)
@given(before=memberships, after=memberships)
def test_applied_to_the_first_it_gives_the_second(before: Snapshot, after: Snapshot) -> None:
    change = Change.between(before, after)
    known = {one.name: one for one in before}
    for one in change.left:
        assert known.pop(one.name) == one
    for one in change.joined:
        assert one.name not in known
        known[one.name] = one
    for old, new in change.replaced:
        assert known[old.name] == old != new
        known[new.name] = new
    assert of(*known.values()) == after
    assert bool(change) == (before != after)


@settings(derandomize=True)
@given(first=memberships, second=memberships, third=memberships)
def test_two_merged_are_what_lies_between_the_ends(
    first: Snapshot, second: Snapshot, third: Snapshot
) -> None:
    """A merged change has a peer only if one of the two changes has it."""
    one, two = Change.between(first, second), Change.between(second, third)
    merged = Change.between(first, third)
    expected = {word[1:] for change in (one, two) for word in summary(change).split()}
    assert {word[1:] for word in summary(merged).split()} <= expected
