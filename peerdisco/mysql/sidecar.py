"""The sidecar's work: look at the server and its peers, make it what it has to be, and again.

One task does everything. It holds one connection to the pod's own server, and opens one to each
peer that it has to ask. A look that is cut off, by a new address of the primary or by the end, has
done whole steps only; the next one goes on from what it finds.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from ..discovery import Discovery, Watch
from ..model import Change, Identity, Peer, Snapshot
from ..names import Endpoint
from ..verdicts import ReasonCode, Verdict, lost_the_name
from .decisions import Unanswered, judge_primary
from .dialects import ReplicationSource
from .ensure import (
    Ensured,
    ensure_account,
    ensure_closed,
    ensure_primary,
    ensure_replica,
    nudge,
)
from .errors import DatabaseError
from .facts import Executor, ServerFacts, read_facts
from .report import Report, Role, State
from .setup import Account
from .status import Receiver

__all__ = ["Connect", "Link", "Sidecar", "SidecarOptions"]


class Link(Executor, Protocol):
    """A connection that can be closed."""

    @property
    def closed(self) -> bool:
        """Whether it can no longer be used."""
        ...

    def close(self) -> None:
        """Close it at once."""
        ...


Connect = Callable[[Endpoint | None, Account], Awaitable[Link]]
"""Connects to the server at an address, or with None to the one in this pod."""


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
        hasty: Seconds between two looks while something is missing.
        probe_timeout: Seconds that a peer's server has to answer.
    """

    local: Callable[[], Account]
    replication: Callable[[], Account]
    port: int = 3306
    expected: int | None = None
    first_start: bool = False
    interval: float = 1.0
    hasty: float = 0.25
    probe_timeout: float = 2.0


_JUDGED_APART = 5.0
"""Seconds between two times that a replica which replicates is compared with its primary."""

_MENDS_APART = 5.0
"""Seconds between two times that a source is set anew because the primary did not let it in."""

_NUDGES_APART = 2.0
"""Seconds between two nudges of a receiver that does not get a connection."""


class Sidecar:
    """Keeps the pod's own server what its ordinal says it is.

    Args:
        disco: The membership; running, and of the pod's own StatefulSet alone.
        identity: Who this pod is, with its ordinal.
        connect: Connects to servers.
        options: What the user decides.
        first_ordinal: The ordinal of the primary.
        tell: Is given each report whose state or reason is another than before.
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
    ) -> None:
        self._disco = disco
        self._identity = identity
        self._connect = connect
        self._options = options
        self._tell = tell
        self._role = Role.PRIMARY if identity.ordinal == first_ordinal else Role.REPLICA
        self._own: Link | None = None
        self._account_there = False
        self._confirmed = False
        """Whether the open primary was found to be the right one since the server was connected
        to; it may have been opened by somebody else."""
        self._followed: frozenset[IPv4Address | IPv6Address] | None = None
        """The addresses of the primary that the receiver was last told to connect to."""
        self._judged: Verdict | None = None
        """Whether this replica may follow the primary, when that was last decided."""
        self._judged_at = float("-inf")
        self._mended_at = float("-inf")
        self._nudged_at = float("-inf")
        self.report = Report(State.STARTING, "it has not looked yet", self._role)
        self.looks = 0
        """How many looks have ended."""
        self.nudges = 0
        """How often the receiver was told to connect anew."""
        self.looked_at = asyncio.get_running_loop().time()
        """When the last look ended, in the event loop's time."""

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
                    if self._primary_moved(told):
                        await _ended(look)
                if look.cancelled():
                    continue
                settled = self._publish(look.result())
                pause = self._options.interval if settled else self._options.hasty
                await asyncio.wait({change}, timeout=pause)
        finally:
            tasks = [task for task in (look, change) if task is not None]
            for task in tasks:
                await _ended(task)
            self._drop_own()

    def _primary_moved(self, change: Change) -> bool:
        """Whether a look that is under way may wait for an address at which nobody answers."""
        primary = change.snapshot.primary
        if self._followed is None or primary is None:
            return False
        return frozenset(primary.addresses) != self._followed

    def _publish(self, report: Report) -> bool:
        """Keep the report, and tell it if it is news; whether all is well."""
        before, self.report = self.report, report
        self.looks += 1
        self.looked_at = asyncio.get_running_loop().time()
        news = report.done or report.state is not before.state
        if self._tell is not None and (news or _gist(report) != _gist(before)):
            self._tell(report)
        return report.state in (State.PRIMARY, State.REPLICA, State.REFUSED)

    # One look.

    async def _look(self) -> Report:
        try:
            return await self._look_at_server(await self._own_server())
        except DatabaseError as error:
            self._drop_own()
            if error.access_denied:
                state = State.ACCESS_DENIED
            elif error.errno is None or error.errno >= _CLIENTS_ERRORS:
                state = State.NO_SERVER
            else:
                state = State.FAILED
            return Report(state, str(error), self._role)
        except BaseException:
            # Cut off between a question and its answer, or unusable for a reason unknown.
            self._drop_own()
            raise

    async def _own_server(self) -> Link:
        if self._own is None or self._own.closed:
            self._drop_own()
            self._own = await self._connect(None, self._options.local())
        return self._own

    def _drop_own(self) -> None:
        own, self._own = self._own, None
        # Whoever is there next time may be another server.
        self._account_there = self._confirmed = False
        self._followed = self._judged = None
        if own is not None:
            own.close()

    async def _look_at_server(self, server: Link) -> Report:
        own = await read_facts(server, _OWN)
        snapshot = self._disco.snapshot
        await self._see_to_account(server, own, snapshot.local)
        if self._role is Role.PRIMARY:
            return await self._be_primary(server, own, snapshot)
        return await self._be_replica(server, own, snapshot)

    async def _see_to_account(self, server: Link, own: ServerFacts, local: Peer | None) -> None:
        """Make the account with which the peers log in, unless one can log in with it already."""
        if self._account_there:
            return
        account = self._options.replication()
        address = next(iter(self._identity.addresses), None)
        port = self._port(local) if local is not None else self._options.port
        here = Endpoint(str(address) if address is not None else "127.0.0.1", port)
        try:
            (await self._connect(here, account)).close()
        except DatabaseError as error:
            if not error.access_denied:
                raise
            await ensure_account(server, _OWN, own, account)
        self._account_there = True

    # As the primary.

    async def _be_primary(self, server: Link, own: ServerFacts, snapshot: Snapshot) -> Report:
        def report(state: State, reason: str, **more: object) -> Report:
            return replace(Report(state, reason, self._role, facts=own), **more)  # type: ignore[arg-type]

        lost = lost_the_name(snapshot, self._identity)
        if lost is not None:
            self._confirmed = False
            done = await ensure_closed(server, _OWN, own)
            state = State.FENCED if lost.code is ReasonCode.ANOTHER_ADDRESS else State.WAITING
            return report(state, f"{lost.text}; the server is read-only", done=done)
        is_open = not own.read_only and own.cluster is not None and own.status is None
        if is_open and self._confirmed:
            return report(State.PRIMARY, self._as_primary(own, snapshot))
        if snapshot.observed_at is None:
            why = f": {snapshot.last_error}" if snapshot.last_error is not None else ""
            return report(State.NO_DNS, f"DNS has not answered yet{why}")
        peers = await self._ask_peers(snapshot)
        own = await read_facts(server, _OWN)  # after the peers: none is ahead by time alone
        ensured = await self._ensure_primary(server, own, peers, snapshot, is_open)
        verdict = ensured.verdict
        if verdict:
            self._confirmed = True
            if ensured.done:
                own = await read_facts(server, _OWN)
            reason = self._as_primary(own, snapshot)
            return report(State.PRIMARY, reason, verdict=verdict, facts=own, done=ensured.done)
        state = State.WAITING if verdict.waits else State.REFUSED
        if is_open and verdict.waits:
            state = State.PRIMARY
        reason = "; ".join(map(str, verdict.deciding))
        return report(state, reason, verdict=verdict, done=ensured.done)

    async def _ensure_primary(
        self,
        server: Link,
        own: ServerFacts,
        peers: Mapping[str, ServerFacts | Unanswered],
        snapshot: Snapshot,
        is_open: bool,
    ) -> Ensured:
        expected, first_start = self._options.expected, self._options.first_start
        if is_open:
            # It takes writes already, since before this sidecar was started. What may still come
            # by itself is no reason to stop it.
            verdict = judge_primary(
                own, peers, snapshot, self._identity, expected=expected, first_start=first_start
            )
            if verdict.waits:
                return Ensured(verdict)
        return await ensure_primary(
            server,
            _OWN,
            own,
            peers,
            snapshot,
            self._identity,
            expected=expected,
            first_start=first_start,
        )

    def _as_primary(self, own: ServerFacts, snapshot: Snapshot) -> str:
        assert own.cluster is not None
        unseen = "; DNS does not answer now" if snapshot.stale else ""
        return f"takes writes, cluster {own.cluster.id}{unseen}"

    async def _ask_peers(self, snapshot: Snapshot) -> dict[str, ServerFacts | Unanswered]:
        peers = [peer for peer in snapshot.others if peer.name != self._identity.pod_name]
        async with asyncio.TaskGroup() as group:
            asking = {peer.name: group.create_task(self._ask(peer)) for peer in peers}
        return {name: task.result() for name, task in asking.items()}

    async def _ask(self, peer: Peer) -> ServerFacts | Unanswered:
        """What a peer's server says of itself."""
        if peer.address is None:
            return Unanswered("its address is not known")
        where = Endpoint(str(peer.address), self._port(peer))
        try:
            async with asyncio.timeout(self._options.probe_timeout):
                link = await self._connect(where, self._options.replication())
                try:
                    return await read_facts(link, str(where))
                finally:
                    link.close()
        except TimeoutError:
            return Unanswered(f"{where}: no answer in {self._options.probe_timeout:g} s")
        except DatabaseError as error:
            return Unanswered(str(error))

    def _port(self, peer: Peer) -> int:
        return peer.port or self._options.port

    # As a replica.

    async def _be_replica(self, server: Link, own: ServerFacts, snapshot: Snapshot) -> Report:
        primary = snapshot.primary
        source = None
        done: tuple[str, ...] = ()
        if primary is not None:
            source = ReplicationSource(
                primary.hostname, self._port(primary), self._options.replication()
            )
            done = await self._follow_address(server, own, primary)
        now = asyncio.get_running_loop().time()
        undisturbed = own.status is not None and own.status.running and own.closed and not done
        if self._judged is not None and undisturbed and now - self._judged_at < _JUDGED_APART:
            return self._as_replica(own, snapshot, self._judged, source)
        found = None if primary is None else await self._ask(primary)
        mend = now - self._mended_at >= _MENDS_APART
        ensured = await ensure_replica(server, _OWN, own, found, source, mend=mend)
        self._judged, self._judged_at = ensured.verdict, now
        if ensured.done:
            self._mended_at = now
            if primary is not None and ensured.verdict:
                self._followed = frozenset(primary.addresses)
            own = await read_facts(server, _OWN)
        done += ensured.done
        report = self._as_replica(own, snapshot, ensured.verdict, source)
        if report.state is State.CONNECTING and ensured.verdict and not done:
            done += await self._nudge_again(server, own)
        return replace(report, done=done)

    async def _follow_address(
        self, server: Link, own: ServerFacts, primary: Peer
    ) -> tuple[str, ...]:
        """Have the receiver connect anew if the primary's address is not the one it was told."""
        addresses = frozenset(primary.addresses)
        if not addresses or addresses == self._followed:
            return ()
        self._followed = addresses
        if own.status is None or own.status.receiver is Receiver.STOPPED:
            return ()
        return await self._nudge(server, own)

    async def _nudge_again(self, server: Link, own: ServerFacts) -> tuple[str, ...]:
        """Have a receiver connect anew that does not get through where this sidecar does."""
        status = own.status
        if status is None or status.receiver is not Receiver.CONNECTING:
            return ()
        if asyncio.get_running_loop().time() - self._nudged_at < _NUDGES_APART:
            return ()
        return await self._nudge(server, own)

    async def _nudge(self, server: Link, own: ServerFacts) -> tuple[str, ...]:
        done = await nudge(server, _OWN, own)
        self._nudged_at = asyncio.get_running_loop().time()
        self.nudges += 1
        return done

    def _as_replica(
        self,
        own: ServerFacts,
        snapshot: Snapshot,
        verdict: Verdict,
        source: ReplicationSource | None,
    ) -> Report:
        status = own.status
        reason = "; ".join(map(str, verdict.deciding))
        if not verdict and not verdict.waits:
            state = State.REFUSED
        elif snapshot.observed_at is None and (status is None or not status.running):
            state = State.NO_DNS
            why = f": {snapshot.last_error}" if snapshot.last_error is not None else ""
            reason = f"DNS has not answered yet{why}"
        elif status is not None and status.running:
            state = State.REPLICA
            followed = f"replicates from {status.source_host}:{status.source_port}"
            reason = followed if verdict else f"{followed}; {reason}"
        elif status is not None:
            state = State.CONNECTING
            errno, error = status.receiver_errno, status.receiver_error
            if not errno:
                errno, error = status.applier_errno, status.applier_error
            told = f" (error {errno}: {error})" if errno else ""
            reason = f"does not receive from {status.source_host}:{status.source_port}{told}"
            reason += "" if verdict else f"; {'; '.join(map(str, verdict.deciding))}"
        else:
            state = State.WAITING
        return Report(
            state,
            reason,
            self._role,
            verdict=verdict,
            facts=own,
            source=status.source_host if status is not None else source.host if source else None,
        )


_OWN = "this pod's server"
_CLIENTS_ERRORS = 2000
"""From here on an error's number is one of the connection."""

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
