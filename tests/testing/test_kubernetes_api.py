"""The API server that a real CoreDNS reads in the tests."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from peerdisco.testing import Cluster, StatefulSet
from tests import kubernetes_api
from tests.kubernetes_api import SLICE, KubernetesApi

SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
PODS = 2 * SLICE + 1


@pytest.fixture
def served() -> Iterator[tuple[KubernetesApi, StatefulSet]]:
    cluster = Cluster()
    statefulset = cluster.statefulset("db", "db", PODS, families=("ipv4", "ipv6"))
    with kubernetes_api.serving(cluster) as api:
        yield api, statefulset


def get(api: KubernetesApi, path: str) -> Any:
    with urllib.request.urlopen(api.url + path, timeout=20) as reply:
        assert reply.headers["Content-Type"] == "application/json"
        return json.load(reply)


def events(api: KubernetesApi, after: str) -> Iterator[tuple[str, str]]:
    """The type and the name of each event after this resource version."""
    query = f"?watch=true&resourceVersion={after}&timeoutSeconds=20"
    with urllib.request.urlopen(api.url + SLICES + query, timeout=20) as stream:
        for line in stream:
            event = json.loads(line)
            yield event["type"], event["object"]["metadata"]["name"]


def test_slices_are_listed_as_the_controller_makes_them(
    served: tuple[KubernetesApi, StatefulSet],
) -> None:
    api, statefulset = served
    listed = get(api, SLICES)
    assert (listed["apiVersion"], listed["kind"]) == ("discovery.k8s.io/v1", "EndpointSliceList")
    found: dict[str, set[str]] = {}
    for one in listed["items"]:
        assert one["metadata"]["labels"] == {"kubernetes.io/service-name": "db"}
        assert one["ports"] == [{"name": "", "port": 3306, "protocol": "TCP"}]
        assert len(one["endpoints"]) <= SLICE
        for endpoint in one["endpoints"]:
            version = "IPv6" if ":" in endpoint["addresses"][0] else "IPv4"
            assert one["addressType"] == version
            found.setdefault(endpoint["hostname"], set()).update(endpoint["addresses"])
    assert len(listed["items"]) == 6
    assert found == {pod.name: {str(a) for a in pod.addresses} for pod in statefulset.pods}
    assert [one["spec"]["clusterIP"] for one in get(api, "/api/v1/services")["items"]] == ["None"]
    assert len(get(api, "/api/v1/namespaces")["items"]) == 1


def test_a_watch_has_each_change_after_the_list(served: tuple[KubernetesApi, StatefulSet]) -> None:
    api, statefulset = served
    before = get(api, SLICES)["metadata"]["resourceVersion"]
    api.publish()  # nothing changed
    statefulset.restart(0)
    api.publish()
    watch = events(api, before)
    changed = {next(watch) for _ in range(2)}
    assert changed == {("MODIFIED", "db-0-0"), ("MODIFIED", "db-1-0")}
    statefulset.scale(2 * SLICE)
    api.publish()
    assert {next(watch) for _ in range(2)} == {
        ("DELETED", f"db-0-{2 * SLICE}"),
        ("DELETED", f"db-1-{2 * SLICE}"),
    }
    watch.close()


@pytest.mark.parametrize(
    ("path", "code"),
    [("/apis/none", 404), (f"{SLICES}?watch=true&sendInitialEvents=true", 422)],
)
def test_what_it_does_not_have_is_refused(
    served: tuple[KubernetesApi, StatefulSet], path: str, code: int
) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(served[0], path)
    assert refused.value.code == code
    refused.value.close()
