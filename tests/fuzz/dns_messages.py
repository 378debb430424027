"""DNS messages: the full reader, the fast readers and dnspython must agree about each."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache

import dns.message

from ..unit.dns.fast_readers import fast_readers_agree
from ..unit.dns.tricky import tricky_message
from ..unit.oracle import Mutator, read_with_dnspython, read_with_peerdisco, restricted
from ..vectors_reader import answers
from .target import Target

LARGEST = 480
"""Bytes of a message that is mutated: dnspython takes 50 µs a record."""


@cache
def corpus() -> tuple[bytes, ...]:
    """Recorded answers of a real CoreDNS, as it wrote them and compressed as others would."""
    recorded = answers(largest=LARGEST)
    compressed = {dns.message.from_wire(message).to_wire() for message in recorded}
    return (*recorded, *sorted(compressed - set(recorded)))


def inputs(_target: Target, seed: int) -> Iterator[bytes]:
    """Mutated recordings, and one message in eight whose names are all compression pointers."""
    chance = random.Random(seed)
    mutator = Mutator(seed, corpus())
    while True:
        yield tricky_message(chance) if chance.random() < 1 / 8 else mutator.message()


def read(message: bytes) -> bool:
    """Read it with every reader.

    Raises:
        AssertionError: Two of them disagree.
    """
    expected = read_with_dnspython(message)
    found = read_with_peerdisco(message)
    assert found == expected, "peerdisco and dnspython disagree"
    fast_readers_agree(message)
    return found is not None


def read_without_dnspython(message: bytes) -> bool:
    """Read it with the package's own readers, four times as fast.

    Raises:
        AssertionError: Two of them disagree.
    """
    fast_readers_agree(message)
    return read_with_peerdisco(message) is not None


READERS = Target("dns-readers", corpus, read_without_dnspython, inputs=inputs)
MESSAGES = Target("dns-messages", corpus, read, inputs=inputs, prepared=restricted)
