"""A headless service, enumerated over DNS.

One SRV question for the service's name brings every pod's name and port, and in the additional
section its addresses. What that answer lacks is asked for: addresses that were left out, and, for
a service without ports (which has no SRV records), A and AAAA and then the PTR of each address.
A service that does not fit into one answer is enumerated piece by piece
(`peerdisco.sources.large.enumeration`).

That the bare name answers SRV is what CoreDNS and kube-dns do, beyond the Kubernetes DNS
specification, which promises it for ``_port._proto`` names; ``port_name=`` asks for those.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ..dns import wire
from ..dns.bulk import FEW
from ..dns.evidence import USABLE
from ..dns.fast_path import ServiceRecords, read_service_records, records_from_message, smallest_ttl
from ..dns.resolver import Reply, Resolver, ResolverProtocol
from ..exceptions import ConfigurationError, ResolverUnavailable, ResolveTimeout
from ..model import Answered, Empty, Failed, Observation, Outcome, Peer
from ..names import PROTOCOLS, Endpoint, ServiceName, parse_port_name, parse_protocol, srv_prefix
from .large.questions import EnumerationState, ask_addresses, ask_names
from .leftovers import Leftovers
from .peer_factory import PeerFactory, unpack

__all__ = ["HeadlessDNS"]

_log = logging.getLogger(__name__)

_HINT_PATIENCE = 1.0
"""Seconds for the questions that only tell why there is no port of that name."""

_MOST_NAMED = 1000
"""So many names that are no peers are logged: what a strange server sends must not fill a log."""

_Addresses = Mapping[bytes, tuple[bytes, ...]]


class HeadlessDNS:
    """Looks at a headless service through DNS.

    It belongs to one event loop, and keeps a TCP connection between looks once an answer was too
    large for UDP. Close it with `aclose`.

    Args:
        service: The service.
        nameservers: Asked in turn until one answers; or what tells them before each look.
        port_name: Ask for this named port alone; None for every port, without their names.
        protocol: The named port's protocol: ``tcp``, ``udp`` or ``sctp``.
        clusters: Whether the pods' names hold their clusters' (KEP-1645); None to tell it by the
            service's domain.
        resolver: Makes what asks the name servers.

    Raises:
        ConfigurationError: The port name or the protocol is none, or DNS has no room for it.
    """

    def __init__(
        self,
        service: ServiceName,
        nameservers: Sequence[Endpoint] | Callable[[], Sequence[Endpoint]],
        *,
        port_name: str | None = None,
        protocol: str = "tcp",
        clusters: bool | None = None,
        resolver: Callable[[Sequence[Endpoint]], ResolverProtocol] = Resolver,
    ) -> None:
        self._service = service
        self._port_name = None if port_name is None else parse_port_name(port_name)
        self._protocol = parse_protocol(protocol)
        prefix = "" if self._port_name is None else srv_prefix(self._port_name, self._protocol)
        self._srv_name = wire.name_from_text(prefix + service.fqdn)
        self._zone = _zone_of(service)
        self._roster = PeerFactory(
            service.fqdn,
            self._port_name,
            clusters=service.spans_clusters if clusters is None else clusters,
        )
        self._nameservers = nameservers if callable(nameservers) else None
        self._resolver = resolver(nameservers() if callable(nameservers) else nameservers)
        self._subject = _Subject(
            service.fqdn,
            self._srv_name,
            None if self._port_name is None else (self._port_name, self._protocol),
            self._roster,
            self._resolver,
            _UsualAnswer(self._srv_name, self._roster.suffix),
            EnumerationState(),
        )
        self._large = False
        self._named: set[str] = set()
        """The names that were logged as no peers."""

    @property
    def service(self) -> str:
        return self._service.fqdn

    async def aclose(self) -> None:
        """Close the kept connections."""
        await self._resolver.aclose()

    def forget(self) -> None:
        """Forget what earlier looks saw, so that the next one reads and makes everything anew.

        What a look says does not depend on it, only what the look costs; connections are kept.
        """
        self._roster.forget()
        self._subject = self._subject._replace(
            usual=_UsualAnswer(self._srv_name, self._roster.suffix), state=EnumerationState()
        )

    async def observe(self, *, timeout: float) -> Observation:
        """Look once; see `peerdisco.sources.Source`."""
        if self._nameservers is not None:
            self._resolver.use(self._nameservers())
        self._resolver.begin(self._zone)
        look = _Look(self._subject, timeout, self._large)
        try:
            seen = await look.run()
        finally:
            self._large = look.large
        if isinstance(seen, Answered) and look.leftovers:
            self._log(look.leftovers)
        return seen

    def _log(self, leftovers: Leftovers) -> None:
        """Name the records beside those of the peers, each name once."""
        for name, why in leftovers.found.items():
            if name not in self._named and len(self._named) < _MOST_NAMED:
                self._named.add(name)
                _log.warning("%s: not a peer: %s: %s", self.service, name, why)


def _zone_of(service: ServiceName) -> bytes | None:
    """The zone whose servers may say that the service has no pods; None where none is known.

    For a name outside a cluster that is the domain of its last two labels, above which there are
    only registries and the root.
    """
    domain = service.cluster_domain
    if domain is None:
        labels = service.fqdn.split(".")
        domain = ".".join(labels[-2:]) if len(labels) > 2 else None
    return None if domain is None else wire.name_from_text(domain)


class _UsualAnswer:
    """Reads a service's usual answer; what did not change since the last one is the same object."""

    def __init__(self, name: bytes, suffix: bytes) -> None:
        self._name = name
        self._suffix = suffix
        self._reply = b""
        self._listing: ServiceRecords | None = None

    def __call__(self, reply: bytes) -> ServiceRecords | None:
        """See `peerdisco.dns.resolver.ReadServiceRecords`."""
        before = self._listing
        again = len(reply) == len(self._reply) + 2 and reply.startswith(self._reply, 2)
        if before is not None and again:
            return before
        listing = read_service_records(reply, self._name, self._suffix)
        if listing is None:
            return None
        if before is not None and listing[:2] == before[:2]:
            # The records came in another order, or with another TTL.
            listing = before._replace(ttl=listing.ttl, truncated=listing.truncated)
        self._reply, self._listing = reply[2:], listing
        return listing


def _came_over_tcp(reply: Reply) -> bool:
    return any(a.transport == "tcp" and a.outcome in USABLE for a in reply.attempts)


class _Subject(NamedTuple):
    """What is looked at, and what looks share.

    Attributes:
        service: The service's fully qualified name.
        srv_name: The name to ask for, in wire form.
        port: The name and the protocol of the port that it is for; None for every port.
        roster: Makes the peers.
        resolver: Whom to ask.
        usual: Reads the usual answer.
        memory: What looks at a service that is too large for one answer learned.
    """

    service: str
    srv_name: bytes
    port: tuple[str, str] | None
    peer_factory: PeerFactory
    resolver: ResolverProtocol
    usual: _UsualAnswer
    state: EnumerationState


class _Look:
    """One look: the questions it takes, and what is known so far.

    Attributes:
        large: Whether the answer is known not to fit into a datagram.
        ttl: The smallest TTL of what was read.
        reasons: Why there may be more peers or addresses.
        leftovers: The records of the answers that name no peer.
    """

    def __init__(self, subject: _Subject, timeout: float, large: bool) -> None:
        self._subject = subject
        self._timeout = timeout
        self._deadline = asyncio.get_running_loop().time() + timeout
        self.large = large
        self.ttl = float("inf")
        self.reasons: list[str] = []
        self.leftovers = Leftovers(subject.service, subject.peer_factory.suffix)

    async def run(self) -> Observation:
        reply = await self._ask_service(self.large)
        if reply.outcome is Outcome.ANSWER:
            listing = self._listing(reply)
            missing = len(listing.ports) - len(listing.addresses)
            if missing > FEW and not self.large and not reply.truncated:
                # Addresses were left out so that it fits: once more, with room for them.
                self.large = True
                again = await self._ask_service(True)
                if again.outcome is Outcome.ANSWER:
                    reply, listing = again, self._listing(again)
            return await self._from_listing(reply, listing)
        if reply.outcome is Outcome.NO_DATA and self._subject.port is None:
            self._keep_others(reply)
            if self.leftovers.alias is None:
                return await self._from_addresses()
        return await self._without_peers(reply)

    async def _ask_service(self, tcp: bool) -> Reply:
        resolver, name = self._subject.resolver, self._subject.srv_name
        if isinstance(resolver, Resolver):
            reply = await resolver.ask(
                name, wire.SRV, deadline=self._deadline, tcp=tcp, read=self._subject.usual
            )
        else:
            reply = await resolver.ask(name, wire.SRV, deadline=self._deadline, tcp=tcp)
        self.large = self.large or _came_over_tcp(reply)
        return reply

    def _listing(self, reply: Reply) -> ServiceRecords:
        if reply.listing is not None:
            return reply.listing
        assert reply.message is not None
        return records_from_message(
            reply.message, self._subject.srv_name, self._subject.peer_factory.suffix
        )

    async def _without_peers(self, reply: Reply) -> Observation:
        if reply.message is not None:
            self._keep_others(reply)
            if self.leftovers:
                return await self._unusable(reply)
            if self._subject.port is not None:
                wrong = await self._wrong_protocol(*self._subject.port)
                if wrong is not None:
                    return Failed(wrong)
            soa = reply.message.soa
            return Empty(
                reply.outcome,
                reply.message.negative_ttl,
                reply.attempt,
                None if soa is None else soa.ttl,
                None if soa is None else soa.minimum,
            )
        service = self._subject.service
        if reply.outcome is Outcome.TIMEOUT:
            return Failed(ResolveTimeout(service, reply.attempts, self._timeout))
        return Failed(ResolverUnavailable(service, reply.attempts))

    async def _wrong_protocol(self, port_name: str, protocol: str) -> ConfigurationError | None:
        """Whether the service has the port over another protocol, and pods behind it."""
        resolver, service = self._subject.resolver, self._subject.service
        others = [other for other in PROTOCOLS if other != protocol]
        names = [srv_prefix(port_name, other) + service for other in others]
        replies = await resolver.ask_many(
            [(wire.name_from_text(name), wire.SRV) for name in names],
            deadline=min(self._deadline, asyncio.get_running_loop().time() + _HINT_PATIENCE),
        )
        for other, name, reply in zip(others, names, replies, strict=True):
            if reply.outcome is Outcome.ANSWER:
                return ConfigurationError(
                    "protocol",
                    protocol,
                    f"{other!r}: {name} has SRV records and _{port_name}._{protocol} has none "
                    f"(protocol={other!r}, --protocol {other})",
                )
        return None

    def _keep_others(self, reply: Reply) -> None:
        """Keep the records that are no addresses of the name in the question."""
        name = self._subject.srv_name
        assert reply.message is not None
        for record in reply.message.answers:
            if type(record) is not wire.Address or record.owner != name:
                self.leftovers.add_record(record, name)

    async def _unusable(self, reply: Reply) -> Failed:
        """What an answer comes to whose records name no pod: that says nothing about the pods."""
        leftovers, cluster_ip = self.leftovers, dict[bytes, None]()
        if leftovers.own_name:
            resolver, own = self._subject.resolver, self._subject.peer_factory.suffix
            asked = [(own, wire.A), (own, wire.AAAA)]
            replies = await resolver.ask_many(asked, deadline=self._deadline)
            for message in [reply.message for reply in (reply, *replies)]:
                for record in (*message.answers, *message.additional) if message else ():
                    if type(record) is wire.Address and record.owner == own:
                        cluster_ip[record.packed] = None
        addresses = tuple(unpack(packed) for packed in cluster_ip)
        return Failed(leftovers.error(reply.attempts, addresses))

    async def _answered(
        self, ports: Mapping[bytes, tuple[int, ...]], addresses: _Addresses, reply: Reply
    ) -> Observation:
        peers = self._subject.peer_factory.made_of(ports, addresses)
        if peers is None:
            peers = await self._make_peers(ports, addresses)
        for target in self._subject.peer_factory.refused:
            self.leftovers.add_target(target)
        if not peers and self.leftovers:
            return await self._unusable(reply)
        ttl = self.ttl if peers else 0.0
        return Answered(peers, ttl, "; ".join(self.reasons) or None, reply.attempt)

    async def _make_peers(
        self, ports: Mapping[bytes, tuple[int, ...]], addresses: _Addresses
    ) -> tuple[Peer, ...]:
        """The peers; between some hundreds of them others have their turn."""
        making = self._subject.peer_factory.peers_in_slices(ports, addresses)
        while True:
            try:
                next(making)
            except StopIteration as end:
                peers: tuple[Peer, ...] = end.value
                return peers
            await asyncio.sleep(0)

    async def _from_listing(self, reply: Reply, listing: ServiceRecords) -> Observation:
        self.ttl = listing.ttl
        for record in listing.others:
            self.leftovers.add_record(record, self._subject.srv_name)
        if reply.truncated and reply.attempt.transport == "tcp":
            return await self._enumerate(reply, listing)
        if reply.truncated:
            over_tcp = any(attempt.transport == "tcp" for attempt in reply.attempts)
            why = "the server does not answer over TCP" if over_tcp else "it is too large"
            self.reasons.append(
                f"the answer was cut (names that came: {len(listing.ports)}): {why}"
            )
        addresses = listing.addresses
        if len(addresses) < len(listing.ports):
            addresses = await self._complete_addresses(listing)
        return await self._answered(listing.ports, addresses, reply)

    async def _enumerate(self, reply: Reply, listing: ServiceRecords) -> Observation:
        # Few services are so large: the others need not load what it takes.
        from .large.enumeration import Enumeration  # noqa: PLC0415

        subject = self._subject
        enumeration = Enumeration(
            subject.resolver,
            subject.peer_factory,
            subject.state,
            subject.srv_name,
            self._deadline,
            self.leftovers,
            any_port=subject.port is None,
        )
        await enumeration.run(listing)
        self.ttl = min(self.ttl, enumeration.ttl)
        self.reasons += enumeration.reasons
        return await self._answered(enumeration.ports, enumeration.addresses, reply)

    async def _complete_addresses(self, listing: ServiceRecords) -> _Addresses:
        """The addresses that came along, and those that were left out.

        A name that by now does not exist keeps its place: the next look tells whether it left.
        """
        label, came = self._subject.peer_factory.label, listing.addresses
        without = [name for name in listing.ports if name not in came and label(name) is not None]
        if not without:
            return came
        families = {len(packed) for many in came.values() for packed in many}
        if len(families) > 1:
            # Where addresses were left out, one family of a pod may have been.
            without += [n for n, many in came.items() if len({len(p) for p in many}) < 2]
        return await self._ask_addresses(listing, without)

    async def _ask_addresses(self, listing: ServiceRecords, names: Sequence[bytes]) -> _Addresses:
        subject = self._subject
        rtypes = await self._families() if len(names) > FEW else (wire.A, wire.AAAA)
        questions = [(name, rtype) for name in names for rtype in rtypes]
        results = await ask_addresses(
            subject.resolver,
            questions,
            subject.state,
            self._deadline,
            self.leftovers,
            tcp=len(names) > FEW,
        )
        asked = set(names)
        subject.state.keep_answers(asked)
        addresses = {name: many for name, many in listing.addresses.items() if name not in asked}
        unknown: dict[bytes, Reply] = {}
        ttls: list[int] = []
        for (name, _), found in zip(questions, results, strict=True):
            if isinstance(found, Reply):
                unknown[name] = found
            elif found.packed:
                addresses[name] = (*addresses.get(name, ()), *found.packed)
                ttls.append(found.ttl)
        if ttls:  # one of many may have expired just now: together they count as one answer
            self.ttl = min(self.ttl, smallest_ttl(ttls))
        for name in asked & listing.addresses.keys():
            addresses[name] = tuple(
                dict.fromkeys((*listing.addresses[name], *addresses.get(name, ())))
            )
        if unknown:
            example = next(iter(unknown.values())).attempt
            self.reasons.append(
                f"the addresses of {len(unknown)} of {len(listing.ports)} peers are not known "
                f"({example})"
            )
        return addresses

    async def _families(self) -> tuple[int, ...]:
        """The record types of the addresses that the service has; both if that is not told."""
        name, both = self._subject.srv_name, (wire.A, wire.AAAA)
        results = await ask_addresses(
            self._subject.resolver,
            [(name, rtype) for rtype in both],
            self._subject.state,
            self._deadline,
            self.leftovers,
            tcp=True,
        )
        there = tuple(
            rtype
            for rtype, found in zip(both, results, strict=True)
            if isinstance(found, Reply) or found.packed or found.truncated
        )
        return there or both

    async def _from_addresses(self) -> Observation:
        """A service without ports: its addresses, then the name of each."""
        name = self._subject.srv_name
        # One family that is never answered must leave the names some time.
        now = asyncio.get_running_loop().time()
        replies = await self._subject.resolver.ask_many(
            [(name, wire.A), (name, wire.AAAA)],
            deadline=now + (self._deadline - now) / 2,
            tcp=self.large,
        )
        self.large = self.large or any(map(_came_over_tcp, replies))
        answered = [reply for reply in replies if reply.outcome is Outcome.ANSWER]
        failed = [reply for reply in replies if reply.message is None]
        for reply in replies:
            if reply.message is not None:
                self._keep_others(reply)
        if not answered:
            return await self._without_peers((failed or replies)[0])
        if failed:
            self.reasons.append(f"one address family is not known ({failed[0].attempt})")
        packed: dict[bytes, None] = {}
        for reply in answered:
            assert reply.message is not None
            ttls: list[int] = []
            for record in reply.message.answers:
                if type(record) is wire.Address and record.owner == name:
                    packed[record.packed] = None
                    ttls.append(record.ttl)
            self.ttl = min(self.ttl, smallest_ttl(ttls))
            if reply.truncated and reply.attempt.transport == "tcp":
                return await self._enumerate(reply, ServiceRecords({}, {}, self.ttl, False))
            if reply.truncated:
                self.reasons.append(
                    f"the answer was cut (addresses that came: {len(packed)}): "
                    "the server does not answer over TCP"
                )
        addresses = await self._find_names(list(packed))
        return await self._answered(dict.fromkeys(addresses, ()), addresses, answered[0])

    async def _find_names(self, packed: Sequence[bytes]) -> _Addresses:
        """The names within this service of each address.

        CoreDNS has one PTR for every service that selects the pod, also for a pod without a host
        name. Without one, the address is that of a pod which has gone in the meantime, or the
        reverse zone is not served; either way the pod is left out, and the list incomplete: under
        a name made up for it, it would join now and leave when its name is known.
        """
        subject = self._subject
        results = await ask_names(subject.resolver, packed, subject.peer_factory, self._deadline)
        names: dict[bytes, tuple[bytes, ...]] = {}
        nameless: list[Reply | None] = []
        for address, found in zip(packed, results, strict=True):
            if isinstance(found, Reply):
                nameless.append(found)
                continue
            if not found.names:
                nameless.append(None)
                for target in found.others:
                    self.leftovers.add_target(target)
            for name in found.names:
                names[name] = (*names.get(name, ()), address)
        if nameless:
            example = next((f" ({reply.attempt})" for reply in nameless if reply is not None), "")
            self.reasons.append(
                f"the names of {len(nameless)} of {len(packed)} addresses are not known{example}; "
                "if the service has a named port, ask for it (--port-name, port_name=)"
            )
        return names
