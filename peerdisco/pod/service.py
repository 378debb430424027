"""The service to look up, where the pod's own may be the default. Pure."""

from __future__ import annotations

from ..exceptions import IdentityConflict, IdentityError
from ..names import ServiceName, parse_domain, parse_namespace, parse_service
from .environment import HOSTS, PodEnvironment
from .identity import local_identity
from .settings import find_cluster_domain, find_namespace

__all__ = ["find_service"]


def find_service(
    given: str | None, namespace: str | None, cluster_domain: str | None, pod: PodEnvironment
) -> ServiceName:
    """The service to look up: the argument, else ``PEERDISCO_SERVICE``, else the pod's own.

    Raises:
        ConfigurationError: It is not a service's name.
        IdentityError: A part of the name is required and not known.
    """
    text = given if given is not None else pod.variable("PEERDISCO_SERVICE")
    if text is None:
        try:
            text = local_identity(
                namespace=namespace, cluster_domain=cluster_domain, pod_environment=pod
            ).service
        except IdentityConflict:
            raise
        except IdentityError:
            text = None
    if text is None:
        raise IdentityError(
            "service",
            ("PEERDISCO_SERVICE", f"this pod's line in {HOSTS}"),
            "name the headless service, as an argument or in PEERDISCO_SERVICE",
        )
    return parse_service(
        text,
        namespace=parse_namespace(namespace) if namespace else None,
        cluster_domain=parse_domain(cluster_domain) if cluster_domain else None,
        default_namespace=find_namespace(None, pod),
        default_cluster_domain=find_cluster_domain(None, pod),
        what="service" if given is not None else "PEERDISCO_SERVICE",
    )
