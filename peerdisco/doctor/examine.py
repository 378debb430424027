"""Gathers every fact about a set-up. A name server that does not answer delays no other check."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address

from ..dns import wire
from ..dns.resolver import Resolver
from ..exceptions import (
    ConfigurationError,
    DiscoveryError,
    IdentityConflict,
    ResolverUnavailable,
)
from ..membership.rules import ConfirmationRules
from ..model import Answered, Empty, Failed, Identity, Outcome
from ..names import Endpoint, ServiceName, srv_prefix
from ..pod.environment import PodEnvironment
from ..pod.service import find_service
from ..pod.settings import find_interval
from ..sources.once import observe_once
from ..sources.options import LookupOptions
from ..sources.peer_factory import unpack
from ..sources.query import ServiceQuery
from .dns_facts import Timing, examine_server
from .facts import DnsFacts, Facts, Lookup, NamedPort, PodFacts, Request, Setting
from .pod_facts import gather_pod_facts
from .settings import find_settings
from .suggestions import port_questions, service_candidates

__all__ = ["Timing", "examine"]

_INTERVAL = ConfirmationRules().interval
"""Seconds between two lookups of a watcher by default."""

_MOST_REVERSED = 8
"""Listed addresses whose names are asked."""

_AT_ONCE = 16
"""Queries about names that may be meant that are pending at the same time."""

_STRANGER = Identity(pod_name="unknown", namespace="unknown")
"""Stands for a pod whose identity is contradictory, so that its lookups are examined anyway."""


async def examine(
    options: LookupOptions,
    pod: PodEnvironment,
    *,
    ordinal: int = 0,
    timeout: float = 5.0,
    timing: Timing = Timing(),  # noqa: B008 - immutable
    now: float | None = None,
) -> Facts:
    """Gather the facts about this pod, the name servers and the service.

    Args:
        options: The options of the lookup.
        pod: The environment.
        ordinal: The primary's ordinal.
        timeout: Seconds for a lookup of the library.
        timing: Limits and pauses of the queries to each server.
        now: This machine's time; None for the present.

    Raises:
        ConfigurationError: An option (not a variable) has an invalid value.
    """
    pod_facts = gather_pod_facts(
        pod, namespace=options.namespace, cluster_domain=options.cluster_domain
    )
    setup = _setup(options, pod)
    request = replace(setup.request, ordinal=ordinal)
    if ordinal:
        given = {"--ordinal": Setting((str(ordinal),), "--ordinal")}
        request = replace(request, settings={**request.settings, **given})
    dns = DnsFacts()
    if request.service is not None and setup.servers and not request.fixed_list:
        dns = await _Examination(setup, request.service, pod, pod_facts, timeout, timing).run()
    return Facts(
        pod_facts, request, dns, time.time() if now is None else now, interval=setup.interval
    )


@dataclass(frozen=True, slots=True)
class _Setup:
    """What follows from the options.

    Attributes:
        request: What is examined.
        query: The lookup; None if something that it needs is missing or invalid.
        servers: The name servers; empty if none is known.
        interval: Seconds between two lookups of a watcher.
    """

    request: Request
    query: ServiceQuery | None
    servers: tuple[Endpoint, ...]
    interval: float


def _setup(options: LookupOptions, pod: PodEnvironment) -> _Setup:
    service, query, unusable = None, None, None
    servers: tuple[Endpoint, ...] = ()
    interval = _INTERVAL
    try:
        service = find_service(options.service, options.namespace, options.cluster_domain, pod)
        query = _query(options, pod)
        if query.static is None:
            servers = query.nameservers or pod.resolv_conf.nameservers
        interval = find_interval(None, pod, _INTERVAL)
    except ConfigurationError as error:
        if not error.what.startswith(("PEERDISCO_", "POD_")):
            raise
        unusable = str(error)
    except DiscoveryError as error:
        unusable = str(error)
    statefulset = options.statefulset or pod.variable("PEERDISCO_STATEFULSET")
    return _Setup(
        Request(
            service=service,
            unusable=unusable,
            statefulset=statefulset,
            port_names=query.port_names if query else (),
            protocol=query.protocol if query else "tcp",
            resolver=query.resolver if query else "builtin",
            fixed_list=query is not None and query.static is not None,
            settings=find_settings(options, pod),
        ),
        query,
        servers,
        interval,
    )


def _query(options: LookupOptions, pod: PodEnvironment) -> ServiceQuery:
    try:
        plan = options.plan(pod)
    except IdentityConflict:
        plan = replace(options, identity=_STRANGER).plan(pod)
    assert isinstance(plan.target, ServiceQuery)
    return plan.target


class _Examination:
    """The queries about one service."""

    def __init__(
        self,
        setup: _Setup,
        service: ServiceName,
        pod: PodEnvironment,
        pod_facts: PodFacts,
        timeout: float,
        timing: Timing,
    ) -> None:
        self._setup = setup
        self._service = service
        self._pod = pod
        self._pod_facts = pod_facts
        self._timeout = timeout
        self._timing = timing

    async def run(self) -> DnsFacts:
        """All queries; those to different servers at the same time."""
        servers, query = self._setup.servers, self._setup.query
        async with asyncio.TaskGroup() as group:
            examining = [
                group.create_task(examine_server(server, self._service, self._timing))
                for server in servers
            ]
            looking_up = group.create_task(self._look_up(query))
        return replace(looking_up.result(), servers=tuple(task.result() for task in examining))

    async def _look_up(self, query: ServiceQuery | None) -> DnsFacts:
        """The lookups of the library, and the queries that explain their results."""
        facts = DnsFacts()
        if query is not None:
            facts = replace(facts, lookup=await self._lookup(replace(query, port_names=())))
            facts = replace(facts, named_ports=await self._named_ports(query))
        if facts.lookup is not None and _unanswered(facts.lookup):
            return facts  # each further query would wait for its whole time limit
        async with Resolver(self._setup.servers) as resolver:
            resolver.begin(self._setup.request.zone)
            facts = await self._own_records(resolver, facts)
            facts = await self._names_of_peers(resolver, facts)
            if facts.lookup is not None and isinstance(facts.lookup.observation, Empty):
                facts = replace(facts, services=await self._services(resolver, facts))
            ports = [await self._with_candidates(resolver, port) for port in facts.named_ports]
        return replace(facts, named_ports=tuple(ports))

    async def _named_ports(self, query: ServiceQuery) -> tuple[NamedPort, ...]:
        """The lookup of each chosen port, all at the same time."""
        async with asyncio.TaskGroup() as group:
            asked = [
                (name, group.create_task(self._lookup(replace(query, port_names=(name,)))))
                for name in query.port_names
            ]
        return tuple(NamedPort(name, task.result()) for name, task in asked)

    async def _lookup(self, query: ServiceQuery) -> Lookup:
        source = replace(query, nameservers=self._setup.servers).open()
        try:
            return Lookup(*await observe_once(source, timeout=self._timeout))
        finally:
            await source.aclose()

    async def _own_records(self, resolver: Resolver, facts: DnsFacts) -> DnsFacts:
        """The addresses of this pod's name, and the names of its addresses."""
        pod = self._pod_facts
        if pod.pod_name is not None:
            own = f"{pod.pod_name}.{self._service.fqdn}"
            facts = replace(facts, own_addresses=await self._addresses(resolver, own))
        if pod.addresses:
            asked = await self._pointers(resolver, [address.packed for address in pod.addresses])
            known = [names for names in asked if names is not None]
            if known:
                names = dict.fromkeys(name for many in known for name in many)
                facts = replace(facts, own_names=tuple(names))
        return facts

    async def _names_of_peers(self, resolver: Resolver, facts: DnsFacts) -> DnsFacts:
        if facts.lookup is None or not isinstance(facts.lookup.observation, Answered):
            return facts
        peers = facts.lookup.observation.peers
        addresses = [peer.addresses[0] for peer in peers if peer.addresses][:_MOST_REVERSED]
        names = await self._pointers(resolver, [address.packed for address in addresses])
        nameless = [
            str(address) for address, many in zip(addresses, names, strict=True) if not many
        ]
        return replace(facts, nameless=tuple(nameless), reversed_=len(addresses))

    async def _addresses(
        self, resolver: Resolver, name: str
    ) -> tuple[IPv4Address | IPv6Address, ...] | None:
        """The addresses of a name; None if it was not answered."""
        wanted = _in_wire_form(name)
        if wanted is None:
            return None
        replies = await resolver.ask_many(
            [(wanted, wire.A), (wanted, wire.AAAA)], deadline=self._deadline()
        )
        if any(reply.message is None for reply in replies):
            return None
        return tuple(
            unpack(record.packed)
            for reply in replies
            for record in (reply.message.answers if reply.message else ())
            if type(record) is wire.Address
        )

    async def _pointers(
        self, resolver: Resolver, addresses: Sequence[bytes]
    ) -> list[tuple[str, ...] | None]:
        """The names of each address; None if that was not answered."""
        replies = await resolver.ask_many(
            [(wire.reverse_name(packed), wire.PTR) for packed in addresses],
            deadline=self._deadline(),
        )
        return [
            None
            if reply.message is None
            else tuple(
                wire.name_to_text(record.target)
                for record in reply.message.answers
                if type(record) is wire.Pointer
            )
            for reply in replies
        ]

    async def _services(self, resolver: Resolver, facts: DnsFacts) -> tuple[str, ...]:
        """The services that may be meant and have pods."""
        namespace = self._pod_facts.known.get("namespace")
        names = service_candidates(
            self._service,
            facts.own_names or (),
            self._pod_facts.governing,
            None if namespace is None else namespace.value,
            self._pod.environ,
        )
        return tuple(await self._answering(resolver, names, (wire.SRV, wire.A)))

    async def _with_candidates(self, resolver: Resolver, port: NamedPort) -> NamedPort:
        """A port, with the names that may be meant if no pod is listed with it."""
        if _listed(port.lookup):
            return port
        questions = port_questions(port.name)
        names = [srv_prefix(*question) + self._service.fqdn for question in questions]
        found = await self._answering(resolver, names, (wire.SRV,))
        candidates = (q for q, name in zip(questions, names, strict=True) if name in found)
        return replace(port, candidates=tuple(candidates))

    async def _answering(
        self, resolver: Resolver, names: Iterable[str], rtypes: Sequence[int]
    ) -> list[str]:
        """Those of the names that have records of one of these types."""
        valid = {name: form for name in names if (form := _in_wire_form(name)) is not None}
        questions = [(form, rtype) for form in valid.values() for rtype in rtypes]
        deadline = asyncio.get_running_loop().time() + self._timeout
        replies = await resolver.ask_many(questions, deadline=deadline, at_once=_AT_ONCE)
        answered = {
            form
            for (form, _), reply in zip(questions, replies, strict=True)
            if reply.outcome is Outcome.ANSWER
        }
        return [name for name, form in valid.items() if form in answered]

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._timing.timeout


def _unanswered(lookup: Lookup) -> bool:
    """Whether no name server replied."""
    observation = lookup.observation
    error = observation.error if isinstance(observation, Failed) else None
    return isinstance(error, ResolverUnavailable) and not error.replied


def _listed(lookup: Lookup) -> bool:
    """Whether the lookup found peers."""
    observation = lookup.observation
    return isinstance(observation, Answered) and bool(observation.peers)


def _in_wire_form(name: str) -> bytes | None:
    """A name in wire form; None if it is not a valid one."""
    try:
        return wire.name_from_text(name)
    except ValueError:
        return None
