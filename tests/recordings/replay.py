"""A name server that answers recorded questions with the recorded bytes."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import dns.message
import dns.rcode
import dns.rdatatype

VECTORS = Path(__file__).parent.parent / "vectors"
SCENARIOS = sorted(
    path.stem
    for path in VECTORS.glob("*.json")
    if path.stem not in ("endpointslice-list-watch", "stale-nxdomain")
)

Key = tuple[str, str, str]
"""Name, type, transport."""


def load(scenario: str) -> dict[str, Any]:
    return json.loads((VECTORS / f"{scenario}.json").read_text())


def recorded(scenario: str, server: str = "nocache") -> dict[Key, bytes]:
    """The answers to questions with EDNS, as one of the two servers gave them."""
    return {
        (exchange["name"], exchange["type"], exchange["transport"]): bytes.fromhex(
            exchange["answer_hex"]
        )
        for exchange in load(scenario)["exchanges"]
        if exchange["server"] == server and exchange["edns_payload"] and exchange["answer_hex"]
    }


def refuse(query: bytes, transport: str) -> bytes:
    response = dns.message.make_response(dns.message.from_wire(query))
    response.set_rcode(dns.rcode.REFUSED)
    return response.to_wire()


class Replay:
    """Serves on a free port of loopback, on a thread of its own.

    What was not recorded goes to ``fallback(query, transport)``.
    """

    def __init__(
        self,
        answers: dict[Key, bytes],
        *,
        tcp: bool = True,
        fallback: Callable[[bytes, str], bytes] = refuse,
    ) -> None:
        self.answers = answers
        self.tcp = tcp
        self.fallback = fallback
        self.asked: list[Key] = []
        self.nameserver = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._connections: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def reply(self, query: bytes, transport: str) -> bytes:
        question = dns.message.from_wire(query).question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        key = (name, dns.rdatatype.to_text(question.rdtype), transport)
        self.asked.append(key)
        answer = self.answers.get(key)
        return self.fallback(query, transport) if answer is None else query[:2] + answer[2:]

    async def _start(self) -> None:
        replay = self

        class Datagrams(asyncio.DatagramProtocol):
            def connection_made(self, transport: asyncio.DatagramTransport) -> None:
                self.transport = transport

            def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
                self.transport.sendto(replay.reply(data, "udp"), addr)

        while True:
            self._udp, _ = await self._loop.create_datagram_endpoint(
                Datagrams, local_addr=("127.0.0.1", 0)
            )
            port = self._udp.get_extra_info("sockname")[1]
            self._server = None
            if self.tcp:
                try:
                    self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
                except OSError:
                    self._udp.close()
                    continue
            self.nameserver = f"127.0.0.1:{port}"
            return

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                reply = self.reply(await reader.readexactly(size), "tcp")
                writer.write(len(reply).to_bytes(2, "big") + reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _stop(self) -> None:
        self._udp.close()
        if self._server is not None:
            self._server.close()
        connections = list(self._connections)
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await asyncio.sleep(0)
