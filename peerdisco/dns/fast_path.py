r"""Fast readers for the two most frequent kinds of answer. Pure.

`read_addresses` reads an answer with the addresses of one pod, `read_service_records` the SRV
answer of a service with its glue. Each knows the form in which CoreDNS and BIND write the answer,
checks every byte, and returns None for anything unusual; `peerdisco.dns.wire.read` reads that.
Whatever they read, they read as `wire` does: the tests compare the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from . import wire
from .glue import Glue

__all__ = [
    "AddressRecords",
    "ServiceRecords",
    "Services",
    "labels_below",
    "question_after_id",
    "read_addresses",
    "read_service_records",
    "read_services",
    "read_with_glue",
    "records_from_message",
]

_HEADER = 12
_OPT_SIZE = 11
_ODD_FLAGS = 0x80 | 0x78
"""Bits of the third byte; a usual answer has QR set and opcode 0."""
_TC = 0x02
QUESTION_HEAD = wire.query(0, b"", wire.A, payload=None)[2:_HEADER]
"""The bytes between the id and the name of a question without EDNS."""
QUESTION_TAILS = {
    rtype: rtype.to_bytes(2, "big") + b"\0\1" for rtype in (wire.A, wire.AAAA, wire.SRV, wire.PTR)
}
"""The bytes after the name of a question, by record type."""
QUESTION_SIZE = _HEADER + 4
"""The size of a question without its name."""
_SRV_IN = b"\0\x21\0\1"
_A_IN = b"\0\1\0\1"
_A_SHAPE, _AAAA_SHAPE = b"\0\1\0\1\0\4", b"\0\x1c\0\1\0\x10"
_POINTER = 0xC0
_FURTHEST_POINTER = 0x4000
_LONGEST_NAME, _LONGEST_LABEL = 255, 63
_WITH_CLUSTER = 2
"""Labels of a pod's name before a multi-cluster service: the pod's own and the cluster's."""
_TO_QUESTION = b"\xc0\x0c"
"""A compression pointer to the name in the question."""


def smallest_ttl(ttls: Iterable[int]) -> int:
    """The smallest TTL of a message's records that is not 0; 0 if all of them are, or without any.

    A cache that serves a stale answer gives all its records TTL 0. A single record with TTL 0 must
    not be cached, or is about to expire.
    """
    return min(filter(None, ttls), default=0)


class AddressRecords(NamedTuple):
    """The addresses in the answer for one name.

    Attributes:
        packed: The addresses in their order; empty if the name or its addresses do not exist.
        ttl: The smallest TTL among them (see `smallest_ttl`); 0 without any.
        truncated: Whether the answer was truncated.
    """

    packed: tuple[bytes, ...]
    ttl: int = 0
    truncated: bool = False


class ServiceRecords(NamedTuple):
    """The records of one SRV answer for a service.

    Attributes:
        ports: The port numbers of each target within the service (in wire form), in the order of
            the records.
        addresses: The addresses in the additional section, by target.
        ttl: The smallest TTL among these records (see `smallest_ttl`); infinite without any.
        truncated: Whether the answer was truncated.
        others: The other records of the answer.
    """

    ports: Mapping[bytes, tuple[int, ...]]
    addresses: Mapping[bytes, tuple[bytes, ...]]
    ttl: float
    truncated: bool
    others: tuple[wire.Record, ...] = ()


def question_after_id(name: bytes, rtype: int) -> bytes:
    """The bytes of a question without EDNS after the id."""
    return QUESTION_HEAD + name + QUESTION_TAILS[rtype]


def read_addresses(reply: bytes, question: bytes) -> AddressRecords | None:
    """The addresses in the answer to a question of `question_after_id`; None to decline.

    Args:
        reply: A whole message, of at least the size of a header. Its id is ignored.
        question: The question as it was sent.
    """
    asked = question[10:]
    if (
        reply[2] & _ODD_FLAGS != 0x80
        or reply[3] & 0x0F
        or reply[4:6] != b"\0\1"
        or reply[8:11] != b"\0\0\0"
        or not reply.startswith(asked, _HEADER)
    ):
        return None
    end = len(reply)
    if reply[11]:
        if reply[11] != 1 or not _ends_with_plain_opt(reply):
            return None
        end -= _OPT_SIZE
    start = _HEADER + len(asked)
    count = reply[6] << 8 | reply[7]
    compressed = count > 0 and reply.startswith(_TO_QUESTION, start)
    owner = _TO_QUESTION if compressed else asked[:-4]
    size = 4 if asked[-4:] == _A_IN else 16
    if not count or end - start != count * (len(owner) + 10 + size):
        return None
    if count == 1:  # as for nearly every pod
        at = start + len(owner)
        shape = reply[start : at + 4] + reply[at + 8 : at + 10]
        ttl = int.from_bytes(reply[at + 4 : at + 8], "big")
        if shape != owner + asked[-4:] + bytes((0, size)) or ttl > wire.LARGEST_TTL:
            return None
        return AddressRecords((reply[at + 10 : end],), ttl, bool(reply[2] & _TC))
    width, records = len(owner) + 10 + size, reply[start:end]
    # Usually the records differ in nothing but their addresses.
    head = records[: width - size]
    ttl = int.from_bytes(head[-6:-2], "big")
    if head == owner + asked[-4:] + head[-6:-2] + bytes((0, size)) and ttl <= wire.LARGEST_TTL:
        parts = records.split(head)
        if len(parts) == 1 + count and max(map(len, parts)) == size:  # so all but the first are
            return AddressRecords(tuple(parts[1:]), ttl, bool(reply[2] & _TC))
    # Column by column: the bytes that all records share cost no object for each record.
    for at, byte in (
        *enumerate(owner + asked[-4:]),
        (width - size - 2, 0),
        (width - size - 1, size),
    ):
        if records[at::width].count(byte) != count:
            return None
    before_ttl = len(owner) + 4
    ttls = set(zip(*(records[before_ttl + n :: width] for n in range(4)), strict=True))
    held = [int.from_bytes(bytes(ttl), "big") for ttl in ttls]
    if max(held) > wire.LARGEST_TTL:
        return None
    packed = tuple([records[at : at + size] for at in range(width - size, end - start, width)])
    return AddressRecords(packed, smallest_ttl(held), bool(reply[2] & _TC))


class Services(NamedTuple):
    """The SRV records of an answer, and what the address records after them need.

    Attributes:
        ports: The port numbers by target.
        pointers: The names by the compression pointer that leads to each.
        ttls: The TTLs of the records.
        stop: Where the records end.
    """

    ports: Mapping[bytes, tuple[int, ...]]
    pointers: Mapping[bytes, bytes]
    ttls: frozenset[bytes]
    stop: int


def read_service_records(reply: bytes, name: bytes, suffix: bytes) -> ServiceRecords | None:
    """The records in the answer to an SRV question; None to decline.

    Args:
        reply: A whole message, of at least the size of a header. Its id is ignored.
        name: The name in the question, in wire form.
        suffix: The service's own name, at the end of every target.
    """
    services = read_services(reply, name, suffix)
    found = None if services is None else read_with_glue(reply, services, suffix)
    return None if found is None else found[0]


def read_services(reply: bytes, name: bytes, suffix: bytes) -> Services | None:
    """The SRV records of the same answer, up to the additional section; None to decline."""
    if (
        reply[2] & _ODD_FLAGS != 0x80
        or reply[3] & 0x0F
        or reply[4:6] != b"\0\1"
        or reply[8:10] != b"\0\0"
        or not reply.startswith(name + _SRV_IN, _HEADER)
    ):
        return None
    ports: dict[bytes, tuple[int, ...]] = {}
    pointers: dict[bytes, bytes] = {}
    ttls: set[bytes] = set()
    start = _HEADER + len(name) + 4
    try:
        stop = _read_services(reply, start, name, suffix, ports, pointers, ttls)
    except IndexError:
        return None
    names = b"".join(ports)
    longest = max(map(len, ports), default=0)
    if (
        not stop
        or names != names.lower()
        or longest > _LONGEST_NAME
        or longest - len(suffix) > 1 + _LONGEST_LABEL
    ):
        return None
    pointers[_TO_QUESTION] = name
    pointers[(0xC000 | _HEADER + len(name) - len(suffix)).to_bytes(2, "big")] = suffix
    return Services(ports, pointers, frozenset(ttls), stop)


def read_with_glue(
    reply: bytes, services: Services, suffix: bytes, glue: Glue | None = None
) -> tuple[ServiceRecords, Glue] | None:
    """The records of an answer whose SRV records have been read; None to decline.

    Args:
        reply: The message.
        services: Its SRV records.
        suffix: The service's own name.
        glue: Its address records, if they are known.
    """
    end = len(reply)
    count = reply[10] << 8 | reply[11]
    if count and _ends_with_plain_opt(reply):
        end -= _OPT_SIZE
        count -= 1
    ttls = set(services.ttls)
    addresses: dict[bytes, tuple[bytes, ...]] | None = {}
    try:
        glue = glue or Glue.of(reply, services.stop, end, len(suffix))
        if count:
            addresses = _read_uniform_glue(glue, count, services, ttls)
        if addresses is None:
            addresses = {}
            if _read_glue(reply, count, suffix, services, addresses, ttls) != end:
                return None
    except IndexError:
        return None
    held = [int.from_bytes(ttl, "big") for ttl in ttls]
    if (not count and services.stop != end) or max(held) > wire.LARGEST_TTL:
        return None
    ttl = float(smallest_ttl(held))
    return ServiceRecords(services.ports, addresses, ttl, bool(reply[2] & _TC)), glue


def _read_services(
    reply: bytes,
    position: int,
    name: bytes,
    suffix: bytes,
    ports: dict[bytes, tuple[int, ...]],
    pointers: dict[bytes, bytes],
    ttls: set[bytes],
) -> int:
    """Read the SRV records of the answer; their end, or 0 to decline.

    Args:
        reply: The message.
        position: Where they begin.
        name: Their owner.
        suffix: The end of every target.
        ports: The port numbers by target, to be filled.
        pointers: The targets by the compression pointer that leads to each, to be filled.
        ttls: To be filled.
    """
    after_label = len(suffix) + 1
    head = (_TO_QUESTION if reply[position] >= _POINTER else name) + _SRV_IN
    skip = len(head)
    numbers: dict[bytes, tuple[int, ...]] = {}
    count = reply[6] << 8 | reply[7]
    for _ in range(count):
        if not reply.startswith(head, position):
            return 0
        position += skip
        start = position + 12
        stop = position + 6 + (reply[position + 4] << 8 | reply[position + 5])
        target = reply[start:stop]
        if not target.endswith(suffix) or not 0 < target[0] == len(target) - after_label:
            return 0
        port = reply[position + 10 : start]
        number = numbers.get(port)
        if number is None:
            number = numbers[port] = (int.from_bytes(port, "big"),)
        ttls.add(reply[position : position + 4])
        if target in ports:
            ports[target] += number
        else:
            ports[target] = number
            if start < _FURTHEST_POINTER:
                pointers[(0xC000 | start).to_bytes(2, "big")] = target
        position = stop
    return position if count else 0


def _read_uniform_glue(
    glue: Glue, count: int, services: Services, ttls: set[bytes]
) -> dict[bytes, tuple[bytes, ...]] | None:
    """The addresses by name, if the records differ in nothing but these; None for `_read_glue`.

    That is the usual case, and takes a third of the time.
    """
    shape, records = glue.shape, glue.records
    if shape[:4] + shape[8:] not in (_A_SHAPE, _AAAA_SHAPE) or len(records) != count:
        return None
    ports, pointers = services.ports, services.pointers
    addresses: dict[bytes, tuple[bytes, ...]] = {}
    size = 0
    for owner, packed in records:
        name = pointers.get(owner)
        if name is None:
            label = 1 + owner[0]
            name = owner[:label] + pointers.get(owner[label:], owner[label:])
        if name not in ports:
            return None
        addresses[name] = (packed,)
        size += len(owner)
    size += count * (len(shape) + glue.size)
    if len(addresses) != count or size != glue.stop - glue.start:
        return None
    ttls.add(shape[4:8])
    return addresses


def _read_glue(
    reply: bytes,
    count: int,
    suffix: bytes,
    services: Services,
    addresses: dict[bytes, tuple[bytes, ...]],
    ttls: set[bytes],
) -> int:
    """Read the address records of the additional section; their end, or 0 to decline.

    Args:
        reply: The message.
        count: How many.
        suffix: The end of every owner.
        services: The records before them; their targets are the only owners there may be.
        addresses: To be filled.
        ttls: To be filled.
    """
    ports, pointers, _, position = services
    skip = len(suffix)
    for _ in range(count):
        owner = pointers.get(reply[position : position + 2])
        if owner is not None:
            position += 2
        else:
            start = position
            position += 1 + reply[position]
            rest = pointers.get(reply[position : position + 2])
            if rest is not None:
                owner = reply[start:position] + rest
                position += 2
            else:
                position += skip
                owner = reply[start:position]
        if owner not in ports:
            return 0
        start = position + 10
        # Type, class and the length of the data, around the TTL.
        shape = reply[position : position + 4] + reply[position + 8 : start]
        if shape == _A_SHAPE:
            stop = start + 4
        elif shape == _AAAA_SHAPE:
            stop = start + 16
        else:
            return 0
        ttls.add(reply[position + 4 : position + 8])
        packed = reply[start:stop]
        if owner in addresses:
            addresses[owner] += (packed,)
        else:
            addresses[owner] = (packed,)
        position = stop
    return position


def _ends_with_plain_opt(reply: bytes) -> bool:
    """Whether the last bytes are an OPT record without a code and without options."""
    start = len(reply) - _OPT_SIZE
    return reply.startswith(b"\0\0\x29", start) and not reply[-6] and reply.endswith(b"\0\0")


def records_from_message(message: wire.Message, name: bytes, suffix: bytes) -> ServiceRecords:
    """The records of a service in a message that was read in full.

    Targets are one label below the service, or two as in a multi-cluster service.
    """
    ports: dict[bytes, tuple[int, ...]] = {}
    addresses: dict[bytes, tuple[bytes, ...]] = {}
    others: list[wire.Record] = []
    ttls: list[int] = []
    for record in message.answers:
        if type(record) is not wire.Srv or record.owner != name:
            others.append(record)
            continue
        target = record.target
        if target[1 + target[0] :] != suffix and labels_below(target, suffix) != _WITH_CLUSTER:
            others.append(record)
            continue
        ports[target] = (*ports.get(target, ()), record.port)
        ttls.append(record.ttl)
    for extra in message.additional:
        if type(extra) is wire.Address and extra.owner in ports:
            addresses[extra.owner] = (*addresses.get(extra.owner, ()), extra.packed)
            ttls.append(extra.ttl)
    ttl = float(smallest_ttl(ttls)) if ttls else float("inf")
    return ServiceRecords(ports, addresses, ttl, message.truncated, tuple(others))


def labels_below(name: bytes, suffix: bytes) -> int:
    """The number of labels before this suffix; 0 if the name is not below it."""
    before = len(name) - len(suffix)
    if before <= 0 or not name.endswith(suffix):
        return 0
    position = count = 0
    while position < before:
        position += 1 + name[position]
        count += 1
    return count if position == before else 0
