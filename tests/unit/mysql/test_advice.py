"""Whoever does what a message says loses nothing: every message, followed word for word.

`advice` has the operator, and what the volumes hold. Each server is judged beside each other one;
each message that this gives is followed, and every transaction has to be on some volume after that.
A reason code or a message without a situation here fails, and so does a new piece of advice that
the operator does not know.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest

import peerdisco
from peerdisco.mysql import ReplicationSource, ServerReasonCode, Unanswered
from peerdisco.mysql.copies import Health, judge_replacement
from peerdisco.mysql.decisions import judge_primary, judge_replica
from peerdisco.mysql.duplicates import duplicates
from peerdisco.mysql.durability import DurabilityFacts, semi_sync_config
from peerdisco.mysql.facts import ClusterRow, ServerFacts
from peerdisco.mysql.history import History
from peerdisco.mysql.positions import Position, parse_position
from peerdisco.mysql.recovery import judge_recovery
from peerdisco.mysql.setup import Account
from peerdisco.mysql.sidecar.report import ProblemCode
from peerdisco.mysql.status import Receiver
from peerdisco.mysql.takeover import judge_handover, judge_takeover
from peerdisco.mysql.versions import Flavour
from peerdisco.primary.verdicts import Reason, ReasonCode
from tests.unit.primary.test_verdicts import me, seen

from .advice import (
    Message,
    Volumes,
    acts,
    follow,
    not_understood,
    received_of,
    risky,
    rows_of,
)
from .histories import epoch, heartbeat
from .servers import CLUSTER, MARIADB, MYSQL, facts, status, uuid_of

SOURCE = ReplicationSource("db-0.db.shop", 3306, Account("repl", "x"))
NO_HISTORY = History()
OTHER = ClusterRow("ffffffff-0000-4000-8000-000000000002", from_blank=True)
VIEW = seen("db-0=10.0.0.1", "db-1=10.0.0.2", "db-2=10.0.0.3")


def at(version: str, text: str) -> Position:
    """``100-40,101-2``: the last number of each server that wrote."""
    if version == MARIADB:
        return parse_position(",".join(f"0-{part}" for part in filter(None, text.split(","))) + "|")
    parts = [part.split("-") for part in filter(None, text.split(","))]
    return parse_position(",".join(f"{uuid_of(int(one))}:1-{last}" for one, last in parts))


def origin(version: str, server_id: int) -> str:
    return str(server_id) if version == MARIADB else uuid_of(server_id)


def histories(version: str) -> dict[str, tuple[str, History]]:
    """Positions and histories, each of which differs from another in little."""

    def begun(number: int, left: str, beat: int | None = None, **given: Any) -> Any:
        server = origin(version, given.pop("server", 100))
        made = epoch(number, "0-100-1", beat, server=server, **given)
        return replace(made, left_position=at(version, left))

    def beat(name: str, counter: int, left: str | None = None) -> Any:
        made = heartbeat(name, counter)
        return replace(made, position=at(version, left)) if left is not None else made

    first, second = begun(1, "100-4"), begun(2, "100-50", 40)
    rewound = begun(2, "100-30", 20, name="other-2")
    reset = begun(3, "100-80", 80, log_reset=True)
    moved = begun(2, "100-50", 40, server=101, ordinal=1)
    back = begun(3, "100-50,101-70", 60)

    def history(*epochs: Any, beat: Any = None) -> History:
        return History(tuple(epochs), beat)

    return {
        "of before": ("100-3", history()),
        "behind": ("100-20", history(first, beat=beat("epoch-1", 12))),
        "snapshot": ("100-30", history(first, beat=beat("epoch-1", 20))),
        "newest of the first": ("100-49", history(first, beat=beat("epoch-1", 39))),
        "second": ("100-60", history(first, second, beat=beat("epoch-2", 50))),
        "later": ("100-95", history(first, second, beat=beat("epoch-2", 80))),
        "rewound": ("100-99", history(first, rewound, beat=beat("other-2", 90))),
        "behind, rewound": ("100-35", history(first, rewound, beat=beat("other-2", 25))),
        "gap": ("100-60", history(first, beat=beat("other-2", 80))),
        "reset": ("100-7", history(first, second, reset, beat=beat("epoch-3", 81))),
        "reset, unseen": ("100-60", history(first, second, beat=beat("epoch-2", 90, "100-90"))),
        "kept the end alone": ("100-90", history(begun(200, "100-80"))),
        "moved": ("100-50,101-60", history(first, moved, beat=beat("epoch-2", 55))),
        "moved back": ("100-80,101-70", history(first, moved, back, beat=beat("epoch-3", 75))),
        "moved, reset": ("100-50,101-7", history(first, moved, beat=beat("epoch-2", 55, "101-58"))),
        "wrote": ("100-49,101-50", history(first, beat=beat("epoch-1", 39))),
        "wrote, behind": ("100-20,102-21", history(first, beat=beat("epoch-1", 12))),
    }


BROKEN = {
    "runs": status(),
    "purged": status(receiver=Receiver.STOPPED, receiver_errno=1236, receiver_error="purged"),
    "stopped": status(receiver=Receiver.STOPPED, receiver_errno=1000, receiver_error="b"),
    "applier": status(applier_running=False, applier_errno=1062, applier_error="twice"),
    "copied": status(receiver=Receiver.STOPPED, receiver_errno=4052,
                     receiver_error="a replica with the same server_uuid as"),
}  # fmt: skip


@lru_cache
def servers(version: str, server_id: int) -> dict[str, ServerFacts]:
    """Servers of one pod: with each history, and with something else."""

    def member(text: str, history: History = NO_HISTORY, **given: Any) -> ServerFacts:
        known = {"cluster": CLUSTER, "schemas": ("shop",), **given}
        made = facts(version, server_id=server_id, origin=origin(version, server_id), **known)
        return replace(made, position=at(version, text), history=history)

    known = histories(version)
    found = {name: member(*one) for name, one in known.items()}
    behind = known["behind"]
    for name, broken in BROKEN.items():
        found[f"behind; {name}"] = member(*behind, status=broken)
        text = at(version, "100-49").text.partition("|")[0]
        found[f"behind; {name}, received"] = member(*behind, status=replace(broken, received=text))
    blank = member("", cluster=None, schemas=())
    return {
        **found,
        "blank": blank,
        "blank; applier": replace(blank, status=BROKEN["applier"]),
        "another cluster": member(*known["second"], cluster=OTHER),
        "foreign": member("102-9", cluster=None),
        "hidden": member(*behind, schemas=None),
        "no log": member(*behind, log_bin=False),
        "no GTIDs": member(*behind, gtid_mode=False),
        "replica of db-2": member(*behind, status=status(source_host="db-2.db")),
        "open": member(*known["second"], read_only=False, closed=False),
        "loaded": member(*known["second"], cluster=replace(CLUSTER, from_blank=False)),
        "primary's identity": replace(member(*behind), server_id=100, origin=origin(version, 100)),
    }


SILENT = {"silent": Unanswered("nobody listens"), "denied": Unanswered("error 1045", denied=True)}
FAMILIES = (MARIADB, MYSQL)


def volumes(found: dict[str, ServerFacts]) -> Volumes:
    return Volumes(
        {name: rows_of(one) for name, one in found.items()},
        {name: received_of(one) for name, one in found.items()},
    )


def lost(found: dict[str, ServerFacts], reason: Reason, own: str, primary: str) -> str:
    """What is gone after the reason was followed, in words; empty if nothing is."""
    before = volumes(found)
    other = reason.peer or (primary if own != primary else "db-1")
    after = follow(before, Message(reason.text, own, other, primary))
    gone = before.every - after.every
    rows = ", ".join(f"{number} of {name}" for name, number in sorted(gone)[:3])
    return f"{reason.text} loses {len(gone)}: {rows}" if gone else ""


def replicas_reasons(version: str) -> Iterator[tuple[str, dict[str, ServerFacts], Reason]]:
    """Each server as a replica beside each as its primary."""
    primaries: dict[str, Any] = {**servers(version, 100), **SILENT, "absent": None}
    for (name, own), (what, primary) in product(servers(version, 101).items(), primaries.items()):
        said = judge_replica(own, primary, SOURCE if primary is not None else None, 1)
        found = {"db-1": own, "db-2": servers(version, 102)["behind"]}
        if isinstance(primary, ServerFacts):
            found["db-0"] = primary
        for reason in said.reasons:
            yield f"{name}; primary {what}", found, reason


def primarys_reasons(version: str) -> Iterator[tuple[str, dict[str, ServerFacts], Reason]]:
    """Each server as the primary, beside each two peers."""
    peers = servers(version, 101)
    seconds: dict[str, Any] = {
        name: servers(version, 102)[name] for name in ("behind; runs, received", "rewound")
    }
    seconds |= SILENT if version == MARIADB else {}
    special = ("blank", "foreign", "another cluster", "open", "hidden", "no log", "no GTIDs")
    names = (*histories(version), *special)
    for name, one, (two, second) in product(names, names, seconds.items()):
        own = servers(version, 100)[name]
        asked = {"db-1": peers[one], "db-2": second}
        found = {"db-0": own, **{k: v for k, v in asked.items() if isinstance(v, ServerFacts)}}
        said = judge_primary(own, asked, VIEW, me(), expected=3)
        for reason in said.reasons:
            yield f"{name}; db-1 {one}; db-2 {two}", found, reason


@lru_cache
def judged(version: str) -> list[tuple[str, dict[str, ServerFacts], Reason, str]]:
    """Every reason of every pair and every three servers: the situation, and which pod reports."""
    replicas = [(*one, "db-1") for one in replicas_reasons(version)]
    return [*replicas, *((*one, "db-0") for one in primarys_reasons(version))]


@pytest.mark.parametrize("version", FAMILIES)
def test_whoever_follows_a_reason_loses_nothing(version: str) -> None:
    for situation, found, reason, own in judged(version):
        if "db-0" in found:
            assert not lost(found, reason, own, "db-0"), situation


@pytest.mark.parametrize("version", FAMILIES)
def test_what_refuses_over_data_names_the_pods_and_what_to_keep(version: str) -> None:
    for situation, _, reason, own in judged(version):
        code, text = reason.code, reason.text
        if code in (ServerReasonCode.PRIMARY_IS_OLDER, ServerReasonCode.PEER_IS_AHEAD):
            assert re.search(r"older|than its own|does not have", text), situation
            assert re.search(r"\bkeep (this|the) volume", text), situation
            assert "db-0" in text, situation
            assert own in text, situation
        if code in _OVER_DATA and reason.peer is None:
            assert f"(this pod is {own}, the primary is db-0)" in text, situation


_OVER_DATA = (
    ServerReasonCode.OWN_CHANGES,
    ServerReasonCode.PRIMARY_IS_OLDER,
    ServerReasonCode.FOREIGN_DATA,
    ServerReasonCode.NEEDS_COPY,
)


def test_every_reason_has_a_situation() -> None:
    found = {reason.code for version in FAMILIES for _, _, reason, _ in judged(version)}
    assert {*ServerReasonCode} <= found
    # Those of a membership alone say nothing about volumes; the rest is met here, too.
    assert {ReasonCode.ANOTHER_CLAIMS, ReasonCode.PEER_HOLDS_DATA, ReasonCode.NOT_PROBED} <= found


# What an operator reads besides the verdicts.


def recoveries() -> Iterator[tuple[dict[str, ServerFacts], str]]:
    """What `mysql-recover` says of each two replicas, with each primary."""
    names = [
        "behind",
        "snapshot",
        "later",
        "rewound",
        "wrote",
        "foreign",
        "another cluster",
        "open",
    ]
    names += [f"behind; {name}, received" for name in BROKEN]
    primaries = {"blank": None, "snapshot": None, "silent": SILENT["silent"]}
    for one, two, what in product(names, [*names, "silent"], primaries):
        replicas: dict[str, Any] = {"db-1": _waits(servers(MARIADB, 101)[one])}
        other = {**servers(MARIADB, 102), **SILENT}[two]
        replicas["db-2"] = _waits(other) if isinstance(other, ServerFacts) else other
        primary = primaries[what] or servers(MARIADB, 100)[what]
        for wanted in (None, "db-1"):
            said = judge_recovery(
                "db-0", {"db-0": primary, **replicas}, ["db-1", "db-2"], wanted=wanted
            )
            found = {"db-0": primary, **replicas}
            holds = {name: one for name, one in found.items() if isinstance(one, ServerFacts)}
            for text in (*said.refused, *said.waits_for):
                yield holds, text
            if said.source is not None:
                # The name alone is what the primary is restored from.
                yield holds, f"restore from {said.source}"


def _waits(found: ServerFacts) -> ServerFacts:
    """A replica that lost its primary; the first time that it is asked, it is still connected."""
    state = found.status
    if state is None or state.receiver is not Receiver.RUNNING or not state.received:
        return found
    return replace(found, status=replace(state, receiver=Receiver.CONNECTING))


def moves() -> Iterator[str]:
    own = servers(MARIADB, 101)["behind; runs"]
    for found in (None, *SILENT.values(), *servers(MARIADB, 100).values()):
        yield judge_takeover(own, "db-0", found) or ""
        yield judge_handover(servers(MARIADB, 100)["open"], "db-0", "db-1", found) or ""
    yield judge_takeover(own, "db-0", replace(servers(MARIADB, 100)["later"], read_only=True)) or ""
    for name in BROKEN:
        received = servers(MARIADB, 101)[f"behind; {name}, received"]
        yield judge_takeover(received, "db-0", None, "db-0") or ""


def test_whoever_follows_mysql_recover_loses_nothing() -> None:
    for found, text in recoveries():
        before = volumes(found)
        after = follow(before, Message(text, "db-0", "db-1", "db-0"))
        assert before.every <= after.every, text


def durability(**given: str) -> DurabilityFacts:
    variables = {**semi_sync_config(Flavour.MARIADB), "sync_binlog": "0",
                 "rpl_semi_sync_master_enabled": "ON", **given}  # fmt: skip
    return DurabilityFacts.of(Flavour.MARIADB, variables, {"rpl_semi_sync_master_status": "ON"})


def problems() -> dict[ProblemCode, list[str]]:
    """What is a problem beside the server, by its code."""
    reasons = [reason for version in FAMILIES for _, _, reason, _ in judged(version)]
    twins = [
        {0: servers(version, 100)["open"], 1: servers(version, 101)["primary's identity"]}
        for version in FAMILIES
    ]
    return {
        ProblemCode.REPLICATION_ACCOUNT: [
            *(one.text for one in reasons if one.code is ServerReasonCode.REPLICATION_ACCOUNT),
            *templates_of("sidecar/account_check.py"),
        ],
        ProblemCode.PEER_OUTVOTED: [
            one.text for one in reasons if one.code is ServerReasonCode.PEER_OUTVOTED
        ],
        ProblemCode.DURABILITY: [
            *durability().weaknesses(),
            *templates_of("sidecar/durability_check.py"),
        ],
        ProblemCode.SEMI_SYNC: [*durability().shortfalls()],
        ProblemCode.SAME_SERVER: [text for pair in twins for _, text in duplicates(0, pair)],
        ProblemCode.MOVE: [text for text in moves() if text],
        ProblemCode.HEARTBEAT: templates_of("sidecar/sidecar.py", of="heartbeat"),
    }


def test_every_problem_is_followed_without_a_loss() -> None:
    found = problems()
    assert {*found} == {*ProblemCode}
    before = volumes({f"db-{n}": servers(MARIADB, 100 + n)["later"] for n in range(3)})
    for code, texts in found.items():
        assert texts, code
        for text in texts:
            assert not_understood(text) == [], text
            after = follow(before, Message(text, "db-1", "db-2", "db-0"))
            assert before.every <= after.every, text


# Every message in the source.


ROOT = Path(peerdisco.__file__).parent
MODULES = [
    *sorted((ROOT / "mysql").glob("*.py")),
    *sorted((ROOT / "mysql/sidecar").glob("*.py")),
    ROOT / "primary/verdicts.py",
]
NO_MESSAGES = {"aiomysql.py", "setup.py", "own_log.py", "positions.py", "literals.py", "metrics.py",
               "status_page.py", "dialects.py", "guarded.py"}  # fmt: skip
"""Modules whose texts are statements, pages, or errors of a single value."""


def templates_of(path: str, of: str = "") -> list[str]:
    return [one for one in templates(ROOT / "mysql" / path) if of in one]


def templates(path: Path) -> Iterator[str]:
    """The texts in a module's source, with ~ for what is filled in; neither docstrings nor SQL."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = list(ast.walk(tree))
    passed = {id(one.value) for one in nodes if isinstance(one, ast.Expr)}
    passed |= {id(part) for one in nodes if isinstance(one, ast.JoinedStr) for part in one.values}
    for node in nodes:
        if id(node) in passed or not isinstance(node, ast.JoinedStr | ast.Constant):
            continue
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else "~" for part in parts)
        if " " in text and not re.match(r"[A-Z]{3,} |UPDATE|INSERT", text):
            yield text


def as_pattern(template: str) -> str:
    return ".*".join(map(re.escape, template.split("~")))


def test_every_message_with_an_advice_is_followed() -> None:
    """Each text in the source after which a volume may change was among what is followed here."""
    met = {reason.text for version in FAMILIES for _, _, reason, _ in judged(version)}
    met |= {text for _, text in recoveries()}
    met |= {text for texts in problems().values() for text in texts}
    met |= replacements()
    everything = "\n".join(met)
    unmet = [
        f"{path.name}: {template}"
        for path in MODULES
        if path.name not in NO_MESSAGES
        for template in templates(path)
        if acts(template) and not re.search(as_pattern(template), everything)
    ]
    assert unmet == []


def test_the_operator_understands_every_message() -> None:
    for version in FAMILIES:
        for situation, _, reason, _ in judged(version):
            assert not_understood(reason.text) == [], situation
    for _, text in recoveries():
        assert not_understood(text) == [], text


# The commands, the doctor and the scripts of the examples.


EXAMPLES = ROOT.parent / "examples/mysql"
COMMANDS = [*sorted((ROOT / "cli/commands").glob("mysql_*.py")), ROOT / "doctor/checks/mysql.py"]
SCRIPTS = sorted(EXAMPLES.rglob("*.sh"))


def script_texts(path: Path) -> Iterator[str]:
    """What a script says, with ~ for what is filled in."""
    for found in re.finditer(r"\b(?:say|fail) \"(.*)\"", path.read_text(encoding="utf-8")):
        yield re.sub(r"\$\(.*?\)|\$\{.*?\}|\$\w+", "~", found[1])


def peripheral() -> Iterator[tuple[Path, str]]:
    """Each text that an operator reads beside the sidecar's, and the texts of the doctor."""
    for path in COMMANDS:
        yield from ((path, text) for text in templates(path))
    for path in SCRIPTS:
        yield from ((path, text) for text in script_texts(path))
    yield from ((ROOT / "mysql/copies.py", text) for text in replacements())


@lru_cache
def replacements() -> frozenset[str]:
    """Why each server may not be given another volume, beside each primary."""
    first = servers(MARIADB, 100)
    primaries = (*first.values(), *(replace(one, read_only=False) for one in first.values()))
    reports = (None, Health(False, "refused", ""))
    asked = product(
        (*servers(MARIADB, 101).values(), *SILENT.values()), (*primaries, *SILENT.values()), reports
    )
    return frozenset(why for one in asked if (why := judge_replacement(*one)) is not None)


def test_the_commands_the_doctor_and_the_scripts_lose_nothing() -> None:
    """Also while the primary is lost, and replicas hold rows that they have not applied."""
    found = {
        "db-0": servers(MARIADB, 100)["blank"],
        "db-1": servers(MARIADB, 101)["behind; runs, received"],
        "db-2": servers(MARIADB, 102)["behind; runs"],
    }
    before = volumes(found)
    read = dict.fromkeys(peripheral())
    assert {path for path, _ in read} >= {*COMMANDS}
    assert len(read) > 300
    for path, text in read:
        assert risky(text) == [], f"{path.name}: {text}"
        for own, other in (("db-1", "db-2"), ("db-2", "db-1"), ("db-0", "db-1")):
            after = follow(before, Message(text, own, other, "db-0"))
            assert before.every <= after.every, f"{path.name}: {text}"


def test_a_replica_is_only_replaced_if_nothing_is_lost() -> None:
    """Every server beside every primary; what is emptied has a copy elsewhere, also of its logs."""
    permitted = 0
    for version in FAMILIES:
        for one, two in product(servers(version, 101).values(), servers(version, 100).values()):
            primary = replace(two, read_only=False, closed=False, status=None)
            if judge_replacement(one, primary, None) is not None:
                continue
            permitted += 1
            assert rows_of(one) | received_of(one) <= rows_of(primary)
    assert permitted > 50


@pytest.mark.parametrize(
    "text",
    ["empty the volume of ~", "delete the claim and the pod", "restart the server", "Reset it"],
)
def test_a_text_that_could_lead_to_a_loss_is_found(text: str) -> None:
    assert risky(text)
