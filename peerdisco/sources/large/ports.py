"""The ports of the pods of an enumeration."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from ...dns.fast_path import ServiceRecords
from .own_records import OwnRecords
from .questions import EnumerationState

__all__ = ["find_ports", "same_ports"]

_Ports = Mapping[bytes, tuple[int, ...]]


async def find_ports(
    own: OwnRecords,
    state: EnumerationState,
    addresses: Mapping[bytes, tuple[bytes, ...]],
    listing: ServiceRecords | None,
    *,
    any_port: bool,
) -> _Ports:
    """The ports of each pod: listed, from earlier lookups, or from its own SRV record.

    A pod without an SRV record has those that all others share.

    Args:
        own: Queries the pods' own SRV records, and has those that were queried already.
        state: What earlier lookups learned.
        addresses: The addresses of the pods.
        listing: The records of the service's SRV answer; None if it was not queried.
        any_port: Whether every port was queried; False for one named port.
    """
    before, known = state.addresses, state.ports
    if before is addresses and (listing is None or listing.ports.items() <= known.items()):
        return known
    listed = {} if listing is None else {n: _in_order(p) for n, p in listing.ports.items()}
    changed = any(
        known.get(name, numbers) != numbers and before.get(name) == addresses.get(name)
        for name, numbers in listed.items()
    )
    unknown = []
    ports: dict[bytes, tuple[int, ...]] = {}
    for name, packed in addresses.items():
        numbers = listed.get(name)
        if numbers is None and not changed and before.get(name) == packed:
            numbers = known.get(name)
        if numbers is None:
            unknown.append(name)
            numbers = ()
        ports[name] = numbers
    if listing is None:
        agreed = set(known.values())
        has_ports = agreed != {()}
    else:
        agreed = set(listed.values())
        has_ports = bool(listed or listing.truncated)
    if unknown and has_ports:
        await asyncio.sleep(0)
        found = await own.find(unknown) if any_port else {}
        shared = next(iter(agreed)) if len(agreed) == 1 else ()
        ports |= {name: _in_order(found.get(name, shared)) for name in unknown}
    return ports


def same_ports(one: _Ports, other: _Ports) -> bool:
    """Whether these are the same pods with the same ports, whatever their order."""
    return one == other or (
        one.keys() == other.keys()
        and all(_in_order(ports) == _in_order(other[name]) for name, ports in one.items())
    )


def _in_order(numbers: tuple[int, ...]) -> tuple[int, ...]:
    return numbers if len(numbers) < 2 else tuple(sorted(set(numbers)))
