"""Advice is right for where a value comes from: every check that changes a setting, and every way.

An option of the command, a variable of the container, or the default: the advice is followed at
that place alone, with everything else as it is.
"""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest
import yaml

from peerdisco.doctor.facts import SERVICE, VARIABLES
from peerdisco.doctor.findings import Finding, Fix, Status
from peerdisco.exceptions import ConfigurationError
from peerdisco.testing import ClusterDNS
from peerdisco.testing.state import ServicePort

from .world import Server, World, one

PORTS = [ServicePort("mysql", 3306, "TCP"), ServicePort("gossip", 7946, "UDP")]


def nothing(_: World) -> None:
    pass


def shop(world: World) -> None:
    world.dns.statefulset("shop", service="shop", ports=PORTS)


def both(world: World) -> None:
    world.dns.statefulset("sales", service="both")
    world.dns.statefulset("stock", service="both")


def is_a(kind: str, target: str) -> Callable[[World], None]:
    def prepare(world: World) -> None:
        world.dns.not_headless["db"] = (kind, target)

    return prepare


def read_service(world: World) -> None:
    world.mysql.expose("mysql-read")


@dataclass(frozen=True)
class Case:
    """A broken set-up.

    Attributes:
        check: The check that finds it.
        broken: The settings that are wrong, each given in every way.
        prepare: What is there.
        words: Further words of the command, which are right.
    """

    check: str
    broken: Mapping[str, str]
    prepare: Callable[[World], None] = nothing
    words: tuple[str, ...] = ()


INSIDE = "my-database.default.svc.cluster.local."
OTHER_DOMAIN = "my-database.default.svc.cluster.example"
CASES = {
    "service that does not exist": Case("service-exists", {SERVICE: "my-databse"}),
    "service in another namespace": Case("service-exists", {SERVICE: "my-database.shop"}),
    "service with a cluster IP": Case(
        "service-headless", {SERVICE: "db"}, is_a("A", "10.96.7.7")
    ),
    "alias of the service": Case("service-headless", {SERVICE: "db"}, is_a("CNAME", INSIDE)),
    "alias outside": Case(
        "service-headless", {SERVICE: "db"}, is_a("CNAME", "db.example.com.")
    ),
    "not the governing service": Case("governing-service", {SERVICE: "mysql-read"}, read_service),
    "statefulset that is similar": Case("statefulset", {"--statefulset": "mysq"}),
    "statefulset that is not similar": Case("statefulset", {"--statefulset": "kafka"}),
    "port that is similar": Case("port-name", {"--port-name": "mysq"}, shop, ("shop",)),
    "port that is not similar": Case("port-name", {"--port-name": "mysq"}),
    "one port of two": Case("port-name", {"--port-name": "mysql,metrcs"}, shop, ("shop",)),
    "port of another protocol": Case("port-name", {"--port-name": "gossip"}, shop, ("shop",)),
    "protocol of another port": Case(
        "port-name", {"--port-name": "mysql", "--protocol": "udp"}, shop, ("shop",)
    ),
    "no such port, with a protocol": Case(
        "port-name", {"--port-name": "quorum", "--protocol": "sctp"}
    ),
    "port beside another": Case("port-name", {"--port-name": "mysql,gossip"}, shop, ("shop",)),
    "domain": Case("nameserver-zone", {"--cluster-domain": "cluster.example"},
                   words=("my-database",)),
    "domain in the name": Case("nameserver-zone", {SERVICE: OTHER_DOMAIN}),
    "domain twice": Case(
        "nameserver-zone", {SERVICE: OTHER_DOMAIN, "--cluster-domain": "cluster.example"}
    ),
}  # fmt: skip
WAYS = {
    f"{name}, by {' and '.join(ways)}": (case, ways)
    for name, case in CASES.items()
    for ways in itertools.product(("option", "variable"), repeat=len(case.broken))
    if not (ways == ("option", "variable") and "domain twice" in name)  # they contradict
}


def give(world: World, ways: tuple[str, ...], broken: Mapping[str, str]) -> list[str]:
    """Set the variables; the words of the options."""
    words: list[str] = []
    for way, (setting, value) in zip(ways, broken.items(), strict=True):
        if way == "variable":
            world.pod["env"][VARIABLES[setting]] = value
        elif setting == SERVICE:
            words.insert(0, value)
        else:
            words += [word for one in value.split(",") for word in (setting, one)]
    return words


def in_the_container(world: World, fix: Fix) -> None:
    """Follow what the fix says about the container's env."""
    assert set(yaml.safe_load(fix.yaml) or {}) <= {"env"}
    world.follow(Fix("", "\n".join(x for x in fix.command.splitlines() if x[:5] == "unset")))
    world.follow(Fix("", yaml=fix.yaml))


def in_the_command(fix: Fix) -> list[str]:
    """The words of the command that the fix says."""
    (command,) = (x for x in fix.command.splitlines() if x.startswith("peerdisco doctor"))
    return shlex.split(command)[2:]


def variables(fix: Fix) -> set[str]:
    """The variables that a fix changes."""
    lines = fix.command.splitlines()
    return {entry["name"] for entry in (yaml.safe_load(fix.yaml) or {}).get("env", [])} | {
        line.split()[1] for line in lines if line.startswith("unset ")
    }


def mended(findings: tuple[Finding, ...], check: str) -> None:
    wrong = [f for f in findings if f.status is not Status.OK]
    assert not [f for f in wrong if f.check in (check, "configuration")], wrong
    assert one(findings, "service-exists", Status.OK)


@pytest.mark.parametrize("name", WAYS)
async def test_advice_at_the_place_of_the_value(world: World, name: str) -> None:
    case, ways = WAYS[name]
    case.prepare(world)
    words = [*case.words, *give(world, ways, case.broken)]
    findings = await world.doctor(*words)
    fix = next(f for f in findings if f.check == case.check and f.status is not Status.OK).fix
    assert fix is not None
    if "option" not in ways:
        in_the_container(world, fix)
        assert "env" in fix.text
        assert "--" not in fix.text
    elif "variable" not in ways:
        assert variables(fix) == set()
        assert "PEERDISCO_" not in fix.text
        assert "command" in fix.text
        words = in_the_command(fix)
    else:
        in_the_container(world, fix)
        words = in_the_command(fix)
    mended(await world.doctor(*words), case.check)


@pytest.mark.parametrize("place", ["container", "command"])
@pytest.mark.parametrize("way", ["option", "variable"])
async def test_a_setting_that_is_not_given_may_be_given_in_both_ways(
    world: World, place: str, way: str
) -> None:
    both(world)
    words = give(world, (way,), {SERVICE: "both"})
    fix = one(await world.doctor(*words), "statefulset", Status.PROBLEM).fix
    assert fix is not None
    assert "--statefulset" in fix.text
    assert "PEERDISCO_STATEFULSET" in fix.text
    if place == "container":
        in_the_container(world, fix)
    else:
        words = in_the_command(fix)
    mended(await world.doctor(*words), "statefulset")


@pytest.mark.parametrize(
    ("setting", "wrong", "check", "hidden"),
    [
        ("--port-name", "quorum", "port-name", "nothing"),
        ("--statefulset", "kafka", "statefulset", "redis"),
        ("--cluster-domain", "cluster.example", "nameserver-zone", "cluster.test"),
    ],
)
async def test_no_variable_is_left_that_an_option_hid(
    world: World, setting: str, wrong: str, check: str, hidden: str
) -> None:
    world.pod["env"][VARIABLES[setting]] = hidden
    words = ["my-database", setting, wrong]
    fix = one(await world.doctor(*words), check, Status.PROBLEM).fix
    assert fix is not None
    in_the_container(world, fix)
    mended(await world.doctor(*in_the_command(fix)), check)


async def test_no_namespace_is_left_that_contradicts_a_full_name(world: World) -> None:
    world.pod["env"]["PEERDISCO_SERVICE"] = "my-database"
    fix = one(await world.doctor("--namespace", "shop"), "service-exists", Status.PROBLEM).fix
    assert fix is not None
    assert "leave --namespace out of the command" in fix.text
    in_the_container(world, fix)
    mended(await world.doctor(), "service-exists")


# --- name servers


def names_of_servers(world: World, way: str, servers: list[str]) -> list[str]:
    """The words of the command; the servers in the place of this way."""
    if way == "dnsConfig":
        for number, server in enumerate(servers):
            world.servers[f"10.96.1.{number}"] = server
        names = [f"10.96.1.{number}" for number in range(len(servers))]
        world.pod |= {"dnsPolicy": "None", "dnsConfig": {
            "nameservers": names, "options": [{"name": "ndots", "value": "5"}],
            "searches": ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"],
        }}  # fmt: skip
        return []
    return give(world, (way,), {"--nameserver": ",".join(servers)})


@pytest.mark.parametrize("way", ["option", "variable", "dnsConfig"])
@pytest.mark.parametrize("fault", ["foreign", "drop"])
async def test_one_server_of_two_that_does_not_help(world: World, way: str, fault: str) -> None:
    async with ClusterDNS() as other:
        other.fail(fault)  # type: ignore[arg-type]
        words = names_of_servers(world, way, [world.dns.nameserver, other.nameserver])
        check = "nameserver-zone" if fault == "foreign" else "nameserver-udp"
        fix = one(await world.doctor(*words), check, Status.WARNING).fix
        assert fix is not None
        if way == "option":
            words = in_the_command(fix)
            assert variables(fix) == set()
        else:
            in_the_container(world, fix)
        assert ("dnsConfig" in fix.text) is (way == "dnsConfig")
        mended(await world.doctor(*words), check)


PLACES = {
    "option": ("--nameserver in the command", "PEERDISCO_"),
    "variable": ("PEERDISCO_NAMESERVERS in the container's env", "--nameserver"),
    "dnsConfig": ("--nameserver, or set PEERDISCO_NAMESERVERS", "no such words"),
}


@pytest.mark.parametrize("way", ["option", "variable", "dnsConfig"])
@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ("garbage", "nameserver-udp"),
        ("foreign", "nameserver-zone"),
        ("gone", "nameserver-udp"),
        ("removed", "nameserver-edns"),
        ("dropped", "nameserver-edns"),
        ("rejected", "nameserver-edns"),
    ],
)
async def test_where_to_name_the_clusters_dns(
    world: World, way: str, fault: str, check: str
) -> None:
    async with Server(world.dns.cluster) as server:
        if fault in ("removed", "dropped", "rejected"):
            server.edns = fault
        elif fault != "gone":
            server.fail(fault)  # type: ignore[arg-type]
        words = names_of_servers(world, way, [server.nameserver])
        if fault == "gone":
            await server.aclose()
        found = await world.doctor("my-database", *words)
    fix = next(f for f in found if f.check == check and f.status is not Status.OK).fix
    assert fix is not None
    there, absent = PLACES[way]
    assert there in fix.text, fix.text
    assert absent not in fix.text
    world.follow(fix)
    assert world.printed == ["10.96.0.10"]


@pytest.mark.parametrize("way", ["option", "variable"])
async def test_a_file_without_servers_is_no_problem_where_others_are_given(
    world: World, way: str
) -> None:
    world.pod |= {"dnsPolicy": "None", "dnsConfig": {"searches": ["example.com"]}}
    words = names_of_servers(world, way, [world.dns.nameserver])
    words = ["my-database.default.svc.cluster.local", *words]
    finding = one(await world.doctor(*words), "resolv-conf-nameservers", Status.WARNING)
    source = "--nameserver" if way == "option" else "PEERDISCO_NAMESERVERS"
    assert f"peerdisco queries those of {source}" in finding.found


# --- values that are not valid


INVALID = {
    "PEERDISCO_SERVICE": "my_database",
    "PEERDISCO_STATEFULSET": "My SQL",
    "PEERDISCO_CLUSTER": "no label!",
    "PEERDISCO_CLUSTER_DOMAIN": "cluster..local",
    "PEERDISCO_NAMESERVERS": "kube-dns",
    "PEERDISCO_RESOLVER": "bind",
    "PEERDISCO_PORT_NAME": "my sql",
    "PEERDISCO_PROTOCOL": "quic",
    "PEERDISCO_SOURCE": "endpoints",
    "PEERDISCO_INTERVAL": "soon",
    "PEERDISCO_NAMESPACE": "Not A Namespace",
    "POD_IP": "my-address",
    "POD_IPS": "10.244.0.3;fd00::3",
    "POD_NAME": "My Pod",
}


@pytest.mark.parametrize("variable", INVALID)
async def test_a_variable_that_is_not_valid(world: World, variable: str) -> None:
    if variable == "PEERDISCO_NAMESPACE":
        del world.pod["env"]["POD_NAMESPACE"]
    world.pod["env"][variable] = INVALID[variable]
    finding = one(await world.doctor(), "configuration", Status.PROBLEM)
    assert variable in finding.found
    assert finding.fix is not None
    assert variables(finding.fix) == {variable}
    world.follow(finding.fix)
    assert "configuration" not in {f.check for f in await world.doctor()}


@pytest.mark.parametrize("setting", [name for name in VARIABLES if name != SERVICE])
async def test_an_option_that_is_not_valid_is_a_usage_error(world: World, setting: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await world.doctor("my-database", setting, INVALID[VARIABLES[setting]])
    assert "PEERDISCO_" not in caught.value.what


@pytest.mark.parametrize("variable", ["POD_IP", "POD_IPS"])
async def test_an_address_that_is_not_the_pods_own(world: World, variable: str) -> None:
    world.fields["status.podIPs"] = world.fields["status.podIP"]
    world.pod["env"][variable] = "10.244.9.9"
    fix = one(await world.doctor(), "identity-addresses", Status.PROBLEM).fix
    assert fix is not None
    in_the_container(world, fix)
    mended(await world.doctor(), "identity-addresses")


@pytest.mark.parametrize("variable", ["POD_NAMESPACE", "PEERDISCO_NAMESPACE"])
async def test_a_namespace_that_is_not_the_pods_own(world: World, variable: str) -> None:
    del world.pod["env"]["POD_NAMESPACE"]
    world.pod["env"][variable] = "shop"
    fix = one(await world.doctor("my-database.default"), "identity-namespace", Status.WARNING).fix
    assert fix is not None
    in_the_container(world, fix)
    mended(await world.doctor("my-database.default"), "identity-namespace")


@pytest.mark.parametrize("variable", ["POD_INDEX", "JOB_COMPLETION_INDEX"])
async def test_an_ordinal_that_is_not_the_pods_own(world: World, variable: str) -> None:
    world.fields["metadata.labels['apps.kubernetes.io/pod-index']"] = "0"
    world.fields["metadata.annotations['batch.kubernetes.io/job-completion-index']"] = "0"
    world.pod["env"][variable] = "5"
    fix = one(await world.doctor(), "identity-ordinal", Status.PROBLEM).fix
    assert fix is not None
    in_the_container(world, fix)
    mended(await world.doctor(), "identity-ordinal")


async def test_the_interval_is_that_of_the_container(world: World) -> None:
    holds = []
    for interval in ("1", "20"):
        world.pod["env"]["PEERDISCO_INTERVAL"] = interval
        holds.append(one(await world.doctor(), "cache", Status.OK).facts["hold"])
    assert holds[0] < holds[1]
