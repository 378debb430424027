"""Thousands of questions of one kind, at the price of their exchanges.

They share a TCP connection and wait for nothing but their replies: no task, no timer and no record
of an attempt for each. What comes back as usual is read by the caller's reader; what is unusual in
any way (a response code that is a failure, a connection that is lost again and again, silence) is
asked once more through the resolver, with all that it does about failures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from . import wire
from .evidence import USABLE
from .resolver import Reply, Resolver, ResolverProtocol
from .transport import Batch

__all__ = ["FEW", "Read", "ask_each"]

_T = TypeVar("_T")

FEW = 4
"""Up to so many questions go out over UDP, each by itself."""

Read = Callable[[int, bytes], _T | None]
"""Reads the usual reply to the question of this number.

It checks that the reply repeats the question, and gives None to decline.
"""

_ANEW = 64
"""So many of those that had no usual answer are asked once more at a time."""


async def ask_each(
    resolver: ResolverProtocol,
    questions: Sequence[tuple[bytes, int]],
    *,
    deadline: float,
    read: Read[_T],
    convert: Callable[[wire.Message], _T],
    tcp: bool = False,
) -> list[_T | Reply]:
    """Ask each of them.

    Args:
        resolver: Whom.
        questions: Names in wire form, and record types.
        deadline: In the event loop's time.
        read: Reads the usual reply.
        convert: Makes the same of a message that was read in full.
        tcp: Ask over TCP also where they are few.

    Returns:
        What was read, in the questions' order; or a reply without a message, where no server
        answered: it tells why.
    """
    bulk = _Bulk(questions, read, convert)
    tcp = tcp or len(questions) > FEW
    if isinstance(resolver, Resolver) and tcp:
        bulk.batch = Batch(questions, bulk.take)
        bulk.resolver = resolver
        await resolver.run(bulk.batch, deadline=deadline)
    await bulk.ask_the_rest(resolver, deadline, tcp)
    found = bulk.results()
    assert len(found) == len(questions)
    return found


class _Bulk(Generic[_T]):
    """The questions, and what came of each; None where nothing did yet."""

    def __init__(
        self,
        questions: Sequence[tuple[bytes, int]],
        read: Read[_T],
        convert: Callable[[wire.Message], _T],
    ) -> None:
        self.questions = questions
        self.read = read
        self.convert = convert
        self.found: list[_T | Reply | None] = [None] * len(questions)
        self.resolver: Resolver | None = None
        self.batch: Batch | None = None

    def take(self, number: int, reply: bytes) -> bool:
        found = self.read(number, reply)
        if found is None:
            try:
                message = wire.read(reply)
            except wire.MalformedMessage:
                return True
            if message.questions and message.questions != ((*self.questions[number], wire.IN),):
                return False
            if not message.response:
                return False
            if not message.questions or not self._counts(message, number):
                return True
            found = self.convert(message)
        self.found[number] = found
        if self.batch is not None:
            self.batch.useful = True
        return True

    def _counts(self, message: wire.Message, number: int) -> bool:
        """Whether this reply says something about its question."""
        if self.resolver is None or self.batch is None or self.batch.server is None:
            return False
        question = self.questions[number]
        return self.resolver.outcome(self.batch.server, message, *question)[0] in USABLE

    async def ask_the_rest(self, resolver: ResolverProtocol, deadline: float, tcp: bool) -> None:
        """Ask anew what had no usual answer; no more once that helped none of many."""
        left = [number for number, found in enumerate(self.found) if found is None]
        in_vain: Reply | None = None
        for start in range(0, len(left), _ANEW):
            numbers = left[start : start + _ANEW]
            if in_vain is not None:
                for number in numbers:
                    self.found[number] = in_vain
                continue
            replies = await resolver.ask_many(
                [self.questions[number] for number in numbers],
                deadline=deadline,
                tcp=tcp,
            )
            for number, reply in zip(numbers, replies, strict=True):
                message = reply.message
                self.found[number] = reply if message is None else self.convert(message)
            if all(reply.message is None for reply in replies):
                in_vain = replies[0]

    def results(self) -> list[_T | Reply]:
        return [found for found in self.found if found is not None]
