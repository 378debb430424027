"""The sizes of the messages of a lookup, rendered as CoreDNS renders them. Pure.

Sizes are those of the messages: over TCP with the two bytes that say how long one is, and without
the headers of IP, UDP and TCP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import dns.message

from peerdisco.dns import wire
from peerdisco.sources.large.rotation import MOST_VERIFIED, ROUND_POLLS
from peerdisco.testing.answers import Zone
from peerdisco.testing.cluster import Cluster
from peerdisco.testing.rendering import render, udp_limits

Transport = Literal["udp", "tcp"]

FRAME = 2
"""Over TCP each message follows its length (RFC 1035, 4.2.2)."""


@dataclass(frozen=True)
class Messages:
    """Some messages and their answers.

    Attributes:
        count: How many questions.
        asked: Their bytes.
        answered: The bytes of the answers.
    """

    count: int = 0
    asked: int = 0
    answered: int = 0

    @property
    def size(self) -> int:
        return self.asked + self.answered

    def __add__(self, other: Messages) -> Messages:
        return Messages(
            self.count + other.count, self.asked + other.asked, self.answered + other.answered
        )

    def __mul__(self, times: int) -> Messages:
        return Messages(self.count * times, self.asked * times, self.answered * times)


@dataclass(frozen=True)
class Service:
    """A headless service and the StatefulSet behind it."""

    name: str = "my-database"
    statefulset: str = "mysql"
    namespace: str = "default"
    families: tuple[str, ...] = ("ipv4",)

    @property
    def fqdn(self) -> str:
        return f"{self.name}.{self.namespace}.svc.cluster.local"


@dataclass(frozen=True)
class LookupSize:
    """What one lookup of a service costs in the steady state.

    Attributes:
        transport: Of its questions.
        srv: The SRV question and its answer; if it is truncated, only one of `LISTING_POLLS` has
            it.
        srv_over_tcp: The same as a cache on the node asks it, always over TCP.
        truncated: Whether that answer is truncated even over TCP.
        addresses: The questions for the addresses of the service.
        nothing: The same, answered with no data: the other address family.
        pods: The questions for the pods that are verified in turn.
    """

    transport: Transport
    srv: Messages
    srv_over_tcp: Messages
    truncated: bool
    addresses: Messages = field(default=Messages())
    nothing: Messages = field(default=Messages())
    pods: Messages = field(default=Messages())

    @property
    def whole(self) -> Messages:
        """A lookup that finds nothing new, and is not one of those with the SRV question."""
        return self.addresses + self.nothing + self.pods if self.truncated else self.srv


class Answers:
    """The answers about a service of so many pods."""

    def __init__(self, pods: int, service: Service) -> None:
        self.service = service
        cluster = Cluster(ttl=30)
        cluster.statefulset(
            service.statefulset,
            service.name,
            pods,
            service.namespace,
            families=service.families,
        )
        self._zone = Zone(cluster.state())

    def exchange(
        self,
        name: str,
        rtype: int,
        transport: Transport,
        payload: int | None = wire.EDNS_PAYLOAD,
    ) -> tuple[Messages, bytes]:
        """A question and its answer: their sizes, and the answer."""
        question = wire.query(0, wire.name_from_text(name), rtype, payload=payload)
        message = dns.message.from_wire(question)
        limits = udp_limits(message) if transport == "udp" else ()
        answer = render(self._zone.answer(message), *limits)
        frame = FRAME if transport == "tcp" else 0
        return Messages(1, len(question) + frame, len(answer) + frame), answer


@cache
def lookup_size(pods: int, service: Service = Service()) -> LookupSize:
    """One lookup of a service of so many pods, after the first, by `HeadlessDNS`.

    Over UDP what fits into a datagram; else over TCP at once, since the first lookup has seen that
    it does not. If the answer is truncated, because it is larger than 64 KiB, the addresses of the
    service and those of some pods are queried.
    """
    answers = Answers(pods, service)
    datagrams, answer = answers.exchange(service.fqdn, wire.SRV, "udp")
    srv, over_tcp = answers.exchange(service.fqdn, wire.SRV, "tcp")
    if not wire.read(answer).truncated:
        return LookupSize("udp", datagrams, srv, truncated=False)
    message = wire.read(over_tcp)
    if not message.truncated:
        return LookupSize("tcp", srv, srv, truncated=False)
    # The service's own addresses, and once more those that are truncated.
    found, nothing = Messages(), Messages()
    rtypes = []
    for rtype in (wire.A, wire.AAAA):
        one, answer = answers.exchange(service.fqdn, rtype, "tcp", payload=None)
        read = wire.read(answer)
        if read.answers:
            rtypes.append(rtype)
            found += one * (2 if read.truncated else 1)
        else:
            nothing += one
    return LookupSize(
        "tcp",
        srv,
        srv,
        truncated=True,
        addresses=found,
        nothing=nothing,
        pods=_verified(answers, pods, rtypes),
    )


def _verified(answers: Answers, pods: int, rtypes: Sequence[int]) -> Messages:
    """The questions for the pods that one lookup verifies, on average."""
    service, total = answers.service, Messages()
    names = [f"{service.statefulset}-{number}.{service.fqdn}" for number in range(pods)]
    # Names of one length have questions and answers of one length.
    for length in sorted({len(name) for name in names}):
        alike = [name for name in names if len(name) == length]
        for rtype in rtypes:
            one, _ = answers.exchange(alike[0], rtype, "tcp", payload=None)
            total += one * len(alike)
    count = min(MOST_VERIFIED, -(-pods // ROUND_POLLS))
    return Messages(
        count * len(rtypes), total.asked * count // pods, total.answered * count // pods
    )


@cache
def most_pods(service: Service, transport: Transport) -> int:
    """Of how many pods an answer holds everything."""

    def fits(pods: int) -> bool:
        _, answer = Answers(pods, service).exchange(service.fqdn, wire.SRV, transport)
        return not wire.read(answer).truncated

    least, most = 1, 2
    while fits(most):
        least, most = most, 2 * most
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (middle, most) if fits(middle) else (least, middle)
    return least
