"""What the sidecar does in a pod whose ordinal makes it a replica."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address

from ...exceptions import ConfigurationError
from ...model import Peer, Snapshot
from ...primary.verdicts import Reason, Verdict
from ..decisions import Unanswered
from ..dialects import NO_TRUST, Dialect, ReplicationSource, SourceTrust
from ..ensure import do_steps, ensure_closed, ensure_replica, nudge
from ..errors import needs_copy
from ..facts import Executor, ServerFacts, read_facts
from ..history import Epoch
from ..objections import against_discarding, against_following
from ..positions import Position
from ..reasons import ServerReasonCode
from ..setup import replication_password
from ..status import Receiver
from .lag import LagMeter
from .local_writes import LocalWrites
from .peers import PeerServers
from .report import Report, Role, State, problems_of

__all__ = ["ReplicaRole"]

_JUDGED_APART = 5.0
"""Seconds between two times that a replica which replicates is compared with its primary."""

_MENDS_APART = 5.0
"""Seconds between two times that the source is configured again after a rejected login."""

_RETRIES_APART = 30.0
"""Seconds between two times that a replica whose connection another one took asks again."""

_GAP_LASTS = 10.0
"""Seconds within which the primary's sidecar restores rows of the history that somebody deleted
there. What is restored arrives only while replication runs."""

_MISSING = (
    "the row of its newest epoch is missing: it replicates, and waits until the primary's sidecar "
    f"has written the row again, or until {_GAP_LASTS:g} s are over"
)

_NUDGES_APART = 2.0
"""Seconds between two nudges of a receiver that does not get a connection."""


@dataclass(slots=True)
class _Following:
    """How the replica follows, for as long as the connection to its server lasts.

    Attributes:
        addresses: The primary's addresses when the receiver was last made to connect; None if it
            was not.
        verdict: Whether it may follow, when that was last decided; None if it was not.
        judged_at: When that was.
        behind_at: What it had received then, if the primary had more; None if it had not.
        epoch: Its newest epoch then; None if it had none.
        gap_at: Since when the row of an epoch is missing; None if it is not.
    """

    addresses: frozenset[IPv4Address | IPv6Address] | None = None
    verdict: Verdict | None = None
    judged_at: float = float("-inf")
    behind_at: Position | None = None
    epoch: Epoch | None = None
    gap_at: float | None = None


class ReplicaRole:
    """Keeps the server read-only and replicating from the primary at its current address.

    Args:
        peers: The other pods' servers.
        name: What to call the pod's own server in an error.
        now: Seconds that only go forward.
        trust: How the servers verify the primary.
        ordinal: This pod's; None if not known.
    """

    role = Role.REPLICA

    def __init__(
        self,
        peers: PeerServers,
        name: str,
        now: Callable[[], float],
        trust: SourceTrust = NO_TRUST,
        ordinal: int | None = None,
    ) -> None:
        self._ordinal = ordinal
        self._trust = trust
        self._peers = peers
        self._name = name
        self._now = now
        self._following = _Following()
        self._mended_at = float("-inf")
        self._nudged_at = float("-inf")
        self._retried_in: str | None = None
        """The epoch of the primary in which it was asked again for what it could not send."""
        self._retried_at = float("-inf")
        self._kept: Position | None = None
        """What a replica that is refused had received when its receiver was stopped, if it may
        apply that; None if it may not."""
        self._meter = LagMeter()
        self._local_writes = LocalWrites(name)
        self.nudges = 0
        """How often the receiver was made to reconnect."""

    def forget(self) -> None:
        """Forget the server: the next connection may be to another one."""
        self._following = _Following()
        self._local_writes.forget()

    def waits_for_old_address(self, snapshot: Snapshot) -> bool:
        """Whether a running pass may wait for an address that the primary no longer has."""
        known, primary = self._following.addresses, snapshot.primary
        return known is not None and primary is not None and known != frozenset(primary.addresses)

    async def reconcile(self, server: Executor, own: ServerFacts, snapshot: Snapshot) -> Report:
        """Bring the server into its role, as far as it may be in it now."""
        following, primary = self._following, snapshot.primary
        source = None
        done: tuple[str, ...] = ()
        if primary is not None:
            done = await self._follow_address(server, own, primary)
            try:
                account = self._peers.account()
                replication_password(own.flavour, account)
            except ConfigurationError as error:
                return await self._without_account(server, own, snapshot, done, error)
            source = ReplicationSource(
                primary.hostname, self._peers.port_of(primary), account, self._trust
            )
        undisturbed = own.status is not None and own.status.running and own.closed and not done
        recently = self._now() - following.judged_at < _JUDGED_APART
        if self._gap_lasts(own):
            recently = False
        elif own.history.has_gap:
            recently = True
        elif own.history.newest != following.epoch:
            recently = False
        if following.verdict is not None and undisturbed and recently:
            report = self._report(own, snapshot, following.verdict, source)
            if own.history.has_gap:
                return replace(report, state=State.WAITING, reason=_MISSING)
            return report
        found = await self._ask(primary)
        if following.verdict and undisturbed and _speaks_against(own, found):
            # Read again: what was committed between two queries may look like a difference.
            own = await read_facts(server, self._name)
            found = await self._ask(primary)
        for repair in (self._local_writes.drop, self._retry):
            own, repaired = await repair(server, own, found)
            if repaired:
                # It has received more since, which the primary's facts of before do not have.
                found = await self._ask(primary)
            done += repaired
        following.epoch = own.history.newest
        mend = self._now() - self._mended_at >= _MENDS_APART
        ensured = await ensure_replica(
            server,
            self._name,
            own,
            found,
            source,
            mend=mend,
            ordinal=self._ordinal,
            kept=self._kept is not None and _received_last(own) == self._kept,
        )
        following.verdict, following.judged_at = ensured.verdict, self._now()
        if ensured.done:
            self._mended_at = self._now()
            if primary is not None and ensured.verdict:
                following.addresses = frozenset(primary.addresses)
            own = await read_facts(server, self._name)
        if not ensured.verdict.waits:
            self._kept = None if ensured.verdict else _received_last(own)
        done += ensured.done
        report = self._report(own, snapshot, ensured.verdict, source)
        primarys = found.position if isinstance(found, ServerFacts) else None
        if not done and ensured.verdict and self._needs_reconnect(own, primarys):
            done = await self._nudge(server, own)
        return replace(report, done=done)

    def _gap_lasts(self, own: ServerFacts) -> bool:
        """Whether the row of the heartbeat's epoch has been missing for too long."""
        following, now = self._following, self._now()
        if not own.history.has_gap:
            following.gap_at = None
            return False
        following.gap_at = now if following.gap_at is None else following.gap_at
        return now - following.gap_at >= _GAP_LASTS

    async def _retry(
        self, server: Executor, own: ServerFacts, primary: ServerFacts | Unanswered | None
    ) -> tuple[ServerFacts, tuple[str, ...]]:
        """Ask a primary again for what another one could not send; once in each of its epochs.

        The error stays in the status of a receiver that has stopped. It may be of a primary with
        an older volume, which has been given the right one since. If another replica with the same
        identity took the connection, the primary is asked again now and then: the other one may
        have got its own.
        """
        status = own.status
        if status is None or status.receiver is Receiver.RUNNING:
            return own, ()
        if not needs_copy(status.receiver_errno) or not isinstance(primary, ServerFacts):
            return own, ()
        epoch = primary.history.newest
        if epoch is None or primary.read_only:
            return own, ()
        elapsed = self._now() - self._retried_at
        if elapsed < _RETRIES_APART if status.is_displaced else epoch.id == self._retried_in:
            return own, ()
        if any(against_following(own, primary)) or any(against_discarding(own, primary)):
            return own, ()
        self._retried_in, self._retried_at = epoch.id, self._now()
        dialect = Dialect(own.version)
        # The applier goes on: what it has not applied is discarded when both have stopped.
        done = await do_steps(server, self._name, [dialect.stop_receiver(), dialect.start()])
        return await read_facts(server, self._name), done

    async def _ask(self, primary: Peer | None) -> ServerFacts | Unanswered | None:
        """The primary's facts; None while it is not listed."""
        found = None if primary is None else await self._peers.ask(primary)
        facts = found if isinstance(found, ServerFacts) else None
        self._meter.saw_primary(facts, self._now())
        return found

    async def _without_account(
        self,
        server: Executor,
        own: ServerFacts,
        snapshot: Snapshot,
        done: tuple[str, ...],
        error: ConfigurationError,
    ) -> Report:
        """Leave replication as it is while the replication account cannot be used."""
        self._following.verdict = None
        verdict = Verdict.of([Reason(ServerReasonCode.REPLICATION_ACCOUNT, str(error))])
        done += await ensure_closed(server, self._name, own)
        return replace(self._report(own, snapshot, verdict, None), done=done)

    async def _follow_address(
        self, server: Executor, own: ServerFacts, primary: Peer
    ) -> tuple[str, ...]:
        """Make the receiver reconnect if the primary's addresses have changed."""
        addresses = frozenset(primary.addresses)
        if not addresses or addresses == self._following.addresses:
            return ()
        self._following.addresses = addresses
        if own.status is None or own.status.receiver is Receiver.STOPPED:
            return ()
        return await self._nudge(server, own)

    def _needs_reconnect(self, own: ServerFacts, primarys: Position | None) -> bool:
        """Whether the receiver should reconnect to the primary, which just answered the sidecar.

        It has had no connection for some time; or it has one, and received nothing between two
        comparisons although the primary has more. Such a connection leads to the old address: the
        server queries another replica of the DNS than this sidecar, or another cache, and may get
        the new address later.
        """
        status, behind_at = own.status, self._following.behind_at
        self._following.behind_at = None
        if status is None or self._now() - self._nudged_at < _NUDGES_APART:
            return False
        if status.receiver is not Receiver.RUNNING:
            return status.receiver is Receiver.CONNECTING
        if primarys is not None and own.received is not None and primarys.beyond(own.received):
            self._following.behind_at = own.received
        return behind_at is not None and behind_at == self._following.behind_at

    async def _nudge(self, server: Executor, own: ServerFacts) -> tuple[str, ...]:
        done = await nudge(server, self._name, own)
        self._nudged_at = self._now()
        self.nudges += 1
        return done

    def _report(
        self,
        own: ServerFacts,
        snapshot: Snapshot,
        verdict: Verdict,
        source: ReplicationSource | None,
    ) -> Report:
        status = own.status
        why = "; ".join(map(str, verdict.deciding))
        host = source.host if source is not None else None
        problems = problems_of(verdict)
        behind = self._meter.lag(own, self._now())
        report = Report(
            State.WAITING, why, self.role, verdict, own, host, problems=problems, behind=behind
        )
        if not verdict and not verdict.waits:
            return replace(report, state=State.REFUSED)
        if snapshot.observed_at is None and (status is None or not status.running):
            return Report.without_dns(snapshot, self.role, own)
        if problems:
            report = replace(report, state=State.ACCESS_DENIED)
        if status is None:
            return report
        where = f"{status.source_host}:{status.source_port}"
        if status.running:
            state, status_text = State.REPLICA, f"replicates from {where}"
        else:
            state = State.ACCESS_DENIED if problems else State.CONNECTING
            status_text = f"does not receive from {where}{status.trouble}"
        reason = status_text if verdict else f"{status_text}; {why}"
        return replace(report, state=state, reason=reason, source=status.source_host)


def _received_last(own: ServerFacts) -> Position | None:
    """All that a replica has received, whose receiver has stopped and whose applier has not."""
    status = own.status
    if status is None or status.receiver is not Receiver.STOPPED or not status.applier_running:
        return None
    return own.received


def _speaks_against(own: ServerFacts, primary: ServerFacts | Unanswered | None) -> bool:
    """Whether the histories of the two differ, as they were read."""
    return isinstance(primary, ServerFacts) and any(against_following(own, primary))
