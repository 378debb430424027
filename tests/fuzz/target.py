"""A fuzz target, and inputs for it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

__all__ = ["EDGES", "Target", "change", "mutations"]


EDGES = (
    *(
        b"",
        b"\0",
        b"\n",
        b"\r\n",
        b" ",
        b"\t",
        b".",
        b"..",
        b"-",
        b":",
        b",",
        b"=",
        b"#",
        b"/",
        b"%",
    ),
    *(b"\x1b[2J", b"\x7f", b"\x85", b"\xff", b"\xc3\xa9", b"\xe2\x80\xa8", b"\xed\xa0\x80"),
    *(b"\xd9\xa1", b"0", b"-1", b"00", b"1e999", b"nan", b"inf", b"0x10", b"2147483647"),
    *(b"2147483648", b"18446744073709551616", b"9" * 5000, b"a" * 63, b"a" * 64, b"a." * 127),
    *(b"::1", b"127.0.0.1"),
)
"""Text at which readers have stumbled: controls, other alphabets, the ends of ranges."""


LARGEST = 1 << 17
"""Bytes of an input, as of an argument or a variable on Linux: execve(2), ``MAX_ARG_STRLEN``."""

_SEPARATORS = re.compile(rb"([\s=,:;./-])")


def mutations(target: Target, seed: int) -> Iterator[bytes]:
    """Valid inputs with up to eight changes: bytes, words and lines are moved, removed, put in."""
    chance = random.Random(seed)
    corpus, words = target.corpus(), target.words + EDGES
    while True:
        data = chance.choice(corpus)
        for _ in range(chance.choice((0, 1, 1, 1, 2, 2, 3, 8))):
            data = change(data, corpus, words, chance)[: target.largest]
        yield data


def change(
    data: bytes, corpus: tuple[bytes, ...], words: tuple[bytes, ...], chance: random.Random
) -> bytes:
    """The data with one change."""
    at, to = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
    match chance.randrange(9):
        case 0:
            return data[:at] + chance.choice(words) + data[at:]
        case 1:
            return data[:at] + chance.choice(words) + data[to:]
        case 2:
            return data[:at] + data[to:]
        case 3:
            return data[:at] + chance.randbytes(chance.choice((1, 1, 2, 4))) + data[at + 1 :]
        case 4:
            return data[:at] + chance.choice(corpus)[at:]
        case 5:
            return data[:at] + data[at:to] * chance.choice((2, 3, 50)) + data[to:]
        case 6 | 7:
            pieces = _SEPARATORS.split(data)
            pieces[2 * chance.randrange((len(pieces) + 1) // 2)] = chance.choice(words)
            return b"".join(pieces)
        case _:
            lines = data.split(b"\n")
            chance.shuffle(lines)
            return b"\n".join(lines)


@dataclass(frozen=True)
class Target:
    """A reader of foreign bytes, and inputs with which to test it.

    Attributes:
        name: For the command.
        corpus: Makes valid inputs, recorded ones where there are some.
        read: Reads one input: True if it was accepted, False if it was refused as documented. Any
            exception is a fault.
        words: Pieces of input that mean something to the reader.
        inputs: Makes an endless sequence of inputs from a seed.
        prepared: Entered around all calls of ``read``.
        largest: Bytes of an input at most.
    """

    name: str
    corpus: Callable[[], tuple[bytes, ...]]
    read: Callable[[bytes], bool]
    words: tuple[bytes, ...] = ()
    inputs: Callable[[Target, int], Iterator[bytes]] = mutations
    prepared: Callable[[], AbstractContextManager[object]] = nullcontext
    largest: int = LARGEST
