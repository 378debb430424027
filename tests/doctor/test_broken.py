"""Broken set-ups: each is named, and following the suggested fix ends it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shlex
from collections.abc import Callable

import pytest

from peerdisco.doctor.findings import Finding, Status
from peerdisco.testing import ClusterDNS
from peerdisco.testing.cluster import Cluster
from peerdisco.testing.responder import Responder
from peerdisco.testing.state import ServicePort
from tests.doctor.world import CLUSTER_DNS, NODE_DNS, Server, World, later, one, status_of, wrong

PROBLEM, WARNING, UNKNOWN = Status.PROBLEM, Status.WARNING, Status.UNKNOWN


async def mended(
    world: World,
    check: str,
    status: Status,
    *words: str,
    says: str,
    operator: Callable[[], object] | None = None,
    leaves: set[str] = frozenset(),  # type: ignore[assignment]
) -> Finding:
    """The finding of a broken set-up, after its fix was followed and found to work.

    Args:
        world: The set-up.
        check: The check that finds it.
        status: The status of the finding.
        words: The arguments of the command.
        says: A part of what was found.
        operator: What an operator does where the fix describes work that is not a command.
        leaves: Other checks that are not ok afterwards.
    """
    world.words = list(words)
    findings = await world.doctor(*words)
    finding = one(findings, check, status)
    assert says in finding.found, finding.found
    assert status_of(findings) == (1 if status is PROBLEM else status_of(findings))
    assert finding.fix is not None
    world.follow(finding.fix)
    if operator is not None:
        operator()
    after = await world.doctor(*world.words)
    assert {finding.check for finding in wrong(after)} <= leaves, wrong(after)
    return finding


async def test_a_sound_set_up_has_nothing_to_mend(world: World) -> None:
    findings = await world.doctor()
    assert wrong(findings) == []
    assert status_of(findings) == 0
    assert len({finding.check for finding in findings}) > 15


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89])
async def test_a_cancelled_examination_leaves_nothing(world: World, steps: int) -> None:
    """At every stage: queries that are out, samples, lookups, and the names of addresses."""
    task = asyncio.create_task(world.doctor("my-databse", "--port-name", "mysql"))
    for _ in range(steps):
        await asyncio.sleep(0.001)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    running = {str(task.get_coro()) for task in asyncio.all_tasks()}
    assert not [text for text in running if "doctor." in text or "dns.query" in text], running


# --- the pod


async def test_no_pod_name(world: World) -> None:
    del world.pod["env"]["POD_NAME"]
    world.hostname = "elsewhere-7"
    await mended(world, "identity-pod-name", PROBLEM, says="elsewhere-7")


async def test_host_network_hides_the_name(world: World) -> None:
    world.pod |= {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
    del world.pod["env"]["POD_NAME"]
    finding = await mended(world, "identity-pod-name", PROBLEM, "my-database", says="hostNetwork")
    assert finding.fix is not None
    assert "status.podIP" in finding.fix.yaml


async def test_the_name_of_another_pod(world: World) -> None:
    world.pod["env"]["POD_NAME"] = "mysql-1"
    await mended(world, "identity-pod-name", PROBLEM, "my-database", says="conflicting values")


async def test_a_namespace_that_is_not_the_pods_own(world: World) -> None:
    world.pod["env"]["POD_NAMESPACE"] = "prod"
    finding = await mended(world, "identity-namespace", WARNING, "my-database.default",
                           says="prod (POD_NAMESPACE)")  # fmt: skip
    assert "default" in finding.found


async def test_a_cluster_domain_that_is_not_the_clusters(world: World) -> None:
    world.pod["env"]["PEERDISCO_CLUSTER_DOMAIN"] = "cluster.example"
    finding = await mended(world, "identity-cluster-domain", WARNING, "my-database",
                           says="cluster.example")  # fmt: skip
    assert "search list" in finding.found


async def test_an_address_that_is_not_the_pods_own(world: World) -> None:
    world.pod["env"]["POD_IP"] = "10.244.9.9"
    await mended(world, "identity-addresses", PROBLEM, says="10.244.9.9 (POD_IP)")


async def test_no_address(world: World) -> None:
    world.pod |= {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
    del world.pod["env"]["POD_IP"]
    await mended(world, "identity-addresses", UNKNOWN, "my-database", says="not known")


async def test_a_variable_that_is_not_valid(world: World) -> None:
    world.pod["env"]["PEERDISCO_NAMESERVERS"] = "kube-dns.kube-system"
    await mended(world, "configuration", PROBLEM, says="PEERDISCO_NAMESERVERS")


async def test_two_things_that_are_wrong_are_both_named(world: World) -> None:
    world.pod["env"]["PEERDISCO_NAMESERVERS"] = "kube-dns.kube-system"
    del world.pod["env"]["POD_NAME"]
    world.hostname = "elsewhere-7"
    findings = await world.doctor("my-database")
    for check in ("configuration", "identity-pod-name"):
        fix = one(findings, check, PROBLEM).fix
        assert fix is not None
        world.follow(fix)
    assert wrong(await world.doctor("my-database")) == []


async def test_no_namespace(world: World) -> None:
    world.pod["env"] = {}
    world.pod |= {"hostNetwork": True, "dnsPolicy": "Default"}
    words = ("--nameserver", world.dns.nameserver, "--cluster-domain", "cluster.local")
    finding = one(await world.doctor("my-database", *words), "configuration", PROBLEM)
    assert "cannot determine the namespace" in finding.found
    after = await world.doctor("my-database.default", *words)
    assert one(after, "service-exists", Status.OK)
    assert "configuration" not in {finding.check for finding in after}


async def test_a_source_that_does_not_exist(world: World) -> None:
    world.pod["env"]["PEERDISCO_SOURCE"] = "endpoints"
    await mended(world, "configuration", PROBLEM, says="PEERDISCO_SOURCE")


async def test_a_pod_name_that_is_not_valid(world: World) -> None:
    world.pod["env"]["POD_NAME"] = "My Pod"
    del world.pod["env"]["POD_NAMESPACE"]
    await mended(world, "configuration", PROBLEM, "my-database", says="POD_NAME")


async def test_no_cluster_domain(world: World) -> None:
    world.pod |= {"hostNetwork": True, "dnsPolicy": "Default"}
    world.node_resolv_conf = f"nameserver {CLUSTER_DNS}\nsearch example.com\noptions ndots:5\n"
    await mended(world, "configuration", PROBLEM, "my-database", says="cluster domain",
                 leaves={"resolv-conf-search", "resolv-conf-ndots"})  # fmt: skip


# --- resolv.conf


async def test_the_nodes_dns_in_place_of_the_clusters(world: World) -> None:
    world.pod["dnsPolicy"] = "Default"
    async with ClusterDNS() as node:
        node.fail("foreign")
        world.servers[NODE_DNS] = node.nameserver
        await mended(world, "nameserver-zone", PROBLEM, says="does not serve cluster.local")


async def test_the_search_list_of_the_node(world: World) -> None:
    world.pod["dnsPolicy"] = "Default"
    world.servers[NODE_DNS] = world.dns.nameserver
    await mended(world, "resolv-conf-search", WARNING, says="example.com")


async def test_host_network_without_the_clusters_dns(world: World) -> None:
    world.pod |= {"hostNetwork": True}
    async with ClusterDNS() as node:
        node.fail("refused")
        world.servers[NODE_DNS] = node.nameserver
        words = ("my-database.default.svc.cluster.local",)
        finding = await mended(world, "nameserver-zone", PROBLEM, *words, says="REFUSED")
        assert finding.fix is not None
        assert finding.fix.yaml == "dnsPolicy: ClusterFirstWithHostNet"


async def test_ndots_of_one(world: World) -> None:
    world.pod["dnsConfig"] = {"options": [{"name": "ndots", "value": "1"}]}
    await mended(world, "resolv-conf-ndots", WARNING, says="ndots is 1")


async def test_a_name_server_that_is_no_address(world: World) -> None:
    world.pod["dnsConfig"] = {"nameservers": ["dns.example.com"]}
    await mended(world, "resolv-conf-nameservers", WARNING, says="'dns.example.com'")


async def test_more_name_servers_than_are_used(world: World) -> None:
    extra = ["10.96.0.11", "10.96.0.12", "10.96.0.13"]
    world.servers |= dict.fromkeys(extra, world.dns.nameserver)
    world.pod["dnsConfig"] = {"nameservers": extra}
    await mended(world, "resolv-conf-nameservers", WARNING, says="10.96.0.13:53")


async def test_no_name_server(world: World) -> None:
    world.pod |= {"dnsPolicy": "None", "dnsConfig": {"searches": ["example.com"]}}
    words = ("my-database.default.svc.cluster.local",)
    await mended(world, "resolv-conf-nameservers", PROBLEM, *words, says="no name server")


# --- name servers


async def test_a_second_server_outside_the_cluster(world: World) -> None:
    async with ClusterDNS() as public:
        public.fail("foreign")
        world.servers["1.1.1.1"] = public.nameserver
        world.pod["dnsConfig"] = {"nameservers": ["1.1.1.1"]}
        await mended(world, "nameserver-zone", WARNING, says="NXDOMAIN of the zone '.'")


async def test_a_second_server_that_is_down(world: World) -> None:
    async with ClusterDNS() as gone:
        world.servers["10.96.0.11"] = gone.nameserver
    world.pod["dnsConfig"] = {"nameservers": ["10.96.0.11"]}
    await mended(world, "nameserver-udp", WARNING, says="connection refused")


async def test_a_silent_first_server_hides_nothing_of_the_second(world: World) -> None:
    async with ClusterDNS() as silent:
        silent.fail("drop")
        world.servers |= {CLUSTER_DNS: silent.nameserver, "10.96.0.11": world.dns.nameserver}
        world.pod["dnsConfig"] = {"nameservers": ["10.96.0.11"]}
        finding = await mended(world, "nameserver-udp", WARNING, says="no reply in time")
        assert finding.facts["server"] == silent.nameserver


async def test_every_server_is_down(world: World) -> None:
    async with ClusterDNS() as gone:
        address = gone.nameserver
    world.pod["env"]["PEERDISCO_NAMESERVERS"] = address
    finding = await mended(
        world, "nameserver-udp", PROBLEM, says="connection refused",
        operator=lambda: world.pod["env"].update(PEERDISCO_NAMESERVERS=world.dns.nameserver),
    )  # fmt: skip
    assert world.printed == [CLUSTER_DNS]
    assert finding.fix is not None


async def test_udp_is_blocked(world: World) -> None:
    world.blocked["UDP"] = world.dns.fail("drop", transport="udp").remove
    await mended(world, "nameserver-udp", PROBLEM, says="not over UDP")


async def test_tcp_is_blocked(world: World) -> None:
    world.blocked["TCP"] = world.dns.fail("drop", transport="tcp").remove
    await mended(world, "nameserver-tcp", WARNING, says="not over TCP")


async def test_tcp_is_blocked_and_needed(world: World) -> None:
    world.mysql.scale(40)
    world.blocked["TCP"] = world.dns.fail("close", transport="tcp").remove
    finding = await mended(world, "nameserver-tcp", PROBLEM, says="not over TCP")
    assert "incomplete" in finding.why


async def test_everything_is_blocked(world: World) -> None:
    faults = {name: world.dns.fail("drop", transport=name) for name in ("udp", "tcp")}  # type: ignore[arg-type]
    world.blocked |= {name.upper(): fault.remove for name, fault in faults.items()}
    await mended(world, "nameserver-udp", PROBLEM, says="does not answer over UDP or TCP")


@pytest.mark.parametrize(("edns", "status"), [("dropped", PROBLEM), ("removed", WARNING)])
async def test_edns_is_lost(world: World, edns: str, status: Status) -> None:
    async with Server(world.dns.cluster) as proxy:
        proxy.edns = edns
        world.pod["env"]["PEERDISCO_NAMESERVERS"] = proxy.nameserver
        await mended(
            world, "nameserver-edns", status, says="EDNS",
            operator=lambda: world.pod["env"].update(PEERDISCO_NAMESERVERS=world.dns.nameserver),
        )  # fmt: skip
        assert world.printed == [CLUSTER_DNS]


async def test_servfail(world: World) -> None:
    world.dns.fail("servfail")
    await mended(world, "nameserver-udp", PROBLEM, says="SERVFAIL", operator=world.dns.restore)


async def test_a_server_that_is_no_dns_server(world: World) -> None:
    world.dns.fail("garbage")
    await mended(world, "nameserver-udp", PROBLEM, says="not a DNS message",
                 operator=world.dns.restore)  # fmt: skip


async def test_the_wrong_cluster_domain(world: World) -> None:
    words = ("my-database.default.svc.cluster.example",)
    finding = await mended(world, "nameserver-zone", PROBLEM, *words,
                           says="does not serve cluster.example")  # fmt: skip
    assert world.words == ["my-database.default.svc.cluster.local"]
    assert "cluster.local" in finding.fix.text  # type: ignore[union-attr]


async def test_the_wrong_cluster_domain_as_an_option(world: World) -> None:
    words = ("--cluster-domain", "cluster.example", "my-database")
    await mended(world, "nameserver-zone", PROBLEM, *words, says="does not serve cluster.example")
    assert world.words[-2:] == ["--cluster-domain", "cluster.local"]


async def test_a_name_server_outside_the_cluster(world: World) -> None:
    async with ClusterDNS() as public:
        public.fail("foreign")
        words = ("my-database", "--nameserver", public.nameserver)
        findings = await world.doctor(*words)
    fix = one(findings, "nameserver-zone", PROBLEM).fix
    assert fix is not None
    world.follow(fix)
    assert world.printed == [CLUSTER_DNS]
    mended = await world.doctor("my-database", "--nameserver", world.dns.nameserver)
    assert wrong(mended) == []


async def test_a_slow_server(world: World) -> None:
    world.dns.delay(0.21)
    await mended(world, "nameserver-latency", WARNING, says="ms or more",
                 operator=world.dns.restore)  # fmt: skip


# --- the service


async def test_a_typing_error_in_the_service(world: World) -> None:
    finding = await mended(world, "service-exists", PROBLEM, "my-databse",
                           says="did you mean my-database.default.svc.cluster.local?")  # fmt: skip
    assert finding.facts["candidates"] == ["my-database.default.svc.cluster.local"]


async def test_a_typing_error_in_the_variable(world: World) -> None:
    world.pod["env"]["PEERDISCO_SERVICE"] = "my-databse"
    findings = await world.doctor()
    fix = one(findings, "service-exists", PROBLEM).fix
    assert fix is not None
    world.follow(fix)
    assert wrong(await world.doctor()) == []


async def test_a_service_in_another_namespace(world: World) -> None:
    world.dns.statefulset("kafka", service="broker", namespace="kafka")
    world.fields["metadata.namespace"] = "kafka"
    words = ("my-database", "--nameserver", world.dns.nameserver)
    await mended(world, "service-exists", PROBLEM, *words, says="my-database.default.svc",
                 leaves={"own-pod"})  # fmt: skip
    assert "--nameserver" in world.words


async def test_no_such_service(world: World) -> None:
    world.dns.cluster.delete_service("my-database")
    finding = await mended(world, "service-exists", PROBLEM, says="does not exist")
    assert finding.fix is not None
    assert "kind: Service" in finding.fix.yaml


async def test_no_pod_is_ready(world: World) -> None:
    world.mysql.set_ready_all(False)
    await mended(world, "service-exists", PROBLEM, says="none of its pods is ready")


async def test_a_cluster_ip(world: World) -> None:
    """The governing service is another one, which the kubelet wrote into the hosts file."""
    world.dns.not_headless["mysql"] = ("A", "10.96.7.7")
    finding = await mended(world, "service-headless", PROBLEM, "mysql", says="10.96.7.7")
    assert "the governing service of this pod is my-database.default" in finding.found


async def test_a_cluster_ip_outside_a_pod(world: World) -> None:
    world.pod["env"] = {}
    world.hostname, world.governing = "laptop", None
    world.dns.not_headless["mysql"] = ("A", "10.96.7.7")
    world.governing = "my-database"
    words = ("mysql.default.svc.cluster.local", "--nameserver", world.dns.nameserver)
    finding = one(await world.doctor(*words), "service-headless", PROBLEM)
    assert finding.fix is not None
    world.follow(finding.fix)
    assert "mysql" in world.dns.not_headless, "the service and its clients are left alone"


async def test_an_alias(world: World) -> None:
    world.dns.not_headless["db"] = ("CNAME", "my-database.default.svc.cluster.local.")
    await mended(world, "service-headless", PROBLEM, "db", says="is an alias")


async def test_no_ports(world: World) -> None:
    world.dns.service("web", ports=())
    world.dns.statefulset("web", service="web")
    words = ("web", "--statefulset", "web")
    await mended(world, "service-ports", WARNING, *words, says="has no ports",
                 leaves={"own-pod"})  # fmt: skip


async def test_no_ports_and_no_reverse_zone(world: World) -> None:
    world.dns.service("web", ports=())
    world.dns.statefulset("web", service="web")
    world.dns.fail("servfail", rtype="PTR")
    words = ("web", "--statefulset", "web")
    await mended(world, "reverse-names", PROBLEM, *words, says="no pod is known by name",
                 leaves={"own-pod"})  # fmt: skip


async def test_not_the_governing_service(world: World) -> None:
    world.mysql.expose("mysql-read")
    finding = await mended(world, "governing-service", PROBLEM, "mysql-read", says="10-244-0-3")
    assert "the governing service of this pod is my-database.default" in finding.found


async def test_not_the_governing_service_outside_a_pod(world: World) -> None:
    world.mysql.expose("mysql-read")
    world.pod["env"] = {}
    world.pod |= {"hostNetwork": True, "dnsPolicy": "Default"}
    tail = ("--nameserver", world.dns.nameserver)
    words = ("mysql-read.default.svc.cluster.local", *tail)
    findings = await world.doctor(*words)
    fix = one(findings, "governing-service", PROBLEM).fix
    assert fix is not None
    world.follow(fix)
    governing = world.printed[-1].split()[1]
    after = await world.doctor(f"{governing}.default.svc.cluster.local", *tail)
    assert one(after, "governing-service", Status.OK)


async def test_several_statefulsets(world: World) -> None:
    world.dns.statefulset("sales", service="both")
    world.dns.statefulset("stock", service="both")
    finding = await mended(world, "statefulset", PROBLEM, "both", says="sales, stock",
                           leaves={"own-pod"})  # fmt: skip
    assert "ambiguous" in finding.why


async def test_a_typing_error_in_the_statefulset(world: World) -> None:
    words = ("my-database", "--statefulset", "mysq")
    await mended(world, "statefulset", PROBLEM, *words, says="did you mean mysql?")


async def test_the_most_similar_statefulset_is_suggested(world: World) -> None:
    world.dns.statefulset("kafka", service="my-database")
    words = ("my-database", "--statefulset", "mysq")
    finding = await mended(world, "statefulset", PROBLEM, *words, says="did you mean mysql?")
    assert finding.facts["statefulsets"] == ["kafka", "mysql"]


async def test_a_typing_error_in_the_statefulset_variable(world: World) -> None:
    world.pod["env"]["PEERDISCO_STATEFULSET"] = "mysq"
    finding = one(await world.doctor(), "statefulset", PROBLEM)
    assert finding.fix is not None
    world.follow(finding.fix)
    assert wrong(await world.doctor()) == []


async def test_a_typing_error_in_the_port(world: World) -> None:
    world.dns.statefulset("shop", service="shop", ports={"mysql": 3306, "metrics": 9104})
    words = ("shop", "--port-name", "mysq1", "--statefulset", "shop")
    finding = await mended(world, "port-name", PROBLEM, *words, says="did you mean mysql (tcp)",
                           leaves={"own-pod"})  # fmt: skip
    assert ["metrics", "tcp"] in finding.facts["candidates"]


async def test_the_wrong_protocol(world: World) -> None:
    world.dns.statefulset("shop", service="shop", ports=[ServicePort("gossip", 7946, "UDP")])
    words = ("shop", "--port-name", "gossip")
    await mended(world, "port-name", PROBLEM, *words, says="gossip (udp)", leaves={"own-pod"})


async def test_a_port_without_any_that_is_similar(world: World) -> None:
    words = ("my-database", "--port-name", "mysql")
    await mended(world, "port-name", PROBLEM, *words, says="has a port 'mysql' (tcp)")


@pytest.mark.parametrize(
    ("names", "wrong_name"), [(("mysql", "metrcs"), "metrcs"), (("mysq", "metrics"), "mysq")]
)
async def test_every_port_name_is_examined(
    world: World, names: tuple[str, ...], wrong_name: str
) -> None:
    world.dns.statefulset("shop", service="shop", ports={"mysql": 3306, "metrics": 9104})
    words = ["shop", "--statefulset", "shop"]
    for name in names:
        words += ["--port-name", name]
    finding = await mended(world, "port-name", PROBLEM, *words, says=f"a port {wrong_name!r}",
                           leaves={"own-pod"})  # fmt: skip
    assert finding.fix is not None
    fixed = shlex.split(finding.fix.command)
    assert [*itertools.pairwise(fixed)].count(("--port-name", "mysql")) == 1
    assert ("--port-name", "metrics") in [*itertools.pairwise(fixed)]


async def test_two_wrong_port_names_are_two_findings(world: World) -> None:
    world.dns.statefulset("shop", service="shop", ports={"mysql": 3306})
    words = ("shop", "--statefulset", "shop", "--port-name", "mysq", "--port-name", "http2")
    findings = [f for f in await world.doctor(*words) if f.check == "port-name"]
    assert [finding.status for finding in findings] == [PROBLEM, PROBLEM]
    assert ["mysq" in findings[0].found, "http2" in findings[1].found] == [True, True]


async def test_a_port_beside_others_that_has_another_protocol(world: World) -> None:
    ports = [ServicePort("mysql", 3306, "TCP"), ServicePort("gossip", 7946, "UDP")]
    world.dns.statefulset("shop", service="shop", ports=ports)
    words = ("shop", "--statefulset", "shop", "--port-name", "mysql", "--port-name", "gossip")
    await mended(world, "port-name", PROBLEM, *words, says="gossip (udp)", leaves={"own-pod"})


async def test_a_port_that_cannot_be_any_other_is_left_out(world: World) -> None:
    world.dns.statefulset("shop", service="shop", ports={"mysql": 3306})
    words = ("shop", "--statefulset", "shop", "--port-name", "mysql", "--port-name", "quorum")
    await mended(world, "port-name", PROBLEM, *words, says="a port 'quorum'", leaves={"own-pod"})


async def test_a_record_that_names_no_pod(world: World) -> None:
    world.dns.stray = "evil.example.com."

    def remove() -> None:
        world.dns.stray = None

    finding = await mended(
        world, "other-records", WARNING, says="evil.example.com", operator=remove
    )
    assert "it is not within my-database.default" in finding.found


async def test_an_alias_of_a_name_outside_the_cluster(world: World) -> None:
    world.dns.not_headless["db"] = ("CNAME", "db.example.com.")
    await mended(world, "service-headless", PROBLEM, "db", says="an alias (ExternalName or CNAME)")
    assert world.words == ["my-database.default"]


async def test_an_alias_outside_the_cluster_that_is_the_governing_service(world: World) -> None:
    """Whatever the next command finds out, no command of it has a namespace that is None."""
    world.dns.not_headless["my-database"] = ("CNAME", "db.example.com.")
    finding = one(await world.doctor(), "service-headless", PROBLEM)
    assert finding.fix is not None
    world.follow(finding.fix)
    assert world.printed == ["mysql my-database"], "the command shows the governing service"
    after = await world.doctor("db.example.com.")
    assert wrong(after)
    assert not [f for f in after if f.fix is not None and "None" in f.fix.command + f.fix.yaml]


async def test_a_blocker_that_denies_ipv6(world: World) -> None:
    world.dns.fail("nxdomain", rtype="AAAA")
    await mended(world, "address-records", WARNING, says="NXDOMAIN for AAAA",
                 operator=world.dns.restore)  # fmt: skip


# --- the pods


async def test_this_pod_is_not_listed(world: World) -> None:
    world.mysql.set_ready(0, False)
    await mended(world, "own-pod", PROBLEM, says="does not list this pod, mysql-0")


async def test_a_client_is_not_expected_behind_the_service(world: World) -> None:
    world.fields["metadata.name"] = world.hostname = "web-5d8f7-abcde"
    world.governing = None
    world.pod["env"]["PEERDISCO_SERVICE"] = "my-database"
    world.fields["status.podIP"] = "10.244.7.7"
    world.pod |= {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
    findings = await world.doctor()
    assert wrong(findings) == []
    assert "is not one of the pods" in one(findings, "own-pod", Status.OK).found


async def test_this_pods_name_has_another_address(world: World) -> None:
    world.dns.freeze()
    restarted = world.mysql.restart(0)
    world.fields["status.podIP"] = str(restarted.addresses[0])
    finding = await mended(world, "own-pod", PROBLEM, says="and this pod has",
                           operator=world.dns.thaw)  # fmt: skip
    assert "10.244.0.3 for mysql-0" in finding.found


async def test_a_hole_in_the_ordinals(world: World) -> None:
    world.mysql.set_ready(1, False)
    finding = await mended(world, "ordinals", WARNING, says="mysql-1")
    assert finding.facts["missing"] == [1]


async def test_ordinals_that_start_later(world: World) -> None:
    world.dns.statefulset("late", service="late", first_ordinal=5)
    words = ("late", "--statefulset", "late")
    await mended(world, "primary", WARNING, *words, says="the lowest is 5", leaves={"own-pod"})
    assert world.words[-2:] == ["--ordinal", "5"]


async def test_two_pods_with_one_address(world: World) -> None:
    endpoints = [world.dns.endpoint("node", f"node-{number}", ["10.0.0.1"]) for number in range(2)]
    await mended(
        world, "addresses", WARNING, "node", says="node-0, node-1 have one address: 10.0.0.1",
        operator=lambda: (endpoints[1].remove(), world.dns.endpoint("node", "node-1")),
        leaves={"own-pod"},
    )  # fmt: skip


async def test_one_name_with_two_addresses(world: World) -> None:
    other = world.dns.endpoint("my-database", "mysql-1", ["10.244.9.9"])
    await mended(world, "addresses", WARNING, says="mysql-1 has several addresses",
                 operator=other.remove)  # fmt: skip


# --- the answers


def shorten(cluster: Cluster) -> None:
    """What the fix says about the Corefile: ``ttl 30``."""
    with cluster.changing():
        cluster.ttl = 30


async def test_a_cache_that_holds_answers_for_long() -> None:
    async with Server(ttl=600) as dns:
        ticks = itertools.count()
        dns.caches(600, lambda: float(next(ticks)))
        world = World(dns, dns.statefulset("mysql", service="my-database"))
        finding = await mended(
            world, "cache", WARNING, says="which counts down: a cache is in between",
            operator=lambda: (shorten(dns.cluster), dns.restore()),
        )  # fmt: skip
        assert "A cache may hide a change for" in finding.why


@pytest.mark.parametrize("when", ["immediate", "verify"])
async def test_a_cache_that_serves_stale_answers(world: World, when: str) -> None:
    now = [0.0]
    world.dns.caches(5, lambda: now[0], serve_stale=when)  # type: ignore[arg-type]
    await world.doctor()
    now[0] += 6
    world.dns.cut_off()
    finding = await mended(world, "served-stale", WARNING, says="TTL 0",
                           operator=world.dns.restore)  # fmt: skip
    assert "not evidence" in finding.why


async def test_replicas_behind_one_address_that_disagree(world: World) -> None:
    replicas = [Responder(world.dns.cluster, lambda _: None) for _ in range(2)]
    replicas[0].freeze()
    world.mysql.scale(2)
    world.dns.behind = replicas
    await mended(world, "replicas-agree", WARNING, says="different lists of pods in turn",
                 operator=replicas[0].thaw)  # fmt: skip


async def test_servers_that_disagree(world: World) -> None:
    async with ClusterDNS(world.dns.cluster) as behind:
        behind.freeze()
        world.servers["10.96.0.11"] = behind.nameserver
        world.pod["dnsConfig"] = {"nameservers": ["10.96.0.11"]}
        world.mysql.scale(2)
        finding = await mended(world, "replicas-agree", WARNING, says="list different pods",
                               operator=behind.thaw)  # fmt: skip
        assert "2 pods" in finding.found
        assert "3 pods" in finding.found


async def test_an_answer_near_the_largest_message() -> None:
    async with Server() as dns:
        ports = {"mysql": 3306, "metrics": 9104}
        service = "a-service-with-a-name-of-sixty-three-characters-which-is-legal"
        long = "mysql-of-the-department-of-long-names-and-of-the-longest"
        world = World(dns, dns.statefulset(long, service=service, ports=ports))
        world.mysql.scale(175)
        words = (service, "--statefulset", long)
        finding = await mended(world, "answer-size", WARNING, *words, says="of at most 65,535",
                               operator=lambda: world.mysql.scale(20),
                               leaves={"own-pod"})  # fmt: skip
        assert finding.facts["bytes"] > 60_000


async def test_more_pods_than_fit_into_an_answer() -> None:
    async with Server() as dns:
        world = World(dns, dns.statefulset("mysql", service="my-database", replicas=1000))
        finding = await mended(
            world, "answer-size", WARNING, says="of at most 65,535",
            operator=lambda: world.mysql.scale(3),
        )  # fmt: skip
        assert "--port-name" in finding.fix.text  # type: ignore[union-attr]
        world.mysql.scale(1000)
        assert one(await world.doctor(), "replicas-agree", UNKNOWN)


async def test_a_clock_that_is_behind(world: World) -> None:
    world.now = 1_600_000_000.0
    finding = await mended(world, "clock", WARNING, says="2023-11-14")
    assert finding.facts["behind"] > 99_000_000


async def test_a_clock_that_is_ahead_is_not_noticed(world: World) -> None:
    world.now = later(86_400)
    assert wrong(await world.doctor()) == []
