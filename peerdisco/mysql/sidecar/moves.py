"""Which pod is wanted as the primary, and which role follows from that for this pod."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ...exceptions import ConfigurationError
from ...model import Identity, Peer, Snapshot
from ...primary.policies import ordinal
from ...timing.backoff import Backoff
from ..decisions import Unanswered
from ..ensure import try_closing
from ..facts import Executor, ServerFacts, read_facts
from ..objections import against_following
from ..takeover import find_successor, judge_handover, judge_takeover
from .local_writes import LocalWrites
from .pause import Observer
from .peers import PeerServers
from .report import Problem, ProblemCode, Role
from .role_lock import RoleLock

__all__ = ["Aim", "Moves", "WantedPrimary"]

_CONTENT = re.compile(r"([0-9]{1,10})(?:\s+without\s+([A-Za-z0-9.-]+))?")
_OPTION = "--primary-ordinal-file"
_CLOSED_WITHIN = 3
"""Seconds that writes may wait for the server to become read-only for another pod."""
_CLOSED_APART = Backoff(2.0, 30.0)
"""Seconds between two attempts: a statement that took too long has often ended by then, and a lock
that stays shall not hold up writes again and again."""
_PAUSED = "this pod's sidecar is paused, so the role does not move"
_EXPECTED = "an ordinal such as 1, or '1 without mysql-0'"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user wants.

    Attributes:
        ordinal: The ordinal of the primary.
        without: The pod that is left out, with the rows that only it has; empty for none.
    """

    ordinal: int
    without: str = ""


class WantedPrimary:
    """The wanted primary, from an option or from a file that may change.

    Args:
        first_ordinal: The ordinal without a file.
        path: The file; None for none.
    """

    def __init__(self, first_ordinal: int, path: Path | None) -> None:
        self._path = path
        self._known = Wanted(first_ordinal) if path is None else None
        self.problem: Problem | None = None
        """Why the file could not be read last; the value before that stays."""

    def read(self) -> Wanted:
        """What is wanted now.

        Raises:
            ConfigurationError: The file has never been readable.
        """
        if self._path is not None:
            try:
                self._known, self.problem = _parse(self._path), None
            except ConfigurationError as error:
                if self._known is None:
                    raise
                detail = f"{error}; the last value, {self._known.ordinal}, stays"
                self.problem = Problem(ProblemCode.MOVE, detail)
        assert self._known is not None
        return self._known


def _parse(path: Path) -> Wanted:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not UTF-8"
        raise ConfigurationError(_OPTION, f"{path}: {why}", _EXPECTED) from None
    found = _CONTENT.fullmatch(text)
    if found is None:
        raise ConfigurationError(_OPTION, text[:80], _EXPECTED)
    return Wanted(int(found[1]), found[2] or "")


@dataclass(frozen=True, slots=True)
class Aim:
    """What this pod does in one pass.

    Attributes:
        role: Its role.
        snapshot: The membership, with the primary that this role goes by.
        problem: What keeps the role from moving; None if nothing does.
    """

    role: Role
    snapshot: Snapshot
    problem: Problem | None = None


class Moves:
    """Decides which role this pod has, while the wanted primary may change.

    Args:
        identity: Who this pod is.
        peers: The other pods' servers.
        wanted: Returns what is wanted.
        name: What to call the pod's own server in an error.
        now: Seconds that only go forward.
    """

    def __init__(
        self,
        identity: Identity,
        peers: PeerServers,
        wanted: Callable[[], Wanted],
        name: str,
        now: Callable[[], float],
    ) -> None:
        self._identity = identity
        self._peers = peers
        self._wanted = wanted
        self._name = name
        self._now = now
        self._attempts = 0
        """How often the server could not be made read-only for the wanted pod."""
        self._held = ""
        """What kept it from that last."""
        self._next_attempt_at = float("-inf")
        self._new_name = ""
        self._new_writes = LocalWrites("")
        self._taken_from: str | None = None
        """The pod from which the role was taken last, until this pod is open."""
        self.lock = RoleLock()
        """Of that pod's server; held from `aim` until it is released."""

    async def aim(self, server: Executor, own: ServerFacts, snapshot: Snapshot) -> Aim:
        """The role for this pass.

        Raises:
            ConfigurationError: What is wanted has never been readable.
            DatabaseError: The server did not answer.
        """
        wanted = self._wanted()
        wanted_snapshot = _aimed(snapshot, wanted.ordinal)
        paused = isinstance(server, Observer)
        if wanted.ordinal == self._identity.ordinal:
            self._forget_attempts()
            aim = await self._as_wanted(own, wanted_snapshot, wanted, paused=paused)
            if aim.role is not Role.PRIMARY:
                self.lock.release()
            return aim
        if own.read_only or own.status is not None or own.cluster is None:
            return Aim(Role.REPLICA, await self._to_follow(own, wanted_snapshot, wanted))
        # It takes writes, and another pod is wanted.
        new_name = f"{self._identity.statefulset}-{wanted.ordinal}"
        new = wanted_snapshot.primary
        found = None if new is None else await self._peers.ask(new)
        own = await read_facts(server, self._name)
        if new is not None and isinstance(found, ServerFacts):
            found = await self._without_harmless(new, found, own)
        against = judge_handover(own, self._identity.pod_name, new_name, found)
        if against is None:
            against = _PAUSED if paused else await self._closed(server, own)
        if against is None:
            return Aim(Role.REPLICA, wanted_snapshot)
        stays = _aimed(snapshot, self._identity.ordinal or 0)
        return Aim(Role.PRIMARY, stays, Problem(ProblemCode.MOVE, against, new_name))

    async def _closed(self, server: Executor, own: ServerFacts) -> str | None:
        """Why the server is not read-only yet for another pod; None if it is.

        Writes wait for each attempt, so there are few, and in between the server takes writes.
        """
        if self._now() < self._next_attempt_at:
            return self._held
        why = await try_closing(server, self._name, own, _CLOSED_WITHIN)
        if why is None:
            self._forget_attempts()
            return None
        self._attempts += 1
        pause = _CLOSED_APART.after(self._attempts)
        self._next_attempt_at = self._now() + pause
        self._held = f"{why}; writes waited for that, and it is tried again in {pause:g} s"
        return self._held

    def _forget_attempts(self) -> None:
        self._attempts, self._held = 0, ""
        self._next_attempt_at = float("-inf")

    async def _without_harmless(
        self, new: Peer, found: ServerFacts, own: ServerFacts
    ) -> ServerFacts | Unanswered:
        """The facts of the wanted pod without administrative transactions of its own.

        Its own sidecar leaves them out, too, and so they must not keep the role from moving.
        """
        if not any(against_following(found, own)):
            return found
        if new.unique_name != self._new_name:
            self._new_name, self._new_writes = new.unique_name, LocalWrites(new.unique_name)
        return await self._peers.ask(
            new, lambda link, _: self._new_writes.leave_out(link, found, own)
        )

    async def _as_wanted(
        self, own: ServerFacts, snapshot: Snapshot, wanted: Wanted, *, paused: bool
    ) -> Aim:
        if not own.read_only:
            self._taken_from = None
        # A pass that was cut off may have forgotten the source and not opened the server.
        old_name = self._source_of(own) or self._taken_from
        if old_name is None:
            closed = own.read_only and own.cluster is not None
            first = await self._to_follow_first(own, snapshot) if closed else None
            return first or Aim(Role.PRIMARY, snapshot)
        number = int(old_name.rpartition("-")[2])
        old: Peer | None = snapshot.by_ordinal(number)
        lock = None if paused else self.lock
        found = None if old is None else await self._peers.ask(old, lock=lock)
        if not isinstance(found, ServerFacts) or found.read_only:
            first = await self._to_follow_first(own, snapshot, old_name)
            if first is not None:
                return first
        against = judge_takeover(own, old_name, found, wanted.without)
        if self.lock.busy:
            against = f"{old_name}, or another pod in its place, is being opened at this moment"
        if against is None and not paused:
            self._taken_from = old_name
            return Aim(Role.PRIMARY, snapshot)
        problem = Problem(ProblemCode.MOVE, against or _PAUSED, old_name)
        return Aim(Role.REPLICA, _aimed(snapshot, number), problem)

    async def _to_follow(self, own: ServerFacts, snapshot: Snapshot, wanted: Wanted) -> Snapshot:
        """The membership with the primary that a replica follows.

        That is the wanted one, unless the pod that it replicates from takes writes still: the role
        may not move for long, and replicas have to be able to restart meanwhile.
        """
        name = self._source_of(own)
        number = wanted.ordinal if name is None else int(name.rpartition("-")[2])
        source = snapshot.by_ordinal(number)
        if number == wanted.ordinal or source is None:
            return snapshot
        found = await self._peers.ask(source)
        if isinstance(found, Unanswered) or found.read_only or found.cluster != own.cluster:
            return snapshot
        return _aimed(snapshot, number)

    async def _to_follow_first(
        self, own: ServerFacts, snapshot: Snapshot, old_name: str = ""
    ) -> Aim | None:
        """To follow the pod that was opened after this one, or after the one that it follows.

        Returns:
            What this pod does then; None if there is no such pod.
        """
        names = (self._identity.pod_name, old_name)
        others = {peer.unique_name: peer for peer in snapshot.others if peer.name not in names}
        name = find_successor(own, await self._peers.ask_all(others.values()))
        number = others[name].ordinal if name is not None else None
        if number is None:
            return None
        text = f"{name} was opened in between, and this pod follows it first"
        return Aim(Role.REPLICA, _aimed(snapshot, number), Problem(ProblemCode.MOVE, text, name))

    def _source_of(self, own: ServerFacts) -> str | None:
        """The other pod from which this one replicates the cluster's data; None if from none."""
        if own.status is None or own.cluster is None:
            return None
        name = own.status.source_host.partition(".")[0]
        prefix, _, number = name.rpartition("-")
        is_pod = prefix == self._identity.statefulset and number.isdecimal()
        return name if is_pod and name != self._identity.pod_name else None


def _aimed(snapshot: Snapshot, number: int) -> Snapshot:
    return replace(snapshot, policy=ordinal(number))
