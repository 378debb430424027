"""Strays, floods and expensive messages: what another party can make a lookup spend is bounded."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from peerdisco.dns import wire
from peerdisco.dns.bulk import ask_each
from peerdisco.dns.fast_path import AddressRecords
from peerdisco.dns.resolver import Reply, Resolver
from peerdisco.dns.transport import MOST_STRAYS, TooManyStrays, exchange_udp
from peerdisco.model import Outcome

from ..scripted import Asked, Script, Serve, addresses, dead_endpoint, outcomes, says, soon

NAME = wire.name_from_text("db.shop.svc.cluster.local")
OTHER = wire.name_from_text("xx.shop.svc.cluster.local")
QUESTION = wire.query(0, NAME, wire.A)

pytestmark = pytest.mark.usefixtures("nothing_is_left")

LONGEST_HOLD = 0.05
"""Seconds for which nothing may hold the event loop."""
LARGEST_DATAGRAM = 65507

ADDRESS = struct.pack("!HHIH4B", wire.A, wire.IN, 5, 4, 10, 6, 6, 6)


Build = Callable[[bytes], list[bytes]]
"""Makes the records of an answer about a name."""


def message(name: bytes, records: list[bytes], query_id: bytes = b"\0\0") -> bytes:
    """An answer with these records to a question for A."""
    header = query_id + b"\x84\0" + struct.pack("!4H", 1, len(records), 0, 0)
    return header + name + struct.pack("!HH", wire.A, wire.IN) + b"".join(records)


def pointers_into_a_long_name(name: bytes) -> list[bytes]:
    start = 12 + len(name) + 4
    records = [b"\1a" * 126 + b"\0" + ADDRESS]
    room = LARGEST_DATAGRAM - start - len(records[0])
    return records + [
        struct.pack("!H", 0xC000 | start + 2 * (n % 60 + 1)) + ADDRESS for n in range(room // 16)
    ]


def pointers_into_many_long_names(name: bytes) -> list[bytes]:
    start = 12 + len(name) + 4
    spelled = b"\1a" * 126 + b"\0" + ADDRESS
    many = (0x3FFF - start) // len(spelled)
    targets = [start + n * len(spelled) + 2 * label for label in range(1, 126) for n in range(many)]
    room = (LARGEST_DATAGRAM - start - many * len(spelled)) // 16
    return [spelled] * many + [
        struct.pack("!H", 0xC000 | targets[n % len(targets)]) + ADDRESS for n in range(room)
    ]


def names_of_many_labels(name: bytes) -> list[bytes]:
    spelled = b"\1a" * 126 + b"\0" + ADDRESS
    return [spelled] * ((LARGEST_DATAGRAM - len(name) - 16) // len(spelled))


def tiny_records(name: bytes) -> list[bytes]:
    tiny = b"\0" + struct.pack("!HHIH", 99, wire.IN, 5, 0)
    return [tiny] * ((LARGEST_DATAGRAM - len(name) - 16) // len(tiny))


EXPENSIVE = [
    pointers_into_a_long_name,
    pointers_into_many_long_names,
    names_of_many_labels,
    tiny_records,
]


def many_questions() -> bytes:
    return b"\0\0\x84\0" + struct.pack("!4H", 13000, 0, 0, 0) + b"\0\0\1\0\1" * 13000


def many_options() -> bytes:
    opt = b"\0" + struct.pack("!HHIH", wire.OPT, 1232, 0, 64000) + bytes(64000)
    plain = bytearray(message(NAME, []) + opt)
    plain[11] = 1
    return bytes(plain)


@pytest.mark.parametrize("records", EXPENSIVE)
def test_no_message_takes_long_to_read(records: Build) -> None:
    assert seconds_to_read(message(NAME, records(NAME))) < LONGEST_HOLD / 3


@pytest.mark.parametrize("build", [many_questions, many_options])
def test_questions_and_options_are_bounded(build: Callable[[], bytes]) -> None:
    raw = build()
    with pytest.raises(wire.MalformedMessage, match="more than"):
        wire.read(raw)
    assert seconds_to_read(raw) < LONGEST_HOLD / 10


def seconds_to_read(raw: bytes) -> float:
    """The processor's time for a message; the best of three, since others use the machine too."""
    best = float("inf")
    for _ in range(3):
        start = time.thread_time()
        with suppress(wire.MalformedMessage):
            wire.read(raw)
        best = min(best, time.thread_time() - start)
    return best


def test_the_largest_usual_answers_are_within_the_bounds() -> None:
    room = 65535 - 12 - len(NAME) - 4
    read = wire.read(message(NAME, [b"\xc0\x0c" + ADDRESS] * (room // 16)))
    assert len(read.answers) == room // 16
    # Without compression: the names of pods, label by label.
    owners = [wire.name_from_text(f"p-{n}.q.n.svc.cluster.local") for n in range(65535)]
    records, size = [], 0
    for owner in owners:
        size += len(owner) + len(ADDRESS)
        if size > room:
            break
        records.append(owner + ADDRESS)
    assert len(wire.read(message(NAME, records)).answers) == len(records) > 1000


@asynccontextmanager
async def loop_is_not_held() -> AsyncIterator[None]:
    """Fails if the event loop was held for longer than it may be, in the processor's time.

    Not in wall time: other programs use the machine too.
    """
    longest, before = 0.0, time.thread_time()

    async def beat() -> None:
        nonlocal longest, before
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, before = max(longest, now - before), now

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
    assert longest < LONGEST_HOLD


@pytest.mark.parametrize("records", EXPENSIVE)
@pytest.mark.parametrize("name", [NAME, OTHER], ids=["this question", "another question"])
async def test_expensive_messages_do_not_hold_the_event_loop(
    serve: Serve, records: Build, name: bytes
) -> None:
    raw = message(name, records(name))[2:]

    def script(asked: Asked) -> None:
        for _ in range(17):
            asked.send(asked.raw[:2] + raw)

    server = await serve(script)
    for tcp in (False, True):
        async with Resolver([server.endpoint]) as resolver, loop_is_not_held():
            await resolver.ask(NAME, wire.A, deadline=soon(0.3), tcp=tcp)


async def test_a_reply_to_another_question_is_not_read_on(serve: Serve) -> None:
    """Its records are broken, and still it is a stray, not a malformed reply."""

    def script(asked: Asked) -> None:
        asked.send(message(OTHER, [b"\xff\xff broken"], asked.raw[:2]))
        asked.answer("10.0.0.1")

    server = await serve(script)
    async with Resolver([server.endpoint]) as resolver:
        for tcp in (False, True):
            reply = await resolver.ask(NAME, wire.A, deadline=soon(), tcp=tcp)
            assert addresses(reply) == ["10.0.0.1"]
            assert len(reply.attempts) == 1


def stray(asked: Asked) -> bytes:
    return message(OTHER, [b"\xc0\x0c" + ADDRESS], asked.raw[:2])


def no_reply(question: bytes, reply: bytes) -> None:
    return None


async def test_a_flood_does_not_hold_off_the_timeout(serve: Serve) -> None:
    """Strays are sent as fast as they are received."""

    def script(asked: Asked) -> None:
        for _ in range(40):
            asked.send(stray(asked))

    def flooding(question: bytes, reply: bytes) -> None:
        # Not for ever, so that a receiver that does not yield fails and does not hang.
        if len(received) < 5000:
            server.asked[0].send(stray(server.asked[0]))
        received.append(reply)

    received: list[bytes] = []
    server = await serve(script)
    with pytest.raises(TooManyStrays):
        async with asyncio.timeout(5):
            await exchange_udp(server.endpoint, QUESTION, flooding)
    assert len(received) == MOST_STRAYS
    assert isinstance(TooManyStrays(), TimeoutError)


def strays_over(transport: str) -> Script:
    """Too many strays over this transport, an answer over the other."""

    def script(asked: Asked) -> None:
        if asked.transport == transport:
            for _ in range(MOST_STRAYS):
                asked.send(stray(asked))
        else:
            asked.answer("10.0.0.1")

    return script


async def test_after_too_many_strays_the_question_goes_over_tcp(serve: Serve) -> None:
    server = await serve(strays_over("udp"))
    now = asyncio.get_running_loop().time
    async with Resolver([server.endpoint]) as resolver:
        start = now()
        reply = await resolver.ask(NAME, wire.A, deadline=soon(5))
    assert addresses(reply) == ["10.0.0.1"]
    assert outcomes(reply)[0] == ("udp", Outcome.TIMEOUT)
    assert f"{MOST_STRAYS} messages that are no reply" in reply.attempts[0].detail
    assert now() - start < 0.9  # the socket was given up before its timeout


async def test_after_too_many_strays_over_tcp_the_question_goes_over_udp(serve: Serve) -> None:
    server = await serve(strays_over("tcp"))
    now = asyncio.get_running_loop().time
    async with Resolver([server.endpoint]) as resolver:
        start = now()
        reply = await resolver.ask(NAME, wire.A, deadline=soon(5), tcp=True)
    assert outcomes(reply) == [("tcp", Outcome.TIMEOUT), ("udp", Outcome.ANSWER)]
    assert now() - start < 0.9


async def test_a_batch_gives_up_after_too_many_strays(serve: Serve) -> None:
    """The questions are asked again over UDP."""

    def script(asked: Asked) -> None:
        if asked.transport == "tcp":
            asked.send(stray(asked))
        else:
            asked.answer("10.0.0.1")

    def found(read: wire.Message) -> AddressRecords:
        return AddressRecords(tuple(r.packed for r in read.answers if isinstance(r, wire.Address)))

    server = await serve(script)
    names = [wire.name_from_text(f"db-{n}.x") for n in range(MOST_STRAYS)]
    async with Resolver([server.endpoint]) as resolver:
        results = await ask_each(
            resolver,
            [(name, wire.A) for name in names],
            deadline=soon(20),
            read=lambda _number, _reply: None,
            convert=found,
        )
    assert not any(isinstance(result, Reply) for result in results)


async def test_a_server_of_strays_alone_is_not_asked_without_a_pause(serve: Serve) -> None:
    def script(asked: Asked) -> None:
        for _ in range(MOST_STRAYS):
            asked.send(stray(asked))

    server = await serve(script, tcp=False)
    now = asyncio.get_running_loop().time
    async with Resolver([server.endpoint]) as resolver:
        start = now()
        reply = await resolver.ask(NAME, wire.A, deadline=soon(1))
    assert now() - start < 1.1
    assert reply.outcome is Outcome.TIMEOUT
    assert len(server.asked) < 30


# What cannot be read.


def malformed(asked: Asked) -> None:
    asked.send(message(NAME, [b"\xff\xff broken"], asked.raw[:2]))


async def test_a_malformed_datagram_is_followed_by_tcp(serve: Serve) -> None:
    server = await serve(lambda a: malformed(a) if a.transport == "udp" else a.answer("10.0.0.1"))
    async with Resolver([server.endpoint]) as resolver:
        reply = await resolver.ask(NAME, wire.A, deadline=soon())
    assert outcomes(reply) == [("udp", Outcome.MALFORMED), ("tcp", Outcome.ANSWER)]


async def test_where_tcp_is_refused_it_is_followed_by_another_datagram(serve: Serve) -> None:
    def script(asked: Asked) -> None:
        malformed(asked) if len(server.asked) == 1 else asked.answer("10.0.0.1")

    server = await serve(script, tcp=False)
    async with Resolver([server.endpoint]) as resolver:
        reply = await resolver.ask(NAME, wire.A, deadline=soon())
    assert addresses(reply) == ["10.0.0.1"]
    assert outcomes(reply)[0] == ("udp", Outcome.MALFORMED)


async def test_a_malformed_reply_over_tcp_is_followed_by_udp(serve: Serve) -> None:
    server = await serve(lambda a: malformed(a) if a.transport == "tcp" else a.answer("10.0.0.1"))
    async with Resolver([server.endpoint]) as resolver:
        reply = await resolver.ask(NAME, wire.A, deadline=soon(), tcp=True)
    assert outcomes(reply) == [("tcp", Outcome.MALFORMED), ("udp", Outcome.ANSWER)]


async def test_a_server_whose_replies_cannot_be_read_is_asked_twice(serve: Serve) -> None:
    server, second = await serve(malformed), await serve(says("10.0.0.2"))
    async with Resolver([server.endpoint, second.endpoint]) as resolver:
        reply = await resolver.ask(NAME, wire.A, deadline=soon())
        assert addresses(reply) == ["10.0.0.2"]
    assert server.transports == ["udp", "tcp"]
    async with Resolver([server.endpoint, dead_endpoint()]) as resolver:
        reply = await resolver.ask(NAME, wire.A, deadline=soon())
    assert reply.message is None
    assert len(server.asked) == 4


@pytest.mark.parametrize("rcode", ["SERVFAIL", "NXDOMAIN"])
async def test_strays_do_not_change_the_outcome(serve: Serve, rcode: str) -> None:
    def script(asked: Asked) -> None:
        for _ in range(5):
            asked.send(stray(asked))
            asked.send(b"\xff")
        asked.answer(rcode=rcode)

    server = await serve(script)
    async with Resolver([server.endpoint]) as resolver:
        reply = await resolver.ask(NAME, wire.A, deadline=soon())
    assert reply.outcome is Outcome[rcode]
