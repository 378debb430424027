"""One lookup of a headless service over DNS: its queries, and the observation they give.

One SRV query for the service's name returns every pod's name and port, with the addresses in the
additional section. Further queries complete the answer: addresses that were left out, and, for a
service without ports (which has no SRV records), A and AAAA and then the PTR of each address.
A service that does not fit into one answer is enumerated piece by piece
(`peerdisco.sources.large.enumeration`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ..dns import wire
from ..dns.bulk import FEW
from ..dns.evidence import USABLE
from ..dns.fast_path import (
    AddressRecords,
    ServiceRecords,
    records_from_message,
    smallest_ttl,
)
from ..dns.resolver import Reply, Resolver, ResolverProtocol
from ..exceptions import ConfigurationError, ResolverUnavailable, ResolveTimeout
from ..model import Answered, Attempt, Empty, Failed, Observation, Outcome, Peer
from ..names import PROTOCOLS, srv_prefix
from .large.ports import same_ports
from .large.questions import EnumerationState, ask_addresses, ask_names
from .large.rotation import LISTING_POLLS, MOST_VERIFIED
from .leftovers import Leftovers
from .peer_factory import PeerFactory, unpack
from .usual_answer import UsualAnswer

__all__ = ["LookupContext", "ServiceLookup"]

_HINT_TIMEOUT = 1.0
"""Seconds for the queries that only explain why there is no port of that name."""

if TYPE_CHECKING:
    from .large.enumeration import Enumeration

_Enumeration = TypeVar("_Enumeration", bound="Enumeration")
_Addresses = Mapping[bytes, tuple[bytes, ...]]


class LookupContext(NamedTuple):
    """The question, and everything that consecutive lookups of it share.

    Attributes:
        service: The service's fully qualified name.
        srv_name: The name in the SRV question, in wire form.
        port: The name and the protocol of the port in the question; None for every port.
        peer_factory: Makes the peers.
        resolver: Sends the queries.
        usual: Reads the SRV answer.
        state: What earlier lookups learned of a service that is too large for one answer.
    """

    service: str
    srv_name: bytes
    port: tuple[str, str] | None
    peer_factory: PeerFactory
    resolver: ResolverProtocol
    usual: UsualAnswer
    state: EnumerationState


class ServiceLookup:
    """One lookup: its queries, and the result so far.

    Args:
        context: What to look up.
        timeout: Seconds for the whole lookup.
        large: Whether to begin over TCP.
        whole: Whether to verify every pod of a service that is too large for one answer.

    Attributes:
        large: Whether the answer is known not to fit into a datagram.
        ttl: The smallest TTL of the answers.
        reasons: Why the list may be incomplete.
        leftovers: The records that name no peer.
    """

    def __init__(
        self, context: LookupContext, timeout: float, large: bool, *, whole: bool = False
    ) -> None:
        self._context = context
        self._whole = whole
        self._timeout = timeout
        self._deadline = asyncio.get_running_loop().time() + timeout
        self.large = large
        self.attempts: list[Attempt] = []
        self.ttl = float("inf")
        self.reasons: list[str] = []
        self.leftovers = Leftovers(context.service, context.peer_factory.suffix)
        self._rtypes: tuple[int, ...] = (wire.A, wire.AAAA)
        self._shown: set[bytes] = set()
        """The addresses of the service's own name, if they were queried and are complete."""

    async def run(self) -> Observation:
        state = self._context.state
        if state.settled and not self._whole and state.polls < LISTING_POLLS - 1:
            state.polls += 1
            observation = await self._verify_part(None)
            if observation is not None:
                return observation
        reply = await self._ask_service(self.large)
        if reply.outcome is Outcome.ANSWER:
            listing = self._listing(reply)
            missing = len(listing.ports) - len(listing.addresses)
            if missing > FEW and not self.large and not reply.truncated:
                # Addresses were left out so that the answer fits: query again with room for them.
                self.large = True
                again = await self._ask_service(True)
                if again.outcome is Outcome.ANSWER:
                    reply, listing = again, self._listing(again)
            return await self._from_listing(reply, listing)
        if reply.outcome is Outcome.NO_DATA and self._context.port is None:
            self._keep_others(reply)
            if self.leftovers.alias is None:
                return await self._from_addresses()
        return await self._without_peers(reply)

    async def _ask_service(self, tcp: bool) -> Reply:
        resolver, name = self._context.resolver, self._context.srv_name
        if isinstance(resolver, Resolver):
            reply = await resolver.ask(
                name, wire.SRV, deadline=self._deadline, tcp=tcp, read=self._context.usual
            )
        else:
            reply = await resolver.ask(name, wire.SRV, deadline=self._deadline, tcp=tcp)
        self.large = self.large or _came_over_tcp(reply)
        self.attempts += reply.attempts
        return reply

    def _listing(self, reply: Reply) -> ServiceRecords:
        if reply.records is not None:
            return reply.records
        assert reply.message is not None
        return records_from_message(
            reply.message, self._context.srv_name, self._context.peer_factory.suffix
        )

    async def _without_peers(self, reply: Reply) -> Observation:
        if reply.message is not None:
            self._keep_others(reply)
            if self.leftovers:
                return await self._unusable(reply)
            if self._context.port is not None:
                wrong = await self._wrong_protocol(*self._context.port)
                if wrong is not None:
                    return Failed(wrong)
            soa = reply.message.soa
            return Empty(
                reply.outcome,
                reply.message.negative_ttl,
                reply.attempt,
                None if soa is None else soa.ttl,
                None if soa is None else soa.minimum,
                tuple(self.attempts),
            )
        service = self._context.service
        if reply.outcome is Outcome.TIMEOUT:
            return Failed(ResolveTimeout(service, reply.attempts, self._timeout))
        return Failed(ResolverUnavailable(service, reply.attempts))

    async def _wrong_protocol(self, port_name: str, protocol: str) -> ConfigurationError | None:
        """The error if the service has this port, but over another protocol; else None."""
        resolver, service = self._context.resolver, self._context.service
        others = [other for other in PROTOCOLS if other != protocol]
        names = [srv_prefix(port_name, other) + service for other in others]
        replies = await resolver.ask_many(
            [(wire.name_from_text(name), wire.SRV) for name in names],
            deadline=min(self._deadline, asyncio.get_running_loop().time() + _HINT_TIMEOUT),
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
        """Keep the records that are not addresses of the name in the question."""
        name = self._context.srv_name
        assert reply.message is not None
        for record in reply.message.answers:
            if type(record) is not wire.Address or record.owner != name:
                self.leftovers.add_record(record, name)

    async def _unusable(self, reply: Reply) -> Failed:
        """The failure for an answer that names no pod: it says nothing about the pods."""
        leftovers, cluster_ip = self.leftovers, dict[bytes, None]()
        if leftovers.own_name:
            resolver, own = self._context.resolver, self._context.peer_factory.suffix
            questions = [(own, wire.A), (own, wire.AAAA)]
            replies = await resolver.ask_many(questions, deadline=self._deadline)
            for message in [reply.message for reply in (reply, *replies)]:
                for record in (*message.answers, *message.additional) if message else ():
                    if type(record) is wire.Address and record.owner == own:
                        cluster_ip[record.packed] = None
        addresses = tuple(unpack(packed) for packed in cluster_ip)
        return Failed(leftovers.error(reply.attempts, addresses))

    async def _answered(
        self, ports: Mapping[bytes, tuple[int, ...]], addresses: _Addresses, reply: Reply
    ) -> Observation:
        peers = self._context.peer_factory.made_of(ports, addresses)
        if peers is None:
            peers = await self._make_peers(ports, addresses)
        for target in self._context.peer_factory.refused:
            self.leftovers.add_target(target)
        if not peers and self.leftovers:
            return await self._unusable(reply)
        ttl = self.ttl if peers else 0.0
        reason = "; ".join(self.reasons) or None
        return Answered(peers, ttl, reason, reply.attempt, tuple(self.attempts))

    async def _make_peers(
        self, ports: Mapping[bytes, tuple[int, ...]], addresses: _Addresses
    ) -> tuple[Peer, ...]:
        """The peers; other tasks get a turn after every few hundred."""
        making = self._context.peer_factory.peers_in_slices(ports, addresses)
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
            self.leftovers.add_record(record, self._context.srv_name)
        if reply.truncated and reply.attempt.transport == "tcp":
            return await self._enumerate(reply, listing)
        state = self._context.state
        if (
            state.listed
            and state.settled
            and not self._whole
            and same_ports(listing.ports, state.ports)
        ):
            state.polls = 0
            observation = await self._verify_part(listing)
            if observation is not None:
                return observation
        state.settled = False
        if reply.truncated:
            over_tcp = any(attempt.transport == "tcp" for attempt in reply.attempts)
            why = "the server does not answer over TCP" if over_tcp else "it is too large"
            self.reasons.append(
                f"the answer is truncated (names received: {len(listing.ports)}): {why}"
            )
        addresses = listing.addresses
        if len(addresses) < len(listing.ports):
            addresses = await self._complete_addresses(listing)
            if len(listing.ports) - len(listing.addresses) > MOST_VERIFIED:
                self._settle(listing, addresses)
        return await self._answered(listing.ports, addresses, reply)

    def _settle(self, listing: ServiceRecords, addresses: _Addresses) -> None:
        """Let later polls compare the service's own addresses, if they are those of its pods."""
        found = {packed for many in addresses.values() for packed in many}
        everyone = found == self._shown and all(addresses.get(name) for name in listing.ports)
        if everyone and not (self.reasons or self.leftovers):
            self._context.state.settle(listing.ports, addresses, self._rtypes)

    async def _enumerate(self, reply: Reply, listing: ServiceRecords) -> Observation:
        state = self._context.state
        state.polls, state.listed = 0, False
        if state.settled and not self._whole:
            observation = await self._verify_part(listing)
            if observation is not None:
                return observation
        # Imported here, since few services are so large.
        from .large.enumeration import Enumeration  # noqa: PLC0415

        enumeration = self._begin(Enumeration)
        await enumeration.run(listing)
        ports, addresses = self._found_by(enumeration)
        del enumeration  # it takes more memory than the peers, which are made now
        return await self._answered(ports, addresses, reply)

    async def _verify_part(self, listing: ServiceRecords | None) -> Observation | None:
        """Query a part of a service that is too large for one answer; None if all is necessary."""
        from .large.partial import PartialEnumeration  # noqa: PLC0415

        enumeration = self._begin(PartialEnumeration)
        if not await enumeration.run_partly(listing):
            self._context.state.settled &= not self._context.state.listed
            return None
        attempt = enumeration.attempt
        assert attempt is not None
        ports, addresses = self._found_by(enumeration)
        return await self._answered(ports, addresses, Reply((attempt,), attempt, None))

    def _begin(self, kind: type[_Enumeration]) -> _Enumeration:
        context = self._context
        return kind(
            context.resolver,
            context.peer_factory,
            context.state,
            context.srv_name,
            self._deadline,
            self.leftovers,
            any_port=context.port is None,
        )

    def _found_by(
        self, enumeration: Enumeration
    ) -> tuple[Mapping[bytes, tuple[int, ...]], _Addresses]:
        """The ports and the addresses of the pods."""
        self.ttl = min(self.ttl, enumeration.ttl)
        self.reasons += enumeration.reasons
        return enumeration.ports, enumeration.addresses

    async def _complete_addresses(self, listing: ServiceRecords) -> _Addresses:
        """The addresses in the answer, and those that were left out of it.

        A name that no longer exists stays in the list: the next lookup shows whether it left.
        """
        label, listed = self._context.peer_factory.label, listing.addresses
        without = [name for name in listing.ports if name not in listed and label(name) is not None]
        if not without:
            return listed
        families = {len(packed) for many in listed.values() for packed in many}
        if len(families) > 1:
            # One of a pod's two families may have been left out.
            without += [n for n, many in listed.items() if len({len(p) for p in many}) < 2]
        return await self._ask_addresses(listing, without)

    async def _ask_addresses(self, listing: ServiceRecords, names: Sequence[bytes]) -> _Addresses:
        context = self._context
        rtypes = await self._families() if len(names) > FEW else self._rtypes
        questions = [(name, rtype) for name in names for rtype in rtypes]
        results = await ask_addresses(
            context.resolver,
            questions,
            self._deadline,
            self.leftovers,
            tcp=len(names) > FEW,
        )
        asked = set(names)
        addresses = {name: many for name, many in listing.addresses.items() if name not in asked}
        unknown: dict[bytes, Reply] = {}
        ttls: list[int] = []
        for (name, _), found in zip(questions, results, strict=True):
            if isinstance(found, Reply):
                unknown[name] = found
            elif found.packed:
                addresses[name] = (*addresses.get(name, ()), *found.packed)
                ttls.append(found.ttl)
        if ttls:  # together they count as one answer: one of many may have expired just now
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
        """The record types of the service's addresses; both if that is not known."""
        name, both = self._context.srv_name, (wire.A, wire.AAAA)
        results = await ask_addresses(
            self._context.resolver,
            [(name, rtype) for rtype in both],
            self._deadline,
            self.leftovers,
            tcp=True,
        )
        present = tuple(
            rtype
            for rtype, found in zip(both, results, strict=True)
            if isinstance(found, Reply) or found.packed or found.truncated
        )
        whole = [f for f in results if isinstance(f, AddressRecords) and not f.truncated]
        if len(whole) == len(both):
            self._shown = {packed for found in whole for packed in found.packed}
        self._rtypes = present or both
        return self._rtypes

    async def _from_addresses(self) -> Observation:
        """A service without ports: its addresses, then the name of each."""
        name = self._context.srv_name
        # A family that is never answered must leave time for the names.
        now = asyncio.get_running_loop().time()
        replies = await self._context.resolver.ask_many(
            [(name, wire.A), (name, wire.AAAA)],
            deadline=now + (self._deadline - now) / 2,
            tcp=self.large,
        )
        self.large = self.large or any(map(_came_over_tcp, replies))
        self.attempts += [attempt for reply in replies for attempt in reply.attempts]
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
                    f"the answer is truncated (addresses received: {len(packed)}): "
                    "the server does not answer over TCP"
                )
        addresses = await self._find_names(list(packed))
        return await self._answered(dict.fromkeys(addresses, ()), addresses, answered[0])

    async def _find_names(self, packed: Sequence[bytes]) -> _Addresses:
        """The names within this service of each address.

        CoreDNS has one PTR for every service that selects the pod, also for a pod without a host
        name. An address without one belongs to a pod that is gone by now, or the reverse zone is
        not served. Either way the pod is left out and the list is incomplete: under an invented
        name it would join now, and leave once its name is known.
        """
        context = self._context
        results = await ask_names(context.resolver, packed, context.peer_factory, self._deadline)
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


def _came_over_tcp(reply: Reply) -> bool:
    return any(a.transport == "tcp" and a.outcome in USABLE for a in reply.attempts)
