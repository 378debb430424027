"""Whether a pod may act as the primary, and whether an empty one may create a database.

The cases in which two pods both believe that they are ordinal 0 stand here by name.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

import pytest

from peerdisco.exceptions import ConfigurationError, ResolverUnavailable
from peerdisco.model import Identity, Snapshot
from peerdisco.mysql.reasons import ServerReasonCode
from peerdisco.primary.policies import lowest_ordinal, ordinal
from peerdisco.primary.verdicts import (
    Decision,
    Probe,
    Reason,
    ReasonCode,
    Verdict,
    confirm_local_primary,
    may_bootstrap,
    must_step_down,
)

from ..test_model import peer

SERVICE = "db.shop.svc.cluster.local"
AT = datetime(2026, 1, 1, tzinfo=UTC)
OUTAGE = ResolverUnavailable(SERVICE, ())


def me(name: str = "db-0", *addresses: str) -> Identity:
    statefulset, _, number = name.rpartition("-")
    return Identity(
        name,
        "shop",
        int(number),
        statefulset,
        addresses=tuple(map(ip_address, addresses or ("10.0.0.1",))),
    )


def seen(*peers: str, identity: Identity | None = None, **facts: Any) -> Snapshot:
    """A membership of ``NAME=ADDRESS,ADDRESS``."""
    made = []
    for text in peers:
        name, _, addresses = text.partition("=")
        made.append(
            peer(name, addresses=tuple(map(ip_address, filter(None, addresses.split(",")))))
        )
    facts = {"observed_at": AT, "identity": identity or me(), **facts}
    return Snapshot(SERVICE, tuple(made), **facts)


def confirm(snapshot: Snapshot, *probes: Probe) -> Verdict:
    assert snapshot.identity is not None
    return confirm_local_primary(snapshot, snapshot.identity, probes)


def codes(verdict: Verdict) -> list[str]:
    return [reason.code.code for reason in verdict.reasons]


# Confirming.


def test_ordinal_0_whose_own_address_is_in_dns_is_confirmed() -> None:
    verdict = confirm(seen("db-0=10.0.0.1", "db-1=10.0.0.2"))
    assert verdict
    assert codes(verdict) == ["confirmed"]
    assert str(verdict) == "allowed: db-0 is the primary, and DNS names its address (10.0.0.1)"


def test_any_other_ordinal_is_refused() -> None:
    verdict = confirm(seen("db-0=10.0.0.1", "db-1=10.0.0.2", identity=me("db-1", "10.0.0.2")))
    assert (verdict.decision, codes(verdict)) == (Decision.REFUSED, ["not-the-primary"])
    assert "the primary is db-0, this pod is db-1" in str(verdict)


def test_any_other_ordinal_is_refused_while_the_primary_is_absent() -> None:
    for others in (["db-1=10.0.0.2"], []):
        verdict = confirm(seen(*others, identity=me("db-1", "10.0.0.2")))
        assert (verdict.decision, codes(verdict)) == (Decision.REFUSED, ["not-the-primary"])


def test_ordinal_0_that_is_not_listed_waits() -> None:
    verdict = confirm(seen("db-1=10.0.0.2"))
    assert (verdict.decision, codes(verdict)) == (Decision.WAIT, ["not-listed"])
    assert "publishNotReadyAddresses" in str(verdict)


def test_nothing_is_confirmed_before_the_first_answer() -> None:
    verdict = confirm(seen(observed_at=None, last_error=OUTAGE))
    assert verdict.decision is Decision.WAIT
    assert "no-answer" in codes(verdict)


def test_nothing_is_confirmed_during_an_outage() -> None:
    verdict = confirm(seen("db-0=10.0.0.1", last_error=OUTAGE))
    assert (verdict.decision, codes(verdict)) == (Decision.WAIT, ["no-answer"])


def test_nothing_is_confirmed_by_a_list_that_may_lack_pods() -> None:
    verdict = confirm(seen("db-0=10.0.0.1", incomplete_reason="it was truncated"))
    assert (verdict.decision, codes(verdict)) == (Decision.WAIT, ["incomplete"])


def test_the_refusal_of_a_pod_with_unknown_addresses_says_what_to_do() -> None:
    verdict = confirm(seen("db-0=10.0.0.1", identity=replace(me(), addresses=())))
    assert (verdict.decision, codes(verdict)) == (Decision.REFUSED, ["own-addresses-unknown"])
    assert "POD_IP" in str(verdict)


@pytest.mark.parametrize(
    ("listed", "own", "confirmed"),
    [
        ("10.0.0.1,fd00::1", ["10.0.0.1", "fd00::1"], True),
        ("10.0.0.1,fd00::1", ["10.0.0.1"], True),
        ("10.0.0.1", ["10.0.0.1", "fd00::1"], True),
        ("fd00::1", ["fd00::1"], True),
        ("fd00::9", ["10.0.0.1", "fd00::1"], False),
        ("10.0.0.1,fd00::9", ["10.0.0.1", "fd00::1"], False),
        ("fd00::1", ["10.0.0.1"], False),
        ("", ["10.0.0.1"], False),
    ],
)
def test_addresses_are_compared_within_the_families_that_are_known(
    listed: str, own: list[str], confirmed: bool
) -> None:
    verdict = confirm(seen(f"db-0={listed}", identity=me("db-0", *own)))
    assert bool(verdict) is confirmed
    if not confirmed:
        assert (verdict.decision, codes(verdict)) == (Decision.WAIT, ["another-address"])


def test_the_policy_and_the_first_ordinal_say_who_the_primary_is() -> None:
    started_at_5 = seen("db-5=10.0.0.1", identity=me("db-5"), first_ordinal=5, policy=ordinal(5))
    assert confirm(started_at_5)
    assert confirm(seen("db-1=10.0.0.1", identity=me("db-1"), policy=lowest_ordinal))


# Two pods believe that they are ordinal 0.


def test_the_old_pod_after_a_forced_deletion_sees_another_address() -> None:
    old = me("db-0", "10.0.0.1")
    verdict = confirm(seen("db-0=10.0.0.9", "db-1=10.0.0.2", identity=old))
    assert (verdict.decision, codes(verdict)) == (Decision.WAIT, ["another-address"])
    assert "10.0.0.9" in str(verdict)
    assert "10.0.0.1" in str(verdict)


def test_the_new_pod_waits_while_dns_still_names_the_old_ones_address() -> None:
    new = me("db-0", "10.0.0.9")
    assert codes(confirm(seen("db-0=10.0.0.1", identity=new))) == ["another-address"]
    assert confirm(seen("db-0=10.0.0.9", identity=new))


def test_both_pods_wait_while_dns_names_both_addresses() -> None:
    both = "db-0=10.0.0.1,10.0.0.9"
    for own in ("10.0.0.1", "10.0.0.9"):
        verdict = confirm(seen(both, identity=me("db-0", own)))
        assert (verdict.decision, codes(verdict)) == (Decision.WAIT, ["another-address"])


def test_the_old_pod_whose_node_object_was_deleted_is_no_longer_listed() -> None:
    assert codes(confirm(seen("db-1=10.0.0.2", identity=me()))) == ["not-listed"]


def test_the_old_pod_that_is_cut_off_from_dns_is_not_confirmed_again() -> None:
    assert not confirm(seen("db-0=10.0.0.1", last_error=OUTAGE, identity=me()))


def test_two_statefulsets_behind_one_service_are_refused() -> None:
    outsider = replace(me("db-0"), statefulset=None, ordinal=None, pod_name="tool")
    verdict = confirm(seen("blue-0=10.0.0.1", "green-0=10.0.0.2", identity=outsider))
    assert (verdict.decision, codes(verdict)) == (Decision.REFUSED, ["ambiguous"])


def test_ordinal_0_of_another_statefulset_is_refused() -> None:
    blue = seen(
        "blue-0=10.0.0.1",
        "green-0=10.0.0.2",
        identity=me("green-0", "10.0.0.2"),
        statefulset="blue",
    )
    assert codes(confirm(blue)) == ["not-the-primary"]
    # The same while blue-0 is absent: green-0 has the ordinal, and is not blue's.
    absent = seen("blue-1=10.0.0.3", identity=me("green-0", "10.0.0.2"), statefulset="blue")
    assert codes(confirm(absent)) == ["not-the-primary"]
    alone = seen("green-0=10.0.0.2", identity=me("green-0", "10.0.0.2"), statefulset="blue")
    assert codes(confirm(alone)) == ["not-the-primary"]


def test_ordinal_0_in_another_namespace_is_another_pod() -> None:
    elsewhere = replace(me("db-0"), namespace="test")
    assert codes(confirm(seen("db-0=10.0.0.1", identity=elsewhere))) == ["not-the-primary"]


def test_ordinal_0_is_refused_while_a_peer_acts_as_the_primary() -> None:
    probe = Probe("db-1", answered=True, claims_primary=True, detail="read_only is OFF")
    verdict = confirm(seen("db-0=10.0.0.1", "db-1=10.0.0.2"), probe)
    assert (verdict.decision, codes(verdict)) == (Decision.REFUSED, ["another-claims"])
    assert verdict.reasons[0].peer == "db-1"
    assert "read_only is OFF" in str(verdict)


def test_a_probe_of_this_pod_itself_and_those_that_found_nothing_do_not_count() -> None:
    assert confirm(
        seen("db-0=10.0.0.1", "db-1=10.0.0.2", "db-2=10.0.0.3"),
        Probe("db-0", answered=True, claims_primary=True),
        Probe("db-1", answered=True, claims_primary=False),
        Probe("db-2", answered=False),
    )


def test_every_reason_is_given_and_the_most_severe_decides() -> None:
    verdict = confirm(
        seen("db-0=10.0.0.9", last_error=OUTAGE),
        Probe("db-1", answered=True, claims_primary=True),
    )
    assert codes(verdict) == ["another-claims", "no-answer", "another-address"]
    assert verdict.decision is Decision.REFUSED
    assert [reason.code.code for reason in verdict.deciding] == ["another-claims"]


# Bootstrapping.

EMPTY = {"answered": True, "holds_data": False}


def bootstrap(
    snapshot: Snapshot, *probes: Probe, expected: int | None = 3, first_start: bool = False
) -> Verdict:
    assert snapshot.identity is not None
    return may_bootstrap(
        snapshot, snapshot.identity, probes, expected=expected, first_start=first_start
    )


def three() -> Snapshot:
    return seen("db-0=10.0.0.1", "db-1=10.0.0.2", "db-2=10.0.0.3")


def test_the_first_start_of_three_empty_pods_is_allowed() -> None:
    verdict = bootstrap(three(), Probe("db-1", **EMPTY), Probe("db-2", **EMPTY))
    assert verdict
    assert codes(verdict) == ["all-empty"]
    assert "db-1, db-2" in str(verdict)


def test_the_only_pod_there_shall_be_is_allowed() -> None:
    assert bootstrap(seen("db-0=10.0.0.1"), expected=1)


@pytest.mark.parametrize("first_start", [False, True])
def test_an_empty_ordinal_0_is_refused_when_a_peer_holds_data(first_start: bool) -> None:
    verdict = bootstrap(
        three(),
        Probe("db-1", answered=True, holds_data=True, detail="schemas: shop"),
        Probe("db-2", answered=False),
        first_start=first_start,
    )
    assert verdict.decision is Decision.REFUSED
    assert codes(verdict)[0] == "peer-holds-data"
    assert "db-1 holds data (schemas: shop)" in str(verdict)
    assert "lost its volume" in str(verdict)


@pytest.mark.parametrize(
    ("probes", "about"),
    [
        ([Probe("db-1", **EMPTY)], "db-2 was not asked"),
        (
            [Probe("db-1", **EMPTY), Probe("db-2", answered=False, detail="refused")],
            "db-2 did not answer (refused)",
        ),
        (
            [Probe("db-1", **EMPTY), Probe("db-2", answered=True, detail="no privilege")],
            "db-2 could not tell (no privilege)",
        ),
    ],
)
def test_a_peer_that_did_not_answer_may_hold_data(probes: Sequence[Probe], about: str) -> None:
    verdict = bootstrap(three(), *probes)
    assert (verdict.decision, codes(verdict)) == (Decision.WAIT, ["not-probed"])
    assert about in str(verdict)
    assert "first start" in str(verdict)
    assert codes(bootstrap(three(), *probes, first_start=True)) == ["first-start"]


def test_a_pod_that_is_expected_and_not_listed_is_waited_for() -> None:
    verdict = bootstrap(seen("db-0=10.0.0.1", "db-1=10.0.0.2"), Probe("db-1", **EMPTY))
    assert (verdict.decision, codes(verdict)) == (Decision.WAIT, ["not-listed"])
    assert verdict.reasons[0].peer == "db-2"


def test_a_pod_beyond_those_expected_must_answer_too() -> None:
    probes = [Probe("db-1", **EMPTY), Probe("db-2", **EMPTY)]
    grown = seen("db-0=10.0.0.1", "db-1=10.0.0.2", "db-2=10.0.0.3", "db-3=10.0.0.4")
    assert codes(bootstrap(grown, *probes)) == ["not-probed"]


def test_all_peers_unreachable_and_nothing_that_says_first_start_is_no_first_start() -> None:
    verdict = bootstrap(three(), Probe("db-1", answered=False), Probe("db-2", answered=False))
    assert (verdict.decision, codes(verdict)) == (Decision.WAIT, ["not-probed", "not-probed"])


def test_without_a_number_of_pods_nobody_knows_who_is_missing() -> None:
    verdict = bootstrap(three(), Probe("db-1", **EMPTY), Probe("db-2", **EMPTY), expected=None)
    assert (verdict.decision, codes(verdict)) == (Decision.REFUSED, ["expected-unknown"])


def test_an_outage_is_not_a_membership_of_one() -> None:
    for snapshot in (
        seen(observed_at=None),
        seen("db-0=10.0.0.1", last_error=OUTAGE),
        seen("db-0=10.0.0.1", incomplete_reason="it was truncated"),
    ):
        assert bootstrap(snapshot, expected=1).decision is Decision.WAIT


def test_the_expected_ordinals_begin_where_the_statefulsets_do() -> None:
    started_at_5 = seen(
        "db-5=10.0.0.1", "db-6=10.0.0.2", identity=me("db-5"), first_ordinal=5, policy=ordinal(5)
    )
    assert bootstrap(started_at_5, Probe("db-6", **EMPTY), expected=2)
    missing = bootstrap(started_at_5, Probe("db-6", **EMPTY), expected=3)
    assert [reason.peer for reason in missing.reasons] == ["db-7"]


def test_missing_pods_are_listed_in_the_order_of_their_ordinals() -> None:
    verdict = bootstrap(seen("db-0=10.0.0.1"), expected=12)
    assert [reason.peer for reason in verdict.reasons] == [f"db-{n}" for n in range(1, 12)]


@pytest.mark.parametrize("expected", [0, -1])
def test_a_statefulset_has_a_pod_at_least(expected: int) -> None:
    with pytest.raises(ConfigurationError, match=r"expected: got .* 1 or more"):
        bootstrap(three(), expected=expected)


# While this pod acts as the primary.


def lost(snapshot: Snapshot) -> str | None:
    assert snapshot.identity is not None
    reason = must_step_down(snapshot, snapshot.identity)
    return reason.code.code if reason is not None else None


@pytest.mark.parametrize(
    ("snapshot", "code"),
    [
        (seen("db-0=10.0.0.1", "db-1=10.0.0.2"), None),
        (seen("db-0=10.0.0.9", "db-1=10.0.0.2"), "another-address"),
        (seen("db-0=10.0.0.1,10.0.0.9"), None),  # its own is among them; it may be settling
        (seen("db-0"), None),
        (seen("db-1=10.0.0.2"), "not-listed"),
        (seen("db-1=10.0.0.2", incomplete_reason="it was truncated"), None),
        (seen(), None),
        (seen("db-0=10.0.0.9", last_error=OUTAGE), None),
        (seen("db-1=10.0.0.2", last_error=OUTAGE), None),
        (seen("db-0=10.0.0.9", observed_at=None), None),
        (seen("db-0=10.0.0.9", identity=replace(me(), addresses=())), None),
    ],
)
def test_the_name_is_lost_only_where_dns_says_so(snapshot: Snapshot, code: str | None) -> None:
    assert lost(snapshot) == code


# Verdicts as values.


def test_a_verdict_is_true_only_if_it_is_allowed() -> None:
    for code in (*ReasonCode, *ServerReasonCode):
        verdict = Verdict.of([Reason(code, "so it is")])
        assert bool(verdict) is (code.decision is Decision.ALLOWED)
        assert str(verdict) == f"{code.decision.value}: so it is"


def test_the_codes_are_distinct_words() -> None:
    words = [code.code for code in (*ReasonCode, *ServerReasonCode)]
    assert len(set(words)) == len(words)
    assert all(word == word.lower() and " " not in word for word in words)


def test_verdicts_are_values() -> None:
    verdict = confirm(seen("db-0=10.0.0.1"))
    assert pickle.loads(pickle.dumps(verdict)) == verdict
    assert len({verdict, confirm(seen("db-0=10.0.0.1"))}) == 1
