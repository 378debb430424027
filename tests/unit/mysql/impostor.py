"""A server that answers at a peer's address and wants its password, or its memory.

It speaks the protocol's login as it is scripted, and keeps every byte that it receives.
https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

SALT = b"abcdefghijklmnopqrst"
OK = b"\x00\x00\x00\x02\x00\x00\x00"
EOF_PACKET = b"\xfe\x00\x00\x02\x00"
BATCH = 8192
PLUGIN_AUTH = 0x00080000
SSL = 0x0800
CAPABILITIES = 0x0007A205


def greeting(plugin: str | None, *, capabilities: int = 0) -> bytes:
    """The initial handshake; without a plugin that of a server that knows none."""
    flags = CAPABILITIES | capabilities | (0 if plugin is None else PLUGIN_AUTH)
    return (
        b"\x0a8.4.3\0"
        + struct.pack("<I", 7)
        + SALT[:8]
        + b"\0"
        + struct.pack("<HBHH", flags & 0xFFFF, 45, 2, flags >> 16)
        + bytes([21])
        + bytes(10)
        + SALT[8:]
        + b"\0"
        + (b"" if plugin is None else plugin.encode() + b"\0")
    )


def switch(plugin: str) -> bytes:
    return b"\xfe" + plugin.encode() + b"\0" + SALT + b"\0"


@dataclass
class Impostor:
    """Sends its greeting, one packet of the login after each that it receives, and OK in the end.

    Attributes:
        login: What it sends after each packet of the client. ``b"key"`` stands for its own RSA key.
        respond: The packets with which it answers each statement.
        received: Every byte that it received.
        packets: The same, as packets.
    """

    greeting: bytes
    login: Sequence[bytes] = ()
    respond: Callable[[], Iterable[bytes]] = lambda: [OK]
    received: bytearray = field(default_factory=bytearray)
    packets: list[bytes] = field(default_factory=list)
    key: rsa.RSAPrivateKey = field(
        default_factory=lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )
    sent: int = 0

    @property
    def public_key(self) -> bytes:
        return self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = 0

        async def receive() -> None:
            nonlocal number
            head = await reader.readexactly(4)
            packet = await reader.readexactly(int.from_bytes(head[:3], "little"))
            self.received += head + packet
            self.packets.append(packet)
            number = head[3] + 1

        async def send(packet: bytes) -> None:
            nonlocal number
            self.sent += len(packet)
            writer.write(len(packet).to_bytes(3, "little") + bytes([number % 256]) + packet)
            number += 1
            await writer.drain()

        async def respond() -> None:
            nonlocal number
            batch = bytearray()
            for packet in self.respond():
                batch += len(packet).to_bytes(3, "little") + bytes([number % 256]) + packet
                number += 1
                if len(batch) >= BATCH:
                    await flush(batch)
            await flush(batch)

        async def flush(batch: bytearray) -> None:
            self.sent += len(batch)
            writer.write(bytes(batch))
            batch.clear()
            await writer.drain()
            await asyncio.sleep(0)  # drain() does not wait while the socket takes everything

        try:
            await send(self.greeting)
            for packet in self.login:
                await receive()
                await send(b"\x01" + self.public_key if packet == b"key" else packet)
            await receive()
            await send(OK)
            while True:
                await receive()
                if self.packets[-1][:1] == b"\x01":
                    return
                await respond()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]

    def disclosed(self, password: str) -> list[str]:
        """The ways in which the password can be read from what was received."""
        secret = password.encode()
        masks = {"in clear": b"\0", "XORed with the salt": SALT, "XORed with its NUL": SALT + b"\0"}
        found = []
        for name, mask in masks.items():
            for shift in range(len(mask)):
                key = mask[shift:] + mask[:shift]
                masked = bytes(b ^ key[i % len(key)] for i, b in enumerate(secret))
                if masked in self.received:
                    found.append(name)
        for packet in self.packets:
            with contextlib.suppress(ValueError):
                way = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
                self.key.decrypt(packet, way)
                found.append("encrypted with the impostor's key")
        return found


@dataclass
class SilentOverTls:
    """Begins TLS, accepts the login, and then neither reads nor sends."""

    greeting: bytes
    certificate: Path
    key: Path

    @contextmanager
    def listening(self) -> Iterator[int]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        end = threading.Event()

        def serve() -> None:
            client, _ = server.accept()
            client.sendall(_packet(0, self.greeting))
            client.recv(36, socket.MSG_WAITALL)
            with context.wrap_socket(client, server_side=True) as encrypted:
                encrypted.recv(65536)
                encrypted.sendall(_packet(3, OK))
                end.wait(20)

        with socket.create_server(("127.0.0.1", 0)) as server:
            thread = threading.Thread(target=serve)
            thread.start()
            try:
                yield server.getsockname()[1]
            finally:
                end.set()
                thread.join()


def _packet(number: int, content: bytes) -> bytes:
    return len(content).to_bytes(3, "little") + bytes([number]) + content


def column(name: bytes = b"n", kind: int = 253) -> bytes:
    """The definition of a column, of text by default."""
    empty = b"\x00"
    return (
        b"\x03def"
        + empty * 3
        + bytes([len(name)])
        + name
        + empty
        + struct.pack("<BHIBHBxx", 12, 45, 1024, kind, 0, 0)
    )
