"""A hook that fails thousands of times."""

from __future__ import annotations

import asyncio

import peerdisco
from peerdisco.hooks import HookRunner
from peerdisco.testing import ManualClock, ScriptedSource, peers

FAILURES = 1500


async def test_the_pauses_stay_bounded_and_the_hook_succeeds_in_the_end() -> None:
    pauses: list[float] = []
    runs = 0

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0)

    def hook(_: peerdisco.Change) -> None:
        nonlocal runs
        runs += 1
        if runs <= FAILURES:
            raise OSError("not yet")

    source = ScriptedSource("my-database", [peers("mysql", 3)])
    me = peerdisco.Identity("mysql-0", "default", 0, "mysql")
    async with peerdisco.Discovery(source=source, clock=ManualClock(), identity=me) as disco:
        runner = HookRunner(
            disco,
            on_start=hook,
            attempts=10**9,
            backoff=0.01,
            sleep=sleep,
            chance=lambda: 0.0,
            report=lambda _: None,
        )
        async with asyncio.timeout(50):
            await runner.run()
    assert runs == FAILURES + 1
    assert pauses == sorted(pauses)
    assert pauses[-1] == 30.0
