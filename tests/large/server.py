"""`LargeService` behind real sockets: in the running event loop, or in a process of its own.

``python -m tests.large.server PODS`` prints its port and serves until its input ends.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from peerdisco.names import Endpoint

from .service import LargeService, statefulset

LOOPBACK = "127.0.0.1"


class Stream(asyncio.Protocol):
    """One TCP connection: questions are answered in order, those that came together at once."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections.add(transport)
        self._server.accepted += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data
        start, replies = 0, []
        while len(data) - start >= 2:
            end = start + 2 + int.from_bytes(data[start : start + 2], "big")
            if end > len(data):
                break
            self._server.replies += 1
            if self._server.hangs_up_after and (
                self._server.replies % self._server.hangs_up_after == 0
            ):
                self._transport.write(b"".join(replies))
                self._transport.close()
                return
            reply = self._server.service.reply(data[start + 2 : end])
            replies += [len(reply).to_bytes(2, "big"), reply]
            start = end
        self._buffer = data[start:]
        self._transport.write(b"".join(replies))


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: Server) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(self._server.service.reply(data, "udp"), addr)


class Server:
    """A name server at one port of loopback.

    Attributes:
        accepted: How many TCP connections there were.
        hangs_up_after: Instead of each so-manieth reply over TCP the connection is closed.
    """

    def __init__(self, service: LargeService) -> None:
        self.service = service
        self.connections: set[asyncio.Transport] = set()
        self.accepted = 0
        self.replies = 0
        self.hangs_up_after: int | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(50):
            self._tcp = await loop.create_server(lambda: Stream(self), LOOPBACK, 0)
            self.port = self._tcp.sockets[0].getsockname()[1]
            try:
                self._udp, _ = await loop.create_datagram_endpoint(
                    lambda: Datagrams(self), local_addr=(LOOPBACK, self.port)
                )
            except OSError:
                self._tcp.close()
                continue
            return
        raise AssertionError("no port is free on both transports")

    async def stop(self) -> None:
        self._udp.close()
        self._tcp.close()
        for transport in list(self.connections):
            transport.abort()
        await asyncio.sleep(0)

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(LOOPBACK, self.port)


@asynccontextmanager
async def serving(service: LargeService) -> AsyncIterator[Server]:
    """A server in the running event loop."""
    server = Server(service)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def serve(pods: int) -> None:
    async with serving(LargeService(statefulset("db", range(pods)))) as server:
        print(server.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
