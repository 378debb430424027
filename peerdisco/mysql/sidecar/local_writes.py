"""Reads what a replica wrote into its own log, and drops it where all of it is administrative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..ensure import do_steps
from ..errors import DatabaseError
from ..facts import Executor, ServerFacts, read_facts
from ..literals import literal
from ..objections import against_discarding, against_following
from ..own_log import MOST_EVENTS, OwnLog
from ..positions import GtidSet, MariaDBPosition, Position
from ..reasons import ServerReasonCode
from ..repairs import plan_dropping_log

__all__ = ["LocalWrites"]

_MOST_READS = 100
"""Statements with which the logs are read. What they do not show is not known to be harmless."""


class LocalWrites:
    """Keeps administrative statements on a replica from looking like data of its own.

    On MariaDB they would stop replication: the replica's log is cleared of them. On MySQL they do
    not, and are left out of the comparison.

    Args:
        name: What to call the pod's own server in an error.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._harmless = GtidSet(())
        self._not_harmless: Position | None = None

    def forget(self) -> None:
        """Forget the server: the next connection may be to another one."""
        self._harmless, self._not_harmless = GtidSet(()), None

    async def drop(
        self, server: Executor, own: ServerFacts, primary: object
    ) -> tuple[ServerFacts, tuple[str, ...]]:
        """The replica's facts without what is harmless, and what was done.

        Raises:
            DatabaseError: A statement was refused, or the server did not answer.
        """
        if not isinstance(primary, ServerFacts) or own.cluster != primary.cluster:
            return own, ()
        own = self._without(own)
        codes = {reason.code for reason in against_following(own, primary)}
        if codes != {ServerReasonCode.OWN_CHANGES} or own.position == self._not_harmless:
            return own, ()
        if any(against_discarding(own, primary)):
            return own, ()
        if not await self._are_harmless(server, own, primary):
            self._not_harmless = own.position
            return own, ()
        if isinstance(own.position, GtidSet) and isinstance(primary.position, GtidSet):
            local = own.position.without(primary.position)
            self._harmless = self._harmless.with_more(local.text)
            return self._without(own), ()
        done = await do_steps(server, self._name, plan_dropping_log(own))
        return await read_facts(server, self._name), done

    async def leave_out(
        self, server: Executor, replica: ServerFacts, primary: ServerFacts
    ) -> ServerFacts:
        """The facts of another pod's replica without what is harmless; nothing is changed there.

        On MariaDB they are as they were, until that pod's own sidecar has dropped it.

        Raises:
            DatabaseError: The server did not answer.
        """
        if isinstance(replica.position, MariaDBPosition):
            return replica
        return (await self.drop(server, replica, primary))[0]

    def _without(self, own: ServerFacts) -> ServerFacts:
        if isinstance(own.position, MariaDBPosition) or self._harmless.empty:
            return own
        assert isinstance(own.position, GtidSet)
        return replace(own, position=own.position.without(self._harmless))

    async def _are_harmless(self, server: Executor, own: ServerFacts, primary: ServerFacts) -> bool:
        log = OwnLog(own.position, primary.recorded)
        try:
            await self._read(server, log)
        except DatabaseError as error:
            if error.unanswered:
                raise
            return False  # the account may not read the log
        return log.harmless

    async def _read(self, server: Executor, log: OwnLog) -> None:
        """Read the binary logs, the newest first, as far as they are needed."""
        names = [str(row["Log_name"]) for row in await self._ask(server, "SHOW BINARY LOGS")]
        reads = 0
        for name in reversed(names):
            at = 4
            while reads < _MOST_READS:
                reads += 1
                sql = f"SHOW BINLOG EVENTS IN {literal(name)} FROM {at} LIMIT {MOST_EVENTS}"
                events = await self._ask(server, sql)
                log.take(events)
                if len(events) < MOST_EVENTS:
                    break
                # MariaDB 11 does not say where an event inside a transaction ends.
                at = int(events[-1]["Pos"])
            else:
                log.reaches_back = False
            if log.reaches_back or reads >= _MOST_READS:
                return

    async def _ask(self, server: Executor, sql: str) -> Sequence[Mapping[str, Any]]:
        try:
            return await server.execute(sql)
        except Exception as error:
            raise DatabaseError.of(error, self._name, "reading its binary log") from error
