"""All short histories of three servers, and the faults that are found without each rule.

``python -m tests.unit.mysql.model DEPTH`` tries longer ones.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from peerdisco.mysql import objections
from peerdisco.mysql.facts import ServerFacts
from peerdisco.mysql.history import Comparison, Recorded, Standing
from peerdisco.mysql.history import compare as really_compare

from . import model

DEPTH = 4
MUTANT_DEPTH = 6


def test_no_short_history_leads_to_another_history_on_a_ready_replica() -> None:
    fault, states = model.explore(DEPTH)
    assert fault is None, str(fault)
    assert states > 5_000


@pytest.fixture
def forgets() -> Iterator[None]:
    """Verdicts are kept from state to state; not from rule to rule."""
    model.primarys_verdict.cache_clear()
    model.replicas_verdict.cache_clear()
    yield
    model.primarys_verdict.cache_clear()
    model.replicas_verdict.cache_clear()


def positions_alone(replica: Recorded, primary: Recorded) -> Comparison:
    """What was compared before there was a history: the transactions of one moment."""
    if ahead := replica.position.beyond(primary.position, but_of=replica.origin):
        return Comparison(Standing.AHEAD, None, ahead, 1)
    if replica.position.beyond(primary.position):
        return Comparison(Standing.LOCAL_WRITES)
    return Comparison(Standing.PREFIX)


REWIND = ("write 0", "beat 0", "judge 1", "restore 0", "open 0 alone", "write 0", "judge 1")
RESET = ("write 0", "beat 0", "judge 1", "reset log 0", "write 0", "write 0", "judge 1")
OUTRUN = (
    *("beat 0", "write 0", "beat 0", "judge 1", "reset log 0", *["write 0"] * 4),
    *(*["restart 0"] * 3, "open 0 alone", "write 0", "judge 1"),
)
"""A log that was reset without a sidecar, and has larger numbers in a log of a higher number."""
RECEIVED = ("lock 1", "write 0", "beat 0", "flow 1", "restore 0", "open 0")
"""Acknowledged rows that only a replica has, which has not applied them."""
REFUSED = ("write 0", "judge 1", *RECEIVED[:-1], "open 0 alone", "judge 1", "unlock 1")
"""A replica that is refused after its primary was opened without them."""
MOVED = ("write 0", "reset log 0", "move 0", "move 1", "open 1 alone", "judge 0")
"""A primary loses its log and its role at once: its position no longer shows what it wrote."""
BEHIND = (*REFUSED[:6], "volume 1 to 0", "open 0 alone", "reset log 0", "judge 1")
"""A primary gets the volume of a replica without its relay logs, and loses its own log."""
COPY = ("local 1", "copy 1 to 2", "write 0", "restart 0", "open 0")


def play(*names: str) -> str:
    """What is wrong after these events."""
    for at, name in enumerate(names, 1):
        if wrong := model.broken(played(*names[:at])):
            return f"{name}: {wrong}"
    return ""


def played(*names: str) -> model.State:
    """The state after these events."""
    events = dict(model.EVENTS)
    state = model.start()
    for name in names:
        after = events[name](state)
        assert after is not None, name
        state = after
    return state


@pytest.mark.usefixtures("forgets")
@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (REWIND, "follows db-0 and has another history"),
        (RESET, "follows db-0 and has another history"),
        (COPY, "no peer has more"),
    ],
    ids=["older volume", "reset log", "copy of a refused replica"],
)
def test_positions_alone_do_not_see_it(
    names: tuple[str, ...], fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert play(*names) == ""
    model.replicas_verdict.cache_clear()
    model.primarys_verdict.cache_clear()
    monkeypatch.setattr(objections, "compare", positions_alone)
    assert fault in play(*names)


@pytest.mark.usefixtures("forgets")
def test_only_the_place_in_the_log_shows_a_reset_that_was_outrun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert play(*OUTRUN) == ""
    for cached in (model.replicas_verdict, model.primarys_verdict, model.facts):
        cached.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(model.Server, "has_another_log", lambda *_: False)
        assert "follows db-0 and has another history" in play(*OUTRUN)
    model.facts.cache_clear()


FROM = {
    "a replica that has received more": REFUSED[:6],
    "beside a rewound primary": REFUSED[:8],
    "beside a primary whose log was reset": (
        "lock 1",
        "write 0",
        "beat 0",
        "flow 1",
        "reset log 0",
    ),
    "a role that moved after a reset": MOVED[:5],
}
"""Where longer histories begin that `explore` does not reach in so few events."""


@pytest.mark.parametrize("depth", [2, pytest.param(4, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", FROM)
def test_no_history_that_goes_on_from_there_loses_a_row(name: str, depth: int) -> None:
    fault, _ = model.explore(depth, played(*FROM[name]))
    assert fault is None, str(fault)


@pytest.mark.usefixtures("forgets")
def test_what_is_only_received_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the primary, which stays closed; and by the replica, which applies it."""
    assert play(*RECEIVED) == ""
    assert play(*BEHIND) == ""
    received = played(*REFUSED[:6]).servers[1].rows
    assert set(played(*REFUSED).servers[1].data) == received
    for cached in (model.replicas_verdict, model.primarys_verdict, model.facts):
        cached.cache_clear()
    monkeypatch.setattr(ServerFacts, "unapplied", property(lambda _: None))
    assert "is opened without what db-1 has received" in play(*RECEIVED)


@pytest.mark.usefixtures("forgets")
def test_a_former_primary_whose_log_was_reset_is_not_emptied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert play(*MOVED) == ""
    # Nor does it follow when it has the old numbers again.
    again = ("write 0", "write 0")
    assert play(*MOVED[:2], *again, *MOVED[2:]) == ""
    model.replicas_verdict.cache_clear()
    monkeypatch.setattr(Recorded, "log_was_reset", property(lambda _: False))
    assert "advised to drop the only copy" in play(*MOVED)


def without_the_end_of_epochs(replica: Recorded, primary: Recorded) -> Comparison:
    """Compares with the primary as it is now, and not as it was when it left the epoch."""
    found = really_compare(replica, primary)
    return found if found.standing is not Standing.FORKED else Comparison(Standing.PREFIX)


def without_resets(replica: Recorded, primary: Recorded) -> Comparison:
    found = really_compare(replica, primary)
    return found if found.standing is not Standing.LOG_RESET else Comparison(Standing.PREFIX)


def without_newer_epochs(replica: Recorded, primary: Recorded) -> Comparison:
    found = really_compare(replica, primary)
    return found if found.standing is not Standing.AHEAD else Comparison(Standing.PREFIX)


@pytest.mark.usefixtures("forgets")
@pytest.mark.parametrize(
    "mutant",
    [positions_alone, without_the_end_of_epochs, without_resets, without_newer_epochs],
)
def test_the_search_finds_what_is_wrong_without_a_rule(
    mutant: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objections, "compare", mutant)
    fault, _ = model.explore(MUTANT_DEPTH)
    assert fault is not None
