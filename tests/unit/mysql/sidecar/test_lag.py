"""How far a replica is behind, by heartbeats; and positions, where those stopped."""

from __future__ import annotations

from dataclasses import replace

from peerdisco.mysql.facts import ServerFacts
from peerdisco.mysql.history import History
from peerdisco.mysql.sidecar.lag import LagMeter

from ..histories import epoch, heartbeat, position
from ..servers import facts

FIRST = epoch(1, "0-100-4")


def server(second: int | None, text: str = "0-100-50") -> ServerFacts:
    beat = heartbeat("epoch-1", second) if second is not None else None
    return replace(facts(), position=position(text), history=History((FIRST,), beat))


def beating(until: int) -> LagMeter:
    """A primary that was asked every five seconds, and beats each second."""
    meter = LagMeter()
    for second in range(until - 10, until + 1, 5):
        meter.saw_primary(server(second, "0-100-90"), float(second))
    return meter


def test_a_replica_that_is_behind() -> None:
    meter = beating(100)
    assert meter.lag(server(100), 100.0) == 0
    assert meter.lag(server(55), 100.0) == 45
    assert meter.lag(server(55), 104.0) == 49
    assert meter.lag(server(104, "0-100-90"), 104.0) == 0


def test_a_heartbeat_that_stopped_is_no_lag() -> None:
    meter = beating(100)
    for second in (105, 110):
        meter.saw_primary(server(100, "0-100-90"), float(second))
    assert meter.lag(server(100, "0-100-90"), 114.0) == 0
    # What is missing came after the last heartbeat: the server's own figure has to do.
    assert meter.lag(server(100, "0-100-80"), 114.0) is None
    assert meter.lag(server(70, "0-100-80"), 114.0) == 30


def test_the_first_answer_of_a_primary() -> None:
    meter = LagMeter()
    meter.saw_primary(server(100, "0-100-90"), 100.0)
    assert meter.lag(server(40), 103.0) == 60
    assert meter.lag(server(100, "0-100-90"), 103.0) == 0


def test_nothing_is_known_without_an_answer_or_a_heartbeat() -> None:
    assert LagMeter().lag(server(100), 100.0) is None
    assert beating(100).lag(server(None), 100.0) is None
    assert beating(100).lag(server(90), 200.0) is None
    meter = LagMeter()
    meter.saw_primary(server(None), 100.0)
    assert meter.lag(server(90), 100.0) is None
    meter = beating(100)
    meter.saw_primary(None, 101.0)
    assert meter.lag(server(90), 101.0) is None
