"""The SRV records of the pods' own names, which give port and addresses in one exchange.

CoreDNS has them, with the addresses in the additional section. The addresses of a pod whose port is
not known are then not queried apart, which is one exchange for each pod instead of two.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from ...dns import wire
from ...dns.alike import AlikeReplies
from ...dns.bulk import ask_each
from ...dns.fast_path import (
    AddressRecords,
    ServiceRecords,
    read_service_records,
    records_from_message,
)
from ...dns.resolver import Reply, ResolverProtocol

__all__ = ["OwnRecords"]

_LEAST = 32
"""Number of pods from which on their own SRV records are queried first: a probe precedes it."""

_PROBE = 8
"""Number of pods that show whether the server has such records with addresses."""

_SIZES = {wire.A: 4, wire.AAAA: 16}

_ONE_ADDITIONAL = bytes(3) + b"\1"
"""The numbers of records in the last two sections of a reply with one additional record."""


class _Own(NamedTuple):
    """The own record of a pod, which takes a fifth of the memory of `ServiceRecords`.

    Attributes:
        ports: The port numbers; None without a record.
        packed: The addresses.
        ttl: The TTL.
        truncated: Whether the answer was truncated.
    """

    ports: tuple[int, ...] | None
    packed: tuple[bytes, ...] = ()
    ttl: int = 0
    truncated: bool = False


_ABSENT = _Own(None)
"""The answer that a name does not exist."""


class OwnRecords:
    """The pods' own SRV records.

    Args:
        resolver: Sends the queries.
        suffix: The service's name, in wire form.
        deadline: In the event loop's time.
        known: The pods whose ports are known from earlier lookups.
        wanted: Whether the ports of other pods are to be queried.

    Attributes:
        listed: The pods in the service's SRV answer, whose ports are known.
        ports: The port numbers in the pods' own records.
    """

    def __init__(
        self,
        resolver: ResolverProtocol,
        suffix: bytes,
        deadline: float,
        known: Mapping[bytes, tuple[int, ...]],
        *,
        wanted: bool,
    ) -> None:
        self._resolver = resolver
        self._suffix = suffix
        self._deadline = deadline
        self._known = known
        self._useful: bool | None = None if wanted else False
        """Whether the server has such records with addresses; None if not known."""
        self._same: dict[tuple[int, ...], tuple[int, ...]] = {}
        """One object for equal ports."""
        self._alike: AlikeReplies[tuple[tuple[int, ...], int]] = AlikeReplies()
        """The ports and the TTL in replies of each form."""
        self.listed: Collection[bytes] = ()
        self.ports: dict[bytes, tuple[int, ...]] = {}

    async def ask(
        self, names: Sequence[bytes], rtypes: Collection[int]
    ) -> dict[tuple[bytes, int], AddressRecords | Reply]:
        """The addresses of many pods whose ports are not known, by name and record type.

        Args:
            names: The pods; nothing is queried for those whose ports are known.
            rtypes: The record types that are wanted.

        Returns:
            Nothing for a pod whose answer misses one of them: its addresses are to be queried.
        """
        if self._useful is False or not (self.listed or any(self._known.values())):
            return {}
        known, listed = self._known, self.listed
        names = [name for name in names if name not in listed and name not in known]
        if len(names) < _LEAST:
            return {}
        found: dict[tuple[bytes, int], AddressRecords | Reply] = {}
        if self._useful is None:
            probed = names[:: -(-len(names) // _PROBE)]
            found |= await self._ask(probed, rtypes, absent=False)
            self._useful = bool(found)
            names = [*dict.fromkeys(names).keys() - probed]
        if self._useful:
            found |= await self._ask(names, rtypes, absent=True)
        return found

    async def find(self, names: Sequence[bytes]) -> dict[bytes, tuple[int, ...]]:
        """The ports of these pods; nothing for a pod without a record of its own.

        If several of them have none, the others are not queried.
        """
        left = [name for name in names if name not in self.ports]
        if len(left) >= _LEAST and not self.ports:
            probed = left[:: -(-len(left) // _PROBE)]
            if await self._have_none(probed):
                return {}
            left = [*dict.fromkeys(left).keys() - probed]
        await self._have_none(left)
        return {name: self.ports[name] for name in names if name in self.ports}

    async def _have_none(self, names: Sequence[bytes]) -> bool:
        """Query the ports of these pods; whether the answers say that none has a record."""
        answers = await self._results(names)
        for name, own in zip(names, answers, strict=True):
            if isinstance(own, _Own) and own.ports is not None:
                self.ports[name] = own.ports
        return all(isinstance(own, _Own) and own.ports is None for own in answers)

    async def _ask(
        self, names: Sequence[bytes], rtypes: Collection[int], *, absent: bool
    ) -> dict[tuple[bytes, int], AddressRecords]:
        """`ask`; a name that does not exist has no addresses, if such an answer counts."""
        found: dict[tuple[bytes, int], AddressRecords] = {}
        rtype = next(iter(rtypes))
        size = _SIZES[rtype]
        for name, own in zip(names, await self._results(names, tcp=True), strict=True):
            if isinstance(own, Reply) or own.truncated:
                continue
            if own is _ABSENT:
                if absent:
                    found |= {(name, rtype): AddressRecords(()) for rtype in rtypes}
                continue
            if own.ports is None:
                continue
            self.ports[name] = own.ports
            if len(rtypes) == len(own.packed) == 1 and len(own.packed[0]) == size:
                found[name, rtype] = AddressRecords(own.packed, own.ttl)  # as for most pods
                continue
            by_type = _by_type(own, rtypes)
            if all(many.packed for many in by_type.values()):
                found |= {(name, rtype): many for rtype, many in by_type.items()}
        return found

    async def _results(self, names: Sequence[bytes], *, tcp: bool = False) -> list[_Own | Reply]:
        def read(number: int, reply: bytes) -> _Own | None:
            name = names[number]
            known = self._alike.match(name, reply)
            if known is not None:
                packed, (ports, ttl) = known
                return _Own(ports, (packed,), ttl)
            records = read_service_records(reply, name, self._suffix)
            if records is None:
                return None
            own = self._own(name, records)
            if self._is_usual(own, records, reply):
                self._alike.learn(name, reply, own.packed[0], (own.ports or (), own.ttl))
            return own

        def convert(message: wire.Message) -> _Own:
            if message.rcode == wire.NXDOMAIN and not message.answers:
                return _ABSENT
            name = message.questions[0].name
            return self._own(name, records_from_message(message, name, self._suffix))

        questions = [(name, wire.SRV) for name in names]
        return await ask_each(
            self._resolver, questions, deadline=self._deadline, read=read, convert=convert, tcp=tcp
        )

    def _is_usual(self, own: _Own, records: ServiceRecords, reply: bytes) -> bool:
        """Whether a reply is about its name alone, and ends with the one address."""
        alone = own.ports is not None and len(records.ports) == 1
        return alone and not own.truncated and reply[8:12] == _ONE_ADDITIONAL and bool(own.packed)

    def _own(self, name: bytes, records: ServiceRecords) -> _Own:
        """The record of this name among those of its answer."""
        ports = records.ports.get(name)
        if ports is None:
            return _Own(None, truncated=records.truncated)
        same = self._same.setdefault(ports, ports)
        return _Own(same, records.addresses.get(name, ()), int(records.ttl), records.truncated)


def _by_type(own: _Own, rtypes: Collection[int]) -> dict[int, AddressRecords]:
    """The addresses of one pod, by record type."""
    sizes = {rtype: _SIZES[rtype] for rtype in rtypes}
    return {
        rtype: AddressRecords(tuple(one for one in own.packed if len(one) == size), own.ttl)
        for rtype, size in sizes.items()
    }
