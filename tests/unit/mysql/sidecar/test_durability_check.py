"""When commits wait for a replica, and that the beginning of an epoch does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from peerdisco.mysql.durability import Durability
from peerdisco.mysql.ensure import ensure_primary
from peerdisco.mysql.facts import read_facts
from peerdisco.mysql.sidecar.durability_check import DurabilityCheck
from tests.unit.primary.test_verdicts import me, seen

from ..servers import MARIADB, Server


class SemiSync(Server):
    """A server that is configured for semi-synchronous replication."""

    waits = "OFF"
    sessions_that_wait = "0"

    async def execute(self, sql: str, /) -> Sequence[Mapping[str, Any]]:
        source, replica = ("master", "slave") if self.mariadb else ("source", "replica")
        if sql.startswith("SHOW GLOBAL VARIABLES"):
            found = {
                f"rpl_semi_sync_{replica}_enabled": "ON",
                f"rpl_semi_sync_{source}_enabled": self.waits,
            }
        elif sql.startswith("SHOW GLOBAL STATUS LIKE 'rpl"):
            found = {f"Rpl_semi_sync_{source}_wait_sessions": self.sessions_that_wait}
        else:
            return await super().execute(sql)
        return [{"Variable_name": name, "Value": value} for name, value in found.items()]

    def _apply(self, sql: str) -> None:
        super()._apply(sql)
        if "semi_sync" in sql:
            self.waits = sql.rpartition(" ")[2]


async def opening(server: SemiSync, wanted: Durability | None = None) -> list[str]:
    """The statements that open it, without those before and after."""
    check = DurabilityCheck("db-0", wanted)
    own = await read_facts(server, "db-0")
    await check.read(server, own)
    server.sent.clear()
    await ensure_primary(
        server,
        "db-0",
        own,
        {},
        seen("db-0=10.0.0.1"),
        me(),
        expected=1,
        before_epoch=check.before_epoch,
        before_open=check.before_open,
    )
    said = ("COMMIT", "SET GLOBAL rpl", "SET GLOBAL read_only")
    return [sql.rpartition("_")[2] for sql in server.sent if sql.startswith(said)]


@pytest.fixture
def server(version: str) -> SemiSync:
    return SemiSync(version, cluster=("an-id", "blank"))


OFF, ON, OPEN = "enabled = OFF", "enabled = ON", "only = OFF"


async def test_the_beginning_of_an_epoch_waits_for_no_replica(server: SemiSync) -> None:
    assert await opening(server) == ["COMMIT", ON, OPEN]
    # It was made read-only since: no replica may be there, or able to follow.
    server.read_only = server.super_read_only = True
    assert await opening(server) == [OFF, "COMMIT", ON, OPEN]
    assert server.waits == "ON"
    # An open one goes on waiting, and so does what waits already.
    assert await opening(server) == []
    server.read_only = server.super_read_only = True
    server.sessions_that_wait = "1"
    assert await opening(server) == ["COMMIT", OPEN]


async def test_what_an_administrator_enabled_is_enabled_again(server: SemiSync) -> None:
    server.waits = "ON"
    assert await opening(server, Durability.ASYNCHRONOUS) == [OFF, "COMMIT", ON, OPEN]


async def test_a_sidecar_that_ends_in_between_leaves_it_closed(version: str) -> None:
    server = SemiSync(version, cluster=("an-id", "blank"))
    server.waits = "ON"
    server.fails = {"COMMIT": ConnectionError("the end")}
    with pytest.raises(Exception, match="the end"):
        await opening(server)
    assert server.read_only
    server.fails = {}
    assert (await opening(server))[-2:] == [ON, OPEN]
    assert server.mariadb == (version == MARIADB)


@pytest.mark.parametrize("waiting", ["0", "1"])
async def test_an_open_primary_gets_no_statement_while_it_waits(
    server: SemiSync, waiting: str
) -> None:
    check = DurabilityCheck("db-0", Durability.SEMI_SYNC)

    async def corrected() -> tuple[str, ...]:
        own = await read_facts(server, "db-0")
        await check.read(server, own)
        server.sent.clear()
        return await check.correct(server, own)

    await opening(server)
    server.sessions_that_wait = waiting
    assert await corrected() == ()
    assert server.sent == []
    server.waits = "OFF"
    assert await corrected() == ("enabling semi-synchronous replication",)
    assert server.waits == "ON"
