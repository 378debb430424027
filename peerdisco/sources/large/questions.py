"""The queries of an enumeration, sent by the thousand, and the state kept of their answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from ...dns import wire
from ...dns.bulk import ask_each
from ...dns.fast_path import Found, question_after_id, read_addresses, smallest_ttl
from ...dns.resolver import Reply, ResolverProtocol
from ..leftovers import Leftovers
from ..peer_factory import PeerFactory

__all__ = ["Closed", "EnumerationState", "Named", "ask_addresses", "ask_names"]


class Closed(NamedTuple):
    """The result of a finished search of the ordinals.

    Attributes:
        until: When to query the absent ordinals again.
        truncated: Whether the addresses of the service were truncated.
        reasons: Why the list may still be incomplete.
    """

    until: float
    truncated: bool
    reasons: tuple[str, ...]


class EnumerationState:
    """What earlier lookups learned, to decide what to query.

    Attributes:
        addresses: The addresses in the previous lookup, by name. While they do not change this is
            the same object; it is never modified.
        ports: The port numbers in the previous lookup, by name; never modified either.
        answers: The answers for these pods in the previous lookup, family by family, and their
            smallest TTL; None if their addresses changed.
        closed: The result of the last search of the ordinals; None to search again.
        missing: When each name that is missing now was last present.
        absent: When each absent ordinal was last queried.
        found: The last answer by record type and name, to recognise the same answer.
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
    resolver: ResolverProtocol,
    questions: Sequence[tuple[bytes, int]],
    state: EnumerationState,
    deadline: float,
    leftovers: Leftovers,
    *,
    tcp: bool = False,
) -> list[Found | Reply]:
    """Query addresses; the same answer as in an earlier lookup is the same object."""
    kept = {rtype: state.found.setdefault(rtype, {}) for rtype in (wire.A, wire.AAAA)}

    def read(number: int, reply: bytes) -> Found | None:
        name, rtype = questions[number]
        known = kept[rtype].get(name)
        size = len(reply) - 2
        if known is not None and size == len(known.reply) and reply.startswith(known.reply, 2):
            return known  # the same, apart from its id
        found = read_addresses(reply, question_after_id(name, rtype))
        if found is not None:
            kept[rtype][name] = found
        return found

    def convert(message: wire.Message) -> Found:
        found, others = _addresses_of(message)
        for record in others:
            leftovers.add_record(record, message.questions[0].name)
        return found

    return await ask_each(
        resolver, questions, deadline=deadline, read=read, convert=convert, tcp=tcp
    )


def _addresses_of(message: wire.Message) -> tuple[Found, list[wire.Record]]:
    """The addresses in a fully parsed message, and the other records of its answer."""
    name, rtype, _ = message.questions[0]
    size = 4 if rtype == wire.A else 16
    records: list[wire.Address] = []
    others: list[wire.Record] = []
    for record in message.answers:
        if type(record) is wire.Address and record.owner == name and len(record.packed) == size:
            records.append(record)
        else:
            others.append(record)
    found = Found(
        tuple(record.packed for record in records),
        smallest_ttl(record.ttl for record in records),
        message.truncated,
    )
    return found, others


class Named(NamedTuple):
    """The PTR records of an address.

    Attributes:
        names: The names of pods behind the service.
        others: Other names, for example of another service that selects the pod.
    """

    names: tuple[bytes, ...]
    others: tuple[bytes, ...]


async def ask_names(
    resolver: ResolverProtocol, packed: Sequence[bytes], peer_factory: PeerFactory, deadline: float
) -> list[Named | Reply]:
    """Query the names of each address, from its PTR records."""

    def names(message: wire.Message) -> Named:
        targets = [record.target for record in message.answers if type(record) is wire.Pointer]
        return Named(
            tuple(target for target in targets if peer_factory.label(target) is not None),
            tuple(target for target in targets if peer_factory.label(target) is None),
        )

    return await ask_each(
        resolver,
        [(wire.reverse_name(address), wire.PTR) for address in packed],
        deadline=deadline,
        read=lambda number, reply: None,  # noqa: ARG005 - each is parsed in full
        convert=names,
    )
