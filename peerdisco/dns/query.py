"""One question, asked of the name servers one after another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from itertools import count
from typing import NamedTuple

from ..model import Attempt, Outcome
from ..names import Endpoint
from . import wire
from .connections import Connections
from .evidence import USABLE
from .fast_path import ServiceRecords
from .reply import Answer, ReadServiceRecords, Reply
from .retries import PAUSES, REPLICA_FAILURES
from .servers import Servers
from .transport import TcpConnection, exchange_udp

__all__ = ["FIRST_TIMEOUT", "Query"]

FIRST_TIMEOUT = 1.0
"""Seconds to wait for a server in the first round; doubled with each round.

A name server inside a cluster answers in milliseconds, and a forwarding one gives up on its
upstream after two seconds. The wait is shorter where the deadline would not leave each server its
turn.
"""

_LONGEST_DOUBLING = 8

_TRY_UDP = frozenset({Outcome.UNREACHABLE, Outcome.TIMEOUT, Outcome.MALFORMED})
"""Outcomes over TCP after which to ask over UDP."""
_NO_EDNS = frozenset({wire.FORMERR, wire.NOTIMP, wire.BADVERS})
"""Response codes of servers that do not know EDNS (RFC 6891, 7)."""
_LARGEST_FAILURE = 512
"""Bytes of a failure that comes without the question; it is a header, and EDNS maybe."""
_MOST_SENDERS = 3
"""Addresses that a message names at most."""


class _Usable(NamedTuple):
    """A usable answer, and the exchange that brought it."""

    attempt: Attempt
    answer: Answer

    @property
    def final(self) -> bool:
        """Whether no other transport could give more."""
        return not self.answer.truncated or self.attempt.transport == "tcp"


class Query:
    """One question: its attempts, and what is known of the servers so far.

    Args:
        servers: The name servers.
        connections: Their TCP connections.
        name: In wire form.
        rtype: The record type's number.
        deadline: In the event loop's time.
        tcp: Ask over TCP first.
        read: Reads the usual answer about a service; None to read every reply in full.
    """

    def __init__(
        self,
        servers: Servers,
        connections: Connections,
        name: bytes,
        rtype: int,
        deadline: float,
        tcp: bool,
        read: ReadServiceRecords | None,
    ) -> None:
        self._servers = servers
        self._connections = connections
        self._name = name
        self._rtype = rtype
        self._deadline = deadline
        self._tcp = tcp
        self._read = read
        self._attempts: list[Attempt] = []
        self._silent: set[Endpoint] = set()
        """Servers that sent no reply in time."""
        self._timed_out = False
        """Whether a server sent no reply in this round."""
        self._truncated: _Usable | None = None
        """The answer to return if no server gives a complete one."""

    async def run(self) -> Reply:
        """Ask until a server answers, all have failed, or the deadline is reached."""
        reply = await self._run()
        self._servers.failed.note((self._name, self._rtype), reply.outcome)
        return reply

    async def _run(self) -> Reply:
        now = asyncio.get_running_loop().time
        for turn in count():
            before, self._timed_out, start = len(self._attempts), False, now()
            usable = await self._ask_each(turn)
            if usable is not None:
                return self._reply(usable)
            if self._truncated is not None or now() >= self._deadline:
                break
            if self._timed_out:
                # A round is shorter than its timeout if too many strays ended it.
                rest = start + PAUSES[min(turn, len(PAUSES) - 1)] - now()
                if rest > 0:
                    await asyncio.sleep(min(rest, self._deadline - now()))
            else:
                pauses = self._pauses()
                outcomes = {attempt.outcome for attempt in self._attempts[before:]}
                if outcomes.isdisjoint(REPLICA_FAILURES) or turn >= len(pauses):
                    break
                # A round that the deadline cut short would hide these failures under a timeout.
                latest = self._deadline - (now() - start)
                if now() + pauses[turn] >= latest:
                    break
                await asyncio.sleep(pauses[turn])
                if now() >= latest:
                    break
        return self._failure(before)

    def _pauses(self) -> tuple[float, ...]:
        servers = self._servers
        return servers.failed.pauses((self._name, self._rtype), len(servers.configured))

    async def _ask_each(self, turn: int) -> _Usable | None:
        """Ask each server once: one round, over when a server answers or the time is up."""
        now = asyncio.get_running_loop().time
        servers = self._servers.order()
        for place, server in enumerate(servers):
            timeout = self._timeout(turn, servers[place:], len(servers))
            if self._silent and server in self._silent:
                usable = await self._ask_every_way(server, timeout)
            else:
                usable = await self._ask_server(server, timeout)
            if usable is not None:
                self._servers.prefer(server)
                return usable
            if now() >= self._deadline:
                break
        return None

    def _timeout(self, turn: int, left: Sequence[Endpoint], servers: int) -> float:
        """Seconds for a server, shared equally with those left in this round.

        The first round leaves as much time for a second one.
        """
        if turn == 0:
            turns = servers + len(left) * (2 if self._tcp else 1)
        else:
            turns = sum(server in self._silent for server in left) or 1
        longest = FIRST_TIMEOUT * (1 << min(turn, _LONGEST_DOUBLING))
        return min(longest, (self._deadline - asyncio.get_running_loop().time()) / turns)

    def _failure(self, before: int) -> Reply:
        """The truncated answer, or a reply without one.

        Args:
            before: How many attempts were made before the last round.
        """
        if self._truncated is not None:
            return self._reply(self._truncated)
        last = self._attempts[before:] or self._attempts
        timeouts = [attempt for attempt in last if attempt.outcome is Outcome.TIMEOUT]
        return Reply(tuple(self._attempts), (timeouts or last)[-1], None)

    def _reply(self, usable: _Usable) -> Reply:
        attempt, answer = usable
        if isinstance(answer, ServiceRecords):
            return Reply(tuple(self._attempts), attempt, None, answer)
        return Reply(tuple(self._attempts), attempt, answer)

    async def _ask_server(self, server: Endpoint, timeout: float) -> _Usable | None:
        """The server's complete answer over either transport; None if it gives none."""
        tcp_first = self._tcp or server.tcp
        if tcp_first or self._truncated is not None:
            usable = await self._attempt(server, "tcp", timeout)
            if self._truncated is not None or self._attempts[-1].outcome not in _TRY_UDP:
                return usable
        usable = await self._attempt(server, "udp", timeout)
        if self._attempts[-1].outcome is Outcome.MALFORMED and not tcp_first:
            return await self._ask_after_malformed(server, timeout)
        if usable is None or usable.final:
            return usable
        self._truncated = usable
        return None if tcp_first else await self._attempt(server, "tcp", timeout)

    async def _ask_after_malformed(self, server: Endpoint, timeout: float) -> _Usable | None:
        """Ask over TCP after a malformed datagram, which may be forged; else once more over UDP."""
        usable = await self._attempt(server, "tcp", timeout)
        if self._attempts[-1].outcome is not Outcome.UNREACHABLE:
            return usable
        usable = await self._attempt(server, "udp", timeout)
        if usable is None or usable.final:
            return usable
        self._truncated = usable
        return None

    async def _ask_every_way(self, server: Endpoint, timeout: float) -> _Usable | None:
        """Ask a silent server over every transport at the same time.

        Something on the path may drop UDP, or messages with EDNS (RFC 6891, 6.2.2), or send the
        replies from another address.
        """
        ways = [("udp", True), ("udp", False), ("tcp", True)]
        if self._servers.is_plain(server):
            del ways[0]
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._attempt(server, transport, timeout, edns=edns, again=True))
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
        usable = tasks[won].result()
        if ways[won] == ("udp", False):
            self._servers.learn_plain(server)
        if usable is None or usable.final:
            return usable
        self._truncated = usable
        return await self._attempt(server, "tcp", timeout)

    async def _attempt(
        self,
        server: Endpoint,
        transport: str,
        timeout: float,
        *,
        edns: bool = True,
        again: bool = False,
    ) -> _Usable | None:
        """One exchange, recorded among the attempts; None if it gave no usable answer.

        Args:
            server: The name server.
            transport: ``udp`` or ``tcp``.
            timeout: Seconds to wait.
            edns: Whether to send EDNS, unless the server is known not to support it.
            again: Whether the server was silent before: then replies from elsewhere are recorded.
        """
        servers = self._servers
        now = asyncio.get_running_loop().time
        start = now()
        answer: Answer | None = None
        exchange = _Exchange(
            self._connections,
            server,
            self._name,
            self._rtype,
            self._read,
            until=min(self._deadline, start + timeout),
            note_senders=again,
        )
        send: Callable[[bool], Awaitable[Answer]]
        send = exchange.over_tcp if transport == "tcp" else exchange.over_udp
        try:
            edns = edns and not servers.is_plain(server)
            answer = await send(edns)
            if edns and _without_edns(answer):
                answer = await send(False)
                if not _without_edns(answer):
                    servers.learn_plain(server)
            outcome, detail = servers.outcome(server, answer, self._name, self._rtype)
            self._silent.discard(server)
        except TimeoutError:
            outcome, detail = Outcome.TIMEOUT, exchange.why_no_reply()
            self._silent.add(server)
            self._timed_out = True
        except wire.MalformedMessage as error:
            outcome, detail = Outcome.MALFORMED, str(error)
        except OSError as error:
            outcome, detail = Outcome.UNREACHABLE, (error.strerror or str(error)).lower()
        if outcome in REPLICA_FAILURES and exchange.connection is not None:
            self._connections.retire(server, exchange.connection)
        attempt = Attempt(
            server=servers.texts[server],
            transport=transport,
            name=_fqdn(self._name),
            type=wire.TYPE_NAMES.get(self._rtype, f"TYPE{self._rtype}"),
            outcome=outcome,
            seconds=now() - start,
            detail=detail,
            size=0 if answer is None else exchange.size,
            truncated=answer is not None and answer.truncated,
        )
        self._attempts.append(attempt)
        return _Usable(attempt, answer) if answer is not None and outcome in USABLE else None


def _without_edns(answer: Answer) -> bool:
    """Whether the response code is one of a server that may not know EDNS."""
    return not isinstance(answer, ServiceRecords) and answer.rcode in _NO_EDNS


@lru_cache(maxsize=64)
def _question(name: bytes, rtype: int, payload: int | None) -> bytes:
    return wire.query(0, name, rtype, payload=payload)


@lru_cache(maxsize=64)
def _fqdn(name: bytes) -> str:
    return wire.name_to_text(name) + "."


class _Exchange:
    """A question to one server: sends it, reads the replies, and counts strays.

    A stray is a message that is no reply to the question.

    Attributes:
        size: The length of the reply in bytes.
        connection: The TCP connection that brought the reply; None over UDP.
    """

    __slots__ = (
        "_connections",
        "_name",
        "_note_senders",
        "_read_records",
        "_rtype",
        "_senders",
        "_server",
        "_strays",
        "_until",
        "connection",
        "size",
    )

    def __init__(
        self,
        connections: Connections,
        server: Endpoint,
        name: bytes,
        rtype: int,
        read: ReadServiceRecords | None,
        *,
        until: float,
        note_senders: bool,
    ) -> None:
        self._connections = connections
        self._server = server
        self._name = name
        self._rtype = rtype
        self._read_records = read
        self._until = until
        self._note_senders = note_senders
        self._strays = 0
        self._senders: set[str] = set()
        """Addresses and ports other than the server's that sent something."""
        self.size = 0
        self.connection: TcpConnection | None = None

    def over_udp(self, edns: bool) -> Awaitable[Answer]:
        """One exchange over UDP; see `exchange_udp` for the errors."""
        note = self._senders.add if self._note_senders else None
        return exchange_udp(self._server, self._question(edns), self._read, self._until, note)

    async def over_tcp(self, edns: bool) -> Answer:
        """One exchange over TCP; see `Connections.exchange` for the errors."""
        answer: Answer
        answer, self.connection = await self._connections.exchange(
            self._server, self._question(edns), self._read, self._until
        )
        return answer

    def _question(self, edns: bool) -> bytes:
        return _question(self._name, self._rtype, wire.EDNS_PAYLOAD if edns else None)

    def _read(self, question: bytes, reply: bytes) -> Answer | None:
        """What a reply says; None for a stray. See `transport.ReplyReader`."""
        if not wire.answers_to(reply, question):
            self._strays += 1
            return None
        self.size = len(reply)
        read = self._read_records
        if read is not None and (records := read(reply)) is not None:
            return records
        asked = wire.question_of(reply)
        if asked == (self._name, self._rtype, wire.IN):
            return wire.read(reply)
        # A failure may come without the question; an answer without it proves nothing.
        if asked is None and len(reply) <= _LARGEST_FAILURE:
            message = wire.read(reply)
            if message.rcode not in (wire.NOERROR, wire.NXDOMAIN):
                return message
        self._strays += 1
        return None

    def why_no_reply(self) -> str:
        """The detail of a timeout. Strays never change the outcome: anybody can send them."""
        if self._senders:
            senders = ", ".join(sorted(self._senders)[:_MOST_SENDERS])
            return f"a reply came from {senders} instead, and is not believed"
        if self._strays:
            return f"{self._strays} messages that are no reply to the question"
        return ""
