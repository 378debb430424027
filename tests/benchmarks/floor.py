"""The floor: a bare exchange through asyncio, and the least reading that gives names and addresses.

It checks nothing, fails over to nothing, waits without a deadline and knows one shape of answer.
It is what the cost of everything else is measured against.
"""

from __future__ import annotations

import asyncio
import socket
import struct

from peerdisco.dns import wire


class Bare(asyncio.Protocol):
    """One kept TCP connection, one question at a time."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if len(self.buffer) >= 2 and len(self.buffer) - 2 >= int.from_bytes(self.buffer[:2], "big"):
            message, self.buffer = self.buffer[2:], b""
            self.reply.set_result(message)

    async def exchange(self, question: bytes) -> bytes:
        self.reply = asyncio.get_running_loop().create_future()
        self.transport.write(len(question).to_bytes(2, "big") + question)
        return await self.reply


async def connect(port: int) -> Bare:
    _, bare = await asyncio.get_running_loop().create_connection(Bare, "127.0.0.1", port)
    return bare


def question(service: str) -> bytes:
    return wire.query(4711, wire.name_from_text(service), wire.SRV)


def minimal_reading(message: bytes) -> dict[str, list[str]]:
    """Names and addresses as text, with the few lines of `struct` that this takes."""
    _, _, _, answers, _, additional = struct.unpack_from("!6H", message)
    _, position = read_name(message, 12)
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
    for _ in range(additional):
        owner, position = read_name(message, position)
        rtype, _, _, length = struct.unpack_from("!HHIH", message, position)
        position += 10
        if rtype == wire.A:
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
