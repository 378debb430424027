"""What holds for whoever asks the name servers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

import pytest

from peerdisco.dns import wire
from peerdisco.dns.resolver import FIRST_TIMEOUT
from peerdisco.model import Outcome
from tests.unit.scripted import (
    Asked,
    Script,
    Serve,
    addresses,
    cut_over_udp,
    dead_endpoint,
    has_ipv6,
    outcomes,
    says,
    settle,
    silent,
    soon,
)

from .resolvers import NAME, Held, Kind, Limit

# Outcomes.


async def test_an_answer(kind: Kind, serve: Serve) -> None:
    server = await serve(says("10.0.0.1"))
    asking = kind.open(server)
    reply = await asking.ask(NAME, wire.A, deadline=soon())
    await asking.aclose()
    assert addresses(reply) == ["10.0.0.1"]
    assert reply.outcome is Outcome.ANSWER
    assert not reply.truncated
    (attempt,) = reply.attempts
    assert attempt.server == str(server.endpoint)
    assert (attempt.transport, attempt.type) == ("udp", "A")
    assert attempt.name == "db.shop.svc.cluster.local."
    assert 0 <= attempt.seconds < 60
    assert server.asked[0].message.edns_payload == 1232


async def test_a_name_without_such_records_is_an_answer(kind: Kind, serve: Serve) -> None:
    server, other = await serve(says()), await serve(says("10.0.0.1"))
    asking = kind.open(server, other)
    reply = await asking.ask(NAME, wire.A, deadline=soon())
    await asking.aclose()
    assert outcomes(reply) == [("udp", Outcome.NO_DATA)]
    assert reply.message is not None
    assert other.asked == []


async def test_records_of_another_type_are_no_data(kind: Kind, serve: Serve) -> None:
    server = await serve(says("10.0.0.1"))
    asking = kind.open(server)
    reply = await asking.ask(NAME, wire.SRV, deadline=soon())
    await asking.aclose()
    assert reply.outcome is Outcome.NO_DATA
    assert reply.message is not None


async def test_nxdomain_is_final(kind: Kind, serve: Serve) -> None:
    server = await serve(lambda asked: asked.send(asked.reply(rcode="NXDOMAIN", soa=True)))
    other = await serve(says("10.0.0.1"))
    asking = kind.open(server, other)
    reply = await asking.ask(NAME, wire.A, deadline=soon())
    await asking.aclose()
    assert outcomes(reply) == [("udp", Outcome.NXDOMAIN)]
    assert reply.message is not None
    assert reply.message.negative_ttl == (5 if kind.can(Limit.TELL_THE_SOA) else None)
    assert other.asked == []


def garbage(asked: Asked) -> None:
    asked.send(asked.raw[:2] + b"\x80" + b"garbage!" * 3)


AFTER_MALFORMED = ("tcp", Outcome.MALFORMED)
"""The builtin resolver asks over TCP after a malformed datagram; this server's is malformed too."""

FAILURES: dict[str, tuple[Script, Outcome, str]] = {
    "SERVFAIL": (says(rcode="SERVFAIL"), Outcome.SERVFAIL, ""),
    "REFUSED": (says(rcode="REFUSED"), Outcome.REFUSED, ""),
    "SERVFAIL with records": (says("10.6.6.6", rcode="SERVFAIL"), Outcome.SERVFAIL, ""),
    "NOTIMP": (says(rcode="NOTIMP"), Outcome.ERROR, "NOTIMP"),
    "FORMERR": (says(rcode="FORMERR"), Outcome.ERROR, "FORMERR"),
    "YXDOMAIN": (says(rcode="YXDOMAIN"), Outcome.ERROR, ""),
    "NOTAUTH": (says(rcode="NOTAUTH"), Outcome.ERROR, ""),
    "garbage": (garbage, Outcome.MALFORMED, ""),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_server_that_fails_is_followed_by_the_next(
    kind: Kind, serve: Serve, failure: str
) -> None:
    script, outcome, _ = FAILURES[failure]
    first, second = await serve(script), await serve(says("10.0.0.1"))
    asking = kind.open(first, second)
    reply = await asking.ask(NAME, wire.A, deadline=soon())
    await asking.aclose()
    seen = [each for each in outcomes(reply) if each != AFTER_MALFORMED]
    assert seen == kind.reported(("udp", outcome), ("udp", Outcome.ANSWER))
    assert addresses(reply) == ["10.0.0.1"]


@pytest.mark.parametrize("failure", FAILURES)
async def test_no_failure_is_an_empty_answer(kind: Kind, serve: Serve, failure: str) -> None:
    script, outcome, detail = FAILURES[failure]
    servers = [await serve(script) for _ in range(3)]
    asking = kind.open(*servers)
    reply = await asking.ask(NAME, wire.A, deadline=soon(30))
    await asking.aclose()
    assert set(outcomes(reply)) - {AFTER_MALFORMED} == {("udp", outcome)}
    assert {attempt.server for attempt in reply.attempts} == {str(s.endpoint) for s in servers}
    assert detail in reply.attempt.detail
    assert reply.message is None
    assert not reply.truncated


async def test_a_code_that_is_no_error_of_c_ares_passes_with_records(
    kind: Kind, serve: Serve
) -> None:
    server = await serve(says("10.6.6.6", rcode="YXDOMAIN"))
    asking = kind.open(server)
    reply = await asking.ask(NAME, wire.A, deadline=soon())
    await asking.aclose()
    expected = Outcome.ERROR if kind.can(Limit.REPORT_EVERY_CODE) else Outcome.ANSWER
    assert reply.outcome is expected


async def test_a_port_where_nobody_listens_is_followed_by_the_next(
    kind: Kind, serve: Serve
) -> None:
    second = await serve(says("10.0.0.1"))
    asking = kind.open(dead_endpoint(), second)
    reply = await asking.ask(NAME, wire.A, deadline=soon())
    await asking.aclose()
    assert outcomes(reply) == kind.reported(("udp", Outcome.UNREACHABLE), ("udp", Outcome.ANSWER))
    assert addresses(reply) == ["10.0.0.1"]


@pytest.mark.parametrize("tcp", [False, True])
async def test_nobody_listens(kind: Kind, tcp: bool) -> None:
    asking = kind.open(dead_endpoint())
    reply = await asking.ask(NAME, wire.A, deadline=soon(), tcp=tcp)
    await asking.aclose()
    over = ["tcp", "udp"] if tcp else ["udp"]
    assert outcomes(reply) == [(transport, Outcome.UNREACHABLE) for transport in over]
    assert reply.message is None


async def test_a_silent_server_is_followed_by_the_next(kind: Kind, serve: Serve) -> None:
    first, second = await serve(silent), await serve(says("10.0.0.1"))
    asking = kind.open(first, second)
    reply = await asking.ask(NAME, wire.A, deadline=soon(30))
    await asking.aclose()
    assert outcomes(reply) == kind.reported(("udp", Outcome.TIMEOUT), ("udp", Outcome.ANSWER))
    assert len(first.asked) == 1


async def test_a_lost_datagram_is_asked_again(kind: Kind, serve: Serve) -> None:
    def second_time(asked: Asked) -> None:
        if len(server.asked) > 1:
            asked.answer("10.0.0.1")

    server = await serve(second_time)
    asking = kind.open(server)
    reply = await asking.ask(NAME, wire.A, deadline=soon(30))
    await asking.aclose()
    assert outcomes(reply)[0] == ("udp", Outcome.TIMEOUT)
    assert addresses(reply) == ["10.0.0.1"]


async def test_a_silent_server_is_asked_again_where_another_fails(kind: Kind, serve: Serve) -> None:
    """The one that keeps silent may be the one that knows."""

    def second_time(asked: Asked) -> None:
        if len(quiet.asked) > 1:
            asked.answer("10.0.0.1")

    quiet, broken = await serve(second_time), await serve(says(rcode="SERVFAIL"))
    asking = kind.open(quiet, broken)
    reply = await asking.ask(NAME, wire.A, deadline=soon(30))
    await asking.aclose()
    assert addresses(reply) == ["10.0.0.1"]
    assert len(quiet.asked) >= 2


async def test_each_lookup_begins_with_the_first_server(kind: Kind, serve: Serve) -> None:
    """Within a lookup the server that answered is asked first."""
    first, second = await serve(says(rcode="NOTIMP")), await serve(says("10.0.0.1"))
    asking = kind.open(first, second)
    for lookup in range(1, 4):
        asking.begin(None)
        for _ in range(3):
            assert addresses(await asking.ask(NAME, wire.A, deadline=soon())) == ["10.0.0.1"]
        # Of a server that may not know EDNS a second question asks without.
        assert len({asked.client for asked in first.asked}) <= 2 * lookup
        assert len(second.asked) == 3 * lookup
    first.script = says("10.0.0.9")
    asking.begin(None)
    assert addresses(await asking.ask(NAME, wire.A, deadline=soon())) == ["10.0.0.9"]
    await asking.aclose()


async def test_other_servers_may_be_named(kind: Kind, serve: Serve) -> None:
    first, second = await serve(says("10.0.0.1")), await serve(says("10.0.0.2"))
    asking = kind.open(first)
    assert addresses(await asking.ask(NAME, wire.A, deadline=soon())) == ["10.0.0.1"]
    asking.use([second.endpoint])
    assert addresses(await asking.ask(NAME, wire.A, deadline=soon())) == ["10.0.0.2"]
    asking.use([])
    assert addresses(await asking.ask(NAME, wire.A, deadline=soon())) == ["10.0.0.2"]
    await asking.aclose()


def test_a_resolver_needs_a_server(kind: Kind) -> None:
    with pytest.raises(ValueError, match="needs a name server"):
        kind.open()


async def test_what_is_new_is_seen_at_once(kind: Kind, serve: Serve) -> None:
    """The records say that they hold for 30 s, the absence for 5 s; nothing is held."""
    server = await serve(says("10.0.0.1"))
    asking = kind.open(server)
    assert addresses(await asking.ask(NAME, wire.A, deadline=soon())) == ["10.0.0.1"]
    server.script = says("10.0.0.2")
    assert addresses(await asking.ask(NAME, wire.A, deadline=soon())) == ["10.0.0.2"]
    server.script = lambda asked: asked.send(asked.reply(rcode="NXDOMAIN", soa=True))
    assert (await asking.ask(NAME, wire.A, deadline=soon())).outcome is Outcome.NXDOMAIN
    server.script = says("10.0.0.3")
    assert addresses(await asking.ask(NAME, wire.A, deadline=soon())) == ["10.0.0.3"]
    await asking.aclose()
    assert len(server.asked) == 4


# What is no reply.


def another_id(asked: Asked) -> None:
    asked.send(bytes((asked.raw[0] ^ 0xFF,)) + asked.reply("10.6.6.6")[1:])


def another_question(asked: Asked) -> None:
    asked.send(asked.reply("10.6.6.6").replace(b"\x02db", b"\x02xx"))


def another_type(asked: Asked) -> None:
    other = bytearray(asked.reply())
    other[12 + len(NAME) + 1] = wire.SRV
    asked.send(bytes(other))


STRAYS = [another_id, another_question, another_type]


@pytest.mark.parametrize("stray", STRAYS)
async def test_what_is_no_reply_to_the_question_is_waited_over(
    kind: Kind, serve: Serve, stray: Script
) -> None:
    def script(asked: Asked) -> None:
        stray(asked)
        asked.answer("10.0.0.1")

    server = await serve(script)
    asking = kind.open(server)
    reply = await asking.ask(NAME, wire.A, deadline=soon())
    await asking.aclose()
    assert addresses(reply) == ["10.0.0.1"]
    assert len(server.asked) == 1


@pytest.mark.parametrize("stray", STRAYS)
async def test_nothing_but_strays_is_no_answer(kind: Kind, serve: Serve, stray: Script) -> None:
    server = await serve(stray)
    asking = kind.open(server)
    reply = await asking.ask(NAME, wire.A, deadline=soon(0.4))
    await asking.aclose()
    assert reply.outcome in (Outcome.MALFORMED, Outcome.TIMEOUT)
    assert reply.message is None


async def test_a_forger_at_another_port_is_not_heard(kind: Kind, serve: Serve) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
        forger.bind(("127.0.0.1", 0))

        def script(asked: Asked) -> None:
            forger.sendto(asked.reply("10.6.6.6"), asked.client)
            forger.sendto(asked.reply(rcode="NXDOMAIN"), asked.client)
            asked.answer("10.0.0.1")

        server = await serve(script)
        asking = kind.open(server)
        reply = await asking.ask(NAME, wire.A, deadline=soon())
        await asking.aclose()
    assert addresses(reply) == ["10.0.0.1"]


async def test_names_are_read_in_lower_case(kind: Kind, serve: Serve) -> None:
    def script(asked: Asked) -> None:
        reply = asked.reply("10.0.0.1")
        asked.send(reply[:12] + NAME.upper() + reply[12 + len(NAME) :])

    server = await serve(script)
    asking = kind.open(server)
    reply = await asking.ask(NAME, wire.A, deadline=soon())
    await asking.aclose()
    assert reply.message is not None
    assert [record.owner for record in reply.message.answers] == [NAME]


# Truncation and TCP.


async def test_a_cut_answer_is_asked_for_over_tcp(kind: Kind, serve: Serve) -> None:
    server = await serve(cut_over_udp("10.0.0.1", "10.0.0.2"))
    asking = kind.open(server)
    reply = await asking.ask(NAME, wire.A, deadline=soon())
    await asking.aclose()
    assert addresses(reply) == ["10.0.0.1", "10.0.0.2"]
    assert outcomes(reply) == kind.reported(("udp", Outcome.ANSWER), ("tcp", Outcome.ANSWER))
    assert server.transports == ["udp", "tcp"]
    assert not reply.truncated


async def test_a_cut_answer_without_records_is_asked_for_over_tcp(kind: Kind, serve: Serve) -> None:
    server = await serve(
        lambda asked: asked.answer(
            *([] if asked.transport == "udp" else ["10.0.0.1"]), tc=asked.transport == "udp"
        )
    )
    asking = kind.open(server)
    reply = await asking.ask(NAME, wire.A, deadline=soon())
    await asking.aclose()
    assert addresses(reply) == ["10.0.0.1"]


async def test_an_answer_that_had_to_come_over_tcp_says_so(kind: Kind, serve: Serve) -> None:
    """A service that is known to be large is asked over TCP at once the next time."""
    many = [f"10.0.{n // 250}.{n % 250}" for n in range(100)]
    server = await serve(cut_over_udp(*many))
    asking = kind.open(server)
    reply = await asking.ask(NAME, wire.A, deadline=soon())
    await asking.aclose()
    assert addresses(reply) == sorted(many)
    assert reply.attempts[-1].transport == "tcp"


async def test_an_answer_cut_over_tcp_too_is_said_to_be_cut(kind: Kind, serve: Serve) -> None:
    """One that is far from filling a message does not show it to all of them."""
    server = await serve(says("10.0.0.1", tc=True))
    asking = kind.open(server)
    reply = await asking.ask(NAME, wire.A, deadline=soon())
    await asking.aclose()
    assert reply.truncated is kind.can(Limit.SEE_TC)
    assert addresses(reply) == ["10.0.0.1"]
    assert server.transports == ["udp", "tcp"]


async def test_an_answer_cut_to_nothing_over_tcp_is_no_departure(kind: Kind, serve: Serve) -> None:
    server = await serve(says(tc=True))
    asking = kind.open(server)
    reply = await asking.ask(NAME, wire.A, deadline=soon())
    await asking.aclose()
    assert reply.truncated is kind.can(Limit.SEE_TC)
    assert reply.outcome is (Outcome.ANSWER if kind.can(Limit.SEE_TC) else Outcome.NO_DATA)


FITS = 4000
"""So many A records of one name take 64,000 bytes, and leave room for another."""
FULL = 4090


@pytest.mark.parametrize("count", [FITS, FULL])
async def test_an_answer_that_fills_a_message_may_be_cut(
    kind: Kind, serve: Serve, count: int
) -> None:
    many = [f"10.{n // 65536}.{n // 256 % 256}.{n % 256}" for n in range(count)]
    server = await serve(says(*many))
    asking = kind.open(server)
    reply = await asking.ask(NAME, wire.A, deadline=soon(30), tcp=True)
    await asking.aclose()
    assert len(addresses(reply)) == count
    assert reply.truncated is (count == FULL and not kind.can(Limit.SEE_TC))


@pytest.mark.parametrize("tcp", [False, True])
async def test_a_cut_answer_where_tcp_is_refused(kind: Kind, serve: Serve, tcp: bool) -> None:
    server = await serve(cut_over_udp("10.0.0.1", "10.0.0.2"), tcp=False)
    asking = kind.open(server)
    reply = await asking.ask(NAME, wire.A, deadline=soon(), tcp=tcp)
    await asking.aclose()
    if kind.can(Limit.KEEP_A_CUT_ANSWER):
        assert reply.truncated
        assert addresses(reply) == ["10.0.0.1"]
        assert reply.outcome is Outcome.ANSWER
        assert ("tcp", Outcome.UNREACHABLE) in outcomes(reply)
    else:
        assert reply.message is None
        assert reply.outcome is Outcome.UNREACHABLE


async def test_tcp_at_once_asks_nothing_over_udp(kind: Kind, serve: Serve) -> None:
    server = await serve(says("10.0.0.1"))
    asking = kind.open(server)
    reply = await asking.ask(NAME, wire.A, deadline=soon(), tcp=True)
    await asking.aclose()
    assert outcomes(reply) == [("tcp", Outcome.ANSWER)]
    assert server.transports == ["tcp"]


async def test_tcp_at_once_falls_back_to_udp_where_it_is_refused(kind: Kind, serve: Serve) -> None:
    server = await serve(says("10.0.0.1"), tcp=False)
    asking = kind.open(server)
    reply = await asking.ask(NAME, wire.A, deadline=soon(), tcp=True)
    await asking.aclose()
    assert outcomes(reply) == [("tcp", Outcome.UNREACHABLE), ("udp", Outcome.ANSWER)]
    assert addresses(reply) == ["10.0.0.1"]


async def test_tcp_at_once_falls_back_to_udp_where_it_keeps_silent(
    kind: Kind, serve: Serve
) -> None:
    def script(asked: Asked) -> None:
        if asked.transport == "udp":
            asked.answer("10.0.0.1")

    server = await serve(script)
    asking = kind.open(server)
    reply = await asking.ask(NAME, wire.A, deadline=soon(3), tcp=True)
    await asking.aclose()
    assert outcomes(reply) == [("tcp", Outcome.TIMEOUT), ("udp", Outcome.ANSWER)]
    assert addresses(reply) == ["10.0.0.1"]


# Many questions.


@pytest.mark.parametrize("tcp", [False, True])
async def test_many_replies_stand_in_the_order_of_their_questions(
    kind: Kind, serve: Serve, tcp: bool
) -> None:
    def script(asked: Asked) -> None:
        if asked.label == "db-13":
            asked.answer(rcode="NXDOMAIN")
        else:
            asked.answer(f"10.0.0.{asked.label.removeprefix('db-')}")

    server = await serve(script)
    questions = [(wire.name_from_text(f"db-{n}.x"), wire.A) for n in range(100)]
    asking = kind.open(server)
    replies = await asking.ask_many(questions, deadline=soon(30), tcp=tcp)
    await asking.aclose()
    assert replies[13].outcome is Outcome.NXDOMAIN
    del replies[13]
    assert [addresses(reply) for reply in replies] == [
        [f"10.0.0.{n}"] for n in range(100) if n != 13
    ]
    assert (server.connections > 0) is tcp


async def test_of_many_questions_over_tcp_those_without_an_answer_go_over_udp(
    kind: Kind, serve: Serve
) -> None:
    server = await serve(lambda asked: asked.answer(f"10.0.0.{asked.label}"), tcp=False)
    questions = [(wire.name_from_text(f"{n}.x"), wire.A) for n in range(20)]
    asking = kind.open(server)
    replies = await asking.ask_many(questions, deadline=soon(30), tcp=True)
    await asking.aclose()
    assert [addresses(reply) for reply in replies] == [[f"10.0.0.{n}"] for n in range(20)]


async def test_no_questions_have_no_replies(kind: Kind, serve: Serve) -> None:
    asking = kind.open(await serve(silent))
    assert await asking.ask_many([], deadline=soon()) == []
    await asking.aclose()


# Time.


@pytest.mark.parametrize("tcp", [False, True])
async def test_the_deadline_ends_the_asking(kind: Kind, serve: Serve, tcp: bool) -> None:
    servers = [await serve(silent) for _ in range(2)]
    asking = kind.open(*servers)
    deadline = soon(0.2)
    reply = await asking.ask(NAME, wire.A, deadline=deadline, tcp=tcp)
    assert asyncio.get_running_loop().time() >= deadline
    await asking.aclose()
    assert reply.message is None
    assert reply.outcome is Outcome.TIMEOUT


async def test_a_deadline_that_is_over_waits_for_nobody(kind: Kind, serve: Serve) -> None:
    server = await serve(silent)
    asking = kind.open(server)
    reply = await asking.ask(NAME, wire.A, deadline=soon(-1))
    await asking.aclose()
    assert outcomes(reply) == [("udp", Outcome.TIMEOUT)]


# IPv6.


@pytest.mark.skipif(
    not has_ipv6(),
    reason="this machine has no IPv6 loopback: sysctl net.ipv6.conf.lo.disable_ipv6=0",
)
async def test_servers_over_ipv6(kind: Kind, serve: Serve) -> None:
    first = await serve(says(rcode="SERVFAIL"), host="::1")
    second = await serve(cut_over_udp("10.0.0.1", "10.0.0.2"), host="::1")
    asking = kind.open(first, second)
    reply = await asking.ask(NAME, wire.A, deadline=soon())
    await asking.aclose()
    assert addresses(reply) == ["10.0.0.1", "10.0.0.2"]
    assert reply.attempts[0].server.startswith(f"[::1]:{first.endpoint.port}")


# Cancellation and closing.


WAYS: dict[str, tuple[Callable[[], Script], bool]] = {
    "udp": (lambda: says("10.0.0.1"), False),
    "udp, then tcp": (lambda: cut_over_udp("10.0.0.1", "10.0.0.2"), False),
    "tcp": (lambda: says("10.0.0.1"), True),
}


@pytest.mark.parametrize("way", WAYS)
async def test_asking_that_is_cancelled_at_any_moment_leaves_nothing(
    kind: Kind, serve: Serve, way: str
) -> None:
    script, tcp = WAYS[way]
    server = await serve(script())
    before = Held.now()
    asking = kind.open(server)
    for turns in range(20):
        task = asyncio.create_task(asking.ask(NAME, wire.A, deadline=soon(30), tcp=tcp))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            assert addresses(await task)
        await settle(lambda: asyncio.all_tasks() == {asyncio.current_task()})
    # It still answers after that, then closes everything.
    assert addresses(await asking.ask(NAME, wire.A, deadline=soon(30), tcp=tcp))
    await asking.aclose()
    await settle(lambda: not server.open)
    await settle(before.is_not_exceeded)


@pytest.mark.parametrize("tcp", [False, True])
async def test_questions_that_are_cancelled_are_not_asked_again(
    kind: Kind, serve: Serve, tcp: bool
) -> None:
    """Nothing goes on behind the back of whoever gave up: no datagram, no connection."""
    server = await serve(silent)
    before = Held.now()
    asking = kind.open(server)
    task = asyncio.create_task(asking.ask_many([(NAME, wire.A)] * 20, deadline=soon(30), tcp=tcp))
    await settle(lambda: len(server.asked) == 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await asking.aclose()
    await settle(lambda: not server.open)
    await settle(before.is_not_exceeded)
    asked = len(server.asked)
    await asyncio.sleep(FIRST_TIMEOUT * 1.2)  # by then they would be asked again
    assert len(server.asked) == asked


async def test_closing_ends_what_is_asked(kind: Kind, serve: Serve) -> None:
    server = await serve(silent)
    asking = kind.open(server)
    task = asyncio.create_task(asking.ask(NAME, wire.A, deadline=soon(2), tcp=True))
    await settle(lambda: len(server.asked) == 1)
    await asking.aclose()
    reply = await task
    assert reply.message is None
    await asking.aclose()
    await settle(lambda: not server.open)


async def test_a_resolver_that_is_closed_asks_nobody_over_tcp(kind: Kind, serve: Serve) -> None:
    server = await serve(says("10.0.0.1"))
    asking = kind.open(server)
    await asking.aclose()
    reply = await asking.ask(NAME, wire.A, deadline=soon(), tcp=True)
    assert reply.attempts[0].outcome is Outcome.UNREACHABLE
    assert "closed" in reply.attempts[0].detail
    assert "tcp" not in server.transports
