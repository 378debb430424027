"""Questions to a testing DNS: built, sent and read with dnspython."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import dns.asyncquery
import dns.message
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
from dns.message import Message

from peerdisco.testing import Cluster, ClusterDNS
from peerdisco.testing.answers import Zone
from peerdisco.testing.responder import Responder

SERVICE = "my-database.default.svc.cluster.local"


def question(name: str = SERVICE, rtype: str = "SRV", **options: Any) -> Message:
    options = {"use_edns": 0, "payload": 1232, **options}
    return dns.message.make_query(name, rtype, **options)


def answer(cluster: Cluster, name: str = SERVICE, rtype: str = "SRV", **options: Any) -> Message:
    """The whole answer, without a server."""
    return Zone(cluster.state()).answer(question(name, rtype, **options))


def react(cluster: Cluster, wire: bytes, transport: Any = "udp") -> bytes | None:
    return Responder(cluster, lambda records: None).react(wire, transport, 0.0).reply


def lines(section: list[Any]) -> list[str]:
    return sorted(line for rrset in section for line in rrset.to_text().splitlines())


def names(response: Message) -> list[str]:
    """The pods in an SRV answer."""
    return sorted(rdata.target.labels[0].decode() for rrset in response.answer for rdata in rrset)


def addresses(response: Message) -> list[str]:
    return [rdata.address for rrset in response.answer for rdata in rrset]


def rcode(response: Message) -> str:
    return dns.rcode.to_text(response.rcode())


async def ask(
    dns_: ClusterDNS, name: str = SERVICE, rtype: str = "SRV", tcp: bool = False, **options: Any
) -> Message:
    send = dns.asyncquery.tcp if tcp else dns.asyncquery.udp
    query = question(name, rtype, **options)
    return await send(query, dns_.host, timeout=5, port=dns_.port)


def ask_blocking(
    dns_: ClusterDNS, name: str = SERVICE, rtype: str = "SRV", tcp: bool = False, **options: Any
) -> Message:
    send = dns.query.tcp if tcp else dns.query.udp
    return send(question(name, rtype, **options), dns_.host, timeout=5, port=dns_.port)


async def exchange_udp(dns_: ClusterDNS, wire: bytes) -> bytes:
    """The raw bytes that come back."""
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in dns_.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect((dns_.host, dns_.port))
        await loop.sock_sendall(sock, wire)
        return await asyncio.wait_for(loop.sock_recv(sock, 65535), 5)


def frame(wire: bytes) -> bytes:
    return len(wire).to_bytes(2) + wire


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(5):
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2)))


async def exchange_tcp(dns_: ClusterDNS, wire: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(dns_.host, dns_.port)
    try:
        writer.write(frame(wire))
        return await read_frame(reader)
    finally:
        writer.close()
        await writer.wait_closed()
