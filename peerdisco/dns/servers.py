"""The configured name servers, their order, and what their replies showed about them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ..model import Outcome
from ..names import Endpoint
from .evidence import USABLE, judge, shows_zone
from .fast_path import ServiceRecords
from .reply import Answer
from .retries import FailedQuestions

__all__ = ["Servers"]

_PLAIN_SECONDS = 600.0
"""Seconds for which a server that seems not to know EDNS is asked without it.

Then EDNS is tried again, which costs one lookup the wait for the first server.
"""


class Servers:
    """Name servers in order of preference, and what is known about each of them.

    Args:
        nameservers: At least one.

    Attributes:
        configured: The name servers, in order of preference.
        texts: Each of them as text.
        failed: The questions that failed at all of them.
    """

    def __init__(self, nameservers: Sequence[Endpoint]) -> None:
        if not nameservers:
            raise ValueError("a resolver needs a name server")
        self.configured = tuple(nameservers)
        self.texts = {server: str(server) for server in nameservers}
        self.failed = FailedQuestions()
        self._first = 0
        self._zone: bytes | None = None
        self._alone = len(set(nameservers)) == 1
        self._serving: set[Endpoint] = set()
        """Servers whose replies showed that they serve the zone."""
        self._plain_until: dict[Endpoint, float] = {}

    def use(self, nameservers: Sequence[Endpoint]) -> bool:
        """Replace the name servers; False if there is nothing to replace."""
        if not nameservers or tuple(nameservers) == self.configured:
            return False
        self.configured = tuple(nameservers)
        self.texts.update((server, str(server)) for server in nameservers)
        self._first = 0
        self._alone = len(set(nameservers)) == 1
        self._serving.intersection_update(nameservers)
        return True

    def begin(self, zone: bytes | None) -> None:
        """Start a lookup; see `Resolver.begin`."""
        self._first = 0
        self.failed.begin()
        if zone != self._zone:
            self._zone = zone
            self._serving.clear()

    def order(self) -> tuple[Endpoint, ...]:
        """The servers in the order in which to ask them."""
        return self.configured[self._first :] + self.configured[: self._first]

    def prefer(self, server: Endpoint) -> None:
        """Ask this server first in the rest of the lookup."""
        if server is not self.configured[self._first] and server in self.configured:
            self._first = self.configured.index(server)

    def outcome(
        self, server: Endpoint, answer: Answer, name: bytes, rtype: int
    ) -> tuple[Outcome, str]:
        """The outcome of this server's reply to a question, and its detail."""
        if isinstance(answer, ServiceRecords):
            self._serving.add(server)
            return Outcome.ANSWER, ""
        trusted = self._alone or server in self._serving
        outcome, detail = judge(answer, name, rtype, self._zone, trusted)
        if outcome in USABLE and shows_zone(answer, self._zone):
            self._serving.add(server)
        return outcome, detail

    def is_plain(self, server: Endpoint) -> bool:
        """Whether to ask this server without EDNS."""
        if not self._plain_until:
            return False
        until = self._plain_until.get(server)
        return until is not None and asyncio.get_running_loop().time() < until

    def learn_plain(self, server: Endpoint) -> None:
        """Ask this server without EDNS for a while."""
        self._plain_until[server] = asyncio.get_running_loop().time() + _PLAIN_SECONDS
