"""One question on its way round the name servers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from ..model import Attempt, Outcome
from ..names import Endpoint
from . import wire
from .evidence import USABLE
from .fast_path import Listing
from .reply import ReadListing, Reply
from .transport import TcpConnection, exchange_udp

if TYPE_CHECKING:
    from .resolver import Resolver

__all__ = ["FIRST_PATIENCE", "OF_ONE_REPLICA", "PAUSES", "Answer", "Ask", "Judge"]

FIRST_PATIENCE = 1.0
"""Seconds to wait for a server the first time round; doubled with each round.

A name server inside a cluster answers in milliseconds, and a forwarding one gives up on its
upstream after two seconds. It is less where the deadline would not leave each server its turn.
"""

PAUSES = (0.0, 0.0, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
"""Seconds before each further round where no server was silent.

Behind the address of a cluster DNS are several replicas: a failure may be that of one of them, and
each round comes from a new port, so that it may reach another.
"""
_LONGEST_DOUBLING = 8

OF_ONE_REPLICA = frozenset({Outcome.SERVFAIL, Outcome.REFUSED, Outcome.LAME})
"""Failures that may be those of one replica behind a server's address."""
_NO_TRANSPORT = frozenset({Outcome.UNREACHABLE, Outcome.TIMEOUT})
_NO_EDNS = frozenset({wire.FORMERR, wire.NOTIMP, wire.BADVERS})
"""What servers that do not know EDNS may answer to it (RFC 6891, 7)."""
_MOST_STRANGERS = 3

Answer = wire.Message | Listing


class _Got(NamedTuple):
    """An answer that can be used, and the exchange that brought it."""

    attempt: Attempt
    answer: Answer

    @property
    def final(self) -> bool:
        """Whether no other transport could give more."""
        return not self.answer.truncated or self.attempt.transport == "tcp"


class Ask:
    """One question: its attempts, and what is known of the servers so far."""

    def __init__(
        self,
        resolver: Resolver,
        name: bytes,
        rtype: int,
        deadline: float,
        tcp: bool,
        read: ReadListing | None,
    ) -> None:
        self._resolver = resolver
        self._name = name
        self._rtype = rtype
        self._deadline = deadline
        self._tcp = tcp
        self._read = read
        self._attempts: list[Attempt] = []
        self._silent: set[Endpoint] = set()
        """Servers from which nothing came in time."""
        self._late = False
        """Whether that was so in this round."""
        self._cut: _Got | None = None
        """The best there is if no server gives the whole answer."""

    async def run(self) -> Reply:
        resolver = self._resolver
        now = asyncio.get_running_loop().time
        for turn in count():
            before, self._late = len(self._attempts), False
            servers = resolver.order()
            for place, server in enumerate(servers):
                patience = self._patience(turn, servers[place:], len(servers))
                ask = self._ask_every_way if server in self._silent else self._ask_server
                got = await ask(server, patience)
                if got is not None:
                    resolver.prefer(server)
                    return self._reply(got)
                if now() >= self._deadline:
                    return self._give_up(before)
            if self._cut is not None:
                break
            if not self._late:
                last = {attempt.outcome for attempt in self._attempts[before:]}
                if last.isdisjoint(OF_ONE_REPLICA) or turn >= len(PAUSES):
                    break
                if now() + PAUSES[turn] >= self._deadline:
                    break
                await asyncio.sleep(PAUSES[turn])
        return self._give_up(before)

    def _patience(self, turn: int, left: Sequence[Endpoint], servers: int) -> float:
        """Seconds for a server, so that each of those left in this round has as many.

        In the first round as many are kept for another one.
        """
        if turn == 0:
            turns = servers + len(left) * (2 if self._tcp else 1)
        else:
            turns = sum(server in self._silent for server in left) or 1
        longest = FIRST_PATIENCE * (1 << min(turn, _LONGEST_DOUBLING))
        return min(longest, (self._deadline - asyncio.get_running_loop().time()) / turns)

    def _give_up(self, before: int) -> Reply:
        """The answer that was cut, or none.

        Args:
            before: How many attempts were made before the last round.
        """
        if self._cut is not None:
            return self._reply(self._cut)
        last = self._attempts[before:] or self._attempts
        late = [attempt for attempt in last if attempt.outcome is Outcome.TIMEOUT]
        return Reply(tuple(self._attempts), (late or last)[-1], None)

    def _reply(self, got: _Got) -> Reply:
        attempt, answer = got
        if isinstance(answer, Listing):
            return Reply(tuple(self._attempts), attempt, None, answer)
        return Reply(tuple(self._attempts), attempt, answer)

    async def _ask_server(self, server: Endpoint, patience: float) -> _Got | None:
        """The server's whole answer over either transport; None if it gives none."""
        tcp_first = self._tcp or server.tcp
        if tcp_first or self._cut is not None:
            got = await self._attempt(server, "tcp", patience)
            if self._cut is not None or self._attempts[-1].outcome not in _NO_TRANSPORT:
                return got
        got = await self._attempt(server, "udp", patience)
        if got is None or got.final:
            return got
        self._cut = got
        return None if tcp_first else await self._attempt(server, "tcp", patience)

    async def _ask_every_way(self, server: Endpoint, patience: float) -> _Got | None:
        """Ask a silent server in every way that may get through, at the same time.

        Something on the path may drop UDP, or messages with EDNS (RFC 6891, 6.2.2), or send the
        replies from another address.
        """
        ways = [("udp", True), ("udp", False), ("tcp", True)]
        if self._resolver.is_plain(server):
            del ways[0]
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._attempt(server, transport, patience, edns=edns, again=True))
                for transport, edns in ways
            ]
            waiting, won = set(tasks), None
            while waiting and won is None:
                _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                won = next((n for n, t in enumerate(tasks) if t.done() and t.result()), None)
            for task in waiting:
                task.cancel()
        if won is None:
            return None
        got = tasks[won].result()
        if ways[won] == ("udp", False):
            self._resolver.learn_plain(server)
        if got is None or got.final:
            return got
        self._cut = got
        return await self._attempt(server, "tcp", patience)

    async def _attempt(
        self,
        server: Endpoint,
        transport: str,
        patience: float,
        *,
        edns: bool = True,
        again: bool = False,
    ) -> _Got | None:
        """One exchange, noted among the attempts; None if it gave no usable answer.

        Args:
            server: The name server.
            transport: ``udp`` or ``tcp``.
            patience: Seconds to wait.
            edns: Whether to send EDNS, to a server that is not known to be without it.
            again: Whether the server was silent before: then replies from elsewhere are noted.
        """
        resolver = self._resolver
        now = asyncio.get_running_loop().time
        start = now()
        when = min(self._deadline, start + patience)
        answer: Answer | None = None
        judge = Judge(self._name, self._rtype, self._read)
        stranger = judge.strangers.add if again else None
        payload = wire.EDNS_PAYLOAD if edns and not resolver.is_plain(server) else None
        try:
            answer = await self._exchange(server, transport, judge, when, payload, stranger)
            if payload is not None and _without_edns(answer):
                answer = await self._exchange(server, transport, judge, when, None, stranger)
                if not _without_edns(answer):
                    resolver.learn_plain(server)
            outcome, detail = resolver.outcome(server, answer, self._name, self._rtype)
            self._silent.discard(server)
        except TimeoutError:
            outcome, detail = judge.nothing()
            self._silent.add(server)
            self._late = True
        except wire.MalformedMessage as error:
            outcome, detail = Outcome.MALFORMED, str(error)
        except OSError as error:
            outcome, detail = Outcome.UNREACHABLE, (error.strerror or str(error)).lower()
        if outcome in OF_ONE_REPLICA and judge.connection is not None:
            resolver.retire(server, judge.connection)
        attempt = Attempt(
            server=resolver.texts[server],
            transport=transport,
            name=_fqdn(self._name),
            type=wire.TYPE_NAMES.get(self._rtype, f"TYPE{self._rtype}"),
            outcome=outcome,
            seconds=now() - start,
            detail=detail,
        )
        self._attempts.append(attempt)
        return _Got(attempt, answer) if answer is not None and outcome in USABLE else None

    def _exchange(
        self,
        server: Endpoint,
        transport: str,
        judge: Judge,
        when: float,
        payload: int | None,
        stranger: Callable[[str], object] | None,
    ) -> Coroutine[Any, Any, Answer]:
        question = _question(self._name, self._rtype, payload)
        if transport == "tcp":
            return self._resolver.exchange_tcp(server, question, judge, when)
        return _exchange_udp(server, question, judge, when, stranger)


async def _exchange_udp(
    server: Endpoint,
    question: bytes,
    judge: Judge,
    when: float,
    stranger: Callable[[str], object] | None,
) -> Answer:
    async with asyncio.timeout_at(when):
        return await exchange_udp(server, question, judge, stranger)


def _without_edns(answer: Answer) -> bool:
    """Whether a server answered that it may not know EDNS."""
    return not isinstance(answer, Listing) and answer.rcode in _NO_EDNS


@lru_cache(maxsize=64)
def _question(name: bytes, rtype: int, payload: int | None) -> bytes:
    return wire.query(0, name, rtype, payload=payload)


@lru_cache(maxsize=64)
def _fqdn(name: bytes) -> str:
    return wire.name_to_text(name) + "."


class Judge:
    """Reads the replies to one question, and notes what is none.

    Attributes:
        strangers: The addresses and ports that answered although they were not asked.
        connection: The TCP connection over which the question went, if it did.
    """

    __slots__ = ("_question", "_read", "_strays", "connection", "strangers")

    def __init__(self, name: bytes, rtype: int, read: ReadListing | None) -> None:
        self._question = (wire.Question(name, rtype, wire.IN),)
        self._read = read
        self._strays = 0
        self.strangers: set[str] = set()
        self.connection: TcpConnection | None = None

    def __call__(self, question: bytes, reply: bytes) -> Answer | None:
        if not wire.answers_to(reply, question):
            self._strays += 1
            return None
        if self._read is not None and (listing := self._read(reply)) is not None:
            return listing
        message = wire.read(reply)
        # A server that fails may leave the question out; an answer without it proves nothing.
        failed = message.rcode not in (wire.NOERROR, wire.NXDOMAIN)
        if message.questions != self._question and (message.questions or not failed):
            self._strays += 1
            return None
        return message

    def nothing(self) -> tuple[Outcome, str]:
        """What to say where the time was up."""
        if self.strangers:
            who = ", ".join(sorted(self.strangers)[:_MOST_STRANGERS])
            return Outcome.TIMEOUT, f"a reply came from {who} instead, and is not believed"
        if self._strays:
            return (
                Outcome.MALFORMED,
                f"{self._strays} messages that are no reply to the question",
            )
        return Outcome.TIMEOUT, ""
