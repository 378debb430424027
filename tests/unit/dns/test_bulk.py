"""Many questions at once: one connection, some of them out at a time, and whatever goes wrong."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import dns.message
import dns.rcode
import dns.rrset
import pytest

from peerdisco.dns import batch, query, resolver, wire
from peerdisco.dns.batch import AT_FIRST, AT_ONCE
from peerdisco.dns.bulk import ask_each
from peerdisco.dns.fast_path import AddressRecords, question_after_id, read_addresses
from peerdisco.dns.resolver import Reply, Resolver, ResolverProtocol
from peerdisco.dns.retries import PAUSES
from peerdisco.model import Outcome

from ..scripted import (
    Asked,
    NameServer,
    Script,
    Serve,
    dead_endpoint,
    open_sockets,
    says,
    settle,
    silent,
    soon,
)

MANY = 1200
NAMES = [wire.name_from_text(f"db-{n}.db.shop.svc.cluster.local") for n in range(MANY)]


pytestmark = pytest.mark.usefixtures("nothing_is_left", "one_connection")


@pytest.fixture
def one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """What several of them share is tested in `test_side_by_side`."""
    monkeypatch.setattr(resolver, "_SIDE_BY_SIDE", 1)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first attempt that a busy machine does not miss, where a second one would be counted."""
    for module in (query, resolver):
        monkeypatch.setattr(module, "FIRST_TIMEOUT", 60.0)


def convert(message: wire.Message) -> AddressRecords:
    records = [r for r in message.answers if isinstance(r, wire.Address)]
    return AddressRecords(tuple(r.packed for r in records))


async def ask(
    resolver: ResolverProtocol,
    names: Sequence[bytes] = NAMES,
    *,
    deadline: float | None = None,
    usual: bool = True,
) -> list[AddressRecords | Reply]:
    def read(number: int, reply: bytes) -> AddressRecords | None:
        if not usual:
            return None
        return read_addresses(reply, question_after_id(names[number], wire.A))

    return await ask_each(
        resolver,
        [(name, wire.A) for name in names],
        deadline=soon() if deadline is None else deadline,
        read=read,
        convert=convert,
    )


def number(asked: Asked) -> int:
    return int(asked.label.removeprefix("db-"))


def right(asked: Asked) -> None:
    """The answer to this question."""
    n = number(asked)
    asked.answer(f"10.0.{n // 250}.{n % 250}")


def packed(results: Sequence[AddressRecords | Reply]) -> list[tuple[bytes, ...] | None]:
    return [found.packed if isinstance(found, AddressRecords) else None for found in results]


RIGHT = [(bytes((10, 0, n // 250, n % 250)),) for n in range(MANY)]


@pytest.mark.parametrize("usual", [True, False])
@pytest.mark.usefixtures("patient")
async def test_each_has_its_own_answer_over_one_connection(serve: Serve, usual: bool) -> None:
    server = await serve(right)
    async with Resolver([server.endpoint]) as resolver:
        for _ in range(2):
            assert packed(await ask(resolver, usual=usual)) == RIGHT
    assert server.connections == 1
    assert set(server.transports) == {"tcp"}
    assert len(server.asked) == 2 * MANY


async def test_few_questions_go_over_udp(serve: Serve) -> None:
    server = await serve(right)
    async with Resolver([server.endpoint]) as resolver:
        assert packed(await ask(resolver, NAMES[:4])) == RIGHT[:4]
    assert set(server.transports) == {"udp"}


async def test_no_questions_have_no_answers(serve: Serve) -> None:
    server = await serve(silent)
    async with Resolver([server.endpoint]) as resolver:
        assert await ask(resolver, []) == []


async def test_so_many_are_out_at_a_time_with_different_random_ids(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    out: list[Asked] = []
    most = 0
    timer: asyncio.TimerHandle | None = None

    def answer_all() -> None:
        for asked in reversed(out):
            right(asked)
        out.clear()

    def script(asked: Asked) -> None:
        nonlocal most, timer
        out.append(asked)
        most = max(most, len(out))
        assert len({a.message.id for a in out}) == len(out)
        if timer is not None:
            timer.cancel()
        timer = asyncio.get_running_loop().call_later(0.02, answer_all)

    monkeypatch.setattr(batch, "_SOON", 60.0)  # a busy machine is no slow server
    server = await serve(script)
    async with Resolver([server.endpoint]) as resolver:
        assert packed(await ask(resolver, NAMES * 2)) == RIGHT * 2
    assert AT_ONCE // 2 < most <= AT_ONCE
    ids = [asked.message.id for asked in server.asked]
    assert len(set(ids)) > MANY * 1.8
    assert ids != sorted(ids)


async def test_a_connection_that_dies_costs_what_it_had_not_answered(serve: Serve) -> None:
    def script(asked: Asked) -> None:
        if len(server.asked) == 100:
            asked.hang_up()
        elif asked.connection == 0 and len(server.asked) > 50:
            pass  # was out when the connection died
        else:
            right(asked)

    server = await serve(script)
    async with Resolver([server.endpoint]) as resolver:
        assert packed(await ask(resolver)) == RIGHT
    assert server.connections == 2
    times = Counter(asked.label for asked in server.asked)
    assert all(times[f"db-{n}"] == 1 for n in range(50))
    assert max(times.values()) == 2
    assert set(server.transports) == {"tcp"}


async def test_an_idle_connection_that_was_closed_is_opened_again(serve: Serve) -> None:
    server = await serve(right)
    async with Resolver([server.endpoint]) as resolver:
        await ask(resolver)
        server.open[0].close()
        await settle(lambda: not server.open)
        assert packed(await ask(resolver)) == RIGHT
    assert server.connections == 2


async def test_a_server_that_hangs_up_all_the_time_is_asked_over_udp(serve: Serve) -> None:
    def script(asked: Asked) -> None:
        if asked.transport == "tcp":
            asked.hang_up()
        else:
            right(asked)

    server = await serve(script)
    async with Resolver([server.endpoint]) as resolver:
        assert packed(await ask(resolver, NAMES[:20])) == RIGHT[:20]


@pytest.mark.usefixtures("patient")
async def test_without_tcp_they_are_asked_over_udp(serve: Serve) -> None:
    server = await serve(right, tcp=False)
    async with Resolver([server.endpoint]) as resolver:
        assert packed(await ask(resolver)) == RIGHT
    assert set(server.transports) == {"udp"}


async def test_another_server_takes_over(serve: Serve) -> None:
    server = await serve(right)
    async with Resolver([dead_endpoint(), server.endpoint]) as resolver:
        assert packed(await ask(resolver)) == RIGHT
        assert resolver._servers.order()[0] == server.endpoint


async def test_a_server_that_falls_silent_is_followed_by_the_next(serve: Serve) -> None:
    first = await serve(lambda asked: right(asked) if number(asked) < 40 else None)
    second = await serve(right)
    async with Resolver([first.endpoint, second.endpoint]) as resolver:
        assert packed(await ask(resolver)) == RIGHT
    assert min(number(asked) for asked in second.asked) == 40


async def test_names_that_do_not_exist_are_answers(serve: Serve) -> None:
    def script(asked: Asked) -> None:
        if number(asked) % 3:
            right(asked)
        else:
            asked.send(asked.reply(rcode="NXDOMAIN", soa=True))

    server = await serve(script)
    async with Resolver([server.endpoint]) as resolver:
        results = await ask(resolver)
    assert packed(results) == [() if n % 3 == 0 else RIGHT[n] for n in range(MANY)]
    assert len(server.asked) == MANY


async def test_the_next_batch_waits_for_no_connection(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it set a timer for that."""
    server = await serve(right)
    async with Resolver([server.endpoint]) as resolver:
        await ask(resolver, NAMES[:10])
        monkeypatch.setattr(asyncio, "timeout_at", None)
        assert packed(await ask(resolver, NAMES[:10])) == RIGHT[:10]
    assert server.connections == 1


async def test_the_same_negative_answer_is_read_once_and_counts_each_time(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    rcode = "NOERROR"

    def script(asked: Asked) -> None:
        if number(asked) % 5:
            right(asked)
        else:
            asked.send(asked.reply(rcode=rcode, soa=True))

    server = await serve(script)
    read: list[bytes] = []
    whole = wire.read

    def noted(message: bytes) -> wire.Message:
        if message[2] & 0x80:  # the scripted server reads the questions
            read.append(message)
        return whole(message)

    async with Resolver([server.endpoint]) as resolver:
        expected = [(), *RIGHT[1:5], ()]
        await ask(resolver, NAMES[:6])
        monkeypatch.setattr(wire, "read", noted)
        for _ in range(3):
            assert packed(await ask(resolver, NAMES[:6])) == expected
        assert read == []
        rcode = "NXDOMAIN"
        assert packed(await ask(resolver, NAMES[:6])) == expected
        assert len(read) == 2


# What is unusual.


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED"])
async def test_a_failure_is_reported_with_an_example(serve: Serve, rcode: str) -> None:
    def script(asked: Asked) -> None:
        if number(asked) == 7:
            asked.answer(rcode=rcode)
        else:
            right(asked)

    server = await serve(script)
    async with Resolver([server.endpoint]) as resolver:
        results = await ask(resolver)
    failed = results[7]
    assert isinstance(failed, Reply)
    assert failed.message is None
    assert failed.outcome is Outcome[rcode]
    assert failed.attempt.name == "db-7.db.shop.svc.cluster.local."
    assert packed(results) == [None if n == 7 else RIGHT[n] for n in range(MANY)]


async def test_a_failure_at_one_server_is_asked_of_the_next(serve: Serve) -> None:
    broken = await serve(
        lambda asked: asked.answer(rcode="SERVFAIL") if number(asked) in (3, 70) else right(asked)
    )
    whole = await serve(right)
    async with Resolver([broken.endpoint, whole.endpoint]) as resolver:
        assert packed(await ask(resolver)) == RIGHT
    assert sorted({number(asked) for asked in whole.asked}) == [3, 70]


async def test_where_all_fail_not_each_is_asked_again(serve: Serve) -> None:
    server = await serve(says(rcode="SERVFAIL"))
    async with Resolver([server.endpoint]) as resolver:
        results = await ask(resolver)
    assert {r.outcome for r in results if isinstance(r, Reply)} == {Outcome.SERVFAIL}
    assert len(results) == MANY
    # One portion, and each of it a few times: behind the address may be other replicas.
    assert len(server.asked) == MANY + 64 * (1 + len(PAUSES))


def another_question(asked: Asked) -> None:
    asked.send(asked.reply("10.6.6.6").replace(b"\x02db", b"\x02xx"))


def another_id(asked: Asked) -> None:
    asked.send(bytes((asked.raw[0] ^ 0xFF,)) + asked.reply("10.6.6.6")[1:])


def the_question_itself(asked: Asked) -> None:
    asked.send(asked.raw)


@pytest.mark.parametrize("stray", [another_question, another_id, the_question_itself])
async def test_what_is_no_reply_to_a_question_is_waited_over(serve: Serve, stray: Script) -> None:
    def script(asked: Asked) -> None:
        stray(asked)
        right(asked)
        stray(asked)

    server = await serve(script)
    async with Resolver([server.endpoint]) as resolver:
        assert packed(await ask(resolver)) == RIGHT
    assert len(server.asked) == MANY


async def test_a_reply_that_cannot_be_read_is_asked_for_again(serve: Serve) -> None:
    seen: Counter[str] = Counter()

    def script(asked: Asked) -> None:
        seen[asked.label] += 1
        if asked.label == "db-9" and seen["db-9"] == 1:
            asked.send(asked.reply("10.0.0.1")[:-3])
        else:
            right(asked)

    server = await serve(script)
    async with Resolver([server.endpoint]) as resolver:
        assert packed(await ask(resolver)) == RIGHT
    assert seen["db-9"] == 2


async def test_bytes_that_are_no_message_end_the_connection_and_not_the_questions(
    serve: Serve,
) -> None:
    def script(asked: Asked) -> None:
        if len(server.asked) == 60:
            asked.send(b"xx")
        else:
            right(asked)

    server = await serve(script)
    async with Resolver([server.endpoint]) as resolver:
        assert packed(await ask(resolver)) == RIGHT
    assert server.connections == 2


# Beside each other.


@pytest.mark.usefixtures("patient")
async def test_batches_and_single_questions_share_the_connection(serve: Serve) -> None:
    server = await serve(right)
    async with Resolver([server.endpoint]) as resolver:
        one = (NAMES[5], wire.A)
        first, second, reply = await asyncio.gather(
            ask(resolver), ask(resolver), resolver.ask(*one, deadline=soon(), tcp=True)
        )
    assert packed(first) == packed(second) == RIGHT
    assert reply.outcome is Outcome.ANSWER
    assert server.connections == 1


# Time.


async def test_the_deadline_ends_the_asking(serve: Serve) -> None:
    server = await serve(lambda asked: right(asked) if number(asked) < 100 else None)
    async with Resolver([server.endpoint]) as resolver:
        started = soon(0)
        results = await ask(resolver, deadline=soon(0.3))
        assert soon(0) - started < 5
    assert packed(results)[:100] == RIGHT[:100]
    late = [found for found in results[100:] if isinstance(found, Reply)]
    assert len(late) == MANY - 100
    assert {reply.outcome for reply in late} == {Outcome.TIMEOUT}


async def test_asking_that_is_cancelled_leaves_nothing(serve: Serve) -> None:
    server = await serve(silent)
    before = open_sockets()
    for wanted in (0, 1, AT_FIRST):
        server.asked.clear()
        resolver = Resolver([server.endpoint])
        task = asyncio.create_task(ask(resolver))
        await settle(lambda: len(server.asked) >= wanted)  # noqa: B023 - awaited at once
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        server.script = right
        assert packed(await ask(resolver)) == RIGHT
        server.script = silent
        await resolver.aclose()
        await settle(lambda: open_sockets() == before)


async def test_closing_while_questions_are_out_ends_them(serve: Serve) -> None:
    server = await serve(silent)
    resolver = Resolver([server.endpoint])
    task = asyncio.create_task(ask(resolver, deadline=soon(0.5)))
    await settle(lambda: len(server.asked) == AT_FIRST)
    await resolver.aclose()
    results = await task
    assert all(isinstance(found, Reply) and found.message is None for found in results)
    await settle(lambda: not server.open)


# Another resolver.


class Plain:
    """A resolver that offers nothing but the interface."""

    def __init__(self, server: NameServer) -> None:
        self._resolver = Resolver([server.endpoint])
        self.aclose, self.use = self._resolver.aclose, self._resolver.use
        self.ask, self.ask_many = self._resolver.ask, self._resolver.ask_many


async def test_any_resolver_can_be_asked(serve: Serve) -> None:
    server = await serve(right)
    resolver = Plain(server)
    try:
        assert packed(await ask(resolver)) == RIGHT
    finally:
        await resolver.aclose()


ZONE = wire.name_from_text("cluster.local")


def nowhere(zone: str | None) -> Script:
    """Says of each name that it does not exist."""

    def script(asked: Asked) -> None:
        message = dns.message.make_response(dns.message.from_wire(asked.raw))
        message.set_rcode(dns.rcode.NXDOMAIN)
        if zone is not None:
            text = "ns. hostmaster. 1 2 3 4 5"
            message.authority.append(dns.rrset.from_text(zone, 30, "IN", "SOA", text))
        asked.send(message.to_wire())

    return script


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("zone", [".", "local.", None])
async def test_a_server_of_another_zone_proves_no_pod_absent(
    serve: Serve, zone: str | None
) -> None:
    """Neither in the batch nor where what it left open is asked once more."""
    dead, other = dead_endpoint(), await serve(nowhere(zone))
    async with Resolver([dead, other.endpoint]) as resolver:
        resolver.begin(ZONE)
        results = await ask(resolver)
    assert {r.outcome for r in results if isinstance(r, Reply)} == {Outcome.FOREIGN}
    assert len(results) == MANY


async def test_the_server_after_one_of_another_zone_answers_a_batch(serve: Serve) -> None:
    other, server = await serve(nowhere(".")), await serve(right)
    async with Resolver([other.endpoint, server.endpoint]) as resolver:
        resolver.begin(ZONE)
        assert packed(await ask(resolver, NAMES[:40])) == RIGHT[:40]


async def test_a_server_of_the_zone_proves_pods_absent(serve: Serve) -> None:
    first, second = await serve(nowhere("cluster.local.")), await serve(right)
    async with Resolver([first.endpoint, second.endpoint]) as resolver:
        resolver.begin(ZONE)
        assert packed(await ask(resolver)) == [()] * MANY
    assert second.asked == []
