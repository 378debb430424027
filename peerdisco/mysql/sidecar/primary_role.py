"""What the sidecar does in the pod whose ordinal makes it the primary."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from ...model import Identity, Peer, Snapshot
from ...primary.verdicts import ReasonCode, Verdict, must_step_down
from ..decisions import Unanswered, judge_primary
from ..duplicates import duplicates
from ..ensure import (
    Ensured,
    ensure_closed,
    ensure_epoch_after_reset,
    ensure_history,
    ensure_primary,
)
from ..facts import Executor, ServerFacts, read_facts
from ..reasons import ServerReasonCode
from .durability_check import DurabilityCheck
from .heart import Heart
from .pause import Observer
from .peers import PeerServers
from .report import Problem, ProblemCode, Report, Role, State, problems_of
from .role_lock import release_own, take_own

__all__ = ["PrimaryRole"]

_ASKED_APART = 5.0
"""Seconds between two times that an open primary is compared with its peers."""

_CLOSE = frozenset(
    {
        ServerReasonCode.OTHER_CLUSTER,
        ServerReasonCode.PEER_IS_AHEAD,
        ReasonCode.ANOTHER_CLAIMS,
    }
)
"""What makes a primary that takes writes read-only: another server has the cluster's data."""

_TAKEN = (
    "another pod is being opened in place of this one at this moment: it was wanted as the primary"
)


class PrimaryRole:
    """Enables writes once the verdict allows it, and disables them if the pod's name is lost.

    Args:
        identity: Who this pod is.
        peers: The other pods' servers.
        name: What to call the pod's own server in an error.
        expected: How many pods there should be; see `peerdisco.may_bootstrap`.
        first_start: Whether the user said that this is the first start.
        durability: Has commits wait for acknowledgements, where they have to.
        heart: Writes the heartbeat while the server is open.
        now: Seconds that only go forward.
    """

    role = Role.PRIMARY

    def __init__(
        self,
        identity: Identity,
        peers: PeerServers,
        name: str,
        *,
        expected: int | None,
        first_start: bool,
        durability: DurabilityCheck,
        heart: Heart,
        now: Callable[[], float],
    ) -> None:
        self._identity = identity
        self._peers = peers
        self._name = name
        self._expected = expected
        self._first_start = first_start
        self._durability = durability
        self._heart = heart
        self._now = now
        self._asked: tuple[float, object] = (float("-inf"), None)
        """When the peers were asked last, and which they were."""
        self._contradicted = False
        """Whether the last comparison with the peers spoke against the open server."""
        self._confirmed = False
        """Whether the open server was found to be the right one since it was connected to; it may
        have been opened by somebody else."""
        self._opened: ServerFacts | None = None
        """The server's facts when it was last found open and the right one, over restarts of it."""
        self._problems: tuple[Problem, ...] = ()
        """What was found then about the peers."""
        self._twins: tuple[Problem, ...] = ()
        """The servers that had the identity of another one."""

    def forget(self) -> None:
        """Forget the server: the next connection may be to another one."""
        self._confirmed = self._contradicted = False
        self._heart.follow(None)

    def must_close(self, snapshot: Snapshot) -> bool:
        """Whether a running pass should give way to one that makes the server read-only."""
        return self._confirmed and must_step_down(snapshot, self._identity) is not None

    async def reconcile(self, server: Executor, own: ServerFacts, snapshot: Snapshot) -> Report:
        """Bring the server into its role, as far as it may be in it now."""
        report = await self._reconcile(server, own, snapshot)
        beats = report.state is State.PRIMARY and self._confirmed
        paused = isinstance(server, Observer)
        self._heart.follow(report.facts if beats and not paused else None)
        return report

    async def _reconcile(self, server: Executor, own: ServerFacts, snapshot: Snapshot) -> Report:
        lost = must_step_down(snapshot, self._identity)
        if lost is not None:
            self._confirmed, self._opened = False, None
            done = await ensure_closed(server, self._name, own)
            if done:
                own = await read_facts(server, self._name)
            state = State.FENCED if lost.code is ReasonCode.ANOTHER_ADDRESS else State.WAITING
            reason = f"{lost.text}; the server {'is read-only' if own.read_only else 'is open'}"
            return Report(state, reason, self.role, facts=own, done=done)
        is_open = not own.read_only and own.cluster is not None and own.status is None
        others = [peer for peer in snapshot.others if peer.unique_name != self._identity.pod_name]
        if is_open and self._confirmed:
            if own.recorded.log_was_reset or self._heart.log_reset:
                return await self._after_reset(server, snapshot)
            if self._opened is not None and own.cluster == self._opened.cluster:
                known = self._opened.history
                if done := await ensure_history(server, self._name, own, known):
                    own = await read_facts(server, self._name)
                    return replace(self._open(own, snapshot), done=done)
            if self._now() - self._asked[0] < _ASKED_APART and self._asked[1] == others:
                return self._open(own, snapshot)
        if snapshot.observed_at is None and is_open:
            # It was opened before this sidecar was started, and nothing says that it is not the
            # right one: a failure is never a departure.
            return self._writes(own, snapshot)
        if snapshot.observed_at is None:
            return Report.without_dns(snapshot, self.role, own)
        if is_open or isinstance(server, Observer):
            return await self._compared(server, snapshot, others, is_open=is_open)
        if not await take_own(server, self._name):
            return Report(State.WAITING, _TAKEN, self.role, facts=own)
        # After an error, the end of the connection releases it.
        report = await self._compared(server, snapshot, others, is_open=False)
        await release_own(server, self._name)
        return report

    async def _compared(
        self, server: Executor, snapshot: Snapshot, others: list[Peer], *, is_open: bool
    ) -> Report:
        """Compare the server with its peers, and open it or make it read-only."""
        confirmed = is_open and self._confirmed
        self._asked = (self._now(), others)
        peers = await self._peers.ask_all(others)
        own = await read_facts(server, self._name)  # after them: none is ahead by time alone
        self._twins = tuple(self._same_servers(own, others, peers))
        if is_open and own.read_only:
            return self._open(own, snapshot)  # closed meanwhile, and not by this sidecar
        if is_open:
            # It took writes before this sidecar was started. Something that is only missing so far
            # is no reason to stop it.
            verdict = judge_primary(
                own,
                peers,
                snapshot,
                self._identity,
                expected=self._expected,
                first_start=self._first_start,
            )
            if confirmed and not self._must_close(verdict):
                self._problems = (*problems_of(verdict), *self._twins)
                return self._open(own, snapshot)
            if verdict.waits:
                reason = "; ".join(map(str, verdict.deciding))
                return Report(State.PRIMARY, reason, self.role, verdict, own)
        if own.read_only and self._durability.refusal is not None:
            return Report(State.REFUSED, self._durability.refusal, self.role, facts=own)
        ensured = await ensure_primary(
            server,
            self._name,
            own,
            peers,
            self._known_before(own, snapshot),
            self._identity,
            expected=self._expected,
            first_start=self._first_start,
            before_epoch=self._durability.before_epoch,
            before_open=self._durability.before_open,
        )
        return await self._outcome(server, own, snapshot, ensured)

    def _same_servers(
        self, own: ServerFacts, others: list[Peer], found: Mapping[str, ServerFacts | Unanswered]
    ) -> Iterator[Problem]:
        """The servers that have the identity of another one."""
        if self._identity.ordinal is None:
            return
        names = {peer.ordinal: peer.unique_name for peer in others if peer.ordinal is not None}
        facts = {ordinal: found.get(name) for ordinal, name in names.items()}
        servers = {
            self._identity.ordinal: own,
            **{ordinal: one for ordinal, one in facts.items() if isinstance(one, ServerFacts)},
        }
        for ordinal, text in duplicates(self._identity.ordinal, servers):
            yield Problem(ProblemCode.SAME_SERVER, text, names.get(ordinal))

    def _must_close(self, verdict: Verdict) -> bool:
        """Whether the peers speak against the open server, for the second time in a row."""
        against = any(reason.code in _CLOSE for reason in verdict.deciding)
        contradicted, self._contradicted = self._contradicted, against
        if against and not contradicted:
            self._asked = (float("-inf"), None)
        return against and contradicted

    async def _after_reset(self, server: Executor, snapshot: Snapshot) -> Report:
        """Begin an epoch that no replica of before can follow."""
        ordinal = self._identity.ordinal or 0
        durability = self._durability.facts
        semi_sync = durability is not None and durability.waits
        done = await ensure_epoch_after_reset(server, self._name, ordinal, semi_sync=semi_sync)
        own = await read_facts(server, self._name)
        return replace(self._open(own, snapshot), done=done)

    async def _outcome(
        self, server: Executor, own: ServerFacts, snapshot: Snapshot, ensured: Ensured
    ) -> Report:
        verdict, done = ensured.verdict, ensured.done
        if not verdict:
            if not verdict.waits:
                self._opened = None
            state = State.WAITING if verdict.waits else State.REFUSED
            reason = "; ".join(map(str, verdict.deciding))
            return Report(state, reason, self.role, verdict, own, done=done)
        self._confirmed, self._contradicted = True, False
        self._problems = (*problems_of(verdict), *self._twins)
        if done:
            own = await read_facts(server, self._name)
        return self._open(own, snapshot, ensured)

    def _open(self, own: ServerFacts, snapshot: Snapshot, ensured: Ensured | None = None) -> Report:
        if own.read_only:
            return Report(
                State.WAITING,
                "it may take writes, and is read-only",
                self.role,
                verdict=ensured.verdict if ensured is not None else None,
                facts=own,
            )
        self._opened = own
        return self._writes(own, snapshot, ensured)

    def _writes(
        self, own: ServerFacts, snapshot: Snapshot, ensured: Ensured | None = None
    ) -> Report:
        assert own.cluster is not None
        unseen = "; DNS does not answer now" if snapshot.last_error is not None else ""
        newest = own.history.newest
        reset = ""
        if newest is not None and newest.log_reset:
            reset = (
                f"; its binary log was reset before {newest.opened_at:%Y-%m-%d %H:%M:%S} UTC "
                "(RESET MASTER): each replica of before needs a new copy, and its own sidecar "
                "reports whether its volume is to be kept"
            )
        return Report(
            State.PRIMARY,
            f"takes writes, cluster {own.cluster.id}{reset}{unseen}",
            self.role,
            verdict=ensured.verdict if ensured is not None else None,
            facts=own,
            done=ensured.done if ensured is not None else (),
            problems=self._problems,
        )

    def _known_before(self, own: ServerFacts, snapshot: Snapshot) -> Snapshot:
        """The membership that decides whether a closed server may be opened.

        While lookups fail, it is the last known one, if this sidecar found the server open and the
        right one before: lookups that fail would not have closed it, so they do not keep it closed
        after a restart. Its data must be those of before, with nothing lost.
        """
        opened = self._opened
        if snapshot.last_error is None or opened is None or opened.cluster != own.cluster:
            return snapshot
        if opened.position.beyond(own.position):
            return snapshot
        return replace(snapshot, last_error=None)
