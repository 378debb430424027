"""Many questions for one TCP connection, and their replies."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Container, Sequence

from ..names import Endpoint
from .fast_path import QUESTION_HEAD, QUESTION_SIZE, QUESTION_TAILS

__all__ = ["Batch", "Take"]

Take = Callable[[int, bytes], bool]
"""Takes the reply to the question of this number; False if it is no reply to it."""


class Batch:
    """Many questions for one connection, of which a limited number is pending.

    Pending questions of a lost connection are asked again on the next one.

    Args:
        questions: Names in wire form, and record types.
        take: Takes each reply.

    Attributes:
        take: Takes each reply.
        left: The numbers of the questions that are still to be sent.
        out: The numbers of the pending questions, by id.
        taken: The number of replies.
        server: The name server that is asked.
        useful: Whether it gave an answer; set by the code that takes the replies.
    """

    __slots__ = ("_questions", "done", "left", "out", "server", "take", "taken", "useful")

    def __init__(self, questions: Sequence[tuple[bytes, int]], take: Take) -> None:
        self._questions = questions
        self.take = take
        self.left = deque(range(len(questions)))
        self.out: dict[bytes, int] = {}
        self.taken = 0
        self.server: Endpoint | None = None
        self.useful = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Set when every question has its reply, or to the error of the connection."""

    @property
    def over(self) -> bool:
        return not self.left and not self.out

    def next_frames(self, count: int, in_use: Container[bytes]) -> bytes:
        """The next questions, framed for a connection on which these ids are in use."""
        parts: list[bytes] = []
        left, out, questions = self.left, self.out, self._questions
        count = min(count, len(left))
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

    def take_back(self) -> None:
        """The connection is lost: send the pending questions first on the next one."""
        self.left.extendleft(reversed(self.out.values()))
        self.out.clear()
