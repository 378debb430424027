"""The answers of CoreDNS's ``kubernetes`` plugin about a cluster: a question in, an answer out.

Pure: no sockets and no clock, and random numbers are an argument. Names, types and response codes
follow CoreDNS 1.13 (``plugin/kubernetes``: ``parse.go``, ``kubernetes.go``, ``reverse.go``;
``plugin/backend_lookup.go``), and its recorded answers are replayed against this in the tests.

A multi-cluster service follows the ``multicluster`` plugin (KEP-1645): targets of
two labels, SRV records only for named ports, and no PTR records.

Not modelled: services with a cluster IP, ExternalName services, ``pods verified``, NS records, zone
transfers, DNSSEC, and forwarding: what CoreDNS would forward is REFUSED, or SERVFAIL in a reverse
zone, as without a reachable upstream server.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any, NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.reversename
from dns.message import Message
from dns.name import Name
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.PTR import PTR
from dns.rdtypes.ANY.SOA import SOA
from dns.rdtypes.ANY.TXT import TXT
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA
from dns.rdtypes.IN.SRV import SRV
from dns.rrset import RRset

from ..names import address_with_dashes
from .rendering import LARGEST_TCP, name_to_wire
from .state import ClusterState, Endpoint, IPAddress, ServiceKey, ServicePort

__all__ = ["Shuffle", "Zone", "reply_to", "shuffled"]

Shuffle = Callable[[list[Any]], None]
"""Shuffles a list in place, as `random.Random.shuffle` does."""

_IN = dns.rdataclass.IN
_ALWAYS_NAMESPACES = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})
_REVERSE_ZONES = (
    dns.name.from_text("in-addr.arpa."),
    dns.name.from_text("ip6.arpa."),
)
_ADDRESS_TYPES = {4: RdataType.A, 6: RdataType.AAAA}
_ECHOED_OPTIONS = frozenset({3, 9, 10, 11, 12})
"""NSID, EXPIRE, COOKIE, TCP-KEEPALIVE, PADDING: CoreDNS sends them back unchanged."""
_LONGEST_NEGATIVE_TTL = 300
_MOST_KEPT = 8192
_LEAST_SRV = 18
"""Bytes of an SRV record before its target, with a compressed owner."""


class _Records(NamedTuple):
    """The records of a name: those of the queried type, and their glue."""

    answer: tuple[RRset, ...] = ()
    additional: tuple[RRset, ...] = ()
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR


_NO_DATA = _Records()
_NXDOMAIN = _Records(rcode=dns.rcode.NXDOMAIN)
_SERVFAIL = _Records(rcode=dns.rcode.SERVFAIL)
_REFUSED = _Records(rcode=dns.rcode.REFUSED)

_Listing = list[tuple[Endpoint, ServicePort | None]]
"""Endpoints with each of their ports; an endpoint without ports is listed once, with None."""


class _Service(SRV):
    """An SRV record that is quick to hash, as a set of records needs it."""

    __slots__ = ()

    def to_digestable(self, origin: Name | None = None) -> bytes:  # noqa: ARG002 - it is absolute
        numbers = struct.pack("!3H", self.priority, self.weight, self.port)
        return numbers + name_to_wire(self.target).lower()


class Zone:
    """The cluster's domain and the reverse zones, in one state of the cluster.

    Each record is an RRset of its own, because CoreDNS shuffles and truncates single records.
    Answers share them, so they must not be changed.
    """

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self._origin = dns.name.from_text(state.cluster_domain)
        self._namespaces = _ALWAYS_NAMESPACES | {namespace for namespace, _ in state.services}
        self._kept: dict[tuple[tuple[bytes, ...], RdataType], _Records] = {}
        self._addresses: dict[IPAddress, A | AAAA] = {}
        self._hosts: dict[ServiceKey, dict[tuple[str, ...], list[Endpoint]]] = {}
        self._owners: dict[IPAddress, list[tuple[str, ServiceKey]]] = {}

    def answer(self, query: Message) -> Message:
        """The answer to a question, in the order of the slices.

        It is complete unless its SRV records alone are too large for any message: then it ends
        with the first that does not fit, because rendering would leave out the others.
        """
        response = reply_to(query)
        if query.edns > 0:
            response.set_rcode(dns.rcode.BADVERS)
            return response
        question = query.question[0]
        if question.rdclass != _IN or question.rdtype in (RdataType.AXFR, RdataType.IXFR):
            response.set_rcode(dns.rcode.REFUSED)
            return response
        key = (question.name.labels, question.rdtype)
        records = self._kept.get(key)
        if records is None:
            records = self._find(question.name, question.rdtype)
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[key] = records
        response.set_rcode(records.rcode)
        if records.rcode in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            response.flags |= dns.flags.AA
        response.answer = list(records.answer)
        response.additional = list(records.additional)
        if response.flags & dns.flags.AA and not records.answer:
            response.authority = [self.soa(question.name)]
        return response

    def soa(self, name: Name) -> RRset:
        """The SOA record, with the zone in the case in which the question spelled it."""
        ttl = self._state.ttl
        zone = self._zone_as_asked(name)
        mname = Name((b"ns", b"dns", *zone.labels))
        rname = Name((b"hostmaster", *zone.labels))
        times = (self._state.serial, 7200, 1800, 86400, ttl)
        soa = SOA(_IN, RdataType.SOA, mname, rname, *times)  # type: ignore[no-untyped-call]
        return _record(zone, min(ttl, _LONGEST_NEGATIVE_TTL), soa)

    def _zone_as_asked(self, name: Name) -> Name:
        if name.is_subdomain(self._origin):
            return Name(name.labels[-len(self._origin.labels) :])
        return self._origin

    def _find(self, name: Name, rdtype: RdataType) -> _Records:
        if name.is_subdomain(self._origin):
            labels = name.labels[: -len(self._origin.labels)]
            return self._find_in_zone(
                name, [label.decode("latin-1").lower() for label in labels], rdtype
            )
        if any(name.is_subdomain(zone) for zone in _REVERSE_ZONES):
            return self._pointers(name) if rdtype == RdataType.PTR else _SERVFAIL
        return _REFUSED

    def _find_in_zone(self, name: Name, labels: list[str], rdtype: RdataType) -> _Records:
        """The name grammar, read from the right: ``[[port.]proto|host.]service.namespace.svc``."""
        if not labels:
            return _Records((self.soa(name),)) if rdtype == RdataType.SOA else _NO_DATA
        if labels == ["dns-version"]:
            version = TXT(_IN, RdataType.TXT, ["1.1.0"])
            return (
                _Records((_record(name, 28800, version),)) if rdtype == RdataType.TXT else _NO_DATA
            )
        if labels[-1] not in ("svc", "pod"):
            return _NXDOMAIN
        if len(labels) == 1:
            return _NO_DATA
        namespace = labels[-2]
        if len(labels) == 2:
            return _NO_DATA if namespace in self._namespaces else _NXDOMAIN
        if labels[-1] == "pod":
            return self._pod(name, labels[:-2], namespace, rdtype)
        service, rest = labels[-3], labels[:-3]
        listing = self._listing(namespace, service, rest)
        if not listing:
            return _NXDOMAIN  # also for a service that exists: none of its pods is ready
        if rdtype == RdataType.SRV:
            if not rest and listing[0][0].cluster is not None:
                return _NO_DATA
            return self._services(name, namespace, service, listing)
        if rdtype in (RdataType.A, RdataType.AAAA):
            addresses = dict.fromkeys(endpoint.address for endpoint, _ in listing)
            return _Records(
                tuple(
                    self._address(name, address)
                    for address in addresses
                    if _ADDRESS_TYPES[address.version] == rdtype
                )
            )
        return _NO_DATA

    def _pod(self, name: Name, labels: list[str], namespace: str, rdtype: RdataType) -> _Records:
        """``pods insecure``: the address is in the name, whether a pod has it or not."""
        if self._state.pods == "disabled" or len(labels) != 1 or namespace not in self._namespaces:
            return _NXDOMAIN
        address = address_with_dashes(labels[0])
        if address is None:
            return _NXDOMAIN
        if _ADDRESS_TYPES[address.version] != rdtype:
            return _NO_DATA
        return _Records((self._address(name, address),))

    def _listing(self, namespace: str, service: str, rest: list[str]) -> _Listing:
        """The endpoints that the name selects, each with the ports that it selects."""
        endpoints: Iterable[Endpoint] = self._state.services.get((namespace, service), ())
        if len(rest) > 2:
            return []
        hosts = self._hosts_of((namespace, service))
        named = len(rest) == 1 or tuple(rest) in hosts
        if named:
            endpoints = hosts.get(tuple(rest), ())
        listing: _Listing = [
            (endpoint, port) for endpoint in endpoints for port in endpoint.ports or (None,)
        ]
        if len(rest) == 2 and not named:
            # Underscores are optional, and a single one means any (parse.go).
            port_name, protocol = (label.removeprefix("_") for label in rest)
            listing = [
                (endpoint, port)
                for endpoint, port in listing
                if port is not None
                and port_name in ("", port.name)
                and protocol in ("", port.protocol.lower())
            ]
        return listing

    def _hosts_of(self, service: ServiceKey) -> dict[tuple[str, ...], list[Endpoint]]:
        """The endpoints of a service by their name in DNS."""
        hosts = self._hosts.get(service)
        if hosts is None:
            hosts = self._hosts[service] = {}
            for endpoint in self._state.services.get(service, ()):
                hosts.setdefault(endpoint.labels, []).append(endpoint)
        return hosts

    def _services(self, name: Name, namespace: str, service: str, listing: _Listing) -> _Records:
        """SRV records with glue.

        The weight shares 100 among the endpoints, counted before duplicates are removed: times
        their ports, times their families, times the slices they are in.
        """
        weight = max(1, 100 // len(listing))
        zone = self._zone_as_asked(name)
        domain = (service.encode(), namespace.encode(), b"svc", *zone.labels)
        ttl = self._state.ttl
        targets: dict[tuple[str, ...], Name] = {}
        answer: dict[tuple[tuple[str, ...], int], RRset] = {}
        glue: dict[tuple[tuple[str, ...], IPAddress], RRset] = {}
        least = 0
        for endpoint, port in listing:
            if port is None:
                continue
            if least > LARGEST_TCP:
                return _Records(tuple(answer.values()))
            labels = endpoint.labels
            target = targets.get(labels)
            if target is None:
                below = (label.encode() for label in labels)
                target = targets[labels] = Name((*below, *domain))
            if (labels, port.number) not in answer:
                srv = (0, weight, port.number, target)
                answer[labels, port.number] = _record(
                    name,
                    ttl,
                    _Service(_IN, RdataType.SRV, *srv),  # type: ignore[no-untyped-call]
                )
                least += _LEAST_SRV + sum(map(len, target.labels)) + len(target.labels)
        for endpoint, port in listing:
            key = (endpoint.labels, endpoint.address)
            if port is not None and key not in glue:
                glue[key] = self._address(targets[endpoint.labels], endpoint.address)
        return _Records(tuple(answer.values()), tuple(glue.values()))

    def _pointers(self, name: Name) -> _Records:
        """A PTR record for every service with an endpoint of this address.

        CoreDNS forwards other questions; here there is no upstream server, hence SERVFAIL.
        """
        try:
            address = ip_address(dns.reversename.to_address(name))
        except (dns.exception.DNSException, ValueError):
            return _SERVFAIL
        if not self._owners:
            for key, endpoints in self._state.services.items():
                for endpoint in endpoints:
                    if endpoint.cluster is None:
                        (label,) = endpoint.labels
                        self._owners.setdefault(endpoint.address, []).append((label, key))
        targets = dict.fromkeys(
            f"{label}.{service}.{namespace}.svc.{self._state.cluster_domain}."
            for label, (namespace, service) in self._owners.get(address, ())
        )
        pointers = [
            PTR(_IN, RdataType.PTR, dns.name.from_text(target))  # type: ignore[no-untyped-call]
            for target in targets
        ]
        if not pointers:
            return _SERVFAIL
        return _Records(tuple(_record(name, self._state.ttl, pointer) for pointer in pointers))

    def _address(self, name: Name, address: IPAddress) -> RRset:
        rdata = self._addresses.get(address)
        if rdata is None:
            kind = A if address.version == 4 else AAAA
            rdata = kind(_IN, _ADDRESS_TYPES[address.version], str(address))
            self._addresses[address] = rdata
        return _record(name, self._state.ttl, rdata)


def reply_to(query: Message) -> Message:
    """A reply without records: CoreDNS copies RD and CD, and never sets RA.

    Its OPT record is the client's own, with the payload size that the client offered.
    """
    response = dns.message.QueryMessage(id=query.id)
    response.flags = dns.flags.QR | (query.flags & (dns.flags.RD | dns.flags.CD))
    response.question = list(query.question)
    if query.edns >= 0:
        response.use_edns(
            0,
            query.ednsflags & dns.flags.DO,
            query.payload,
            options=[option for option in query.options if option.otype in _ECHOED_OPTIONS],
        )
    return response


def shuffled(response: Message, shuffle: Shuffle) -> Message:
    """The response with its addresses in another order, as the ``loadbalance`` plugin gives it.

    SRV records keep theirs, so that an answer that is cut holds the same ones each time.
    """
    for section in (response.answer, response.additional):
        addresses = [record for record in section if _is_address(record)]
        if len(addresses) > 1:
            rest = [record for record in section if not _is_address(record)]
            shuffle(addresses)
            section[:] = rest + addresses
    return response


def _is_address(record: RRset) -> bool:
    return record.rdtype in (RdataType.A, RdataType.AAAA)


def _record(name: Name, ttl: int, rdata: dns.rdata.Rdata) -> RRset:
    record = RRset(name, _IN, rdata.rdtype)
    record.ttl = ttl
    record.items[rdata] = None  # as `add` does, which computes the hash twice
    return record
