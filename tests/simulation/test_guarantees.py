"""What docs/explanation/guarantees.md promises, in thousands of simulated clusters.

``python -m tests.simulation SEED`` shows the run of a seed, lookup by lookup.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .clients import Run, peerdisco
from .verdict import Bounds, Violation, check
from .world import Event, Setup, Trouble, Truth, draw

RUNS = 6_400
BLOCKS = 8


def violations(setup: Setup) -> list[Violation]:
    return list(check(peerdisco(setup, Truth(setup.events, setup.seconds))))


def in_words(found: list[Violation]) -> str:
    seeds = sorted({violation.seed for violation in found})
    shown = "\n".join(map(str, found[:20]))
    return f"{len(seeds)} runs break what is promised: {seeds}\n{shown}"


@pytest.mark.parametrize("block", range(BLOCKS))
def test_guarantees_hold_whatever_happens(block: int) -> None:
    found = []
    for seed in range(block, RUNS, BLOCKS):
        found += violations(draw(seed))
    assert not found, in_words(found)


WENT_WRONG = (
    *(23, 35, 182, 243, 1202, 1885, 2055, 2122, 5793, 9756, 10770, 12555, 12707, 12732, 13937),
    *(474, 1187, 3787, 15959, 16665, 17049, 18204),
    *(28190, 37336, 37849, 56160, 72760, 94269, 107409),
)


@pytest.mark.parametrize("seed", WENT_WRONG)
def test_guarantees_hold_in_runs_that_went_wrong_once(seed: int) -> None:
    found = violations(draw(seed))
    assert not found, in_words(found)


# --- single stories


def pods(count: int, time: float = -1000.0) -> tuple[Event, ...]:
    """So many pods, from this time on."""
    return tuple(
        (time, f"mysql-{number}", (IPv4Address("10.244.0.3") + number,)) for number in range(count)
    )


def steady(**how: object) -> Setup:
    """Three pods that stay."""
    return Setup(**({"seed": 1, "seconds": 300.0, "events": pods(3)} | how))  # type: ignore[arg-type]


def left(setup: Setup) -> list[tuple[float, str]]:
    run = peerdisco(setup, Truth(setup.events, setup.seconds))
    return [(report.time, report.name) for report in run.reports if report.action == "left"]


STEADY = {
    "nothing happens": steady(),
    "DNS times out": steady(troubles=(Trouble(50.0, 250.0, "timeout"),)),
    "DNS fails": steady(troubles=(Trouble(50.0, 250.0, "servfail"),)),
    "the only replica restarts": steady(troubles=(Trouble(50.0, 52.0, "restart"),)),
    "the only replica restarts, and its NXDOMAIN is kept": steady(
        cached=True, others=20.0, troubles=(Trouble(50.0, 52.0, "restart"),)
    ),
    "DNS restarts, fails, restarts again": steady(
        troubles=(
            Trouble(50.0, 52.0, "restart"),
            Trouble(52.0, 70.0, "servfail"),
            Trouble(70.0, 72.0, "restart"),
        )
    ),
    "the first answer is old, the second is a kept NXDOMAIN": steady(
        cached=True, others=20.0, troubles=(Trouble(2.0, 2.5, "restart"),)
    ),
    "a third of the lookups fail": steady(loss=0.33),
    "half of the answers are truncated": steady(truncated=0.5),
    "replicas and their caches": steady(lags=(0.0, 1.0, 2.0, 2.0), cached=True, others=0.1),
}


@pytest.mark.parametrize("story", STEADY)
def test_nobody_leaves_who_stays(story: str) -> None:
    for seed in range(100):
        assert left(replace(STEADY[story], seed=seed)) == [], f"seed {seed}"


@pytest.mark.parametrize("pick", ["turn", "random", "sticky"])
@pytest.mark.parametrize("interval", [1.0, 2.0, 5.0])
def test_a_pod_that_only_some_replicas_know_yet_does_not_leave_again(
    interval: float, pick: str
) -> None:
    joining = (*pods(3), (30.0, "mysql-3", (IPv4Address("10.244.0.9"),)))
    for seed in range(200):
        lags = (0.0, 2.0, 2.0)
        # A replica that fails moves a sticky client to the next one.
        trouble = (Trouble(30.0 + seed / 100, 32.0, "servfail", 0),)
        setup = Setup(seed, 50.0, joining, lags, 5, False, pick, troubles=trouble)  # type: ignore[arg-type]
        assert left(replace(setup, interval=interval)) == [], f"seed {seed}"


# --- schedules that shrink

times = st.floats(0.0, 150.0).map(lambda time: round(time, 1))
spells = st.floats(0.1, 60.0).map(lambda time: round(time, 1))


@st.composite
def setups(draw: st.DrawFn) -> Setup:
    """As `draw`, but one that hypothesis can make smaller until only what matters is left."""
    replicas = draw(st.integers(1, 3))
    events = list(pods(draw(st.integers(1, 4))))
    for number in range(draw(st.integers(0, 5))):
        time, away = draw(times), draw(spells)
        name = f"mysql-{draw(st.integers(0, 4))}"
        events.append((time, name, ()))
        if draw(st.booleans()):
            events.append((time + away, name, (IPv4Address("10.244.1.0") + number,)))
    troubles = [
        Trouble(start, start + draw(spells), "timeout", draw(st.sampled_from((None, 0))))
        for start in draw(st.lists(times, max_size=2))
    ]
    cached = draw(st.booleans())
    return Setup(
        seed=draw(st.integers(0, 100)),
        seconds=240.0,
        events=tuple(events),
        lags=tuple(draw(st.sampled_from((0.0, 1.0, 2.0))) for _ in range(replicas)),
        ttl=draw(st.sampled_from((5, 30))),
        cached=cached,
        pick=draw(st.sampled_from(("turn", "random", "sticky"))),
        loss=draw(st.sampled_from((0.0, 0.3))),
        others=draw(st.sampled_from((0.0, 20.0))) if cached else 0.0,
        troubles=tuple(troubles),
    )


@settings(
    max_examples=500,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(setups())
def test_guarantees_hold_for_small_schedules(setup: Setup) -> None:
    assert not violations(setup)


# --- the bounds


@pytest.mark.parametrize("interval", [1.0, 2.0, 5.0, 30.0])
@pytest.mark.parametrize("ttl", [None, 5, 15, 30])
def test_bounds_are_those_that_are_promised(interval: float, ttl: int | None) -> None:
    """In intervals, as the documentation promises them; L and D apart."""
    setup = Setup(1, 10.0, (), ttl=ttl or 30, cached=ttl is not None, interval=interval)
    bounds = Bounds.of(Run(setup, Truth((), 10.0)), sure=True)
    kept = ttl or 0.0
    assert bounds.join <= kept + 2 * interval
    assert bounds.leave <= 2 * kept + 4 * interval


# --- the simulation itself


def test_runs_depend_on_the_seed_alone() -> None:
    for seed in (3, 11):
        one, other = (peerdisco(s, Truth(s.events, s.seconds)) for s in (draw(seed), draw(seed)))
        assert (one.reports, one.lookups) == (other.reports, other.lookups)


def test_a_departure_too_early_is_found() -> None:
    """The check bites: a machine without patience is caught by it."""
    from peerdisco.membership.rules import ConfirmationRules

    found = []
    for seed in range(100):
        setup = draw(seed)
        retry_interval = ConfirmationRules(
            interval=setup.interval, leave_after=0.001, leave_lookups=1, mass_lookups=0
        )
        found += check(peerdisco(setup, Truth(setup.events, setup.seconds), retry_interval))
    assert {"false departure", "ghost"} & {violation.kind for violation in found}


def test_a_departure_too_late_is_found() -> None:
    from peerdisco.membership.rules import ConfirmationRules

    found = []
    for seed in range(40):
        setup = draw(seed)
        slow = ConfirmationRules(interval=setup.interval, leave_after=100.0)
        found += check(peerdisco(setup, Truth(setup.events, setup.seconds), slow))
    assert "late" in {violation.kind for violation in found}


def test_the_runs_are_not_all_alike() -> None:
    """Every kind of thing happens in many of them."""
    drawn = [draw(seed) for seed in range(300)]
    assert {len(setup.lags) for setup in drawn} == {1, 2, 3, 4}
    assert {setup.pick for setup in drawn} == {"turn", "random", "sticky"}
    kinds = {trouble.kind for setup in drawn for trouble in setup.troubles}
    assert kinds == {
        *("timeout", "servfail", "foreign", "lame"),
        *("restart", "upstream", "disconnected"),
    }
    assert {setup.serve_stale for setup in drawn} == {"never", "verify", "immediate"}
    assert sum(setup.old for setup in drawn) > 10
    ran = [peerdisco(setup, Truth(setup.events, setup.seconds)) for setup in drawn]
    actions = [report.action for run in ran for report in run.reports]
    assert min(actions.count(action) for action in ("joined", "left", "replaced")) > 300
