"""Converts the results of c-ares to messages of `peerdisco.dns.wire`; imported with aiodns."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

import pycares

from . import wire

__all__ = ["Records", "least_size", "message_of"]

_FULL = 65535 - 1024
"""Records of fewer bytes leave room in a message for the header, the question, an OPT record with
a cookie, and one record more, whatever its names are."""

_QR, _TC = 0x8000, 0x0200

_SLICE = 250
"""Records to read before the event loop gets its turn; they take well under a millisecond."""
_LONGEST_NAME = 255
_FIXED = 10
"""The bytes of a record after its owner's name and before its data (RFC 1035, 4.1.3)."""
_POINTER = 2


def message_of(
    name: bytes,
    rtype: int,
    rcode: int,
    answers: Sequence[wire.Record] = (),
    additional: Sequence[wire.Record] = (),
) -> wire.Message:
    """The server's message as far as c-ares reports it; truncated if it may have been."""
    message = wire.Message(
        id=0,
        flags=_QR,
        rcode=rcode,
        questions=(wire.Question(name, rtype, wire.IN),),
        answers=list(answers),
        authority=[],
        additional=list(additional),
        edns_payload=None,
    )
    targets = {record.target for record in answers if type(record) is wire.Srv}
    glue = any(record.owner in targets for record in additional)
    if not glue and _largest_size(message) > _FULL:
        message = message._replace(flags=_QR | _TC)
    return message


class Records:
    """Converts the records of one answer to those of `wire`; reads each name once."""

    def __init__(self) -> None:
        self._names: dict[str, bytes] = {"": b"\0", ".": b"\0"}

    async def read(self, records: Sequence[pycares.DNSRecord]) -> list[wire.Record]:
        """The records; one that cannot be read keeps its owner, and its type.

        It lets others have the event loop in between.
        """
        read: list[wire.Record] = []
        for start in range(0, len(records), _SLICE):
            if start:
                await asyncio.sleep(0)
            for record in records[start : start + _SLICE]:
                try:
                    read.append(self._read(record))
                except ValueError:  # a name that is no host's
                    read.append(self._opaque(record))
        return read

    def _opaque(self, record: pycares.DNSRecord) -> wire.Record:
        try:
            owner = self._name(record.name)
        except ValueError:
            owner = b"\0"
        return wire.Opaque(owner, record.ttl, record.type, record.record_class, b"")

    def _read(self, record: pycares.DNSRecord) -> wire.Record:
        if record.record_class != wire.IN:
            return self._opaque(record)
        owner, ttl, data = self._name(record.name), record.ttl, record.data
        if isinstance(data, pycares.ARecordData):
            return wire.Address(owner, ttl, socket.inet_pton(socket.AF_INET, data.addr))
        if isinstance(data, pycares.SRVRecordData):
            target = self._name(data.target)
            return wire.Srv(owner, ttl, data.priority, data.weight, data.port, target)
        if isinstance(data, pycares.AAAARecordData):
            return wire.Address(owner, ttl, socket.inet_pton(socket.AF_INET6, data.addr))
        if isinstance(data, pycares.PTRRecordData):
            return wire.Pointer(owner, ttl, self._name(data.dname))
        if isinstance(data, pycares.SOARecordData):
            numbers = data.serial, data.refresh, data.retry, data.expire, data.minimum
            return wire.Soa(owner, ttl, self._name(data.mname), self._name(data.rname), *numbers)
        if isinstance(data, pycares.CNAMERecordData):
            return wire.Alias(owner, ttl, self._name(data.cname))
        return self._opaque(record)

    def _name(self, text: str) -> bytes:
        name = self._names.get(text)
        if name is None:
            # The names of an answer share all but their first label.
            label, _, rest = text.partition(".")
            first = wire.name_from_text(label)[:-1]
            name = first + self._name(rest)
            if len(name) > _LONGEST_NAME:
                raise ValueError(f"a name has at most {_LONGEST_NAME} bytes: {text!r}")
            self._names[text] = name
        return name


def _largest_size(message: wire.Message) -> int:
    """How many bytes the answer section takes if names are written as `AiodnsResolver` says."""
    question = message.questions[0].name
    size = 0
    for record in message.answers:
        size += _FIXED + (_POINTER if record.owner == question else len(record.owner))
        if type(record) is wire.Srv:
            size += 6 + len(record.target)
        elif type(record) is wire.Pointer or type(record) is wire.Alias:
            size += len(record.target)
        elif type(record) is wire.Address:
            size += len(record.packed)
    return size


def least_size(message: wire.Message) -> int:
    """How many bytes the records take at least, however names are compressed."""
    size = 0
    for record in (*message.answers, *message.additional):
        size += _POINTER + _FIXED
        if type(record) is wire.Srv:
            size += 6 + _POINTER
        elif type(record) is wire.Pointer:
            size += _POINTER
        elif type(record) is wire.Address:
            size += len(record.packed)
    return size
