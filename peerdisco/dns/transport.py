"""Messages there and back: UDP with a socket for each question, TCP on a kept connection.

A reply counts only if it comes from the address and port that were asked (the kernel sees to it:
UDP sockets are connected), repeats the question's id, and the caller's judge accepts it.
The transports put a fresh random id into each question.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

from ..names import Endpoint
from .wire import MalformedMessage, Message

__all__ = ["Judge", "TcpConnection", "exchange_udp"]

Judge = Callable[[bytes, bytes], "Message | None"]
"""Reads a reply, given the question as it was sent and the bytes that came.

None if they are no reply to the question. Raises `MalformedMessage` if they claim to be its reply
and cannot be read.
"""

_LARGEST_DATAGRAM = 65535
_LARGEST_FRAME = 65535
_SHORTEST_MESSAGE = 12


def _with_random_id(question: bytes) -> bytes:
    return os.urandom(2) + question[2:]


async def exchange_udp(server: Endpoint, question: bytes, judge: Judge) -> Message:
    """Ask once over UDP and wait for the reply, however long that takes.

    A new socket for each question gives each an unpredictable port (RFC 5452), and keeps clear of
    the connection-tracking race that loses one of two questions from one socket.

    Raises:
        OSError: The system refused (ConnectionRefusedError when nobody listens there).
        MalformedMessage: Datagrams came that answer with the right id and cannot be read.
    """
    loop = asyncio.get_running_loop()
    question = _with_random_id(question)
    family = socket.AF_INET6 if ":" in server.address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect((server.address, server.port))
        sock.send(question)
        while True:
            reply = await loop.sock_recv(sock, _LARGEST_DATAGRAM)
            if (message := judge(question, reply)) is not None:
                return message


class TcpConnection(asyncio.Protocol):
    """One connection to a name server, for any number of questions at a time (RFC 7766).

    Replies may come in any order; each is told by its id. A question that was given up leaves
    nothing behind: its reply is dropped when it comes.
    """

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiting: dict[bytes, tuple[bytes, Judge, asyncio.Future[Message]]] = {}
        self._buffer = bytearray()
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._replies = 0
        self._silent = False
        self._retired = False

    @classmethod
    async def open(cls, server: Endpoint) -> TcpConnection:
        """Connect.

        Raises:
            OSError: The connection was refused, or the server cannot be reached.
        """
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(cls, server.address, server.port)
        return connection

    @property
    def used(self) -> bool:
        """Whether a reply ever came: a server may close such a connection when it was idle."""
        return self._replies > 0

    @property
    def closed(self) -> bool:
        return self._closed.done()

    @property
    def usable(self) -> bool:
        """Whether to ask on it: it is open, and whoever gave up last had heard something of it.

        A server whose machine is gone closes nothing; the kernel notices after many minutes.
        One that is just slow is usable again with its next reply.
        """
        return not self.closed and not self._silent

    async def exchange(self, question: bytes, judge: Judge) -> Message:
        """Ask and wait for the reply, however long that takes.

        Raises:
            ConnectionError: The connection was closed before the reply came.
            MalformedMessage: The reply cannot be read.
        """
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the connection is closed")
        question = _with_random_id(question)
        while question[:2] in self._waiting:
            question = _with_random_id(question)
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[question[:2]] = (question, judge, future)
        self._transport.write(len(question).to_bytes(2, "big") + question)
        replies = self._replies
        try:
            return await future
        except asyncio.CancelledError:
            self._silent = self._replies == replies
            raise
        finally:
            self._waiting.pop(question[:2], None)
            if self._retired and not self._waiting:
                self.abort()

    def retire(self) -> None:
        """Drop the connection as soon as nobody waits on it any more."""
        self._retired = True
        if not self._waiting:
            self.abort()

    def abort(self) -> None:
        """Drop the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    async def aclose(self) -> None:
        """Drop the connection and wait until its socket is closed."""
        self.abort()
        await asyncio.shield(self._closed)

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        start, size = 0, len(buffer)
        while size - start >= 2:
            end = start + 2 + (buffer[start] << 8 | buffer[start + 1])
            if end > size:
                break
            self._take(bytes(buffer[start + 2 : end]))
            start = end
        del buffer[:start]

    def _take(self, reply: bytes) -> None:
        if len(reply) < _SHORTEST_MESSAGE:
            self._fail(MalformedMessage("a message shorter than its header", 0))
            self.abort()
            return
        waiting = self._waiting.get(reply[:2])
        if waiting is None:
            return
        question, judge, future = waiting
        if future.done():
            return
        try:
            message = judge(question, reply)
        except MalformedMessage as error:
            future.set_exception(error)
            return
        if message is not None:
            self._replies += 1
            self._silent = False
            future.set_result(message)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._fail(ConnectionResetError("the server closed the connection"))
        if not self._closed.done():
            self._closed.set_result(None)

    def _fail(self, error: Exception) -> None:
        for _, _, future in self._waiting.values():
            if not future.done():
                future.set_exception(error)
