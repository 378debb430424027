"""Messages there and back: UDP with a socket for each question, TCP on a kept connection.

A reply counts only if it comes from the server's address and port (the kernel checks that for
connected UDP sockets), repeats the question's id, and the caller's reader accepts it.
The transports put a fresh random id into each question.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from asyncio.trsock import TransportSocket
from collections.abc import Callable
from typing import Any, TypeVar, cast

from ..names import Endpoint
from .batch import Batch
from .wire import MalformedMessage

__all__ = ["ReplyReader", "TcpConnection", "exchange_udp", "socket_address"]

_T = TypeVar("_T")

ReplyReader = Callable[[bytes, bytes], _T | None]
"""Reads a reply, given the question as it was sent and the bytes that came.

None if they are no reply to the question. Raises `MalformedMessage` if they claim to be its reply
and cannot be read.
"""

MOST_STRAYS = 64
"""Messages in a row that are no reply, after which to give up on a socket or a connection.

Each of them costs time of the event loop, and a server in order sends none. A question that is
asked again comes from a new port, which whoever sent the strays has to find out.
"""

CLOSE_TIMEOUT = 1.0
"""Seconds to wait for the event loop to close the socket of an aborted connection.

The event loop closes it in its next iteration. The limit holds if it never does.
"""

_TCP_QUICKACK = getattr(socket, "TCP_QUICKACK", 0)
"""Of Linux alone."""

_NONBLOCK = getattr(socket, "SOCK_NONBLOCK", 0)
"""Saves a call to the system; macOS does not have it."""
_DATAGRAMS = socket.SOCK_DGRAM | _NONBLOCK

_NOTHING_OUT: dict[bytes, int] = {}
_LARGEST_DATAGRAM = 65535
_SHORTEST_MESSAGE = 12
_LINK_LOCAL = ("fe8", "fe9", "fea", "feb")
"""How the addresses of fe80::/10 begin (RFC 4291, 2.5.6)."""
_LARGEST_SCOPE = 2**32 - 1


class TooManyStrays(TimeoutError):
    """Other messages came instead of the reply; waiting longer is of no use."""

    def __init__(self) -> None:
        super().__init__(f"{MOST_STRAYS} messages that are no reply")


def _with_random_id(question: bytes) -> bytes:
    return os.urandom(2) + question[2:]


def socket_address(server: Endpoint) -> tuple[str, int] | tuple[str, int, int, int]:
    """The address to give to a socket; a link-local one names its interface by number.

    Raises:
        OSError: There is no such interface.
    """
    host, _, scope = server.address.partition("%")
    if not scope:
        if host.startswith(_LINK_LOCAL):
            raise OSError(errno.EINVAL, f"a link-local address needs an interface: {host}%eth0")
        return host, server.port
    if not (scope.isascii() and scope.isdigit()):
        try:
            return host, server.port, 0, socket.if_nametoindex(scope)
        except OSError:
            raise _no_interface(scope) from None
    if len(scope) > len(str(_LARGEST_SCOPE)) or int(scope) > _LARGEST_SCOPE:
        raise _no_interface(scope)
    return host, server.port, 0, int(scope)


def _no_interface(scope: str) -> OSError:
    return OSError(errno.ENODEV, f"there is no interface {scope}")


async def exchange_udp(
    server: Endpoint,
    question: bytes,
    read: ReplyReader[_T],
    until: float | None = None,
    note_sender: Callable[[str], object] | None = None,
) -> _T:
    """Ask once over UDP and wait for the reply.

    A new socket for each question gives each an unpredictable port (RFC 5452), and keeps clear of
    the connection-tracking race that loses one of two questions from one socket.

    Args:
        server: The name server.
        question: Its id does not matter.
        read: Reads the reply.
        until: When to give up, in the event loop's time; None for no limit.
        note_sender: Called with the address and port of any other sender; its message is not read.
            None lets the kernel drop these, which also reports a closed port.

    Raises:
        TimeoutError: It did not come until then.
        OSError: The system refused (ConnectionRefusedError when nobody listens there).
        TooManyStrays: `MOST_STRAYS` datagrams came that are no reply to the question.
        MalformedMessage: A datagram with the right id cannot be read.
    """
    question = _with_random_id(question)
    address = socket_address(server)
    family = socket.AF_INET6 if ":" in server.address else socket.AF_INET
    with socket.socket(family, _DATAGRAMS) as sock:
        if not _NONBLOCK:
            sock.setblocking(False)
        if note_sender is None:
            sock.connect(address)
            sock.send(question)
        else:
            sock.sendto(question, address)
        for _ in range(MOST_STRAYS):
            if note_sender is None:
                reply = await _receive(sock, sock.recv, until)
                foreign = False
            else:
                reply, source = await _receive(sock, sock.recvfrom, until)
                foreign = source[:2] != address[:2]
                if foreign:
                    note_sender(str(Endpoint(source[0], source[1])))
            if not foreign and (message := read(question, reply)) is not None:
                return message
            await asyncio.sleep(0)  # while a datagram is ready, receiving does not suspend
            if until is not None and asyncio.get_running_loop().time() >= until:
                raise TimeoutError
        raise TooManyStrays


async def _receive(sock: socket.socket, receive: Callable[[int], _T], until: float | None) -> _T:
    """The next datagram.

    Not ``loop.sock_recv`` within ``asyncio.timeout``, which take several times as long together;
    uvloop has no ``loop.sock_recvfrom``.
    """
    while True:
        try:
            return receive(_LARGEST_DATAGRAM)
        except BlockingIOError:
            pass
        loop = asyncio.get_running_loop()
        fd = sock.fileno()  # with the socket itself, asyncio takes four times as long
        readable = loop.create_future()
        timer = None if until is None else loop.call_at(until, _give_up, readable)
        loop.add_reader(fd, _wake, readable)
        try:
            await readable
        finally:
            loop.remove_reader(fd)
            if timer is not None:
                timer.cancel()


def _wake(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_result(None)


async def _connect(sock: socket.socket, address: tuple[Any, ...]) -> None:
    """Connect a socket that does not block, to the address exactly as it is given."""
    loop = asyncio.get_running_loop()
    try:
        sock.connect(address)
    except BlockingIOError:
        writable = asyncio.Event()
        loop.add_writer(sock, writable.set)
        try:
            await writable.wait()
        finally:
            loop.remove_writer(sock)
        if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, os.strerror(error)) from None


def _give_up(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_exception(TimeoutError())


class TcpConnection(asyncio.Protocol):
    """One connection to a name server, for any number of questions at a time (RFC 7766).

    Replies may come in any order; their ids tell them apart. The late reply to a question
    that was given up is dropped.
    """

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiting: dict[bytes, tuple[bytes, ReplyReader[Any], asyncio.Future[Any]]] = {}
        self._batch: Batch | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._taken_before = 0
        """Replies to the batch at the last check."""
        self._socket: TransportSocket | None = None
        self._buffer = bytearray()
        self._loop = asyncio.get_running_loop()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._replies = 0
        self._strays = 0
        """Messages in a row that are no reply to the question with their id."""
        self._silent = False
        self._retired = False
        self._given_up = False

    @classmethod
    async def open(cls, server: Endpoint) -> TcpConnection:
        """Connect.

        Raises:
            OSError: The connection was refused, or the server cannot be reached.
        """
        loop = asyncio.get_running_loop()
        if "%" not in server.address:
            try:
                _, connection = await loop.create_connection(cls, server.address, server.port)
            except OSError as error:
                # The text of asyncio is "Connect call failed" and the address, without the reason.
                raise OSError(error.errno, os.strerror(error.errno or errno.EIO)) from None
            return connection
        # asyncio would resolve the interface in a thread, and uvloop would ignore it.
        sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            await _connect(sock, socket_address(server))
            _, connection = await loop.create_connection(cls, sock=sock)
        except BaseException:
            sock.close()
            raise
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
        """Whether to ask on it: it is open, and a reply came during the last wait that timed out.

        A server whose machine is gone closes nothing; the kernel notices after many minutes.
        One that is just slow is usable again with its next reply.
        """
        return not self._silent and not self._closed.done()

    async def exchange(
        self, question: bytes, read: ReplyReader[_T], until: float | None = None
    ) -> _T:
        """Ask and wait for the reply.

        Args:
            question: Its id does not matter.
            read: Reads the reply.
            until: When to give up, in the event loop's time; None for no limit.

        Raises:
            TimeoutError: It did not come until then.
            ConnectionError: The connection was closed before the reply came.
            MalformedMessage: The reply cannot be read.
        """
        transport = self._open_transport()
        question = _with_random_id(question)
        while question[:2] in self._waiting or (self._batch and question[:2] in self._batch.out):
            question = _with_random_id(question)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_T] = loop.create_future()
        # Not asyncio.timeout(): this costs a third of it, in each lookup.
        timer = None if until is None else loop.call_at(until, _give_up, future)
        self._waiting[question[:2]] = (question, read, future)
        transport.write(len(question).to_bytes(2, "big") + question)
        replies = self._replies
        try:
            return await future
        except (asyncio.CancelledError, TimeoutError):
            self._silent = self._replies == replies
            raise
        finally:
            if timer is not None:
                timer.cancel()
            self._waiting.pop(question[:2], None)
            self._drop_if_retired()

    async def run(self, batch: Batch, timeout: float, deadline: float) -> bool:
        """Ask the questions of a batch, some at a time, and wait for the replies.

        One batch at a time; questions asked with `exchange` go beside it.

        Args:
            batch: What to ask.
            timeout: Seconds without any reply after which to give up.
            deadline: When to give up in any case, in the event loop's time.

        Returns:
            Whether there is a reply to each.

        Raises:
            ConnectionError: The connection was closed before.
            MalformedMessage: It says what is no DNS message.
        """
        if self._batch is not None:
            raise RuntimeError("the connection has a batch already")
        transport = self._open_transport()
        loop = asyncio.get_running_loop()
        if batch.over:
            return True
        done = batch.done = loop.create_future()
        self._batch = batch
        transport.write(batch.next_frames(loop.time(), self._waiting))
        self._check_later(batch, timeout, deadline)
        try:
            self._acknowledge_at_once()
            # Not asyncio.wait(): it takes two more turns of the event loop, in each poll.
            await done
            self._silent = batch.taken == self._taken_before
            self._replies += batch.taken
            return batch.over
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._batch = None
            batch.take_back()
            if done.done() and not done.cancelled():
                done.exception()  # raised above, unless the wait was never reached
            self._drop_if_retired()

    def _check_later(self, batch: Batch, timeout: float, deadline: float) -> None:
        self._taken_before = batch.taken
        due = min(self._loop.time() + timeout, deadline)
        self._timer = self._loop.call_at(due, self._check, batch, batch.progress, timeout, deadline)

    def _check(self, batch: Batch, progress: int, timeout: float, deadline: float) -> None:
        """Give up on a batch if nothing came since the last check."""
        if batch.progress > progress and self._loop.time() < deadline:
            self._check_later(batch, timeout, deadline)
        elif not batch.done.done():
            batch.done.set_result(None)

    def _open_transport(self) -> asyncio.Transport:
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the connection is closed")
        return self._transport

    def retire(self) -> None:
        """Drop the connection once no question is pending on it."""
        self._retired = True
        self._drop_if_retired()

    def _drop_if_retired(self) -> None:
        if self._retired and not self._waiting and self._batch is None:
            self.abort()

    def abort(self) -> None:
        """Drop the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    async def aclose(self) -> None:
        """Drop the connection and wait until its socket is closed, at most `CLOSE_TIMEOUT`."""
        self.abort()
        await asyncio.wait({self._closed}, timeout=CLOSE_TIMEOUT)

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not an assertion: the transports of other event loops need not inherit from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        if _TCP_QUICKACK:
            self._socket = transport.get_extra_info("socket")

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        if buffer:
            buffer += data
            if len(buffer) < 2 or len(buffer) < 2 + (buffer[0] << 8 | buffer[1]):
                return
            data = bytes(buffer)
            buffer.clear()
        batch = self._batch
        out = batch.out if batch is not None else _NOTHING_OUT
        start, size = 0, len(data)
        while size - start >= 2:
            end = start + 2 + (data[start] << 8 | data[start + 1])
            if end > size:
                break
            reply = data[start + 2 : end]
            start = end
            query_id = reply[:2]
            number = out.get(query_id)
            if number is None or batch is None or len(reply) < _SHORTEST_MESSAGE:
                self._take(reply)
            elif batch.take(number, reply) is not False:
                del out[query_id]
                batch.taken += 1
                self._strays = 0
                continue
            else:
                self._note_stray()
            if self._given_up:
                return  # and thousands of messages may follow
        if start < size:
            buffer += data[start:]
        if batch is not None:
            self._go_on(batch)

    def _take(self, reply: bytes) -> None:
        if len(reply) < _SHORTEST_MESSAGE:
            self._give_up(MalformedMessage("a message shorter than its header", 0))
            return
        waiting = self._waiting.get(reply[:2])
        if waiting is None:
            return
        question, read, future = waiting
        if future.done():
            return
        try:
            message = read(question, reply)
        except MalformedMessage as error:
            future.set_exception(error)
            return
        if message is None:
            self._note_stray()
            return
        self._replies += 1
        self._strays = 0
        self._silent = False
        future.set_result(message)

    def _note_stray(self) -> None:
        self._strays += 1
        if self._strays == MOST_STRAYS:
            self._give_up(TooManyStrays())

    def _give_up(self, error: Exception) -> None:
        self._given_up = True
        self._fail(error)
        self.abort()

    def _go_on(self, batch: Batch) -> None:
        """Send what may be out now; in portions, since each is a call to the system."""
        self._acknowledge_at_once()
        if batch.over:
            if not batch.done.done():
                batch.done.set_result(None)
        elif batch.left:
            transport = self._transport
            if transport is not None and not transport.is_closing():
                frames = batch.next_frames(self._loop.time(), self._waiting)
                if frames:
                    transport.write(frames)

    def _acknowledge_at_once(self) -> None:
        """Keep the kernel from waiting for something to acknowledge together with.

        Servers that leave Nagle's algorithm on, as BIND does, hold small replies back until then,
        which is 40 ms. The kernel forgets it again and again (tcp(7)).
        """
        if self._socket is not None:
            self._socket.setsockopt(socket.IPPROTO_TCP, _TCP_QUICKACK, 1)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._fail(ConnectionResetError("the server closed the connection"))
        if not self._closed.done():
            self._closed.set_result(None)

    def _fail(self, error: Exception) -> None:
        for _, _, future in self._waiting.values():
            if not future.done():
                future.set_exception(error)
        if self._batch is not None and not self._batch.done.done():
            self._batch.done.set_exception(error)
