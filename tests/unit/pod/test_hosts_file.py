"""The kubelet's own line in a hosts file, and all that is none."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from peerdisco.names import ServiceName
from peerdisco.pod.hosts_file import OwnLine, from_kubelet, host_network, own_line

HEADER = (
    "# Kubernetes-managed hosts file.",
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::0\tip6-localnet",
    "fe00::0\tip6-mcastprefix",
    "fe00::1\tip6-allnodes",
    "fe00::2\tip6-allrouters",
)
SERVICE = ServiceName("db.prod.svc.cluster.local", "db", "prod", "cluster.local")
MYSQL_1 = "10.9.0.2\tmysql-1.db.prod.svc.cluster.local\tmysql-1"
OWN = OwnLine("mysql-1", SERVICE, (ip_address("10.9.0.2"),))
ALIASES = (
    "",
    "# Entries added by HostAliases.",
    "10.9.0.1\tmysql-0\tmysql-0.db.prod.svc.cluster.local",
)


def test_the_line_of_a_pod_behind_a_service() -> None:
    assert own_line((*HEADER, MYSQL_1)) == OWN


def test_the_lines_of_a_dual_stack_pod() -> None:
    second = MYSQL_1.replace("10.9.0.2", "fd00::2")
    line = own_line((*HEADER, MYSQL_1, second))
    assert line == OwnLine("mysql-1", SERVICE, (ip_address("10.9.0.2"), ip_address("fd00::2")))


def test_a_pod_without_a_subdomain_has_no_service() -> None:
    line = own_line((*HEADER, "10.9.0.2\tmysql-1"))
    assert line == OwnLine("mysql-1", None, (ip_address("10.9.0.2"),))


def test_an_override_that_looks_like_a_name_of_the_cluster_has_no_service() -> None:
    line = own_line((*HEADER, "10.9.0.2\tmysql-0.db.prod.svc.cluster.local"))
    assert line is not None
    assert line.service is None


@pytest.mark.parametrize(
    "more",
    [
        ALIASES,
        ALIASES[1:],
        ("10.9.0.1\tmysql-0.db.prod.svc.cluster.local\tmysql-0",),
        ("10.9.0.3\tmysql-1.db.prod.svc.cluster.local\tmysql-1",),
        ("fd00::1\tmysql-0.db.prod.svc.cluster.local\tmysql-0",),
        ("# a remark", "fd00::1\tmysql-1.db.prod.svc.cluster.local\tmysql-1"),
        ("nonsense",),
        ("10.9.0.9",),
    ],
    ids=repr,
)
def test_what_stands_below_the_own_line_is_not_the_pods(more: tuple[str, ...]) -> None:
    assert own_line((*HEADER, MYSQL_1, *more)) == OWN


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("127.0.0.1\tlocalhost", MYSQL_1),
        HEADER,
        (*HEADER, *ALIASES),
        (*HEADER, "nonsense\tmysql-1"),
        (*HEADER, "10.9.0.2"),
        ("# Kubernetes-managed hosts file (host network).", MYSQL_1),
    ],
    ids=repr,
)
def test_without_a_line_of_the_kubelet_there_is_none(lines: tuple[str, ...]) -> None:
    assert own_line(lines) is None


def test_case_tabs_and_comments_do_not_matter() -> None:
    line = own_line(
        (*HEADER, "# a remark", "", " 10.9.0.2  MySQL-1.db.prod.svc.Cluster.Local  MySQL-1")
    )
    assert line == OWN


def test_a_name_of_another_shape_is_no_service() -> None:
    for names in ("mysql-1.corp.example\tmysql-1", "mysql-0.db.prod.svc.cluster.local\tmysql-1"):
        line = own_line((*HEADER, f"10.9.0.2\t{names}"))
        assert line is not None
        assert line.service is None


def test_the_header_tells_who_wrote_it() -> None:
    assert from_kubelet(HEADER)
    assert not host_network(HEADER)
    assert host_network(("# Kubernetes-managed hosts file (host network).",))
    assert not from_kubelet(("# my hosts file", HEADER[0]))
    assert not from_kubelet(())


def test_a_line_that_is_too_long_is_not_the_kubelets() -> None:
    """It would take tenths of a second to split."""
    header = "# Kubernetes-managed hosts file."
    assert own_line([header, "10.0.0.3 db-0" + " " * 4083]) is not None
    assert own_line([header, "10.0.0.3 db-0" + " db-0" * 500_000]) is None
    assert own_line([header, "10.0.0.3 db-0", "10.0.0.4" + " x" * 500_000]) is not None
