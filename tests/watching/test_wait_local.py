"""`wait(local=True)`: this pod too is listed."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest

import peerdisco
import peerdisco.sync
from peerdisco.conditions import quorum
from peerdisco.testing import ManualClock, ScriptedSource, failure, peers

ME = peerdisco.Identity("mysql-3", "default", 3, "mysql")


def watching(script: list[Any], clock: ManualClock, **options: Any) -> peerdisco.Discovery:
    source = ScriptedSource("my-database", script)
    return peerdisco.Discovery(source=source, clock=clock, chance=lambda: 0.5, **options)


async def test_it_waits_until_this_pod_is_listed() -> None:
    clock = ManualClock()
    script = [*[peers("mysql", 3)] * 3, *[peers("mysql", [0, 1, 2, 4])] * 3, peers("mysql", 5)]
    async with watching(script, clock, identity=ME) as disco:
        waiting = asyncio.create_task(disco.wait(3, local=True))
        other = asyncio.create_task(disco.wait(4))
        await clock.advance(9)
        assert len(await other) == 4
        assert not waiting.done()
        await clock.advance(4)
        snapshot = await waiting
        assert snapshot.local is not None
        assert snapshot.local.name == "mysql-3"


async def test_the_pods_of_this_name_in_other_namespaces_do_not_count() -> None:
    clock = ManualClock()
    elsewhere = peerdisco.Identity("mysql-3", "other", 3, "mysql")
    async with watching([peers("mysql", 4)], clock, identity=elsewhere) as disco:
        waiting = asyncio.create_task(disco.wait(1, local=True, timeout=10))
        await clock.advance(11)
        with pytest.raises(peerdisco.NotReady, match="this pod, mysql-3, is not listed"):
            await waiting


async def test_being_listed_is_not_enough_by_itself() -> None:
    clock = ManualClock()
    async with watching([peers("mysql", [3])], clock, identity=ME) as disco:
        waiting = asyncio.create_task(disco.wait(quorum(5), local=True, timeout=10))
        await clock.advance(11)
        with pytest.raises(peerdisco.NotReady) as caught:
            await waiting
    assert caught.value.unlisted is None
    assert caught.value.required == "3 peers including this pod (mysql-3)"
    assert "is not listed" not in str(caught.value)


async def test_not_ready_says_that_this_pod_is_not_listed() -> None:
    clock = ManualClock()
    async with watching([peers("mysql", 3)], clock, identity=ME) as disco:
        waiting = asyncio.create_task(disco.wait(3, local=True, timeout=10))
        await clock.advance(11)
        with pytest.raises(peerdisco.NotReady) as caught:
            await waiting
    assert caught.value.unlisted == "mysql-3"
    assert str(caught.value) == (
        "timed out after 10 s: needed 3 peers including this pod (mysql-3), "
        "saw 3 (mysql-0, mysql-1, mysql-2); this pod, mysql-3, is not listed"
    )
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.unlisted) == (str(caught.value), "mysql-3")


async def test_without_an_answer_nothing_is_said_of_this_pod() -> None:
    clock = ManualClock()
    async with watching([failure()], clock, identity=ME) as disco:
        waiting = asyncio.create_task(disco.wait(1, local=True, timeout=5))
        await clock.advance(6)
        with pytest.raises(peerdisco.NotReady, match="no lookup succeeded") as caught:
            await waiting
    assert caught.value.unlisted is None


async def test_it_has_to_be_listed_for_as_long_as_the_rest() -> None:
    clock = ManualClock()
    script = [*[peers("mysql", 3)] * 10, peers("mysql", 4)]
    async with watching(script, clock, identity=ME) as disco:
        waiting = asyncio.create_task(disco.wait(3, local=True, stable_for=10))
        await clock.advance(29)
        assert not waiting.done(), "it joined after 20 seconds"
        await clock.advance(2)
        assert (await waiting).local is not None


@pytest.mark.parametrize("of", ["asyncio", "sync"])
async def test_who_does_not_know_who_it_is_cannot_wait_for_itself(of: str) -> None:
    source = ScriptedSource("my-database", [peers("mysql", 3)])

    def blocking() -> None:
        with peerdisco.sync.Discovery(source=source) as disco:
            disco.wait(1, local=True, timeout=5)

    with pytest.raises(peerdisco.IdentityError, match="set POD_NAME") as caught:  # noqa: PT012
        if of == "sync":
            await asyncio.to_thread(blocking)
        else:
            async with peerdisco.Discovery(source=source) as disco:
                await disco.wait(1, local=True, timeout=5)
    assert caught.value.missing == "pod name"


def test_the_blocking_one_waits_too() -> None:
    source = ScriptedSource("my-database", [peers("mysql", 3), peers("mysql", 4)])
    with peerdisco.sync.Discovery(
        source=source, identity=ME, interval=0.1, min_interval=0.05
    ) as disco:
        assert disco.wait(1, local=True, timeout=5).local is not None
