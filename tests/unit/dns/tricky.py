"""Messages whose names consist of what could be a length or a compression pointer."""

from __future__ import annotations

import random


def tricky_message(choice: random.Random) -> bytes:
    """A PTR record and an unknown one, with tricky names everywhere."""
    message = b"\0\x01\x84\0\0\x01\0\x02" + bytes(4)
    message += tricky_name(choice, 13) + b"\0\x0c\0\x01"
    target = tricky_name(choice, len(message))
    message += tricky_name(choice, len(message))
    message += b"\0\x0c\0\x01" + bytes(5) + bytes((len(target),)) + target
    return message + tricky_name(choice, len(message)) + b"\0\x10\0\x01" + bytes(6)


def tricky_name(choice: random.Random, within: int) -> bytes:
    """Labels that hold lengths and pointers, and an end that leads anywhere into the message."""
    kinds = (*b"\0\x01\x02aB\xc0\xc0\xc0", *range(12, within))
    name = b""
    for _ in range(choice.choice((0, 1, 1, 2, 3))):
        size = choice.randint(1, 4)
        name += bytes((size, *choice.choices(kinds, k=size)))
    if choice.random() < 0.5:
        return name + b"\0"
    return name + bytes((0xC0, choice.randrange(12, within)))
