from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

import pytest

from peerdisco.exceptions import ConfigurationError
from peerdisco.testing import Cluster, Endpoint, Service, ServicePort

DATABASE = ("default", "my-database")


def published(cluster: Cluster, namespace: str = "default", name: str = "my-database") -> list[str]:
    return [f"{'.'.join(e.labels)} {e.address}" for e in cluster.state().services[namespace, name]]


def test_a_statefulset_of_three() -> None:
    cluster = Cluster()
    mysql = cluster.statefulset("mysql", service="my-database")
    assert mysql.pod_names == ("mysql-0", "mysql-1", "mysql-2")
    assert mysql.replicas == 3
    assert mysql.pod(1).hostname == "mysql-1.my-database.default.svc.cluster.local"
    assert published(cluster) == ["mysql-0 10.244.0.3", "mysql-1 10.244.0.4", "mysql-2 10.244.0.5"]
    assert cluster.state().services[DATABASE][0] == Endpoint(
        ip_address("10.244.0.3"), "mysql-0", True, (ServicePort("", 3306, "TCP"),)
    )


def test_scaling_adds_and_removes_at_the_end_and_never_gives_an_address_twice() -> None:
    cluster = Cluster()
    mysql = cluster.statefulset("mysql", service="my-database", replicas=2)
    mysql.scale(3)
    mysql.scale(1)
    mysql.scale(2)
    assert published(cluster) == ["mysql-0 10.244.0.3", "mysql-1 10.244.0.6"]
    mysql.scale(0)
    assert published(cluster) == []


def test_a_restarted_pod_keeps_its_name_only() -> None:
    cluster = Cluster()
    mysql = cluster.statefulset("mysql", service="my-database", replicas=2)
    assert str(mysql.restart(0).addresses[0]) == "10.244.0.5"
    assert published(cluster) == ["mysql-0 10.244.0.5", "mysql-1 10.244.0.4"]


def test_a_stopped_pod_leaves_a_hole_until_it_is_started() -> None:
    cluster = Cluster()
    mysql = cluster.statefulset("mysql", service="my-database")
    mysql.stop(1)
    assert mysql.pod_names == ("mysql-0", "mysql-2")
    assert mysql.replicas == 3
    mysql.scale(4)
    assert mysql.pod_names == ("mysql-0", "mysql-2", "mysql-3")
    mysql.start(1)
    assert published(cluster)[1] == "mysql-1 10.244.0.7"


def test_readiness() -> None:
    cluster = Cluster()
    mysql = cluster.statefulset("mysql", service="my-database", replicas=2, ready=False)
    assert published(cluster) == []
    mysql.set_ready(1, True)
    assert published(cluster) == ["mysql-1 10.244.0.4"]
    mysql.set_ready_all(True)
    assert len(published(cluster)) == 2
    mysql.set_ready_all(False)
    assert published(cluster) == []


def test_not_ready_addresses_are_published_where_the_service_says_so() -> None:
    cluster = Cluster()
    cluster.statefulset(
        "mysql", service="my-database", ready=False, publish_not_ready_addresses=True
    )
    assert len(published(cluster)) == 3
    assert not cluster.state().services[DATABASE][0].ready


def test_the_first_ordinal() -> None:
    mysql = Cluster().statefulset("mysql", service="my-database", replicas=2, first_ordinal=5)
    assert mysql.pod_names == ("mysql-5", "mysql-6")
    mysql.scale(3)
    assert mysql.pod(7).ordinal == 7


def test_dual_stack_is_one_slice_for_each_family() -> None:
    cluster = Cluster()
    cluster.statefulset("mysql", service="my-database", replicas=2, families=("ipv4", "ipv6"))
    assert published(cluster) == [
        "mysql-0 10.244.0.3",
        "mysql-1 10.244.0.4",
        "mysql-0 fd00:10:244::3",
        "mysql-1 fd00:10:244::4",
    ]


def test_two_statefulsets_behind_one_service() -> None:
    cluster = Cluster()
    cluster.statefulset("blue", service="my-database", replicas=1)
    green = cluster.statefulset("green", service="my-database", replicas=1)
    assert published(cluster) == ["blue-0 10.244.0.3", "green-0 10.244.0.4"]
    green.delete()
    assert published(cluster) == ["blue-0 10.244.0.3"]
    cluster.statefulset("green", service="my-database", replicas=1)


def test_only_the_governing_service_gives_names() -> None:
    cluster = Cluster()
    mysql = cluster.statefulset(
        "mysql", service="read", replicas=1, governing_service="my-database"
    )
    assert published(cluster, name="read") == ["10-244-0-3 10.244.0.3"]
    mysql.expose("my-database")
    assert published(cluster) == ["mysql-0 10.244.0.3"]


def test_endpoints_without_a_statefulset() -> None:
    cluster = Cluster()
    first = cluster.endpoint("my-database")
    cluster.endpoint("my-database", "db-0", ["10.1.0.1", "fd00::"], ready=False)
    assert published(cluster) == ["10-244-0-3 10.244.0.3"]
    first.remove()
    first.remove()
    assert published(cluster) == []


def test_an_endpoint_becomes_ready() -> None:
    cluster = Cluster()
    endpoint = cluster.endpoint("my-database", addresses=["fd00::"], ready=False)
    endpoint.set_ready(True)
    assert published(cluster) == ["fd00--0 fd00::"]


def test_ports() -> None:
    cluster = Cluster()
    cluster.service("my-database", ports={"mysql": 3306, "metrics": 9104})
    cluster.statefulset("mysql", service="my-database", replicas=1)
    cluster.statefulset("other", service="my-database", replicas=1, ports={"mysql": 3307})
    cluster.statefulset("none", service="my-database", replicas=1, ports=())
    assert [[p.number for p in e.ports] for e in cluster.state().services[DATABASE]] == [
        [3306, 9104],
        [3307],
        [],
    ]


def test_a_state_never_changes_and_its_serial_grows() -> None:
    cluster = Cluster()
    mysql = cluster.statefulset("mysql", service="my-database")
    before = cluster.state()
    assert cluster.state() is before
    mysql.pod_names, mysql.pod(0), cluster.services()
    assert cluster.state() is before
    mysql.scale(0)
    assert len(before.services[DATABASE]) == 3
    assert cluster.state().serial > before.serial


def test_a_deleted_service() -> None:
    cluster = Cluster()
    mysql = cluster.statefulset("mysql", service="my-database")
    cluster.delete_service("my-database")
    assert cluster.services() == ()
    assert cluster.state().services == {}
    mysql.scale(5)
    assert cluster.service("my-database") == Service("my-database")


REFUSED: dict[str, tuple[Callable[[Cluster], object], str]] = {
    "domain": (lambda c: Cluster("no domain"), "cluster domain"),
    "ttl": (lambda c: Cluster(ttl=-1), "ttl"),
    "service name": (lambda c: c.service("My_Database"), "service: got 'My_Database'"),
    "namespace": (lambda c: c.service("x", namespace=""), "namespace"),
    "duplicate service": (lambda c: c.service("my-database"), "a name that is not used"),
    "missing service": (lambda c: c.delete_service("nope"), "my-database in default"),
    "duplicate statefulset": (
        lambda c: c.statefulset("mysql", service="my-database"),
        "a name that is not used",
    ),
    "statefulset name": (lambda c: c.statefulset("a.b", service="x"), "StatefulSet"),
    "long name": (lambda c: c.statefulset("a" * 62, service="x"), "pod name"),
    "replicas": (lambda c: c.statefulset("a", service="x", replicas=-1), "replicas: got -1"),
    "first ordinal": (lambda c: c.statefulset("a", service="x", first_ordinal=-1), "first_ordinal"),
    "families": (lambda c: c.statefulset("a", service="x", families=("ipv5",)), "families"),
    "readiness of a service": (
        lambda c: c.statefulset("a", service="my-database", publish_not_ready_addresses=True),
        "as the service 'my-database' has it",
    ),
    "port": (lambda c: c.service("x", ports=0), "port: got 0"),
    "port name": (lambda c: c.service("x", ports={"A": 1}), "port name"),
    "two ports without names": (
        lambda c: c.service("x", ports=[ServicePort("", 1), ServicePort("b", 2)]),
        "a different name",
    ),
    "protocol": (lambda c: ServicePort(protocol="tcp"), "protocol"),
    "address": (lambda c: c.endpoint("x", addresses=["10.0.0"]), "addresses"),
    "one address": (lambda c: c.endpoint("x", addresses="10.0.0.1"), "addresses"),
    "no address": (lambda c: c.endpoint("x", addresses=[]), "addresses"),
    "hostname": (lambda c: c.endpoint("x", "a.b"), "hostname"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_kubernetes_would_refuse(case: str) -> None:
    cluster = Cluster()
    cluster.statefulset("mysql", service="my-database")
    call, message = REFUSED[case]
    with pytest.raises(ConfigurationError, match=message):
        call(cluster)


def test_wrong_ordinals() -> None:
    mysql = Cluster().statefulset("mysql", service="my-database")
    for call in (mysql.pod, mysql.restart, mysql.stop, mysql.start):
        with pytest.raises(ConfigurationError, match="got 3, expected one from 0 to 2"):
            call(3)
    with pytest.raises(ConfigurationError, match="expected one that is stopped"):
        mysql.start(0)
    mysql.stop(0)
    with pytest.raises(ConfigurationError, match="expected one that is not stopped"):
        mysql.restart(0)
    mysql.scale(0)
    with pytest.raises(ConfigurationError, match="replicas first"):
        mysql.set_ready(0, True)
