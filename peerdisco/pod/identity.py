"""The identity of this pod, from its environment and the files that the kubelet writes.

For each fact an explicit argument wins over a variable, and a variable over what is detected.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

from ..exceptions import ConfigurationError, IdentityError
from ..model import Identity
from ..names import ordinal_of, parse_service
from .environment import NAMESPACE_FILE, RESOLV_CONF, PodEnvironment, read_pod_environment
from .hosts_file import OwnLine
from .name import NameFacts, check_index, find_pod_name
from .settings import find_cluster_domain, find_namespace

__all__ = ["local_identity"]


def local_identity(
    *,
    pod_name: str | None = None,
    namespace: str | None = None,
    service: str | None = None,
    cluster_domain: str | None = None,
    pod_environment: PodEnvironment | None = None,
) -> Identity:
    """The identity of this pod.

    Each fact comes from the first of these sources that has it:

    - pod name: ``POD_NAME``, without the random suffix of an Indexed Job's pod; the host name,
      unless the kubelet's line in ``/etc/hosts`` contradicts it (never the node's with
      ``hostNetwork``, one outside the cluster's domain, or one outside a pod);
    - namespace: ``POD_NAMESPACE`` or ``PEERDISCO_NAMESPACE``, which must not differ;
      the search list in ``/etc/resolv.conf``; the kubelet's line; the service account;
    - cluster domain: ``PEERDISCO_CLUSTER_DOMAIN``; the search list; the kubelet's line;
    - service: ``PEERDISCO_SERVICE``; the kubelet's line;
    - addresses: ``POD_IPS`` or ``POD_IP``; the kubelet's line.

    If ``POD_INDEX`` (the label ``apps.kubernetes.io/pod-index``) or ``JOB_COMPLETION_INDEX`` is
    set, the ordinal in the name must be the same.

    It waits up to a second for files on a mount that hangs, and then takes them as empty, with a
    warning in the log. In an event loop it waits 20 ms, and then raises `IdentityError`; there, a
    thread can wait: ``await asyncio.to_thread(peerdisco.local_identity)``.

    Args:
        pod_name: Wins over every other source of the pod's name.
        namespace: Wins over every other source of the namespace.
        service: The governing service: its name, or the fully qualified name.
        cluster_domain: Wins over every other source of the cluster domain.
        pod_environment: The environment of the pod; None to read this machine's.

    Raises:
        IdentityError: The pod's name or its namespace is not known; or, in an event loop, the
            files are not read yet.
        IdentityConflict: Two facts about the pod contradict each other.
        ConfigurationError: An argument or a variable has an invalid value.
    """
    pod = read_pod_environment() if pod_environment is None else pod_environment
    line = pod.own_line
    name = find_pod_name(pod_name, _name_facts(pod, cluster_domain))
    hosts_name = line.service if line is not None and line.host == name else None
    space = find_namespace(namespace, pod)
    domain = find_cluster_domain(cluster_domain, pod)
    if hosts_name is not None:
        space, domain = space or hosts_name.namespace, domain or hosts_name.cluster_domain
    if space is None:
        raise IdentityError(
            "namespace",
            ("POD_NAMESPACE", f"the search list of {RESOLV_CONF}", NAMESPACE_FILE),
            "set POD_NAMESPACE from the downward API (fieldRef: metadata.namespace), or use "
            "namespace= or --namespace",
        )
    given = service or pod.variable("PEERDISCO_SERVICE")
    what = "service" if service else "PEERDISCO_SERVICE"
    service_name, domain, hostname = _service_of(name, given, space, domain, what)
    if hosts_name is not None and (space, domain) == (
        hosts_name.namespace,
        hosts_name.cluster_domain,
    ):
        service_name = service_name or hosts_name.name
        if service is None:  # the peers find this pod by the name that the kubelet wrote
            hostname = f"{name}.{hosts_name.fqdn}"
    addresses = _addresses(pod, line)
    statefulset, ordinal = ordinal_of(name, addresses) or (None, None)
    if pod_name is None:
        for variable in ("POD_INDEX", "JOB_COMPLETION_INDEX"):
            check_index(name, ordinal, variable, pod.variable(variable))
    return Identity(
        pod_name=name,
        namespace=space,
        ordinal=ordinal,
        statefulset=statefulset,
        service=service_name,
        cluster_domain=domain,
        hostname=hostname,
        addresses=addresses,
    )


def _name_facts(pod: PodEnvironment, cluster_domain: str | None) -> NameFacts:
    """The facts about the pod's name in this environment."""
    return NameFacts(
        pod_name=pod.variable("POD_NAME"),
        completion_index=pod.variable("JOB_COMPLETION_INDEX"),
        hostname=pod.hostname,
        line=pod.own_line,
        in_pod=pod.in_pod,
        host_network=pod.host_network,
        cluster_domain=find_cluster_domain(cluster_domain, pod),
    )


def _service_of(
    pod_name: str, service: str | None, space: str, domain: str | None, what: str
) -> tuple[str | None, str | None, str | None]:
    """The service's name, the cluster domain, and the pod's host name; None if not known.

    A service in another namespace does not govern this pod.
    """
    if service is None:
        return None, domain, None
    try:
        named = parse_service(
            service, default_namespace=space, default_cluster_domain=domain, what=what
        )
    except IdentityError:
        return service.partition(".")[0].lower(), domain, None
    own = named.namespace == space
    return named.name, domain or named.cluster_domain, f"{pod_name}.{named.fqdn}" if own else None


def _addresses(pod: PodEnvironment, line: OwnLine | None) -> tuple[IPv4Address | IPv6Address, ...]:
    for variable in ("POD_IPS", "POD_IP"):
        text = pod.variable(variable)
        if text is None:
            continue
        try:
            return _in_order(ip_address(part.strip()) for part in text.split(","))
        except ValueError:
            raise ConfigurationError(variable, text, "the pod's IP addresses") from None
    return _in_order(line.addresses) if line is not None else ()


def _in_order(
    addresses: Iterable[IPv4Address | IPv6Address],
) -> tuple[IPv4Address | IPv6Address, ...]:
    return tuple(sorted(set(addresses), key=lambda address: (address.version, int(address))))
