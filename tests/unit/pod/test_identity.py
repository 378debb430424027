"""Who this pod is, in every situation in which a pod can find itself."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from peerdisco.exceptions import ConfigurationError, IdentityConflict, IdentityError
from peerdisco.model import Identity
from peerdisco.names import Endpoint
from peerdisco.pod.environment import PodEnvironment, read_pod_environment
from peerdisco.pod.identity import local_identity
from peerdisco.pod.resolv_conf import parse_resolv_conf
from peerdisco.pod.service import find_service
from peerdisco.pod.settings import find_cluster_domain, find_nameservers, find_namespace

RESOLV_CONF = """\
search shop.svc.cluster.local svc.cluster.local cluster.local
nameserver 10.96.0.10
options ndots:5
"""
HOSTS = """\
# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
10.244.0.3\tmysql-0.my-database.shop.svc.cluster.local\tmysql-0
"""
NODE_RESOLV_CONF = "search corp.example\nnameserver 192.0.2.53\n"
NODE_HOSTS = """\
# Kubernetes-managed hosts file (host network).
127.0.0.1\tlocalhost
127.0.1.1\tnode-7.corp.example\tnode-7
192.0.2.7\tnode-7.corp.example\tnode-7
"""
IN_CLUSTER = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}

Describe = Callable[..., PodEnvironment]
Identify = Callable[..., Identity]


@dataclass(frozen=True)
class Facts:
    """What a pod finds at its start; None for a file that does not exist."""

    environ: Mapping[str, str] = field(default_factory=lambda: IN_CLUSTER)
    hostname: str = "mysql-0"
    resolv_conf: str | None = RESOLV_CONF
    hosts: str | None = HOSTS
    namespace: str | None = "shop"


def as_values(facts: Facts, _: Path) -> PodEnvironment:
    return PodEnvironment(
        environ=facts.environ,
        hostname=facts.hostname,
        resolv_conf=parse_resolv_conf(facts.resolv_conf or ""),
        hosts=tuple((facts.hosts or "").splitlines()),
        service_account_namespace=facts.namespace,
    )


def as_files(facts: Facts, directory: Path) -> PodEnvironment:
    contents = {
        "resolv.conf": facts.resolv_conf,
        "hosts": facts.hosts,
        "namespace": facts.namespace,
    }
    for name, content in contents.items():
        if content is not None:
            (directory / name).write_text(content)
    read = read_pod_environment(
        environ=facts.environ,
        resolv_conf=str(directory / "resolv.conf"),
        hosts=str(directory / "hosts"),
        namespace_file=str(directory / "namespace"),
    )
    assert read.hostname == socket.gethostname()
    return replace(read, hostname=facts.hostname)


@pytest.fixture(params=[as_values, as_files], ids=["given as values", "read from files"])
def describe(request: pytest.FixtureRequest, tmp_path: Path) -> Describe:
    """Makes the environment of a pod from `Facts`."""
    return lambda *args, **facts: request.param(Facts(*args, **facts), tmp_path)


@pytest.fixture
def identify(describe: Describe) -> Identify:
    """The identity of a pod with these `Facts`."""
    return lambda *args, **facts: local_identity(pod_environment=describe(*args, **facts))


MYSQL_0 = Identity(
    pod_name="mysql-0",
    namespace="shop",
    ordinal=0,
    statefulset="mysql",
    service="my-database",
    cluster_domain="cluster.local",
    hostname="mysql-0.my-database.shop.svc.cluster.local",
    addresses=(ip_address("10.244.0.3"),),
)


# Situations.


def test_a_plain_statefulset_pod_needs_no_variables(identify: Identify) -> None:
    assert identify() == MYSQL_0


def test_nothing_but_the_files_shows_the_pod(identify: Identify) -> None:
    assert identify({}) == MYSQL_0


def test_a_host_name_with_dots_is_cut_at_the_first(identify: Identify) -> None:
    """``setHostnameAsFQDN: true`` makes the kernel's host name the fully qualified one."""
    assert identify(hostname="mysql-0.my-database.shop.svc.cluster.local") == MYSQL_0


def test_a_host_name_in_upper_case_is_the_pods_in_lower_case(identify: Identify) -> None:
    assert identify(hostname="MySQL-0") == MYSQL_0


def test_without_a_service_account_the_search_list_shows_the_namespace(
    identify: Identify,
) -> None:
    assert identify(namespace=None) == MYSQL_0


def test_without_a_cluster_search_list_the_service_account_shows_the_namespace(
    identify: Identify,
) -> None:
    """``dnsPolicy: None``."""
    identity = identify(resolv_conf="nameserver 10.96.0.10\n")
    assert identity.namespace == "shop"
    # The kubelet's line in the hosts file shows the domain.
    assert identity == MYSQL_0


def test_the_hosts_file_alone_shows_everything(identify: Identify) -> None:
    assert identify({}, resolv_conf=None, namespace=None) == MYSQL_0


def test_another_cluster_domain(identify: Identify) -> None:
    identity = identify(
        resolv_conf=RESOLV_CONF.replace("cluster.local", "k8s.corp.example"),
        hosts=HOSTS.replace("cluster.local", "k8s.corp.example"),
    )
    assert identity.cluster_domain == "k8s.corp.example"
    assert identity.hostname == "mysql-0.my-database.shop.svc.k8s.corp.example"


def test_a_dual_stack_pod_has_both_addresses_ipv4_first(identify: Identify) -> None:
    lines = HOSTS.splitlines()
    both = [*lines[:-1], lines[-1].replace("10.244.0.3", "fd00:10:244::3"), lines[-1]]
    identity = identify(hosts="\n".join(both))
    assert identity.addresses == (ip_address("10.244.0.3"), ip_address("fd00:10:244::3"))


def test_a_pod_without_a_governing_service_has_no_service(identify: Identify) -> None:
    assert identify(
        hostname="web-7d4b9c-x2x4z",
        hosts="# Kubernetes-managed hosts file.\n10.1.2.3\tweb-7d4b9c-x2x4z\n",
    ) == Identity(
        pod_name="web-7d4b9c-x2x4z",
        namespace="shop",
        cluster_domain="cluster.local",
        addresses=(ip_address("10.1.2.3"),),
    )


def test_an_ordinal_beyond_ten(identify: Identify) -> None:
    identity = identify(hostname="mysql-12", hosts=HOSTS.replace("mysql-0", "mysql-12"))
    assert (identity.statefulset, identity.ordinal) == ("mysql", 12)


def test_with_host_network_the_host_name_is_not_taken_for_the_pods(describe: Describe) -> None:
    pod = describe(hostname="node-7", hosts=NODE_HOSTS)
    with pytest.raises(IdentityError, match="cannot determine the pod name") as caught:
        local_identity(pod_environment=pod)
    assert caught.value.missing == "pod name"
    for word in ("POD_NAME", "metadata.name", "node-7", "hostNetwork", "pod_name="):
        assert word in str(caught.value)


def test_with_host_network_the_downward_api_shows_the_pod(identify: Identify) -> None:
    assert identify(
        {**IN_CLUSTER, "POD_NAME": "mysql-2", "PEERDISCO_SERVICE": "my-database"},
        hostname="node-7",
        hosts=NODE_HOSTS,
    ) == Identity(
        pod_name="mysql-2",
        namespace="shop",
        ordinal=2,
        statefulset="mysql",
        service="my-database",
        cluster_domain="cluster.local",
        hostname="mysql-2.my-database.shop.svc.cluster.local",
        addresses=(),
    )


def test_with_host_network_a_node_with_the_pods_name_lends_it_no_addresses(
    identify: Identify,
) -> None:
    assert (
        identify(
            {**IN_CLUSTER, "POD_NAME": "node-7"}, hostname="node-7", hosts=NODE_HOSTS
        ).addresses
        == ()
    )


def test_with_the_nodes_resolver_the_service_account_shows_the_namespace(
    describe: Describe,
) -> None:
    """``hostNetwork`` with ``dnsPolicy: ClusterFirst`` gives a pod the node's resolv.conf."""
    pod = describe(
        {**IN_CLUSTER, "POD_NAME": "mysql-2"},
        hostname="node-7",
        hosts=NODE_HOSTS,
        resolv_conf=NODE_RESOLV_CONF,
    )
    identity = local_identity(pod_environment=pod)
    assert (identity.namespace, identity.cluster_domain, identity.hostname) == ("shop", None, None)


def test_outside_a_cluster_there_is_no_identity(describe: Describe) -> None:
    pod = describe(
        {},
        hostname="laptop",
        resolv_conf=NODE_RESOLV_CONF,
        hosts="127.0.0.1 laptop",
        namespace=None,
    )
    with pytest.raises(IdentityError) as caught:
        local_identity(pod_environment=pod)
    assert caught.value.missing == "pod name"
    assert "'laptop'" in str(caught.value)
    assert "this is not a pod" in str(caught.value)
    assert "outside a pod there is no identity" in str(caught.value)


def test_a_machine_whose_name_looks_like_a_pods_is_no_pod(describe: Describe) -> None:
    pod = describe({}, hostname="web-0", resolv_conf=None, hosts=None, namespace=None)
    with pytest.raises(IdentityError, match="cannot determine the pod name"):
        local_identity(pod_environment=pod)


def test_outside_a_cluster_the_variables_make_an_identity(identify: Identify) -> None:
    assert identify(
        {
            "POD_NAME": "mysql-1",
            "POD_NAMESPACE": "shop",
            "POD_IP": "127.0.0.1",
            "PEERDISCO_SERVICE": "my-database",
            "PEERDISCO_CLUSTER_DOMAIN": "cluster.local",
        },
        hostname="laptop",
        resolv_conf=NODE_RESOLV_CONF,
        hosts="127.0.0.1 laptop",
        namespace=None,
    ) == Identity(
        pod_name="mysql-1",
        namespace="shop",
        ordinal=1,
        statefulset="mysql",
        service="my-database",
        cluster_domain="cluster.local",
        hostname="mysql-1.my-database.shop.svc.cluster.local",
        addresses=(ip_address("127.0.0.1"),),
    )


def test_the_namespace_that_nothing_tells_is_asked_for(identify: Identify) -> None:
    with pytest.raises(IdentityError) as caught:
        identify(
            {"POD_NAME": "mysql-1"}, hostname="laptop", resolv_conf=None, hosts=None, namespace=None
        )
    assert caught.value.missing == "namespace"
    for word in ("POD_NAMESPACE", "metadata.namespace", "namespace=", "--namespace"):
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_host_name_that_is_no_pods_is_an_error(identify: Identify) -> None:
    """``hostnameOverride`` can be anything."""
    with pytest.raises(IdentityError, match="'my_host', which is not a pod's name"):
        identify(hostname="my_host")


@pytest.mark.parametrize("hostname", ["", "(none)", ".", "-", "mysql-0 "])
def test_a_host_name_that_was_never_set_is_no_pods(identify: Identify, hostname: str) -> None:
    with pytest.raises(IdentityError, match="which is not a pod's name"):
        identify(hostname=hostname)


def test_a_hosts_line_of_another_pod_contradicts_the_host_name(identify: Identify) -> None:
    with pytest.raises(IdentityConflict) as caught:
        identify(hostname="mysql-1")
    assert "'mysql-1'" in str(caught.value)
    assert "'mysql-0'" in str(caught.value)


def test_comments_and_short_lines_in_the_hosts_file_tell_nothing(identify: Identify) -> None:
    hosts = (
        HOSTS + "\n\n10.9.9.9\n# 10.9.9.8 mysql-0\n10.9.9.7 # mysql-0\n"
        "nonsense mysql-0\n127.0.0.1 mysql-0\n"
    )
    assert identify(hosts=hosts) == MYSQL_0


# Who wins.


def test_an_argument_wins_over_a_variable_and_that_over_what_is_detected(
    describe: Describe,
    identify: Identify,
) -> None:
    variables = {
        **IN_CLUSTER,
        "POD_NAME": "redis-1",
        "POD_NAMESPACE": "cache",
        "PEERDISCO_SERVICE": "redis-peers",
        "PEERDISCO_CLUSTER_DOMAIN": "corp.example",
        "POD_IP": "10.9.8.7",
    }
    by_variable = identify(variables)
    assert by_variable == Identity(
        pod_name="redis-1",
        namespace="cache",
        ordinal=1,
        statefulset="redis",
        service="redis-peers",
        cluster_domain="corp.example",
        hostname="redis-1.redis-peers.cache.svc.corp.example",
        addresses=(ip_address("10.9.8.7"),),
    )
    by_argument = local_identity(
        pod_name="kafka-2",
        namespace="queue",
        service="kafka-peers",
        cluster_domain="other.example",
        pod_environment=describe(variables),
    )
    assert by_argument == Identity(
        pod_name="kafka-2",
        namespace="queue",
        ordinal=2,
        statefulset="kafka",
        service="kafka-peers",
        cluster_domain="other.example",
        hostname="kafka-2.kafka-peers.queue.svc.other.example",
        addresses=(ip_address("10.9.8.7"),),
    )


@pytest.mark.parametrize(
    "variable",
    ["POD_NAME", "POD_NAMESPACE", "PEERDISCO_SERVICE", "PEERDISCO_CLUSTER_DOMAIN", "POD_IP"],
)
@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_variable_counts_as_none(identify: Identify, variable: str, empty: str) -> None:
    assert identify({**IN_CLUSTER, variable: empty}) == MYSQL_0


def test_pod_ips_wins_over_pod_ip(identify: Identify) -> None:
    assert identify(
        {**IN_CLUSTER, "POD_IP": "10.0.0.1", "POD_IPS": "fd00::1, 10.0.0.2"}
    ).addresses == (
        ip_address("10.0.0.2"),
        ip_address("fd00::1"),
    )


def test_a_service_in_another_namespace_does_not_name_this_pod(identify: Identify) -> None:
    assert (
        identify(
            {**IN_CLUSTER, "PEERDISCO_SERVICE": "my-database.elsewhere"}, hosts="10.0.0.1 mysql-0"
        ).hostname
        is None
    )


def test_a_fully_qualified_service_names_this_pod(identify: Identify) -> None:
    identity = identify(
        {**IN_CLUSTER, "PEERDISCO_SERVICE": "My-Database.shop.svc.cluster.local."},
        hosts="10.0.0.1 mysql-0",
    )
    assert identity.service == "my-database"
    assert identity.hostname == "mysql-0.my-database.shop.svc.cluster.local"


# Values that cannot be right.


@pytest.mark.parametrize(
    ("argument", "what"),
    [
        ({"pod_name": "mysql 0"}, "pod name"),
        ({"pod_name": "$(reboot)"}, "pod name"),
        ({"pod_name": "mysql-0\n"}, "pod name"),
        ({"namespace": "a.b"}, "namespace"),
        ({"namespace": "Shop"}, "namespace"),
        ({"cluster_domain": "a_b"}, "cluster domain"),
        ({"service": "my database"}, "service"),
        ({"service": "_mysql._tcp.db"}, "service"),
    ],
)
@pytest.mark.parametrize("hosts", [HOSTS, None], ids=["with hosts", "without hosts"])
def test_an_argument_that_cannot_be_right_is_refused(
    describe: Describe, argument: dict[str, Any], what: str, hosts: str | None
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        local_identity(**argument, pod_environment=describe(hosts=hosts))
    assert caught.value.what == what
    assert caught.value.given == next(iter(argument.values()))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("POD_NAME", "mysql_0"),
        ("POD_NAMESPACE", "Shop"),
        ("PEERDISCO_NAMESPACE", "Shop"),
        ("PEERDISCO_CLUSTER_DOMAIN", "cluster..local"),
        ("PEERDISCO_SERVICE", "my database"),
        ("POD_IP", "10.0.0"),
        ("POD_IPS", "10.0.0.1,"),
        ("POD_IPS", "10.0.0.1 10.0.0.2"),
    ],
)
@pytest.mark.parametrize("hosts", [HOSTS, None], ids=["with hosts", "without hosts"])
def test_a_variable_that_cannot_be_right_is_refused_by_its_name(
    identify: Identify, variable: str, value: str, hosts: str | None
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        identify({**IN_CLUSTER, variable: value}, hosts=hosts)
    assert caught.value.what == variable
    assert caught.value.given == value
    assert "\n" not in str(caught.value)


# What a lookup needs.


def test_the_namespace_of_a_lookup(describe: Describe) -> None:
    pod = describe({"POD_NAMESPACE": "variable"}, namespace="account")
    assert find_namespace("given", pod) == "given"
    assert find_namespace(None, pod) == "variable"
    pod = describe({}, namespace="account")
    assert find_namespace(None, pod) == "shop"
    pod = describe({}, resolv_conf=NODE_RESOLV_CONF, namespace="account")
    assert find_namespace(None, pod) == "shop"  # the kubelet's line in the hosts file
    pod = describe({}, resolv_conf=NODE_RESOLV_CONF, hosts="", namespace="account")
    assert find_namespace(None, pod) == "account"


def test_either_variable_tells_the_namespace(describe: Describe) -> None:
    for environ in (
        {"PEERDISCO_NAMESPACE": "variable"},
        {"PEERDISCO_NAMESPACE": "variable", "POD_NAMESPACE": " variable "},
        {"PEERDISCO_NAMESPACE": "variable", "POD_NAMESPACE": ""},
        {"PEERDISCO_NAMESPACE": "", "POD_NAMESPACE": "variable"},
    ):
        pod = describe({**IN_CLUSTER, **environ})
        assert find_namespace(None, pod) == "variable"
        assert find_namespace("given", pod) == "given"
        assert local_identity(pod_environment=pod).namespace == "variable"
        assert find_service("db", None, None, pod).namespace == "variable"


@pytest.mark.parametrize("given", [None, "given", "shop"])
def test_variables_that_contradict_each_other_are_refused(
    describe: Describe, given: str | None
) -> None:
    pod = describe({**IN_CLUSTER, "PEERDISCO_NAMESPACE": "other", "POD_NAMESPACE": "shop"})
    for use in (
        lambda: find_namespace(given, pod),
        lambda: local_identity(namespace=given, pod_environment=pod),
        lambda: find_service("db", given, None, pod),
    ):
        with pytest.raises(ConfigurationError) as raised:
            use()
        assert str(raised.value).startswith(
            "PEERDISCO_NAMESPACE: got 'other', expected 'shop', the"
        )


def test_nothing_tells_the_namespace(describe: Describe) -> None:
    pod = describe({}, resolv_conf=None, hosts=None, namespace=None)
    assert find_namespace(None, pod) is None


def test_the_cluster_domain_of_a_lookup(describe: Describe) -> None:
    pod = describe({"PEERDISCO_CLUSTER_DOMAIN": "Corp.Example."})
    assert find_cluster_domain("Given.Example", pod) == "given.example"
    assert find_cluster_domain(None, pod) == "corp.example"
    assert find_cluster_domain(None, describe({})) == "cluster.local"
    pod = describe({}, resolv_conf=NODE_RESOLV_CONF)
    assert find_cluster_domain(None, pod) == "cluster.local"  # as in the hosts file
    assert find_cluster_domain(None, describe({}, resolv_conf=NODE_RESOLV_CONF, hosts="")) is None


def test_the_name_servers_to_ask(describe: Describe) -> None:
    pod = describe({"PEERDISCO_NAMESERVERS": "127.0.0.1:5300, [::1]:5301 ,10.0.0.1"})
    assert find_nameservers(["10.1.1.1"], pod) == (Endpoint("10.1.1.1", 53),)
    assert find_nameservers([], pod) == (
        Endpoint("127.0.0.1", 5300),
        Endpoint("::1", 5301),
        Endpoint("10.0.0.1", 53),
    )
    # Empty for those of resolv.conf, which are read when they are needed.
    assert find_nameservers([], describe({})) == ()


@pytest.mark.parametrize("value", ["10.0.0.1,", ",", "localhost", "10.0.0.1;10.0.0.2"])
def test_name_servers_in_the_variable_that_cannot_be_right_are_refused(
    describe: Describe, value: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        find_nameservers([], describe({"PEERDISCO_NAMESERVERS": value}))
    assert caught.value.what == "PEERDISCO_NAMESERVERS"


def test_no_name_server_anywhere_is_an_error(describe: Describe) -> None:
    with pytest.raises(IdentityError) as caught:
        find_nameservers([], describe({}, resolv_conf=None))
    for word in ("name server", "PEERDISCO_NAMESERVERS", "--nameserver", "nameservers="):
        assert word in str(caught.value)


def test_the_service_to_discover(describe: Describe) -> None:
    pod = describe({**IN_CLUSTER, "PEERDISCO_SERVICE": "variable"})
    assert find_service("given", None, None, pod).fqdn == "given.shop.svc.cluster.local"
    assert find_service("given.ns", None, None, pod).fqdn == "given.ns.svc.cluster.local"
    assert find_service(None, None, None, pod).fqdn == "variable.shop.svc.cluster.local"
    assert find_service("given", "ns", "corp", pod).fqdn == "given.ns.svc.corp"


def test_the_service_to_discover_is_by_default_the_pods_own(describe: Describe) -> None:
    own = find_service(None, None, None, describe())
    assert own.fqdn == "my-database.shop.svc.cluster.local"


def test_the_service_that_nothing_tells_is_asked_for(describe: Describe) -> None:
    pod = describe({}, resolv_conf=NODE_RESOLV_CONF, hosts=None, namespace=None)
    with pytest.raises(IdentityError) as caught:
        find_service(None, None, None, pod)
    assert caught.value.missing == "service"
    for word in ("PEERDISCO_SERVICE", "name the headless service, as an argument", "/etc/hosts"):
        assert word in str(caught.value)


def test_a_service_in_the_variable_that_cannot_be_right_is_refused(describe: Describe) -> None:
    with pytest.raises(ConfigurationError, match="PEERDISCO_SERVICE: got 'my db'"):
        find_service(None, None, None, describe({"PEERDISCO_SERVICE": "my db"}))


def test_use_vc_holds_for_name_servers_that_are_given_too() -> None:
    pod = PodEnvironment(
        environ={"PEERDISCO_NAMESERVERS": "10.0.0.2"},
        resolv_conf=parse_resolv_conf("nameserver 10.0.0.1\noptions use-vc\n"),
    )
    assert find_nameservers(["10.0.0.3:5300"], pod) == (Endpoint("10.0.0.3", 5300, tcp=True),)
    assert find_nameservers([], pod) == (Endpoint("10.0.0.2", 53, tcp=True),)


def test_a_name_server_that_is_no_address_is_named_in_the_error() -> None:
    pod = PodEnvironment(resolv_conf=parse_resolv_conf("nameserver kube-dns\n"))
    with pytest.raises(IdentityError, match=r"resolv\.conf, where 'kube-dns' is not an IP address"):
        find_nameservers([], pod)
