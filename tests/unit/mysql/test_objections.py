"""Which of two servers is older, in words: the advice is never to empty the only copy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from peerdisco.mysql.decisions import judge_replica
from peerdisco.mysql.dialects import ReplicationSource
from peerdisco.mysql.facts import ServerFacts
from peerdisco.mysql.history import History
from peerdisco.mysql.objections import against_following, against_opening, against_replaying
from peerdisco.mysql.positions import MariaDBPosition
from peerdisco.mysql.setup import Account
from peerdisco.mysql.status import Receiver

from .histories import epoch, heartbeat, position
from .servers import CLUSTER, facts, status

FIRST = epoch(1, "0-100-4")
SECOND = epoch(2, "0-100-50", 40)
REWOUND = epoch(2, "0-100-30", 20, name="other-2")


def server(text: str, *epochs: Any, beat: Any = None, server_id: int = 101) -> ServerFacts:
    made = facts(cluster=CLUSTER, schemas=("shop",), server_id=server_id, origin=str(server_id))
    return replace(made, position=position(text), history=History(tuple(epochs), beat))


def primary(text: str, *epochs: Any, beat: Any = None) -> ServerFacts:
    return server(text, *epochs, beat=beat, server_id=100)


def refusal(own: ServerFacts, of: ServerFacts) -> tuple[str, str]:
    (reason,) = against_following(own, of)
    return reason.code.code, reason.text


def test_a_replica_of_the_same_history_may_follow() -> None:
    assert not list(against_following(server("0-100-40", FIRST), primary("0-100-60", FIRST)))


def test_an_older_primary_is_named_with_the_times_and_the_transactions() -> None:
    own = server("0-100-49", FIRST, beat=heartbeat("epoch-1", 39))
    code, text = refusal(own, primary("0-100-30", FIRST, beat=heartbeat("epoch-1", 20)))
    assert code == "primary-is-older"
    assert text.startswith("the primary's data are older than this pod's (volume from an earlier")
    assert "keep this volume" in text
    assert "epoch 1 (epoch-1)" in text
    assert "until 2026-01-01 00:00:20 UTC, and this pod those until 2026-01-01 00:00:39" in text
    assert "19 transactions (0-100-49) more" in text
    code, text = refusal(own, primary("0-100-900", FIRST, REWOUND))
    assert code == "primary-is-older"
    assert "was opened at 2026-01-01 00:03:20 UTC with data that are older" in text
    assert "keep its volume, too" in text


@pytest.mark.parametrize(
    "of",
    [
        primary("0-100-30", FIRST, beat=heartbeat("epoch-1", 20)),
        primary("0-100-900", FIRST, REWOUND),
        primary("0-100-900"),
    ],
)
def test_nobody_empties_the_newer_volume(of: ServerFacts) -> None:
    own = server("0-100-901", FIRST, SECOND, beat=heartbeat("epoch-2", 50))
    code, text = refusal(own, of)
    assert code == "primary-is-older"
    assert "empty" not in text


def test_a_gap_and_an_old_volume() -> None:
    own = server("0-100-60", FIRST, beat=heartbeat("other-2", 80))
    code, text = refusal(own, primary("0-100-900", FIRST, REWOUND))
    assert code == "primary-is-older"
    assert "keep this volume until the rows that only it has are moved" in text
    code, text = refusal(server("0-100-20", FIRST), primary("0-100-90", epoch(200, "0-100-80")))
    assert code == "needs-copy"
    assert "a copy on another volume, and keep this one" in text
    assert "empty" not in text


def test_a_reset_log_needs_a_copy_and_says_whether_anything_may_be_lost() -> None:
    reset = epoch(3, "0-100-80", 80, log_reset=True)
    of = primary("0-100-7", FIRST, SECOND, reset)
    code, text = refusal(server("0-100-80", FIRST, SECOND), of)
    assert code == "needs-copy"
    assert "RESET MASTER" in text
    assert "the primary has everything that this pod has: empty this pod's volume" in text
    code, text = refusal(server("0-100-85", FIRST, SECOND), of)
    assert "5 transactions (0-100-85)" in text
    assert "keep this one" in text
    assert "empty" not in text


def test_numbers_that_were_given_again_are_not_called_newer() -> None:
    reset = epoch(3, "0-100-500", 41, log_reset=True)
    own = server("0-100-53", FIRST, beat=heartbeat("epoch-1", 40))
    code, text = refusal(own, primary("0-100-510", FIRST, SECOND, reset))
    assert code == "needs-copy"
    assert "reset before 2026-01-01 00:05:00 UTC" in text
    assert "3 transactions (0-100-53), from shortly before or after that" in text
    assert "older" not in text
    assert "empty" not in text
    assert not reasons(primary("0-100-510", FIRST, SECOND, reset), db_1=own, db_2=own)


def test_what_no_primary_wrote() -> None:
    code, text = refusal(server("0-100-9,0-101-10", FIRST), primary("0-100-9", FIRST))
    assert code == "own-changes"
    assert "(0-101-10)" in text


# Opening.


def reasons(own: ServerFacts, **peers: ServerFacts) -> dict[str, tuple[str, str]]:
    found = against_opening(own, {name.replace("_", "-"): one for name, one in peers.items()})
    return {str(one.peer): (one.code.code, one.text) for one in found}


def test_the_copy_is_of_the_peer_that_has_most() -> None:
    own = primary("0-100-30", FIRST, beat=heartbeat("epoch-1", 20))
    found = reasons(
        own,
        db_1=server("0-100-40", FIRST, beat=heartbeat("epoch-1", 30)),
        db_2=server("0-100-49", FIRST, beat=heartbeat("epoch-1", 39), server_id=102),
    )
    assert {code for code, _ in found.values()} == {"peer-is-ahead"}
    for _, text in found.values():
        assert "a copy of db-2's data" in text
        assert "this pod's data are older" in text
        assert "empty" not in text
    assert "19 transactions" in found["db-2"][1]


def test_no_peer_is_recommended_that_lacks_what_another_has() -> None:
    own = primary("0-100-30", FIRST)
    found = reasons(
        own,
        db_1=server("0-100-60", FIRST, SECOND),
        db_2=server("0-100-60", FIRST, REWOUND, server_id=102),
    )
    for _, text in found.values():
        assert "a copy of" not in text
        assert "keep those of all pods, too" in text


def test_a_fork_closes_the_primary_unless_most_have_its_history() -> None:
    own = primary("0-100-900", FIRST, REWOUND)
    forked = server("0-100-49", FIRST)
    both = reasons(own, db_1=forked, db_2=replace(forked, origin="102"))
    assert [code for code, _ in both.values()] == ["peer-is-ahead"] * 2
    assert "keep the volume of db-1" in both["db-1"][1]
    assert "keep its volume, too" in both["db-1"][1]
    assert [code for code, _ in reasons(own, db_1=forked).values()] == ["peer-is-ahead"]
    follower = server("0-100-800", FIRST, REWOUND, server_id=102)
    found = reasons(own, db_1=forked, db_2=follower)
    assert {name: code for name, (code, _) in found.items()} == {"db-1": "peer-outvoted"}
    # One that is not in its epoch yet does not speak for it.
    behind = server("0-100-20", FIRST, server_id=102)
    assert reasons(own, db_1=forked, db_2=behind)["db-1"][0] == "peer-is-ahead"


def test_what_replicas_wrote_themselves_is_no_reason() -> None:
    own = primary("0-100-330", FIRST, beat=heartbeat("epoch-1", 90))
    local = server("0-100-30,0-101-31", FIRST)
    copied = replace(local, origin="102", position=MariaDBPosition.parse("", "0-101-31"))
    assert reasons(own, db_1=local, db_2=copied) == {}


@pytest.mark.parametrize("errno", [1236, 13114, 1062])
def test_replication_errors_do_not_advise_to_empty_what_is_to_be_kept(errno: int) -> None:
    broken = status(
        receiver=Receiver.STOPPED, receiver_errno=errno, applier_running=False, applier_errno=errno
    )
    own = server("0-100-49", FIRST, beat=heartbeat("epoch-1", 39))
    of = primary("0-100-30", FIRST, beat=heartbeat("epoch-1", 20))
    source = ReplicationSource("db-0.db", 3306, Account("repl", "x"))
    position = MariaDBPosition.parse("0-100-49", "0-100-49")
    verdict = str(judge_replica(replace(own, status=broken, position=position), of, source))
    assert "keep this volume" in verdict
    assert "empty" not in verdict


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("0-100-50", "the primary has everything that this pod has"),
        ("0-100-95", "keep this one until it is known that the primary has"),
    ],
)
def test_a_log_that_was_reset_since_the_primary_was_opened(text: str, advice: str) -> None:
    """Its position is behind its own heartbeat, and no epoch says when that was."""
    of = primary("0-100-60", FIRST, SECOND, beat=heartbeat("epoch-2", 90, "0-100-90"))
    own = server(text, FIRST, SECOND, beat=heartbeat("epoch-2", 80))
    _, words = refusal(own, of)
    assert words.startswith("the binary log of the primary was reset (RESET MASTER), so that")
    assert (
        "wait until the primary's sidecar reports that, since a copy of before is refused" in words
    )
    assert advice in words


OWN = epoch(2, "0-100-50", ordinal=1, server="101")
THIRD = epoch(3, "0-101-70")


@pytest.mark.parametrize(
    ("own", "lost"),
    [
        (server(""), True),
        (server("0-100-40", FIRST), True),
        (server("0-101-60", FIRST, OWN), True),
        (server("0-101-70", FIRST, OWN), False),
        (server("0-100-75", FIRST, OWN, THIRD), False),
        (server("0-100-75", OWN, THIRD), False),
        (server("", server_id=102), False),
        (server("0-100-40", FIRST, server_id=102), False),
    ],
)
def test_a_server_skips_what_it_wrote_itself(own: ServerFacts, lost: bool) -> None:
    of = primary("0-100-80", FIRST, OWN, THIRD)
    found = [*against_replaying(own, of, own.server_id - 100)]
    assert [reason.code.code for reason in found] == ["needs-copy"] * lost
    assert all("epoch 2 (epoch-2)" in reason.text for reason in found)
    # The one that it is writing has not ended: what is in it has arrived, or is on its way.
    assert not [*against_replaying(own, primary("0-100-80", FIRST, OWN), own.server_id - 100)]


def test_an_empty_server_has_a_new_uuid_and_the_old_ordinal() -> None:
    """The ordinal shows on MySQL what an empty server wrote; it may be unknown."""
    old = replace(OWN, server="former-uuid")
    of = primary("0-100-80", FIRST, old, THIRD)
    assert [*against_replaying(server(""), of, 1)]
    assert not [*against_replaying(server(""), of, 2)]
    assert not [*against_replaying(server(""), of, None)]


def test_a_former_primary_whose_log_was_reset_cannot_be_compared() -> None:
    own = server("0-100-50,0-101-7", FIRST, OWN, beat=heartbeat("epoch-2", 60, "0-101-65"))
    code, text = refusal(own, primary("0-100-80", FIRST, OWN, epoch(3, "0-101-70", 70)))
    assert code == "needs-copy"
    assert "while it was the primary" in text
    assert "keep this one until that is known" in text
    # A replica shows a heartbeat before its position only if it is another server's.
    other = replace(own, origin="102", server_id=102)
    assert "while it was the primary" not in str([*against_following(other, own)])


def test_what_a_peer_has_received_counts() -> None:
    """A restored primary must not be opened beside a replica that still has rows to apply."""
    behind = server("0-100-20", FIRST, beat=heartbeat("epoch-1", 12))
    peer = replace(behind, status=status(received="0-100-49", receiver=Receiver.CONNECTING))
    own = primary("0-100-30", FIRST, beat=heartbeat("epoch-1", 20))
    (reason,) = against_opening(own, {"db-1": peer})
    assert reason.code.code == "peer-is-ahead"
    assert "19 transactions (0-100-49)" in reason.text
    assert "restart no server before that" in reason.text
    assert list(against_opening(replace(own, read_only=False), {"db-1": peer}))
    # With semi-synchronous replication, a replica may have it before the primary has executed it.
    writes = replace(own, read_only=False, written=position("0-100-49"))
    assert not list(against_opening(writes, {"db-1": peer}))
    assert not list(against_opening(own, {"db-1": replace(peer, status=status())}))
