"""The floor: bare exchanges through asyncio, and the least reading that gives names and addresses.

It checks nothing, fails over to nothing, waits without a deadline, knows one shape of answer, and
gets the number of pods in advance. It is what the cost of everything else is measured against.
"""

from __future__ import annotations

import asyncio
import socket
import struct

from peerdisco.dns import wire
from peerdisco.names import Endpoint

from .services import Service

WINDOW = 128
"""Questions in flight; with more of them neither server is faster."""

_TC = 0x02
_END_OF_HEADER = 12
OPT = 11
"""Bytes of the OPT record, which ends every answer; before it, one pod's ends with its address."""


class Bare(asyncio.Protocol):
    """One kept TCP connection."""

    def __init__(self) -> None:
        self.buffer = b""

    @classmethod
    async def connect(cls, server: Endpoint) -> Bare:
        loop = asyncio.get_running_loop()
        _, bare = await loop.create_connection(cls, server.address, server.port)
        return bare

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.socket = transport.get_extra_info("socket")
        self.acknowledge()

    def acknowledge(self) -> None:
        """At once: until then BIND holds small replies back, up to 40 ms at a time."""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def data_received(self, data: bytes) -> None:
        self.acknowledge()
        buffer = self.buffer + data if self.buffer else data
        start, size = 0, len(buffer)
        while size - start >= 2:
            end = start + 2 + (buffer[start] << 8 | buffer[start + 1])
            if end > size:
                break
            self.replies.append(buffer[start + 2 : end])
            start = end
        self.buffer = buffer[start:]
        left = self.questions[self.sent : len(self.replies) + WINDOW]
        if left:
            self.sent += len(left)
            self.transport.write(b"".join(left))
        if len(self.replies) == len(self.questions):
            self.done.set_result(None)

    async def exchange(self, *questions: bytes) -> list[bytes]:
        """The replies in the order in which they come; the questions carry their lengths."""
        self.questions = questions
        self.replies: list[bytes] = []
        self.done = asyncio.get_running_loop().create_future()
        self.sent = min(len(questions), WINDOW)
        self.transport.write(b"".join(questions[:WINDOW]))
        await self.done
        return self.replies


def question(name: str, rtype: int, number: int = 0) -> bytes:
    """A question as it goes over TCP."""
    message = wire.query(number, wire.name_from_text(name), rtype)
    return len(message).to_bytes(2, "big") + message


class Floor:
    """The names and addresses of a service: one exchange, and one for each address missing."""

    def __init__(self, bare: Bare, service: Service) -> None:
        self.bare = bare
        self.service = question(service.fqdn, wire.SRV)
        self.names = [service.hostname(ordinal) for ordinal in range(service.pods)]
        self.pods = [question(name, wire.A, n) for n, name in enumerate(self.names)]

    async def lookup(self) -> dict[str, list[str]]:
        (message,) = await self.bare.exchange(self.service)
        if message[2] & _TC:
            return await self.each()
        found = read(message)
        return await self.each() if [] in found.values() else found

    async def each(self) -> dict[str, list[str]]:
        """Ask for every pod by its name."""
        names = self.names
        found: dict[str, list[str]] = {}
        for message in await self.bare.exchange(*self.pods):
            name = names[message[0] << 8 | message[1]]
            found[name] = [socket.inet_ntoa(message[-OPT - 4 : -OPT])]
        return found


def read(message: bytes) -> dict[str, list[str]]:
    """Names and addresses as text, with the few lines of `struct` that this takes."""
    _, _, _, answers, authority, additional = struct.unpack_from("!6H", message)
    _, position = read_name(message, _END_OF_HEADER)
    position += 4
    found: dict[str, list[str]] = {}
    for _ in range(answers):
        _, position = read_name(message, position)
        rtype, _, _, length = struct.unpack_from("!HHIH", message, position)
        position += 10
        if rtype == wire.SRV:
            target, _ = read_name(message, position + 6)
            found[target] = []
        position += length
    for _ in range(authority + additional):
        owner, position = read_name(message, position)
        rtype, _, _, length = struct.unpack_from("!HHIH", message, position)
        position += 10
        if rtype == wire.A and owner in found:
            found[owner].append(socket.inet_ntoa(message[position : position + length]))
        position += length
    return found


def read_name(message: bytes, position: int) -> tuple[str, int]:
    """The name at a position, and where it ends."""
    labels = []
    end = 0
    while length := message[position]:
        if length >= 0xC0:
            end = end or position + 2
            position = (length & 0x3F) << 8 | message[position + 1]
        else:
            labels.append(message[position + 1 : position + 1 + length])
            position += 1 + length
    return b".".join(labels).decode("ascii"), end or position + 1
