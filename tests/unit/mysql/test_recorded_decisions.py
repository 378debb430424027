"""Decisions on servers, and what is read of them, word for word: ``decisions.txt``.

The other tests say which decision is right. This file shows what an operator reads and which
statements a server gets, and keeps a change of any of them from going unnoticed. After a change:
``PEERDISCO_REWRITE_DOCS=1 pytest -n 0 tests/unit/mysql/test_recorded_decisions.py``; read the
difference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from peerdisco.mysql.decisions import (
    Unanswered,
    judge_primary,
    judge_replica,
    plan_closing,
    plan_replica,
    probe_of,
)
from peerdisco.mysql.dialects import ReplicationSource, SourceTrust
from peerdisco.mysql.facts import ClusterRow, ServerFacts
from peerdisco.mysql.history import Comparison, History, Recorded, compare
from peerdisco.mysql.positions import Position, parse_position
from peerdisco.mysql.setup import Account
from peerdisco.mysql.status import Receiver, ReplicaStatus
from peerdisco.mysql.stopping import plan_stopping
from tests.docs.markdown import REWRITE
from tests.mysql.recorded import recorded as recording_of
from tests.unit.primary.test_verdicts import me, seen

from .histories import epoch, heartbeat, position, recorded
from .servers import CLUSTER, MARIADB, MYSQL, SOURCE_HOST, UUID, facts, status

RECORDED = Path(__file__).with_name("decisions.txt")

OTHER = ClusterRow("ffffffff-0000-4000-8000-000000000002", from_blank=True)
LOADED = replace(CLUSTER, from_blank=False)
ACCOUNT = Account("repl", "it's")
SOURCES = {
    "db-0": ReplicationSource(SOURCE_HOST, 3306, ACCOUNT),
    "db-0 with TLS": ReplicationSource(SOURCE_HOST, 3307, ACCOUNT, SourceTrust(tls_ca="/ca.pem")),
    "db-0 with a key": ReplicationSource(SOURCE_HOST, 3306, ACCOUNT, SourceTrust(None, "/k.pem")),
}
STATUSES: dict[str, ReplicaStatus | None] = {
    "no replica": None,
    "runs": status(),
    "connects": status(receiver=Receiver.CONNECTING, receiver_errno=2003, receiver_error="no way"),
    "connects in vain": status(receiver=Receiver.CONNECTING, receiver_errno=1045),
    "stopped": status(receiver=Receiver.STOPPED, applier_running=False),
    "receiver stopped": status(receiver=Receiver.STOPPED),
    "receiver broken": status(receiver=Receiver.STOPPED, receiver_errno=1000, receiver_error="b"),
    "receiver broken, connects": status(receiver=Receiver.CONNECTING, receiver_errno=1000),
    "purged": status(receiver=Receiver.STOPPED, receiver_errno=1236, receiver_error="purged"),
    "purged before": status(receiver_errno=1236, receiver_error="purged"),
    "purged, MySQL": status(receiver=Receiver.CONNECTING, receiver_errno=13114),
    "copied": status(
        receiver=Receiver.CONNECTING, receiver_errno=4052, receiver_error="the same server_uuid as"
    ),
    "copied before": status(receiver_errno=4052, receiver_error="the same server_uuid as"),
    "applier broken": status(applier_running=False, applier_errno=1062, applier_error="twice"),
    "applier broken before": status(applier_errno=1062, applier_error="twice"),
    "applier killed": status(applier_running=False, applier_errno=1927, applier_error="killed"),
    "applier locked": status(applier_running=False, applier_errno=1205),
    "of db-1": status(source_host="db-1.db"),
    "of db-0 by another name": status(source_host="db-0.other"),
    "of db-0's pod name": status(source_host="db-0"),
    "at another port": status(source_port=1),
    "as another": status(source_user="somebody"),
    "without GTIDs": status(gtid=False),
    "with TLS": status(source_port=3307, tls_ca="/ca.pem"),
    "with a key": status(public_key="/k.pem"),
}


def epochs(last: int, *, reset: int = 0, server: str = "100", mysql: bool = False) -> History:
    """So many epochs, each of ten transactions, and the heartbeat after the last."""

    def left(number: int) -> str:
        return f"{UUID}:1-{10 * number}" if mysql else f"0-100-{10 * number}"

    origin = UUID if mysql else server
    found = [
        epoch(n, left(n - 1) if n > 1 else "", n - 1 or None, server=origin, log_reset=n == reset)
        for n in range(1, last + 1)
    ]
    return History(tuple(found), heartbeat(f"epoch-{last}", last, left(last), log_number=last))


def servers(version: str) -> dict[str, ServerFacts]:
    """Servers of one family, each of which differs from another in little."""
    mysql = version == MYSQL

    def at(last: int, own: int = 0) -> Position:
        text = f"{UUID}:1-{last}" if mysql else f"0-100-{last}"
        mine = (f",{'5' + UUID[1:]}:1-{own}" if mysql else f",0-101-{last + own}") if own else ""
        return parse_position(text + mine if mysql else f"{text}{mine}|{text}")

    def member(last: int, own: int = 0, **given: Any) -> ServerFacts:
        found: dict[str, Any] = {"cluster": CLUSTER, "schemas": ("shop",), "status": status()}
        return replace(facts(version), position=at(last, own), **{**found, **given})

    def primary(last: int, **given: Any) -> ServerFacts:
        fields: dict[str, Any] = {"status": None, "read_only": False, "closed": False}
        origin = UUID if mysql else "100"
        return member(last, server_id=100, origin=origin, **{**fields, **given})

    purged = parse_position(f"{UUID}:1-5") if mysql else None
    return {
        "blank": facts(version),
        "blank, with transactions": facts(version, position=at(3).text.partition("|")[0]),
        "blank, open, with transactions": replace(facts(version, closed=False), position=at(3)),
        "blank, open": facts(version, read_only=False, closed=False),
        "schemas hidden": facts(version, schemas=None),
        "member, schemas hidden": member(9, schemas=None),
        "data of the user": facts(version, schemas=tuple(f"shop{n}" for n in range(14))),
        "no binary log": member(9, log_bin=False),
        "no GTIDs": member(9, gtid_mode=False),
        "same server_id": member(9, server_id=100),
        "same origin": member(9, origin=UUID if mysql else "100"),
        "replica": member(9, history=epochs(1, mysql=mysql)),
        "replica, open": member(9, read_only=False, closed=False),
        "replica of later": member(25, history=epochs(3, mysql=mysql)),
        "replica that wrote": member(9, 2, history=epochs(1, mysql=mysql)),
        "replica of another cluster": member(9, cluster=OTHER),
        "primary": primary(9, history=epochs(1, mysql=mysql)),
        "primary, later": primary(25, history=epochs(3, mysql=mysql)),
        "primary, reset": primary(25, history=epochs(3, reset=3, mysql=mysql)),
        "primary, closed": primary(9, read_only=True, closed=True),
        "primary that replicates": primary(9, status=status(source_host="db-2.db")),
        "primary that held data": primary(9, cluster=LOADED),
        "primary, purged": primary(9, purged=purged) if mysql else primary(8),
        "primary of another cluster": primary(9, cluster=OTHER),
    }


SERVERS = {
    f"{family}: {name}": found
    for family, version in (("MariaDB", MARIADB), ("MySQL", MYSQL))
    for name, found in servers(version).items()
}
SILENT = Unanswered("nobody listens")
DENIED = Unanswered("error 1045: access denied", denied=True)


def decisions() -> Iterator[tuple[str, Iterable[object]]]:
    """Every decision on these servers, each with its situation."""
    for name, own in SERVERS.items():
        yield f"probe of {name}", [probe_of("db-1", own)]
        for when, found in STATUSES.items():
            server = replace(own, status=found)
            where = f"{name}; {when}"
            yield f"close {where}", shown(plan_closing(server))
            yield f"stop {where}", shown(plan_stopping(server))
            for (whom, source), mend in product(SOURCES.items(), (True, False)):
                steps = plan_replica(server, source, mend=mend)
                yield f"follow {whom}, mend {mend}: {where}", shown(steps)
            for which in ("primary", "primary, later"):
                primary = SERVERS[f"{name.partition(':')[0]}: {which}"]
                said = judge_replica(server, primary, SOURCES["db-0"])
                yield f"replica of {which}? {where}", [said.decision, *said.reasons]
    others = {**SERVERS, "silent": SILENT, "denied": DENIED, "absent": None}
    for (name, own), (what, primary) in product(SERVERS.items(), others.items()):
        if apart(name, what):
            continue
        said = judge_replica(own, primary, SOURCES["db-0"] if primary else None)
        yield f"replica? {name}; primary {what}", [said.decision, *said.reasons]
    view, identity = seen("db-0=10.0.0.1", "db-1=10.0.0.2", "db-2=10.0.0.3"), me()
    identity = replace(identity, hostname=SOURCE_HOST)
    peers = [*SERVERS.items(), ("silent", SILENT)]
    for (name, own), (what, peer) in product(SERVERS.items(), peers):
        if apart(name, what):
            continue
        for second in (SILENT, own if own.cluster else facts()):
            for options in ({"expected": 3}, {}, {"first_start": True}):
                asked = {"db-1": peer, "db-2": second}
                said = judge_primary(own, asked, view, identity, **options)  # type: ignore[arg-type]
                where = f"{name}; db-1 {what}; db-2 {'' if second is SILENT else 'not '}silent"
                yield f"primary? {where}; {options}", [said.decision, *said.reasons]
    for (name, own), (when, found) in product(SERVERS.items(), STATUSES.items()):
        follower = replace(facts(own.version.text), status=found, position=own.position)
        said = judge_primary(own, {"db-1": follower}, view, identity, expected=2)
        yield f"primary? {name}; db-1 {when}", [said.decision, *said.reasons]


def apart(one: str, other: str) -> bool:
    """Whether these are servers of two families; of those, one pair is enough."""
    (family, _, _), (of, colon, what) = one.partition(":"), other.partition(":")
    return bool(colon) and family != of and what.strip() != "primary"


def shown(steps: Iterable[Any]) -> list[str]:
    return [f"{step.doing}: {step.sql}" for step in steps]


def histories() -> dict[str, Recorded]:
    """Servers' own records, each of which differs from another in little."""
    one, two = epoch(1, "", None), epoch(2, "0-100-10", 10, server="200")
    fork = epoch(2, "0-100-8", 8, name="fork", server="300")
    reset = epoch(3, "0-100-12", 12, log_reset=True)
    found = {"nothing": recorded("")}
    for last, beat in product((5, 10, 20), (None, 8, 11, 20)):
        at = heartbeat("epoch-1", beat, f"0-100-{beat}") if beat else None
        found[f"one epoch, {last}, beat {beat}"] = recorded(f"0-100-{last}", one, beat=at)
        at = heartbeat("epoch-2", beat, f"0-200-{beat}", log_number=beat) if beat else None
        text = f"0-100-10,0-200-{last}"
        found[f"two epochs, {last}, beat {beat}"] = recorded(text, one, two, beat=at, log_number=9)
        found[f"two epochs, {last}, own, beat {beat}"] = recorded(
            text, one, two, beat=at, log_number=9, origin="200"
        )
    late = heartbeat("epoch-2", 11, "0-200-11")
    found |= {
        "an epoch without its beginning": recorded("0-100-10,0-200-12", one, beat=late),
        "only the second": recorded("0-100-10,0-200-12", two, beat=late),
        "a fork": recorded("0-100-8,0-300-12", one, fork, beat=heartbeat("fork", 9)),
        "a fork at the first": recorded("0-300-1", epoch(1, "", name="other", server="300")),
        "a reset": recorded("0-100-3", one, two, reset, beat=heartbeat("epoch-3", 13)),
        "after a reset": recorded("0-100-30", one, two, reset, beat=heartbeat("epoch-3", 20)),
        "own writes": recorded("0-100-5,0-101-7", one, beat=heartbeat("epoch-1", 8)),
        "five epochs on": recorded("0-100-90", *(epoch(n, f"0-100-{n}0", n) for n in (7, 8, 9))),
        "no epoch": recorded("0-100-9"),
        "applied a copy": replace(recorded("0-100-8", one), position=parse_position("|0-7-8")),
    }
    return found


def in_words(found: Comparison) -> str:
    at = (found.replica_at, found.primary_at, found.opened_at)
    times = ", ".join("-" if one is None else one.isoformat() for one in at)
    common = found.common.id if found.common else None
    older = found.primary_is_older
    return f"{found.standing}, {common}, {found.transactions!r}, {found.count}, {times}, {older}"


def comparisons() -> Iterator[tuple[str, Iterable[object]]]:
    """How each of the records stands to each other one."""
    every = histories()
    for name, one in every.items():
        yield f"reset? {name}", [f"reset {one.log_was_reset}, masked {one.is_masked}"]
    for (mine, replica), (theirs, primary) in product(every.items(), every.items()):
        yield f"{mine} to {theirs}", [in_words(compare(replica, primary))]


def positions() -> Iterator[tuple[str, Iterable[object]]]:
    """What positions say of each other."""
    texts = ["", "0-1-5", "0-1-5,0-2-6", "0-1-9,1-1-1", "0-2-4", f"{UUID}:1-5", f"{UUID}:1-3:7:t:2"]
    texts.append(",".join(f"{n}-1-1" for n in range(8)))
    found = {text: position(text) for text in texts}
    found |= {text: parse_position(text) for text in ("0-1-5|0-2-6", "|0-1-4", "|1-2-3,0-1-1")}
    for name, one in found.items():
        yield f"{name!r}", [one.text, one.applied_text, one.empty, type(one).__name__]
        for other_name, other in found.items():
            beyond = (one.beyond(other), one.beyond(other, but_of="1"), one.beyond(other, of=["2"]))
            yield f"{name!r} beyond {other_name!r}", [*beyond, one.count_beyond(other)]


def statuses() -> Iterator[tuple[str, Iterable[object]]]:
    """What is read of the rows that real servers gave, and of rows with more in them."""
    for flavour in ("mariadb", "mysql"):
        for name, rows in recording_of(flavour).replica_status.items():
            for row in rows:
                found = ReplicaStatus.of_row(row)
                yield f"{flavour}, {name}", [found, repr(found.trouble), found.running]
    (row,) = recording_of("mysql").replica_status["primary-down"]
    more: dict[str, Any] = {"Replica_IO_Running": "Yes", "Seconds_Behind_Source": b"7"}
    ssl = {"Source_SSL_Allowed": "Yes", "Source_SSL_CA_File": "/ca", "Source_public_key_path": "/k"}
    for given in (
        more, {**more, "Replica_SQL_Running": "No"}, {**more, "Seconds_Behind_Source": None},
        {**ssl, "Source_SSL_Verify_Server_Cert": "Yes"}, {**ssl, "Source_SSL_Allowed": "No"}, ssl,
        {**ssl, "Source_SSL_Verify_Server_Cert": "Yes", "Source_SSL_CA_File": None},
        {"Source_public_key_path": None}, {"Last_IO_Errno": None, "Last_SQL_Errno": ""},
        {"Last_SQL_Errno": 1062, "Last_SQL_Error": "twice", "Last_IO_Errno": 0},
        {"Auto_Position": "0"}, {"Using_Gtid": "Current_Pos"}, {"Using_Gtid": "Slave_Pos"},
    ):  # fmt: skip
        found = ReplicaStatus.of_row({**row, **given})
        yield f"mysql with {given}", [found, repr(found.trouble), found.running]


def text_of(name: str, found: Iterator[tuple[str, Iterable[object]]]) -> str:
    """Each result once, below the first situation in which it is met and their number."""
    first: dict[tuple[str, ...], str] = {}
    times: Counter[tuple[str, ...]] = Counter()
    for situation, results in found:
        result = tuple(map(str, results)) or ("nothing",)
        first.setdefault((situation.partition(" ")[0], *result), situation)
        times[(situation.partition(" ")[0], *result)] += 1
    lines = [f"== {name}", ""]
    for key, situation in first.items():
        _, *result = key
        lines += [f"{situation} ({times[key]})", *(f"  {line}" for line in result), ""]
    return "\n".join(lines)


PARTS = {
    "decisions": decisions,
    "comparisons": comparisons,
    "positions": positions,
    "statuses": statuses,
}


@pytest.mark.parametrize("name", PARTS)
def test_they_are_as_recorded(name: str) -> None:
    text = text_of(name, PARTS[name]())
    parts = {}
    if RECORDED.exists():
        for part in RECORDED.read_text(encoding="utf-8").split("== ")[1:]:
            parts[part.partition("\n")[0]] = f"== {part}"
    if REWRITE:
        parts[name] = f"{text}\n"
        RECORDED.write_text("".join(parts[one] for one in PARTS if one in parts), encoding="utf-8")
    assert f"{text}\n" == parts[name], "see the docstring of this file"
