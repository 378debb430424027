r"""DNS messages: questions written, answers read (RFC 1035, 2782, 3596, 6891).

Pure: bytes in, values out. `read` refuses what dnspython refuses, and for the types that
enumerating a service needs (A, AAAA, SRV, PTR, SOA, OPT) reads the same records; the tests hold
it against dnspython on recorded and on mutated messages. It exists because reading an answer of a
hundred pods with a general library takes tens of times as long as the exchange itself.

Names are kept in wire form, lower-cased and without compression (``b"\x07mysql-0\x00"``), so that
comparing two of them is comparing bytes. Lower-casing the bytes cannot touch a length: lengths
stay below 64 and ``A`` is 65.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

__all__ = [
    "Address",
    "Alias",
    "MalformedMessage",
    "Message",
    "Opaque",
    "Pointer",
    "Question",
    "Record",
    "Soa",
    "Srv",
    "name_from_text",
    "name_to_text",
    "query",
    "read",
    "reverse_name",
]

A, CNAME, SOA, PTR, AAAA, SRV, OPT, TSIG = 1, 5, 6, 12, 28, 33, 41, 250
IN = 1
TYPE_NAMES = {A: "A", PTR: "PTR", SOA: "SOA", AAAA: "AAAA", SRV: "SRV"}

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 0, 1, 2, 3, 4, 5, 16

EDNS_PAYLOAD = 1232
"""What fits into one packet on any IPv6 path (DNS flag day 2020), and CoreDNS's own default."""

_HEADER = struct.Struct("!6H")
_QUESTION = struct.Struct("!HH")
_RECORD = struct.Struct("!HHIH")
_SRV = struct.Struct("!3H")
_SOA = struct.Struct("!5I")

_QR, _TC, _AA, _RD, _RA = 0x8000, 0x0200, 0x0400, 0x0100, 0x0080
_OPCODE = 0x7800

_LONGEST_NAME = 255
_LONGEST_LABEL = 63
_POINTER = 0xC0
_MOST_POINTERS = 16
"""A chain of compression pointers longer than this is refused, as dnspython does."""
LARGEST_TTL = 0x7FFFFFFF

# Limits on the work of one message, which holds the event loop: without them, 64 KB take 140 ms.
_MOST_RECORDS = 4096
"""64 KB hold no more address records, which take 16 bytes each at least."""
_MOST_LABELS = 16384
"""Labels that are read one by one; 64 KB of pods' names without compression have 11,000."""
_MOST_OPTIONS = 256
"""EDNS options; fewer than 30 are defined."""


class MalformedMessage(ValueError):
    """The bytes are not a DNS message; says where and why."""

    def __init__(self, problem: str, offset: int) -> None:
        super().__init__(problem, offset)
        self.problem = problem
        self.offset = offset

    def __str__(self) -> str:
        return f"{self.problem} at byte {self.offset}"


class Address(NamedTuple):
    """An A or AAAA record; the length of ``packed`` shows which."""

    owner: bytes
    ttl: int
    packed: bytes


class Srv(NamedTuple):
    """An SRV record (RFC 2782)."""

    owner: bytes
    ttl: int
    priority: int
    weight: int
    port: int
    target: bytes


class Pointer(NamedTuple):
    """A PTR record."""

    owner: bytes
    ttl: int
    target: bytes


class Alias(NamedTuple):
    """A CNAME record."""

    owner: bytes
    ttl: int
    target: bytes


class Soa(NamedTuple):
    """An SOA record; ``minimum`` bounds how long a negative answer is held (RFC 2308)."""

    owner: bytes
    ttl: int
    mname: bytes
    rname: bytes
    serial: int
    refresh: int
    retry: int
    expire: int
    minimum: int


class Opaque(NamedTuple):
    """A record of a type or class that is not read, as it came (RFC 3597)."""

    owner: bytes
    ttl: int
    type: int
    rclass: int
    data: bytes


Record = Address | Srv | Pointer | Alias | Soa | Opaque


class Question(NamedTuple):
    """What was asked; replies repeat it."""

    name: bytes
    type: int
    rclass: int


class Message(NamedTuple):
    """A message that was read.

    ``edns_payload`` is the UDP payload size of its OPT record, None without one; the OPT record
    itself is not in ``additional``. ``rcode`` holds the extended bits too (RFC 6891, 6.1.3).
    """

    id: int
    flags: int
    rcode: int
    questions: tuple[Question, ...]
    answers: list[Record]
    authority: list[Record]
    additional: list[Record]
    edns_payload: int | None

    @property
    def response(self) -> bool:
        return bool(self.flags & _QR)

    @property
    def authoritative(self) -> bool:
        return bool(self.flags & _AA)

    @property
    def recursion_available(self) -> bool:
        return bool(self.flags & _RA)

    @property
    def truncated(self) -> bool:
        return bool(self.flags & _TC)

    @property
    def soa(self) -> Soa | None:
        """The SOA record of a negative answer (RFC 2308, 3); None without one."""
        return next((record for record in self.authority if type(record) is Soa), None)

    @property
    def negative_ttl(self) -> int | None:
        """For how long the absence may be held (RFC 2308, 5); None without an SOA."""
        soa = self.soa
        return None if soa is None else min(soa.ttl, soa.minimum)


def query(query_id: int, name: bytes, rtype: int, *, payload: int | None = EDNS_PAYLOAD) -> bytes:
    """A question in class IN, with recursion desired as a stub resolver asks.

    Args:
        query_id: 0 to 65535; chosen at random, it is what a forger has to guess.
        name: In wire form.
        rtype: The record type's number.
        payload: The UDP payload size to offer (EDNS); None for a question without EDNS.
    """
    extra = b"" if payload is None else b"\0" + _RECORD.pack(OPT, payload, 0, 0)
    header = _HEADER.pack(query_id, _RD, 1, 0, 0, 1 if extra else 0)
    return header + name + _QUESTION.pack(rtype, IN) + extra


def answers_to(message: bytes, question: bytes) -> bool:
    """Whether these bytes may be the reply to this question, by id and the QR bit alone.

    A cheap test that sorts out stray and forged datagrams.
    """
    return len(message) >= _HEADER.size and message[:2] == question[:2] and message[2] & 0x80 != 0


def question_of(message: bytes) -> Question | None:
    """The question that a message repeats; None without one. Reads nothing behind it.

    Raises:
        MalformedMessage: The question breaks the format, or there are several (RFC 9619).
    """
    try:
        questions = _HEADER.unpack_from(message)[2]
        if questions > 1:
            raise MalformedMessage(f"{questions} questions", 4)
        return _Reader(message).question() if questions else None
    except (struct.error, IndexError):
        raise MalformedMessage("the message ends early", len(message)) from None


def read(message: bytes) -> Message:
    """Read a whole message, in a few milliseconds at most.

    Raises:
        MalformedMessage: It breaks the format, or would take longer; there is no other error.
    """
    try:
        return _read(message)
    except (struct.error, IndexError):
        raise MalformedMessage("the message ends early", len(message)) from None


def _read(message: bytes) -> Message:
    query_id, flags, questions, answers, authority, additional = _HEADER.unpack_from(message)
    if flags & _OPCODE:
        raise MalformedMessage(f"opcode {(flags & _OPCODE) >> 11} is not QUERY", 2)
    if questions + answers + authority + additional > _MOST_RECORDS:
        raise MalformedMessage(f"more than {_MOST_RECORDS} records", 4)
    reader = _Reader(message)
    asked = tuple([reader.question() for _ in range(questions)])
    sections = (
        reader.records(answers),
        reader.records(authority),
        reader.records(additional, True),
    )
    if reader.position != len(message):
        raise MalformedMessage("bytes after the last record", reader.position)
    rcode = flags & 0xF
    payload = None
    if reader.opt is not None:
        payload, extended = reader.opt
        rcode |= extended >> 20 & 0xFF0
    return Message(query_id, flags, rcode, asked, *sections, payload)


class _Reader:
    """A position in a message, and the names met before it.

    ``names`` maps the offset of each name that was spelled out to the name, since most owners
    are pointers to one of them. ``suffix`` is the name in the question, as it was spelled: nearly
    every other name is it, or one label before it, and then is recognised by one comparison.
    """

    __slots__ = ("labels", "message", "names", "opt", "position", "suffix")

    def __init__(self, message: bytes) -> None:
        self.message = message
        self.position = _HEADER.size
        self.names: dict[int, bytes] = {}
        self.suffix = b""
        self.labels = 0
        """Labels read one by one so far."""
        self.opt: tuple[int, int] | None = None

    def question(self) -> Question:
        start = self.position
        name, position = self._name(start, len(self.message))
        if not self.suffix and len(name) == position - start:
            self.suffix = self.message[start:position]
        rtype, rclass = _QUESTION.unpack_from(self.message, position)
        self.position = position + _QUESTION.size
        return Question(name, rtype, rclass)

    def records(self, count: int, additional: bool = False) -> list[Record]:
        message, names, size = self.message, self.names, len(self.message)
        read_name, unpack = self._name, _RECORD.unpack_from
        records: list[Record] = []
        position = self.position
        for _ in range(count):
            first = message[position]
            if first >= _POINTER and (
                known := names.get((first & 0x3F) << 8 | message[position + 1])
            ):
                owner = known
                position += 2
            else:
                owner, position = read_name(position, size)
            rtype, rclass, ttl, length = unpack(message, position)
            position += 10
            end = position + length
            if end > size:
                raise MalformedMessage("a record reaches past the end", position)
            if rtype == OPT:
                self._read_opt(owner, rclass, ttl, position, end, additional)
                position = end
                continue
            if rtype == TSIG:
                raise MalformedMessage("an unexpected signature (TSIG)", position)
            if ttl > LARGEST_TTL:
                ttl = 0  # RFC 2181, 8
            if rclass != IN:
                records.append(Opaque(owner, ttl, rtype, rclass, message[position:end]))
            elif rtype == SRV:
                if length < _SRV.size:
                    raise MalformedMessage("an SRV record that is too short", position)
                priority, weight, port = _SRV.unpack_from(message, position)
                target, after = read_name(position + 6, end)
                if after != end:
                    raise MalformedMessage("an SRV record of the wrong length", position)
                records.append(Srv(owner, ttl, priority, weight, port, target))
            elif rtype == A or rtype == AAAA:
                if length != (4 if rtype == A else 16):
                    raise MalformedMessage("an address of the wrong length", position)
                records.append(Address(owner, ttl, message[position:end]))
            elif rtype == PTR or rtype == CNAME:
                target, after = read_name(position, end)
                if after != end:
                    kind = "PTR" if rtype == PTR else "CNAME"
                    raise MalformedMessage(f"a {kind} record of the wrong length", position)
                records.append((Pointer if rtype == PTR else Alias)(owner, ttl, target))
            elif rtype == SOA:
                mname, after = read_name(position, end)
                rname, after = read_name(after, end)
                if end - after != _SOA.size:
                    raise MalformedMessage("an SOA record of the wrong length", position)
                records.append(Soa(owner, ttl, mname, rname, *_SOA.unpack_from(message, after)))
            else:
                records.append(Opaque(owner, ttl, rtype, rclass, message[position:end]))
            position = end
        self.position = position
        return records

    def _read_opt(
        self, owner: bytes, payload: int, ttl: int, position: int, end: int, additional: bool
    ) -> None:
        """RFC 6891, 6.1: one OPT at most, in the additional section, owned by the root."""
        if not additional or self.opt is not None or owner != b"\0":
            raise MalformedMessage("a misplaced OPT record", position)
        options = 0
        while position < end:
            options += 1
            if options > _MOST_OPTIONS:
                raise MalformedMessage(f"more than {_MOST_OPTIONS} EDNS options", position)
            if end - position < _QUESTION.size:
                raise MalformedMessage("an EDNS option that is too short", position)
            _, length = _QUESTION.unpack_from(self.message, position)
            position += _QUESTION.size + length
        if position != end:
            raise MalformedMessage("an EDNS option that reaches past its record", position)
        self.opt = (payload, ttl)

    def _name(self, start: int, end: int) -> tuple[bytes, int]:
        """The name that begins at ``start`` and must be over by ``end``; and where it is over."""
        message, suffix = self.message, self.suffix
        if suffix:
            length = message[start]
            rest = start + 1 + length
            if length <= _LONGEST_LABEL and message.startswith(suffix, rest):
                finish = rest + len(suffix)
            elif message.startswith(suffix, start):
                finish = start + len(suffix)
            else:
                return self._spelled_name(start, end)
            # A length of 0 is the root, whatever bytes come after it.
            if length and finish <= end and finish - start <= _LONGEST_NAME:
                name = self.names[start] = message[start:finish].lower()
                return name, finish
        return self._spelled_name(start, end)

    def _spelled_name(self, start: int, end: int) -> tuple[bytes, int]:
        """The same, label by label.

        Pointers must point backwards, and what they point to must end before the piece of the
        name that holds the pointer begins; so no name reads a byte twice, and none loops.
        """
        message, names = self.message, self.names
        pieces = []
        size = 0
        position = lowest = piece = start
        after = pointers = 0
        while True:
            if position >= end:
                raise MalformedMessage("a name that reaches too far", position)
            length = message[position]
            if length <= _LONGEST_LABEL:
                stop = position + 1 + length
                if stop > end:
                    raise MalformedMessage("a label that reaches too far", position)
                pieces.append(message[position:stop])
                size += 1 + length
                position = stop
                if not length:
                    break
                continue
            if length < _POINTER:
                raise MalformedMessage("an unknown kind of label", position)
            if position + 1 >= end:
                raise MalformedMessage("a truncated pointer", position)
            target = (length & 0x3F) << 8 | message[position + 1]
            pointers += 1
            if target >= lowest or pointers > _MOST_POINTERS:
                raise MalformedMessage("a pointer that does not lead back", position)
            if not after:
                after = position + 2
            end, lowest = piece, target
            position = piece = target
            known = names.get(target)
            if known is not None and target + len(known) <= end:
                pieces.append(known)
                size += len(known)
                break
        self.labels += len(pieces)
        if self.labels > _MOST_LABELS:
            raise MalformedMessage(f"names of more than {_MOST_LABELS} labels", start)
        if size > _LONGEST_NAME:
            raise MalformedMessage("a name of more than 255 bytes", start)
        name = b"".join(pieces).lower()
        if not pointers:
            names[start] = name
            return name, position
        if not length:
            names[piece] = message[piece:position].lower()
        return name, after


def name_from_text(name: str) -> bytes:
    """A host name in wire form, lower-cased; with or without the trailing dot.

    Raises:
        ValueError: A label is empty, longer than 63 bytes or not ASCII, or the whole is longer
            than 255 bytes.
    """
    labels = name.removesuffix(".").split(".") if name != "." else []
    pieces = []
    for label in labels:
        raw = label.encode("ascii").lower()
        if not 0 < len(raw) <= _LONGEST_LABEL:
            raise ValueError(f"a label of a name has 1 to 63 characters, not {len(raw)}: {name!r}")
        pieces.append(bytes((len(raw),)) + raw)
    wire = b"".join(pieces) + b"\0"
    if len(wire) > _LONGEST_NAME:
        raise ValueError(f"a name has at most 255 bytes, not {len(wire)}: {name!r}")
    return wire


_NUMBER_LABELS = tuple(name_from_text(str(number))[:-1] for number in range(256))
_IN_ADDR_ARPA = name_from_text("in-addr.arpa")
_IP6_ARPA = name_from_text("ip6.arpa")


def reverse_name(packed: bytes) -> bytes:
    """The name whose PTR record names an address (RFC 1035, 3.5; RFC 3596, 2.5), in wire form."""
    if len(packed) == 4:
        return b"".join([_NUMBER_LABELS[byte] for byte in reversed(packed)]) + _IN_ADDR_ARPA
    nibbles = packed.hex().encode("ascii")
    return b"".join([b"\1%c" % nibble for nibble in reversed(nibbles)]) + _IP6_ARPA


def name_to_text(name: bytes) -> str:
    """A name in wire form as text, without the trailing dot.

    What could be taken for something else is escaped as in zone files (RFC 1035, 5.1).
    """
    labels = []
    position = 0
    while length := name[position]:
        label = name[position + 1 : position + 1 + length]
        plain = label.replace(b"-", b"").replace(b"_", b"")
        labels.append(label.decode() if plain.isalnum() else "".join(map(_escape, label)))
        position += 1 + length
    return ".".join(labels) or "."


def _escape(byte: int) -> str:
    character = chr(byte)
    if character in '."\\;@$()':
        return "\\" + character
    return character if 0x20 < byte < 0x7F else f"\\{byte:03d}"
