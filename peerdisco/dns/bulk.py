"""Thousands of questions of one kind over a few TCP connections.

There is no task, no timer and no `Attempt` for each question. The caller's reader reads the usual
replies. A question with any other result (a failure, a lost connection, no reply) is asked once
more through the resolver, with all its retries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Generic, TypeVar

from ..model import Attempt, Outcome
from . import wire
from .batch import AT_FIRST, Batch
from .evidence import USABLE
from .resolver import Reply, Resolver, ResolverProtocol

__all__ = ["FEW", "Note", "Read", "ask_each"]

_T = TypeVar("_T")

FEW = 4
"""Up to this many questions are asked one by one over UDP."""

Read = Callable[[int, bytes], _T | None]
"""Reads the usual reply to the question of this number; returns None to decline.

It must check that the reply repeats the question.
"""

Note = Callable[[Attempt], object]
"""Called with the exchange that answered the first question."""

_ID = 2
"""Bytes of a message's id."""
_SMALL = 512
"""Bytes of the longest message that is remembered; a negative answer has some 150."""

_PORTION = 64
"""Questions without a usual answer that are asked again concurrently."""


async def ask_each(
    resolver: ResolverProtocol,
    questions: Sequence[tuple[bytes, int]],
    *,
    deadline: float,
    read: Read[_T],
    convert: Callable[[wire.Message], _T],
    tcp: bool = False,
    note: Note | None = None,
    at_first: int = AT_FIRST,
) -> list[_T | Reply]:
    """Ask each question.

    Args:
        resolver: Asks the name servers.
        questions: Names in wire form, and record types.
        deadline: In the event loop's time.
        read: Reads the usual reply.
        convert: Converts a message that was read in full.
        tcp: Ask over TCP also if there are only a few.
        note: Called with the exchange that answered the first question.
        at_first: The most questions that are pending before the first replies.

    Returns:
        The results, in the order of the questions; for a question that no server answered, a
        `Reply` without a message that holds the reason.
    """
    bulk = _Bulk(questions, read, convert, note)
    tcp = tcp or len(questions) > FEW
    if isinstance(resolver, Resolver) and tcp:
        bulk.batch = Batch(questions, bulk.take, at_first)
        bulk.resolver = resolver
        await resolver.run(bulk.batch, deadline=deadline)
        # Each refers to the other: the results would stay until the next garbage collection.
        bulk.batch = None
    await bulk.ask_the_rest(resolver, deadline, tcp)
    found = bulk.results()
    assert len(found) == len(questions)
    return found


@lru_cache(maxsize=8)
def _read(after_id: bytes) -> wire.Message:
    """A message without its id, read in full.

    Each poll of a large service gets the same negative answer for the address family that the
    service does not have.
    """
    return wire.read(bytes(_ID) + after_id)


class _Bulk(Generic[_T]):
    """The questions and their results; None where there is no result yet."""

    def __init__(
        self,
        questions: Sequence[tuple[bytes, int]],
        read: Read[_T],
        convert: Callable[[wire.Message], _T],
        note: Note | None,
    ) -> None:
        self.questions = questions
        self.read = read
        self.convert = convert
        self.note = note
        self.start = asyncio.get_running_loop().time()
        self.found: list[_T | Reply | None] = [None] * len(questions)
        self.resolver: Resolver | None = None
        self.batch: Batch | None = None

    def take(self, number: int, reply: bytes) -> bool | None:
        """See `Take`."""
        found = self.read(number, reply)
        if found is None:
            try:
                asked = wire.question_of(reply)
                if asked is None:
                    return None
                if asked != (*self.questions[number], wire.IN):
                    return False
                message = wire.read(reply) if len(reply) > _SMALL else _read(reply[_ID:])
            except wire.MalformedMessage:
                return None
            if not message.response:
                return False
            if not self._counts(message, number):
                return None
            found = self.convert(message)
        self.found[number] = found
        if self.batch is not None:
            self.batch.useful = True
            if number == 0 and self.note is not None:
                self.note(self._attempt(self.batch))
        return True

    def _attempt(self, batch: Batch) -> Attempt:
        """The exchange that answered the first question."""
        name, rtype = self.questions[0]
        return Attempt(
            server=str(batch.server),
            transport="tcp",
            name=wire.name_to_text(name) + ".",
            type=wire.TYPE_NAMES[rtype],
            outcome=Outcome.ANSWER,
            seconds=asyncio.get_running_loop().time() - self.start,
        )

    def _counts(self, message: wire.Message, number: int) -> bool:
        """Whether this reply is a usable answer."""
        if self.resolver is None or self.batch is None or self.batch.server is None:
            return False
        question = self.questions[number]
        return self.resolver.outcome(self.batch.server, message, *question)[0] in USABLE

    async def ask_the_rest(self, resolver: ResolverProtocol, deadline: float, tcp: bool) -> None:
        """Ask the questions without a result again; stop when a whole portion fails."""
        left = [number for number, found in enumerate(self.found) if found is None]
        in_vain: Reply | None = None
        for start in range(0, len(left), _PORTION):
            numbers = left[start : start + _PORTION]
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
                if number == 0 and self.note is not None:
                    self.note(reply.attempt)
            if all(reply.message is None for reply in replies):
                in_vain = replies[0]

    def results(self) -> list[_T | Reply]:
        return [found for found in self.found if found is not None]
