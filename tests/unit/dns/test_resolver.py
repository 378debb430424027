"""What is particular to the resolver of our own; what holds for any is in `tests/contract`.

Every exchange is reported, strays are counted, EDNS is left out where it is not known or gets lost,
and connections are kept.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest

from peerdisco.dns import wire
from peerdisco.dns.query import FIRST_TIMEOUT
from peerdisco.dns.resolver import Resolver
from peerdisco.dns.retries import PAUSES
from peerdisco.exceptions import ResolveTimeout
from peerdisco.model import Outcome
from peerdisco.names import Endpoint

from ..scripted import (
    Asked,
    InBatches,
    NameServer,
    Script,
    Serve,
    addresses,
    cut_over_udp,
    dead_endpoint,
    open_sockets,
    outcomes,
    says,
    settle,
    silent,
    soon,
)

NAME = wire.name_from_text("db.shop.svc.cluster.local")


pytestmark = pytest.mark.usefixtures("nothing_is_left")


def resolver(*servers: NameServer | Endpoint) -> Resolver:
    return Resolver([s.endpoint if isinstance(s, NameServer) else s for s in servers])


# Outcomes.


def garbage(asked: Asked) -> None:
    asked.send(asked.raw[:2] + b"\x80" + b"garbage!" * 3)


def without_a_question(asked: Asked) -> None:
    asked.send(asked.raw[:2] + b"\x80\x00" + bytes(8))


FAILURES: dict[str, tuple[Script, Outcome, str]] = {
    "SERVFAIL": (says(rcode="SERVFAIL"), Outcome.SERVFAIL, ""),
    "REFUSED": (says(rcode="REFUSED"), Outcome.REFUSED, ""),
    "SERVFAIL with records": (says("10.6.6.6", rcode="SERVFAIL"), Outcome.SERVFAIL, ""),
    "NOTIMP": (says(rcode="NOTIMP"), Outcome.ERROR, "NOTIMP"),
    "FORMERR": (says(rcode="FORMERR"), Outcome.ERROR, "FORMERR"),
    "YXDOMAIN": (says(rcode="YXDOMAIN"), Outcome.ERROR, "YXDOMAIN"),
    "garbage": (garbage, Outcome.MALFORMED, "at byte"),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_servers_that_all_fail_are_not_asked_for_ever(serve: Serve, failure: str) -> None:
    script, outcome, detail = FAILURES[failure]
    servers = [await serve(script) for _ in range(3)]
    async with resolver(*servers) as asking:
        reply = await asking.ask(NAME, wire.A, deadline=soon(30))
    expected = [("udp", outcome)] * 3
    if outcome in (Outcome.SERVFAIL, Outcome.REFUSED):
        expected *= 1 + len(PAUSES)
    if outcome is Outcome.MALFORMED:
        expected = [("udp", outcome), ("tcp", outcome)] * 3
    assert outcomes(reply) == expected
    assert detail in reply.attempts[0].detail
    assert reply.message is None
    assert not reply.truncated


async def test_a_port_where_nobody_listens_is_followed_by_the_next(serve: Serve) -> None:
    second = await serve(says("10.0.0.1"))
    async with resolver(dead_endpoint(), second) as asking:
        reply = await asking.ask(NAME, wire.A, deadline=soon())
    assert outcomes(reply) == [("udp", Outcome.UNREACHABLE), ("udp", Outcome.ANSWER)]
    assert reply.attempts[0].detail == "connection refused"


async def test_a_lost_datagram_is_asked_again(serve: Serve) -> None:
    def second_time(asked: Asked) -> None:
        if len(server.asked) > 1:
            asked.answer("10.0.0.1")

    server = await serve(second_time)
    async with resolver(server) as asking:
        reply = await asking.ask(NAME, wire.A, deadline=soon(30))
    assert outcomes(reply)[0] == ("udp", Outcome.TIMEOUT)
    assert addresses(reply) == ["10.0.0.1"]
    # Another port and another id than the first time.
    assert server.asked[0].client != server.asked[1].client


async def test_the_server_that_answered_is_asked_first_in_its_lookup(serve: Serve) -> None:
    first, second = await serve(says(rcode="SERVFAIL")), await serve(says("10.0.0.1"))
    third = await serve(says("10.0.0.3"))
    async with resolver(first, second, third) as asking:
        for _ in range(3):
            assert addresses(await asking.ask(NAME, wire.A, deadline=soon())) == ["10.0.0.1"]
        assert (len(first.asked), len(second.asked)) == (1, 3)
        # Once it fails, the search goes on after it.
        second.script = says(rcode="REFUSED")
        assert addresses(await asking.ask(NAME, wire.A, deadline=soon())) == ["10.0.0.3"]
        assert (len(first.asked), len(second.asked), len(third.asked)) == (1, 4, 1)
        asking.begin(None)
        assert addresses(await asking.ask(NAME, wire.A, deadline=soon())) == ["10.0.0.3"]
    assert (len(first.asked), len(second.asked), len(third.asked)) == (2, 5, 2)


# What is no reply.


def another_id(asked: Asked) -> None:
    asked.send(bytes((asked.raw[0] ^ 0xFF,)) + asked.reply("10.6.6.6")[1:])


def another_question(asked: Asked) -> None:
    other = asked.reply("10.6.6.6").replace(b"\x02db", b"\x02xx")
    asked.send(other)


def another_type(asked: Asked) -> None:
    other = bytearray(asked.reply())
    other[12 + len(NAME) + 1] = wire.SRV
    asked.send(bytes(other))


def the_question_itself(asked: Asked) -> None:
    asked.send(asked.raw)


STRAYS = [another_id, another_question, another_type, the_question_itself, without_a_question]


@pytest.mark.parametrize("stray", STRAYS)
async def test_what_is_no_reply_to_the_question_is_waited_over(serve: Serve, stray: Script) -> None:
    def script(asked: Asked) -> None:
        stray(asked)
        asked.answer("10.0.0.1")

    server = await serve(script)
    async with resolver(server) as asking:
        for tcp in (False, True):
            reply = await asking.ask(NAME, wire.A, deadline=soon(), tcp=tcp)
            assert addresses(reply) == ["10.0.0.1"]
            assert len(reply.attempts) == 1


@pytest.mark.parametrize("stray", STRAYS)
async def test_nothing_but_strays_is_no_answer(serve: Serve, stray: Script) -> None:
    server = await serve(stray)
    async with resolver(server) as asking:
        reply = await asking.ask(NAME, wire.A, deadline=soon(0.2))
    assert outcomes(reply)[0] == ("udp", Outcome.TIMEOUT)
    assert reply.outcome is Outcome.TIMEOUT
    assert reply.message is None
    assert "no reply to the question" in reply.attempts[0].detail


async def test_the_deadline_hides_no_failure_under_a_timeout(serve: Serve) -> None:
    """No round begins for which the time is too short, going by the last one."""

    def script(asked: Asked) -> None:
        asyncio.get_running_loop().call_later(0.3, says(rcode="REFUSED"), asked)

    server = await serve(script)
    async with resolver(server) as asking:
        reply = await asking.ask(NAME, wire.A, deadline=soon(2))
    assert len(reply.attempts) > 1
    assert reply.outcome is Outcome.REFUSED
    assert {attempt.outcome for attempt in reply.attempts} == {Outcome.REFUSED}


# EDNS.


@pytest.mark.parametrize("rcode", ["FORMERR", "NOTIMP", "BADVERS"])
@pytest.mark.parametrize("bare", [False, True], ids=["with the question", "bare header"])
async def test_a_server_that_does_not_know_edns_is_asked_without(
    serve: Serve, rcode: str, bare: bool
) -> None:
    def script(asked: Asked) -> None:
        if not asked.edns:
            asked.answer("10.0.0.1")
        elif bare and rcode != "BADVERS":
            code = {"FORMERR": 1, "NOTIMP": 4}[rcode]
            asked.send(asked.raw[:2] + bytes((0x80, code)) + bytes(8))
        else:
            asked.answer(rcode=rcode)

    server = await serve(script)
    async with resolver(server) as asking:
        reply = await asking.ask(NAME, wire.A, deadline=soon())
    assert addresses(reply) == ["10.0.0.1"]
    assert [asked.edns for asked in server.asked] == [True, False]


# Truncation.


@pytest.mark.parametrize("tcp", [False, True])
async def test_a_cut_answer_is_returned_where_tcp_keeps_silent(serve: Serve, tcp: bool) -> None:
    def script(asked: Asked) -> None:
        if asked.transport == "udp":
            asked.answer("10.0.0.1", tc=True)

    server = await serve(script)
    async with resolver(server) as asking:
        reply = await asking.ask(NAME, wire.A, deadline=soon(1.5), tcp=tcp)
    assert reply.truncated
    assert addresses(reply) == ["10.0.0.1"]
    assert ("tcp", Outcome.TIMEOUT) in outcomes(reply)


async def test_where_one_servers_tcp_is_refused_another_gives_the_whole_answer(
    serve: Serve,
) -> None:
    first = await serve(cut_over_udp("10.0.0.1", "10.0.0.2"), tcp=False)
    second = await serve(cut_over_udp("10.0.0.1", "10.0.0.2"))
    async with resolver(first, second) as asking:
        reply = await asking.ask(NAME, wire.A, deadline=soon())
    assert not reply.truncated
    assert addresses(reply) == ["10.0.0.1", "10.0.0.2"]
    assert second.transports == ["tcp"]


# TCP.


async def test_a_tcp_connection_is_kept(serve: Serve) -> None:
    server = await serve(says("10.0.0.1"))
    async with resolver(server) as asking:
        for _ in range(5):
            await asking.ask(NAME, wire.A, deadline=soon(), tcp=True)
        assert server.connections == 1
        assert len(server.open) == 1
    await settle(lambda: not server.open)


async def test_questions_at_a_time_share_one_connection(serve: Serve) -> None:
    server = await serve(says("10.0.0.1"))
    async with resolver(server) as asking:
        replies = await asking.ask_many([(NAME, wire.A)] * 50, deadline=soon(), tcp=True)
    assert [addresses(reply) for reply in replies] == [["10.0.0.1"]] * 50
    assert server.connections == 1


async def test_a_connection_closed_while_idle_is_opened_again(serve: Serve) -> None:
    server = await serve(says("10.0.0.1"))
    async with resolver(server) as asking:
        await asking.ask(NAME, wire.A, deadline=soon(), tcp=True)
        server.open[0].close()
        await settle(lambda: not server.open)
        reply = await asking.ask(NAME, wire.A, deadline=soon(), tcp=True)
        assert outcomes(reply) == [("tcp", Outcome.ANSWER)]
        assert server.connections == 2


async def test_a_connection_closed_as_the_question_comes_is_opened_again(serve: Serve) -> None:
    def script(asked: Asked) -> None:
        if len(server.asked) == 2:
            asked.hang_up()
        else:
            asked.answer("10.0.0.1")

    server = await serve(script)
    async with resolver(server) as asking:
        await asking.ask(NAME, wire.A, deadline=soon(), tcp=True)
        reply = await asking.ask(NAME, wire.A, deadline=soon(), tcp=True)
    assert outcomes(reply) == [("tcp", Outcome.ANSWER)]
    assert server.connections == 2


async def test_a_server_that_always_hangs_up_is_not_asked_for_ever(serve: Serve) -> None:
    def script(asked: Asked) -> None:
        if asked.transport == "tcp":
            asked.hang_up()
        else:
            asked.answer("10.0.0.1")

    server = await serve(script)
    async with resolver(server) as asking:
        reply = await asking.ask(NAME, wire.A, deadline=soon(), tcp=True)
    assert outcomes(reply) == [("tcp", Outcome.UNREACHABLE), ("udp", Outcome.ANSWER)]
    assert server.connections <= 2


async def test_a_connection_that_went_silent_is_not_asked_again(serve: Serve) -> None:
    """The server behind it may be gone, with nobody left to say so."""

    def script(asked: Asked) -> None:
        if asked.transport == "udp":
            asked.answer("10.0.0.1", tc=True)
        elif asked.connection or len(server.asked) == 1:
            asked.answer("10.0.0.1", "10.0.0.2")

    server = await serve(script)
    async with resolver(server) as asking:
        reply = await asking.ask(NAME, wire.A, deadline=soon(), tcp=True)
        assert not reply.truncated
        await asking.ask(NAME, wire.A, deadline=soon(0.2), tcp=True)
        reply = await asking.ask(NAME, wire.A, deadline=soon(), tcp=True)
        assert not reply.truncated
        assert outcomes(reply) == [("tcp", Outcome.ANSWER)]
        assert server.connections == 2


async def test_replies_in_any_order_find_their_questions(serve: Serve) -> None:
    def when_all_have_come(asked: Asked) -> None:
        if len(server.asked) == 5:
            for each in reversed(server.asked):
                each.answer(f"10.0.0.{each.label.removeprefix('db-')}")

    server = await serve(when_all_have_come)
    questions = [(wire.name_from_text(f"db-{n}.x"), wire.A) for n in range(5)]
    async with resolver(server) as asking:
        replies = await asking.ask_many(questions, deadline=soon(), tcp=True)
    assert [addresses(reply) for reply in replies] == [[f"10.0.0.{n}"] for n in range(5)]


# Many questions.


async def test_only_so_many_questions_are_out_at_a_time(serve: Serve) -> None:
    script = InBatches(3)
    server = await serve(script)
    async with resolver(server) as asking:
        replies = await asking.ask_many([(NAME, wire.A)] * 12, deadline=soon(30), at_once=3)
    assert len(replies) == 12
    assert script.most == 3


# Time.


async def test_a_servers_failure_does_not_hide_that_the_time_was_up(serve: Serve) -> None:
    broken, quiet = await serve(says(rcode="SERVFAIL")), await serve(silent)
    async with resolver(broken, quiet) as asking:
        reply = await asking.ask(NAME, wire.A, deadline=soon(0.2))
    assert {("udp", Outcome.SERVFAIL), ("udp", Outcome.TIMEOUT)} <= set(outcomes(reply))
    assert reply.outcome is Outcome.TIMEOUT


# Cancellation and closing.


def then(first: Script, second: Script) -> Callable[[], Script]:
    """The first time the one, then the other."""

    def fresh() -> Script:
        asked_before = False

        def script(asked: Asked) -> None:
            nonlocal asked_before
            (second if asked_before else first)(asked)
            asked_before = True

        return script

    return fresh


WAYS: dict[str, tuple[Callable[[], Script], bool]] = {
    "udp": (lambda: says("10.0.0.1"), False),
    "udp, then tcp": (lambda: cut_over_udp("10.0.0.1", "10.0.0.2"), False),
    "tcp": (lambda: says("10.0.0.1"), True),
    "failover": (then(says(rcode="SERVFAIL"), says("10.0.0.1")), False),
}


@pytest.mark.parametrize("way", WAYS)
async def test_asking_that_is_cancelled_at_any_moment_leaves_nothing(
    serve: Serve, way: str
) -> None:
    script, tcp = WAYS[way]
    servers = [await serve(silent) for _ in range(2)]
    before = open_sockets()
    cancelled = 0
    for turns in range(300):
        shared = script()
        for server in servers:
            server.script = shared
        asking = resolver(*servers)
        task = asyncio.create_task(asking.ask(NAME, wire.A, deadline=soon(30), tcp=tcp))
        for _ in range(turns):
            await asyncio.sleep(0)
        done = task.done()
        task.cancel()
        if done:
            assert addresses(task.result())
        else:
            with pytest.raises(asyncio.CancelledError):
                await task
            cancelled += 1
        # It still answers after that, then closes everything.
        for server in servers:
            server.script = says("10.0.0.9")
        reply = await asking.ask(NAME, wire.A, deadline=soon(30), tcp=True)
        assert addresses(reply) == ["10.0.0.9"]
        await asking.aclose()
        await settle(lambda: open_sockets() == before)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        if done:
            break
    else:
        raise AssertionError("it never came to an answer")
    assert cancelled > 1


async def test_many_questions_that_are_cancelled_leave_nothing(serve: Serve) -> None:
    server = await serve(silent)
    before = open_sockets()
    for tcp in (False, True):
        server.asked.clear()
        asking = resolver(server)
        task = asyncio.create_task(
            asking.ask_many([(NAME, wire.A)] * 20, deadline=soon(30), tcp=tcp)
        )
        await settle(lambda: len(server.asked) == 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await asking.aclose()
        await settle(lambda: open_sockets() == before)


async def test_closing_twice_is_closing_once(serve: Serve) -> None:
    server = await serve(says("10.0.0.1"))
    asking = resolver(server)
    await asking.ask(NAME, wire.A, deadline=soon(), tcp=True)
    await asking.aclose()
    await asking.aclose()
    await settle(lambda: not server.open)


async def test_closing_while_a_question_is_out_leaves_no_connection(serve: Serve) -> None:
    def script(asked: Asked) -> None:
        if len(server.asked) == 1:
            asked.answer("10.0.0.1")

    server = await serve(script)
    asking = resolver(server)
    await asking.ask(NAME, wire.A, deadline=soon(), tcp=True)
    task = asyncio.create_task(asking.ask(NAME, wire.A, deadline=soon(0.5), tcp=True))
    await settle(lambda: len(server.asked) == 2)
    await asking.aclose()
    reply = await task
    assert reply.message is None
    await settle(lambda: not server.open)


# What the path drops, and what is learned from it.


def without_edns_alone(asked: Asked) -> None:
    if not asked.edns:
        asked.answer("10.0.0.1")


async def test_a_path_that_drops_edns_costs_one_lookup_its_patience(serve: Serve) -> None:
    server = await serve(without_edns_alone)
    now = asyncio.get_running_loop().time
    async with resolver(server) as asking:
        assert addresses(await asking.ask(NAME, wire.A, deadline=soon(5))) == ["10.0.0.1"]
        start = now()
        for tcp in (False, True):
            asking.begin(None)
            reply = await asking.ask(NAME, wire.A, deadline=soon(), tcp=tcp)
            assert addresses(reply) == ["10.0.0.1"]
            assert len(reply.attempts) == 1
        assert now() - start < FIRST_TIMEOUT


async def test_edns_is_tried_again_after_a_while(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("peerdisco.dns.servers._PLAIN_SECONDS", 0.0)
    server = await serve(without_edns_alone)
    async with resolver(server) as asking:
        for _ in range(2):
            assert addresses(await asking.ask(NAME, wire.A, deadline=soon())) == ["10.0.0.1"]
            server.script = says("10.0.0.1")
    assert server.asked[-1].edns


@pytest.mark.parametrize("rcode", ["FORMERR", "NOTIMP"])
async def test_a_server_that_refuses_edns_is_asked_without_from_then_on(
    serve: Serve, rcode: str
) -> None:
    server = await serve(lambda a: a.answer(rcode=rcode) if a.edns else a.answer("10.0.0.1"))
    async with resolver(server) as asking:
        for _ in range(3):
            asking.begin(None)
            assert addresses(await asking.ask(NAME, wire.A, deadline=soon())) == ["10.0.0.1"]
    assert [asked.edns for asked in server.asked] == [True, False, False, False]


async def test_a_reply_from_another_address_is_not_believed_and_is_named(serve: Serve) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        other_port = other.getsockname()[1]

        def script(asked: Asked) -> None:
            if asked.transport == "udp":
                other.sendto(asked.reply("10.6.6.6"), asked.client)

        server = await serve(script, tcp=False)
        async with resolver(server) as asking:
            reply = await asking.ask(NAME, wire.A, deadline=soon(1))
            assert reply.message is None
            assert reply.outcome is Outcome.TIMEOUT
            error = str(ResolveTimeout("db", reply.attempts, 1))
            assert f"a reply came from 127.0.0.1:{other_port} instead" in error
            # The server's own reply counts beside it.
            server.script = lambda asked: (script(asked), asked.answer("10.0.0.1"))[1]
            assert addresses(await asking.ask(NAME, wire.A, deadline=soon())) == ["10.0.0.1"]


# Replies without a question.


@pytest.mark.parametrize(
    ("rcode", "outcome"), [(2, Outcome.SERVFAIL), (5, Outcome.REFUSED), (6, Outcome.ERROR)]
)
async def test_a_failure_counts_without_the_question(
    serve: Serve, rcode: int, outcome: Outcome
) -> None:
    server = await serve(lambda asked: asked.send(asked.raw[:2] + bytes((0x80, rcode)) + bytes(8)))
    async with resolver(server) as asking:
        for tcp in (False, True):
            reply = await asking.ask(NAME, wire.A, deadline=soon(30), tcp=tcp)
            assert reply.outcome is outcome


@pytest.mark.parametrize("rcode", [0, 3], ids=["NOERROR", "NXDOMAIN"])
async def test_an_answer_without_the_question_is_none(serve: Serve, rcode: int) -> None:
    def script(asked: Asked) -> None:
        reply = asked.reply("10.6.6.6")
        end = 12 + len(NAME) + 4
        asked.send(reply[:3] + bytes((rcode,)) + b"\0\0" + reply[6:12] + reply[end:])

    server = await serve(script)
    async with resolver(server) as asking:
        reply = await asking.ask(NAME, wire.A, deadline=soon(0.4))
    assert reply.message is None
    assert Outcome.ANSWER not in {attempt.outcome for attempt in reply.attempts}


async def test_an_answer_that_is_cut_without_edns_comes_over_tcp_without_edns(
    serve: Serve,
) -> None:
    def script(asked: Asked) -> None:
        if not asked.edns:
            cut_over_udp("10.0.0.1", "10.0.0.2")(asked)

    server = await serve(script)
    async with resolver(server) as asking:
        reply = await asking.ask(NAME, wire.A, deadline=soon(5))
    assert addresses(reply) == ["10.0.0.1", "10.0.0.2"]
