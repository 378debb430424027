"""The tables of the history: rows that somebody deletes or changes, and very many long ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .database import Database
from .waiting import until

pytestmark = pytest.mark.timeout(240)

DAMAGE = {
    "rows deleted": ("DELETE FROM peerdisco.epochs", "TRUNCATE TABLE peerdisco.heartbeat"),
    "tables dropped": ("DROP TABLE peerdisco.epochs, peerdisco.heartbeat",),
    "newest deleted": ("DELETE FROM peerdisco.epochs ORDER BY number DESC LIMIT 1",),
    "ids changed": ("UPDATE peerdisco.epochs SET id = CONCAT('x', number)",),
    "an older dump": (
        "DELETE FROM peerdisco.epochs ORDER BY number DESC LIMIT 1",
        "UPDATE peerdisco.heartbeat SET counter = 1, epoch = (SELECT id FROM peerdisco.epochs)",
    ),
}


@pytest.mark.parametrize(
    "what",
    ["tables dropped", *(pytest.param(w, marks=pytest.mark.long) for w in DAMAGE if w[0] != "t")],
)
def test_the_history_is_restored_and_nobody_refused(
    make_every: Callable[..., Database], what: str
) -> None:
    db = make_every(2)
    db.start()
    db.wait()
    db.create_shop()
    primary, replica = db.members
    primary.sidecar.stop()
    primary.server.restart()
    primary.sidecar.start()  # begins a second epoch
    db.wait()
    replica_said = len(replica.sidecar.lines)
    query = "SELECT * FROM peerdisco.epochs ORDER BY number"
    history = primary.server.sql(query)
    assert len(history) == 2
    db.wait_equal()
    until(lambda: replica.server.sql(query) == history, what="the replica has it")

    primary.server.sql(*DAMAGE[what])

    def restored() -> bool:
        said = "writing rows of the history again" in str(primary.sidecar.said)
        return said and primary.server.sql(query) == history

    until(restored, what=lambda: f"{primary.sidecar.ready()} {primary.server.sql(query)}")
    beat = "SELECT counter FROM peerdisco.heartbeat"
    before = primary.server.value(beat)
    until(lambda: primary.server.value(beat) > before + 1, what=lambda: str(primary.sidecar.said))
    primary.server.sql("INSERT INTO shop.orders VALUES (1)")
    assert db.wait_equal() == [1]
    until(lambda: replica.server.sql(query) == history, what="the replica has it again")
    said = "\n".join(replica.sidecar.lines[replica_said:])
    assert "refused" not in said
    assert primary.sidecar.ready()[0] == replica.sidecar.ready()[0] == 200
    # Also after restarts: neither side takes the other one's data for others.
    for member in (replica, primary):
        member.stop()
        member.start()
    db.wait()
    assert db.wait_equal() == [1]


def test_a_history_of_very_many_sources_is_read(make_every: Callable[..., Database]) -> None:
    """Two hundred epochs with positions of 50,000 characters."""
    db = make_every(1)
    db.start()
    db.wait()
    mariadb = db.primary.server.flavour == "mariadb"
    gtid = "0-100-1," if mariadb else f"{'a' * 8}-{'b' * 4}-{'c' * 4}-{'d' * 4}-{'e' * 12}:1,"
    position = f"REPEAT('{gtid}', {50_000 // len(gtid)})"
    end = "|" if mariadb else ""
    db.primary.server.sql(
        "INSERT INTO peerdisco.epochs WITH RECURSIVE n AS "
        "(SELECT 10 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 209) "
        "SELECT i, CONCAT('e', i), NULL, 0, '100', '2026-01-01', "
        f"CONCAT({position}, '{end}'), NULL, NULL, 0 FROM n"
    )
    db.primary.sidecar.stop()
    db.primary.server.restart()
    db.primary.sidecar.start()
    db.wait()
    assert db.primary.server.value("SELECT MAX(number) FROM peerdisco.epochs") > 209
    assert db.primary.sidecar.ready()[0] == 200
