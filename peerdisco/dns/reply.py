"""The result of a question, and the protocol that sources expect of a resolver."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from ..model import Attempt, Outcome
from ..names import Endpoint
from . import wire
from .fast_path import ServiceRecords

__all__ = ["Answer", "ReadServiceRecords", "Reply", "ResolverProtocol"]

Answer = wire.Message | ServiceRecords
"""A reply as it was read."""

ReadServiceRecords = Callable[[bytes], ServiceRecords | None]
"""Reads the usual answer about a service; returns None for any other message."""


class Reply(NamedTuple):
    """The result of one question, asked of as many servers as necessary.

    Attributes:
        attempts: Every exchange, in order.
        attempt: The exchange that decided the outcome.
        message: The answer; None if no server gave a usable one, or ``records`` holds it.
        records: The answer as the caller's reader read it; None if it did not read it.
    """

    attempts: tuple[Attempt, ...]
    attempt: Attempt
    message: wire.Message | None
    records: ServiceRecords | None = None

    @property
    def outcome(self) -> Outcome:
        return self.attempt.outcome

    @property
    def truncated(self) -> bool:
        """Whether the answer is truncated, and no transport gave a complete one."""
        answer = self.message or self.records
        return answer is not None and answer.truncated


class ResolverProtocol(Protocol):
    """The methods that sources call; `Resolver` documents each of them."""

    async def aclose(self) -> None: ...

    def use(self, nameservers: Sequence[Endpoint]) -> None: ...

    def begin(self, zone: bytes | None) -> None: ...

    async def ask(
        self, name: bytes, rtype: int, *, deadline: float, tcp: bool = False
    ) -> Reply: ...

    async def ask_many(
        self, questions: Sequence[tuple[bytes, int]], *, deadline: float, tcp: bool = False
    ) -> list[Reply]: ...
