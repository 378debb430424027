"""Recorded answers of a real CoreDNS, and the testing cluster that each was recorded from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Any

import dns.message
import dns.rdatatype
import dns.rrset

from peerdisco.testing.cluster import Cluster
from peerdisco.testing.state import ClusterState, ServicePort

VECTORS = Path(__file__).parent.parent / "vectors"
SERVER_TTL = {"cache": 30, "nocache": 5}
FIRST_ADDRESS = IPv4Address("10.244.0.3")
SLICE = 100  # endpoints in a slice; the order of slices is not fixed, that in a slice is


@dataclass(frozen=True)
class Exchange:
    scenario: str
    number: int
    server: str
    transport: str
    name: str
    type: str
    edns_payload: int | None
    query: bytes
    answer: bytes

    @cached_property
    def response(self) -> dns.message.Message:
        return dns.message.from_wire(self.answer, one_rr_per_rrset=True)

    def __str__(self) -> str:
        edns = self.edns_payload or "no EDNS"
        return f"{self.scenario}#{self.number} {self.server}/{self.transport} {edns} {self.type}"


@dataclass(frozen=True)
class Recording:
    scenario: str
    objects: Any
    exchanges: tuple[Exchange, ...]

    def cluster(self, exchange: Exchange) -> Cluster:
        """The cluster as it was at this exchange."""
        cluster = Cluster(ttl=SERVER_TTL[exchange.server])
        if isinstance(self.objects, dict):
            _add_generated(cluster, self.objects["endpoints"], exchange)
        else:
            for described in sorted(self.objects, key=lambda one: _position(one, exchange)):
                _ADD[described["kind"]](cluster, described, self)
        return cluster

    def state(self, exchange: Exchange) -> ClusterState:
        """The same, with the serial of the recorded SOA."""
        state = self.cluster(exchange).state()
        for record in [*exchange.response.answer, *exchange.response.authority]:
            if record.rdtype == dns.rdatatype.SOA:
                state = replace(state, serial=record[0].serial)
        return state

    def addresses(self) -> list[IPv4Address]:
        """The pods' addresses, which the cluster chose: read from the recording."""
        found = {
            ip_address(record[0].address)
            for exchange in self.exchanges
            for record in exchange.response.answer
            if record.rdtype == dns.rdatatype.A
        }
        return sorted(found)  # type: ignore[type-var]

    def port_order(self) -> list[int]:
        """The ports in the order in which the controller wrote them into the slice."""
        for exchange in self.exchanges:
            ports = [r[0].port for r in exchange.response.answer if r.rdtype == dns.rdatatype.SRV]
            if len(set(ports)) > 1:
                return list(dict.fromkeys(ports))
        return []


def load(path: Path) -> Recording:
    data = json.loads(path.read_text())
    exchanges = tuple(
        Exchange(
            data["scenario"],
            number,
            e["server"],
            e["transport"],
            e["name"],
            e["type"],
            e["edns_payload"],
            bytes.fromhex(e["query_hex"]),
            bytes.fromhex(e["answer_hex"]),
        )
        for number, e in enumerate(data["exchanges"])
    )
    return Recording(data["scenario"], data["objects"], exchanges)


def paths() -> list[Path]:
    """The recordings of DNS; the one of the API's watch has no exchanges."""
    return sorted(path for path in VECTORS.glob("*.json") if '"exchanges"' in path.read_text())


def _metadata(described: Any) -> tuple[str, str]:
    return described["metadata"]["name"], described["metadata"].get("namespace", "default")


def _position(described: Any, exchange: Exchange) -> int:
    """Slices as this answer has them: CoreDNS keeps them in no order."""
    if described["kind"] != "EndpointSlice":
        return -1
    targets = [
        r[0].target.labels[0].decode() for r in exchange.response.answer if hasattr(r[0], "target")
    ]
    first = described["endpoints"][0].get("hostname")
    return targets.index(first) if first in targets else len(targets)


def _ports(described: Any, order: list[int] | None = None) -> tuple[ServicePort, ...]:
    ports = [
        ServicePort(port.get("name", ""), port["port"], port["protocol"])
        for port in described.get("ports", ())
    ]
    if order:
        ports.sort(key=lambda port: order.index(port.number))
    return tuple(ports)


def _add_service(cluster: Cluster, described: Any, recording: Recording) -> None:
    cluster.service(*_metadata(described), ports=_ports(described["spec"], recording.port_order()))


def _add_statefulset(cluster: Cluster, described: Any, recording: Recording) -> None:
    name, namespace = _metadata(described)
    spec = described["spec"]
    annotations = spec["template"]["metadata"].get("annotations", {})
    addresses = recording.addresses()
    for _ in range(int(addresses[0]) - int(FIRST_ADDRESS) if addresses else 0):
        cluster.new_addresses(("ipv4",))  # other scenarios' pods had these
    statefulset = cluster.statefulset(
        name,
        spec["serviceName"],
        spec["replicas"],
        namespace,
        first_ordinal=spec.get("ordinals", {}).get("start", 0),
        ready=annotations.get("test/ready") != "false",
    )
    if addresses:
        assert [pod.addresses[0] for pod in statefulset.pods] == addresses


def _add_deployment(cluster: Cluster, described: Any, recording: Recording) -> None:
    name, namespace = _metadata(described)
    assert described["spec"]["replicas"] == len(recording.addresses())
    for address in recording.addresses():
        cluster.endpoint(name, addresses=[address], namespace=namespace)


def _add_slice(cluster: Cluster, described: Any, recording: Recording) -> None:
    service = described["metadata"]["labels"]["kubernetes.io/service-name"]
    for endpoint in described["endpoints"]:
        cluster.endpoint(
            service,
            endpoint.get("hostname"),
            endpoint["addresses"],
            endpoint["conditions"]["ready"],
            _ports(described),
        )


_ADD = {
    "Service": _add_service,
    "StatefulSet": _add_statefulset,
    "Deployment": _add_deployment,
    "EndpointSlice": _add_slice,
}


def _add_generated(cluster: Cluster, count: int, exchange: Exchange) -> None:
    """Slices of a hundred, in the order in which this answer gives them."""
    service = f"scale{count}"
    cluster.service(service, ports={"mysql": 3306})
    seen = [
        int(record[0].target.labels[0].split(b"-")[1])
        for record in exchange.response.answer
        if record.rdtype == dns.rdatatype.SRV
    ]
    slices = dict.fromkeys([ordinal // SLICE for ordinal in seen])
    slices |= dict.fromkeys(range((count + SLICE - 1) // SLICE))
    for ordinal in _members(slices, count):
        address = f"10.245.{ordinal // 250}.{ordinal % 250 + 1}"
        cluster.endpoint(service, f"mysql-{ordinal}", [address])


def _members(slices: dict[int, None], count: int) -> Iterator[int]:
    for number in slices:
        yield from range(number * SLICE, min(count, (number + 1) * SLICE))
