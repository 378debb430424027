"""The resolvers that are held to one contract, and what each of them cannot do, as data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from peerdisco.dns import wire
from peerdisco.dns.aiodns_resolver import AiodnsResolver
from peerdisco.dns.resolver import FIRST_TIMEOUT, Resolver, ResolverProtocol
from peerdisco.model import Outcome
from peerdisco.names import Endpoint
from tests.unit.scripted import NameServer, open_files

NAME = wire.name_from_text("db.shop.svc.cluster.local")


class Limit(Enum):
    """What a resolver may be unable to do; a test says what it does instead."""

    TELL_EACH_TRANSPORT = auto()
    """One attempt over UDP and one over TCP for an answer that was truncated; else one for both."""
    TELL_THE_SOA = auto()
    """The SOA of a negative answer, and a referral from it."""
    SEE_TC = auto()
    """That an answer over TCP was truncated; else it is concluded from its size."""
    KEEP_A_CUT_ANSWER = auto()
    """What came over UDP, where TCP does not work."""
    REPORT_EVERY_CODE = auto()
    """Response codes beyond those that c-ares has an error for."""


@dataclass(frozen=True)
class Kind:
    """A resolver, by what opens it."""

    name: str
    open_for: Callable[[Sequence[Endpoint]], ResolverProtocol]
    limits: frozenset[Limit] = frozenset()

    def open(self, *servers: NameServer | Endpoint) -> ResolverProtocol:
        return self.open_for([s.endpoint if isinstance(s, NameServer) else s for s in servers])

    def can(self, what: Limit) -> bool:
        return what not in self.limits

    def reported(self, *attempts: tuple[str, Outcome]) -> list[tuple[str, Outcome]]:
        """The attempts that it reports of these."""
        reported: list[tuple[str, Outcome]] = []
        for transport, outcome in attempts:
            over_tcp_too = transport == "tcp" and reported[-1:] == [("udp", Outcome.ANSWER)]
            if over_tcp_too and not self.can(Limit.TELL_EACH_TRANSPORT):
                reported[-1] = ("udp", outcome)
            else:
                reported.append((transport, outcome))
        return reported


KINDS = [
    Kind("builtin", Resolver),
    Kind(
        "aiodns",
        lambda servers: AiodnsResolver(servers, patience=FIRST_TIMEOUT),
        frozenset(Limit),
    ),
]


@dataclass(frozen=True)
class Held:
    """What the process holds: of either kind, those of C libraries too.

    Attributes:
        files: Sockets, pipes, and what c-ares waits on.
        threads: All of them.
    """

    files: int
    threads: int

    @classmethod
    def now(cls) -> Held:
        return cls(open_files(), len(list(Path("/proc/self/task").iterdir())))

    def is_not_exceeded(self) -> bool:
        now = Held.now()
        return now.files <= self.files and now.threads <= self.threads
