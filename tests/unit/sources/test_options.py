"""The options that every way to look up a service shares, and the pod's environment behind them."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import pytest

import peerdisco
from peerdisco.exceptions import ConfigurationError
from peerdisco.model import Observation
from peerdisco.pod.environment import PodEnvironment
from peerdisco.pod.resolv_conf import ResolvConf, parse_resolv_conf
from peerdisco.pod.settings import find_server_timeout
from peerdisco.sources.options import LookupOptions, LookupPlan
from peerdisco.sources.query import ServiceQuery
from peerdisco.testing import peers

FIELDS = {field.name: field for field in dataclasses.fields(LookupOptions)}
NODE = parse_resolv_conf("search corp.example\nnameserver 192.0.2.53\n")


@pytest.mark.parametrize(
    "function",
    [
        peerdisco.discover,
        peerdisco.Discovery,
        peerdisco.sync.discover,
        peerdisco.sync.Discovery,
    ],
)
def test_every_signature_has_these_options_first(function: Callable[..., Any]) -> None:
    first = list(inspect.signature(function).parameters.values())[: len(FIELDS)]
    assert [parameter.name for parameter in first] == list(FIELDS)
    for parameter in first:
        field = FIELDS[parameter.name]
        assert (parameter.annotation, parameter.default) == (field.type, field.default)


@pytest.mark.parametrize("name", FIELDS)
def test_discover_documents_each_option(name: str) -> None:
    assert f"\n    {name}: " in (inspect.getdoc(peerdisco.discover) or "")


# The namespace of a pod that does not show its own.


def node_network(resolv_conf: ResolvConf = NODE, **variables: str) -> PodEnvironment:
    """A pod with the node's network and without a service account."""
    return PodEnvironment({"POD_NAME": "mysql-1", **variables}, "node-7", resolv_conf)


def plan(pod: PodEnvironment, **options: Any) -> LookupPlan:
    return LookupOptions(**options).plan(pod)


@pytest.mark.parametrize(
    "options",
    [
        {"service": "db", "namespace": "shop", "cluster_domain": "cluster.local"},
        {"service": "db.shop", "cluster_domain": "cluster.local"},
        {"service": "db.shop.svc.cluster.local"},
        {"service": "db.shop.svc.cluster.local", "source": "static:mysql-1=10.0.0.1"},
    ],
)
def test_the_identity_takes_the_namespace_of_the_service(options: dict[str, Any]) -> None:
    identity = plan(node_network(), **options).builder.identity
    assert identity is not None
    assert (identity.pod_name, identity.namespace) == ("mysql-1", "shop")
    assert identity.cluster_domain == "cluster.local"


def test_the_service_may_come_from_the_variable() -> None:
    pod = node_network(PEERDISCO_SERVICE="db.shop", PEERDISCO_CLUSTER_DOMAIN="k8s.example")
    identity = plan(pod).builder.identity
    assert identity is not None
    assert (identity.namespace, identity.cluster_domain) == ("shop", "k8s.example")
    assert identity.hostname == "mysql-1.db.shop.svc.k8s.example"


def test_a_multi_cluster_service_is_not_in_the_domain_of_the_pod() -> None:
    identity = plan(node_network(), service="db.shop.svc.clusterset.local").builder.identity
    assert identity is not None
    assert (identity.namespace, identity.cluster_domain) == ("shop", None)


def test_a_namespace_that_the_pod_shows_wins_over_the_service() -> None:
    pod = node_network(POD_NAMESPACE="own")
    identity = plan(pod, service="db.shop.svc.cluster.local").builder.identity
    assert identity is not None
    assert identity.namespace == "own"


def test_a_service_outside_a_cluster_has_no_namespace_to_take() -> None:
    assert plan(node_network(), service="db.corp.example.").builder.identity is None


def test_a_process_outside_a_pod_has_no_identity() -> None:
    pod = PodEnvironment({}, "laptop", NODE)
    assert plan(pod, service="db.shop.svc.cluster.local").builder.identity is None


async def test_the_pod_finds_itself_behind_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the namespace is known only from ``SERVICE.NAMESPACE``, in each way to look up."""
    for variable in ("POD_NAMESPACE", "PEERDISCO_NAMESPACE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("POD_NAME", "mysql-1")
    service, source = "db.shop.svc.cluster.local", "static:mysql-0=10.0.0.1,mysql-1=10.0.0.2"
    snapshot = await peerdisco.discover(service, source=source)
    assert snapshot.local is not None
    assert snapshot.local.name == "mysql-1"
    async with peerdisco.Discovery(service, source=source) as disco:
        await disco.wait(2, local=True, timeout=10)


# Which source is used, and which options go with it.


class Recorded:
    """A caller's own source."""

    service = "db.shop.svc.cluster.local"
    closed = False

    async def observe(self, *, timeout: float) -> Observation:
        return peers("mysql", 1)

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    "option", ["service", "namespace", "cluster_domain", "port_name", "protocol", "resolver"]
)
def test_a_source_object_takes_no_option_that_it_would_ignore(option: str) -> None:
    source = Recorded()
    with pytest.raises(ConfigurationError) as caught:
        plan(node_network(), source=source, **{option: "x"})
    assert str(caught.value) == (
        f"{option}: got 'x', expected no {option} with a Source object, which ignores it"
    )


def test_a_static_source_takes_no_name_servers() -> None:
    with pytest.raises(ConfigurationError, match="expected no nameservers with a static source"):
        plan(
            node_network(),
            service="db.shop.svc.x",
            source="static:a-0=10.0.0.1",
            nameservers=["10.0.0.1"],
        )


async def test_a_source_object_stays_open_and_another_is_closed() -> None:
    source = Recorded()
    async with plan(node_network(), source=source).opened() as opened:
        assert opened is source
    assert not source.closed
    made = plan(node_network(), service="db.shop.svc.x")
    assert isinstance(made.target, ServiceQuery)
    assert made.service == "db.shop.svc.x"


@pytest.mark.parametrize(
    ("options", "variable", "seconds"),
    [
        ("", None, None),
        ("timeout:3", None, 3),
        ("timeout:3 timeout:x timeout:", None, 3),
        ("timeout:0", None, None),
        ("timeout:31", None, 30),
        ("timeout:3", "attempts:2 timeout:4", 4),
        ("timeout:3", "attempts:2", 3),
    ],
)
def test_the_timeout_of_a_name_server(
    options: str, variable: str | None, seconds: int | None
) -> None:
    environ = {} if variable is None else {"RES_OPTIONS": variable}
    conf = parse_resolv_conf(f"nameserver 10.0.0.1\noptions {options}\n")
    pod = PodEnvironment(environ, resolv_conf=conf)
    assert find_server_timeout(pod) == seconds
    query = LookupOptions(service="db.shop.svc.cluster.local").plan(pod).target
    assert isinstance(query, ServiceQuery)
    assert query.server_timeout == seconds
