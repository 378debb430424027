"""What may be done to a server, and what has to be, over facts alone."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from peerdisco.model import Snapshot
from peerdisco.mysql.decisions import (
    Unanswered,
    judge_primary,
    judge_replica,
    plan_closing,
    plan_replica,
    probe_of,
)
from peerdisco.mysql.dialects import ReplicationSource
from peerdisco.mysql.facts import ClusterRow, ServerFacts
from peerdisco.mysql.history import History
from peerdisco.mysql.opening import plan_primary
from peerdisco.mysql.positions import MariaDBPosition
from peerdisco.mysql.reasons import ServerReasonCode
from peerdisco.mysql.setup import Account
from peerdisco.mysql.status import Receiver
from peerdisco.mysql.stopping import plan_stopping
from peerdisco.primary.verdicts import Decision, Verdict
from tests.unit.primary.test_verdicts import me, seen

from .histories import epoch, heartbeat
from .servers import CLUSTER, MARIADB, MYSQL, ORIGIN, SOURCE_HOST, UUID, facts, status

OTHER = ClusterRow("ffffffff-0000-4000-8000-000000000002", from_blank=True)
SOURCE = ReplicationSource(SOURCE_HOST, 3306, Account("repl", "it's"))
GONE = Unanswered("nobody listens")


def three(**given: Any) -> Snapshot:
    return seen("db-0=10.0.0.1", "db-1=10.0.0.2", "db-2=10.0.0.3", **given)


def primary(
    own: ServerFacts,
    db_1: ServerFacts | Unanswered,
    db_2: ServerFacts | Unanswered,
    *,
    snapshot: Snapshot | None = None,
    **said: Any,
) -> Verdict:
    looked = snapshot or three()
    identity = replace(me(), hostname=SOURCE_HOST)
    return judge_primary(own, {"db-1": db_1, "db-2": db_2}, looked, identity, **said)


def codes(verdict: Verdict) -> list[str]:
    return [reason.code.code for reason in verdict.reasons]


BLANK = facts()
MEMBER = replace(
    facts(cluster=CLUSTER, schemas=("shop",), status=status()),
    position=MariaDBPosition.parse("0-100-9", "0-100-9"),
)
OWN = facts(cluster=CLUSTER, schemas=("shop",), position="0-100-9", server_id=100)


# Probes.


@pytest.mark.parametrize(
    ("found", "holds_data", "claims"),
    [
        (BLANK, False, False),
        (MEMBER, True, False),
        (facts(schemas=("shop",)), True, False),
        (facts(schemas=None), None, False),
        (facts(schemas=None, cluster=CLUSTER), True, False),
        (facts(cluster=CLUSTER, read_only=False), True, True),
        # A fresh server without this package's configuration takes writes, and claims nothing.
        (facts(read_only=False), False, False),
        (replace(MEMBER, read_only=False), True, False),
    ],
)
def test_what_a_server_claims(found: ServerFacts, holds_data: bool | None, claims: bool) -> None:
    probe = probe_of("db-1", found)
    assert (probe.answered, probe.holds_data, probe.claims_primary) == (True, holds_data, claims)
    assert probe.detail


def test_a_server_that_does_not_answer_claims_nothing() -> None:
    probe = probe_of("db-1", GONE)
    assert (probe.answered, probe.holds_data, probe.claims_primary) == (False, None, None)


# The primary.


def test_a_first_start() -> None:
    assert codes(primary(BLANK, BLANK, BLANK, expected=3)) == ["all-empty"]


def test_a_first_start_waits_for_those_that_do_not_answer() -> None:
    verdict = primary(BLANK, BLANK, GONE, expected=3)
    assert (verdict.decision, codes(verdict)) == (Decision.WAIT, ["not-probed"])
    assert codes(primary(BLANK, BLANK, GONE, expected=3, first_start=True)) == ["first-start"]


def test_a_first_start_waits_for_those_that_cannot_tell() -> None:
    verdict = primary(BLANK, BLANK, facts(schemas=None), expected=3)
    assert (verdict.decision, codes(verdict)) == (Decision.WAIT, ["not-probed"])
    assert "GRANT SHOW DATABASES" in str(verdict)


@pytest.mark.parametrize("first_start", [False, True])
@pytest.mark.parametrize("peer", [MEMBER, facts(schemas=("shop",))])
def test_a_wiped_ordinal_0_is_refused(peer: ServerFacts, first_start: bool) -> None:
    verdict = primary(BLANK, peer, GONE, expected=3, first_start=first_start)
    assert verdict.decision is Decision.REFUSED
    assert codes(verdict)[0] == "peer-holds-data"


def test_the_own_data_are_enough_for_a_restart() -> None:
    assert codes(primary(OWN, GONE, GONE)) == ["holds-the-data"]
    assert codes(primary(OWN, MEMBER, BLANK)) == ["holds-the-data"]


def test_a_primary_with_other_data_than_a_peer_is_refused() -> None:
    verdict = primary(OWN, replace(MEMBER, cluster=OTHER), GONE)
    assert (verdict.decision, codes(verdict)[0]) == (Decision.REFUSED, "other-cluster")
    assert OTHER.id in str(verdict)


STRANGER = replace(MEMBER, cluster=OTHER)
"""A pod with the volume of another database."""


@pytest.mark.parametrize(
    ("db_1", "db_2", "expected", "decision"),
    [
        (MEMBER, STRANGER, 3, Decision.ALLOWED),
        (STRANGER, MEMBER, None, Decision.ALLOWED),
        (GONE, STRANGER, 3, Decision.REFUSED),
        (BLANK, STRANGER, 3, Decision.REFUSED),
        (STRANGER, STRANGER, 1, Decision.REFUSED),
        (MEMBER, STRANGER, 1, Decision.ALLOWED),
        (MEMBER, STRANGER, 4, Decision.REFUSED),  # two of four are no majority
        (MEMBER, STRANGER, 5, Decision.REFUSED),
    ],
)
def test_a_majority_of_all_pods_outvotes_another_cluster(
    db_1: ServerFacts | Unanswered,
    db_2: ServerFacts | Unanswered,
    expected: int | None,
    decision: Decision,
) -> None:
    verdict = primary(OWN, db_1, db_2, expected=expected)
    assert verdict.decision is decision
    outvoted = {reason.peer for reason in verdict.reasons if reason.code.code == "peer-outvoted"}
    strangers = {f"db-{n}" for n, found in ((1, db_1), (2, db_2)) if found is STRANGER}
    assert outvoted == (strangers if decision is Decision.ALLOWED else set())


def test_a_majority_outvotes_neither_newer_data_nor_another_primary() -> None:
    ahead = replace(MEMBER, position=facts(position="0-100-12").position)
    assert primary(OWN, MEMBER, ahead, expected=3).decision is Decision.REFUSED
    writes = replace(STRANGER, read_only=False, status=None)
    assert primary(OWN, MEMBER, writes, expected=3).decision is Decision.REFUSED


def test_a_primary_with_older_data_than_a_peer_is_refused() -> None:
    ahead = replace(MEMBER, position=facts(position="0-100-12").position)
    verdict = primary(OWN, MEMBER, ahead)
    assert (verdict.decision, codes(verdict)[0]) == (Decision.REFUSED, "peer-is-ahead")
    assert verdict.reasons[0].peer == "db-2"
    assert "0-100-12" in str(verdict)


@pytest.mark.parametrize(
    ("own", "peer"),
    [
        (OWN, replace(MEMBER, position=facts(position="0-100-9,0-101-10").position)),
        (
            facts(MYSQL, cluster=CLUSTER, position=f"{UUID}:1-9", server_id=100),
            facts(MYSQL, cluster=CLUSTER, position=f"{UUID}:1-9,{ORIGIN}:1", status=status()),
        ),
    ],
)
def test_a_primary_comes_back_whatever_somebody_wrote_on_a_replica(
    own: ServerFacts, peer: ServerFacts
) -> None:
    """The replica keeps what it has, follows nobody, and says so; see below."""
    assert codes(primary(own, peer, peer)) == ["holds-the-data"]
    assert codes(replica(peer, own)) == ["own-changes"]


def test_a_primary_is_refused_beside_another_one() -> None:
    verdict = primary(OWN, replace(MEMBER, read_only=False, status=None), MEMBER)
    assert codes(verdict) == ["another-claims"]


def test_a_primary_whose_name_is_not_confirmed_is_not_opened() -> None:
    moved = seen("db-0=10.0.0.9", "db-1=10.0.0.2", "db-2=10.0.0.3")
    assert codes(primary(OWN, MEMBER, MEMBER, snapshot=moved)) == ["another-address"]
    assert codes(primary(BLANK, BLANK, BLANK, snapshot=moved, expected=3)) == ["another-address"]


@pytest.mark.parametrize("own", [facts(log_bin=False), facts(MYSQL, gtid_mode=False)])
def test_a_server_that_cannot_be_followed_is_refused(own: ServerFacts) -> None:
    verdict = primary(own, BLANK, BLANK, expected=3)
    assert (verdict.decision, codes(verdict)) == (Decision.REFUSED, ["misconfigured"])
    assert "mysql-setup config" in str(verdict)


def test_a_primary_that_cannot_see_its_own_data_is_refused() -> None:
    verdict = primary(facts(schemas=None), BLANK, BLANK, expected=3)
    assert (verdict.decision, codes(verdict)) == (Decision.REFUSED, ["misconfigured"])


def test_a_database_that_was_there_before_is_adopted() -> None:
    own = facts(schemas=("shop",), position="0-100-9", server_id=100)
    assert codes(primary(own, BLANK, BLANK, expected=3)) == ["all-empty"]
    by_hand = facts(schemas=("shop",), position="0-100-8", status=status())
    assert codes(primary(own, by_hand, BLANK, expected=3)) == ["all-empty"]


@pytest.mark.parametrize(
    "peer",
    [
        facts(schemas=("shop",), position="0-100-8"),
        facts(schemas=("shop",), position="0-100-8", status=status(source_host="elsewhere.org")),
        facts(schemas=("shop",), position="0-100-10", status=status()),
        MEMBER,
    ],
)
def test_a_database_that_was_there_before_is_not_adopted_beside_other_data(
    peer: ServerFacts,
) -> None:
    own = facts(schemas=("shop",), position="0-100-9", server_id=100)
    assert codes(primary(own, peer, BLANK, expected=3)) == ["peer-holds-data"]


def steps(own: ServerFacts, **given: Any) -> list[str]:
    plan = plan_primary(own, "an-id", "2026-01-01 12:00:00", "an-epoch", 0, **given)
    return [step.sql for step in plan]


IN_EPOCH = History((epoch(1, "0-100-4"),), heartbeat("epoch-1", 7, "0-100-8", log_number=5))
OPEN = replace(OWN, read_only=False, closed=False, history=IN_EPOCH, origin="100", log_number=5)
EPOCH = [
    "START TRANSACTION",
    "UPDATE peerdisco.heartbeat",
    "INSERT INTO peerdisco.epochs",
    "COMMIT",
]
OPENING = [*EPOCH, "SET GLOBAL read_only"]


def words(own: ServerFacts, **given: Any) -> list[str]:
    return [re.sub(r" (SET counter|\(|=|IF NOT).*", "", sql) for sql in steps(own, **given)]


def test_a_primary_that_takes_writes_needs_nothing() -> None:
    assert steps(OPEN) == []


def test_a_primary_is_opened_last_and_in_a_new_epoch() -> None:
    own = replace(OPEN, read_only=True)
    assert words(own) == OPENING
    assert "VALUES (2, 'an-epoch', 'epoch-1', 0, '100'" in steps(own)[2]
    tables = ["CREATE TABLE", "CREATE TABLE"]
    first = [EPOCH[0], "INSERT INTO peerdisco.heartbeat", *OPENING[2:]]
    assert words(OWN) == [*tables, *first]
    blank = steps(BLANK)
    assert blank[:2] == ["RESET MASTER", "SET GLOBAL gtid_slave_pos = ''"]
    assert "(1, 'an-id', 'blank', '2026-01-01 12:00:00')" in blank[4]
    assert words(BLANK)[5:] == [*tables, *["FLUSH BINARY LOGS"] * 3, *first]


@pytest.mark.parametrize(
    "given",
    [
        {"log_number": 6},  # restarted, perhaps with another volume
        {"origin": "101"},  # opened by another server
        {"history": History()},  # opened by an earlier version
    ],
)
def test_an_open_primary_that_may_not_be_the_one_of_its_epoch_gets_a_new_one(
    given: dict[str, Any],
) -> None:
    sent = steps(replace(OPEN, **given))
    assert "START TRANSACTION" in sent
    assert sent[-1].startswith("UPDATE peerdisco.epochs SET left_position = CONCAT(")
    assert not any("read_only" in sql for sql in sent[:-1])


def test_replicas_cannot_continue_after_the_log_was_reset() -> None:
    reset = replace(OPEN, position=facts(position="0-100-3").position, log_number=1)
    unlogged = ["SET SESSION sql_log_bin", *EPOCH, "SET SESSION sql_log_bin"]
    begins = [*unlogged, *["FLUSH BINARY LOGS"] * 3]
    assert words(replace(reset, read_only=True))[: len(begins)] == begins
    # An open one may wait for a replica with each logged transaction, and with another log.
    assert words(reset) == unlogged


def test_an_account_that_may_not_renew_the_heartbeat_begins_an_epoch_without() -> None:
    own = replace(OPEN, read_only=True)
    assert words(own, beats=False) == [EPOCH[0], *OPENING[2:]]
    reset = replace(OPEN, position=facts(position="0-100-3").position)
    unlogged = ["SET SESSION sql_log_bin"]
    assert words(reset, beats=False) == [*unlogged, EPOCH[0], *EPOCH[2:], *unlogged]


def test_the_log_of_a_cluster_whose_making_was_cut_off_is_kept() -> None:
    done = steps(facts(begun=True))
    assert not any("RESET" in statement or "gtid_slave_pos =" in statement for statement in done)
    assert done[0] == "CREATE DATABASE IF NOT EXISTS peerdisco"
    assert "'blank'" in done[2]


def test_the_logs_of_a_server_with_data_are_never_cleared() -> None:
    for own in (OWN, facts(schemas=("shop",)), facts(cluster=CLUSTER)):
        assert not any("RESET" in statement for statement in steps(own))
    assert "'adopted'" in steps(facts(schemas=("shop",)))[2]


def test_mysql_is_opened_for_the_row_first_and_for_everybody_last() -> None:
    sent = steps(facts(MYSQL))
    assert sent[:2] == ["SET GLOBAL super_read_only = OFF", "RESET BINARY LOGS AND GTIDS"]
    assert sent[-1] == "SET GLOBAL read_only = OFF"
    assert steps(facts("8.0.36"))[1] == "RESET MASTER"


def test_a_primary_drops_what_is_left_of_its_time_as_a_replica() -> None:
    sent = words(replace(OPEN, read_only=True, status=status()))
    assert sent == ["STOP REPLICA", "RESET REPLICA ALL", *OPENING]


# A replica.


def replica(own: ServerFacts, of: ServerFacts | Unanswered | None = OWN) -> Verdict:
    return judge_replica(own, of, SOURCE if of is not None else None)


def test_a_blank_replica_follows_from_the_beginning() -> None:
    assert codes(replica(BLANK)) == ["follows"]
    # What its own initialisation logged counts for nothing.
    assert codes(replica(facts(position="0-101-3"))) == ["follows"]


def test_a_member_follows() -> None:
    assert codes(replica(MEMBER)) == ["follows"]


@pytest.mark.parametrize(
    ("of", "code"),
    [
        (None, "primary-absent"),
        (GONE, "primary-absent"),
        (BLANK, "primary-not-ready"),
        (replace(OWN, status=status()), "primary-not-ready"),
    ],
)
def test_a_replica_waits_for_its_primary(of: ServerFacts | Unanswered | None, code: str) -> None:
    for own in (BLANK, MEMBER):
        of_id = replace(of, server_id=100) if isinstance(of, ServerFacts) else of
        verdict = replica(own, of_id)
        assert (verdict.decision, codes(verdict)) == (Decision.WAIT, [code])


def test_a_replica_that_has_what_its_primary_lost_says_so() -> None:
    assert "it has lost its volume" in str(replica(MEMBER, facts(server_id=100)))


def test_a_replica_of_another_cluster_is_refused() -> None:
    verdict = replica(replace(MEMBER, cluster=OTHER))
    assert (verdict.decision, codes(verdict)) == (Decision.REFUSED, ["other-cluster"])


def test_a_replica_with_data_of_its_own_is_refused() -> None:
    verdict = replica(facts(schemas=("shop",)))
    assert (verdict.decision, codes(verdict)) == (Decision.REFUSED, ["foreign-data"])
    assert "shop" in str(verdict)


def test_a_replica_that_was_written_to_is_refused() -> None:
    written = replace(MEMBER, position=facts(position="0-100-9,0-101-10").position)
    verdict = replica(written)
    assert (verdict.decision, codes(verdict)) == (Decision.REFUSED, ["own-changes"])
    assert "0-101-10" in str(verdict)
    mysql = facts(MYSQL, cluster=CLUSTER, position=f"{UUID}:1-9", status=status())
    of = facts(MYSQL, cluster=CLUSTER, position=f"{UUID}:1-8", server_id=100)
    verdict = replica(mysql, of)
    assert codes(verdict) == ["primary-is-older"]
    assert "keep this volume" in str(verdict)
    local = replace(mysql, position=facts(MYSQL, position=f"{UUID}:1-8,{ORIGIN}:1").position)
    assert codes(replica(local, of)) == ["own-changes"]


def test_a_replica_that_has_begun_and_has_not_got_the_row_yet_goes_on() -> None:
    begun = facts(position="0-100-1", status=status(receiver=Receiver.STOPPED))
    assert codes(replica(begun)) == ["follows"]


def test_a_replica_set_up_by_hand_is_taken_over() -> None:
    assert codes(replica(facts(schemas=("shop",), position="0-100-8", status=status()))) == [
        "follows"
    ]


@pytest.mark.parametrize(
    "of",
    [
        replace(OWN, cluster=replace(CLUSTER, from_blank=False)),
        replace(OWN, history=History((epoch(1, "0-100-5", log_reset=True),))),
        facts(MYSQL, cluster=CLUSTER, server_id=100, purged=f"{UUID}:1-5"),
    ],
)
def test_a_blank_replica_needs_a_copy_of_what_the_log_does_not_hold(of: ServerFacts) -> None:
    verdict = replica(facts(of.version.text), of)
    assert (verdict.decision, codes(verdict)) == (Decision.REFUSED, ["needs-copy"])


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        ({"receiver": Receiver.STOPPED, "receiver_errno": 1236}, "needs-copy"),
        ({"receiver": Receiver.STOPPED, "receiver_errno": 13114}, "needs-copy"),
        ({"receiver": Receiver.STOPPED, "receiver_errno": 1595}, "replication-broken"),
        ({"applier_running": False, "applier_errno": 1062}, "replication-broken"),
        ({"applier_running": False, "applier_errno": 1950}, "replication-broken"),
    ],
)
def test_a_replica_that_cannot_go_on_is_refused(broken: dict[str, Any], code: str) -> None:
    verdict = replica(replace(MEMBER, status=status(**broken)))
    assert (verdict.decision, codes(verdict)) == (Decision.REFUSED, [code])


def test_a_log_without_its_beginning_asks_for_a_copy() -> None:
    """Its first transactions need what came before them; another empty volume changes nothing."""
    broken = status(applier_running=False, applier_errno=1146, applier_error="no such table")
    applied = MariaDBPosition.parse("0-100-9", "0-100-9")
    started = replace(facts(status=broken), position=applied)
    assert codes(replica(started)) == ["needs-copy"]
    assert codes(replica(replace(MEMBER, status=broken))) == ["replication-broken"]


CRASHED = replace(
    MEMBER,
    position=MariaDBPosition.parse("0-100-9", "0-100-8"),
    status=status(applier_running=False, applier_errno=1950),
)
"""Killed during DDL, which is in its log and in its data, and not counted as applied."""


def test_a_replica_that_was_killed_during_ddl_counts_it_as_applied() -> None:
    assert codes(replica(CRASHED)) == ["follows"]
    applied = "SET GLOBAL gtid_slave_pos = '0-100-9'"
    sent = [step.sql for step in plan_replica(CRASHED, SOURCE)]
    assert sent == ["STOP REPLICA", applied, "START REPLICA"]
    copied = replace(CRASHED, status=None, position=MariaDBPosition.parse("0-100-9", ""))
    sent = [step.sql for step in plan_replica(copied, SOURCE)]
    assert (sent[0], sent[-1]) == (applied, "START REPLICA")


def test_what_is_not_known_to_be_the_primarys_is_not_counted_as_applied() -> None:
    local = replace(CRASHED, position=MariaDBPosition.parse("0-100-9,0-101-10", "0-100-8"))
    assert codes(replica(local)) == ["own-changes"]
    running = replace(CRASHED, status=status())
    assert plan_replica(running, SOURCE) == []
    # Before MariaDB 10.6 a crash may leave a part of a statement.
    old = replace(CRASHED, version=facts("10.5.9-MariaDB").version)
    assert codes(replica(old)) == ["replication-broken"]
    assert plan_replica(facts(position="0-101-1"), SOURCE)[0].sql == "RESET MASTER"


@pytest.mark.parametrize(
    "passing",
    [
        {"receiver": Receiver.CONNECTING, "receiver_errno": 2003},
        {"receiver": Receiver.STOPPED, "receiver_errno": 2003},
        {"receiver": Receiver.CONNECTING, "receiver_errno": 1045},
        {"applier_running": False, "applier_errno": 1205},
        {"receiver": Receiver.STOPPED, "applier_running": False},
    ],
)
def test_a_replica_that_only_has_to_try_again_is_not(passing: dict[str, Any]) -> None:
    assert codes(replica(replace(MEMBER, status=status(**passing)))) == ["follows"]


def test_two_servers_with_one_id_are_refused() -> None:
    assert codes(replica(replace(MEMBER, server_id=100))) == ["misconfigured"]


def test_two_families_do_not_follow_each_other() -> None:
    assert codes(replica(facts(MYSQL, cluster=CLUSTER))) == ["misconfigured"]


def sql(own: ServerFacts, **more: Any) -> list[str]:
    return [step.sql for step in plan_replica(own, SOURCE, **more)]


def test_a_replica_that_replicates_needs_nothing() -> None:
    assert sql(MEMBER) == []


def test_a_blank_replica_forgets_its_initialisation_and_is_read_only_before_it_starts() -> None:
    own = facts(position="0-101-3", read_only=False, closed=False)
    sent = sql(own)
    assert sent[:3] == [
        "RESET MASTER",
        "SET GLOBAL gtid_slave_pos = ''",
        "SET GLOBAL read_only = ON",
    ]
    assert sent[3].startswith(f"CHANGE MASTER TO MASTER_HOST = '{SOURCE_HOST}', MASTER_PORT = 3306")
    assert "MASTER_PASSWORD = 'it\\'s'" in sent[3]
    assert "MASTER_USE_GTID = slave_pos" in sent[3]
    assert sent[4:] == ["START REPLICA"]


def test_mysqls_words() -> None:
    sent = sql(facts(MYSQL))
    assert sent[0].startswith("CHANGE REPLICATION SOURCE TO SOURCE_HOST = ")
    for option in ("SOURCE_AUTO_POSITION = 1", "GET_SOURCE_PUBLIC_KEY = 1", "SOURCE_RETRY_COUNT"):
        assert option in sent[0]


@pytest.mark.parametrize("version", [MARIADB, MYSQL])
def test_only_a_blank_server_that_follows_nobody_forgets_its_log(version: str) -> None:
    position = "0-101-3" if version == MARIADB else f"{UUID}:1-3"
    for own in (
        facts(version, position=position, status=status(receiver=Receiver.STOPPED)),
        facts(version, position=position, schemas=("shop",), status=status()),
        facts(version, position=position, cluster=CLUSTER),
    ):
        assert not any("RESET" in statement for statement in sql(own))


@pytest.mark.parametrize(
    "differs",
    [
        {"source_host": "10.0.0.1"},
        {"source_port": 3307},
        {"source_user": "root"},
        {"gtid": False},
        {"receiver": Receiver.CONNECTING, "receiver_errno": 1045},
    ],
)
def test_a_source_that_differs_is_set_anew_after_a_stop(differs: dict[str, Any]) -> None:
    sent = sql(replace(MEMBER, status=status(**differs)))
    assert (sent[0], sent[-1]) == ("STOP REPLICA", "START REPLICA")
    assert sent[1].startswith("CHANGE MASTER TO")


def test_a_password_is_not_set_anew_all_the_time() -> None:
    refused = replace(MEMBER, status=status(receiver=Receiver.CONNECTING, receiver_errno=1045))
    assert sql(refused, mend=False) == []


@pytest.mark.parametrize(
    "stopped",
    [{"receiver": Receiver.STOPPED}, {"applier_running": False}],
)
def test_a_replica_that_stands_is_started(stopped: dict[str, Any]) -> None:
    assert sql(replace(MEMBER, status=status(**stopped))) == ["START REPLICA"]


def test_a_replica_that_takes_writes_is_closed_before_all_else() -> None:
    assert sql(replace(MEMBER, read_only=False, closed=False)) == ["SET GLOBAL read_only = ON"]
    mysql = facts(MYSQL, cluster=CLUSTER, closed=False, status=status())
    assert [step.sql for step in plan_closing(mysql)] == ["SET GLOBAL super_read_only = ON"]
    assert plan_closing(facts(MYSQL)) == []


def test_what_does_not_run_is_not_stopped() -> None:
    assert plan_stopping(BLANK) == []
    stopped = status(receiver=Receiver.STOPPED, applier_running=False)
    assert plan_stopping(replace(MEMBER, status=stopped)) == []
    assert [step.sql for step in plan_stopping(MEMBER)] == ["STOP REPLICA"]


def test_a_step_does_not_show_its_statement() -> None:
    assert "it's" not in repr(plan_replica(BLANK, SOURCE))
    assert "it's" not in repr(SOURCE)


def test_a_server_uuid_that_two_servers_have_is_no_reason_for_a_new_copy() -> None:
    """A volume that was made from a snapshot brings ``auto.cnf`` with it."""
    primary = facts(MYSQL, server_id=100, cluster=CLUSTER, read_only=False, origin=ORIGIN)
    own = facts(MYSQL, cluster=CLUSTER, origin=ORIGIN, status=status())
    (reason,) = judge_replica(own, primary, SOURCE).reasons
    assert reason.code is ServerReasonCode.MISCONFIGURED
    assert "auto.cnf" in reason.text

    error = (
        "Got fatal error 1236 from source when reading data from binary log: 'A replica with the "
        "same server_uuid/server_id as this replica has connected to the source'"
    )
    kicked = status(receiver=Receiver.STOPPED, receiver_errno=13114, receiver_error=error)
    own = facts(MYSQL, cluster=CLUSTER, origin=UUID, status=kicked)
    (reason,) = judge_replica(own, primary, SOURCE).reasons
    assert reason.code is ServerReasonCode.MISCONFIGURED
    assert "auto.cnf" in reason.text
    assert "empty this pod's volume" not in reason.text
