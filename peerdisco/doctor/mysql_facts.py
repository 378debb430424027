"""Reads what the checks of a database server judge. Nothing is changed."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from ..exceptions import DiscoveryError
from ..mysql.durability import status_query
from ..mysql.errors import DatabaseError
from ..mysql.facts import Executor, ServerFacts, read_facts
from ..mysql.setup import Account
from ..mysql.sidecar.peers import Connection
from ..timing.stalls import TimeLimit
from .database import AccountFacts, DatabaseFacts, PeerServer, TableFacts

__all__ = ["Connect", "read_database"]

Connect = Callable[[Account], Awaitable[Connection]]
"""Connects to a server with an account."""

_GRANT = re.compile(r"GRANT (?P<what>.+?) ON (?P<where>\S+) TO ", re.IGNORECASE)
_VARIABLES = "SHOW GLOBAL VARIABLES"
_CURRENT = "SELECT CURRENT_USER() AS who"
_TABLES = (
    "SELECT TABLE_SCHEMA AS s, TABLE_NAME AS t, ENGINE AS e, TABLE_TYPE AS k "
    "FROM information_schema.TABLES WHERE TABLE_SCHEMA NOT IN "
    "('mysql', 'information_schema', 'performance_schema', 'sys', 'peerdisco') "
    "AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') "
    "AND (ENGINE IS NULL OR ENGINE <> 'InnoDB' OR TABLE_TYPE = 'SYSTEM VERSIONED') "
    "ORDER BY 1, 2 LIMIT 100"
)


async def read_database(
    where: str,
    connect: Connect,
    accounts: Mapping[str, Callable[[], Account] | None],
    users: Mapping[str, str],
    peers: Mapping[str, Connect],
    timeout: float,
) -> DatabaseFacts:
    """The facts about the server in this pod, and about those of the peers.

    Args:
        where: What the server is called: an address or a socket.
        connect: Connects to it.
        accounts: Functions that return the accounts ``local``, ``replication`` and ``backup``; None
            for one without a password.
        users: Their names.
        peers: Connects to the servers of the peers, by the names of the pods.
        timeout: Seconds for each server and account.
    """
    known: list[AccountFacts] = []
    server: ServerFacts | None = None
    variables: dict[str, str] = {}
    status: dict[str, str] = {}
    tables: tuple[TableFacts, ...] | None = None
    for kind, give in accounts.items():
        account = AccountFacts(kind, users[kind], given=give is not None)
        if give is not None:
            try:
                async with TimeLimit(timeout):
                    link = await connect(give())
                    try:
                        account = await _account(link, account)
                        if kind == "local":
                            variables = await _named_values(link, _VARIABLES)
                            server = await read_facts(link, where)
                            status = await _named_values(link, status_query(server.flavour))
                        if kind == "backup":
                            tables = await _tables(link)
                    finally:
                        link.close()
            except TimeoutError:
                account = account.failed(None, f"no answer in {timeout:g} s")
            except DiscoveryError as error:
                account = account.failed(getattr(error, "errno", None), str(error))
            except Exception as error:  # noqa: BLE001 - what the driver raises
                failure = DatabaseError.of(error, where, f"reading with {account.user!r}")
                account = account.failed(failure.errno, str(failure))
        known.append(account)
    replication = accounts.get("replication")
    others = []
    if replication is not None:
        others = [await _peer(name, to, replication, timeout) for name, to in peers.items()]
    return DatabaseFacts(where, tuple(known), server, variables, tables, tuple(others), status)


async def _account(link: Executor, account: AccountFacts) -> AccountFacts:
    """Its privileges. The statements themselves may hold a hash of the password: not kept."""
    (row,) = await link.execute(_CURRENT)
    everywhere: set[str] = set()
    on_cluster: set[str] = set()
    for grant in await link.execute("SHOW GRANTS"):
        found = _GRANT.match(str(next(iter(grant.values()))))
        if found is None:
            continue
        what = {name.strip().upper() for name in found["what"].split(",")}
        place = found["where"].replace("`", "")
        if place == "*.*":
            everywhere |= what
        elif place == "peerdisco.*":
            on_cluster |= what
    return account.with_privileges(str(row["who"]), frozenset(everywhere), frozenset(on_cluster))


async def _named_values(link: Executor, query: str) -> dict[str, str]:
    rows = await link.execute(query)
    return {str(row["Variable_name"]).lower(): str(row["Value"]) for row in rows}


async def _tables(link: Executor) -> tuple[TableFacts, ...]:
    rows: Sequence[Mapping[str, Any]] = await link.execute(_TABLES)
    return tuple(
        TableFacts(
            str(row["s"]),
            str(row["t"]),
            str(row["e"] or "unknown"),
            versioned=str(row["k"]) == "SYSTEM VERSIONED",
        )
        for row in rows
    )


async def _peer(
    name: str, connect: Connect, account: Callable[[], Account], timeout: float
) -> PeerServer:
    """The server of a peer."""
    try:
        async with TimeLimit(timeout):
            link = await connect(account())
            try:
                facts = await read_facts(link, name)
            finally:
                link.close()
        return PeerServer(name, facts.server_id, facts.read_only)
    except TimeoutError:
        return PeerServer(name, error=f"no answer in {timeout:g} s")
    except DiscoveryError as error:
        return PeerServer(name, error=str(error))
