"""Every reason of a verdict, word for word: ``verdicts.txt``.

The other tests say which decision is right. This file shows what an operator reads, and keeps
a change of any of these sentences, or of a fact in them, from going unnoticed. After a change:
``PEERDISCO_REWRITE_DOCS=1 pytest tests/unit/primary/test_recorded_verdicts.py``; read the
difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from peerdisco.exceptions import ConfigurationError
from peerdisco.model import Identity, Snapshot
from peerdisco.primary.policies import lowest_ordinal, ordinal
from peerdisco.primary.verdicts import (
    Probe,
    Reason,
    Verdict,
    confirm_local_primary,
    may_bootstrap,
    must_step_down,
)
from tests.docs.markdown import REWRITE

from ..test_model import peer
from .test_verdicts import OUTAGE, me, seen

RECORDED = Path(__file__).with_name("verdicts.txt")

THREE = ("db-0=10.0.0.1", "db-1=10.0.0.2", "db-2=10.0.0.3")

MEMBERSHIPS: dict[str, Snapshot] = {
    "three pods": seen(*THREE),
    "three pods, ordinals from 1": seen("db-1=10.0.0.2", "db-2=10.0.0.3", first_ordinal=1),
    "three pods, policy ordinal(1)": seen(*THREE, policy=ordinal(1)),
    "db-0 missing, policy lowest_ordinal": seen(*THREE[1:], policy=lowest_ordinal),
    "db-0 alone": seen(THREE[0]),
    "db-0 missing": seen(*THREE[1:]),
    "twelve pods": seen(*(f"db-{n}=10.0.0.{n + 1}" for n in range(12))),
    "nobody": seen(),
    "db-0 at another address": seen("db-0=10.9.9.9", *THREE[1:]),
    "db-0 at two addresses": seen("db-0=10.9.9.9,10.0.0.1", *THREE[1:]),
    "db-0 with IPv6 alone": seen("db-0=fd00::1", *THREE[1:]),
    "db-0 without an address": seen("db-0=", *THREE[1:]),
    "before the first answer": seen(observed_at=None),
    "before the first answer, DNS fails": seen(observed_at=None, last_error=OUTAGE),
    "an outage": seen(*THREE, last_error=OUTAGE),
    "an incomplete list": seen(*THREE, incomplete_reason="it was truncated"),
    "an incomplete list without db-0": seen(*THREE[1:], incomplete_reason="it was truncated"),
    "an incomplete list during an outage": seen(
        *THREE, incomplete_reason="it was truncated", last_error=OUTAGE
    ),
    "two StatefulSets": seen("db-0=10.0.0.1", "web-0=10.0.1.1"),
    "two StatefulSets, db chosen": seen("db-0=10.0.0.1", statefulset="db"),
    "two StatefulSets, web chosen": seen("web-0=10.0.1.1", statefulset="web"),
    "a name without a number": seen("arbiter=10.0.2.1", *THREE),
    "two clusters": Snapshot(
        "db.shop.svc.clusterset.local",
        tuple(
            replace(
                peer(f"db-{n}", addresses=me("db-0", f"10.{c}.0.{n + 1}").addresses),
                cluster=name,
                hostname=f"db-{n}.{name}.db.shop.svc.clusterset.local",
            )
            for c, name in enumerate(("east", "west"))
            for n in range(2)
        ),
        observed_at=seen().observed_at,
        identity=me(),
        cluster="east",
    ),
}

PODS: dict[str, Identity] = {
    "db-0": me(),
    "db-0 of two families": me("db-0", "10.0.0.1", "fd00::1"),
    "db-0 without known addresses": replace(me(), addresses=()),
    "db-0 in the namespace other": replace(me(), namespace="other"),
    "db-1": me("db-1", "10.0.0.2"),
}

PROBES: dict[str, Sequence[Probe]] = {
    "nothing was asked": (),
    "all empty": tuple(Probe(f"db-{n}", True, False, False) for n in range(3)),
    "db-1 is primary": (
        Probe("db-1", True, True, True, "it takes writes"),
        Probe("db-2", True, False, False),
    ),
    "db-1 has data, db-2 is silent": (
        Probe("db-1", True, True, False),
        Probe("db-2", False, detail="connection refused"),
    ),
    "db-1 cannot tell": (Probe("db-1", True, detail="access denied"), Probe("db-2", True)),
    "db-0 claims it itself": (Probe("db-0", True, True, True),),
}


WAYS = {
    "3 pods expected": {"expected": 3},
    "number unknown": {},
    "first start": {"first_start": True},
}


def verdicts() -> Iterator[tuple[str, Verdict]]:
    """The verdicts of every combination, each with its situation."""
    combinations = product(MEMBERSHIPS.items(), PODS.items(), PROBES.items())
    for (membership, snapshot), (pod, identity), (probes, found) in combinations:
        view = replace(snapshot, identity=identity)
        where = f"{membership}; this is {pod}; {probes}"
        yield f"primary? {where}", confirm_local_primary(view, identity, found)
        for way, options in WAYS.items():
            made = may_bootstrap(view, identity, found, **options)  # type: ignore[arg-type]
            yield f"bootstrap? {where}; {way}", made
        reason = must_step_down(view, identity)
        if reason is not None:
            yield f"step down? {where}", Verdict.of([reason])


def shown() -> str:
    """Each reason once, below the first situation in which it is given."""
    lines: list[str] = []
    met: set[Reason] = set()
    for situation, verdict in verdicts():
        assert str(verdict) == f"{verdict.decision.value}: {'; '.join(map(str, verdict.deciding))}"
        fresh = [reason for reason in verdict.reasons if reason not in met]
        met.update(fresh)
        if fresh:
            lines += [situation, f"  {verdict.decision.value}"]
            lines += [f"  {reason.code.code}, {reason.peer}: {reason.text}" for reason in fresh]
            lines.append("")
    return "\n".join(lines)


def test_the_verdicts_are_as_recorded() -> None:
    text = shown()
    if REWRITE:
        RECORDED.write_text(text, encoding="utf-8")
    assert text == RECORDED.read_text(encoding="utf-8"), "see the docstring of this file"


def test_the_reasons_are_in_the_order_of_the_ordinals() -> None:
    names = [f"my-db-{number}" for number in (10, 2, 1, 11)]
    view = seen(
        "arbiter=10.0.2.1",
        "my-db=10.0.2.2",
        *(f"{name}=10.0.0.{n}" for n, name in enumerate(names, 2)),
    )
    verdict = may_bootstrap(view, me("my-db-0"), (), expected=12)
    found = [reason.peer for reason in verdict.reasons]
    unnumbered, numbered = found[:2], found[2:]
    assert unnumbered == ["arbiter", "my-db"]
    assert numbered == [f"my-db-{number}" for number in range(1, 12)]


def test_a_pod_of_another_cluster_with_the_same_name_is_not_this_pod() -> None:
    view = MEMBERSHIPS["two clusters"]
    assert view.identity is not None
    assert view.local is not None
    assert view.local.unique_name == "db-0.east"
    for peer_name, allowed in (("db-0.east", True), ("db-0.west", False)):
        probe = Probe(peer_name, True, True, True)
        assert confirm_local_primary(view, view.identity, [probe]).allowed is allowed
    verdict = may_bootstrap(view, view.identity, (), expected=3)
    assert [(reason.code.code, reason.peer) for reason in verdict.reasons] == [
        ("not-probed", "db-0.west"),
        ("not-probed", "db-1.east"),
        ("not-probed", "db-1.west"),
        ("not-listed", "db-2.east"),
    ]


def test_one_pod_alone_has_nobody_to_ask() -> None:
    verdict = may_bootstrap(seen("db-0=10.0.0.1"), me(), (), expected=1)
    assert str(verdict) == "allowed: every peer answered, and holds no data (there is no other)"


@pytest.mark.parametrize("expected", [0, -1])
def test_a_number_of_pods_that_cannot_be(expected: int) -> None:
    with pytest.raises(ConfigurationError) as caught:
        may_bootstrap(seen("db-0=10.0.0.1"), me(), (), expected=expected)
    assert str(caught.value) == f"expected: got {expected}, expected a number of pods, 1 or more"
    with pytest.raises(ConfigurationError) as caught:
        ordinal(expected - 1)
    assert str(caught.value) == f"ordinal: got {expected - 1}, expected a number of 0 or more"
