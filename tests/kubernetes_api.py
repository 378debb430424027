"""The part of a Kubernetes API server that CoreDNS needs, for a `Cluster` of the testing kit.

It lists and watches namespaces, services, EndpointSlices and pods, in JSON over HTTP::

    with serving(cluster) as api:
        cluster.scale(...)
        api.publish()

EndpointSlices are made as kube-controller-manager makes them: at most a hundred endpoints in each,
and others for each address family and each set of ports. There are no pods, which CoreDNS asks for
only with ``pods verified``.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from peerdisco.testing import Cluster
from peerdisco.testing.state import ClusterState, Endpoint, ServiceKey

SLICE = 100
"""Endpoints in a slice, as kube-controller-manager is shipped (``--max-endpoints-per-slice``)."""

_KINDS = {
    "/api/v1/namespaces": ("v1", "Namespace"),
    "/api/v1/services": ("v1", "Service"),
    "/api/v1/pods": ("v1", "Pod"),
    "/apis/discovery.k8s.io/v1/endpointslices": ("discovery.k8s.io/v1", "EndpointSlice"),
}
"""The API version and the kind of the objects at each path."""

_NAMESPACES, _SERVICES, _, _SLICES = _KINDS

_LONGEST_WATCH = 300.0
"""Seconds after which a watch ends if the client wants no other time."""

_PATIENCE = 20.0
"""Seconds to wait for a client that has connected."""

Object = dict[str, Any]


class KubernetesApi:
    """The objects of a cluster as they were published last, and the changes that led there.

    Args:
        cluster: Its services and their endpoints; published at once.

    Attributes:
        url: Where it listens.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.url = ""
        self._cluster = cluster
        self._changed = threading.Condition()
        self._objects: dict[tuple[str, str], Object] = {}
        """By path, and name with namespace."""
        self._events: list[tuple[int, str, Object]] = []
        """Resource version, path, and the event of a watch."""
        self._version = 0
        self._closed = False
        self.publish()

    def publish(self) -> None:
        """Show the cluster as it is now, to those who watch too."""
        new = {(path, _key(one)): one for path, one in _objects(self._cluster.state())}
        with self._changed:
            old = self._objects
            for place in old.keys() - new.keys():
                self._report("DELETED", place[0], old[place])
            for place, one in new.items():
                before = old.get(place)
                if before is not None and _without_version(before) == _without_version(one):
                    new[place] = before
                else:
                    self._report("ADDED" if before is None else "MODIFIED", place[0], one)
            self._objects = new
            self._changed.notify_all()

    def close(self) -> None:
        """End every watch."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def listed(self, path: str) -> Object:
        """The objects of one kind."""
        version, kind = _KINDS[path]
        with self._changed:
            return {
                "apiVersion": version,
                "kind": f"{kind}List",
                "metadata": {"resourceVersion": str(self._version)},
                "items": [one for place, one in self._objects.items() if place[0] == path],
            }

    def watched(self, path: str, after: int, seconds: float) -> Iterator[Object]:
        """The changes to one kind after this resource version, for so long."""
        until = time.monotonic() + seconds
        seen = 0
        while True:
            with self._changed:
                while seen == len(self._events) and not self._closed:
                    left = until - time.monotonic()
                    if left <= 0:
                        return
                    self._changed.wait(left)
                if self._closed:
                    return
                events, seen = self._events[seen:], len(self._events)
            for version, kind, event in events:
                if kind == path and version > after:
                    yield event

    def _report(self, what: str, path: str, one: Object) -> None:
        self._version += 1
        one["metadata"]["resourceVersion"] = str(self._version)
        self._events.append((self._version, path, {"type": what, "object": one}))


@contextmanager
def serving(cluster: Cluster) -> Iterator[KubernetesApi]:
    """The API server of a cluster, in threads of this process, until the block ends."""
    api = KubernetesApi(cluster)

    class Handler(_Handler):
        served = api

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = False
        api.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, name="kubernetes api")
        thread.start()
        try:
            yield api
        finally:
            api.close()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    served: KubernetesApi
    timeout = _PATIENCE

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query))
        if url.path not in _KINDS:
            self._refuse(404, "NotFound")
        elif query.get("watch") not in ("1", "true"):
            self._send(200, self.served.listed(url.path))
        elif "sendInitialEvents" in query:
            # As servers without streaming lists do; the client then lists (KEP-3157).
            self._refuse(422, "Invalid")
        else:
            self._watch(url.path, query)

    def _watch(self, path: str, query: Mapping[str, str]) -> None:
        self._begin(200)
        after = int(query.get("resourceVersion") or 0)
        seconds = float(query.get("timeoutSeconds") or _LONGEST_WATCH)
        try:
            for event in self.served.watched(path, after, seconds):
                self.wfile.write(json.dumps(event).encode() + b"\n")
        except OSError:
            pass  # the client has gone

    def _refuse(self, code: int, reason: str) -> None:
        status = {"apiVersion": "v1", "kind": "Status", "status": "Failure"}
        self._send(code, {**status, "reason": reason, "code": code})

    def _send(self, status: int, body: Object) -> None:
        self._begin(status)
        self.wfile.write(json.dumps(body).encode())

    def _begin(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""


def _objects(state: ClusterState) -> Iterator[tuple[str, Object]]:
    """Everything there is, with the path that it is under."""
    for namespace in sorted({namespace for namespace, _ in state.services}):
        yield _NAMESPACES, _object(_NAMESPACES, namespace)
    for key, endpoints in state.services.items():
        spec = {"type": "ClusterIP", "clusterIP": "None", "clusterIPs": ["None"]}
        yield _SERVICES, {**_object(_SERVICES, key[1], key[0]), "spec": spec}
        for one in _slices(key, endpoints):
            yield _SLICES, one


def _slices(key: ServiceKey, endpoints: Iterable[Endpoint]) -> Iterator[Object]:
    namespace, service = key
    groups: dict[tuple[int, object], list[Endpoint]] = {}
    for endpoint in endpoints:
        groups.setdefault((endpoint.address.version, endpoint.ports), []).append(endpoint)
    for number, ((family, _), together) in enumerate(groups.items()):
        for start in range(0, len(together), SLICE):
            one = _object(_SLICES, f"{service}-{number}-{start}", namespace)
            one["metadata"]["labels"] = {"kubernetes.io/service-name": service}
            one["addressType"] = f"IPv{family}"
            one["endpoints"] = [_endpoint(e) for e in together[start : start + SLICE]]
            one["ports"] = [
                {"name": port.name, "port": port.number, "protocol": port.protocol}
                for port in together[0].ports
            ]
            yield one


def _endpoint(endpoint: Endpoint) -> Object:
    one: Object = {"addresses": [str(endpoint.address)], "conditions": {"ready": endpoint.ready}}
    return one if endpoint.hostname is None else {**one, "hostname": endpoint.hostname}


def _object(path: str, name: str, namespace: str | None = None) -> Object:
    version, kind = _KINDS[path]
    metadata = {"name": name, "uid": f"{kind}-{namespace}-{name}"}
    if namespace is not None:
        metadata["namespace"] = namespace
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def _key(one: Object) -> str:
    return f"{one['metadata'].get('namespace', '')}/{one['metadata']['name']}"


def _without_version(one: Object) -> Object:
    metadata = {name: value for name, value in one["metadata"].items() if name != "resourceVersion"}
    return {**one, "metadata": metadata}
