"""DNS that fails for a day, on a clock that is moved."""

from __future__ import annotations

import pytest

import peerdisco
from peerdisco.testing import ManualClock, ScriptedSource, clock, failure, peers

DAY = 86_400.0


async def test_a_day_of_servfail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_TURNS", 16)  # nothing here needs more, and there are 10,800 polls
    time = ManualClock()
    source = ScriptedSource("my-database", [peers("mysql", 3), failure()])
    async with peerdisco.Discovery(
        source=source, clock=time, chance=lambda: 0.5, interval=8
    ) as disco:
        watch = disco.watch()
        await time.advance(0.1)
        assert len((await anext(watch)).joined) == 3
        await time.advance(DAY)
        degraded = await anext(watch)
        assert degraded.degraded
        assert not degraded.left
        assert DAY / 8 <= source.lookups <= DAY / 8 + 10, "each poll waits eight seconds"
        assert len(disco.snapshot) == 3
        assert disco.snapshot.stale
        assert disco.snapshot.age == pytest.approx(DAY, abs=1)

        source.then(peers("mysql", 4))
        await time.advance(8)
        recovered = await anext(watch)
        assert recovered.recovered
        assert [peer.name for peer in recovered.joined] == ["mysql-3"]
        assert recovered.left == recovered.replaced == ()
        assert len(await disco.wait(4, timeout=1)) == 4
