"""Broken set-ups of rarer kinds: each is named, and following the suggested fix ends it."""

from __future__ import annotations

import asyncio

import pytest

from peerdisco.doctor.findings import Status
from peerdisco.testing.state import ServicePort

from .test_broken import mended
from .world import CLUSTER_DNS, Server, World, one, wrong

PROBLEM, WARNING, UNKNOWN = Status.PROBLEM, Status.WARNING, Status.UNKNOWN
FULL = "my-database.default.svc.cluster.local"


# --- resolv.conf


@pytest.mark.parametrize("server", ["fe80::1", "fe80:0:0:0::53"])
async def test_a_link_local_server_without_its_interface(world: World, server: str) -> None:
    world.pod["dnsPolicy"] = "Default"
    world.node_resolv_conf = f"nameserver {server}\nsearch example.com\n"
    await mended(world, "resolv-conf-nameservers", PROBLEM, FULL, says="link-local address without")


async def test_a_second_server_that_is_link_local(world: World) -> None:
    world.pod["dnsConfig"] = {"nameservers": ["fe80::1"]}
    finding = await mended(world, "resolv-conf-nameservers", WARNING, says="fe80::1 is a link")
    assert finding.facts["link_local"] == ["fe80::1"]


async def test_a_link_local_server_of_an_interface_that_the_pod_does_not_have(
    world: World,
) -> None:
    world.pod["env"]["PEERDISCO_NAMESERVERS"] = "fe80::1%no-such0"
    finding = await mended(
        world, "nameserver-udp", PROBLEM, says="no interface",
        operator=lambda: world.pod["env"].update(PEERDISCO_NAMESERVERS=world.dns.nameserver),
    )  # fmt: skip
    assert finding.fix is not None
    assert "Nothing listens" not in finding.fix.text


@pytest.mark.parametrize(
    ("searches", "says"),
    [
        ([f"team-{n}.example.com" for n in range(4)], "7 domains"),
        ([f"team-{n}.example.com" for n in range(29)], "the kubelet may have left out more"),
        ([f"{'t' * 60}.{'u' * 60}.{'v' * 60}.example.com"], "4 domains"),
        ([f"{'t' * 60}.{'u' * 60}.{n}.example.com" for n in range(15)], "left out more"),
    ],
)
async def test_a_search_list_that_is_too_long(world: World, searches: list[str], says: str) -> None:
    world.pod["dnsConfig"] = {"searches": searches}
    await mended(world, "resolv-conf-search", WARNING, says=says)


async def test_a_search_list_at_the_limit(world: World) -> None:
    world.pod["dnsConfig"] = {"searches": [f"team-{n}.example.com" for n in range(3)]}
    assert wrong(await world.doctor()) == []


@pytest.mark.parametrize("ndots", ["0", "1"])
async def test_too_few_dots(world: World, ndots: str) -> None:
    world.pod["dnsConfig"] = {"options": [{"name": "ndots", "value": ndots}]}
    await mended(world, "resolv-conf-ndots", WARNING, says=f"ndots is {ndots}")


# --- name servers


@pytest.mark.parametrize("fault", ["refused", "servfail", "garbage"])
async def test_a_server_that_fails_over_tcp_alone(world: World, fault: str) -> None:
    world.dns.fail(fault, transport="tcp")  # type: ignore[arg-type]
    await mended(world, "nameserver-tcp", WARNING, says="but fails over TCP",
                 operator=world.dns.restore)  # fmt: skip


async def test_a_server_that_refuses_tcp_where_it_is_needed(world: World) -> None:
    world.mysql.scale(40)
    world.dns.fail("refused", transport="tcp")
    await mended(world, "nameserver-tcp", PROBLEM, says="but fails over TCP: REFUSED",
                 operator=world.dns.restore)  # fmt: skip


class UdpAlone(asyncio.DatagramProtocol):
    """The cluster's DNS without a socket for TCP."""

    def __init__(self, dns: Server) -> None:
        self._dns = dns

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(self._dns._react(data, "udp").reply or b"", addr)


async def test_a_server_that_does_not_listen_on_tcp(world: World) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: UdpAlone(world.dns), local_addr=("127.0.0.1", 0)
    )
    port = transport.get_extra_info("sockname")[1]
    world.servers[CLUSTER_DNS] = f"127.0.0.1:{port}"
    try:
        finding = await mended(
            world, "nameserver-tcp", WARNING, says="connection refused",
            operator=lambda: world.servers.update({CLUSTER_DNS: world.dns.nameserver}),
        )  # fmt: skip
    finally:
        transport.close()
    assert finding.fix is not None
    assert "needs port 53 for TCP as well as for UDP" in finding.fix.text


@pytest.mark.parametrize("fault", ["refused", "servfail"])
async def test_a_server_that_fails_over_udp_alone(world: World, fault: str) -> None:
    world.dns.fail(fault, transport="udp")  # type: ignore[arg-type]
    await mended(world, "nameserver-udp", PROBLEM, says=fault.upper(),
                 operator=world.dns.restore)  # fmt: skip


async def test_a_server_that_rejects_edns(world: World) -> None:
    async with Server(world.dns.cluster) as old:
        old.edns = "rejected"
        world.pod["env"]["PEERDISCO_NAMESERVERS"] = old.nameserver
        await mended(
            world, "nameserver-edns", WARNING, says="rejects EDNS (FORMERR)",
            operator=lambda: world.pod["env"].update(PEERDISCO_NAMESERVERS=world.dns.nameserver),
        )  # fmt: skip


# --- the service


@pytest.mark.parametrize("rtypes", [("A",), ("A", "AAAA")])
async def test_nxdomain_for_addresses_of_a_name_with_srv_records(
    world: World, rtypes: tuple[str, ...]
) -> None:
    for rtype in rtypes:
        world.dns.fail("nxdomain", rtype=rtype)
    finding = await mended(
        world, "address-records", WARNING, says=f"NXDOMAIN for {' and '.join(rtypes)} my-database",
        operator=world.dns.restore,
    )  # fmt: skip
    assert "do not find it" in finding.why


async def test_no_addresses_of_a_name_with_srv_records(world: World) -> None:
    world.dns.without = {"A", "AAAA"}
    await mended(world, "address-records", WARNING, says="0 A and 0 AAAA records",
                 operator=world.dns.without.clear)  # fmt: skip


async def test_a_service_without_selector_and_endpoints(world: World) -> None:
    """An operator adds what the manifest of the fix has."""
    world.dns.cluster.delete_service("my-database")
    world.dns.service("my-database", publish_not_ready_addresses=False)
    world.governing = None
    finding = await mended(
        world, "service-exists", PROBLEM, FULL, says="does not exist",
        operator=lambda: world.dns.cluster.put_behind("my-database", "default", world.mysql),
    )  # fmt: skip
    assert finding.fix is not None
    assert "or it has no selector" in finding.fix.text
    assert "selector: {app: my-database}" in finding.fix.yaml


async def test_a_service_without_selector_whose_name_is_like_another(world: World) -> None:
    world.dns.service("my-databases")
    finding = await mended(world, "service-exists", PROBLEM, "my-databases", says="did you mean")
    assert finding.fix is not None
    assert "its selector" in finding.fix.text
    assert "kubectl get service my-databases --namespace default" in finding.fix.command


async def test_endpoints_by_hand_without_host_names(world: World) -> None:
    world.dns.endpoint("my-database-hand", None, ["10.244.0.3"])
    await mended(world, "governing-service", PROBLEM, "my-database-hand", says="10-244-0-3")


@pytest.mark.parametrize("target", ["db.default.svc.cluster.local.", "10.1.2.3."])
async def test_an_alias_that_leads_nowhere(world: World, target: str) -> None:
    world.dns.not_headless["db"] = ("CNAME", target)
    await mended(world, "service-headless", PROBLEM, "db", says="is an alias")


async def test_an_alias_of_an_alias(world: World) -> None:
    world.dns.not_headless["db"] = ("CNAME", "db2.default.svc.cluster.local.")
    world.dns.not_headless["db2"] = ("CNAME", f"{FULL}.")
    fix = one(await world.doctor("db"), "service-headless", PROBLEM).fix
    assert fix is not None
    world.follow(fix)
    await mended(world, "service-headless", PROBLEM, *world.words, says="is an alias")


async def test_two_statefulsets_of_which_one_is_the_pods_own(world: World) -> None:
    world.dns.statefulset("kafka", service="my-database")
    findings = await world.doctor()
    assert wrong(findings) == []
    assert "the ordinals of mysql count" in one(findings, "statefulset", Status.OK).found


# --- families


def dual(world: World) -> None:
    """The pod has addresses of both families."""
    world.fields["status.podIPs"] = f"{world.fields['status.podIP']},fd00:10:244::3"
    world.pod["env"]["POD_IPS"] = {"fieldPath": "status.podIPs"}


async def test_a_service_of_one_family_for_pods_of_two(world: World) -> None:
    dual(world)
    world.dns.cluster.take_away(world.mysql)
    one_family = world.dns.endpoint("my-database", "mysql-0", [world.fields["status.podIP"]])

    def both() -> None:
        one_family.remove()
        addresses = world.fields["status.podIPs"].split(",")
        world.dns.endpoint("my-database", "mysql-0", addresses)

    world.dual_stack = both
    finding = await mended(world, "address-families", WARNING, says="lists no IPv6 addresses")
    assert finding.facts["missing"] == "IPv6"


async def test_a_pod_of_one_family_among_pods_of_two(world: World) -> None:
    world.dns.endpoint("db", "db-0", ["10.244.1.1", "fd00::1"])
    old = world.dns.endpoint("db", "db-1", ["10.244.1.2"])
    finding = await mended(
        world, "address-families", WARNING, "db", says="db-1 has no IPv6 address",
        operator=lambda: (old.remove(),
                          world.dns.endpoint("db", "db-1", ["10.244.1.3", "fd00::3"])),
    )  # fmt: skip
    assert finding.fix is not None
    assert "one pod at a time" in finding.fix.text


async def test_a_client_of_two_families_needs_no_second_one(world: World) -> None:
    dual(world)
    world.fields["metadata.name"] = world.hostname = "web-5d8f7-abcde"
    world.governing = None
    world.pod |= {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
    world.fields["status.podIPs"] = "10.244.7.7,fd00::7"
    del world.pod["env"]["POD_IP"]
    assert wrong(await world.doctor("my-database")) == []


# --- names


@pytest.mark.parametrize("way", ["argument", "PEERDISCO_SERVICE", "POD_NAME", "port"])
async def test_upper_case_is_the_same_in_dns(world: World, way: str) -> None:
    words = ["my-database"]
    if way == "argument":
        words = ["My-Database.Default.SVC.Cluster.Local"]
    elif way == "port":
        world.dns.cluster.delete_service("my-database")
        world.dns.service("my-database", ports=[ServicePort("mysql", 3306)])
        world.dns.cluster.put_behind("my-database", "default", world.mysql)
        words += ["--port-name", "MySQL"]
    else:
        world.pod["env"][way] = {"PEERDISCO_SERVICE": "MY-DATABASE", "POD_NAME": "MYSQL-0"}[way]
        words = []
    assert wrong(await world.doctor(*words)) == []


@pytest.mark.parametrize(
    ("variable", "value"), [("PEERDISCO_STATEFULSET", "MySQL"), ("POD_NAMESPACE", "Default")]
)
async def test_upper_case_that_kubernetes_does_not_allow(
    world: World, variable: str, value: str
) -> None:
    world.pod["env"][variable] = value
    finding = await mended(world, "configuration", PROBLEM, says=f"{variable}: got '{value}'")
    assert "lower" in finding.found


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("a" * 64, "at most 63 between dots"),
        (".".join(["a" * 63, "b" * 63, "svc", "c" * 63, "d" * 63]), "at most 253 characters"),
    ],
)
async def test_a_name_that_is_too_long(world: World, value: str, says: str) -> None:
    world.pod["env"]["PEERDISCO_SERVICE"] = value
    await mended(world, "configuration", PROBLEM, says=says)


async def test_the_longest_names_that_are_allowed() -> None:
    async with Server() as dns:
        name, space, service = "m" * 61, "n" * 63, "s" * 63
        world = World(dns, dns.statefulset(name, service=service, namespace=space, replicas=3))
        world.fields |= {"metadata.name": f"{name}-0", "metadata.namespace": space}
        world.hostname, world.governing = f"{name}-0", service
        assert wrong(await world.doctor()) == []
