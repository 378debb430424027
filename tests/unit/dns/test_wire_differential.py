"""`peerdisco.dns.wire.read` against dnspython: the same records, or both refuse.

Every recorded answer, and more than a hundred thousand broken ones from fixed seeds. A failure
prints the message in hexadecimal.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import dns.message
import pytest

from ...vectors_reader import Exchange, answers, exchanges, scenarios
from ..oracle import Mutator, read_with_dnspython, read_with_peerdisco, restricted
from .tricky import tricky_message

SMALL, LARGE = 480, 5000
"""dnspython takes 50 µs a record: answers up to the first size are broken by the thousand, those
up to the second by the hundred, and larger ones are only compared as they were recorded."""

TRICKY_A_SEED = 10_000

SEEDS = 24
SMALL_A_SEED = 4200
LARGE_A_SEED = 60


@pytest.fixture(autouse=True)
def oracle() -> Iterator[None]:
    with restricted():
        yield


def compare(message: bytes) -> bool:
    """Whether the two read it; they agree."""
    expected = read_with_dnspython(message)
    found = read_with_peerdisco(message)
    assert found == expected, f"dnspython and peerdisco differ over {message.hex()}"
    return found is not None


def corpus(smallest: int, largest: int) -> tuple[bytes, ...]:
    """The recordings of these sizes, as CoreDNS wrote them and compressed as others would."""
    recorded = answers(smallest=smallest, largest=largest)
    compressed = {dns.message.from_wire(message).to_wire() for message in recorded}
    return (*recorded, *sorted(compressed - set(recorded)))


@pytest.mark.parametrize("scenario", scenarios())
def test_recorded_answers_are_read_as_dnspython_reads_them(scenario: str) -> None:
    recorded = {exchange.answer for exchange in exchanges(scenario)}
    assert recorded
    for message in recorded:
        assert compare(message), "a recorded answer was refused"


@pytest.mark.parametrize("scenario", scenarios())
def test_recorded_questions_are_read_as_dnspython_reads_them(scenario: str) -> None:
    for exchange in exchanges(scenario):
        assert compare(exchange.query)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_broken_messages_are_read_or_refused_as_dnspython_does(seed: int) -> None:
    mutator = Mutator(seed, corpus(0, SMALL))
    read = sum(compare(mutator.message()) for _ in range(SMALL_A_SEED))
    # Both sides of the contract were met, each many times.
    assert SMALL_A_SEED / 20 < read < SMALL_A_SEED * 19 / 20


@pytest.mark.parametrize("seed", range(1000, 1000 + SEEDS // 2))
def test_large_broken_messages_are_read_or_refused_as_dnspython_does(seed: int) -> None:
    mutator = Mutator(seed, corpus(SMALL + 1, LARGE))
    for _ in range(LARGE_A_SEED):
        compare(mutator.message())


@pytest.mark.parametrize("seed", range(2000, 2004))
def test_tricky_names_are_read_or_refused_as_dnspython_does(seed: int) -> None:
    choice = random.Random(seed)
    read = 0
    for _ in range(TRICKY_A_SEED):
        read += compare(tricky_message(choice))
    assert TRICKY_A_SEED / 20 < read < TRICKY_A_SEED * 19 / 20


@pytest.mark.parametrize("exchange", exchanges("seed-three-pods")[::9], ids=str)
def test_every_prefix_of_an_answer_is_refused(exchange: Exchange) -> None:
    message = exchange.answer
    for size in range(len(message)):
        assert not compare(message[:size])


def test_the_broken_messages_are_at_least_a_hundred_thousand() -> None:
    assert SEEDS * SMALL_A_SEED >= 100_000
