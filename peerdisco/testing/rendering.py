"""An answer as the bytes that CoreDNS sends: compressed and truncated as its DNS library does it.

dnspython truncates by rendering repeatedly until the message fits; for a thousand pods that takes
seconds. Here each record is rendered once, and the first that does not fit ends the message
(miekg/dns, ``msg_truncate.go``).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import dns.flags
from dns.message import Message
from dns.name import Name
from dns.rdata import Rdata
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.PTR import PTR
from dns.rdtypes.ANY.SOA import SOA
from dns.rdtypes.IN.SRV import SRV

__all__ = ["LARGEST_TCP", "SMALLEST_UDP", "name_to_wire", "render", "udp_limits"]

SMALLEST_UDP = 512
LARGEST_TCP = 65535
_LARGEST_PLAIN = {4: 1480, 6: 1220}
"""Over UDP a larger message is compressed even if it fits, to avoid fragments (request.go)."""

_HEADER = struct.Struct("!6H")
_QUESTION = struct.Struct("!HH")
_RECORD = struct.Struct("!HHIH")
_SRV_HEAD = struct.Struct("!3H")
_FURTHEST_POINTER = 0x4000


def udp_limits(query: Message, family: int = 4) -> tuple[int, int]:
    """The largest size of a reply over UDP, and the size above which it is compressed."""
    limit = max(SMALLEST_UDP, query.payload) if query.edns >= 0 else SMALLEST_UDP
    return limit, min(limit, _LARGEST_PLAIN[family])


def render(response: Message, limit: int = LARGEST_TCP, plain: int | None = None) -> bytes:
    """The bytes of a message of at most ``limit`` bytes.

    It is compressed only if it does not fit otherwise. If it still does not fit, records are left
    out from the end, glue first, and TC is set even if only glue is missing; also over TCP.

    Args:
        response: The message; it is not changed.
        limit: The largest message.
        plain: The largest message that is sent without compression; ``limit`` by default.
    """
    opt = _opt(response)
    largest_plain = limit if plain is None else plain
    writer = _Writer(compress=_plain_size(response) + len(opt) > largest_plain)
    for question in response.question:
        writer.put_name(question.name)
        writer.data += _QUESTION.pack(question.rdtype, question.rdclass)
    counts = [0, 0, 0]
    flags = int(response.flags)
    room = limit - len(opt)
    for number, owner, ttl, rdata in _records(response):
        end = len(writer.data)
        writer.put_record(owner, ttl, rdata)
        if len(writer.data) > room:
            del writer.data[end:]
            flags |= dns.flags.TC
            break
        counts[number] += 1
    _HEADER.pack_into(
        writer.data,
        0,
        response.id,
        flags,
        len(response.question),
        counts[0],
        counts[1],
        counts[2] + bool(opt),
    )
    return bytes(writer.data) + opt


class _Writer:
    """A message in the making, and where in it which names are spelled.

    Names are compared byte by byte, case included, as miekg/dns does. The target of an SRV record
    is never compressed (RFC 2782), and others may point to it.
    """

    def __init__(self, compress: bool) -> None:
        self.data = bytearray(_HEADER.size)
        self._compress = compress
        self._offsets: dict[bytes, int] = {}

    def put_name(self, name: Name, compress: bool = True) -> None:
        wire = name_to_wire(name)
        if not self._compress:
            self.data += wire
            return
        offsets, start = self._offsets, len(self.data)
        position = 0
        while length := wire[position]:
            suffix = wire[position:]
            known = offsets.get(suffix)
            if known is not None:
                if not compress:
                    break  # all that is shorter is known too
                self.data += wire[:position]
                self.data += (0xC000 | known).to_bytes(2)
                return
            if start + position < _FURTHEST_POINTER:
                offsets[suffix] = start + position
            position += 1 + length
        self.data += wire

    def put_record(self, owner: Name, ttl: int, rdata: Rdata) -> None:
        self.put_name(owner)
        start = len(self.data)
        self.data += _RECORD.pack(rdata.rdtype, rdata.rdclass, ttl, 0)
        if isinstance(rdata, SRV):
            self.data += _SRV_HEAD.pack(rdata.priority, rdata.weight, rdata.port)
            self.put_name(rdata.target, compress=False)
        elif isinstance(rdata, PTR):
            self.put_name(rdata.target)
        elif isinstance(rdata, SOA):
            self.put_name(rdata.mname)
            self.put_name(rdata.rname)
            self.data += struct.pack(
                "!5I", rdata.serial, rdata.refresh, rdata.retry, rdata.expire, rdata.minimum
            )
        else:
            self.data += _plain_rdata(rdata)
        size = len(self.data) - start - _RECORD.size
        self.data[start + 8 : start + 10] = size.to_bytes(2)


def _records(response: Message) -> Iterator[tuple[int, Name, int, Rdata]]:
    """Section (0 to 2), owner, TTL and data of each record, in the order of the message."""
    for number, section in enumerate((response.answer, response.authority, response.additional)):
        for rrset in section:
            for rdata in rrset:
                yield number, rrset.name, rrset.ttl, rdata


def _plain_rdata(rdata: Rdata) -> bytes:
    wire = rdata.to_wire()
    assert wire is not None
    return wire


def _plain_size(response: Message) -> int:
    """How large the message is without compression and without OPT."""
    size = _HEADER.size
    size += sum(_size(question.name) + _QUESTION.size for question in response.question)
    for _, owner, _, rdata in _records(response):
        size += _size(owner) + _RECORD.size + _rdata_size(rdata)
        if size > LARGEST_TCP:
            break
    return size


def _rdata_size(rdata: Rdata) -> int:
    if isinstance(rdata, SRV):
        return _SRV_HEAD.size + _size(rdata.target)
    return len(_plain_rdata(rdata))


def name_to_wire(name: Name) -> bytes:
    """A name in wire form; dnspython's own way takes ten times as long."""
    return b"".join([b"%c%b" % (len(label), label) for label in name.labels])


def _size(name: Name) -> int:
    return sum(map(len, name.labels)) + len(name.labels)


def _opt(response: Message) -> bytes:
    if response.opt is None:
        return b""
    (rdata,) = response.opt
    options = _plain_rdata(rdata)
    return (
        b"\0"
        + _RECORD.pack(RdataType.OPT, response.payload, response.opt.ttl, len(options))
        + options
    )
