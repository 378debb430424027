"""What came of a question, and what a source needs of whoever asks it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from ..model import Attempt, Outcome
from ..names import Endpoint
from . import wire
from .fast_path import Listing

__all__ = ["ReadListing", "Reply", "ResolverProtocol"]

ReadListing = Callable[[bytes], "Listing | None"]
"""Reads the usual answer about a service; None to decline."""


class Reply(NamedTuple):
    """What came of one question, put to as many servers as it took.

    Attributes:
        attempts: Every exchange, in order.
        attempt: The one that gave the outcome.
        message: The answer; None if no server gave one that can be used.
        listing: What was read instead of the message, where the caller gave a reader that did.
    """

    attempts: tuple[Attempt, ...]
    attempt: Attempt
    message: wire.Message | None
    listing: Listing | None = None

    @property
    def outcome(self) -> Outcome:
        return self.attempt.outcome

    @property
    def truncated(self) -> bool:
        """Whether the answer was cut, and no transport gave a whole one."""
        answer = self.message or self.listing
        return answer is not None and answer.truncated


class ResolverProtocol(Protocol):
    """What a source needs of a resolver; `Resolver` says what each of them does."""

    async def aclose(self) -> None: ...

    def use(self, nameservers: Sequence[Endpoint]) -> None: ...

    def begin(self, zone: bytes | None) -> None: ...

    async def ask(
        self, name: bytes, rtype: int, *, deadline: float, tcp: bool = False
    ) -> Reply: ...

    async def ask_many(
        self, questions: Sequence[tuple[bytes, int]], *, deadline: float, tcp: bool = False
    ) -> list[Reply]: ...
