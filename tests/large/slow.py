"""A slow name server over TCP, on an event loop whose clock is simulated: nothing waits.

Connections are in memory. A server like the one of `tests.benchmarks.server` answers whatever came
together, and sends all the replies at the end of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from peerdisco.dns import wire

from .service import LargeService

_T = TypeVar("_T")


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop that moves its clock to the next timer, and connects to one slow server."""

    def __init__(self, server: SlowServer) -> None:
        super().__init__()
        self._server = server
        self._now = 0.0
        wait = self._selector.select

        def select(timeout: float | None = None) -> Any:
            self._now += timeout or 0.0
            return wait(0)

        self._selector.select = select  # type: ignore[method-assign]

    def time(self) -> float:
        return self._now

    async def create_connection(  # type: ignore[override]
        self, protocol_factory: Callable[[], asyncio.Protocol], *_: object, **__: object
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        protocol = protocol_factory()
        transport = _Transport(self, self._server, protocol)
        protocol.connection_made(transport)
        return transport, protocol


class _Transport(asyncio.Transport):
    """The client's end of a connection in memory."""

    def __init__(self, loop: SimulatedLoop, server: SlowServer, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._loop, self._server, self._protocol = loop, server, protocol
        self._closing = False

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self._server.asked(data, self._loop, self._receive)

    def _receive(self, data: bytes) -> None:
        if not self._closing:
            self._protocol.data_received(data)

    def is_closing(self) -> bool:
        return self._closing

    def abort(self) -> None:
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._protocol.connection_lost, None)


class SlowServer:
    """Answers one question after the other, those of all connections in the order they came.

    Args:
        service: What it answers.
        present: Seconds for a name that exists.
        absent: Seconds for a name that does not.
        together: Whether the replies to all questions that came together are sent together.

    Attributes:
        longest: The longest time, in seconds, that a question waited for its reply.
    """

    def __init__(
        self, service: LargeService, *, present: float, absent: float, together: bool
    ) -> None:
        self._service = service
        self._present, self._absent, self._together = present, absent, together
        self._free_at = 0.0
        self.longest = 0.0

    def asked(self, data: bytes, loop: SimulatedLoop, send: Callable[[bytes], object]) -> None:
        self._free_at = max(self._free_at, loop.time())
        replies = []
        while data:
            end = 2 + int.from_bytes(data[:2], "big")
            reply = self._service.reply(data[2:end])
            data = data[end:]
            self._free_at += self._absent if wire.read(reply).rcode else self._present
            framed = len(reply).to_bytes(2, "big") + reply
            replies.append(framed)
            if not self._together:
                loop.call_at(self._free_at, send, framed)
        if self._together:
            loop.call_at(self._free_at, send, b"".join(replies))
        self.longest = max(self.longest, self._free_at - loop.time())


def run(server: SlowServer, main: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Run this on a simulated clock."""
    with asyncio.Runner(loop_factory=lambda: SimulatedLoop(server)) as runner:
        return runner.run(main())
