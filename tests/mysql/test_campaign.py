"""Random events on real servers: a short portion of ``python -m tests.mysql.campaign``."""

from __future__ import annotations

import itertools
from argparse import Namespace
from functools import partial

import pytest

from . import database
from .campaign import cluster, operations
from .campaign.__main__ import main, seeds
from .campaign.cluster import Cluster
from .campaign.plan import DISTURBANCES, KINDS, MOVE, OPERATIONS, PODS, Event, Plan, plan
from .campaign.run import run
from .database import Image, Member
from .sidecar import Sidecar
from .writer import Writer

SEED, ROUNDS = 123, 3
FLUSH = "flush on a replica"


@pytest.mark.timeout(240)
def test_no_acknowledged_row_is_lost(every_image: Image) -> None:
    done = run(plan(SEED, ROUNDS), every_image)
    assert not done.fault, f"seed {SEED}: {done.fault}"
    assert done.rounds == ROUNDS
    assert done.rows >= 5 * ROUNDS  # for which each round waits


@pytest.mark.timeout(240)
def test_a_lost_row_is_found_and_what_the_servers_did_is_kept(
    image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_a_row(all_pods: Cluster, member: Member, writer: Writer) -> None:
        writer.wait(20)
        all_pods.stop_writing()
        lost = min(all_pods.acknowledged)
        all_pods.primary.server.sql(f"DELETE FROM shop.orders WHERE n = {lost}")

    monkeypatch.setitem(operations.OPERATE, FLUSH, lose_a_row)
    done = run(Plan(0, False, ((Event(FLUSH, 1, 0.0),),)), image)
    assert "mysql-0: 1 acknowledged rows missing" in done.fault
    for ordinal in range(PODS):
        assert f"=== mysql-{ordinal}: server " in done.explanation
    assert "SHOW FULL PROCESSLIST" in done.explanation
    assert '"state": "primary"' in done.explanation


def test_a_seed_gives_the_same_events_again() -> None:
    for seed in range(20):
        assert plan(seed, 12) == plan(seed, 12)
        assert plan(seed, 12).rounds == plan(seed, 30).rounds[:12]
    assert plan(1, 12).rounds != plan(3, 12).rounds


def test_every_kind_of_event_comes_with_both_durabilities() -> None:
    for first in (0, 1):
        plans = [plan(seed, 12) for seed in range(first, 100, 2)]
        assert {one.semi_sync for one in plans} == {bool(first)}
        found = {event.kind for one in plans for event in one.events}
        assert found == set(KINDS)


def test_operations_come_alone_and_on_the_pod_that_they_name() -> None:
    for seed in range(50):
        primary = 0
        for together in plan(seed, 12).rounds:
            kinds = [event.kind for event in together]
            assert len(together) == 1 or set(kinds) <= {*DISTURBANCES, MOVE}
            assert all(0 <= one.pod < PODS for one in together)
            for event in together:
                if event.kind in OPERATIONS:
                    assert (event.pod == primary) == event.kind.endswith("of the primary")
                if event.kind == MOVE:
                    primary = event.pod


def test_disturbances_come_at_the_same_time_on_different_pods() -> None:
    rounds = [events for seed in range(50) for events in plan(seed, 12).rounds]
    assert not any(events[0].beside for events in rounds)
    pairs = [pair for events in rounds for pair in itertools.pairwise(events) if pair[1].beside]
    assert len(pairs) > 100
    assert all(one.pod != other.pod for one, other in pairs)


def test_moves_of_the_role_are_disturbed_and_overtaken() -> None:
    rounds = [events for seed in range(300) for events in plan(seed, 12).rounds]
    moves = [[one.kind for one in events] for events in rounds if events[0].kind == MOVE]
    assert any(len(kinds) == 1 for kinds in moves)
    assert any(kinds.count(MOVE) == 2 for kinds in moves)
    assert {kind for kinds in moves for kind in kinds} == {*DISTURBANCES, MOVE}


def test_one_kind_of_event_comes_on_replicas() -> None:
    kind = "kill the server while tables change"
    found = plan(1, 3, kind)
    assert {event.kind for event in found.events} == {kind}
    assert {event.pod for event in found.events} == {1, 2}
    assert len(found.rounds) == 3


def test_the_command_does_one_seed_unless_it_has_another_limit() -> None:
    given = Namespace(seed=7, rounds=1, only=None, seeds=None, seconds=None, until_repaired=None)
    assert [one.seed for one in seeds(given)] == [7]
    given.until_repaired = 1
    assert [one.seed for one in itertools.islice(seeds(given), 3)] == [7, 8, 9]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--server", "mysql", "--until-repaired", "1"), "--until-repaired: got --server mysql"),
        (("--until-repaired", "0"), "--until-repaired: got 0, expected more than 0"),
        (("--seeds", "0"), "--seeds: got 0, expected more than 0"),
        (("--seconds", "-1"), "--seconds: got -1, expected more than 0"),
        (("--rounds", "0"), "--rounds: got 0, expected more than 0"),
    ],
)
def test_options_that_would_never_end_or_do_nothing_are_one_clear_line(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(said)
    assert shown.err.count("\n") == 1


WITHOUT_HISTORY = """
import runpy, sys
from peerdisco.mysql import history
history._differences = lambda *_: iter(())
sys.argv = ["peerdisco", "mysql-sidecar"]
runpy.run_module("peerdisco", run_name="__main__")
"""
"""A sidecar to which all histories are the same."""


@pytest.mark.long
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "kind", ["open an older volume of the primary", "restore an older volume of the primary"]
)
def test_a_sidecar_that_compares_no_histories_is_found(
    image: Image, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    forgetful = partial(Sidecar, command=("-c", WITHOUT_HISTORY))
    monkeypatch.setattr(database, "Sidecar", forgetful)
    monkeypatch.setattr(cluster, "PATIENCE", 20.0)
    done = run(Plan(0, False, ((Event(kind, 0, 0.1),),)), image)
    assert done.fault
    assert (done.rounds, done.rows > 20) == (0, True)
