"""A headless service, enumerated over DNS.

One SRV question for the service's name brings every pod's name and port, and in the additional
section its addresses. What that answer lacks is asked for: addresses that were left out, and, for
a service without ports (which has no SRV records), A and AAAA and then the PTR of each address.

That the bare name answers SRV is what CoreDNS and kube-dns do, beyond the Kubernetes DNS
specification, which promises it for ``_port._proto`` names; ``port_name=`` asks for those.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from ..dns import wire
from ..dns.resolver import Reply, Resolver
from ..exceptions import ConfigurationError, ResolverUnavailable, ResolveTimeout
from ..model import Answered, Empty, Failed, Observation, Outcome, Peer
from ..names import Endpoint, ServiceName, parse_port_name, reverse_name
from .roster import Roster, unpack

__all__ = ["HeadlessDNS"]

_FEW = 4
"""Up to so many further questions go out over UDP; more share one TCP connection."""


class HeadlessDNS:
    """Looks at a headless service through DNS.

    It belongs to one event loop, and keeps a TCP connection between looks once an answer was too
    large for UDP. Close it with `aclose`.

    Args:
        service: The service.
        nameservers: Asked in turn until one answers; or what tells them before each look.
        port_name: Ask for this named port alone; None for every port, without their names.
        protocol: The named port's protocol: ``tcp``, ``udp`` or ``sctp``.

    Raises:
        ConfigurationError: The port name or the protocol is none.
    """

    def __init__(
        self,
        service: ServiceName,
        nameservers: Sequence[Endpoint] | Callable[[], Sequence[Endpoint]],
        *,
        port_name: str | None = None,
        protocol: str = "tcp",
    ) -> None:
        if protocol not in ("tcp", "udp", "sctp"):
            raise ConfigurationError("protocol", protocol, "'tcp', 'udp' or 'sctp'")
        self._service = service
        self._port_name = None if port_name is None else parse_port_name(port_name)
        self._srv_name = wire.name_from_text(
            f"_{self._port_name}._{protocol}.{service.fqdn}" if port_name else service.fqdn
        )
        self._roster = Roster(service.fqdn, self._port_name)
        self._nameservers = nameservers if callable(nameservers) else None
        self._resolver = Resolver(nameservers() if callable(nameservers) else nameservers)
        self._large = False

    @property
    def service(self) -> str:
        return self._service.fqdn

    async def aclose(self) -> None:
        """Close the kept connections."""
        await self._resolver.aclose()

    async def observe(self, *, timeout: float) -> Observation:
        """Look once; see `peerdisco.sources.Source`."""
        if self._nameservers is not None:
            self._resolver.use(self._nameservers())
        look = _Look(
            self._service.fqdn, self._srv_name, self._roster, self._resolver, timeout, self._large
        )
        try:
            return await look.run(any_port=self._port_name is None)
        finally:
            self._large = look.large


class _Look:
    """One look: the questions it takes, and what is known so far."""

    def __init__(
        self,
        service: str,
        srv_name: bytes,
        roster: Roster,
        resolver: Resolver,
        timeout: float,
        large: bool,
    ) -> None:
        self.service = service
        self.srv_name = srv_name
        self.roster = roster
        self.resolver = resolver
        self.timeout = timeout
        self.deadline = asyncio.get_running_loop().time() + timeout
        self.large = large
        """Whether the answer is known not to fit into a datagram."""
        self.ttl = float("inf")
        self.reasons: list[str] = []

    async def run(self, *, any_port: bool) -> Observation:
        reply = await self.resolver.ask(
            self.srv_name, wire.SRV, deadline=self.deadline, tcp=self.large
        )
        self.large = self.large or any(a.transport == "tcp" for a in reply.attempts)
        if reply.outcome is Outcome.ANSWER:
            return await self._from_srv(reply)
        if reply.outcome is Outcome.NO_DATA and any_port:
            return await self._from_addresses()
        return self._without_peers(reply)

    async def _ask_many(self, questions: Sequence[tuple[bytes, int]]) -> list[Reply]:
        return await self.resolver.ask_many(
            questions, deadline=self.deadline, tcp=len(questions) > _FEW
        )

    def _without_peers(self, reply: Reply) -> Observation:
        if reply.message is not None:
            return Empty(reply.outcome, reply.message.negative_ttl, reply.attempt)
        if reply.outcome is Outcome.TIMEOUT:
            return Failed(ResolveTimeout(self.service, reply.attempts, self.timeout))
        return Failed(ResolverUnavailable(self.service, reply.attempts))

    def _answered(self, peers: tuple[Peer, ...], reply: Reply) -> Observation:
        if not peers and not self.reasons:
            return Empty(Outcome.NO_DATA, None, reply.attempt)
        ttl = self.ttl if peers else 0.0
        return Answered(peers, ttl, "; ".join(self.reasons) or None, reply.attempt)

    def _note_truncation(self, reply: Reply, count: int, what: str) -> None:
        if reply.truncated:
            transports = {attempt.transport for attempt in reply.attempts}
            why = "it is too large for one DNS message"
            if reply.attempt.transport == "udp" and "tcp" in transports:
                why = "the server does not answer over TCP"
            self.reasons.append(f"the answer was cut ({what} that came: {count}): {why}")

    async def _from_srv(self, reply: Reply) -> Observation:
        assert reply.message is not None
        targets: dict[bytes, list[int]] = {}
        foreign: set[bytes] = set()
        for record in reply.message.answers:
            if type(record) is not wire.Srv or record.owner != self.srv_name:
                continue
            target = record.target
            if target in targets:
                targets[target].append(record.port)
            elif target not in foreign:
                if self.roster.label(target) is None:
                    foreign.add(target)
                    continue
                targets[target] = [record.port]
            self.ttl = min(self.ttl, record.ttl)
        self._note_truncation(reply, len(targets), "names")
        addresses: dict[bytes, list[bytes]] = {}
        self._collect(reply.message.additional, targets, addresses)
        without = [target for target in targets if target not in addresses]
        if without:
            await self._find_addresses(without, targets, addresses)
        return self._answered(self.roster.peers(targets, addresses), reply)

    def _collect(
        self,
        records: Iterable[wire.Record],
        targets: Mapping[bytes, object],
        addresses: dict[bytes, list[bytes]],
    ) -> None:
        """Add the addresses of the targets, and of nobody else."""
        for record in records:
            if type(record) is wire.Address and record.owner in targets:
                if record.owner in addresses:
                    addresses[record.owner].append(record.packed)
                else:
                    addresses[record.owner] = [record.packed]
                self.ttl = min(self.ttl, record.ttl)

    async def _find_addresses(
        self,
        without: Sequence[bytes],
        targets: Mapping[bytes, object],
        addresses: dict[bytes, list[bytes]],
    ) -> None:
        """Ask for the addresses that the answer left out.

        A name that by now does not exist keeps its place: the next look tells whether it left.
        """
        replies = await self._ask_many(
            [(target, rtype) for target in without for rtype in (wire.A, wire.AAAA)]
        )
        unknown: dict[bytes, Reply] = {}
        for reply, target in zip(replies, [t for t in without for _ in range(2)], strict=True):
            if reply.message is None:
                unknown[target] = reply
            else:
                self._collect(reply.message.answers, targets, addresses)
        if unknown:
            example = next(iter(unknown.values())).attempt
            self.reasons.append(
                f"the addresses of {len(unknown)} of {len(targets)} peers are not known ({example})"
            )

    async def _from_addresses(self) -> Observation:
        """A service without ports: its addresses, then the name of each."""
        replies = await self.resolver.ask_many(
            [(self.srv_name, wire.A), (self.srv_name, wire.AAAA)],
            deadline=self.deadline,
            tcp=self.large,
        )
        answered = [reply for reply in replies if reply.outcome is Outcome.ANSWER]
        failed = [reply for reply in replies if reply.message is None]
        if not answered:
            return self._without_peers((failed or replies)[0])
        if failed:
            self.reasons.append(f"one address family is not known ({failed[0].attempt})")
        packed: dict[bytes, None] = {}
        for reply in answered:
            assert reply.message is not None
            found: dict[bytes, list[bytes]] = {}
            self._collect(reply.message.answers, {self.srv_name: None}, found)
            packed.update(dict.fromkeys(found.get(self.srv_name, ())))
            self._note_truncation(reply, len(packed), "addresses")
        addresses = await self._find_names(list(packed))
        return self._answered(
            self.roster.peers(dict.fromkeys(addresses, ()), addresses), answered[0]
        )

    async def _find_names(self, packed: Sequence[bytes]) -> dict[bytes, list[bytes]]:
        """The names within this service of each address.

        CoreDNS has one PTR for every service that selects the pod, also for a pod without a host
        name. Without one, the address is that of a pod which has gone in the meantime, or the
        reverse zone is not served; either way the pod is left out, and the list incomplete: under
        a name made up for it, it would join now and leave when its name is known.
        """
        replies = await self._ask_many(
            [(wire.name_from_text(reverse_name(unpack(address))), wire.PTR) for address in packed]
        )
        names: dict[bytes, list[bytes]] = {}
        nameless: list[Reply] = []
        for address, reply in zip(packed, replies, strict=True):
            found = [
                record.target
                for record in (reply.message.answers if reply.message is not None else ())
                if type(record) is wire.Pointer and self.roster.label(record.target) is not None
            ]
            if not found:
                nameless.append(reply)
            for name in found:
                names.setdefault(name, []).append(address)
        if nameless:
            self.reasons.append(
                f"the names of {len(nameless)} of {len(packed)} addresses are not known "
                f"({nameless[0].attempt})"
            )
        return names
