"""A name server in a process of its own that answers with recorded bytes, as fast as Python can.

``python -m tests.benchmarks.server SCENARIO`` prints its port and serves until its input ends.
"""

from __future__ import annotations

import asyncio
import sys

from tests.recordings.replay import recorded

HEADER = 12


class Answers:
    """The recorded answers by the bytes of their question."""

    def __init__(self, scenario: str) -> None:
        self.by_question: dict[tuple[bytes, str], bytes] = {}
        for (_, _, transport), answer in recorded(scenario).items():
            self.by_question[_question(answer), transport] = answer

    def reply(self, query: bytes, transport: str) -> bytes:
        answer = self.by_question.get((_question(query), transport))
        if answer is None:
            return query[:2] + b"\x81\x05" + query[4:6] + bytes(6) + _question(query)
        return query[:2] + answer[2:]


def _question(message: bytes) -> bytes:
    end = message.index(b"\0", HEADER) + 5
    return message[HEADER:end].lower()


class Stream(asyncio.Protocol):
    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.buffer = b""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while len(self.buffer) >= 2:
            end = 2 + int.from_bytes(self.buffer[:2], "big")
            if len(self.buffer) < end:
                break
            reply = self.answers.reply(self.buffer[2:end], "tcp")
            self.transport.write(len(reply).to_bytes(2, "big") + reply)
            self.buffer = self.buffer[end:]


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, answers: Answers) -> None:
        self.answers = answers

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(self.answers.reply(data, "udp"), addr)


async def serve(scenario: str) -> None:
    loop = asyncio.get_running_loop()
    answers = Answers(scenario)
    server = await loop.create_server(lambda: Stream(answers), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await loop.create_datagram_endpoint(lambda: Datagrams(answers), local_addr=("127.0.0.1", port))
    print(port, flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
