"""What a refused replica still applies of what it had received before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from peerdisco.mysql.decisions import judge_replica
from peerdisco.mysql.dialects import ReplicationSource
from peerdisco.mysql.ensure import ensure_replica
from peerdisco.mysql.facts import ServerFacts, read_facts
from peerdisco.mysql.history import History
from peerdisco.mysql.objections import against_discarding, against_opening
from peerdisco.mysql.positions import GtidSet, MariaDBPosition, Position, parse_position
from peerdisco.mysql.reasons import ServerReasonCode
from peerdisco.mysql.setup import Account
from peerdisco.mysql.status import Receiver
from peerdisco.mysql.stopping import Received, plan_stopping, what_was_received

from .histories import epoch, heartbeat
from .servers import (
    CLUSTER,
    MARIADB,
    ORIGIN,
    SOURCE_HOST,
    UUID,
    Server,
    primary_at,
    replica_at,
    status,
)

BOTH = ["STOP REPLICA IO_THREAD", "STOP REPLICA"]
"""The applier may not stop while it waits for a lock, and is stopped first by one statement."""

SOURCE = ReplicationSource(SOURCE_HOST, 3306, Account("repl", "x"))


def text(version: str, last: int, server_id: int = 100) -> str:
    """Everything up to one transaction, as a replica shows what it has received."""
    if version == MARIADB:
        return f"0-{server_id}-{last}"
    return f"{UUID if server_id == 100 else UUID.replace('3e', '4e', 1)}:1-{last}"


def position(version: str, last: int) -> Position:
    return parse_position(text(version, last) + ("|" if version == MARIADB else ""))


def history(version: str, *left: int) -> History:
    """Epochs that began at these transactions; `fork` replaces the last."""
    server = "100" if version == MARIADB else UUID
    found = [
        replace(epoch(n, "0-1-1", server=server), left_position=position(version, at))
        for n, at in enumerate(left, 1)
    ]
    return History(tuple(found))


def fork(version: str, *left: int) -> History:
    *begun, last = history(version, *left).epochs
    return History((*begun, replace(last, id="fork")))


def replica(version: str, applied: int, received: int, *left: int, **given: Any) -> ServerFacts:
    known = {"received": text(version, received), **given}
    return replica_at(
        version, applied, status=status(**known), history=history(version, *(left or (1,)))
    )


def sql(own: ServerFacts, primary: ServerFacts | None, **given: Any) -> list[str]:
    return [step.sql for step in plan_stopping(own, primary, **given)]


@pytest.mark.parametrize(
    ("last", "found", "expected"),
    [
        # Opened with an older volume. It cannot have sent what ends beyond all that it has.
        (340, Received.FROM_BEFORE, ["STOP REPLICA IO_THREAD"]),
        (449, Received.FROM_BEFORE, ["STOP REPLICA IO_THREAD"]),
        # It has written as much.
        (450, Received.UNKNOWN, BOTH),
        (900, Received.UNKNOWN, BOTH),
    ],
)
def test_of_a_primary_with_another_history(
    version: str, last: int, found: Received, expected: list[str]
) -> None:
    own = replica(version, 330, 450)
    primary = primary_at(version, last, history=fork(version, 1, 320), server_id=100)
    assert judge_replica(own, primary, SOURCE).reasons[0].code is ServerReasonCode.PRIMARY_IS_OLDER
    assert what_was_received(own, primary) is found
    assert sql(own, primary) == expected
    # A receiver that has stopped since then gets nothing more, however much the primary writes.
    stopped = replica(version, 340, 450, receiver=Receiver.STOPPED)
    assert sql(stopped, primary, kept=True) == []
    assert sql(stopped, primary) == ([] if last < 450 else ["STOP REPLICA"])
    # There is no need for an applier without anything to apply.
    done = replica(version, 450, 450, receiver=Receiver.STOPPED)
    assert sql(done, primary, kept=True) == ["STOP REPLICA"]
    # A stopped applier is not started: on MariaDB it would begin without its relay logs.
    assert sql(replica(version, 330, 450, applier_running=False), primary) == BOTH
    assert sql(own, None) == BOTH


def test_of_the_right_primary(version: str) -> None:
    """The replica is refused for something else, such as writes of its own."""
    own = replica(version, 330, 450)
    primary = primary_at(version, 500, history=history(version, 1))
    assert what_was_received(own, primary) is Received.FROM_PRIMARY
    assert sql(own, primary) == ["STOP REPLICA IO_THREAD"]
    assert what_was_received(replica(version, 450, 450), primary) is Received.NOTHING


def test_of_a_primary_that_wrote_under_another_server_uuid() -> None:
    """MySQL sends these transactions at once, whatever else it does not have."""
    version = "8.4.3"
    mixed = status(received=f"{text(version, 450)},{text(version, 3, 101)}")
    own = replace(replica(version, 330, 450), status=mixed)
    older = primary_at(version, 320, history=fork(version, 1, 320))
    with_more = replace(older, position=older.position.with_more(text(version, 5, 101)))
    assert what_was_received(own, older) is Received.FROM_BEFORE
    assert what_was_received(own, with_more) is Received.UNKNOWN


@pytest.mark.parametrize("cluster", [None, replace(CLUSTER, id="another")])
def test_of_a_primary_of_another_cluster(version: str, cluster: Any) -> None:
    own = replica(version, 330, 450)
    assert what_was_received(own, primary_at(version, 900, cluster=cluster)) is Received.UNKNOWN
    same = primary_at(version, 900, cluster=cluster, history=own.history)
    assert what_was_received(own, same) is Received.UNKNOWN
    smaller = primary_at(version, 20, cluster=cluster)
    assert what_was_received(own, smaller) is Received.FROM_BEFORE
    unknown = replace(own, cluster=None)
    assert what_was_received(unknown, smaller) is Received.UNKNOWN


def test_a_replica_that_applied_a_part_of_another_history_applies_no_more(version: str) -> None:
    own = replica(version, 330, 450)
    gap = replace(own, history=replace(own.history, heartbeat=heartbeat("other", 80)))
    primary = primary_at(version, 340, history=fork(version, 1, 320))
    assert what_was_received(gap, primary) is Received.UNKNOWN
    assert sql(gap, primary) == BOTH


def test_a_replica_that_skips_what_it_wrote_applies_no_more(version: str) -> None:
    """Its data have holes, and must not become the newest."""
    own = replica(version, 3, 450, 1)
    primary = primary_at(version, 500, history=history(version, 1, 200))
    assert sql(own, primary, ordinal=1) == ["STOP REPLICA IO_THREAD"]
    assert sql(own, primary, ordinal=0) == BOTH


# Received, and not applied, is acknowledged.


def test_an_older_primary_is_not_opened(version: str) -> None:
    own = primary_at(version, 320, history=history(version, 1), read_only=True)
    peers = {"db-1": replica(version, 320, 520), "db-2": replica(version, 320, 320)}
    (reason,) = against_opening(own, peers)
    assert (reason.code, reason.peer) == (ServerReasonCode.PEER_IS_AHEAD, "db-1")
    assert "db-1 has received, and not applied, 200 transactions (" in reason.text
    assert "keep the volume of db-1" in reason.text
    assert "are saved or it has applied them; give this pod" in reason.text
    broken = replica(version, 320, 520, applier_running=False, applier_errno=1062)
    (reason,) = against_opening(own, {"db-1": broken})
    assert "before its relay logs are saved (error 1062: ); give" in reason.text
    # What is on its way to a primary's replicas is in the primary.
    assert not [*against_opening(primary_at(version, 520, history=own.history), peers)]


def test_what_was_received_from_another_history_does_not_close_a_primary(version: str) -> None:
    own = primary_at(version, 320, history=fork(version, 1, 200))
    agreeing = replica(version, 320, 320)
    outvoted = replica(version, 210, 520)
    found = against_opening(own, {"db-1": outvoted, "db-2": replace(agreeing, history=own.history)})
    assert [reason.code for reason in found] == [ServerReasonCode.PEER_OUTVOTED]
    *begun, last = history(version, 1, 200).epochs
    reset = primary_at(
        version, 9, history=History((*begun, replace(last, id="new", log_reset=True)))
    )
    assert not [*against_opening(reset, {"db-1": replica(version, 180, 190)})]


def test_a_replica_is_refused_before_its_receiver_has_an_error(version: str) -> None:
    own = replica(version, 320, 520, receiver=Receiver.CONNECTING)
    older = primary_at(version, 320, history=history(version, 1), server_id=100)
    verdict = judge_replica(own, older, SOURCE)
    assert [reason.code for reason in verdict.reasons] == [ServerReasonCode.PRIMARY_IS_OLDER]
    assert "or it has applied them (" in str(verdict)
    assert sql(own, older) == ["STOP REPLICA IO_THREAD"]
    assert judge_replica(own, replace(older, position=position(version, 520)), SOURCE)


async def test_what_waits_for_its_acknowledgement_is_the_primarys() -> None:
    """MySQL does not count it as executed; a replica may have applied it."""
    primary = Server("8.4.3", server_id=100, cluster=("an-id", "blank"), logged=text("8.4.3", 7))
    primary.owned = f"{UUID}:8#42:9-10#43"
    found = await read_facts(primary, "db-0")
    assert found.position == GtidSet.parse(text("8.4.3", 7))
    assert found.written == GtidSet.parse(text("8.4.3", 10))
    ahead = replica_at("8.4.3", 10, cluster=found.cluster, status=status(received=""))
    assert not [*against_opening(found, {"db-1": ahead})]
    assert not [*against_discarding(replace(ahead, position=found.position), found)]
    assert judge_replica(ahead, found, SOURCE)
    assert [*against_opening(replace(found, written=None), {"db-1": ahead})]


class Receiving(Server):
    """A replica that receives one more transaction while its receiver is stopped."""

    def _apply(self, sql: str) -> None:
        super()._apply(sql)
        if sql == "STOP REPLICA IO_THREAD" and self.replica is not None:
            self.replica["Gtid_IO_Pos"] = "0-100-451"


@pytest.mark.parametrize("kind", [Server, Receiving])
async def test_what_comes_while_the_receiver_is_stopped_may_be_of_the_other_history(
    kind: type[Server],
) -> None:
    server = kind(cluster=(CLUSTER.id, "blank"), logged="0-100-330", applied="0-100-330")
    server.replica = server._row(SOURCE_HOST, 3306, "repl")
    server.replica.update(Slave_IO_Running="Yes", Slave_SQL_Running="Yes", Gtid_IO_Pos="0-100-450")
    own = replace(await read_facts(server, "db-1"), history=history(MARIADB, 1))
    primary = primary_at(MARIADB, 340, history=fork(MARIADB, 1, 320), server_id=100)
    ensured = await ensure_replica(server, "db-1", own, primary, SOURCE)
    assert not ensured.verdict
    more = ["STOP REPLICA"] if kind is Receiving else []
    assert [sql for sql in server.sent if "STOP" in sql] == ["STOP REPLICA IO_THREAD", *more]


def test_what_only_the_relay_log_has_comes_before_what_gives_it_up(version: str) -> None:
    """A write of its own, a log of the primary that was reset, and what it wrote as the primary."""
    own = replica(version, 320, 520)
    local = "0-101-321" if version == MARIADB else f"{ORIGIN}:1"
    written = replace(own, position=own.position.with_more(local))
    older = primary_at(version, 320, history=history(version, 1), server_id=100)
    for behind in (own, written):
        (reason,) = judge_replica(behind, older, SOURCE).reasons
        assert reason.code is ServerReasonCode.PRIMARY_IS_OLDER
        assert "empty" not in reason.text
    *begun, last = history(version, 1, 320).epochs
    begun.append(replace(last, id="new", log_reset=True))
    for received, emptied in ((320, True), (310, True), (330, False)):
        behind = replica(version, 300, received)
        reset = primary_at(version, 9, history=History(tuple(begun)), server_id=100)
        (reason,) = judge_replica(behind, reset, SOURCE).reasons
        assert reason.code is ServerReasonCode.NEEDS_COPY
        assert ("empty this pod's volume" in reason.text) is emptied
        assert ("before its relay logs are saved" in reason.text) is not emptied


# Positions.


@pytest.mark.parametrize(
    ("mine", "theirs", "ends", "left"),
    [
        ("|0-100-5", "|", True, "|0-100-5"),
        ("|", "|0-100-5", False, "|"),
        ("|0-100-5", "0-100-5|", False, "|"),
        ("|0-100-6", "0-100-5|", True, "|0-100-6"),
        ("|0-100-6,1-100-2", "0-100-5|1-100-2", False, "|0-100-6"),
        ("|0-100-6", "0-101-7|0-100-5", False, "|0-100-6"),
        (f"{UUID}:1-5", "", True, f"{UUID}:1-5"),
        ("", f"{UUID}:1-5", False, ""),
        (f"{UUID}:4-6", f"{UUID}:1-5", True, f"{UUID}:6-6"),
        (f"{UUID}:4:9", f"{UUID}:1-5:7", True, f"{UUID}:9-9"),
        (f"{UUID}:1-9:t:1", f"{UUID}:1-5:t:1-2", False, f"{UUID}:6-9"),
    ],
)
def test_what_is_left_and_whether_it_ends_later(
    mine: str, theirs: str, ends: bool, left: str
) -> None:
    one, other = parse_position(mine), parse_position(theirs)
    assert one.ends_beyond(other) is ends
    assert one.without(other).text == left


def test_positions_of_two_families() -> None:
    maria, mysql = MariaDBPosition.parse("", "0-1-1"), GtidSet.parse(f"{UUID}:1")
    for one, other in ((maria, mysql), (mysql, maria)):
        assert one.ends_beyond(other)
        assert one.without(other) == one
