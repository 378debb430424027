"""The questions that looks ask by the thousand, and what they keep of the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from ..dns import wire
from ..dns.bulk import ask_each
from ..dns.quick import Found, question_after_id, read_addresses
from ..dns.resolver import Asks, Reply
from .roster import Roster

__all__ = ["Closed", "Memory", "ask_addresses", "ask_names"]


class Closed(NamedTuple):
    """That the ordinals of a service were searched.

    Attributes:
        until: When those that were absent are to be asked for again.
        cut: Whether the addresses of the service were cut.
        reasons: Why there may be more all the same.
    """

    until: float
    cut: bool
    reasons: tuple[str, ...]


class Memory:
    """What earlier looks learned, to know what to ask for.

    Attributes:
        addresses: The addresses of the look before, by name. As long as they do not change, this
            is the same object, and nobody changes it.
        ports: Its port numbers, by name; the like.
        answers: What these pods answered in the look before, family by family, and the smallest
            TTL; None if their addresses were not the same.
        closed: What the search of the ordinals came to; None if it has to be searched again.
        missing: When each name that was there before that was last there.
        absent: When an ordinal was last absent.
        found: What each answer was, by record type and name, to know it again.
    """

    def __init__(self) -> None:
        self.addresses: Mapping[bytes, tuple[bytes, ...]] = {}
        self.ports: Mapping[bytes, tuple[int, ...]] = {}
        self.answers: tuple[list[Found | Reply], float] | None = None
        self.closed: Closed | None = None
        self.missing: dict[bytes, float] = {}
        self.absent: dict[tuple[str, int], float] = {}
        self.found: dict[int, dict[bytes, Found]] = {}

    def keep_answers(self, *names: AbstractSet[bytes]) -> None:
        """Forget the answers for any other name."""
        for found in self.found.values():
            for name in found.keys() - set().union(*names):
                del found[name]


async def ask_addresses(
    resolver: Asks,
    questions: Sequence[tuple[bytes, int]],
    memory: Memory,
    deadline: float,
    *,
    tcp: bool = False,
) -> list[Found | Reply]:
    """Ask for addresses; an answer that is the same as in an earlier look is the same object."""
    kept = {rtype: memory.found.setdefault(rtype, {}) for rtype in (wire.A, wire.AAAA)}

    def read(number: int, reply: bytes) -> Found | None:
        name, rtype = questions[number]
        known = kept[rtype].get(name)
        size = len(reply) - 2
        if known is not None and size == len(known.reply) and reply.startswith(known.reply, 2):
            return known  # the same but for its id
        found = read_addresses(reply, question_after_id(name, rtype))
        if found is not None:
            kept[rtype][name] = found
        return found

    return await ask_each(
        resolver, questions, deadline=deadline, read=read, convert=_addresses_of, tcp=tcp
    )


def _addresses_of(message: wire.Message) -> Found:
    """The addresses in a message that was read in full."""
    name, rtype, _ = message.questions[0]
    size = 4 if rtype == wire.A else 16
    records = [
        record
        for record in message.answers
        if type(record) is wire.Address and record.owner == name and len(record.packed) == size
    ]
    return Found(
        tuple(record.packed for record in records),
        min((record.ttl for record in records), default=0),
        message.truncated,
    )


async def ask_names(
    resolver: Asks, packed: Sequence[bytes], roster: Roster, deadline: float
) -> list[tuple[bytes, ...] | Reply]:
    """The names within the service of each address, by its PTR records."""

    def names(message: wire.Message) -> tuple[bytes, ...]:
        return tuple(
            record.target
            for record in message.answers
            if type(record) is wire.Pointer and roster.label(record.target) is not None
        )

    return await ask_each(
        resolver,
        [(wire.reverse_name(address), wire.PTR) for address in packed],
        deadline=deadline,
        read=lambda number, reply: None,  # noqa: ARG005 - each is read in full
        convert=names,
    )
