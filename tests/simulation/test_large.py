"""The guarantees for large services: each change is reported in time, and nothing else is.

``python -m tests.simulation.large --seeds 200`` checks more seeds, and with ``--polls 1000`` it
makes a thousand polls of each size.
"""

from __future__ import annotations

import pytest

from peerdisco.sources.large.partial import PartialEnumeration
from peerdisco.sources.large.rotation import MOST_VERIFIED, Rotation

from .large import KINDS, SIZES, main, simulate, simulate_polls


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


async def test_real_changes_in_many_polls_are_reported_in_time_and_nothing_else() -> None:
    run = await simulate_polls(1000, 60, every=5)
    assert run.violations() == []
    assert run.polls >= 60
    actions = {one.action for one in run.expected}
    assert actions == {"joined", "left", "replaced"}
    assert len(run.expected) >= len(KINDS)


async def test_many_polls_without_verification_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rotation, "next", lambda self, others=0: [])
    run = await simulate_polls(950, 60, every=5)
    assert any("was never reported" in violation for violation in run.violations())


def test_the_command_of_many_polls(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--polls", "20", "--pods", "950"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("950 pods, ")
    assert printed.endswith(" came, 0 missing, late or without a cause\n")


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
