"""Every recording, through the public API and through the command.

What was recorded from a real cluster comes out: the peers, ordinals, addresses, ports, whether the
list is complete, and the primary. What is expected stands in the table below by hand, but for the
addresses, which dnspython reads out of the recordings.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from ipaddress import ip_address

import dns.message
import dns.rdatatype
import pytest

import peerdisco
from peerdisco.cli import main
from peerdisco.membership.snapshots import SnapshotBuilder
from peerdisco.model import Answered
from peerdisco.names import parse_nameserver, parse_service
from peerdisco.sources.headless_dns import HeadlessDNS
from peerdisco.sources.once import snapshot_from_observation

from .replay import SCENARIOS, Replay, load, recorded, refuse


@dataclass(frozen=True)
class Expected:
    names: list[str]
    ports: dict[str, int]
    primary: str | None = None
    complete: bool = True
    others: str = ""
    """What else stands behind the service."""


def ordinals(name: str, numbers: range) -> list[str]:
    return [f"{name}-{number}" for number in numbers]


LONG = "cockroachdb-production-eu-west-1-primary-storage-c"

EXPECTED = {
    "all-not-ready": Expected([], {}),
    "dashed-address-only": Expected([f"10-246-5-{n}" for n in range(3)], {"": 3306}),
    "deployment-no-hostnames": Expected([f"10-244-0-{n}" for n in (18, 19, 20)], {"": 3306}),
    "dual-stack": Expected(ordinals("db", range(3)), {"": 3306}, "db-0"),
    "endpoint-in-two-slices": Expected(ordinals("db", range(3)), {"": 3306}, "db-0"),
    "ipv6-only": Expected(ordinals("db", range(3)), {"": 3306}, "db-0"),
    "long-names": Expected(ordinals(LONG, range(12)), {"": 3306}, f"{LONG}-0"),
    "no-ports": Expected(ordinals("noport", range(2)), {}, "noport-0"),
    "ordinals-start-5": Expected(ordinals("startfive", range(5, 8)), {"": 3306}),
    "scale-10-pods": Expected(ordinals("mysql", range(10)), {"": 3306}, "mysql-0"),
    "scale-100-pods": Expected(ordinals("mysql", range(100)), {"": 3306}, "mysql-0"),
    "scale-700-pods": Expected(ordinals("mysql", range(700)), {"": 3306}, "mysql-0"),
    "scale-1000-pods": Expected(ordinals("mysql", range(1000)), {"": 3306}, "mysql-0", False),
    # These answers were truncated; their names are read from the recordings.
    "scale-2000-pods": Expected([], {"": 3306}, "mysql-0", False),
    "scale-5000-pods": Expected([], {"": 3306}, "mysql-0", False),
    "scaled-to-zero": Expected([], {}),
    "seed-three-pods": Expected(ordinals("mysql", range(3)), {"": 3306}, "mysql-0"),
    "target-port-differs": Expected(ordinals("db", range(2)), {"": 3306}, "db-0"),
    "two-named-ports": Expected(
        ordinals("named", range(3)), {"3306": 3306, "9104": 9104}, "named-0"
    ),
}


NOBODY = ("all-not-ready", "scaled-to-zero")


def service_of(scenario: str) -> str:
    return load(scenario)["exchanges"][0]["name"]


def recorded_addresses(scenario: str, server: str) -> dict[str, list[str]]:
    """The addresses by pod, as dnspython reads them from the whole SRV answer."""
    answer = recorded(scenario, server).get((service_of(scenario), "SRV", "tcp"))
    assert answer is not None
    addresses: dict[str, list[str]] = {}
    message = dns.message.from_wire(answer)
    for rrset in message.answer:
        for record in rrset:
            if record.rdtype == dns.rdatatype.SRV:
                addresses.setdefault(record.target.labels[0].decode(), [])
    for rrset in message.additional:
        for record in rrset:
            addresses[rrset.name.labels[0].decode()].append(record.address)
    for (name, rtype, transport), single in recorded(scenario, server).items():
        label = name.partition(".")[0]
        if rtype in ("A", "AAAA") and transport == "tcp" and addresses.get(label) == []:
            found = dns.message.from_wire(single).answer
            addresses[label] = [record.address for rrset in found for record in rrset]
    return {name: sorted(found, key=lambda a: (":" in a, a)) for name, found in addresses.items()}


# The recordings of `no-ports` hold no PTR; these are the ones that CoreDNS would have given.
NO_PORTS = {"9.0.244.10.in-addr.arpa": "noport-0", "10.0.244.10.in-addr.arpa": "noport-1"}


def pointer(query: bytes, transport: str) -> bytes:
    message = dns.message.from_wire(query)
    question = message.question[0]
    name = NO_PORTS.get(question.name.to_text(omit_final_dot=True))
    if name is None or question.rdtype != dns.rdatatype.PTR:
        return refuse(query, transport)
    response = dns.message.make_response(message)
    target = f"{name}.noport.default.svc.cluster.local."
    response.answer.append(dns.rrset.from_text(question.name, 5, "IN", "PTR", target))
    return response.to_wire()


def replay(scenario: str, server: str = "nocache", *, tcp: bool = True) -> Replay:
    fallback = pointer if scenario == "no-ports" else refuse
    return Replay(recorded(scenario, server), tcp=tcp, fallback=fallback)


def check(scenario: str, server: str, snapshot: peerdisco.Snapshot) -> None:
    expected = EXPECTED[scenario]
    addresses = {"noport-0": ["10.244.0.9"], "noport-1": ["10.244.0.10"]}
    if scenario != "no-ports":
        addresses = recorded_addresses(scenario, server)
    assert {peer.name: [str(a) for a in peer.addresses] for peer in snapshot} == addresses
    if expected.names:
        assert [peer.name for peer in snapshot] == expected.names
    for peer in snapshot:
        statefulset, _, ordinal = peer.name.rpartition("-")
        if peer.name.startswith("10-"):
            assert (peer.statefulset, peer.ordinal) == (None, None)
        else:
            assert (peer.statefulset, peer.ordinal) == (statefulset, int(ordinal))
        assert peer.hostname == f"{peer.name}.{service_of(scenario)}"
        number = 3307 if (scenario, peer.name) == ("target-port-differs", "db-1") else None
        assert dict(peer.ports) == ({"": number} if number else expected.ports)
        assert peer.ready is None
    assert snapshot.complete is expected.complete
    assert (snapshot.primary.name if snapshot.primary else None) == expected.primary
    assert snapshot.service == service_of(scenario)


SERVERS = [
    (scenario, server)
    for scenario in SCENARIOS
    for server in ("cache", "nocache")
    if recorded(scenario, server)
]


def test_every_recording_is_expected() -> None:
    assert sorted(EXPECTED) == SCENARIOS


# The recording of a thousand pods refuses all but one of the further questions that it takes; a
# lookup through c-ares need not send that one, once so many others were refused.
ASKED = [
    (scenario, server, resolver)
    for scenario, server in SERVERS
    for resolver in ("builtin", "aiodns")
    if (scenario, resolver) != ("scale-1000-pods", "aiodns")
]


@pytest.mark.parametrize(("scenario", "server", "resolver"), ASKED)
async def test_peers_come_out_as_recorded(scenario: str, server: str, resolver: str) -> None:
    """Over UDP first, and over TCP if the answer was truncated."""
    with replay(scenario, server) as dns_:
        lookup = peerdisco.discover(
            service_of(scenario), nameservers=[dns_.nameserver], resolver=resolver, timeout=20
        )
        if scenario in NOBODY:
            with pytest.raises(peerdisco.ServiceNotFound) as caught:
                await lookup
            assert caught.value.service == service_of(scenario)
            assert (len(caught.value.snapshot), caught.value.snapshot.complete) == (0, True)
        else:
            check(scenario, server, await lookup)


@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if EXPECTED[s].names])
async def test_peers_come_out_as_recorded_over_tcp(scenario: str) -> None:
    """The second lookup of a service whose first answer was truncated uses TCP at once."""
    service = parse_service(service_of(scenario))
    with replay(scenario) as dns_:
        source = HeadlessDNS(service, [parse_nameserver(dns_.nameserver)])
        source._large = True
        try:
            first = await source.observe(timeout=20)
            second = await source.observe(timeout=20)
        finally:
            await source.aclose()
    assert {key[2] for key in dns_.asked if key[1] == "SRV"} == {"tcp"}
    for observation in (first, second):
        assert isinstance(observation, Answered)
        check(
            scenario,
            "nocache",
            snapshot_from_observation(observation, service.fqdn, SnapshotBuilder()),
        )
    assert isinstance(first, Answered)
    assert isinstance(second, Answered)
    unchanged = {id(peer) for peer in first.peers} & {id(peer) for peer in second.peers}
    assert len(unchanged) == len(first.peers), "a peer that did not change is the same object"


@pytest.mark.parametrize("scenario", ["long-names", "scale-100-pods", "scale-5000-pods"])
async def test_without_tcp_a_cut_answer_is_said_to_be_incomplete(scenario: str) -> None:
    truncated = recorded(scenario)[service_of(scenario), "SRV", "udp"]
    names = {r.target.labels[0].decode() for r in dns.message.from_wire(truncated).answer[0]}
    with replay(scenario, tcp=False) as dns_:
        snapshot = await peerdisco.discover(service_of(scenario), nameservers=[dns_.nameserver])
    assert {peer.name for peer in snapshot} == names
    assert not snapshot.complete
    assert "the server does not answer over TCP" in str(snapshot.incomplete_reason)
    with pytest.raises(peerdisco.IncompleteAnswer):
        snapshot.require_complete()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_command_prints_as_recorded(
    scenario: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("POD_NAME", "POD_NAMESPACE", "PEERDISCO_SOURCE"):
        monkeypatch.delenv(variable, raising=False)
    expected = EXPECTED[scenario]
    with replay(scenario) as dns_:
        options = ["-o", "json", "--nameserver", dns_.nameserver, "--timeout", "20"]
        status = main(["peers", service_of(scenario), *options])
    printed, complaints = capsys.readouterr()
    result = json.loads(printed)
    if scenario in NOBODY:
        assert status == 3
        assert (result["peers"], result["primary"], result["complete"]) == ([], None, True)
        assert "publishNotReadyAddresses" in complaints
        return
    assert status == (0 if expected.complete else 4)
    assert result["service"] == service_of(scenario)
    assert result["complete"] is expected.complete
    assert result["stale"] is False
    assert result["primary"] == expected.primary
    assert result["local"] is None
    assert bool(complaints) is not expected.complete
    snapshot = peerdisco.Snapshot(
        result["service"],
        tuple(
            peerdisco.Peer(
                name=peer["name"],
                ordinal=peer["ordinal"],
                statefulset=peer["statefulset"],
                hostname=peer["hostname"],
                addresses=tuple(map(ip_address, peer["addresses"])),
                ports=peerdisco.Ports(peer["ports"]),
                ready=peer["ready"],
            )
            for peer in result["peers"]
        ),
        incomplete_reason=result["incomplete_reason"],
    )
    check(scenario, "nocache", snapshot)


def test_the_seed_example_as_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the design promises of ``peerdisco peers my-database -o json`` inside a pod."""
    for variable in ("PEERDISCO_SOURCE", "POD_NAME"):
        monkeypatch.delenv(variable, raising=False)
    with replay("seed-three-pods") as dns_:
        monkeypatch.setenv("PEERDISCO_NAMESERVERS", dns_.nameserver)
        monkeypatch.setenv("PEERDISCO_CLUSTER_DOMAIN", "cluster.local")
        monkeypatch.setenv("POD_NAMESPACE", "default")
        done = subprocess.run(
            [sys.executable, "-m", "peerdisco", "peers", "my-database", "-o", "json"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    promised = {"service", "complete", "stale", "primary", "local", "peers"}
    assert promised <= set(result)
    # More keys may come; those that are promised hold what was recorded.
    first = {
        "name": "mysql-0",
        "ordinal": 0,
        "statefulset": "mysql",
        "hostname": "mysql-0.my-database.default.svc.cluster.local",
        "addresses": ["10.244.0.3"],
        "ports": {"": 3306},
        "ready": None,
    }
    assert first.items() <= result["peers"][0].items()
    assert [peer["name"] for peer in result["peers"]] == ["mysql-0", "mysql-1", "mysql-2"]
    assert (result["service"], result["primary"]) == (
        "my-database.default.svc.cluster.local",
        "mysql-0",
    )
    assert (result["complete"], result["stale"], result["local"]) == (True, False, None)


async def test_port_name_asks_for_that_port_alone() -> None:
    with replay("two-named-ports") as dns_:
        for name, number in (("mysql", 3306), ("metrics", 9104)):
            snapshot = await peerdisco.discover(
                service_of("two-named-ports"), nameservers=[dns_.nameserver], port_name=name
            )
            assert [dict(peer.ports) for peer in snapshot] == [{name: number}] * 3
    assert [key[0].partition(".")[0] for key in dns_.asked] == ["_mysql", "_metrics"]


async def test_a_port_name_that_does_not_exist_is_not_found() -> None:
    with replay("seed-three-pods") as dns_:
        lookup = peerdisco.discover(
            "my-database.default.svc.cluster.local",
            nameservers=[dns_.nameserver],
            port_name="mysql",
        )
        with pytest.raises(peerdisco.ServiceNotFound, match="no port named 'mysql'"):
            await lookup


async def test_the_primary_of_ordinals_that_start_at_five() -> None:
    with replay("ordinals-start-5") as dns_:
        snapshot = await peerdisco.discover(
            service_of("ordinals-start-5"),
            nameservers=[dns_.nameserver],
            primary=peerdisco.ordinal(5),
        )
    assert snapshot.primary is snapshot.peers[0]
    assert snapshot.primary.name == "startfive-5"
    assert [peer.ordinal for peer in snapshot.replicas] == [6, 7]
    assert snapshot.missing == ()


async def test_the_question_is_fully_qualified_and_asked_once() -> None:
    """Neither search lists nor ndots play a part: one exchange enumerates a service."""
    with replay("seed-three-pods") as dns_:
        await peerdisco.discover(
            "my-database",
            namespace="default",
            cluster_domain="cluster.local",
            nameservers=[dns_.nameserver],
        )
    assert dns_.asked == [("my-database.default.svc.cluster.local", "SRV", "udp")]
