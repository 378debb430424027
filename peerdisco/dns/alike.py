"""Recognises a reply that differs from an earlier one in nothing but a name and its address. Pure.

The replies of a server to questions of one type for thousands of pods are alike. The bytes of one
that was read, with the other name in place of its own, are compared; that takes a tenth of the time
of reading the reply.
"""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["AlikeReplies"]

_T = TypeVar("_T")

_MOST = 64
"""Forms that are kept: one for each length of a name, usually."""


class AlikeReplies(Generic[_T]):
    """The forms of replies that have been read, each with a value that all replies of it share."""

    def __init__(self) -> None:
        self._forms: dict[tuple[int, int], tuple[list[bytes], int, int, _T]] = {}

    def learn(self, name: bytes, reply: bytes, packed: bytes, value: _T) -> None:
        """Keep the form of a reply that has been read.

        Args:
            name: The name in the question, in wire form.
            reply: The reply, whose last record is the address of the name.
            packed: The address.
            value: Everything else that the reply says.
        """
        if len(self._forms) >= _MOST:
            self._forms.clear()
        end = len(reply) - len(packed)
        self._forms[len(name), name[0]] = reply[2:end].split(name), len(reply), end, value

    def match(self, name: bytes, reply: bytes) -> tuple[bytes, _T] | None:
        """The address and the value of a reply in a form that is known; None for any other.

        A name of the same size with a first label of the same size leaves everything at its place,
        so that compression pointers lead to the same parts of it.
        """
        form = self._forms.get((len(name), name[0]))
        if form is None:
            return None
        parts, size, end, value = form
        if len(reply) != size or not reply.startswith(name.join(parts), 2):
            return None
        return reply[end:], value
