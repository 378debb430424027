"""The sidecar's work: look at the server and its peers, make it what it has to be, and again.

One task does everything. It holds one connection to the pod's own server, and opens one to each
peer that it has to ask. A look that is cut off, by a new address of the primary or by the end, has
done whole steps only; the next one goes on from what it finds.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass

from ...clock import Clock, SystemClock
from ...discovery import Discovery, Watch
from ...exceptions import DiscoveryError
from ...model import Change, Identity, Peer
from ...names import Endpoint, parse_seconds
from ...timing.backoff import Backoff
from ..ensure import ensure_account
from ..errors import DatabaseError
from ..facts import ServerFacts, read_facts
from ..setup import Account
from .as_primary import AsPrimary
from .as_replica import AsReplica
from .peers import Connect, Connection, PeerServers
from .report import Report, State

__all__ = ["Sidecar", "SidecarOptions"]


@dataclass(frozen=True, slots=True)
class SidecarOptions:
    """What the user decides.

    Attributes:
        local: Gives the account for the pod's own server, anew for each connection, since the
            password may change.
        replication: Gives the account with which replicas, and probes, log in.
        port: The servers' port, where DNS does not tell one.
        expected: How many pods the StatefulSet has; see `peerdisco.may_bootstrap`.
        first_start: Whether the user said that this is the first start.
        interval: Seconds between two looks when all is well.
        retry_interval: Seconds between two lookups when something is missing; half as much again
            from one to the next, up to ``interval``, while it stays so.
        probe_timeout: Seconds that a peer's server has to answer.

    Raises:
        ConfigurationError: A time is no number of seconds above 0.
    """

    local: Callable[[], Account]
    replication: Callable[[], Account]
    port: int = 3306
    expected: int | None = None
    first_start: bool = False
    interval: float = 1.0
    retry_interval: float = 0.25
    probe_timeout: float = 2.0

    def __post_init__(self) -> None:
        for name in ("interval", "retry_interval", "probe_timeout"):
            object.__setattr__(self, name, parse_seconds(getattr(self, name), name))


class Sidecar:
    """Keeps the pod's own server what its ordinal says it is.

    Args:
        disco: The membership; running, and of the pod's own StatefulSet alone.
        identity: Who this pod is, with its ordinal.
        connect: Connects to servers.
        options: What the user decides.
        first_ordinal: The ordinal of the primary.
        tell: Is given each report whose state or reason is another than before.
        clock: Time; for tests.
    """

    def __init__(
        self,
        disco: Discovery,
        identity: Identity,
        connect: Connect,
        options: SidecarOptions,
        *,
        first_ordinal: int = 0,
        tell: Callable[[Report], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        """Time, as the sidecar sees it."""
        peers = PeerServers(connect, options.replication, options.port, options.probe_timeout)
        self._disco = disco
        self._identity = identity
        self._connect = connect
        self._options = options
        self._tell = tell
        self._peers = peers
        self._duty: AsPrimary | AsReplica
        if identity.ordinal == first_ordinal:
            self._duty = AsPrimary(
                identity,
                peers,
                _OWN,
                expected=options.expected,
                first_start=options.first_start,
            )
        else:
            self._duty = AsReplica(peers, _OWN, self.clock.now)
        self._own: Connection | None = None
        self._account_there = False
        self._backoff = Backoff(options.retry_interval, options.interval, _SLOWER)
        self._unsettled = 1
        self.report = Report(State.STARTING, "it has not looked yet", self._duty.role)
        self.lookups = 0
        """How many looks have ended."""
        self.looked_at = self.clock.now()
        """When the last look ended, in seconds of `clock`."""

    @property
    def nudges(self) -> int:
        """How often the receiver of a replica was told to connect anew."""
        return self._duty.nudges if isinstance(self._duty, AsReplica) else 0

    async def run(self) -> None:
        """Look, and do what has to be done, until it is cancelled or the membership is closed."""
        watch = self._disco.watch()
        change = asyncio.create_task(_next_of(watch))
        look: asyncio.Task[Report] | None = None
        try:
            while True:
                look = asyncio.create_task(self._look())
                while not look.done():
                    await asyncio.wait({look, change}, return_when=asyncio.FIRST_COMPLETED)
                    if not change.done():
                        break
                    told = change.result()
                    if told is None:
                        return
                    change = asyncio.create_task(_next_of(watch))
                    role = self._duty
                    if isinstance(role, AsReplica) and role.waits_in_vain(told.snapshot):
                        await _ended(look)
                if not look.cancelled():
                    pause = self._publish(look.result())
                    if self._waits_for_dns():
                        self._disco.refresh()
                    await self._pause(change, pause)
        finally:
            for task in (look, change):
                if task is not None:
                    await _ended(task)
            self._drop_own()

    async def _pause(self, change: asyncio.Task[Change | None], seconds: float) -> None:
        """Wait until the next look is due, or for a change, whichever comes first."""
        changed = asyncio.Event()

        def wake(_: object) -> None:
            changed.set()

        change.add_done_callback(wake)
        try:
            await self.clock.wait(changed, seconds)
        finally:
            change.remove_done_callback(wake)

    def _publish(self, report: Report) -> float:
        """Keep the report, and tell it if it is news; the seconds until the next look."""
        before, self.report = self.report, report
        self.lookups += 1
        self.looked_at = self.clock.now()
        news = bool(report.done) or report.state is not before.state
        if self._tell is not None and (news or _gist(report) != _gist(before)):
            self._tell(report)
        settled = report.state in (State.PRIMARY, State.REPLICA, State.REFUSED)
        self._unsettled = 1 if settled or news else self._unsettled + 1
        if settled:
            return self._options.interval
        return self._backoff.after(self._unsettled)

    def _waits_for_dns(self) -> bool:
        """Whether something is missing that the next answer may bring, as the primary's address.

        A DNS that does not answer is asked no sooner because of that.
        """
        report = self.report
        missing = report.verdict is not None and report.verdict.waits
        unsettled = report.state in (State.WAITING, State.FENCED, State.CONNECTING)
        return (missing or unsettled) and not self._disco.snapshot.stale

    async def _look(self) -> Report:
        try:
            server = await self._own_server()
            own = await read_facts(server, _OWN)
            snapshot = self._disco.snapshot
            await self._see_to_account(server, own, snapshot.local)
            return await self._duty.look(server, own, snapshot)
        except DiscoveryError as error:
            self._drop_own()
            return Report(_state_of(error), str(error), self._duty.role)
        except BaseException:
            # Cut off between a question and its answer, or unusable for a reason unknown.
            self._drop_own()
            raise

    async def _own_server(self) -> Connection:
        if self._own is None or self._own.closed:
            self._drop_own()
            self._own = await self._connect(None, self._options.local())
        return self._own

    def _drop_own(self) -> None:
        own, self._own = self._own, None
        self._account_there = False
        self._duty.forget()
        if own is not None:
            own.close()

    async def _see_to_account(
        self, server: Connection, own: ServerFacts, local: Peer | None
    ) -> None:
        """Make the account with which the peers log in, unless one can log in with it already."""
        if self._account_there:
            return
        address = next(iter(self._identity.addresses), "127.0.0.1")
        if not await self._peers.lets_in(Endpoint(str(address), self._peers.port_of(local))):
            await ensure_account(server, _OWN, own, self._peers.account())
        self._account_there = True


_OWN = "this pod's server"

_SLOWER = 1.5
"""What is missing is asked for with so many times the pause, from look to look."""


def _state_of(error: DiscoveryError) -> State:
    if not isinstance(error, DatabaseError):
        return State.FAILED
    if error.access_denied:
        return State.ACCESS_DENIED
    return State.NO_SERVER if error.unanswered else State.FAILED


_SECONDS = re.compile(r"\d+(\.\d+)? s\b")


def _gist(report: Report) -> str:
    """The reason without what differs each time that the same goes wrong."""
    return _SECONDS.sub("", report.reason)


async def _next_of(watch: Watch) -> Change | None:
    """The next change; None at the end, since no task may raise StopAsyncIteration."""
    return await anext(watch, None)


async def _ended(task: asyncio.Task[object]) -> None:
    """Cancel a task, and wait until it has ended."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # it is told by whoever asks for the result
