"""dnspython, set to the contract of ``peerdisco.dns.wire``, so that the two can be compared.

The contract: records of class IN and type A, AAAA, SRV, PTR, CNAME and SOA, and OPT, are read.
Records of every other type and class are opaque (RFC 3597), and so is what stands in an EDNS
option.
dnspython reads many more types, and refuses what breaks their formats.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import dns.edns
import dns.exception
import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.CNAME
import dns.rdtypes.ANY.OPT
import dns.rdtypes.ANY.PTR
import dns.rdtypes.ANY.SOA
import dns.rdtypes.IN.A
import dns.rdtypes.IN.AAAA
import dns.rdtypes.IN.SRV
import dns.rrset

from peerdisco.dns import wire

IN = dns.rdataclass.IN

READ = {
    (IN, dns.rdatatype.A): dns.rdtypes.IN.A.A,
    (IN, dns.rdatatype.AAAA): dns.rdtypes.IN.AAAA.AAAA,
    (IN, dns.rdatatype.SRV): dns.rdtypes.IN.SRV.SRV,
    (IN, dns.rdatatype.PTR): dns.rdtypes.ANY.PTR.PTR,
    (IN, dns.rdatatype.CNAME): dns.rdtypes.ANY.CNAME.CNAME,
    (IN, dns.rdatatype.SOA): dns.rdtypes.ANY.SOA.SOA,
    (dns.rdataclass.ANY, dns.rdatatype.OPT): dns.rdtypes.ANY.OPT.OPT,
}


@contextmanager
def restricted() -> Iterator[None]:
    """Within this, dnspython reads what the contract names, and nothing else."""
    saved = (
        dns.rdata._rdata_classes,
        dns.rdata._dynamic_load_allowed,
        dns.edns._type_to_class,
    )
    dns.rdata._rdata_classes = dict(READ)
    dns.rdata._dynamic_load_allowed = False
    dns.edns._type_to_class = {}
    try:
        yield
    finally:
        (
            dns.rdata._rdata_classes,
            dns.rdata._dynamic_load_allowed,
            dns.edns._type_to_class,
        ) = saved


Record = tuple[bytes, int, int, int, object]
"""Owner in lower-case wire form, type, class, TTL, and the data."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader makes of a message; both readers' results come to this form."""

    id: int
    flags: int
    rcode: int
    questions: list[tuple[bytes, int, int]]
    answers: list[Record]
    authority: list[Record]
    additional: list[Record]
    edns_payload: int | None


def read_with_dnspython(message: bytes) -> Reading | None:
    """None where dnspython refuses the message. To be called within `restricted`."""
    try:
        parsed = dns.message.from_wire(message, one_rr_per_rrset=True)
    except dns.exception.DNSException:
        return None
    if parsed.opcode() != 0:
        return None
    return Reading(
        id=parsed.id,
        flags=int(parsed.flags),
        rcode=int(parsed.rcode()),
        questions=[
            (_wire(rrset.name), int(rrset.rdtype), int(rrset.rdclass)) for rrset in parsed.question
        ],
        answers=[_record(rrset) for rrset in parsed.answer],
        authority=[_record(rrset) for rrset in parsed.authority],
        additional=[_record(rrset) for rrset in parsed.additional],
        edns_payload=parsed.opt[0].payload if parsed.opt is not None else None,
    )


def read_with_peerdisco(message: bytes) -> Reading | None:
    """None where the message is refused; any other exception comes out."""
    try:
        parsed = wire.read(message)
    except wire.MalformedMessage:
        return None
    return Reading(
        id=parsed.id,
        flags=parsed.flags,
        rcode=parsed.rcode,
        questions=[(name, rtype, rclass) for name, rtype, rclass in parsed.questions],
        answers=[_own_record(record) for record in parsed.answers],
        authority=[_own_record(record) for record in parsed.authority],
        additional=[_own_record(record) for record in parsed.additional],
        edns_payload=parsed.edns_payload,
    )


def _wire(name: dns.name.Name) -> bytes:
    return b"".join(bytes((len(label),)) + label for label in name.labels).lower()


def _record(rrset: dns.rrset.RRset) -> Record:
    (rdata,) = rrset
    data: object
    match rdata:
        case dns.rdtypes.IN.A.A() | dns.rdtypes.IN.AAAA.AAAA():
            data = rdata.to_wire()
        case dns.rdtypes.IN.SRV.SRV():
            data = (rdata.priority, rdata.weight, rdata.port, _wire(rdata.target))
        case dns.rdtypes.ANY.PTR.PTR() | dns.rdtypes.ANY.CNAME.CNAME():
            data = _wire(rdata.target)
        case dns.rdtypes.ANY.SOA.SOA():
            data = (
                _wire(rdata.mname),
                _wire(rdata.rname),
                rdata.serial,
                rdata.refresh,
                rdata.retry,
                rdata.expire,
                rdata.minimum,
            )
        case dns.rdata.GenericRdata():
            data = rdata.data
        case _:
            raise AssertionError(f"the oracle read a {type(rdata)}")
    return (_wire(rrset.name), int(rrset.rdtype), int(rrset.rdclass), rrset.ttl, data)


def _own_record(record: wire.Record) -> Record:
    owner, ttl = record.owner, record.ttl
    match record:
        case wire.Address(packed=packed):
            return (owner, wire.A if len(packed) == 4 else wire.AAAA, wire.IN, ttl, packed)
        case wire.Srv(priority=priority, weight=weight, port=port, target=target):
            return (owner, wire.SRV, wire.IN, ttl, (priority, weight, port, target))
        case wire.Pointer(target=target):
            return (owner, wire.PTR, wire.IN, ttl, target)
        case wire.Alias(target=target):
            return (owner, wire.CNAME, wire.IN, ttl, target)
        case wire.Soa():
            return (owner, wire.SOA, wire.IN, ttl, tuple(record[2:]))
        case wire.Opaque(type=rtype, rclass=rclass, data=data):
            return (owner, rtype, rclass, ttl, data)


class Mutator:
    """Breaks messages in the ways in which networks, servers and forgers do.

    Deterministic: the same seed over the same corpus gives the same messages.
    """

    def __init__(self, seed: int, corpus: tuple[bytes, ...]) -> None:
        self._random = random.Random(seed)
        self._corpus = corpus
        self._ways = (
            self._flip_bit,
            self._replace_byte,
            self._delete_bytes,
            self._insert_bytes,
            self._duplicate_bytes,
            self._change_count,
            self._redirect_pointer,
            self._insert_pointer,
            self._truncate,
            self._append,
            self._splice,
            self._change_length,
            self._change_case,
            self._change_header,
        )

    def message(self) -> bytes:
        """The next broken message; some are broken in several places, and a few not at all."""
        choice = self._random
        message = bytearray(choice.choice(self._corpus))
        for _ in range(choice.choice((1, 1, 1, 1, 1, 2, 2, 3, 5))):
            choice.choice(self._ways)(message)
        return bytes(message)

    def _at(self, message: bytearray) -> int:
        return self._random.randrange(len(message)) if message else 0

    def _flip_bit(self, message: bytearray) -> None:
        if message:
            message[self._at(message)] ^= 1 << self._random.randrange(8)

    def _replace_byte(self, message: bytearray) -> None:
        if message:
            message[self._at(message)] = self._random.choice(
                (0, 1, 63, 64, 0x80, 0xC0, 0xC1, 0xFF, self._random.randrange(256))
            )

    def _delete_bytes(self, message: bytearray) -> None:
        at = self._at(message)
        del message[at : at + self._random.choice((1, 1, 2, 4, 10, 16))]

    def _insert_bytes(self, message: bytearray) -> None:
        at = self._at(message)
        message[at:at] = self._random.randbytes(self._random.choice((1, 1, 2, 4, 10)))

    def _duplicate_bytes(self, message: bytearray) -> None:
        at = self._at(message)
        message[at:at] = message[at : at + self._random.choice((1, 2, 11, 16, 40))]

    def _change_count(self, message: bytearray) -> None:
        """One of the four counts in the header, mostly by one."""
        if len(message) < 12:
            return
        at = self._random.choice((4, 6, 8, 10))
        count = int.from_bytes(message[at : at + 2], "big")
        changed = self._random.choice((count - 1, count + 1, count + 2, 0, 0xFFFF))
        message[at : at + 2] = (changed & 0xFFFF).to_bytes(2, "big")

    def _redirect_pointer(self, message: bytearray) -> None:
        """What may be a compression pointer leads elsewhere: often to the start of a label."""
        pointers = [at for at in range(12, len(message) - 1) if message[at] >= 0xC0]
        if not pointers:
            self._insert_pointer(message)
            return
        at = self._random.choice(pointers)
        self._write_pointer(message, at)

    def _insert_pointer(self, message: bytearray) -> None:
        if len(message) > 14:
            self._write_pointer(message, self._random.randrange(12, len(message) - 1))

    def _write_pointer(self, message: bytearray, at: int) -> None:
        target = self._random.choice(
            (12, at, at + 1, max(at - 2, 0), self._random.randrange(at + 1), self._at(message))
        )
        message[at : at + 2] = (0xC000 | target & 0x3FFF).to_bytes(2, "big")

    def _truncate(self, message: bytearray) -> None:
        del message[self._at(message) :]

    def _append(self, message: bytearray) -> None:
        message += self._random.randbytes(self._random.choice((1, 2, 11)))

    def _splice(self, message: bytearray) -> None:
        """The head of one recording and the tail of another."""
        other = self._random.choice(self._corpus)
        message[self._at(message) :] = other[self._random.randrange(len(other)) :]

    def _change_length(self, message: bytearray) -> None:
        """The length of a record's data: two bytes after a TTL, which begins with zeros."""
        places = [
            at
            for at in range(14, len(message) - 8)
            if message[at : at + 3] == b"\0\x01\0" or message[at : at + 4] == b"\0\x01\0\0"
        ]
        if not places:
            return
        at = self._random.choice(places) + 6
        length = int.from_bytes(message[at : at + 2], "big")
        changed = self._random.choice((length - 1, length + 1, length + 11, 0, 4, 0xFFFF))
        message[at : at + 2] = (changed & 0xFFFF).to_bytes(2, "big")

    def _change_case(self, message: bytearray) -> None:
        if len(message) > 12:
            at = self._random.randrange(12, len(message))
            message[at:] = bytes(message[at:]).swapcase()

    def _change_header(self, message: bytearray) -> None:
        if len(message) >= 12:
            message[self._random.randrange(4)] = self._random.randrange(256)
