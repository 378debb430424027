"""Under which name the peers find this pod: every host name that Kubernetes gives one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import pytest

from peerdisco.exceptions import ConfigurationError, IdentityConflict, IdentityError
from peerdisco.pod.environment import PodEnvironment
from peerdisco.pod.identity import local_identity
from peerdisco.pod.resolv_conf import parse_resolv_conf
from peerdisco.pod.service import find_service
from peerdisco.sources.options import LookupOptions

SEARCH = parse_resolv_conf(
    "search prod.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\n"
)
NO_SEARCH = parse_resolv_conf("nameserver 10.96.0.10\n")
HOSTS = ("# Kubernetes-managed hosts file.", "127.0.0.1\tlocalhost")
IN_CLUSTER = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}


@dataclass(frozen=True)
class PodSpec:
    """The fields of a pod that make its host name; KEP-4762 has the table of what follows."""

    name: str = "mysql-3"
    hostname: str | None = None
    subdomain: str | None = None
    set_hostname_as_fqdn: bool = False
    hostname_override: str | None = None

    @property
    def fqdn(self) -> str | None:
        """The name that the kubelet gives a pod with a subdomain."""
        if self.subdomain is None:
            return None
        return f"{self.hostname or self.name}.{self.subdomain}.prod.svc.cluster.local"

    def seen(self, environ: dict[str, str] | None = None) -> PodEnvironment:
        """What such a pod shows, as the kubelet writes it."""
        short = self.hostname or self.name
        if self.hostname_override is not None:
            kernel, names = self.hostname_override, self.hostname_override
        else:
            kernel = self.fqdn if self.set_hostname_as_fqdn and self.fqdn else short
            names = f"{self.fqdn}\t{short}" if self.fqdn else short
        return PodEnvironment(
            environ=IN_CLUSTER | (environ or {}),
            hostname=kernel,
            resolv_conf=SEARCH,
            hosts=(*HOSTS, f"10.9.0.4\t{names}"),
            service_account_namespace="prod",
        )


STATEFULSET_POD = PodSpec(hostname="mysql-3", subdomain="db")
OVERRIDES = (
    None,
    "mysql-0",
    "kdc1",
    "mysql-0.legacy.example.com",
    "mysql-0.db.prod.svc.cluster.local",
)
TABLE = [
    PodSpec("mysql-3", hostname, subdomain, as_fqdn, override)
    for hostname, subdomain, as_fqdn, override in product(
        (None, "mysql-3"), (None, "db"), (False, True), OVERRIDES
    )
    if not (as_fqdn and override)  # refused by the API server
]


KNOWN = [spec for spec in TABLE if spec.fqdn and not spec.hostname_override]


@pytest.mark.parametrize("spec", KNOWN, ids=repr)
def test_a_host_name_behind_a_service_is_the_pods(spec: PodSpec) -> None:
    identity = local_identity(pod_environment=spec.seen())
    assert (identity.pod_name, identity.ordinal, identity.service) == ("mysql-3", 3, "db")
    assert identity.hostname == spec.fqdn


@pytest.mark.parametrize("spec", [spec for spec in TABLE if spec not in KNOWN], ids=repr)
def test_no_other_host_name_gives_an_ordinal(spec: PodSpec) -> None:
    if spec.hostname_override == "kdc1":
        identity = local_identity(pod_environment=spec.seen())
        assert (identity.pod_name, identity.ordinal, identity.hostname) == ("kdc1", None, None)
        return
    with pytest.raises(IdentityError, match="cannot determine the pod name") as caught:
        local_identity(pod_environment=spec.seen())
    assert "POD_NAME" in str(caught.value)
    assert "hostnameOverride" in str(caught.value)


@pytest.mark.parametrize("spec", TABLE, ids=repr)
def test_the_downward_api_settles_every_row(spec: PodSpec) -> None:
    pod = spec.seen({"POD_NAME": "mysql-3", "PEERDISCO_SERVICE": "db"})
    identity = local_identity(pod_environment=pod)
    assert (identity.pod_name, identity.ordinal, identity.statefulset) == ("mysql-3", 3, "mysql")
    assert identity.hostname == "mysql-3.db.prod.svc.cluster.local"


def test_a_statefulset_pod_is_known_by_its_host_name() -> None:
    assert local_identity(pod_environment=STATEFULSET_POD.seen()).pod_name == "mysql-3"


@pytest.mark.parametrize(
    "override", ["mysql-0.legacy.example.com", "mysql-0.db", "mysql-0.a.b.c.d"]
)
def test_an_override_gives_no_ordinal_without_a_hosts_file_either(override: str) -> None:
    pod = PodEnvironment(environ=IN_CLUSTER, hostname=override, resolv_conf=SEARCH)
    with pytest.raises(IdentityError, match="outside the cluster's domain"):
        local_identity(pod_environment=pod)


def test_a_host_name_in_the_domain_of_another_cluster_is_not_taken() -> None:
    pod = PodEnvironment(
        environ=IN_CLUSTER, hostname="mysql-0.db.prod.svc.other.example", resolv_conf=SEARCH
    )
    with pytest.raises(IdentityError, match="outside the cluster's domain"):
        local_identity(pod_environment=pod)


# hostAliases.


def test_an_alias_is_not_the_pods_own_address() -> None:
    aliased = STATEFULSET_POD.seen()
    alias = ("", "# Entries added by HostAliases.", "10.9.0.1\tmysql-3\tmysql-3.db")
    pod = PodEnvironment(
        environ=IN_CLUSTER, hostname="mysql-3", resolv_conf=SEARCH, hosts=(*aliased.hosts, *alias)
    )
    assert [str(a) for a in local_identity(pod_environment=pod).addresses] == ["10.9.0.4"]


def test_an_alias_alone_tells_neither_service_nor_address() -> None:
    alias = (
        "",
        "# Entries added by HostAliases.",
        "10.9.0.1\tmysql-0.db.prod.svc.cluster.local\tmysql-0",
    )
    pod = PodEnvironment(
        environ=IN_CLUSTER | {"POD_NAME": "mysql-0"},
        hostname="mysql-0",
        resolv_conf=SEARCH,
        hosts=(*HOSTS, *alias),
    )
    identity = local_identity(pod_environment=pod)
    assert (identity.service, identity.addresses) == (None, ())


# Indexed Jobs.

JOB_POD = PodSpec("train-0-x7kq2", hostname="train-0", subdomain="workers")


@pytest.mark.parametrize("name", ["train-0-x7kq2", "train-0-24567", "TRAIN-0-X7KQ2"])
def test_the_pod_of_an_indexed_job_is_known_by_its_host_name(name: str) -> None:
    identity = local_identity(pod_environment=JOB_POD.seen({"POD_NAME": name}))
    assert (identity.pod_name, identity.statefulset, identity.ordinal) == ("train-0", "train", 0)
    assert identity.hostname == "train-0.workers.prod.svc.cluster.local"


def test_the_index_of_a_job_confirms_the_name_where_the_host_name_is_the_nodes() -> None:
    pod = PodEnvironment(
        environ=IN_CLUSTER | {"POD_NAME": "train-1-x7kq2", "JOB_COMPLETION_INDEX": "1"},
        hostname="node-7",
        resolv_conf=SEARCH,
        hosts=("# Kubernetes-managed hosts file (host network).", "192.0.2.4\tnode-7"),
    )
    assert local_identity(pod_environment=pod).pod_name == "train-1"


def test_a_name_of_that_shape_that_nothing_confirms_is_the_pods_own() -> None:
    pod = PodSpec("web-0-x7kq2", hostname="web-0-x7kq2").seen({"POD_NAME": "web-0-x7kq2"})
    identity = local_identity(pod_environment=pod)
    assert (identity.pod_name, identity.ordinal) == ("web-0-x7kq2", None)


def test_a_statefulset_whose_pods_look_like_a_jobs_keeps_its_ordinals() -> None:
    pod = PodSpec("db-0-24567", hostname="db-0-24567", subdomain="db").seen(
        {"POD_NAME": "db-0-24567"}
    )
    identity = local_identity(pod_environment=pod)
    assert (identity.statefulset, identity.ordinal) == ("db-0", 24567)


# Two witnesses.


@pytest.mark.parametrize("variable", ["POD_INDEX", "JOB_COMPLETION_INDEX"])
def test_the_index_is_a_second_witness(variable: str) -> None:
    assert local_identity(pod_environment=STATEFULSET_POD.seen({variable: "3"})).ordinal == 3
    with pytest.raises(IdentityConflict) as caught:
        local_identity(pod_environment=STATEFULSET_POD.seen({variable: "0"}))
    assert caught.value.missing == "ordinal"
    assert caught.value.checked == ("the pod's name is 'mysql-3'", f"{variable} is 0")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["03", "00", "4294967299", "9" * 5000])
def test_an_index_that_is_another_number_contradicts(value: str) -> None:
    with pytest.raises(IdentityConflict):
        local_identity(pod_environment=STATEFULSET_POD.seen({"POD_INDEX": value}))


@pytest.mark.parametrize("value", ["three", "-3", "3.0", "٣"])
def test_an_index_that_is_no_number_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match="POD_INDEX"):
        local_identity(pod_environment=STATEFULSET_POD.seen({"POD_INDEX": value}))


def test_an_index_contradicts_a_name_without_an_ordinal() -> None:
    pod = PodSpec("web-x7kq2", hostname="web-x7kq2").seen({"POD_INDEX": "0"})
    with pytest.raises(IdentityConflict):
        local_identity(pod_environment=pod)


def test_a_pod_name_of_another_pod_of_the_statefulset_is_a_contradiction() -> None:
    """As one that is written into the pod template: every pod would be mysql-0."""
    with pytest.raises(IdentityConflict) as caught:
        local_identity(pod_environment=STATEFULSET_POD.seen({"POD_NAME": "mysql-0"}))
    assert "'mysql-0'" in str(caught.value)
    assert "'mysql-3'" in str(caught.value)
    assert "metadata.name" in str(caught.value)


def test_an_argument_wins_over_every_witness() -> None:
    pod = STATEFULSET_POD.seen({"POD_NAME": "mysql-0", "POD_INDEX": "1"})
    assert local_identity(pod_name="mysql-2", pod_environment=pod).ordinal == 2


def test_a_host_name_that_somebody_changed_is_a_contradiction() -> None:
    seen = STATEFULSET_POD.seen()
    for hostname in ("mysql-0", "mysql-3.db.other.svc.cluster.local", "mysql-3.example.com"):
        pod = PodEnvironment(IN_CLUSTER, hostname, SEARCH, seen.hosts, "prod")
        with pytest.raises(IdentityConflict, match="mysql-3"):
            local_identity(pod_environment=pod)


def test_a_changed_host_name_of_a_pod_without_a_service_is_a_contradiction() -> None:
    hosts = (*HOSTS, "10.9.0.4\tmysql-3")
    with pytest.raises(IdentityConflict) as caught:
        local_identity(pod_environment=PodEnvironment(IN_CLUSTER, "mysql-0", SEARCH, hosts, "prod"))
    assert "the host name is 'mysql-0'" in str(caught.value)
    assert "'mysql-3'" in str(caught.value)


def test_a_contradiction_is_never_taken_for_an_unknown_identity() -> None:
    pod = STATEFULSET_POD.seen({"POD_INDEX": "0"})
    with pytest.raises(IdentityConflict):
        find_service(None, None, None, pod)
    with pytest.raises(IdentityConflict):
        LookupOptions(service="db.prod.svc.x").plan(pod)


# dnsPolicy: None.


def test_without_a_search_list_the_kubelets_line_tells_the_service_to_every_command() -> None:
    seen = STATEFULSET_POD.seen()
    pod = PodEnvironment(IN_CLUSTER, "mysql-3", NO_SEARCH, seen.hosts, None)
    assert local_identity(pod_environment=pod).service == "db"
    assert find_service(None, None, None, pod).fqdn == "db.prod.svc.cluster.local"
    assert find_service("other", None, None, pod).fqdn == "other.prod.svc.cluster.local"
