"""When the primary's role may move."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from peerdisco.exceptions import ConfigurationError
from peerdisco.mysql import Unanswered
from peerdisco.mysql.facts import ServerFacts
from peerdisco.mysql.history import History
from peerdisco.mysql.sidecar.moves import Wanted, WantedPrimary
from peerdisco.mysql.status import Receiver
from peerdisco.mysql.takeover import find_successor, judge_handover, judge_takeover

from .histories import epoch
from .servers import primary_at, replica_at, status


def test_the_primary_gives_way_to_a_replica_of_its_own(version: str) -> None:
    own = primary_at(version, 9)
    assert judge_handover(own, "db-0", "db-1", replica_at(version, 8)) is None
    for found, expected in (
        (None, "cannot be asked (it is not listed)"),
        (Unanswered("no answer"), "cannot be asked (no answer)"),
        (primary_at(version, 8), "does not replicate from this pod"),
        (replica_at(version, 8, status=status(applier_running=False)), "does not replicate"),
        (replica_at(version, 8, status=status(source_host="db-2.db")), "does not replicate"),
        (replica_at(version, 10), "are not this pod's"),
        (replica_at(version, 8, status=status(lag=11)), "11 s behind"),
        (replica_at(version, 8, status=status(lag=None)), "an unknown time behind"),
    ):
        assert expected in str(judge_handover(own, "db-0", "db-1", found))


def test_a_replica_opens_when_it_has_everything_of_a_closed_primary(version: str) -> None:
    own = replica_at(version, 9)
    closed = primary_at(version, 9, read_only=True)
    assert judge_takeover(own, "db-0", closed) is None
    for found, expected in (
        (None, "cannot be asked (it is not listed)"),
        (Unanswered("no answer"), "cannot be asked (no answer)"),
        (primary_at(version, 9), "still takes writes"),
        (
            primary_at(version, 10, read_only=True),
            "has transactions that this pod does not have yet",
        ),
    ):
        assert expected in str(judge_takeover(own, "db-0", found))


def with_received(version: str, applied: int, last: int, **given: object) -> ServerFacts:
    """A replica whose primary is away, and which has more in its relay log."""
    text = primary_at(version, last).position.text.partition("|")[0]
    given = {"receiver": Receiver.CONNECTING, "received": text, **given}
    return replica_at(version, applied, status=status(**given))


def test_what_a_pod_has_received_is_applied_before_it_opens_without_the_old_primary(
    version: str,
) -> None:
    """A server that is opened discards its relay logs."""
    own = with_received(version, 7, 9)
    for old in (None, Unanswered("no answer"), primary_at(version, 8, read_only=True)):
        why = judge_takeover(own, "db-0", old, "db-0")
        assert "has received transactions that it has not applied yet" in str(why)
    stopped = with_received(version, 7, 9, applier_running=False, applier_errno=1062)
    assert "its applier has stopped" in str(judge_takeover(stopped, "db-0", None, "db-0"))
    assert judge_takeover(with_received(version, 9, 9), "db-0", None, "db-0") is None
    # What can never be applied here is given up where the old primary has it.
    assert judge_takeover(own, "db-0", primary_at(version, 9, read_only=True), "db-0") is None


def test_a_pod_that_was_opened_in_between_is_found(version: str) -> None:
    first, second = (History((epoch(1, ""),)), History((epoch(1, ""), epoch(2, ""))))
    own = replica_at(version, 9, history=first)
    opened = primary_at(version, 9, history=second)
    assert find_successor(own, {"db-0": Unanswered("no answer"), "db-1": opened}) == "db-1"
    for other in (
        primary_at(version, 9, history=first),
        primary_at(version, 9, history=History()),
        replace(opened, read_only=True),
        replace(opened, status=status()),
        replace(opened, cluster=None),
        Unanswered("no answer"),
    ):
        assert find_successor(own, {"db-1": other}) is None
    unknown = replica_at(version, 9, history=History())
    assert find_successor(unknown, {"db-1": primary_at(version, 9, history=first)}) == "db-1"


def test_rows_are_given_up_by_the_name_of_their_pod_alone(version: str) -> None:
    own = replica_at(version, 9)
    ahead = primary_at(version, 10, read_only=True)
    for found in (None, Unanswered("no answer"), ahead):
        assert judge_takeover(own, "db-0", found, "db-0") is None
        assert "without db-0" in str(judge_takeover(own, "db-0", found, "db-2"))
    assert "still takes writes" in str(judge_takeover(own, "db-0", primary_at(version, 9), "db-0"))


def test_the_file_keeps_its_last_value(tmp_path: Path) -> None:
    path = tmp_path / "ordinal"
    wanted = WantedPrimary(0, path)
    with pytest.raises(ConfigurationError, match="primary-ordinal-file"):
        wanted.read()
    path.write_text("2\n")
    assert (wanted.read(), wanted.problem) == (Wanted(2), None)
    for text in ("", "two", "-1", "1 2", "1 without", "1 without a;b", "99999999999"):
        path.write_text(text)
        assert wanted.read() == Wanted(2)
        assert wanted.problem is not None
        assert "the last value, 2, stays" in wanted.problem.detail
    path.write_text("1 without mysql-0")
    assert (wanted.read(), wanted.problem) == (Wanted(1, "mysql-0"), None)
    assert WantedPrimary(5, None).read() == Wanted(5)
