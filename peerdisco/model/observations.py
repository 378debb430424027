"""The result of one lookup: an answer, an empty answer or a failure, and each DNS exchange."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from .errors import DiscoveryError
from .peers import Peer

__all__ = ["Answered", "Attempt", "Empty", "Failed", "Observation", "Outcome"]


class Outcome(Enum):
    """The outcome of one query to one name server."""

    ANSWER = "answer"
    """Records of the type in the question."""
    NO_DATA = "no data"
    """The name exists and has no record of this type (RFC 2308, 2.2)."""
    NXDOMAIN = "NXDOMAIN"
    """The name does not exist, or no pod of it is ready (Kubernetes DNS specification 2.4.1)."""
    FOREIGN = "foreign answer"
    """No data or NXDOMAIN from a server that, by its answer, does not serve the cluster's zone.

    A failure, because such a server gives the same answer for every name in the zone."""
    LAME = "lame referral"
    """No records, but a referral to other servers (RFC 2308, 2.2), which is a failure."""
    SERVFAIL = "SERVFAIL"
    """The server could not resolve the name; CoreDNS without the Kubernetes API, for instance."""
    REFUSED = "REFUSED"
    """The server does not serve this zone, or not to this client."""
    ERROR = "error"
    """Any other response code; the attempt's detail names it."""
    TIMEOUT = "timeout"
    """No reply in time."""
    MALFORMED = "malformed"
    """The reply is not a DNS answer to the question."""
    UNREACHABLE = "unreachable"
    """The operating system refused the exchange (connection refused, no route)."""

    __hash__ = object.__hash__
    """That of `enum.Enum` is a function in Python, which each lookup would call several times."""

    @property
    def replied(self) -> bool:
        """Whether the name server sent a reply, even an error."""
        return self not in (Outcome.TIMEOUT, Outcome.UNREACHABLE)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One query to one name server, and its outcome. Errors list the attempts that were made.

    Attributes:
        server: ``address:port``; several, separated by commas, if the resolver does not report
            which of its servers replied.
        transport: ``udp`` or ``tcp``.
        name: The name in the question, fully qualified, with its trailing dot.
        type: The record type (``SRV``, ``A``, ``AAAA``, ``PTR``).
        outcome: The outcome.
        seconds: The duration of the exchange.
        detail: Details of the outcome; empty if there are none.
        size: The length of the reply in bytes; 0 if there was none, or it is not known.
        truncated: Whether the reply was truncated, so that it was requested over TCP.
    """

    server: str
    transport: str
    name: str
    type: str
    outcome: Outcome
    seconds: float
    detail: str = ""
    size: int = 0
    truncated: bool = False

    def __str__(self) -> str:
        detail = f", {self.detail}" if self.detail else ""
        return (
            f"{self.outcome.value} from {self.server} for {self.type} {self.name} "
            f"over {self.transport} after {self.seconds:.3f} s{detail}"
        )


@dataclass(frozen=True, slots=True)
class Answered:
    """A lookup that found peers.

    Attributes:
        peers: The peers.
        ttl: Seconds for which a cache may hold the answer: the smallest TTL in it. It is 0 only
            if every record of a message has TTL 0, as in an answer that is served stale; a
            single record with TTL 0 among others does not count.
        incomplete_reason: Why peers may be missing; None if the list is complete.
        attempt: The exchange with the name server; None if the source does not use DNS.
        attempts: Every exchange for the list itself, failed ones included, if the source reports
            them.
    """

    peers: tuple[Peer, ...]
    ttl: float = 0.0
    incomplete_reason: str | None = None
    attempt: Attempt | None = None
    attempts: tuple[Attempt, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Empty:
    """A lookup whose answer is that there are no peers. Not a failure.

    Attributes:
        outcome: `Outcome.NXDOMAIN` or `Outcome.NO_DATA`.
        ttl: Seconds for which a cache may hold the answer (RFC 2308, 5: the smaller of the SOA's
            TTL and its minimum); None if the answer had no SOA.
        attempt: The exchange with the name server; None if the source does not use DNS.
        soa_ttl: The TTL of the SOA record itself, in seconds: 0 in an answer that is served stale.
            None if the source does not provide it; ``ttl`` is used instead.
        soa_minimum: The minimum in the SOA record, in seconds: the ``ttl`` of a fresh answer.
            None if the source does not provide it.
        attempts: As for `Answered`.
    """

    outcome: Outcome
    ttl: float | None = None
    attempt: Attempt | None = None
    soa_ttl: float | None = None
    soa_minimum: float | None = None
    attempts: tuple[Attempt, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Failed:
    """A lookup that failed: it is no evidence of the presence or absence of any peer.

    Attributes:
        error: The reason, with every exchange that was tried.
    """

    error: DiscoveryError


Observation = Answered | Empty | Failed
"""The result of one lookup."""
