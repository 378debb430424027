"""A UDP and a TCP socket on one port, and the answers sent through them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Coroutine
from typing import Any, cast

from .faults import Transport
from .responder import Reaction

__all__ = ["Listener"]

_log = logging.getLogger("peerdisco.testing")

_CLOSE_TIMEOUT = 1.0
"""Seconds to wait for the event loop to close a socket; a client may leave replies unread."""
_PORT_TRIES = 50
_HEADER_SIZE = 12

React = Callable[[bytes, Transport], Reaction]


class Listener:
    """Answers over UDP and TCP until it is closed.

    Over TCP the questions of a connection are answered one after another, in order, as CoreDNS
    does (miekg/dns, ``server.go``).

    Args:
        react: The reaction to a question. An exception is logged, and answered with SERVFAIL.
        idle_timeout: Seconds after which an idle TCP connection is closed.
    """

    def __init__(self, react: React, idle_timeout: float) -> None:
        self._react = react
        self._idle_timeout = idle_timeout
        self._tasks: set[asyncio.Task[None]] = set()
        self._datagrams: _Datagrams | None = None
        self._tcp: socket.socket | None = None

    async def open(self, host: str, port: int) -> int:
        """Bind both sockets; returns the port, chosen by the system if 0 was given.

        Raises:
            OSError: The port is in use, or this machine does not have the address.
        """
        tcp, udp = _bind(host, port)
        loop = asyncio.get_running_loop()
        try:
            _, self._datagrams = await loop.create_datagram_endpoint(
                lambda: _Datagrams(self), sock=udp
            )
        except BaseException:
            tcp.close()
            udp.close()
            raise
        # Not asyncio's own server: when closed, it leaves connections open that it is accepting.
        self._tcp = tcp
        loop.add_reader(tcp, self._accept, tcp)
        bound: int = tcp.getsockname()[1]
        return bound

    async def aclose(self) -> None:
        """Close every socket, and end every task; a second call does nothing."""
        tcp, datagrams = self._tcp, self._datagrams
        self._tcp = self._datagrams = None
        if tcp is not None:
            asyncio.get_running_loop().remove_reader(tcp)
            tcp.close()
        if datagrams is not None:
            datagrams.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if datagrams is not None:
            await asyncio.wait({datagrams.closed}, timeout=_CLOSE_TIMEOUT)

    def reaction(self, wire: bytes, transport: Transport) -> Reaction:
        try:
            return self._react(wire, transport)
        except Exception:  # noqa: BLE001 - any error of a predicate: the server goes on
            _log.exception("cannot answer a question")
            # QR, and SERVFAIL, over a header without sections.
            return Reaction(wire[:2] + b"\x80\x02" + bytes(_HEADER_SIZE - 4))

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _accept(self, tcp: socket.socket) -> None:
        try:
            connection, _ = tcp.accept()
        except OSError:
            return  # the client has closed the connection
        connection.setblocking(False)
        # A task that is cancelled before it begins does not close the connection.
        self.spawn(self._serve(connection)).add_done_callback(lambda _: connection.close())

    async def _serve(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=connection)
        try:
            await self._serve_questions(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
            raise
        except (OSError, EOFError):
            pass  # the client closed the connection, or was idle for too long
        finally:
            writer.close()
            with contextlib.suppress(OSError):  # TimeoutError, too
                async with asyncio.timeout(_CLOSE_TIMEOUT):
                    await writer.wait_closed()

    async def _serve_questions(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            async with asyncio.timeout(self._idle_timeout):
                size = int.from_bytes(await reader.readexactly(2))
                wire = await reader.readexactly(size)
            reaction = self.reaction(wire, "tcp")
            if reaction.delay:
                await asyncio.sleep(reaction.delay)
            if reaction.close:
                return
            if reaction.reply is not None:
                writer.write(len(reaction.reply).to_bytes(2) + reaction.reply)
                await writer.drain()


class _Datagrams(asyncio.DatagramProtocol):
    """Answers at once, or in a task of its own if the answer is delayed."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # asyncio's own transport is no instance of its documented class.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio gives it
        if not self.closed.done():
            self.closed.set_result(None)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        reaction = self._listener.reaction(data, "udp")
        if reaction.reply is None:
            return
        if reaction.delay:
            self._listener.spawn(self._later(reaction.delay, reaction.reply, addr))
        else:
            self._transport.sendto(reaction.reply, addr)

    def error_received(self, exc: Exception) -> None:
        """Ignore it: the client closed its socket before the answer was sent."""

    def abort(self) -> None:
        self._transport.abort()

    async def _later(self, delay: float, reply: bytes, addr: Any) -> None:
        await asyncio.sleep(delay)
        self._transport.sendto(reply, addr)


def _bind(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """A TCP and a UDP socket on the same port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for attempt in range(_PORT_TRIES):
        tcp = socket.socket(family, socket.SOCK_STREAM)
        udp = socket.socket(family, socket.SOCK_DGRAM)
        try:
            # A server that is closed can be opened again on the same port at once.
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tcp.bind((host, port))
            tcp.listen()
            udp.bind((host, tcp.getsockname()[1]))
            tcp.setblocking(False)
            udp.setblocking(False)
        except OSError as error:
            tcp.close()
            udp.close()
            # The port that TCP got may be in use for UDP: try another one.
            if port or error.errno != errno.EADDRINUSE or attempt == _PORT_TRIES - 1:
                raise
        else:
            return tcp, udp
    raise AssertionError("the last attempt returns or raises")
