"""A small HTTP server for probes and metrics, which nobody can keep busy.

It runs an event loop on a thread of its own. On the sidecar's loop a pass that blocks, or a
statement's large result, would delay the answer to a liveness probe, and the kubelet would restart
a sidecar that is alive; here the answer says since when the sidecar has made no progress. One
thread serves all connections, so that slow clients cost a descriptor each, and the number of those
is limited: the oldest connection makes room for a new one. A probe sends its request at once, and
is answered long before it is the oldest.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self, cast

from ...names import Endpoint

__all__ = ["HttpServer", "Request", "Response", "Route"]

DEADLINE = 5.0
"""Seconds for a connection, from its beginning until the client has read the response."""

MOST_CONNECTIONS = 128
MOST_BYTES = 8192
"""Of a request. That of a kubelet has about 150."""

_BACKLOG = 1024
_ACCEPTS_AT_ONCE = 16
"""Fewer than connections at a time, so that each gets some turns before it can be the oldest."""
_RESERVED = 4
"""Descriptors that are kept for probes when the process has no others left."""

_PAUSE = 0.2
"""Seconds without accepting connections when there is no descriptor for one."""

_TICK = 0.5

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """A request for a path that has a route.

    Attributes:
        path: The path, without the query.
        query: What follows the question mark; empty if there is none.
    """

    path: str
    query: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """The response to a request.

    Attributes:
        body: The whole body; a HEAD request gets its length only.
        content_type: The value of the header ``Content-Type``.
        status: The status.
    """

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: HTTPStatus = HTTPStatus.OK


Route = Callable[[Request], Response]
"""Answers the requests for one path. It is called on the server's thread and must not block."""


class HttpServer:
    """Answers GET and HEAD requests while its block lasts.

    Args:
        listen: The address to listen on; port 0 for any free port.
        routes: The routes by their paths.
        on_tick: Called about twice a second on the server's thread.

    Raises:
        OSError: It cannot listen there.
    """

    def __init__(
        self, listen: Endpoint, routes: Mapping[str, Route], on_tick: Callable[[], None]
    ) -> None:
        self.routes = dict(routes)
        self._on_tick = on_tick
        self._socket = _listen(listen)
        self._loop = asyncio.SelectorEventLoop()
        self._acceptor = _Acceptor(self._loop, self._socket, self._answer)
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="peerdisco health", daemon=True)
        self.listening = Endpoint(listen.address, self._socket.getsockname()[1])
        """Where it listens."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        try:
            while not self._stop.is_set():
                self._on_tick()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), _TICK)
        finally:
            await self._acceptor.close()

    def _answer(self, request: Request) -> Response:
        route = self.routes.get(request.path)
        if route is None:
            paths = ", ".join(sorted(self.routes))
            return Response(f"not found; there is {paths}\n".encode(), status=HTTPStatus.NOT_FOUND)
        try:
            return route(request)
        except Exception as error:  # noqa: BLE001 - a page that fails takes no other with it
            _log.exception("%s: cannot answer", request.path)
            text = f"{type(error).__name__}: {error}\n"
            return Response(text.encode(), status=HTTPStatus.INTERNAL_SERVER_ERROR)


def _listen(where: Endpoint) -> socket.socket:
    family = socket.AF_INET6 if ":" in where.address else socket.AF_INET
    listening = socket.create_server(
        (where.address, where.port),
        family=family,
        backlog=_BACKLOG,
        dualstack_ipv6=where.address == "::" and socket.has_dualstack_ipv6(),
    )
    listening.setblocking(False)
    return listening


class _Acceptor:
    """Accepts connections, and limits how many there are.

    It holds descriptors for probes from the beginning, whatever the rest of the process opens.

    Args:
        loop: The server's event loop.
        listening: The listening socket.
        answer: Answers a request.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listening: socket.socket,
        answer: Callable[[Request], Response],
    ) -> None:
        self._loop = loop
        self._listening = listening
        self._answer = answer
        self._connections: dict[_Connection, None] = {}
        self._starting: set[asyncio.Task[object]] = set()
        self._reserved: list[int] = []
        self._paused: asyncio.TimerHandle | None = None
        self._reserve()
        self._resume()

    async def close(self) -> None:
        """Stop accepting, and end all connections."""
        if self._paused is not None:
            self._paused.cancel()
        self._loop.remove_reader(self._listening)
        self._listening.close()
        await asyncio.gather(*self._starting, return_exceptions=True)
        while self._connections:
            for connection in list(self._connections):
                connection.abort()
            await asyncio.sleep(0)
        for descriptor in self._reserved:
            os.close(descriptor)

    def _resume(self) -> None:
        self._paused = None
        self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_AT_ONCE):
            if len(self._connections) + len(self._starting) >= MOST_CONNECTIONS:
                self._end_oldest()
            try:
                client, _ = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE) and self._reserved:
                    os.close(self._reserved.pop())
                    continue
                # Errors of the connection itself are over with the next call.
                if error.errno not in _OF_THE_CONNECTION:
                    self._make_room()
                return
            self._start(client)

    def _make_room(self) -> None:
        """Get a descriptor by ending a connection; without one, accept nothing for a moment."""
        if self._connections:
            self._end_oldest()
            return  # its descriptor is free before the next call
        self._loop.remove_reader(self._listening)
        self._paused = self._loop.call_later(_PAUSE, self._resume)

    def _end_oldest(self) -> None:
        for connection in self._connections:
            del self._connections[connection]
            connection.abort()
            return

    def _start(self, client: socket.socket) -> None:
        client.setblocking(False)

        def protocol() -> _Connection:
            connection = _Connection(self._loop, self._answer, self._ended)
            self._connections[connection] = None
            return connection

        task = self._loop.create_task(self._loop.connect_accepted_socket(protocol, client))
        self._starting.add(task)
        task.add_done_callback(self._started)

    def _started(self, task: asyncio.Task[object]) -> None:
        self._starting.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved: a client that has gone is no news

    def _ended(self, connection: _Connection) -> None:
        self._connections.pop(connection, None)
        if len(self._reserved) < _RESERVED:
            self._loop.call_soon(self._reserve)  # after its descriptor was closed

    def _reserve(self) -> None:
        with contextlib.suppress(OSError):
            while len(self._reserved) < _RESERVED:
                self._reserved.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))


_OF_THE_CONNECTION = frozenset(
    {errno.ECONNABORTED, errno.EINTR, errno.EPROTO, errno.EPERM, errno.ECONNRESET}
)
"""Errors of accept(2) that say something about one connection only."""


class _Connection(asyncio.Protocol):
    """One request and its response."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        answer: Callable[[Request], Response],
        ended: Callable[[_Connection], None],
    ) -> None:
        self._answer = answer
        self._ended = ended
        self._received = bytearray()
        self._answered = False
        self._aborted = False
        self._transport: asyncio.Transport | None = None
        self._deadline = loop.call_later(DEADLINE, self.abort)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not an assertion: the transports of other event loops need not inherit from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        if self._aborted:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the base's name
        self._deadline.cancel()
        self._ended(self)

    def abort(self) -> None:
        """End it at once."""
        self._aborted = True
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._answered:
            return  # read and dropped: closing with unread data would reset the connection
        self._received += data
        end = self._received.find(b"\r\n\r\n", 0, MOST_BYTES)
        if end < 0 and len(self._received) <= MOST_BYTES:
            return
        self._answered = True
        assert self._transport is not None
        line = bytes(self._received[: max(end, 0)].partition(b"\r\n")[0])
        self._received.clear()
        self._transport.write(self._response(line, complete=end >= 0))
        self._transport.write_eof()  # the client closes it, or the deadline does

    def _response(self, line: bytes, *, complete: bool) -> bytes:
        """The response to a request with this first line."""
        if not complete:
            text = f"the request has more than {MOST_BYTES} bytes\n".encode()
            return _encoded(Response(text, status=HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE))
        method, _, rest = line.decode("latin-1").partition(" ")
        target, _, version = rest.rpartition(" ")
        if not version.startswith("HTTP/1.") or not target.startswith("/"):
            return _encoded(Response(b"not an HTTP/1 request\n", status=HTTPStatus.BAD_REQUEST))
        if method not in ("GET", "HEAD"):
            text = b"only GET and HEAD are answered\n"
            return _encoded(Response(text, status=HTTPStatus.METHOD_NOT_ALLOWED))
        path, _, query = target.partition("?")
        return _encoded(self._answer(Request(path, query)), with_body=method == "GET")


def _encoded(response: Response, *, with_body: bool = True) -> bytes:
    head = [
        f"HTTP/1.1 {response.status.value} {response.status.phrase}",
        f"Date: {_date(time.time())}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(response.body)}",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    if response.status is HTTPStatus.METHOD_NOT_ALLOWED:
        head.append("Allow: GET, HEAD")
    return "\r\n".join([*head, "", ""]).encode() + (response.body if with_body else b"")


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _date(now: float) -> str:
    """The value of the header ``Date`` (RFC 9110, section 5.6.7).

    As `email.utils.formatdate` writes it, whose imports take half a megabyte of a sidecar.
    """
    at = time.gmtime(now)
    day, month = _DAYS[at.tm_wday], _MONTHS[at.tm_mon - 1]
    return f"{day}, {at.tm_mday:02} {month} {at.tm_year} {time.strftime('%H:%M:%S', at)} GMT"
