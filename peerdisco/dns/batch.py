"""Many questions for one TCP connection, or for several, and their replies."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Container, Sequence

from ..names import Endpoint
from .fast_path import QUESTION_HEAD, QUESTION_SIZE, QUESTION_TAILS

__all__ = ["AT_ONCE", "Batch", "Take"]

Take = Callable[[int, bytes], bool | None]
"""Takes the reply to the question of this number.

True if it answers it, None if it is a failure, and False if it is no reply to it.
"""

AT_ONCE = 512
"""Questions of a batch that are pending, at most: some 30 KB.

CoreDNS answers the questions of a connection one after another, so that a batch keeps one of its
goroutines busy for each connection, however many are out. More of them gain nothing on loopback;
with fewer, client and server wait for each other.
"""

AT_FIRST = 16
"""Questions that are pending before the first replies, usually.

A server may take tens of milliseconds for each name that it has not answered before, above all for
one that does not exist, and send no reply before it has the last one.
"""

_FEWEST = 8
_SOON, _LATE = 0.1, 0.2
"""Seconds for half of the pending questions: up to `_SOON`, twice as many are sent next; above
`_LATE`, half as many. So the last one waits for 0.4 seconds, unless the server slows down."""


class Batch:
    """Many questions, of which a limited number is pending on a connection.

    Pending questions of a lost connection are asked again on the next one. The batches that `split`
    makes take their questions from this one, each for another connection.

    Args:
        questions: Names in wire form, and record types.
        take: Takes each reply.
        at_first: The most questions that are pending before the first replies.

    Attributes:
        take: Takes each reply.
        at_once: The most questions that may be pending.
        window: The most that are pending now: more while the replies come soon.
        beside: The batches that share the questions with this one.
        left: The numbers of the questions that are still to be sent.
        out: The numbers of the pending questions, by id.
        taken: The number of replies.
        server: The name server that is asked.
        useful: Whether it gave an answer; set by the code that takes the replies.
    """

    __slots__ = (
        "_questions",
        "_sent",
        "at_once",
        "beside",
        "done",
        "left",
        "out",
        "server",
        "take",
        "taken",
        "useful",
        "window",
    )

    def __init__(
        self, questions: Sequence[tuple[bytes, int]], take: Take, at_first: int = AT_FIRST
    ) -> None:
        self._questions = questions
        self.take = take
        self.at_once = AT_ONCE
        self.window = at_first
        self._sent: float | None = None
        """When the last questions were sent; None before the first on a connection."""
        self.beside: Sequence[Batch] = ()
        self.left = deque(range(len(questions)))
        self.out: dict[bytes, int] = {}
        self.taken = 0
        self.server: Endpoint | None = None
        self.useful = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Set when every question has its reply, or to the error of the connection."""

    @property
    def over(self) -> bool:
        return not self.out and not (self.left and self.at_once)

    @property
    def progress(self) -> int:
        """The number of replies on all connections.

        One of them may wait while the server answers the questions of the others.
        """
        return self.taken + sum(batch.taken for batch in self.beside)

    def split(self, connections: int) -> list[Batch]:
        """A batch for each of so many connections beside this one; together they have its limit.

        Each takes what the others left. After a failure it takes no more: behind its connection may
        be a replica that answers nothing, and does so fast.
        """
        self.at_once = AT_ONCE // (connections + 1)
        self.window = AT_FIRST // (connections + 1)
        shares = [self._share() for _ in range(connections)]
        everyone = (self, *shares)
        for batch in everyone:
            batch.beside = [other for other in everyone if other is not batch]
        return shares

    def _share(self) -> Batch:
        def take(number: int, reply: bytes) -> bool | None:
            taken = self.take(number, reply)
            if taken is None:
                share.at_once = 0
            return taken

        share = Batch((), take)
        share._questions, share.left, share.at_once = self._questions, self.left, self.at_once
        share.window = self.window
        return share

    def join(self) -> None:
        """End the split: count the replies of the shares too."""
        self.taken = self.progress
        for share in self.beside:  # they refer to each other, and to what read the replies
            share.beside, share.take = (), self.take
        self.at_once, self.window, self.beside = AT_ONCE, AT_FIRST, ()

    def next_frames(self, now: float, in_use: Container[bytes]) -> bytes:
        """The next questions, framed for a connection; none before half of the last are answered.

        Args:
            now: The event loop's time.
            in_use: The ids of other questions on the connection.
        """
        left, out, questions = self.left, self.out, self._questions
        if not left or len(out) > min(self.window, self.at_once) // 2:
            return b""
        self._adapt(now)
        parts: list[bytes] = []
        count = max(0, min(self.window - len(out), len(left)))
        ids = os.urandom(2 * count)
        for at in range(0, 2 * count, 2):
            query_id = ids[at : at + 2]
            while query_id in out or query_id in in_use:
                query_id = os.urandom(2)
            number = left.popleft()
            out[query_id] = number
            name, rtype = questions[number]
            size = len(name) + QUESTION_SIZE
            parts += (size.to_bytes(2, "big"), query_id, QUESTION_HEAD, name, QUESTION_TAILS[rtype])
        return b"".join(parts)

    def _adapt(self, now: float) -> None:
        """Ask more at a time of a server that answers soon, and fewer of one that does not."""
        if self._sent is not None:
            took = now - self._sent
            if took <= _SOON:
                self.window *= 2
            elif took > _LATE:
                self.window = max(_FEWEST, self.window // 2)
        self.window = min(self.window, self.at_once)
        self._sent = now

    def take_back(self) -> None:
        """The connection is lost: send the pending questions first on the next one."""
        self._sent, self.window = None, min(self.window, AT_FIRST)
        self.left.extendleft(reversed(self.out.values()))
        self.out.clear()
