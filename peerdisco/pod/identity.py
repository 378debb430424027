"""Who am I, and whom do I ask: the environment, and the files that the kubelet writes.

For each fact an explicit argument wins over a variable, and a variable over what is detected.
`read_pod_environment` is the one place that looks at the machine; what follows from it is pure.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address, ip_address

from ..exceptions import ConfigurationError, IdentityConflict, IdentityError
from ..model import Identity
from ..names import (
    Endpoint,
    ServiceName,
    cluster_of_search_domains,
    is_pod_name,
    ordinal_of,
    parse_domain,
    parse_nameserver,
    parse_namespace,
    parse_service,
    reject_text,
)
from .hosts_file import OwnLine, from_kubelet, host_network, own_line
from .name import Witnesses, check_index, find_pod_name
from .resolv_conf import ResolvConf, parse_resolv_conf

__all__ = ["PodEnvironment", "ResolvConfFile", "local_identity", "read_pod_environment"]

_log = logging.getLogger(__name__)

RESOLV_CONF = "/etc/resolv.conf"
HOSTS = "/etc/hosts"
NAMESPACE_VARIABLES = ("PEERDISCO_NAMESPACE", "POD_NAMESPACE")
"""Both mean the same: a variable of the product is expected to have its prefix, and the usual name
for a fact of the downward API is the other one."""
NAMESPACE_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"


@dataclass(frozen=True, slots=True)
class PodEnvironment:
    """What a process can see of where it runs.

    Attributes:
        environ: The environment variables.
        hostname: The kernel's, as it is.
        resolv_conf: ``/etc/resolv.conf``; empty if there is none.
        hosts: The lines of ``/etc/hosts``; empty if there is none.
        service_account_namespace: What the service account's volume says; None without one.
    """

    environ: Mapping[str, str] = field(default_factory=dict)
    hostname: str = ""
    resolv_conf: ResolvConf = ResolvConf()  # noqa: RUF009 - immutable
    hosts: tuple[str, ...] = ()
    service_account_namespace: str | None = None

    def variable(self, name: str) -> str | None:
        """A variable's value; None if it is not set or, as Kubernetes may leave it, empty."""
        return self.environ.get(name, "").strip() or None

    @property
    def cluster(self) -> tuple[str, str] | None:
        """The namespace and the cluster domain; None where nothing tells both.

        From the search list; with ``dnsPolicy: None`` that may be of no cluster, and what the
        kubelet wrote into ``/etc/hosts`` tells.
        """
        listed = cluster_of_search_domains(self.resolv_conf.search)
        if listed is not None or self.own_line is None or self.own_line.service is None:
            return listed
        service = self.own_line.service
        if service.namespace is None or service.cluster_domain is None:
            return None
        return service.namespace, service.cluster_domain

    @property
    def own_line(self) -> OwnLine | None:
        """What the kubelet wrote for this pod into ``/etc/hosts``; None without such a line."""
        return own_line(self.hosts)

    def witnesses(self, cluster_domain: str | None = None) -> Witnesses:
        """What it shows of the pod's name."""
        return Witnesses(
            pod_name=self.variable("POD_NAME"),
            completion_index=self.variable("JOB_COMPLETION_INDEX"),
            hostname=self.hostname,
            line=self.own_line,
            in_pod=self.in_pod,
            host_network=self.host_network,
            cluster_domain=find_cluster_domain(cluster_domain, self),
        )

    @property
    def host_network(self) -> bool:
        """Whether the pod shares its node's network, so that its host name is the node's."""
        return host_network(self.hosts)

    @property
    def in_pod(self) -> bool:
        """Whether anything shows that this is a pod of a cluster."""
        return (
            "KUBERNETES_SERVICE_HOST" in self.environ
            or self.service_account_namespace is not None
            or self.cluster is not None
            or from_kubelet(self.hosts)
        )


def read_pod_environment(
    *,
    environ: Mapping[str, str] | None = None,
    resolv_conf: str = RESOLV_CONF,
    hosts: str = HOSTS,
    namespace_file: str = NAMESPACE_FILE,
) -> PodEnvironment:
    """Look at the machine once. A file that is not there, or not to be read, tells nothing."""
    namespace = _read(namespace_file).strip()
    return PodEnvironment(
        environ=dict(os.environ if environ is None else environ),
        hostname=socket.gethostname(),
        resolv_conf=parse_resolv_conf(_read(resolv_conf)),
        hosts=_lines(_read(hosts)),
        service_account_namespace=namespace or None,
    )


def _read(path: str) -> str:
    try:
        # No pathlib at start-up, and no line end but "\n".
        with open(path, encoding="utf-8", errors="replace", newline="\n") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return ""


def _lines(text: str) -> tuple[str, ...]:
    """The lines of a file as the C library splits it: at a newline, and nowhere else."""
    return tuple(text.removesuffix("\n").split("\n")) if text else ()


class ResolvConfFile:
    """The name servers of a resolv.conf, read again whenever the file changes."""

    def __init__(self, path: str = RESOLV_CONF) -> None:
        self._path = path
        self._version: tuple[int, int, int] | None = None
        self._nameservers: tuple[Endpoint, ...] = ()

    def nameservers(self) -> tuple[Endpoint, ...]:
        """As the file has them now; the last ones known while it has none."""
        try:
            stat = os.stat(self._path)  # noqa: PTH116 - no pathlib at start-up
        except OSError:
            return self._nameservers
        version = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        if version != self._version:
            conf = parse_resolv_conf(_read(self._path))
            for value in conf.invalid:
                _log.warning(
                    "%s: name server %r is not an IP address and is not asked", self._path, value
                )
            self._nameservers = conf.nameservers or self._nameservers
            self._version = version
        return self._nameservers


def local_identity(
    *,
    pod_name: str | None = None,
    namespace: str | None = None,
    service: str | None = None,
    cluster_domain: str | None = None,
    pod_environment: PodEnvironment | None = None,
) -> Identity:
    """Who this pod is.

    Each fact from the first that tells it:

    - pod name: ``POD_NAME``, without the random suffix of an Indexed Job's pod; the host name,
      where the kubelet's line in ``/etc/hosts`` does not contradict it (not the node's, with
      ``hostNetwork``, not one outside the cluster's domain, and not outside a pod);
    - namespace: ``POD_NAMESPACE`` or ``PEERDISCO_NAMESPACE``, which must not contradict each other;
      the search list in ``/etc/resolv.conf``; the kubelet's line; the service account;
    - cluster domain: ``PEERDISCO_CLUSTER_DOMAIN``; the search list; the kubelet's line;
    - service: ``PEERDISCO_SERVICE``; the kubelet's line;
    - addresses: ``POD_IPS`` or ``POD_IP``; the kubelet's line.

    ``POD_INDEX`` (the label ``apps.kubernetes.io/pod-index``) and ``JOB_COMPLETION_INDEX`` are a
    second witness of the ordinal, where they are set: they must agree with the name.

    Args:
        pod_name: Wins over everything else; so do the others for their facts.
        namespace: See above.
        service: The governing service: its name, or the fully qualified one.
        cluster_domain: See above.
        pod_environment: What to conclude from; None reads this machine's.

    Raises:
        IdentityError: The pod's name or its namespace is not known.
        IdentityConflict: Two facts about the pod contradict each other.
        ConfigurationError: An argument or a variable has a value that cannot be right.
    """
    pod = read_pod_environment() if pod_environment is None else pod_environment
    line = pod.own_line
    name = find_pod_name(pod_name, pod.witnesses(cluster_domain))
    hosts_name = line.service if line is not None and line.host == name else None
    space = find_namespace(namespace, pod)
    domain = find_cluster_domain(cluster_domain, pod)
    if hosts_name is not None:
        space, domain = space or hosts_name.namespace, domain or hosts_name.cluster_domain
    if space is None:
        raise IdentityError(
            "namespace",
            ("POD_NAMESPACE", f"the search list of {RESOLV_CONF}", NAMESPACE_FILE),
            "set POD_NAMESPACE from the downward API (fieldRef: metadata.namespace), or give "
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
        if service is None:  # what the kubelet wrote is the name that the peers find
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


def find_namespace(given: str | None, pod: PodEnvironment) -> str | None:
    """The namespace to look in; None if nothing tells it.

    Raises:
        ConfigurationError: It is no namespace, or the two variables that tell it do not agree.
    """
    told = [(name, pod.variable(name)) for name in NAMESPACE_VARIABLES]
    (name, variable), (other_name, other) = told
    if variable and other and variable != other:
        raise ConfigurationError(
            name,
            variable,
            f"{other!r}, as {other_name} has it: both are the namespace of this pod, so set one of "
            "them; a service in another namespace is NAME.NAMESPACE",
        )
    if given:
        return parse_namespace(given)
    for name, variable in told:
        if variable:
            return parse_namespace(variable, name)
    return pod.cluster[0] if pod.cluster else pod.service_account_namespace


def find_cluster_domain(given: str | None, pod: PodEnvironment) -> str | None:
    """The cluster's domain; None if nothing tells it."""
    if given:
        return parse_domain(given)
    variable = pod.variable("PEERDISCO_CLUSTER_DOMAIN")
    if variable:
        return parse_domain(variable, "PEERDISCO_CLUSTER_DOMAIN")
    return pod.cluster[1] if pod.cluster else None


def find_statefulset(given: str | None, pod: PodEnvironment) -> str | None:
    """The StatefulSet that was chosen, as an argument or a variable; None if none was.

    Raises:
        ConfigurationError: It is no StatefulSet's name.
    """
    chosen = given or pod.variable("PEERDISCO_STATEFULSET")
    if chosen is not None and not is_pod_name(chosen):
        what = "statefulset" if given else "PEERDISCO_STATEFULSET"
        raise ConfigurationError(what, chosen, "a StatefulSet's name, such as 'mysql'")
    return chosen


def find_nameservers(given: Sequence[str], pod: PodEnvironment) -> tuple[Endpoint, ...]:
    """The name servers that were named; empty for those of resolv.conf, which has some.

    Raises:
        ConfigurationError: One of them is not an address.
        IdentityError: Nothing tells any.
    """
    reject_text(given, "nameservers", "a list of addresses, such as ['10.96.0.10']")
    variable = pod.variable("PEERDISCO_NAMESERVERS")
    if given:
        servers = [parse_nameserver(text) for text in given]
    elif variable:
        servers = [parse_nameserver(text, "PEERDISCO_NAMESERVERS") for text in variable.split(",")]
    elif pod.resolv_conf.nameservers:
        return ()
    else:
        servers = []
    if servers:
        # The pod's option says what its network lets through, whichever server is asked.
        return tuple(replace(server, tcp=pod.resolv_conf.use_vc) for server in servers)
    raise IdentityError(
        "name server",
        ("PEERDISCO_NAMESERVERS", RESOLV_CONF + _invalid(pod.resolv_conf)),
        "give one: nameservers=, --nameserver IP[:PORT] or PEERDISCO_NAMESERVERS",
    )


def _invalid(conf: ResolvConf) -> str:
    """A remark on name servers that are no addresses."""
    if not conf.invalid:
        return ""
    return f", where {', '.join(map(repr, conf.invalid))} is not an IP address"


def find_service(
    given: str | None, namespace: str | None, cluster_domain: str | None, pod: PodEnvironment
) -> ServiceName:
    """The service to discover: the one given, else ``PEERDISCO_SERVICE``, else the pod's own.

    Raises:
        ConfigurationError: It is no service's name.
        IdentityError: A part of the name is needed and nothing tells it.
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
            "name the headless service: peerdisco peers SERVICE, or PEERDISCO_SERVICE",
        )
    return parse_service(
        text,
        namespace=parse_namespace(namespace) if namespace else None,
        cluster_domain=parse_domain(cluster_domain) if cluster_domain else None,
        default_namespace=find_namespace(None, pod),
        default_cluster_domain=find_cluster_domain(None, pod),
        what="service" if given is not None else "PEERDISCO_SERVICE",
    )


def _service_of(
    pod_name: str, service: str | None, space: str, domain: str | None, what: str
) -> tuple[str | None, str | None, str | None]:
    """The service's name, the cluster domain, and the pod's host name, as far as these tell.

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
