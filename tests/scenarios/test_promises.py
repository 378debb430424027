"""The guaranteed time until a change is reported, wherever it falls between two polls."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerdisco.membership.machine import Membership

from .reports import Event, events_of_changes, wrongs
from .world import Scenario, World


def run(scenario: Scenario, seed: int) -> list[Event]:
    """The reported changes, with a jitter that differs from poll to poll."""
    machine, world, chance = Membership(scenario.rules), World(scenario), random.Random(seed)
    events: list[Event] = []
    now = 0.0
    while now <= scenario.until:
        observation, _ = world.lookup(now)
        events += events_of_changes(machine.observe(observation, now), now)
        events += events_of_changes(machine.tick(now), now)
        now += scenario.schedule.wait(machine, now, chance.choice((0.0, 0.999, chance.random())))
    return events


def life(at: float, away: float, *, ttl: int, cached: int = 0, **more: Any) -> Scenario:
    """A pod comes, is replaced, and goes."""
    pause = 60.0 + 4 * cached + 10 * more.get("rules", {}).get("interval", 2.0)
    came, went, back = at + pause, at + 2 * pause, at + 3 * pause
    expect: list[dict[str, Any]] = [
        {"join": "mysql-0..3", "after": 0, "by": 0},
        {"join": "mysql-4", "after": came},
        {"replace": "mysql-1=10.9.0.1", "after": went + away},
        {"leave": "mysql-4", "after": back},
    ]
    return Scenario.of(
        {
            "name": "life",
            "description": "",
            "ttl": ttl,
            "phases": [
                {"at": 0, "see": "mysql-0..3"},
                {"at": came, "come": "mysql-4"},
                {"at": went, "go": "mysql-1"},
                {"at": went + away, "come": "mysql-1=10.9.0.1"},
                {"at": back, "go": "mysql-4"},
            ],
            "until": back + pause + 2 * cached,
            "expect": expect,
            **more,
        }
    )


phases = st.floats(0, 10)
seeds = st.integers(0, 2**32)


@pytest.mark.parametrize("interval", [1.0, 2.0, 5.0])
@settings(derandomize=True, max_examples=30, deadline=None)
@given(phase=phases, ttl=st.sampled_from((0, 5, 30)), seed=seeds)
def test_without_a_cache(interval: float, phase: float, ttl: int, seed: int) -> None:
    # Absent for a shorter time than a departure takes.
    scenario = life(phase, interval, ttl=ttl, rules={"interval": interval})
    wrong = wrongs(scenario, run(scenario, seed))
    assert not wrong, wrong


@pytest.mark.parametrize("cache", [5, 30, 120])
@settings(derandomize=True, max_examples=30, deadline=None)
@given(phase=phases, seed=seeds, busy=st.none() | st.floats(0, 30))
def test_with_a_cache(cache: int, phase: float, seed: int, busy: float | None) -> None:
    replica: dict[str, Any] = {"cache": cache}
    if busy is not None:
        replica["busy"] = busy
    scenario = life(phase, 2.0, ttl=cache, cached=cache, replicas={"a": replica})
    wrong = wrongs(scenario, run(scenario, seed))
    assert not wrong, wrong


@pytest.mark.parametrize("cache", [5, 30])
@settings(derandomize=True, max_examples=30, deadline=None)
@given(phase=phases, seed=seeds, first=st.floats(0, 30), second=st.floats(0, 30))
def test_with_two_caches(cache: int, phase: float, seed: int, first: float, second: float) -> None:
    replicas = {"a": {"cache": cache, "busy": first}, "b": {"cache": cache, "busy": second}}
    scenario = life(phase, 2.0, ttl=cache, cached=cache, replicas=replicas, balance="random")
    wrong = wrongs(scenario, run(scenario, seed))
    assert not wrong, wrong


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    seed=seeds,
    hidden=st.lists(
        st.tuples(
            st.sampled_from(("hide", "nxdomain", "nodata", "fail", "partial")),
            st.floats(0.1, 4.0),
            st.floats(4.5, 20),
        ),
        max_size=12,
    ),
)
def test_what_is_over_within_two_intervals_is_not_reported(
    seed: int, hidden: list[tuple[str, float, float]]
) -> None:
    phases: list[dict[str, Any]] = [{"at": 0, "see": "mysql-0..4"}]
    at = 10.0
    values = {"hide": "mysql-2..4", "partial": "mysql-1", "fail": "servfail"}
    for action, seconds, pause in hidden:
        phases.append({"at": at, action: values.get(action, 5), "for": seconds})
        at += seconds + pause
    scenario = Scenario.of(
        {
            "name": "seldom right",
            "description": "",
            "phases": phases,
            "until": at + 20,
            "health": "any",
            "expect": [{"join": "mysql-0..4", "after": 0, "by": 0}],
        }
    )
    wrong = wrongs(scenario, run(scenario, seed))
    assert not wrong, wrong
