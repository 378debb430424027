"""What the figures rest on: the sizes as they were recorded, the sample, and the bounds."""

from __future__ import annotations

import pytest

from tests.simulation.clients import Run as OneClient
from tests.simulation.verdict import Bounds
from tests.simulation.world import Setup as OneSetup
from tests.simulation.world import Truth

from . import figures, slices
from .figures import CACHES, REST, beginning, run_of_load, warm_up
from .simulation import Caches, Setup, busiest, simulate
from .sizes import LookupSize, Messages, Service, lookup_size, most_pods

WATCH = slices.RecordedWatch()
WHOLE = LookupSize("tcp", Messages(1), Messages(1), truncated=False)


def test_lines_and_lists_have_the_size_that_was_recorded() -> None:
    for _, line in WATCH.after["scale to 5"]:
        endpoints = len(line["object"]["endpoints"])
        assert WATCH.line(range(endpoints)) == slices.size(line)
    assert WATCH.listing([range(3)]) == slices.size(WATCH.listed)


def test_what_a_restart_a_join_and_a_leave_are_to_a_watch() -> None:
    assert WATCH.writes_of_a_restart == 3
    assert WATCH.writes("scale to 5", pods=2) == 1
    assert WATCH.writes("scale to 2", pods=3) == WATCH.writes("scale to 0", pods=2) == 2


def test_slices_are_filled_and_all_pods_are_in_one() -> None:
    assert slices.full_slices(250) == [range(100), range(100, 200), range(200, 250)]
    assert slices.restart_size(100) == 3 * WATCH.line(range(100))
    assert slices.restart_size(100) < slices.restart_size(1000) < 1.02 * slices.restart_size(100)


def test_an_answer_is_compressed_only_when_it_must_be() -> None:
    """So 394 pods take half of what 393 take."""
    before, after = lookup_size(393).whole, lookup_size(394).whole
    assert before.answered <= 65535 + 2
    assert after.answered < 0.6 * before.answered


def test_an_answer_that_is_truncated_takes_questions_for_some_pods() -> None:
    most = most_pods(Service(), "tcp")
    assert lookup_size(most).whole.count == 1
    assert lookup_size(most + 1).whole.count > 2
    size = lookup_size(2000)
    assert (size.addresses.count, size.nothing.count, size.pods.count) == (1, 1, 63)
    dual = lookup_size(2000, Service(families=("ipv4", "ipv6")))
    assert (dual.addresses.count, dual.nothing.count, dual.pods.count) == (2, 0, 126)
    assert (lookup_size(5000).addresses.count, lookup_size(5000).pods.count) == (2, 64)


@pytest.mark.parametrize("source", CACHES)
def test_a_sample_lives_as_all_watchers_do(source: str) -> None:
    caches, pods = CACHES[source], 200
    start = warm_up(2.0)
    end = start + 120.0
    everybody = simulate(
        Setup(caches, pods, WHOLE, beginning(10), end, seed=figures.SEED, pods=pods)
    )
    sample = run_of_load(caches, figures.SAMPLE, pods, lookup_size(pods))

    def rate(times: list[float], end: float, watchers: int) -> float:
        return sum(start <= time < end for time in times) / (end - start) / watchers

    all_looks = rate(everybody.lookups, end, pods)
    assert rate(sample.lookups, start + REST, figures.SAMPLE) == pytest.approx(all_looks, rel=0.05)


def test_how_many_pods_the_machine_knows_changes_nothing() -> None:
    few = run_of_load(CACHES["DNS, cache of 5 s"], 3, 300, lookup_size(300))
    events = tuple(event for event in beginning(300) if event not in beginning(figures.KNOWN))
    many = simulate(Setup(**{**vars(few.setup), "events": (*few.setup.events, *events)}))
    assert many.lookups == few.lookups
    assert many.reached == few.reached
    changes = [
        [(time, reported.left, reported.replaced) for time, reported in each[1:]]
        for each in few.reported
    ]
    assert changes == [
        [(time, reported.left, reported.replaced) for time, reported in each[1:]]
        for each in many.reported
    ]
    assert all(changes)


def test_no_change_is_reported_later_than_is_guaranteed() -> None:
    found = figures.load()
    for source, caches in CACHES.items():
        cached = caches.kept_by != "nobody"
        setup = OneSetup(0, 1.0, (), lags=(WATCH.delay,), ttl=caches.ttl, cached=cached)
        bounds = Bounds.of(OneClient(setup, Truth((), 1.0)), sure=True)
        assert found.detection(source, "joined").worst <= bounds.join
        assert found.detection(source, "back").worst <= bounds.join
        assert found.detection(source, "left").worst <= bounds.leave


def test_a_cache_on_the_node_is_asked_by_its_pods_and_asks_once() -> None:
    caches = Caches(ttl=30, kept_by="nodes", pods_a_node=5)
    run = simulate(Setup(caches, 10, WHOLE, beginning(10), 290.0, together=True))
    asked_upstream = run.reached["srv"]
    assert len(asked_upstream) == 2 * 10  # two nodes, at the beginning and once each 30 s
    assert len(run.lookups) > 4 * len(asked_upstream)


def test_a_truncated_answer_is_not_kept_on_a_node() -> None:
    cut = LookupSize("tcp", Messages(1), Messages(1), truncated=True)
    caches = Caches(ttl=30, kept_by="nodes", pods_a_node=5)
    run = simulate(Setup(caches, 5, cut, beginning(10), 290.0, together=True))
    assert run.reached["pods"] == run.lookups
    assert len(run.reached["srv"]) == 2 * 5, "at the beginning, and in the 17th lookup of each"
    assert len(run.reached["addresses"]) == 10
    assert 10 <= len(run.reached["nothing"]) < len(run.lookups)


def test_the_busiest_second() -> None:
    times = [0.0, 1.0, 1.5, 1.9, 2.0, 3.5]
    assert busiest(times, 0.0, 4.0) == 3  # 1.0 to 1.9; 2.0 is a second later
    assert busiest(times, 2.0, 4.0) == 1
    assert busiest([], 0.0, 4.0) == 0
