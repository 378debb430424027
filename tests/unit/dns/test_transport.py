"""One message there and one back, over real sockets on loopback."""

from __future__ import annotations

import asyncio
import socket
from typing import cast

import pytest

from peerdisco.dns import transport as transport_module
from peerdisco.dns import wire
from peerdisco.dns.batch import Batch
from peerdisco.dns.transport import TcpConnection, exchange_udp

from ..scripted import (
    Asked,
    Serve,
    dead_endpoint,
    frame,
    has_ipv6,
    open_sockets,
    says,
    settle,
    silent,
)

NAME = wire.name_from_text("db.shop.svc.cluster.local")
QUESTION = wire.query(0, NAME, wire.A)


pytestmark = pytest.mark.usefixtures("nothing_is_left")


def read(question: bytes, reply: bytes) -> wire.Message | None:
    return wire.read(reply) if wire.answers_to(reply, question) else None


def addresses(message: wire.Message) -> list[str]:
    # dnspython writes the records of a set in any order.
    return sorted(
        socket.inet_ntoa(record.packed)
        for record in message.answers
        if isinstance(record, wire.Address)
    )


async def within(seconds: float, awaitable: asyncio.Task[wire.Message]) -> wire.Message:
    async with asyncio.timeout(seconds):
        return await awaitable


# UDP.


async def test_a_question_and_its_answer_over_udp(serve: Serve) -> None:
    server = await serve(says("10.0.0.1"))
    message = await exchange_udp(server.endpoint, QUESTION, read)
    assert addresses(message) == ["10.0.0.1"]
    (asked,) = server.asked
    assert asked.transport == "udp"
    assert asked.raw[2:] == QUESTION[2:]
    assert message.id == asked.message.id


async def test_each_question_has_its_own_port_and_a_random_id(serve: Serve) -> None:
    together = 16

    def when_all_have_come(asked: Asked) -> None:
        if len(server.asked) == together:
            for each in server.asked:
                each.answer("10.0.0.1")

    server = await serve(when_all_have_come)
    await asyncio.gather(*(exchange_udp(server.endpoint, QUESTION, read) for _ in range(together)))
    assert len({asked.client[1] for asked in server.asked}) == together
    # Sixteen random numbers of 16 bits: that half of them are equal happens to nobody.
    assert len({asked.message.id for asked in server.asked}) > together / 2


async def test_a_wait_over_udp_describes_no_socket(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asyncio puts what it waits for into an error that nobody sees; a socket takes it 13 us."""
    described: list[socket.socket] = []
    monkeypatch.setattr(socket.socket, "__repr__", lambda sock: described.append(sock) or "")
    server = await serve(says("10.0.0.1"))  # in this process, so that there is a wait
    described.clear()
    await exchange_udp(server.endpoint, QUESTION, read, asyncio.get_running_loop().time() + 5)
    assert described == []


async def test_a_port_where_nobody_listens_refuses() -> None:
    with pytest.raises(ConnectionRefusedError):
        await exchange_udp(dead_endpoint(), QUESTION, read)


async def test_strays_is_waited_over(serve: Serve) -> None:
    def script(asked: Asked) -> None:
        asked.send(b"")
        asked.send(b"x")
        asked.send(bytes((asked.raw[0] ^ 1,)) + asked.reply("10.6.6.6")[1:])
        asked.send(asked.raw)
        asked.answer("10.0.0.1")

    server = await serve(script)
    message = await exchange_udp(server.endpoint, QUESTION, read)
    assert addresses(message) == ["10.0.0.1"]


async def test_a_forger_at_another_port_is_not_heard(serve: Serve) -> None:
    """It knows the id and the client's port, and still is not the server that was asked."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
        forger.bind(("127.0.0.1", 0))

        def script(asked: Asked) -> None:
            forger.sendto(asked.reply("10.6.6.6"), asked.client)
            forger.sendto(b"", asked.client)
            forger.sendto(asked.raw[:2] + b"\x80\x00garbage", asked.client)
            asked.answer("10.0.0.1")

        server = await serve(script)
        seen: list[bytes] = []

        def watching(question: bytes, reply: bytes) -> wire.Message | None:
            seen.append(reply)
            return read(question, reply)

        message = await exchange_udp(server.endpoint, QUESTION, watching)
    assert addresses(message) == ["10.0.0.1"]
    assert len(seen) == 1


async def test_a_reply_that_cannot_be_read_is_reported(serve: Serve) -> None:
    server = await serve(lambda asked: asked.send(asked.reply("10.0.0.1")[:-3]))
    with pytest.raises(wire.MalformedMessage):
        await exchange_udp(server.endpoint, QUESTION, read)


async def test_a_large_datagram_is_read_whole(serve: Serve) -> None:
    many = [f"10.0.{n // 250}.{n % 250}" for n in range(2000)]
    server = await serve(says(*many))
    message = await exchange_udp(server.endpoint, QUESTION, read)
    assert addresses(message) == sorted(many)


async def test_a_wait_over_udp_that_is_cancelled_closes_its_socket(serve: Serve) -> None:
    server = await serve(silent)
    before = open_sockets()
    task = asyncio.create_task(exchange_udp(server.endpoint, QUESTION, read))
    await settle(lambda: len(server.asked) == 1)
    assert len(open_sockets() - before) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert open_sockets() == before


async def test_a_wait_over_udp_ends_in_time_and_closes_its_socket(serve: Serve) -> None:
    server = await serve(silent)
    before, now = open_sockets(), asyncio.get_running_loop().time
    start = now()
    with pytest.raises(TimeoutError):
        await exchange_udp(server.endpoint, QUESTION, read, start + 0.05)
    assert now() >= start + 0.04
    assert open_sockets() == before


async def test_strays_do_not_prolong_a_wait_over_udp(serve: Serve) -> None:
    """While one is ready, receiving does not suspend."""

    def script(asked: Asked) -> None:
        for _ in range(10):
            asked.send(b"stray")

    server = await serve(script)
    now = asyncio.get_running_loop().time
    read_until = now() + 0.02
    seen = 0

    def slow(question: bytes, reply: bytes) -> wire.Message | None:
        nonlocal seen
        seen += 1
        while now() < read_until:
            pass
        return None

    with pytest.raises(TimeoutError):
        await exchange_udp(server.endpoint, QUESTION, slow, read_until)
    assert seen == 1


@pytest.mark.skipif(
    not has_ipv6(),
    reason="this machine has no IPv6 loopback: sysctl net.ipv6.conf.lo.disable_ipv6=0",
)
async def test_both_transports_speak_ipv6(serve: Serve) -> None:
    server = await serve(says("10.0.0.1"), host="::1")
    assert addresses(await exchange_udp(server.endpoint, QUESTION, read)) == ["10.0.0.1"]
    connection = await TcpConnection.open(server.endpoint)
    assert addresses(await connection.exchange(QUESTION, read)) == ["10.0.0.1"]
    await connection.aclose()
    assert server.transports == ["udp", "tcp"]


# TCP.


async def test_questions_share_a_connection(serve: Serve) -> None:
    server = await serve(says("10.0.0.1"))
    connection = await TcpConnection.open(server.endpoint)
    assert not connection.used
    for _ in range(3):
        assert addresses(await connection.exchange(QUESTION, read)) == ["10.0.0.1"]
    assert connection.used
    assert server.connections == 1
    assert all(asked.raw[2:] == QUESTION[2:] for asked in server.asked)
    await connection.aclose()
    assert connection.closed


async def test_many_questions_at_a_time_have_different_ids(serve: Serve) -> None:
    many = 500

    def when_all_have_come(asked: Asked) -> None:
        if len(server.asked) == many:
            for each in server.asked:
                each.answer("10.0.0.1")

    server = await serve(when_all_have_come)
    connection = await TcpConnection.open(server.endpoint)
    await asyncio.gather(*(connection.exchange(QUESTION, read) for _ in range(many)))
    assert len({asked.message.id for asked in server.asked}) == many
    await connection.aclose()


async def test_replies_in_any_order_find_their_questions(serve: Serve) -> None:
    def when_all_have_come(asked: Asked) -> None:
        if len(server.asked) == 3:
            for each in reversed(server.asked):
                each.answer(f"10.0.0.{each.label.removeprefix('db-')}")

    server = await serve(when_all_have_come)
    connection = await TcpConnection.open(server.endpoint)
    questions = [wire.query(0, wire.name_from_text(f"db-{n}.x"), wire.A) for n in range(3)]
    messages = await asyncio.gather(*(connection.exchange(q, read) for q in questions))
    assert [addresses(message) for message in messages] == [
        ["10.0.0.0"],
        ["10.0.0.1"],
        ["10.0.0.2"],
    ]
    await connection.aclose()


async def test_a_reply_may_come_byte_by_byte_and_two_in_one_piece(serve: Serve) -> None:
    def byte_by_byte(asked: Asked) -> None:
        framed = frame(asked.reply("10.0.0.1"))

        def send(at: int) -> None:
            server.open[0].write(framed[at : at + 1])
            if at + 1 < len(framed):
                asyncio.get_running_loop().call_soon(send, at + 1)

        send(0)

    def two_in_one_piece(asked: Asked) -> None:
        if len(server.asked) == 3:
            server.open[0].write(b"".join(frame(a.reply("10.0.0.2")) for a in server.asked[1:]))

    server = await serve(byte_by_byte)
    connection = await TcpConnection.open(server.endpoint)
    assert addresses(await connection.exchange(QUESTION, read)) == ["10.0.0.1"]
    server.script = two_in_one_piece
    for message in await asyncio.gather(
        connection.exchange(QUESTION, read), connection.exchange(QUESTION, read)
    ):
        assert addresses(message) == ["10.0.0.2"]
    await connection.aclose()


async def test_the_largest_message_is_read_whole(serve: Serve) -> None:
    many = [f"10.0.{n // 250}.{n % 250}" for n in range(4000)]
    server = await serve(says(*many))
    connection = await TcpConnection.open(server.endpoint)
    assert len(addresses(await connection.exchange(QUESTION, read))) == 4000
    await connection.aclose()


async def test_replies_that_nobody_waits_for_are_dropped(serve: Serve) -> None:
    def script(asked: Asked) -> None:
        asked.send(bytes((asked.raw[0] ^ 1,)) + asked.reply("10.6.6.6")[1:])
        asked.send(asked.raw)  # right id, no reply
        asked.answer("10.0.0.1")
        asked.answer("10.6.6.6")

    server = await serve(script)
    connection = await TcpConnection.open(server.endpoint)
    for _ in range(2):
        assert addresses(await connection.exchange(QUESTION, read)) == ["10.0.0.1"]
    await connection.aclose()


async def test_a_question_that_was_given_up_leaves_nothing_behind(serve: Serve) -> None:
    server = await serve(silent)
    connection = await TcpConnection.open(server.endpoint)
    first = asyncio.create_task(connection.exchange(QUESTION, read))
    await settle(lambda: len(server.asked) == 1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    server.script = says("10.0.0.2")
    server.asked[0].answer("10.0.0.1")  # too late
    assert addresses(await connection.exchange(QUESTION, read)) == ["10.0.0.2"]
    assert connection._waiting == {}
    await connection.aclose()


async def test_a_reply_that_does_not_come_in_time_leaves_nothing_behind(serve: Serve) -> None:
    server = await serve(silent)
    connection = await TcpConnection.open(server.endpoint)
    now = asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError):
        await connection.exchange(QUESTION, read, now + 0.05)
    assert connection._waiting == {}
    assert not connection.usable, "nothing was heard of it since"
    server.script = says("10.0.0.2")
    assert addresses(await connection.exchange(QUESTION, read, now + 60)) == ["10.0.0.2"]
    assert connection.usable
    await connection.aclose()


async def test_one_batch_at_a_time(serve: Serve) -> None:
    server = await serve(silent)
    connection = await TcpConnection.open(server.endpoint)
    deadline = asyncio.get_running_loop().time() + 60

    def batch() -> Batch:
        return Batch([(NAME, wire.A)] * 3, lambda number, reply: True)

    out = asyncio.create_task(connection.run(batch(), 30.0, deadline))
    await settle(lambda: len(server.asked) == 3)
    with pytest.raises(RuntimeError, match="has a batch already"):
        await connection.run(batch(), 30.0, deadline)
    for asked in server.asked:
        asked.answer("10.0.0.1")
    assert await out
    assert await connection.run(Batch([], lambda number, reply: True), 1, 0)
    await connection.aclose()


async def test_a_reply_that_cannot_be_read_fails_its_question_alone(serve: Serve) -> None:
    def script(asked: Asked) -> None:
        if len(server.asked) == 2:
            first, second = server.asked
            first.send(first.reply("10.0.0.1")[:-2])
            second.answer("10.0.0.2")

    server = await serve(script)
    connection = await TcpConnection.open(server.endpoint)
    results = await asyncio.gather(
        connection.exchange(QUESTION, read),
        connection.exchange(QUESTION, read),
        return_exceptions=True,
    )
    assert isinstance(results[0], wire.MalformedMessage)
    assert isinstance(results[1], wire.Message)
    await connection.aclose()


@pytest.mark.parametrize("size", [0, 1, 11])
async def test_a_message_shorter_than_its_header_ends_the_connection(
    serve: Serve, size: int
) -> None:
    server = await serve(lambda asked: asked.send(bytes(size)))
    connection = await TcpConnection.open(server.endpoint)
    with pytest.raises(wire.MalformedMessage, match="shorter than its header"):
        await connection.exchange(QUESTION, read)
    await settle(lambda: connection.closed)
    await settle(lambda: not server.open)


async def test_a_connection_that_breaks_fails_everyone_who_waits(serve: Serve) -> None:
    def script(asked: Asked) -> None:
        if len(server.asked) == 3:
            asked.hang_up()

    server = await serve(script)
    connection = await TcpConnection.open(server.endpoint)
    results = await asyncio.gather(
        *(connection.exchange(QUESTION, read) for _ in range(3)), return_exceptions=True
    )
    assert [type(result) for result in results] == [ConnectionResetError] * 3
    assert connection.closed
    with pytest.raises(ConnectionError):
        await connection.exchange(QUESTION, read)


async def test_half_a_reply_is_no_reply(serve: Serve) -> None:
    def script(asked: Asked) -> None:
        server.open[0].write(frame(asked.reply("10.0.0.1"))[:-1])
        server.open[0].close()

    server = await serve(script)
    connection = await TcpConnection.open(server.endpoint)
    with pytest.raises(ConnectionResetError):
        await connection.exchange(QUESTION, read)
    assert not connection.used
    await settle(lambda: connection.closed)


async def test_a_refused_connection_is_reported(serve: Serve) -> None:
    server = await serve(says("10.0.0.1"), tcp=False)
    with pytest.raises(ConnectionRefusedError, match="Connection refused"):
        await TcpConnection.open(server.endpoint)


async def test_closing_ends_what_waits_and_may_be_done_twice(serve: Serve) -> None:
    server = await serve(silent)
    connection = await TcpConnection.open(server.endpoint)
    waiting = asyncio.create_task(connection.exchange(QUESTION, read))
    await settle(lambda: len(server.asked) == 1)
    await connection.aclose()
    await connection.aclose()
    with pytest.raises(ConnectionError):
        await waiting
    await settle(lambda: not server.open)


async def test_connecting_that_is_cancelled_at_any_moment_leaves_nothing(serve: Serve) -> None:
    server = await serve(silent)
    before = open_sockets()
    cancelled = 0
    for turns in range(100):
        task = asyncio.create_task(TcpConnection.open(server.endpoint))
        for _ in range(turns):
            await asyncio.sleep(0)
        if task.done():
            await task.result().aclose()
            break
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        cancelled += 1
        await settle(lambda: open_sockets() == before)
    else:
        raise AssertionError("it never connected")
    assert cancelled > 1


# Event loops other than asyncio's.


class Foreign:
    """A transport of no class of asyncio's; it closes nothing on its own."""

    def __init__(self) -> None:
        self.aborted = 0

    def abort(self) -> None:
        self.aborted += 1

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default


def connection_over(transport: Foreign) -> TcpConnection:
    connection = TcpConnection()
    connection.connection_made(cast("asyncio.Transport", transport))
    return connection


async def test_a_transport_of_any_class_will_do() -> None:
    transport = Foreign()
    connection = connection_over(transport)
    closing = asyncio.create_task(connection.aclose())
    await settle(lambda: transport.aborted == 1)
    connection.connection_lost(None)
    await closing
    assert connection.closed


async def test_the_wait_for_a_close_ends_if_the_loop_never_reports_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transport_module, "CLOSE_TIMEOUT", 0.01)
    connection = connection_over(Foreign())
    async with asyncio.timeout(5):
        await connection.aclose()
    assert not connection.closed


async def test_a_connection_that_never_came_about_is_closed_without_waiting_forever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transport_module, "CLOSE_TIMEOUT", 0.01)
    async with asyncio.timeout(5):
        await TcpConnection().aclose()
