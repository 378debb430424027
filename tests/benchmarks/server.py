"""A name server in a process of its own that answers as CoreDNS does, as fast as Python can.

``python -m tests.benchmarks.server [HOST PORT]`` prints its port and serves until its input
ends. Each line of input is answered with what was asked since the line before, as JSON:
``{"questions": 2, "bytes_in": 130, "bytes_out": 1410}``, without the headers below DNS.

The answers are those of `peerdisco.testing`: truncated over TCP too when they exceed 64 KiB,
addresses in an order of their own each time, and a service's slices of a hundred pods in any order,
so that each truncated answer holds other names. Each is made once and kept as bytes.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, ip_address

import dns.message
import dns.name
import dns.reversename

from peerdisco.testing.answers import Zone, shuffled
from peerdisco.testing.rendering import render, udp_limits
from peerdisco.testing.state import ClusterState, ServicePort
from peerdisco.testing.state import Endpoint as Pod

from .services import FITS, SIZES, Service, moving

HEADER = 12
SRV = b"\0\x21"
VARIANTS = 8
"""How many answers there are to one question; they are given in turn."""
FIRST_ADDRESS = IPv4Address("10.244.0.10")
SLICE = 100
"""Pods in one EndpointSlice."""
MOST_IN_A_MESSAGE = 1500
"""SRV records, generously; what does not fit need not be made."""

SERVED = [*map(Service, SIZES), *(moving(pods) for pods in SIZES if pods <= FITS)]


class Cluster:
    """The services of the benchmarks, in as many states as there are variants."""

    def __init__(self) -> None:
        self.services = {(one.namespace, one.service): one for one in SERVED}
        self.random = random.Random(0)

    def answers(self, wire: bytes, transport: str) -> tuple[list[bytes], bool]:
        """Every variant of the answer to a question, and whether they are of different states."""
        query = dns.message.from_wire(wire, ignore_trailing=True)
        limits = udp_limits(query) if transport == "udp" else ()
        labels = [label.decode("latin-1").lower() for label in query.question[0].name.labels]
        service = self.services.get((labels[-5], labels[-6])) if len(labels) > 5 else None
        if service is None:
            zones = [_zone(self._behind(query.question[0].name))]
        else:
            ordinal = labels[0].removeprefix(f"{service.statefulset}-")
            zones = self._zones(service, ordinal if len(labels) == 7 else None, wire)
        answers = [
            render(shuffled(zone.answer(query), self.random.shuffle), *limits) for zone in zones
        ]
        return answers, service is not None and service.moving

    def _zones(self, service: Service, ordinal: str | None, wire: bytes) -> list[Zone]:
        """A zone for each variant, with the pods that the answer can hold."""
        if ordinal is not None and ordinal.isdecimal() and int(ordinal) < service.pods:
            variants = VARIANTS if service.moving else 1
            return [_zone({service: [int(ordinal)]}, variant) for variant in range(variants)]
        if ordinal is not None:  # no pod: the others make no difference
            return [_zone({service: [0]})]
        if _type_of(wire) != SRV and not service.moving:
            return [_zone({service: range(service.pods)})] * VARIANTS
        return [_zone({service: self._some(service)}, variant) for variant in range(VARIANTS)]

    def _some(self, service: Service) -> list[int]:
        """The pods in the order of one reading of the slices; no more than a message can hold."""
        slices = [range(start, start + SLICE) for start in range(0, service.pods, SLICE)]
        self.random.shuffle(slices)
        return [pod for one in slices for pod in one if pod < service.pods][:MOST_IN_A_MESSAGE]

    def _behind(self, name: dns.name.Name) -> dict[Service, list[int]]:
        """The pods whose address this is the reverse name of; none for any other name."""
        if not name.is_subdomain(dns.reversename.ipv4_reverse_domain):
            return {}
        ordinal = int(ip_address(dns.reversename.to_address(name))) - int(FIRST_ADDRESS)
        return {
            service: [ordinal]
            for service in SERVED
            if not service.moving and 0 <= ordinal < service.pods
        }


def _zone(services: Mapping[Service, Iterable[int]], variant: int = 0) -> Zone:
    """The zone with these pods."""
    state = {
        (service.namespace, service.service): tuple(
            Pod(
                FIRST_ADDRESS + ordinal + (variant << 16 if service.moving else 0),
                f"{service.statefulset}-{ordinal}",
                ports=(ServicePort(),),
            )
            for ordinal in ordinals
        )
        for service, ordinals in services.items()
    }
    return Zone(ClusterState("cluster.local", 5, 1, state))


def _type_of(query: bytes) -> bytes:
    end = query.index(b"\0", HEADER) + 1
    return query[end : end + 2]


class _Kept:
    """The answers to one question, without their ids, and which was the last."""

    __slots__ = ("answers", "moving", "turn")

    def __init__(self, answers: list[bytes], moving: bool) -> None:
        self.answers = [answer[2:] for answer in answers]
        self.moving = moving
        self.turn = 0


class Answers:
    """The answers by the bytes of the question, from its name to its EDNS payload size."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.streams: set[asyncio.Transport] = set()
        self.turn = 0
        self.kept: dict[str, dict[bytes, _Kept]] = {"tcp": {}, "udp": {}}
        self.questions = self.bytes_in = self.bytes_out = 0

    def prepare(self) -> None:
        """Make the large answers before anybody waits for them."""
        for service in SERVED:
            for rtype in ("SRV", "A"):
                query = dns.message.make_query(f"{service.fqdn}.", rtype, use_edns=0, payload=1232)
                self.reply(query.to_wire(), "tcp")

    def reply(self, query: bytes, transport: str) -> bytes:
        end = query.index(b"\0", HEADER) + 5
        key = query[HEADER : end + 5]
        kept = self.kept[transport].get(key)
        if kept is None:
            kept = self.kept[transport][key] = _Kept(*self.cluster.answers(query, transport))
        if kept.moving:
            if query[end - 4 : end - 2] == SRV:
                self.turn += 1  # what is asked after it belongs to the same state
            reply = query[:2] + kept.answers[self.turn % len(kept.answers)]
        else:
            kept.turn += 1
            reply = query[:2] + kept.answers[kept.turn % len(kept.answers)]
        self.questions += 1
        self.bytes_in += len(query)
        self.bytes_out += len(reply)
        return reply

    def counts(self) -> str:
        said = {
            "questions": self.questions,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
        }
        self.questions = self.bytes_in = self.bytes_out = 0
        return json.dumps(said)


class Stream(asyncio.Protocol):
    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.buffer = b""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.answers.streams.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.answers.streams.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        buffer = self.buffer + data if self.buffer else data
        start, size = 0, len(buffer)
        replies = []
        while size - start >= 2:
            end = start + 2 + (buffer[start] << 8 | buffer[start + 1])
            if end > size:
                break
            reply = self.answers.reply(buffer[start + 2 : end], "tcp")
            replies.append(len(reply).to_bytes(2, "big"))
            replies.append(reply)
            start = end
        self.buffer = buffer[start:]
        self.transport.write(b"".join(replies))


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, answers: Answers) -> None:
        self.answers = answers

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(self.answers.reply(data, "udp"), addr)


@asynccontextmanager
async def listening(answers: Answers, host: str, port: int) -> AsyncIterator[int]:
    """Answers on both transports, at this port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Stream(answers), host, port)
    port = server.sockets[0].getsockname()[1]
    datagrams, _ = await loop.create_datagram_endpoint(
        lambda: Datagrams(answers), local_addr=(host, port)
    )
    yield port
    server.close()
    datagrams.close()
    for stream in list(answers.streams):
        stream.abort()
    await asyncio.sleep(0)


async def serve(host: str, port: int) -> None:
    answers = Answers(Cluster())
    answers.prepare()
    async with listening(answers, host, port) as taken:
        print(taken, flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(answers.counts(), flush=True)


if __name__ == "__main__":
    host, port = sys.argv[1:] or ("127.0.0.1", "0")
    asyncio.run(serve(host, int(port)))
