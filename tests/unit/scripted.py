"""A name server on loopback that does what its script says: real sockets, no tasks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Self, cast

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset

from peerdisco.dns import wire
from peerdisco.dns.resolver import Reply
from peerdisco.dns.transport import socket_address
from peerdisco.model import Outcome
from peerdisco.names import Endpoint

LOOPBACK = "127.0.0.1"


class Asked:
    """One question as it reached the server, and the way back."""

    def __init__(
        self,
        raw: bytes,
        transport: str,
        send: Callable[[bytes], None],
        hang_up: Callable[[], None],
        client: tuple[str, int],
        connection: int | None = None,
    ) -> None:
        self.raw = raw
        self.message = wire.read(raw)
        self.transport = transport
        self.send = send
        self.hang_up = hang_up
        self.client = client
        self.connection = connection

    @property
    def edns(self) -> bool:
        return self.message.edns_payload is not None

    @property
    def label(self) -> str:
        """The first label of the name that was asked for."""
        return wire.name_to_text(self.message.questions[0].name).partition(".")[0]

    def reply(
        self, *addresses: str, rcode: str = "NOERROR", tc: bool = False, soa: bool = False
    ) -> bytes:
        """A right answer with these A records."""
        asked = dns.message.from_wire(self.raw)
        message = dns.message.make_response(asked)
        message.flags |= dns.flags.AA
        message.set_rcode(dns.rcode.from_text(rcode))
        name = asked.question[0].name
        if addresses:
            message.answer.append(dns.rrset.from_text(name, 30, "IN", "A", *addresses))
        if soa:
            text = "ns. hostmaster. 1 2 3 4 5"
            message.authority.append(dns.rrset.from_text(name, 30, "IN", "SOA", text))
        if tc:
            message.flags |= dns.flags.TC
        return message.to_wire(max_size=65535)

    def answer(self, *addresses: str, rcode: str = "NOERROR", tc: bool = False) -> None:
        self.send(self.reply(*addresses, rcode=rcode, tc=tc))


Script = Callable[[Asked], None]


def silent(asked: Asked) -> None:
    """Never answers."""


class InBatches:
    """A script that answers only when so many questions are out.

    Attributes:
        most: How many were out at a time.
    """

    def __init__(self, batch: int) -> None:
        self._batch = batch
        self._out: list[Asked] = []
        self.most = 0

    def __call__(self, asked: Asked) -> None:
        self._out.append(asked)
        self.most = max(self.most, len(self._out))
        # Time for a question too many to come.
        if len(self._out) == self._batch:
            asyncio.get_running_loop().call_later(0.02, self._answer_all)

    def _answer_all(self) -> None:
        for asked in self._out:
            asked.answer("10.0.0.1")
        self._out.clear()


def says(*addresses: str, rcode: str = "NOERROR", tc: bool = False) -> Script:
    """Always answers the same."""

    def script(asked: Asked) -> None:
        asked.answer(*addresses, rcode=rcode, tc=tc)

    return script


def cut_over_udp(*addresses: str) -> Script:
    """Sets TC over UDP, with the first address alone; answers over TCP with all."""

    def script(asked: Asked) -> None:
        if asked.transport == "udp":
            asked.answer(*addresses[:1], tc=True)
        else:
            asked.answer(*addresses)

    return script


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Before Python 3.12 the one of the selector loop did not inherit from the class.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        transport = self._transport
        self._server.take(
            Asked(data, "udp", lambda reply: transport.sendto(reply, addr), lambda: None, addr[:2])
        )


class _Tcp(asyncio.Protocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast("asyncio.Transport", transport)
        self.number = self._server.connections
        self._server.connections += 1
        self._server.open[self.number] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        del self._server.open[self.number]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        transport = self._transport
        while len(self._buffer) >= 2:
            size = int.from_bytes(self._buffer[:2], "big")
            if len(self._buffer) < 2 + size:
                return
            raw, self._buffer = self._buffer[2 : 2 + size], self._buffer[2 + size :]
            self._server.take(
                Asked(
                    raw,
                    "tcp",
                    lambda reply: transport.write(frame(reply)),
                    transport.abort,
                    transport.get_extra_info("peername")[:2],
                    self.number,
                )
            )


def frame(message: bytes) -> bytes:
    return len(message).to_bytes(2, "big") + message


class NameServer:
    """Listens on UDP and TCP at one port of loopback.

    Attributes:
        asked: Every question, in the order in which they came.
        connections: How many TCP connections were ever accepted.
        open: Those that are open, by number.
    """

    def __init__(self, script: Script, *, tcp: bool = True, host: str = LOOPBACK) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self.connections = 0
        self.open: dict[int, asyncio.Transport] = {}
        self._tcp = tcp
        self._host = host

    def take(self, asked: Asked) -> None:
        self.asked.append(asked)
        self.script(asked)

    @property
    def transports(self) -> list[str]:
        return [asked.transport for asked in self.asked]

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        # The TCP port is taken in any case: a server without TCP must refuse, not somebody else.
        self._socket, udp = _both(family, self._host)
        self.endpoint = Endpoint(self._host, self._socket.getsockname()[1])
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(self), sock=udp)
        self._listener: asyncio.Server | None = None
        if self._tcp:
            self._listener = await loop.create_server(lambda: _Tcp(self), sock=self._socket)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._udp.close()
        for transport in list(self.open.values()):
            transport.abort()
        if self._listener is not None:
            self._listener.close()
            await self._listener.wait_closed()
        self._socket.close()
        await settle(lambda: not self.open)


def _both(family: socket.AddressFamily, host: str) -> tuple[socket.socket, socket.socket]:
    """A TCP and a UDP socket at one port."""
    for _ in range(50):
        tcp = socket.socket(family, socket.SOCK_STREAM)
        udp = socket.socket(family, socket.SOCK_DGRAM)
        try:
            tcp.bind(socket_address(Endpoint(host, 0)))
            udp.bind(socket_address(Endpoint(host, tcp.getsockname()[1])))
        except OSError:
            tcp.close()
            udp.close()
            continue
        tcp.setblocking(False)
        udp.setblocking(False)
        return tcp, udp
    raise AssertionError("no port is free on both transports")


def dead_endpoint(host: str = LOOPBACK) -> Endpoint:
    """A port where nobody listens."""
    tcp, udp = _both(socket.AF_INET, host)
    with tcp, udp:
        return Endpoint(host, tcp.getsockname()[1])


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


Serve = Callable[..., Awaitable[NameServer]]


@asynccontextmanager
async def serving() -> AsyncIterator[Serve]:
    """Starts servers, and stops them in the end."""
    async with AsyncExitStack() as stack:

        async def serve(script: Script, *, tcp: bool = True, host: str = LOOPBACK) -> NameServer:
            return await stack.enter_async_context(NameServer(script, tcp=tcp, host=host))

        yield serve


async def settle(condition: Callable[[], bool]) -> None:
    """Let the event loop go on until it is so; fails after a while."""
    for turn in range(800):
        if condition():
            return
        await asyncio.sleep(0 if turn < 400 else 0.005)
    raise AssertionError("it never came to be so")


def open_sockets() -> frozenset[str]:
    """The process's sockets; two readings differ by what was opened and closed between them."""
    return frozenset(target for target in _targets() if target.startswith("socket:"))


def open_files() -> int:
    """How many descriptors the process has, but for one that a loop of uvloop keeps in reserve."""
    return sum(1 for target in _targets() if target != os.devnull)


def _targets() -> Iterator[str]:
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # closed in the meantime
            yield str(entry.readlink())


# What is said of replies.


def soon(seconds: float = 60.0) -> float:
    """A deadline that a test which passes does not reach."""
    return asyncio.get_running_loop().time() + seconds


def addresses(reply: Reply) -> list[str]:
    assert reply.message is not None
    # dnspython writes the records of a set in any order.
    return sorted(
        socket.inet_ntoa(record.packed)
        for record in reply.message.answers
        if isinstance(record, wire.Address)
    )


def outcomes(reply: Reply) -> list[tuple[str, Outcome]]:
    return [(attempt.transport, attempt.outcome) for attempt in reply.attempts]
