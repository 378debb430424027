"""A large batch over several connections: what they share, and what the failure of one costs."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque

import pytest

from peerdisco.dns import resolver as module
from peerdisco.dns import wire
from peerdisco.dns.batch import AT_FIRST, AT_ONCE, Batch
from peerdisco.dns.resolver import Reply, Resolver
from peerdisco.dns.transport import TcpConnection
from peerdisco.model import Outcome

from ..scripted import Asked, Script, Serve, open_sockets, settle, silent, soon
from .test_bulk import MANY, NAMES, RIGHT, ask, packed, right

pytestmark = pytest.mark.usefixtures("nothing_is_left")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection is given up because the machine is busy."""
    monkeypatch.setattr(module, "FIRST_TIMEOUT", 60.0)


CONNECTIONS = module._SIDE_BY_SIDE
EACH = module._LEAST_EACH
SHARE = AT_FIRST // CONNECTIONS
"""Questions that are pending on one of them before the first reply."""


class Serial:
    """Answers as CoreDNS does: one question of each connection, then the next one of each.

    Attributes:
        rounds: How often it answered a question of each.
        most: The most questions that were pending.
    """

    def __init__(self) -> None:
        self.rounds = 0
        self.most = 0
        self._pending: dict[int | None, deque[Asked]] = defaultdict(deque)
        self._busy = False

    def __call__(self, asked: Asked) -> None:
        self._pending[asked.connection].append(asked)
        self.most = max(self.most, sum(map(len, self._pending.values())))
        if not self._busy:
            self._busy = True
            # The client has sent what it may send before the first answer.
            asyncio.get_running_loop().call_later(0.05, self._answer)

    def _answer(self) -> None:
        waiting = [queue for queue in self._pending.values() if queue]
        self._busy = bool(waiting)
        if waiting:
            self.rounds += 1
            for queue in waiting:
                right(queue.popleft())
            asyncio.get_running_loop().call_soon(self._answer)


async def test_a_server_that_answers_serially_is_asked_on_several(serve: Serve) -> None:
    """In a quarter of the time, and with no more questions pending than on one connection."""
    script = Serial()
    server = await serve(script)
    async with Resolver([server.endpoint]) as resolver:
        assert packed(await ask(resolver)) == RIGHT
    assert server.connections == CONNECTIONS == 4
    assert script.rounds < MANY / 3
    assert script.most <= AT_ONCE
    assert len(server.asked) == MANY, "each question was asked once"
    assert set(server.transports) == {"tcp"}


@pytest.mark.parametrize(
    ("questions", "connections"),
    [(5, 1), (2 * EACH - 1, 1), (2 * EACH, 2), (3 * EACH, 3), (4 * EACH, 4), (MANY, 4)],
)
async def test_each_connection_has_questions_enough(
    serve: Serve, questions: int, connections: int
) -> None:
    server = await serve(right)
    async with Resolver([server.endpoint]) as resolver:
        for _ in range(2):
            assert packed(await ask(resolver, NAMES[:questions])) == RIGHT[:questions]
    assert server.connections == connections, "they are kept from batch to batch"


async def test_the_next_lookup_keeps_one(serve: Serve) -> None:
    server = await serve(right)
    async with Resolver([server.endpoint]) as resolver:
        await ask(resolver)
        assert len(server.open) == CONNECTIONS
        resolver.begin(None)
        await settle(lambda: list(server.open) == [0])
        assert packed(await ask(resolver)) == RIGHT
        assert server.connections == 2 * CONNECTIONS - 1


async def test_other_name_servers_leave_none(serve: Serve) -> None:
    first, second = await serve(right), await serve(right)
    async with Resolver([first.endpoint]) as resolver:
        await ask(resolver)
        resolver.use([second.endpoint])
        await settle(lambda: not first.open)
        assert packed(await ask(resolver)) == RIGHT
    assert second.connections == CONNECTIONS


# What goes wrong on one of them.


def fails(asked: Asked) -> None:
    asked.answer(rcode="SERVFAIL")


def fails_without_the_question(asked: Asked) -> None:
    asked.send(asked.raw[:2] + b"\x80\x02" + bytes(8))


def hangs_up(asked: Asked) -> None:
    asked.hang_up()


def sends_no_message(asked: Asked) -> None:
    asked.send(b"xx")


def sends_half_a_reply(asked: Asked) -> None:
    asked.send(asked.reply("10.0.0.1")[:-3])


def sends_another_reply(asked: Asked) -> None:
    asked.send(asked.reply("10.6.6.6").replace(b"\x02db", b"\x02xx"))


@pytest.mark.parametrize(
    ("broken", "questions"),
    [
        (fails, 2 * EACH),
        (fails, MANY),
        (fails_without_the_question, 2 * EACH),
        (hangs_up, MANY),
        (sends_no_message, 2 * EACH),
        (sends_half_a_reply, 2 * EACH),
        (sends_another_reply, 2 * EACH),
        (silent, MANY),
    ],
)
async def test_a_replica_that_fails_costs_no_answer(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, broken: Script, questions: int
) -> None:
    """Each of its questions is asked again on the first connection, and it gets no further ones."""
    monkeypatch.setattr(module, "FIRST_TIMEOUT", 2.0)
    server = await serve(lambda asked: (broken if asked.connection else right)(asked))
    async with Resolver([server.endpoint]) as resolver:
        found = await ask(resolver, NAMES[:questions], deadline=soon(60))
    assert packed(found) == RIGHT[:questions]
    asked = Counter(one.connection for one in server.asked)
    assert all(asked[place] <= AT_ONCE // 2 for place in asked if place)
    assert set(server.transports) == {"tcp"}


async def test_a_connection_that_waits_for_its_turn_is_not_given_up(serve: Serve) -> None:
    """The server answers the questions of the others first, for longer than the time limit."""
    server = await serve(silent)
    connection = await TcpConnection.open(server.endpoint)
    batch = Batch([(NAMES[0], wire.A)], lambda number, reply: True)
    (share,) = batch.split(1)
    loop = asyncio.get_running_loop()

    def answer_another(left: int) -> None:
        share.taken += 1
        if left:
            loop.call_later(0.02, answer_another, left - 1)
        else:
            right(server.asked[0])

    loop.call_later(0.02, answer_another, 30)
    assert await connection.run(batch, 0.2, soon(60))
    batch.join()
    assert (batch.taken, batch.at_once, len(server.asked)) == (32, AT_ONCE, 1)
    await connection.aclose()


async def test_the_first_connection_that_dies_costs_what_it_had_not_answered(
    serve: Serve,
) -> None:
    def script(asked: Asked) -> None:
        if asked.connection == 0:
            asked.hang_up()
        else:
            right(asked)

    server = await serve(script)
    async with Resolver([server.endpoint]) as resolver:
        assert packed(await ask(resolver)) == RIGHT
    assert max(Counter(asked.label for asked in server.asked).values()) <= 2


async def test_where_every_replica_fails_each_connection_learns_it_once(serve: Serve) -> None:
    server = await serve(fails)
    async with Resolver([server.endpoint]) as resolver:
        results = await ask(resolver)
    assert {r.outcome for r in results if isinstance(r, Reply)} == {Outcome.SERVFAIL}
    assert len(results) == MANY
    over_several = [asked for asked in server.asked if asked.connection in range(1, CONNECTIONS)]
    assert len(over_several) <= (CONNECTIONS - 1) * SHARE


# Time.


async def test_the_deadline_ends_all_of_them(serve: Serve) -> None:
    server = await serve(lambda asked: right(asked) if asked.connection == 0 else None)
    async with Resolver([server.endpoint]) as resolver:
        results = await ask(resolver, deadline=soon(0.5))
    late = [found for found in results if isinstance(found, Reply)]
    assert {reply.outcome for reply in late} <= {Outcome.TIMEOUT}
    assert len(results) == MANY
    await settle(lambda: not server.open)


@pytest.mark.parametrize("wanted", [0, 1, SHARE, SHARE + 1, AT_FIRST])
async def test_asking_that_is_cancelled_leaves_nothing(serve: Serve, wanted: int) -> None:
    server = await serve(silent)
    before = open_sockets()
    resolver = Resolver([server.endpoint])
    task = asyncio.create_task(ask(resolver))
    await settle(lambda: len(server.asked) >= wanted)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == {asyncio.current_task()}
    server.script = right
    assert packed(await ask(resolver)) == RIGHT
    await resolver.aclose()
    await settle(lambda: open_sockets() == before)


async def test_closing_while_questions_are_pending_ends_them(serve: Serve) -> None:
    server = await serve(silent)
    before = open_sockets()
    resolver = Resolver([server.endpoint])
    task = asyncio.create_task(ask(resolver, deadline=soon(0.5)))
    await settle(lambda: len(server.asked) == AT_FIRST)
    await resolver.aclose()
    results = await task
    assert all(isinstance(found, Reply) and found.message is None for found in results)
    await settle(lambda: open_sockets() == before)
