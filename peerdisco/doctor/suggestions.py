"""Names that may have been meant. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from ..names import PROTOCOLS, ServiceName, is_label

__all__ = ["PORT_NAMES", "closest", "port_questions", "service_candidates"]

PORT_NAMES = (
    "mysql",
    "mariadb",
    "mysqlx",
    "db",
    "database",
    "sql",
    "postgres",
    "postgresql",
    "pg",
    "redis",
    "mongodb",
    "mongo",
    "cql",
    "cassandra",
    "amqp",
    "epmd",
    "etcd",
    "kafka",
    "broker",
    "peer",
    "peers",
    "cluster",
    "gossip",
    "raft",
    "replication",
    "server",
    "client",
    "api",
    "app",
    "http",
    "https",
    "http2",
    "web",
    "grpc",
    "tcp",
    "main",
    "admin",
    "metrics",
    "health",
)
"""Common names of ports: DNS does not list the names of a service's ports, so these are tried."""

_MOST = 20
_SERVICE_LINK = re.compile(r"([A-Z][A-Z0-9_]*)_SERVICE_HOST")
"""The variables that Kubernetes sets for services of the namespace that have a cluster IP."""


def closest(name: str, names: Iterable[str], most: int = 3) -> tuple[str, ...]:
    """The names that are similar to this one, the most similar first."""
    return tuple(get_close_matches(name, sorted(set(names)), n=most, cutoff=0.5))


def service_candidates(
    service: ServiceName,
    own_names: Sequence[str],
    governing: str | None,
    namespace: str | None,
    environ: Mapping[str, str],
) -> tuple[str, ...]:
    """Fully qualified names of services that may be the one that was meant.

    Args:
        service: The service that DNS does not list.
        own_names: The names of this pod's own addresses in DNS, each below a service that selects
            the pod.
        governing: The governing service in ``/etc/hosts``; None without one.
        namespace: This pod's namespace; None if not known.
        environ: The environment variables.
    """
    found: dict[str, None] = {}
    if governing is not None:
        found[governing] = None
    for name in own_names:
        found[name.partition(".")[2]] = None
    domain = service.cluster_domain
    if domain is not None:
        for space in (namespace, "default", service.name):
            if space is not None and is_label(space):
                found[f"{service.name}.{space}.svc.{domain}"] = None
        for variable in environ:
            link = _SERVICE_LINK.fullmatch(variable)
            if link is not None and namespace is not None:
                label = link[1].lower().replace("_", "-")
                if closest(service.name, [label]):
                    found[f"{label}.{namespace}.svc.{domain}"] = None
    found.pop(service.fqdn, None)
    return tuple(found)[:_MOST]


def port_questions(port_name: str) -> tuple[tuple[str, str], ...]:
    """Port names with protocols that may have been meant: the same name first."""
    same = [(port_name, protocol) for protocol in PROTOCOLS]
    return (*same, *((name, "tcp") for name in PORT_NAMES if name != port_name))
