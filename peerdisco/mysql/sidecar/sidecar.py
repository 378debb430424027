"""The sidecar's loop: read the server and its peers, bring the server into its role, repeat.

One task does everything but write the heartbeat. It holds one connection to the pod's own server,
and opens one to each peer that it queries. A pass that is cancelled, by a new address of the
primary or by the end, has done whole steps only; the next one continues from the server's state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ...clock import Clock, SystemClock
from ...discovery import Discovery, Watch
from ...exceptions import DiscoveryError
from ...model import Change, Identity, Peer, Snapshot
from ...model.snapshots import PrimaryPolicy
from ...names import Endpoint, parse_seconds
from ...timing.backoff import Backoff
from ..dialects import NO_TRUST, SourceTrust
from ..durability import Durability
from ..errors import DatabaseError
from ..facts import Executor, read_facts
from ..setup import Account
from .account_check import AccountCheck
from .announcements import Announcements
from .closing import Closing
from .durability_check import DurabilityCheck
from .freshness import Freshness
from .heart import Heart
from .moves import Moves, WantedPrimary
from .past_reports import History
from .pause import Observer, PauseFile
from .peers import Connect, Connection, PeerServers
from .primary_role import PrimaryRole
from .replica_role import ReplicaRole
from .report import Problem, ProblemCode, Report, Role, State
from .role_lock import WhileLocked
from .unfinished import CarefulConnect

__all__ = ["Sidecar", "SidecarOptions"]


@dataclass(frozen=True, slots=True)
class SidecarOptions:
    """The user's settings.

    Attributes:
        local: Returns the account for the pod's own server; called for each connection, because
            the password may change.
        replication: Returns the account with which replicas and probes log in.
        port: The servers' port, where DNS has none.
        expected: How many pods the StatefulSet has; see `peerdisco.may_bootstrap`.
        first_start: Whether the user said that this is the first start.
        primary_ordinal_file: A file with the ordinal of the primary, which may change; None if it
            does not.
        durability: When transactions are to be acknowledged; None for what the server's own
            configuration says.
        interval: Seconds between two passes when nothing is missing.
        retry_interval: Seconds between two passes when something is missing; 1.5 times as much
            each time, up to ``interval``.
        probe_timeout: Seconds that a peer's server has to answer.
        trust: How replicas' servers verify the primary.
        pause_file: While this file exists, the sidecar changes nothing; None if there is none.
        heartbeat: Seconds between two heartbeats of the open primary.

    Raises:
        ConfigurationError: A time is no number of seconds above 0.
    """

    local: Callable[[], Account]
    replication: Callable[[], Account]
    port: int = 3306
    expected: int | None = None
    first_start: bool = False
    primary_ordinal_file: Path | None = None
    durability: Durability | None = None
    interval: float = 1.0
    retry_interval: float = 0.25
    probe_timeout: float = 2.0
    trust: SourceTrust = NO_TRUST
    pause_file: Path | None = None
    heartbeat: float = 1.0

    def __post_init__(self) -> None:
        for name in ("interval", "retry_interval", "probe_timeout", "heartbeat"):
            object.__setattr__(self, name, parse_seconds(getattr(self, name), name))


class Sidecar:
    """Keeps the pod's own server in the role that its ordinal gives it.

    Args:
        disco: The membership; running, and of the pod's own StatefulSet alone.
        identity: Who this pod is, with its ordinal.
        connect: Connects to servers.
        options: The user's settings.
        first_ordinal: The ordinal of the primary.
        on_report: Called with each report that is news; see `Announcements`.
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
        on_report: Callable[[Report], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        """Time, as the sidecar sees it."""
        careful = CarefulConnect(connect, _OWN)
        peers = PeerServers(careful, options.replication, options.port, options.probe_timeout)
        self._disco = disco
        self._identity = identity
        self._connect = careful
        self._connect_at_once = connect
        self._options = options
        self._on_report = on_report
        self._peers = peers
        self._durability = DurabilityCheck(_OWN, options.durability)
        self.heart = Heart(
            self._connect_own,
            self.clock,
            every=options.heartbeat,
            timeout=_HEARTBEAT_TIMEOUT,
            name=_OWN,
        )
        """The heartbeat of the primary; it does nothing in a replica."""
        self._primary_role = PrimaryRole(
            identity,
            peers,
            _OWN,
            expected=options.expected,
            first_start=options.first_start,
            durability=self._durability,
            heart=self.heart,
            now=self.clock.now,
        )
        self._replica_role = ReplicaRole(
            peers, _OWN, self.clock.now, trust=options.trust, ordinal=identity.ordinal
        )
        first = identity.ordinal == first_ordinal and options.primary_ordinal_file is None
        self._role: PrimaryRole | ReplicaRole = self._primary_role if first else self._replica_role
        self._wanted = WantedPrimary(first_ordinal, options.primary_ordinal_file)
        self._policy: PrimaryPolicy | None = None
        """Picks the primary that the role goes by; None before the first pass."""
        self._moves = Moves(identity, peers, self._wanted.read, _OWN, self.clock.now)
        self._own: Connection | None = None
        self._announcements = Announcements()
        self._freshness = Freshness()
        self._pause_file = PauseFile(options.pause_file)
        self._account_check = AccountCheck(peers, _OWN, self.clock.now)
        self._backoff = Backoff(options.retry_interval, options.interval, _SLOWER)
        self._unsettled = 1
        self.report = Report(State.STARTING, "the first pass has not ended yet", self._role.role)
        self.history = History()
        """The newest reports, for the status page."""
        self.passes = 0
        """How many passes have ended."""
        self.last_pass_at = self.clock.now()
        """When the last pass ended, in seconds of `clock`."""

    @property
    def pod_name(self) -> str:
        """The name of this pod."""
        return self._identity.pod_name

    @property
    def membership(self) -> Snapshot:
        """The current membership."""
        return self._disco.snapshot

    @property
    def nudges(self) -> int:
        """How often the receiver of a replica was made to reconnect."""
        return self._replica_role.nudges

    async def run(self) -> None:
        """Run passes until it is cancelled or the membership is closed."""
        watch = self._disco.watch()
        change = asyncio.create_task(_next_of(watch))
        beating = asyncio.create_task(self.heart.run())
        running: asyncio.Task[Report] | None = None
        try:
            while True:
                running = asyncio.create_task(self._pass())
                while not running.done():
                    await asyncio.wait({running, change}, return_when=asyncio.FIRST_COMPLETED)
                    if not change.done():
                        break
                    changed = change.result()
                    if changed is None:
                        return
                    change = asyncio.create_task(_next_of(watch))
                    if self._is_outdated(changed):
                        await _ended(running)
                if not running.cancelled():
                    pause = self._publish(running.result())
                    if self._waits_for_dns():
                        self._disco.refresh()
                    await self._pause(change, pause)
        finally:
            for task in (running, change, beating):
                if task is not None:
                    await _ended(task)
            self._drop_own()

    async def _pause(self, change: asyncio.Task[Change | None], seconds: float) -> None:
        """Wait until the next pass is due, or for a change, whichever comes first."""
        changed = asyncio.Event()

        def wake(_: object) -> None:
            changed.set()

        change.add_done_callback(wake)
        try:
            await self.clock.wait(changed, seconds)
        finally:
            change.remove_done_callback(wake)

    def _publish(self, report: Report) -> float:
        """Keep the report, and notify of it if it is new; the seconds until the next pass."""
        before, self.report = self.report, report
        self.history.add(report, self.clock.utcnow())
        self.passes += 1
        self.last_pass_at = self.clock.now()
        news = bool(report.done) or report.state is not before.state
        if self._announcements.is_news(report, self.last_pass_at) and self._on_report is not None:
            self._on_report(report)
        settled = report.state in (State.PRIMARY, State.REPLICA, State.REFUSED)
        self._unsettled = 1 if settled or news else self._unsettled + 1
        if settled:
            return self._options.interval
        return self._backoff.after(self._unsettled)

    def _is_outdated(self, change: Change) -> bool:
        """Whether the running pass must not be waited for, because of a change."""
        role = self._role
        if isinstance(role, PrimaryRole):
            return role.must_close(change.snapshot)
        if self._policy is None:
            return False
        return role.waits_for_old_address(replace(change.snapshot, policy=self._policy))

    def _waits_for_dns(self) -> bool:
        """Whether something is missing that a lookup may bring, such as the primary's address.

        If lookups fail, none is made earlier because of that.
        """
        report = self.report
        missing = report.verdict is not None and report.verdict.waits
        unsettled = report.state in (State.WAITING, State.FENCED, State.CONNECTING)
        return (missing or unsettled) and not self._disco.snapshot.stale

    async def _pass(self) -> Report:
        paused = self._pause_file.exists
        report = self._freshness.noted(await self._reconciled(paused), self.clock.now())
        if paused:
            self.heart.follow(None)  # a heartbeat is a change, too
        elif report.state is State.PRIMARY and self.heart.stuck is not None:
            reason = f"{report.reason}; a write does not complete: {self.heart.stuck}"
            report = replace(report, state=State.SLOW, reason=reason)
        found = (self._account_check.problem, self._heart_problem(report))
        return replace(
            report,
            problems=(*(problem for problem in found if problem is not None), *report.problems),
            done=() if paused else report.done,
            paused=paused,
        )

    def _heart_problem(self, report: Report) -> Problem | None:
        heart = self.heart
        if report.state is not State.PRIMARY or heart.error is None:
            return None
        if heart.last_at is not None and self.clock.now() - heart.last_at < _HEARTBEAT_LATE:
            return None
        detail = f"the heartbeat is not renewed: {heart.error}"
        return Problem(ProblemCode.HEARTBEAT, detail)

    async def _reconciled(self, paused: bool) -> Report:
        try:
            connection = await self._own_server()
            server: Executor = Observer(connection) if paused else connection
            own = await read_facts(server, _OWN)
            snapshot = self._disco.snapshot
            await self._account_check.check(server, own, self._where(snapshot.local))
            await self._durability.read(server, own)
            done = await self._durability.correct(server, own)
            aim = await self._moves.aim(server, own, snapshot)
            self._take(aim.role)
            self._policy = aim.snapshot.policy
            if not paused:
                server = Closing(connection, self._connect_anyway, self.clock, own.version, _OWN)
                server = WhileLocked(server, self._moves.lock)
            report = await self._role.reconcile(server, own, aim.snapshot)
            if report.done:
                await self._durability.read(server, own)
            moves = (problem for problem in (aim.problem, self._wanted.problem) if problem)
            return replace(
                report,
                done=(*done, *report.done),
                problems=(*moves, *self._durability.problems, *report.problems),
                durability=self._durability.facts,
            )
        except DiscoveryError as error:
            self._drop_own()
            return Report(_state_of(error), str(error), self._role.role)
        except BaseException:
            # Cancelled between a statement and its reply, or not usable for an unknown reason.
            self._drop_own()
            raise
        finally:
            self._moves.lock.release()

    def _take(self, role: Role) -> None:
        """Take a role, and forget what was known in the other one."""
        taken = self._primary_role if role is Role.PRIMARY else self._replica_role
        if taken is not self._role:
            self._role.forget()
            self._role = taken

    async def _own_server(self) -> Connection:
        if self._own is None or self._own.closed:
            self._drop_own()
            self._own = await self._connect_own()
        return self._own

    async def _connect_own(self) -> Connection:
        return await self._connect(None, self._options.local())

    async def _connect_anyway(self) -> Connection:
        """Connect to close the server, whatever waits there."""
        return await self._connect_at_once(None, self._options.local())

    def _drop_own(self) -> None:
        own, self._own = self._own, None
        self._account_check.forget()
        self._role.forget()
        if own is not None:
            own.close()

    def _where(self, local: Peer | None) -> Endpoint:
        """The address of the pod's own server, as the peers use it."""
        address = next(iter(self._identity.addresses), "127.0.0.1")
        return Endpoint(str(address), self._peers.port_of(local))


_OWN = "this pod's server"

_HEARTBEAT_TIMEOUT = 5.0
"""Seconds that a heartbeat may take."""

_HEARTBEAT_LATE = 10.0
"""Seconds without a heartbeat after which that is reported."""

_SLOWER = 1.5
"""The factor by which the pause grows from pass to pass while something is missing."""


def _state_of(error: DiscoveryError) -> State:
    if not isinstance(error, DatabaseError):
        return State.FAILED
    if error.access_denied:
        return State.ACCESS_DENIED
    if error.timed_out:
        return State.SLOW
    return State.NO_SERVER if error.unanswered else State.FAILED


async def _next_of(watch: Watch) -> Change | None:
    """The next change; None at the end, since no task may raise StopAsyncIteration."""
    return await anext(watch, None)


async def _ended(task: asyncio.Task[object]) -> None:
    """Cancel a task, and wait until it has ended."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # retrieved, so that asyncio does not log it
