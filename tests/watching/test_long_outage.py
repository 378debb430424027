"""DNS that fails for days, on a clock that is moved."""

from __future__ import annotations

import pytest

import peerdisco
from peerdisco.testing import ManualClock, ScriptedSource, clock, failure, peers

DAY = 86_400.0


@pytest.mark.timeout(800)
async def test_seven_days_of_servfail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_TURNS", 16)  # nothing here needs more, and there are 75,600 polls
    time = ManualClock()
    source = ScriptedSource("my-database", [peers("mysql", 3), failure()])
    async with peerdisco.Discovery(
        source=source, clock=time, chance=lambda: 0.5, interval=8
    ) as disco:
        watch = disco.watch()
        await time.advance(0.1)
        assert len((await anext(watch)).joined) == 3
        await time.advance(7 * DAY)
        degraded = await anext(watch)
        assert degraded.degraded
        assert not degraded.left
        assert 7 * DAY / 8 <= source.lookups <= 7 * DAY / 8 + 10, "each poll waits eight seconds"
        assert len(disco.snapshot) == 3
        assert disco.snapshot.stale
        assert disco.snapshot.age == pytest.approx(7 * DAY)

        source.then(peers("mysql", 4))
        await time.advance(8)
        recovered = await anext(watch)
        assert recovered.recovered
        assert [peer.name for peer in recovered.joined] == ["mysql-3"]
        assert recovered.left == recovered.replaced == ()
        assert len(await disco.wait(4, timeout=1)) == 4
