"""From which replica a lost primary may be restored."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from peerdisco.mysql import Receiver, ServerFacts, Unanswered
from peerdisco.mysql.history import History
from peerdisco.mysql.positions import MariaDBPosition, parse_position
from peerdisco.mysql.recovery import Recovery, judge_recovery, possible_ordinals

from .histories import epoch
from .servers import CLUSTER, MARIADB, ORIGIN, UUID, facts, status, uuid_of

REPLICAS = ("db-1", "db-2")


def position(version: str, last: int) -> str:
    return f"0-100-{last}" if version == MARIADB else f"{UUID}:1-{last}"


def replica(version: str, applied: int, received: int | None = None, **given: Any) -> ServerFacts:
    """A replica that lost its primary after it had received so much."""
    text = position(version, received if received is not None else applied)
    found = facts(
        version,
        position=position(version, applied),
        cluster=CLUSTER,
        status=status(receiver=Receiver.CONNECTING, received=text, lag=None),
    )
    return replace(found, **given)


def judge(*replicas: ServerFacts | Unanswered, **given: Any) -> Recovery:
    found = {f"db-{number}": one for number, one in enumerate(replicas, 1)}
    expected = given.pop("expected", REPLICAS)
    found |= given.pop("also", {})
    return judge_recovery("db-0", found, expected, **{"primary_lost": True, **given})


def test_the_replica_with_most_is_the_source(version: str) -> None:
    assert judge(replica(version, 40), replica(version, 41)).source == "db-2"
    assert judge(replica(version, 41), replica(version, 40)).source == "db-1"
    assert judge(replica(version, 41), replica(version, 41)).source == "db-1"


def test_what_a_replica_wrote_as_the_primary_counts(version: str) -> None:
    """The role was at db-1 for a while, and db-2 does not have all of that yet."""
    own = "0-101-45" if version == MARIADB else f"{ORIGIN}:1-3"
    both = parse_position(f"{position(version, 41)},{own}{'|' if version == MARIADB else ''}")
    former = replica(version, 41, position=both)
    behind = replica(version, 41, origin="102" if version == MARIADB else uuid_of(102))
    assert judge(former, behind).source == "db-2"  # what it wrote as a replica does not count
    first = epoch(1, "0-100-4", server="100" if version == MARIADB else UUID)
    second = epoch(2, "0-100-41", server=former.origin)
    former = replace(former, history=History((first, second)))
    behind = replace(behind, history=History((first, second)))
    assert judge(former, behind).source == "db-1"


def test_what_is_received_counts_and_has_to_be_applied_first(version: str) -> None:
    ahead = replica(version, 40, received=251)
    found = judge(replica(version, 200), ahead)
    assert (found.source, found.refused, found.applying) == (None, (), True)
    (why,) = found.waits_for
    assert why.startswith("db-2 has received transactions that it has not applied")
    assert "do not restart it" in why
    assert judge(replica(version, 200), replica(version, 251)).source == "db-2"
    # One that has applied the same needs no waiting.
    assert judge(replica(version, 251), ahead).source == "db-1"


def test_an_applier_that_does_not_run_is_no_source(version: str) -> None:
    stopped = status(
        receiver=Receiver.STOPPED,
        applier_running=False,
        applier_errno=1062,
        applier_error="duplicate",
        received=position(version, 251),
    )
    found = judge(replica(version, 40), replica(version, 40, status=stopped))
    (why,) = found.refused
    assert "error 1062: duplicate" in why
    assert "do not restart its server or its replication" in why


def test_a_primary_that_may_have_its_data_is_not_replaced(version: str) -> None:
    both = (replica(version, 1), replica(version, 1))
    blank = {"db-0": facts(version)}
    assert judge(*both, also=blank, primary_lost=False).source == "db-1"
    for found, lost in (
        ({}, False),
        ({"db-0": Unanswered("no answer")}, False),
        ({"db-0": facts(version, cluster=CLUSTER, read_only=False)}, True),
        ({"db-0": facts(version, schemas=("shop",))}, True),
        ({"db-0": facts(version, schemas=None)}, True),
    ):
        result = judge(*both, also=found, primary_lost=lost)
        assert result.source is None
        assert "db-0" in result.refused[0]


def test_every_replica_has_to_answer(version: str) -> None:
    found = judge(replica(version, 5), Unanswered("no answer in 5 s"))
    assert (found.source, found.refused, found.applying) == (None, (), False)
    assert "db-2 does not answer (no answer in 5 s)" in found.waits_for[0]
    assert judge(replica(version, 5)).waits_for
    assert judge(replica(version, 5), expected=["db-1"]).source == "db-1"


def test_a_replica_that_is_connected_shows_that_the_primary_lives(version: str) -> None:
    found = judge(replica(version, 5), replica(version, 5, status=status()))
    assert "db-2 is still connected to db-0.db.shop" in found.waits_for[0]
    # Not if that is a new server without data, to which a MySQL replica stays connected.
    connected = replica(version, 5, status=status())
    blank = {"db-0": facts(version, server_id=100)}
    assert judge(replica(version, 5), connected, also=blank).source == "db-1"
    elsewhere = replace(connected, status=status(source_host="db-1.db.shop"))
    assert judge(replica(version, 5), elsewhere, also=blank).waits_for
    whole = {"db-0": replica(version, 5)}
    assert "is still connected" in judge(replica(version, 5), connected, also=whole).waits_for[0]


def test_blank_replicas_are_no_source(version: str) -> None:
    assert judge(facts(version), replica(version, 5)).source == "db-2"
    assert judge(facts(version), facts(version)).refused == ("no replica holds data",)


def test_replicas_of_different_clusters_or_with_writes_are_refused(version: str) -> None:
    other = replace(CLUSTER, id="another")
    found = judge(replica(version, 5), replica(version, 9, cluster=other))
    assert "different clusters" in found.refused[0]
    found = judge(replica(version, 5), replica(version, 9, read_only=False))
    assert "db-2 takes writes" in found.refused[0]
    found = judge(replica(version, 5), replica(version, 9, cluster=None, schemas=("shop",)))
    assert "--without db-2" in found.refused[0]


def test_a_wanted_replica_that_lacks_something_is_refused(version: str) -> None:
    two = (replica(version, 40), replica(version, 41))
    found = judge(*two, wanted="db-1")
    assert "db-2 has transactions that db-1 does not have" in found.refused[0]
    assert found.refused[0].endswith("restore from db-2")
    assert judge(*two, wanted="db-2").source == "db-2"
    assert judge(*two, wanted="db-7").refused == ("db-7 is not a replica that holds data",)


def test_replicas_that_each_have_more_are_refused() -> None:
    first = replica(MARIADB, 5, position=MariaDBPosition.parse("0-100-5,1-100-3", ""))
    second = replica(MARIADB, 5, position=MariaDBPosition.parse("0-100-6", ""))
    (why,) = judge(first, second).refused
    assert why.startswith("no replica has everything: ")
    assert "1-100-3" in why
    assert "0-100-6" in why


def test_what_a_replica_wrote_itself_makes_it_no_better_source() -> None:
    own = replica(MARIADB, 5, origin="101", position=MariaDBPosition.parse("0-101-6", "0-100-5"))
    assert judge(own, replica(MARIADB, 5, origin="102")).source == "db-2"


def test_replicas_of_two_histories_are_refused() -> None:
    """Their numbers are the same, and their data came from different primaries."""
    common = epoch(1, "0-100-1")
    histories = [History((common, epoch(2, "0-100-5", name=name))) for name in ("b", "c")]
    two = (replica(MARIADB, 9, history=history) for history in histories)
    (why,) = judge(*two).refused
    assert why.startswith("db-2 has another history than db-1 (forked)")


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({0}, {0, 1, 2}),
        ({0, 1, 2}, {0, 1, 2}),
        ({0, 1, 2, 3}, {0, 1, 2, 3}),
        ({1, 0, 2}, {0, 1, 2}),
        ({2, 0}, {0, 1, 2}),
        # The first ordinal is 0 or 1: neither possible pod is forgotten.
        ({1, 2}, {0, 1, 2, 3}),
        ({1}, {0, 1, 2, 3}),
        ({5, 6, 7}, {5, 6, 7}),
    ],
)
def test_no_pod_is_forgotten_wherever_the_primary_is(known: set[int], expected: set[int]) -> None:
    assert possible_ordinals(known, 3) == expected
