"""The queries of an enumeration, sent by the thousand, and the state kept of their answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ...dns import wire
from ...dns.alike import AlikeReplies
from ...dns.batch import AT_FIRST
from ...dns.bulk import Note, ask_each
from ...dns.fast_path import AddressRecords, question_after_id, read_addresses, smallest_ttl
from ...dns.resolver import Reply, ResolverProtocol
from ..leftovers import Leftovers
from ..peer_factory import PeerFactory
from .rotation import Owners, Rotation

__all__ = ["Closed", "EnumerationState", "Named", "ask_addresses", "ask_names"]


_ONE_ANSWER = b"\0\1" + bytes(4)
"""The numbers of records in the three sections of a reply with one record."""


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
        closed: The result of the last search of the ordinals; None to search again.
        missing: When each name that is missing now was last present.
        absent: When each absent ordinal was last queried.
        settled: Whether all of `addresses` were verified, so that the next poll may verify a part.
        listed: Whether the SRV answer had every pod, and only the addresses had to be queried: then
            a poll that finds any difference does so again.
        rtypes: The record types of the service's addresses.
        truncated: Whether the addresses of the service were truncated.
        owners: The pods by address.
        bare: The pods that are listed and have no known address.
        rotation: The order in which the pods are verified.
        unseen: The number of consecutive polls whose truncated answers did not show an address.
        polls: The number of polls since the last one that queried the service's SRV records.
    """

    def __init__(self) -> None:
        self.addresses: Mapping[bytes, tuple[bytes, ...]] = {}
        self.ports: Mapping[bytes, tuple[int, ...]] = {}
        self.closed: Closed | None = None
        self.missing: dict[bytes, float] = {}
        self.absent: dict[tuple[str, int], float] = {}
        self.settled = False
        self.listed = False
        self.rtypes: tuple[int, ...] = ()
        self.truncated = False
        self.owners = Owners({})
        self.bare: frozenset[bytes] = frozenset()
        self.rotation = Rotation()
        self.unseen: dict[bytes, int] = {}
        self.polls = 0

    def settle(
        self,
        ports: Mapping[bytes, tuple[int, ...]],
        addresses: Mapping[bytes, tuple[bytes, ...]],
        rtypes: tuple[int, ...],
    ) -> None:
        """Keep a complete SRV answer and the addresses, which are all those of the service.

        Nothing is kept if pods share addresses: one that leaves would then not show.
        """
        self.use(addresses)
        self.ports, self.rtypes, self.truncated = ports, rtypes, False
        self.closed, self.missing, self.absent, self.unseen = None, {}, {}, {}
        self.settled = self.listed = not self.owners.shared
        self.polls = 0

    def use(self, addresses: Mapping[bytes, tuple[bytes, ...]]) -> None:
        """Keep the addresses of this lookup, if they changed."""
        if addresses is not self.addresses:
            self.addresses = addresses
            self.owners = Owners(addresses)
            self.bare = frozenset(name for name, many in addresses.items() if not many)
            self.rotation.update(addresses)


async def ask_addresses(
    resolver: ResolverProtocol,
    questions: Sequence[tuple[bytes, int]],
    deadline: float,
    leftovers: Leftovers,
    *,
    tcp: bool = False,
    note: Note | None = None,
    at_first: int = AT_FIRST,
) -> list[AddressRecords | Reply]:
    """Query addresses; see `ask_each`."""
    alike = {rtype: AlikeReplies[int]() for rtype in (wire.A, wire.AAAA)}

    def read(number: int, reply: bytes) -> AddressRecords | None:
        name, rtype = questions[number]
        known = alike[rtype].match(name, reply)
        if known is not None:
            return AddressRecords((known[0],), known[1])
        found = read_addresses(reply, question_after_id(name, rtype))
        if found is not None and reply[6:12] == _ONE_ANSWER and not found.truncated:
            alike[rtype].learn(name, reply, found.packed[0], found.ttl)
        return found

    def convert(message: wire.Message) -> AddressRecords:
        found, others = _addresses_of(message)
        for record in others:
            leftovers.add_record(record, message.questions[0].name)
        return found

    return await ask_each(
        resolver,
        questions,
        deadline=deadline,
        read=read,
        convert=convert,
        tcp=tcp,
        note=note,
        at_first=at_first,
    )


def _addresses_of(message: wire.Message) -> tuple[AddressRecords, list[wire.Record]]:
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
    found = AddressRecords(
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
