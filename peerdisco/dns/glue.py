"""Recognises the address records of an SRV answer in another order. Pure."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Glue"]

_HEADER = 12
_SHAPE_SIZE = 10
"""Bytes of a record between its owner and its data: type, class, TTL and size."""
_POINTER_SIZE = 2
_LONGEST_NAME = 255
_POINTER = 0xC0
_FIRST_POINTER = b"\xc0"


class Glue(NamedTuple):
    """The address records at the end of a message, if their order does not matter.

    That is so if they differ in nothing but owner and address. A message that differs from this one
    only in their order says the same.

    Attributes:
        start: Where they begin in the message.
        stop: Where they end.
        shape: The bytes between the owner and the address of each; empty if their order may matter.
        size: The size of an address.
        records: The owner and the address of each.
    """

    start: int
    stop: int
    shape: bytes = b""
    size: int = 0
    records: frozenset[tuple[bytes, bytes]] = frozenset()

    @classmethod
    def of(cls, message: bytes, start: int, stop: int, suffix_size: int) -> Glue:
        """The address records between these positions of a message that has been read.

        Args:
            message: The whole message.
            start: Where they begin.
            stop: Where they end.
            suffix_size: The size of what follows the label in an owner that is not compressed.
        """
        if start == stop:
            return cls(start, stop)
        first = start + _owner_size(message[start : start + _LONGEST_NAME], suffix_size)
        shape = message[first : first + _SHAPE_SIZE]
        if not shape:
            return cls(start, stop)
        records = _split(message[start:stop], shape)
        count = (message[10] << 8 | message[11]) - (stop < len(message))  # without the OPT record
        if len(records) != count:
            return cls(start, stop)  # they differ in more, or two are the same
        return cls(start, stop, shape, shape[-1], records)

    def like_it_in(self, message: bytes) -> Glue | None:
        """The records at the same place of a message of the same size, if their shape is the same.

        The message must begin with the same bytes as the one of this, so that it has as many.
        """
        if not self.shape:
            return None
        start, stop, shape, size, before = self
        records = _split(message[start:stop], shape)
        if records == before:
            return self
        return Glue(start, stop, shape, size, records) if len(records) == len(before) else None


def _split(records: bytes, shape: bytes) -> frozenset[tuple[bytes, bytes]]:
    # Each part but the first and the last is an address and the owner of the next record: two
    # shapes never overlap, since no end of one is the beginning of another.
    parts = records.split(shape)
    size = shape[-1]
    owners = [parts[0], *[part[size:] for part in parts[1:-1]]]
    return frozenset(zip(owners, [part[:size] for part in parts[1:]], strict=False))


def _owner_size(owner: bytes, suffix_size: int) -> int:
    """The size of an owner that begins like this: a pointer, or a label and a pointer or suffix."""
    if owner[0] >= _POINTER:
        return _POINTER_SIZE
    end = 1 + owner[0]
    compressed = owner[end : end + 1] >= _FIRST_POINTER
    return end + (_POINTER_SIZE if compressed else suffix_size)
