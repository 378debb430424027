"""What a real CoreDNS with ``serve_stale`` sent, through the reader, the source and the rules."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest

import peerdisco
from peerdisco.cli import main
from peerdisco.membership.machine import Membership
from peerdisco.membership.schedule import Schedule
from peerdisco.model import Answered, Empty, Outcome
from peerdisco.names import parse_nameserver, parse_service
from peerdisco.sources.headless_dns import HeadlessDNS

from .replay import VECTORS, Replay

SERVICE = "main.ss.svc.cluster.local"
RECORDED = json.loads((VECTORS / "stale-nxdomain.json").read_text())


def sent(name: str) -> bytes:
    return bytes.fromhex(RECORDED[name]["answer_hex"])


FRESH = sent("upstream alive, verify")
OLD_NXDOMAIN = sent("upstream dead, verify")
OLD_LIST = sent("upstream dead, immediate")
FOUR = [f"mysql-{number}" for number in range(4)]


class Cache(Replay):
    """A name server that sends what a function of the number of the query says."""

    def __init__(self, answer: Callable[[int], bytes]) -> None:
        super().__init__({})
        self._answer = answer

    def reply(self, query: bytes, transport: str) -> bytes:
        self.asked.append(("", "", transport))
        return query[:2] + self._answer(len(self.asked))[2:]


@contextmanager
def serving(*answers: bytes) -> Iterator[Cache]:
    """These answers, the last of them again and again."""
    with Cache(lambda number: answers[min(number, len(answers)) - 1]) as cache:
        yield cache


def source(cache: Cache) -> HeadlessDNS:
    return HeadlessDNS(parse_service(SERVICE), [parse_nameserver(cache.nameserver)])


async def test_the_reader_tells_what_is_expired() -> None:
    with serving(FRESH, OLD_LIST, OLD_NXDOMAIN) as cache:
        dns = source(cache)
        fresh, old, empty = [await dns.observe(timeout=5) for _ in range(3)]
        await dns.aclose()
    assert isinstance(fresh, Answered)
    assert isinstance(old, Answered)
    assert (fresh.ttl, old.ttl, old.incomplete_reason) == (5, 0, None)
    assert isinstance(empty, Empty)
    assert (empty.outcome, empty.ttl, empty.soa_ttl, empty.soa_minimum) == (
        Outcome.NXDOMAIN,
        0,
        0,
        5,
    )


@pytest.mark.parametrize("old", [OLD_NXDOMAIN, OLD_LIST], ids=["nxdomain", "list"])
async def test_a_watcher_keeps_everybody_through_an_outage(old: bytes) -> None:
    """An hour on a simulated clock, over the real source."""
    machine, schedule, now, begin = Membership(), Schedule(), 0.0, 60.0
    left: list[str] = []
    observed = []
    with serving(FRESH) as cache:
        dns = source(cache)
        while now < begin + 3600:
            if now >= begin:
                cache._answer = lambda _: old
            changes = machine.observe(await dns.observe(timeout=5), now)
            left += [peer.name for peer in changes.left]
            observed.append(machine.observed_at)
            now += schedule.wait(machine, now, 0.5)
        await dns.aclose()
    assert left == []
    assert [peer.name for peer in machine.peers] == FOUR
    assert isinstance(machine.last_error, peerdisco.StaleAnswer)
    assert machine.last_error.name == SERVICE
    assert 3500 < machine.last_error.seconds < 3601
    assert machine.observed_at is not None
    assert machine.observed_at < begin
    assert all(before <= after for before, after in pairwise(observed))


# One-shot lookups.


async def discover(cache: Cache, **more: float) -> peerdisco.Snapshot:
    return await peerdisco.discover(SERVICE, nameservers=[cache.nameserver], **more)


async def test_an_old_list_is_asked_for_again() -> None:
    with serving(OLD_LIST, FRESH) as cache:
        snapshot = await discover(cache)
        assert len(cache.asked) == 2
    assert ([peer.name for peer in snapshot], snapshot.may_be_stale) == (FOUR, False)


async def test_an_old_nxdomain_is_asked_for_again() -> None:
    with serving(OLD_NXDOMAIN, FRESH) as cache:
        snapshot = await discover(cache)
    assert ([peer.name for peer in snapshot], snapshot.may_be_stale) == (FOUR, False)


async def test_an_old_nxdomain_that_stays_is_a_failure() -> None:
    with serving(OLD_NXDOMAIN) as cache, pytest.raises(peerdisco.StaleAnswer) as caught:
        await discover(cache)
    assert caught.value.attempts[-1].server == cache.nameserver


@pytest.mark.parametrize("timeout", [0.2, 5.0])
async def test_a_list_with_ttl_0_may_be_stale(timeout: float) -> None:
    with serving(OLD_LIST) as cache:
        snapshot = await discover(cache, timeout=timeout)
        assert len(cache.asked) == (1 if timeout < 0.5 else 5)
    assert ([peer.name for peer in snapshot], snapshot.may_be_stale) == (FOUR, True)
    assert not snapshot.stale


async def test_the_second_lookup_can_be_cancelled() -> None:
    with serving(OLD_LIST) as cache:
        task = asyncio.create_task(discover(cache))
        while not cache.asked:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_the_blocking_lookup_asks_again_too() -> None:
    with serving(OLD_LIST, FRESH) as cache:
        snapshot = peerdisco.sync.discover(SERVICE, nameservers=[cache.nameserver])
    assert not snapshot.may_be_stale


@pytest.mark.parametrize("command", ["peers", "primary"])
def test_commands_say_that_a_list_may_be_stale(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(OLD_LIST) as cache:
        status = main([command, SERVICE, "--nameserver", cache.nameserver, "-o", "json"])
    printed, remark = capsys.readouterr()
    assert status == 0
    assert json.loads(printed)["may_be_stale"] is True
    assert "may be out of date" in remark
    assert "TTL 0" in remark
    with serving(OLD_LIST, FRESH) as cache:
        status = main([command, SERVICE, "--nameserver", cache.nameserver, "-o", "json"])
    printed, remark = capsys.readouterr()
    assert (status, remark, json.loads(printed)["may_be_stale"]) == (0, "", False)


def test_commands_take_an_old_nxdomain_for_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(OLD_NXDOMAIN) as cache:
        status = main(["peers", SERVICE, "--nameserver", cache.nameserver])
    printed, remark = capsys.readouterr()
    assert (status, printed) == (2, "")
    assert "stale answers" in remark
    assert len(remark.splitlines()) == 1


def test_wait_does_not_count_a_pod_that_only_an_old_answer_lists(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving(OLD_LIST, OLD_NXDOMAIN) as cache:
        options = ["--nameserver", cache.nameserver, "--required", "3", "--timeout", "3"]
        status = main(["wait", SERVICE, *options])
    printed, remark = capsys.readouterr()
    assert (status, printed) == (5, "")
    assert "stale answers" in remark


def test_wait_says_that_a_list_may_be_stale(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(OLD_LIST) as cache:
        options = ["--nameserver", cache.nameserver, "--required", "3", "--timeout", "10"]
        status = main(["wait", SERVICE, *options])
    printed, remark = capsys.readouterr()
    assert (status, printed.split()) == (0, FOUR)
    assert "may be out of date" in remark


async def test_the_first_change_of_a_watcher_is_what_the_fresh_answer_lists() -> None:
    with serving(OLD_NXDOMAIN, OLD_LIST, FRESH) as cache:
        async with peerdisco.Discovery(SERVICE, nameservers=[cache.nameserver]) as disco:
            async with asyncio.timeout(10):
                change = await anext(disco.watch())
    assert [peer.name for peer in change.joined] == FOUR
    assert (change.degraded, change.snapshot.may_be_stale) == (False, False)
