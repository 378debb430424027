"""Real watchers, over real sockets, in a time that passes when all of them wait for it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

import peerdisco
from peerdisco.testing.cache import AnswerCache
from peerdisco.testing.cluster import Cluster
from peerdisco.testing.faults import Transport
from peerdisco.testing.listener import Listener
from peerdisco.testing.responder import Reaction, Responder

from .simulation import chance_of
from .sizes import FRAME, Messages

_TURNS = 20
"""How often the event loop goes round for everybody to do what can be done without waiting."""


class CommonClock:
    """Time for so many watchers: it goes on to the next who is due as soon as all of them wait.

    Args:
        watchers: How many.
        actions: What to do when, before whoever is due then.
    """

    def __init__(
        self, watchers: int, actions: Sequence[tuple[float, Callable[[], object]]] = ()
    ) -> None:
        self._watchers = watchers
        self._actions = sorted(actions, key=lambda action: action[0])
        self._now = 0.0
        self._waits: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._all_wait = asyncio.Event()

    def now(self) -> float:
        return self._now

    def utcnow(self) -> datetime:
        return datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=self._now)

    async def wait(self, event: asyncio.Event, seconds: float | None) -> bool:
        assert seconds is not None
        due = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waits, (self._now + seconds, next(self._order), due))
        if len(self._waits) == self._watchers:
            self._all_wait.set()
        await due
        return event.is_set()

    async def run(self, end: float) -> None:
        """Let time pass until then."""
        while True:
            await self._all_wait.wait()
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            time, _, due = self._waits[0]
            while self._actions and self._actions[0][0] <= min(time, end):
                self._actions.pop(0)[1]()
            if time >= end:
                return
            heapq.heappop(self._waits)
            self._all_wait.clear()
            self._now = time
            due.set_result(None)


class CountingDNS:
    """The testing kit's DNS, and what went over its sockets.

    Args:
        cluster: What it answers about; it does not shuffle.
        cached: For how many seconds it keeps its answers; None if it keeps none.
        now: The time.
    """

    def __init__(
        self, cluster: Cluster, cached: int | None = None, now: Callable[[], float] = lambda: 0.0
    ) -> None:
        self._responder = Responder(cluster, shuffle=lambda _: None)
        if cached is not None:
            self._responder.caches(AnswerCache(cached), now)
        self._now = now
        self._listener = Listener(self._react, idle_timeout=60.0)
        self.nameserver = ""
        self.exchanges: list[tuple[float, Messages]] = []

    async def __aenter__(self) -> Self:
        self.nameserver = f"127.0.0.1:{await self._listener.open('127.0.0.1', 0)}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._listener.aclose()

    def _react(self, question: bytes, transport: Transport) -> Reaction:
        now = self._now()
        reaction = self._responder.react(question, transport, now)
        assert reaction.reply is not None
        frame = FRAME if transport == "tcp" else 0
        sizes = Messages(1, len(question) + frame, len(reaction.reply) + frame)
        self.exchanges.append((now, sizes))
        return reaction

    def counted(self, start: float = 0.0) -> Messages:
        """All that was asked and answered later than that."""
        return sum((sizes for time, sizes in self.exchanges if time > start), Messages())


Change = tuple[float, frozenset[str], frozenset[str], frozenset[str]]
"""When, and the names of those who joined, left and were replaced."""


async def watch(
    dns: CountingDNS, clock: CommonClock, service: str, watchers: int, end: float, seed: int = 0
) -> list[list[Change]]:
    """The changes that each watcher reports until then, with the jitter of the simulated one."""
    reported: list[list[Change]] = [[] for _ in range(watchers)]

    async def follow(disco: peerdisco.Discovery, number: int) -> None:
        async for change in disco.watch():
            reported[number].append(
                (
                    clock.now(),
                    frozenset(peer.name for peer in change.joined),
                    frozenset(peer.name for peer in change.left),
                    frozenset(new.name for _, new in change.replaced),
                )
            )

    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        followers = []
        for number in range(watchers):
            disco = peerdisco.Discovery(
                service,
                source="dns",
                nameservers=[dns.nameserver],
                clock=clock,
                chance=chance_of(seed, number).random,
            )
            await stack.enter_async_context(disco)
            followers.append(group.create_task(follow(disco, number)))
        await clock.run(end)
        for follower in followers:
            follower.cancel()
    return reported
