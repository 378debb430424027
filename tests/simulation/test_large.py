"""The guarantees for large services: each change is reported in time, and nothing else is.

``python -m tests.simulation.large --seeds 200`` checks more seeds.
"""

from __future__ import annotations

import pytest

from peerdisco.sources.large.partial import PartialEnumeration
from peerdisco.sources.large.rotation import MOST_VERIFIED, Rotation

from .large import SIZES, simulate


@pytest.mark.parametrize("seed", range(6))
async def test_each_change_is_reported_in_time_and_nothing_else(seed: int) -> None:
    pods = SIZES[seed % len(SIZES)]
    run = await simulate(pods, seed, outage=seed % 3 == 0)
    assert run.violations() == []
    assert run.most_asked <= 8 + MOST_VERIFIED


async def test_beyond_the_addresses_of_one_answer() -> None:
    run = await simulate(4200, 1, changes=3)
    assert run.violations() == []
    assert run.most_asked <= 16 + MOST_VERIFIED


async def test_pods_that_are_never_verified_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check would find a rotation that stands still."""
    monkeypatch.setattr(Rotation, "next", lambda self, others=0: [])
    found = [v for seed in range(4) for v in (await simulate(950, seed)).violations()]
    assert any("was never reported" in violation for violation in found)


async def test_former_owners_that_are_not_queried_are_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two pods would have one address, until the turn of the one that left."""

    async def nothing(self: PartialEnumeration) -> None: ...

    monkeypatch.setattr(PartialEnumeration, "_ask_former_owners", nothing)
    found = [v for seed in range(6) for v in (await simulate(950, seed)).violations()]
    assert found
