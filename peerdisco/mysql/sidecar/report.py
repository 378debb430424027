"""The sidecar's report on its server, as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ...model import Snapshot
from ...primary.verdicts import Code, Verdict
from ..durability import DurabilityFacts
from ..facts import ServerFacts
from ..reasons import ServerReasonCode

__all__ = ["MAX_STALENESS", "Problem", "ProblemCode", "Report", "Role", "State", "problems_of"]


MAX_STALENESS = 3600.0
"""Seconds for which a replica whose primary does not answer is ready."""


class Role(Enum):
    """What the pod's ordinal makes it."""

    PRIMARY = "primary"
    REPLICA = "replica"


class State(Enum):
    """The result of the sidecar's last pass."""

    STARTING = "starting"
    """The first pass has not ended yet."""
    NO_SERVER = "no-server"
    """The server in this pod does not answer; it may not be up yet."""
    SLOW = "slow"
    """The server in this pod is connected, and did not finish a statement in time; or it takes
    writes, and one does not complete, as on a full disk."""
    ACCESS_DENIED = "access-denied"
    """The server rejects the login, or the account does not have a privilege that it needs."""
    FAILED = "failed"
    """The server in this pod refused a statement for another reason, or is too old, or a password
    cannot be read."""
    NO_DNS = "no-dns"
    """DNS has not answered yet, so nothing is known of the peers."""
    WAITING = "waiting"
    """Something is missing that may still appear: the primary, a peer, an address in DNS."""
    REFUSED = "refused"
    """Continuing could lose data; an operator must do what the reason says."""
    FENCED = "fenced"
    """The name of this pod belongs to another one, so that its server is read-only."""
    PRIMARY = "primary"
    """The server takes writes."""
    CONNECTING = "connecting"
    """The server is set up as a replica, and does not receive at the moment."""
    REPLICA = "replica"
    """The server replicates."""


class ProblemCode(Enum):
    """What is wrong beside the server, and does not take it out of its role."""

    REPLICATION_ACCOUNT = "replication-account"
    """Replicas and the other sidecars cannot log in to this pod's server, or this pod not to
    theirs."""
    PEER_OUTVOTED = "peer-outvoted"
    """A peer holds the data of another cluster than most pods."""
    DURABILITY = "durability"
    """A setting of the server is weaker than its durability needs."""
    SEMI_SYNC = "semi-sync"
    """Commits wait because too few replicas acknowledge them, or no longer wait for them."""
    SAME_SERVER = "same-server"
    """Two servers have the same identity, so that they take turns in replicating."""
    MOVE = "move"
    """The primary's role does not move to the wanted pod yet."""
    HEARTBEAT = "heartbeat"
    """The primary's heartbeat is not renewed, without which a reset log may be noticed late."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that an operator should correct.

    Attributes:
        code: Its kind.
        detail: The same in words, with its cause and what to do.
        peer: The pod that it is about; None if it is this one.
    """

    code: ProblemCode
    detail: str
    peer: str | None = None


def problems_of(verdict: Verdict) -> tuple[Problem, ...]:
    """The reasons of a verdict that are problems."""
    return tuple(
        Problem(_PROBLEMS[reason.code], reason.text, reason.peer)
        for reason in verdict.reasons
        if reason.code in _PROBLEMS
    )


_PROBLEMS: dict[Code, ProblemCode] = {
    ServerReasonCode.REPLICATION_ACCOUNT: ProblemCode.REPLICATION_ACCOUNT,
    ServerReasonCode.PEER_OUTVOTED: ProblemCode.PEER_OUTVOTED,
}


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of one pass over the server and its peers.

    Attributes:
        state: What was found.
        reason: The same in words, with what to do where something has to be done.
        role: What the pod's ordinal makes it; None before that is known.
        verdict: Whether the server may be what it has to be; None where that was not asked.
        facts: The server's facts; None if it did not answer.
        source: The host name of the primary that a replica follows, or has to; None if there is
            none.
        done: What was done to the server.
        problems: What is wrong beside that; no reason not to use the server.
        durability: The settings that the durability of transactions depends on; None if they were
            not read.
        data_age: Seconds since a replica last had what its primary had, also while it has no
            connection; None if that is not known.
        paused: Whether the sidecar changes nothing at the moment.
        behind: Seconds that a replica is behind, by the heartbeat; None if that does not show it.
    """

    state: State
    reason: str
    role: Role | None = None
    verdict: Verdict | None = None
    facts: ServerFacts | None = None
    source: str | None = None
    done: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    durability: DurabilityFacts | None = None
    data_age: float | None = None
    paused: bool = False
    behind: int | None = None

    @classmethod
    def without_dns(cls, snapshot: Snapshot, role: Role, facts: ServerFacts) -> Report:
        """That DNS has not answered yet, and why."""
        why = f": {snapshot.last_error}" if snapshot.last_error is not None else ""
        return cls(State.NO_DNS, f"DNS has not answered yet{why}", role, facts=facts)

    @property
    def lag(self) -> int | None:
        """Seconds that a replica is behind; None if nothing shows it.

        By the heartbeat; without one, as the server reports it.
        """
        if self.behind is not None:
            return self.behind
        if self.facts is None or self.facts.status is None:
            return None
        return self.facts.status.lag

    def ready(self, max_lag: float, max_staleness: float = MAX_STALENESS) -> bool:
        """Whether clients may use the server: to write to the primary, to read from a replica.

        A replica that replicates is of use whatever is not known of its peers at the moment; but
        not before it has got the cluster's row, the first thing that comes from the primary, nor
        while the row of its newest epoch is missing: it is not known whose rows it has then.

        Args:
            max_lag: How many seconds a replica may be behind its primary.
            max_staleness: How many seconds old a replica's data may be while the primary does not
                answer.
        """
        if self.role is Role.PRIMARY:
            return self.state is State.PRIMARY
        if self.facts is None or self.facts.status is None or self.state is State.REFUSED:
            return False
        if self.facts.cluster is None or self.facts.history.has_gap:
            return False
        if self.facts.status.running:
            return self.lag is not None and self.lag <= max_lag
        answers = self.verdict is not None and self.verdict.allowed
        longest = max_lag if answers else max_staleness
        return self.data_age is not None and self.data_age <= longest

    def as_json(self, max_lag: float, max_staleness: float = MAX_STALENESS) -> dict[str, object]:
        """What ``/readyz`` says; the keys are a promise."""
        cluster = self.facts.cluster if self.facts is not None else None
        newest = self.facts.history.newest if self.facts is not None else None
        verdict = None
        if self.verdict is not None:
            verdict = {
                "decision": self.verdict.decision.value,
                "reasons": [
                    {"code": reason.code.code, "peer": reason.peer, "detail": reason.text}
                    for reason in self.verdict.reasons
                ],
            }
        return {
            "ready": self.ready(max_lag, max_staleness),
            "paused": self.paused,
            "role": self.role.value if self.role is not None else None,
            "state": self.state.value,
            "reason": self.reason,
            "lag": self.lag,
            "data_age": round(self.data_age, 1) if self.data_age is not None else None,
            "identity": cluster.id if cluster is not None else None,
            "epoch": newest.id if newest is not None else None,
            "source": self.source,
            "verdict": verdict,
            "problems": [
                {"code": problem.code.value, "peer": problem.peer, "detail": problem.detail}
                for problem in self.problems
            ],
            "durability": None if self.durability is None else _durability(self.durability),
        }


def _durability(facts: DurabilityFacts) -> dict[str, object]:
    return {
        "mode": facts.mode.value,
        "active": facts.active,
        "acknowledgements": facts.acknowledgements if facts.waits else 0,
        "replicas": facts.replicas,
        "fallback_after": facts.fallback_after if facts.waits else None,
    }
