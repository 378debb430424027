"""A sidecar that is killed, or whose server is, at one statement.

``python -m tests.mysql.faulty RECORD [VICTIM K PID_FILE]``: the ``sidecar`` or the ``server`` is
killed right after the k-th statement that changes something on the pod's own server; with 0 before
the first. Right before a statement is right after the one before it: what is asked in between
changes nothing.

Each of these statements is a line in the file RECORD, up to its first parenthesis or quote, since
what follows may be a password.

The sidecar is the one of the command, put together as the command does it; only the connection to
the pod's own server is wrapped.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from peerdisco import Discovery
from peerdisco.mysql import Account
from peerdisco.mysql.aiomysql import Connection, connect
from peerdisco.mysql.sidecar.report import Report
from peerdisco.mysql.sidecar.sidecar import Sidecar, SidecarOptions
from peerdisco.names import Endpoint
from peerdisco.pod.identity import local_identity

ASKS = ("SELECT", "SHOW", "SET SESSION")


class Fault:
    """What happens after which statement."""

    def __init__(self, record: Path, victim: str, at: int, pid_file: Path) -> None:
        self._record = record
        self._victim = victim
        self._at = at
        self._pid_file = pid_file
        self._count = 0

    def executed(self, sql: str) -> None:
        self._count += 1
        with self._record.open("a") as file:
            file.write(re.split(r"[('\"]", sql)[0].strip() + "\n")

    def strike(self) -> None:
        """Kill, if now is the moment."""
        if self._count != self._at:
            return
        self._at = -1
        if self._victim == "sidecar":
            os.kill(os.getpid(), signal.SIGKILL)
        os.kill(int(self._pid_file.read_text()), signal.SIGKILL)


def _is_heartbeat(sql: str) -> bool:
    """Whether it is one of those that are written all the time, by the clock."""
    beats = sql.startswith("UPDATE peerdisco.heartbeat") and " WHERE " in sql
    return beats or "peerdisco.log_mark" in sql


class Own:
    """The connection to the pod's own server."""

    def __init__(self, connection: Connection, fault: Fault) -> None:
        self._connection = connection
        self._fault = fault

    @property
    def closed(self) -> bool:
        return self._connection.closed

    def close(self) -> None:
        self._connection.close()

    async def execute(self, sql: str, /) -> Sequence[dict[str, Any]]:
        if sql.startswith(ASKS) or _is_heartbeat(sql):
            return await self._connection.execute(sql)
        self._fault.strike()
        rows = await self._connection.execute(sql)
        self._fault.executed(sql)
        self._fault.strike()
        return rows


def account(user: str, variable: str) -> Callable[[], Account]:
    return lambda: Account(user, Path(os.environ[variable]).read_text())


async def run(fault: Fault) -> None:
    me = local_identity()
    options = SidecarOptions(
        local=account("peerdisco", "PEERDISCO_MYSQL_PASSWORD_FILE"),
        replication=account("peerdisco_replication", "PEERDISCO_MYSQL_REPLICATION_PASSWORD_FILE"),
        expected=int(os.environ["PEERDISCO_MYSQL_REPLICAS"]),
    )

    async def to(where: Endpoint | None, who: Account) -> Connection | Own:
        if where is not None:
            own = where.address in map(str, me.addresses)
            return await connect(who, host=where.address, port=where.port, own_server=own)
        socket = os.environ["PEERDISCO_MYSQL_SOCKET"]
        return Own(await connect(who, socket=socket), fault)

    async with Discovery(statefulset=me.statefulset, identity=me) as disco:
        await Sidecar(disco, me, to, options, on_report=tell).run()


def tell(report: Report) -> None:
    print(f"peerdisco: {report.state.value}: {report.reason}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    record, victim, at, pid_file = (*sys.argv[1:], "", "-1", "")[:4]
    asyncio.run(run(Fault(Path(record), victim, int(at), Path(pid_file))))
