"""The heartbeat of an open primary, over a connection of its own.

It is written beside the passes, since a pass waits for peers, and a write may wait for a lock, a
full disk or a replica's acknowledgement.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ...clock import Clock
from ...exceptions import DiscoveryError
from ...timing.stalls import TimeLimit
from ..dialects import Step
from ..ensure import LOGGED, do_steps
from ..errors import DatabaseError, is_from_server
from ..facts import ServerFacts, read_mark
from ..history import Epoch, Recorded
from ..log_mark import log_end, mark_at, plan_marking
from ..tables import CLUSTER_SCHEMA, beat
from ..versions import Version
from .peers import Connection

__all__ = ["Heart"]

T = TypeVar("T")

_BEAT = f"UPDATE {CLUSTER_SCHEMA}.heartbeat "


class Heart:
    """Renews the heartbeat for as long as it has the facts of an open primary.

    Before each beat it compares the position with the one before: a binary log that was reset is
    behind. Then nothing is written, since that would hide it.

    Args:
        connect: Connects to the pod's own server.
        clock: Time.
        every: Seconds between two beats.
        timeout: Seconds that one may take.
        name: What to call the server in an error.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        clock: Clock,
        *,
        every: float,
        timeout: float,
        name: str,
    ) -> None:
        self._connect = connect
        self._clock = clock
        self._every = every
        self._timeout = timeout
        self._name = name
        self._facts: ServerFacts | None = None
        self._server: Connection | None = None
        self._before: Recorded | None = None
        self._marked: tuple[str, int | None] | None = None
        """The epoch and the log in which a place was recorded last."""
        self._woken = asyncio.Event()
        self.log_reset = False
        """Whether the binary log was reset since the epoch began."""
        self.last_at: float | None = None
        """When the last beat was written, in seconds of the clock; None if none was since the
        primary was opened."""
        self._writing = False
        self.error: DiscoveryError | None = None
        """Why the last beat was not written; None if it was."""
        self.stuck: str | None = None
        """Why a write does not complete on the server, which then takes none; None if it does, or
        if that is not known."""

    def follow(self, facts: ServerFacts | None) -> None:
        """Beat in the newest epoch of these facts; None to stop."""
        epoch = facts.history.newest if facts is not None else None
        known = self._facts.history.newest if self._facts is not None else None
        self._facts = facts if epoch is not None else None
        if epoch is None or known is None or epoch.id != known.id:
            self._before = self._marked = self.last_at = self.error = self.stuck = None
            self.log_reset = False
            self._woken.set()

    async def run(self) -> None:
        """Beat until it is cancelled."""
        try:
            while True:
                self._woken.clear()
                if self._facts is not None and not self.log_reset:
                    await self._try(self._facts)
                await self._clock.wait(self._woken, self._every)
        finally:
            self._drop()

    async def _try(self, facts: ServerFacts) -> None:
        try:
            async with TimeLimit(self._timeout):
                await self._beat(facts)
        except TimeoutError:
            self._fail(
                DatabaseError(
                    self._name, "writing the heartbeat", None, f"no answer in {self._timeout:g} s"
                )
            )
        except DiscoveryError as error:
            self._fail(error)

    async def _beat(self, facts: ServerFacts) -> None:
        newest = facts.history.newest
        assert newest is not None
        if self._server is None or self._server.closed:
            self._server = await self._connect()
        mark = await read_mark(self._server, self._name, facts)
        waits = await self._waiting() if self.stuck is not None else None
        if not self._is_current(newest):
            return  # what was read may be of before the epoch that has begun since
        if waits is not None:
            # Another beat would wait too, over one more connection each time.
            self.stuck = waits
            return
        before = self._before
        self.log_reset = mark.log_was_reset or (
            before is not None and bool(before.position.beyond(mark.position, of={facts.origin}))
        )
        if self.log_reset:
            return
        self._before = mark
        marks = (newest.id, mark.log_number)
        end = None
        if self._marked != marks:
            end = await self._known(log_end(self._server.execute, facts.version))
        self._writing = True
        try:
            await self._server.execute(beat(facts.flavour, newest, mark.log_number))
        except Exception as error:
            raise DatabaseError.of(error, self._name, "writing the heartbeat") from error
        self._writing = False
        self.error = self.stuck = None
        self.last_at = self._clock.now()
        if end is not None and await self._mark(self._server, facts.version, newest.id, end):
            self._marked = marks

    def _is_current(self, epoch: Epoch) -> bool:
        """Whether this is still the epoch to beat in."""
        newest = self._facts.history.newest if self._facts is not None else None
        return newest is not None and newest.id == epoch.id

    async def _mark(
        self, server: Connection, version: Version, epoch: str, end: tuple[str, int]
    ) -> bool:
        """Record what was written at the former end of the log; whether there is no more to do."""
        mark = await self._known(mark_at(server.execute, version, end))
        if mark is None:
            return False  # another log has begun
        try:
            await do_steps(server, self._name, plan_marking(version, epoch, mark))
        except DatabaseError as error:
            if not is_from_server(error):
                raise
            # An account of an earlier version may not. It is a safeguard that is missing then.
            await do_steps(server, self._name, [Step("logging again", LOGGED)])
        return True

    async def _known(self, asking: Awaitable[T]) -> T:
        try:
            return await asking
        except Exception as error:
            raise DatabaseError.of(error, self._name, "reading its binary log") from error

    async def _waiting(self) -> str | None:
        """What an earlier beat waits for on the server; None if none does."""
        assert self._server is not None
        try:
            rows = await self._server.execute("SHOW PROCESSLIST")
        except Exception as error:
            raise DatabaseError.of(error, self._name, "looking for the heartbeat") from error
        for row in rows:
            if str(row.get("Info") or "").startswith(_BEAT):
                return f"the heartbeat waits for {row.get('Time')} s ({row.get('State')})"
        return None

    def _fail(self, error: DiscoveryError) -> None:
        self.error = error
        if self._writing:
            self._writing = False
            # An account of an earlier version may not renew the heartbeat; the server takes writes.
            denied = isinstance(error, DatabaseError) and error.access_denied
            self.stuck = None if denied else str(error)
        self._drop()

    def _drop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
