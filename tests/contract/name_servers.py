"""Name servers as pods have them: the cluster's own, and others that know nothing of it."""

from __future__ import annotations

import time
from collections.abc import Callable

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from peerdisco.testing import ClusterDNS
from peerdisco.testing.responder import Responder
from tests.unit.scripted import Asked, Script

SERVICE = "db.shop.svc.cluster.local"


def serves(dns_: ClusterDNS) -> Script:
    """Answers as this cluster's DNS does."""
    responder = Responder(dns_.cluster, lambda records: None)

    def script(asked: Asked) -> None:
        reaction = responder.react(asked.raw, asked.transport, time.monotonic())  # type: ignore[arg-type]
        if reaction.reply is not None:
            asked.send(reaction.reply)

    return script


def cluster(pods: int = 3, ports: bool = True) -> ClusterDNS:
    """A cluster with the service, whose server does not run; see `serves`."""
    dns_ = ClusterDNS()
    dns_.statefulset("db", "db", pods, namespace="shop", ports={"mysql": 3306} if ports else ())
    return dns_


def empty(
    rcode: str = "NXDOMAIN",
    soa: str | None = None,
    ns: str | None = None,
    flags: str = "RA",
) -> Script:
    """Has no records for any name."""

    def script(asked: Asked) -> None:
        message = dns.message.make_response(dns.message.from_wire(asked.raw))
        message.flags |= dns.flags.from_text(flags)
        message.set_rcode(dns.rcode.from_text(rcode))
        if soa is not None:
            text = "ns.example. hostmaster.example. 1 2 3 4 30"
            message.authority.append(dns.rrset.from_text(soa, 30, "IN", "SOA", text))
        if ns is not None:
            message.authority.append(dns.rrset.from_text(ns, 30, "IN", "NS", "ns.example."))
        asked.send(message.to_wire())

    return script


def wildcard(asked: Asked) -> None:
    """Has an address for every name, as the servers of some providers."""
    message = dns.message.make_response(dns.message.from_wire(asked.raw))
    message.flags |= dns.flags.RA
    question = message.question[0]
    if question.rdtype == dns.rdatatype.A:
        message.answer.append(dns.rrset.from_text(question.name, 30, "IN", "A", "192.0.2.80"))
    asked.send(message.to_wire())


FOREIGN: dict[str, Callable[[], Script]] = {
    "NXDOMAIN of the root": lambda: empty(soa="."),
    "NXDOMAIN of a parent": lambda: empty(soa="local."),
    "NXDOMAIN without an SOA": empty,
    "no data of the root": lambda: empty("NOERROR", soa="."),
    "no data without an SOA": lambda: empty("NOERROR"),
    "a referral to the root": lambda: empty("NOERROR", ns=".", flags=""),
    "a lame answer": lambda: empty("NOERROR", flags=""),
    "REFUSED": lambda: empty("REFUSED"),
    "an address for every name": lambda: wildcard,
}
"""Servers of other networks: what each answers about a name of the cluster."""


def once(first: Script, then: Script) -> Script:
    """The first question gets the one, all others the other."""
    count = 0

    def script(asked: Asked) -> None:
        nonlocal count
        count += 1
        (first if count == 1 else then)(asked)

    return script
