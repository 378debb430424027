"""Asks name servers with c-ares, through aiodns; imported only if this resolver is chosen.

With an aiodns or a pycares that is too old, the import raises ImportError.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container, Sequence
from dataclasses import replace

from ..model import Attempt, Outcome
from ..names import Endpoint
from . import wire
from .aiodns_channel import Channel
from .evidence import is_within, shows_nothing, shows_zone
from .query import FIRST_TIMEOUT
from .reply import Reply
from .retries import REPLICA_FAILURES, FailedQuestions

__all__ = ["AiodnsResolver"]


_TRIES = 8
"""How often c-ares asks a server after the first round, each time with twice the timeout.

The deadline ends it. After a failure such as SERVFAIL it asks again too, from a new port.
"""

_AT_ONCE = 64

_NO_TRANSPORT = frozenset({Outcome.UNREACHABLE, Outcome.TIMEOUT})
_SILENCE = frozenset({Outcome.TIMEOUT})
_EVERY_WAY = ("udp", "plain", "tcp")
"""How to ask a silent server again: the path may drop messages with EDNS, or UDP."""


class AiodnsResolver:
    """Asks name servers through c-ares, and returns the same replies as `Resolver`.

    Each server has its own channel and they are asked in order, so that the one that answered is
    known; it is asked first in the rest of the lookup, which `begin` starts. c-ares retransmits and
    falls back to TCP on its own. It does not read ``/etc/resolv.conf``, which would hold the event
    loop if a mount hangs: the option ``timeout`` comes as the patience, and ``use-vc`` with the
    name servers (`Endpoint.tcp`). The deadline replaces ``attempts``, and ``rotate`` has no effect.

    c-ares caches answers for their TTL, and this cannot be switched off; the cache would hide every
    change. So a channel (a thread and four file descriptors) serves one call of `ask` or `ask_many`
    and is closed at its end. A call that is cancelled ends the questions of c-ares too.

    c-ares does not report everything. These are the gaps and how they are treated:

    - The transport: an attempt has the transport of the first question, or ``tcp`` if the answer
      is larger than any over UDP.
    - Truncation (TC). Over TCP an answer is truncated at 65,535 bytes, and glue is left out first
      (RFC 2181, 9). So an answer is complete if it has glue, or has room for another record even
      with every target and every owner's name but the question's counted in full: CoreDNS and BIND
      write no less. Any other answer counts as truncated, even if it was not. A server that
      truncates below 64 KiB over TCP is not noticed. One that then sends no record, as BIND does,
      has no data; that is an error for ``_port._proto`` names, which exist only with their records.
    - The SOA of a negative answer: for how long it holds (RFC 2308), and of which zone it is. With
      several servers it counts from one that named pods or services of the zone before, or has an
      SOA record when asked for it; a single server is believed, also where it is not one of the
      zone.
    - Referrals: they are no data.
    - Response codes but the common ones: an empty success is `Outcome.ERROR`. With records in it,
      which no server sends, it is an answer.

    Where TCP does not work, c-ares does not return a truncated answer, so there is no answer.

    It belongs to no event loop. Close it with `aclose`.

    Args:
        nameservers: In order of preference; at least one.
        patience: Seconds to wait for a server in the first round, 0.25 at least; None for two.
    """

    def __init__(self, nameservers: Sequence[Endpoint], *, patience: float | None = None) -> None:
        if not nameservers:
            raise ValueError("a resolver needs a name server")
        self.nameservers = tuple(nameservers)
        self._patience = patience
        self._first = 0
        self._zone: bytes | None = None
        self._serving: set[Endpoint] = set()
        """The servers that showed that they serve the zone."""
        self.failed = FailedQuestions()
        """The questions that failed at all of the servers."""
        self._channels: set[Channel] = set()
        self._closed = False

    async def aclose(self) -> None:
        """End what is being asked, without an answer."""
        self._closed = True
        for channel in list(self._channels):
            await channel.aclose()

    def use(self, nameservers: Sequence[Endpoint]) -> None:
        """Ask these from now on; none leaves it with those it has."""
        if nameservers and tuple(nameservers) != self.nameservers:
            self.nameservers = tuple(nameservers)
            self._first = 0
            self._serving.intersection_update(nameservers)

    def begin(self, zone: bytes | None) -> None:
        """Start a lookup; see `Resolver.begin`."""
        self._first = 0
        self.failed.begin()
        if zone != self._zone:
            self._zone = zone
            self._serving.clear()

    async def ask(self, name: bytes, rtype: int, *, deadline: float, tcp: bool = False) -> Reply:
        """Ask until a server answers, all have failed, or the deadline is reached.

        Args:
            name: In wire form.
            rtype: The record type's number.
            deadline: In the event loop's time.
            tcp: Ask over TCP at once; UDP then serves only where TCP fails.
        """
        return (await self.ask_many([(name, rtype)], deadline=deadline, tcp=tcp))[0]

    async def ask_many(
        self,
        questions: Sequence[tuple[bytes, int]],
        *,
        deadline: float,
        tcp: bool = False,
        at_once: int = _AT_ONCE,
    ) -> list[Reply]:
        """`ask` each question, at most ``at_once`` concurrently; the replies are in their order.

        Over TCP all go through one connection, over UDP through one socket.
        """
        asking = _Asking(self, questions, deadline, at_once)
        await asking.run(tcp or self.nameservers[0].tcp)
        replies = asking.replies()
        for question, reply in zip(questions, replies, strict=True):
            self.failed.note(question, reply.outcome)
        return replies

    def order(self) -> tuple[Endpoint, ...]:
        """The servers in the order in which to ask them."""
        return self.nameservers[self._first :] + self.nameservers[: self._first]

    def prefer(self, server: Endpoint) -> None:
        """Ask this server first in the rest of the lookup."""
        if server in self.nameservers:
            self._first = self.nameservers.index(server)

    async def learn_zone(self, server: Endpoint, way: str, name: bytes, deadline: float) -> None:
        """Find out whether a server serves the zone: it then has an SOA record to show.

        Args:
            server: The name server.
            way: See `ask_over`.
            name: A name that the server says it does not have, or without records.
            deadline: In the event loop's time.
        """
        zone = self._zone
        assert zone is not None
        apexes = [zone]
        while is_within(name, zone) and len(name) > len(zone):
            name = name[1 + name[0] :]
            if name != zone:
                apexes.append(name)
        questions = [(apex, wire.SOA) for apex in apexes]
        replies = await self.ask_over(server, way, questions, deadline, len(questions), 1)
        if any(reply.message and shows_zone(reply.message, zone) for reply in replies):
            self._serving.add(server)

    def is_unproven(self, server: Endpoint, reply: Reply) -> bool:
        """Whether this is a negative answer, and nothing shows that its server serves the zone."""
        zone, message = self._zone, reply.message
        if message is None or zone is None:
            return False
        if shows_zone(message, zone):
            self._serving.add(server)
        negative = reply.outcome in (Outcome.NO_DATA, Outcome.NXDOMAIN) and not message.answers
        return negative and len(set(self.nameservers)) > 1 and server not in self._serving

    def as_evidence(self, server: Endpoint, reply: Reply) -> Reply:
        """The reply, or a failure in place of a negative answer that proves nothing."""
        if not self.is_unproven(server, reply):
            return reply
        assert self._zone is not None
        detail = f"{reply.outcome.value}, and {shows_nothing(self._zone)}"
        attempt = replace(reply.attempt, outcome=Outcome.FOREIGN, detail=detail)
        return Reply((attempt,), attempt, None)

    async def ask_over(
        self,
        server: Endpoint,
        way: str,
        questions: Sequence[tuple[bytes, int]],
        deadline: float,
        at_once: int,
        tries: int,
    ) -> list[Reply]:
        """Ask one server these, through a channel of their own.

        Args:
            server: The name server.
            way: ``udp``, ``tcp``, or ``plain`` for UDP without EDNS.
            questions: Names in wire form, and record types.
            deadline: In the event loop's time.
            at_once: Questions that are pending concurrently, at most.
            tries: How often c-ares asks.
        """
        channel = Channel(server, way, deadline)
        if not self._closed:
            channel.open(self._patience, tries)
        self._channels.add(channel)
        slots = asyncio.Semaphore(at_once)

        async def one(name: bytes, rtype: int) -> Reply:
            async with slots:
                return await channel.ask(name, rtype)

        try:
            if len(questions) == 1:
                return [await channel.ask(*questions[0])]
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(*question)) for question in questions]
                if way == "tcp":
                    await channel.keep_sending(questions, tasks)
            return [task.result() for task in tasks]
        finally:
            self._channels.discard(channel)
            await channel.aclose()


class _Asking:
    """The questions of one call, on their way round the servers."""

    def __init__(
        self,
        resolver: AiodnsResolver,
        questions: Sequence[tuple[bytes, int]],
        deadline: float,
        at_once: int,
    ) -> None:
        self._resolver = resolver
        self._questions = questions
        self._deadline = deadline
        self._at_once = at_once
        self._attempts: list[list[Attempt]] = [[] for _ in questions]
        self._answers: dict[int, Reply] = {}
        self._last: dict[tuple[int, Endpoint], Outcome] = {}

    async def run(self, tcp: bool) -> None:
        """Ask until each has its answer, all servers have failed, or the deadline is reached."""
        servers = self._resolver.order()
        ways = ("tcp", "udp") if tcp else ("udp",)
        turns = (len(ways) + 1) * len(servers)
        for server in servers:
            await self._ask(server, ways[0], None, turns)
            if tcp:
                await self._ask(server, "udp", _NO_TRANSPORT, turns - 1)
            turns -= len(ways)
        await self._repeat_failures(servers, ways[0])
        turns = len(_EVERY_WAY) * len(servers)
        for server in servers:
            for way in _EVERY_WAY:
                await self._ask(server, way, _SILENCE, turns, _TRIES)
                turns -= 1

    async def _repeat_failures(self, servers: Sequence[Endpoint], way: str) -> None:
        """Ask again what failed as one replica behind a server's address may fail."""
        failed = self._resolver.failed
        pauses = [failed.pauses(question, len(servers)) for question in self._questions]
        for turn, pause in enumerate(max(pauses, default=())):
            now = asyncio.get_running_loop().time()
            again = {number for number, own in enumerate(pauses) if turn < len(own)}
            left = any(again.intersection(self._open(s, REPLICA_FAILURES)) for s in servers)
            if not left or now + pause >= self._deadline:
                break
            await asyncio.sleep(pause)
            for server in servers:
                await self._ask(server, way, REPLICA_FAILURES, len(servers), only=again)

    def replies(self) -> list[Reply]:
        """The replies, in the questions' order."""
        return [self._reply(number) for number in range(len(self._questions))]

    def _reply(self, number: int) -> Reply:
        attempts = self._attempts[number]
        answer = self._answers.get(number)
        if answer is not None:
            return Reply(tuple(attempts), answer.attempt, answer.message)
        late = [attempt for attempt in attempts if attempt.outcome is Outcome.TIMEOUT]
        up = asyncio.get_running_loop().time() >= self._deadline
        return Reply(tuple(attempts), (late if late and up else attempts)[-1], None)

    def _open(self, server: Endpoint, after: Container[Outcome] | None) -> list[int]:
        """Questions without an answer, for which this server had one of these outcomes last."""
        return [
            number
            for number in range(len(self._questions))
            if number not in self._answers
            and (after is None or self._last.get((number, server)) in after)
        ]

    async def _ask(
        self,
        server: Endpoint,
        way: str,
        after: Container[Outcome] | None,
        turns: int,
        tries: int = 1,
        only: Container[int] | None = None,
    ) -> None:
        """Ask a server the questions that have no answer yet.

        Args:
            server: The name server.
            way: See `AiodnsResolver.ask_over`.
            after: The last outcomes of that server after which to ask; None for any.
            turns: How many of these calls share the time that is left.
            tries: How often c-ares asks.
            only: The numbers of the questions to ask; None for all.
        """
        numbers = [n for n in self._open(server, after) if only is None or n in only]
        now = asyncio.get_running_loop().time()
        left = self._deadline - now
        if not numbers or (left <= 0 and self._attempts[numbers[0]]):
            return
        questions = [self._questions[number] for number in numbers]
        until = self._deadline if turns == 1 else now + left / turns
        replies = await self._resolver.ask_over(server, way, questions, until, self._at_once, tries)
        unproven = (
            n
            for n, r in zip(numbers, replies, strict=True)
            if self._resolver.is_unproven(server, r)
        )
        example = next(unproven, None)
        if example is not None:
            name = self._questions[example][0]
            until = min(self._deadline, asyncio.get_running_loop().time() + FIRST_TIMEOUT)
            await self._resolver.learn_zone(server, way, name, until)
        for number, came in zip(numbers, replies, strict=True):
            reply = self._resolver.as_evidence(server, came)
            self._attempts[number] += reply.attempts
            self._last[number, server] = reply.outcome
            if reply.message is not None:
                self._answers[number] = reply
                self._resolver.prefer(server)
