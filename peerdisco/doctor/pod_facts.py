"""The facts of this pod's identity, each with its source."""

from __future__ import annotations

from collections.abc import Iterator

from ..exceptions import ConfigurationError, IdentityConflict, IdentityError
from ..model import Identity
from ..pod.environment import HOSTS, NAMESPACE_FILE, RESOLV_CONF, PodEnvironment
from ..pod.identity import local_identity
from ..pod.settings import NAMESPACE_VARIABLES
from .facts import Conflict, Known, PodFacts

__all__ = ["gather_pod_facts"]

_SEARCH = f"the search list of {RESOLV_CONF}"
_DOMAIN_VARIABLE = "PEERDISCO_CLUSTER_DOMAIN"


def gather_pod_facts(
    pod: PodEnvironment, *, namespace: str | None = None, cluster_domain: str | None = None
) -> PodFacts:
    """The facts about this pod.

    Args:
        pod: The environment.
        namespace: The namespace in the options; None without one.
        cluster_domain: The cluster domain in the options; None without one.
    """
    sources = {
        "pod name": _pod_name_source(pod),
        "namespace": _namespace(pod, namespace),
        "cluster domain": _cluster_domain(pod, cluster_domain),
    }
    identity: Identity | None = None
    missing: tuple[str, str] | None = None
    conflicting = False
    try:
        identity = local_identity(
            namespace=namespace, cluster_domain=cluster_domain, pod_environment=pod
        )
    except IdentityError as error:
        missing = (error.missing, str(error))
        conflicting = isinstance(error, IdentityConflict)
    except ConfigurationError as error:
        missing = ("configuration", str(error))
    known = {}
    for fact in ("namespace", "cluster domain"):
        if (source := sources[fact]) is not None:
            known[fact] = source
    line = pod.own_line
    addresses = identity.addresses if identity else line.addresses if line else ()
    if identity is not None:
        known |= _of_identity(identity, pod)
    governing = line.service.fqdn if line is not None and line.service is not None else None
    return PodFacts(
        in_pod=pod.in_pod,
        host_network=pod.host_network,
        known=known,
        statefulset=identity.statefulset if identity else None,
        ordinal=identity.ordinal if identity else None,
        addresses=addresses,
        governing=governing,
        missing=missing if pod.in_pod or conflicting else None,
        conflicting=conflicting,
        conflicts=tuple(_conflicts(pod)),
        resolv_conf=pod.resolv_conf,
    )


def _of_identity(me: Identity, pod: PodEnvironment) -> dict[str, Known]:
    """The facts that only the whole identity shows."""
    source = _pod_name_source(pod)
    known = {"pod name": Known(me.pod_name, source.source if source else "the host name")}
    if me.service is not None:
        given = pod.variable("PEERDISCO_SERVICE")
        known["service"] = Known(me.service, "PEERDISCO_SERVICE" if given else HOSTS)
    if me.addresses:
        known["addresses"] = Known(
            ", ".join(map(str, me.addresses)), _address_variable(pod) or HOSTS
        )
    return known


def _pod_name_source(pod: PodEnvironment) -> Known | None:
    name = pod.variable("POD_NAME")
    return None if name is None else Known(name, "POD_NAME")


def _address_variable(pod: PodEnvironment) -> str | None:
    return next((name for name in ("POD_IPS", "POD_IP") if pod.variable(name)), None)


def _namespace(pod: PodEnvironment, given: str | None) -> Known | None:
    if given:
        return Known(given, "--namespace")
    for name in NAMESPACE_VARIABLES:
        if (value := pod.variable(name)) is not None:
            return Known(value, name)
    return _detected_namespace(pod)


def _detected_namespace(pod: PodEnvironment) -> Known | None:
    cluster = _from_files(pod)
    if cluster is not None:
        return Known(cluster[0], cluster[2])
    if pod.service_account_namespace is not None:
        return Known(pod.service_account_namespace, NAMESPACE_FILE)
    return None


def _cluster_domain(pod: PodEnvironment, given: str | None) -> Known | None:
    if given:
        return Known(given.lower().removesuffix("."), "--cluster-domain")
    value = pod.variable(_DOMAIN_VARIABLE)
    if value is not None:
        return Known(value.lower().removesuffix("."), _DOMAIN_VARIABLE)
    cluster = _from_files(pod)
    return None if cluster is None else Known(cluster[1], cluster[2])


def _from_files(pod: PodEnvironment) -> tuple[str, str, str] | None:
    """The namespace and the cluster domain in the pod's files, and the file."""
    if pod.cluster is None:
        return None
    searched = any(".svc." in domain for domain in pod.resolv_conf.search)
    return *pod.cluster, _SEARCH if searched else HOSTS


def _conflicts(pod: PodEnvironment) -> Iterator[Conflict]:
    """Variables that contradict the files that the kubelet wrote."""
    detected = _detected_namespace(pod)
    for name in NAMESPACE_VARIABLES:
        value = pod.variable(name)
        if value is not None and detected is not None and value != detected.value:
            yield Conflict("namespace", Known(value, name), detected)
    domain, files = _cluster_domain(pod, None), _from_files(pod)
    if domain is not None and files is not None and domain.value != files[1]:
        yield Conflict("cluster domain", domain, Known(files[1], files[2]))
    line, variable = pod.own_line, _address_variable(pod)
    if line is not None and variable is not None:
        given = {text.strip() for text in (pod.variable(variable) or "").split(",")}
        written = {str(address) for address in line.addresses}
        if not given & written:
            yield Conflict(
                "addresses",
                Known(", ".join(sorted(given)), variable),
                Known(", ".join(sorted(written)), HOSTS),
            )
