"""Operators who follow what is said after each message lose nothing, and are done soon.

``python -m tests.unit.mysql.chains DEPTH`` tries every beginning of longer histories.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from peerdisco.mysql import decisions
from peerdisco.mysql.history import Recorded
from peerdisco.mysql.positions import MariaDBPosition

from . import chains, model


@pytest.fixture(autouse=True)
def forgets() -> Iterator[None]:
    """Verdicts are kept from state to state; not from rule to rule."""
    cached = (chains.primarys, chains.replicas, chains.facts, model.facts)
    for one in cached:
        one.cache_clear()
    yield
    for one in cached:
        one.cache_clear()


def test_every_chain_of_messages_ends_without_a_loss() -> None:
    wrong, count = chains.search(3, all_of_them=False)
    assert wrong is None, str(wrong)
    assert count > 50


@pytest.mark.long
@pytest.mark.timeout(600)
def test_every_chain_of_longer_histories_ends_without_a_loss() -> None:
    wrong, count = chains.search(4)
    assert wrong is None, str(wrong)
    assert count > 6_000


def lost(*names: str) -> str:
    events = dict(chains.EVENTS)
    state = model.start()
    for name in names:
        after = events[name](state)
        assert after is not None, name
        state = after
    return str(chains.chain(chains.Cluster.beginning(state)) or "")


MASKED = ("write 0", "judge 2", "restore 0", "client writes 1")
"""After the primary got a copy that knows the last transaction alone."""


def test_a_row_that_a_client_wrote_stays_when_the_primary_gets_a_copy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert lost(*MASKED) == ""

    def by_number(self: Recorded, gtid: tuple[int, int, int]) -> bool:
        assert isinstance(self.position, MariaDBPosition)
        return self.position.has(gtid)

    forgetting = (chains.primarys, chains.replicas)
    for one in forgetting:
        one.cache_clear()
    monkeypatch.setattr(Recorded, "knows", by_number)
    assert "1 rows are lost" in lost(*MASKED)


def test_advice_that_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The messages of all replicas that are refused say to empty their volumes."""
    really = decisions.against_following

    def empties(*servers: object) -> Iterator[object]:
        for reason in really(*servers):  # type: ignore[arg-type]
            yield type(reason)(reason.code, decisions.NEW_COPY, reason.peer)

    monkeypatch.setattr(decisions, "against_following", empties)
    assert "rows are lost" in lost("write 0", "judge 1", "judge 2", "restore 0")
    assert "rows are lost" in lost("client writes 1")


def test_a_circle_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of a refused neighbour is refused as well, and so is the next one."""
    reset = ("write 0", "beat 0", "reset log 0", "beat 0", "judge 1", "judge 2")
    assert lost(*reset) == ""
    monkeypatch.setattr(chains, "judge_replica_as_source", lambda *_: None)
    assert "not done after 6 steps" in lost(*reset)
