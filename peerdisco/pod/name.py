"""The name by which the peers find this pod, from the facts that the pod can read. Pure.

``POD_NAME`` is the name of the pod object; the name in DNS is the pod's host name. In a StatefulSet
they are the same. In an Indexed Job they differ, and with ``hostnameOverride`` (KEP-4762) the
kernel's host name is neither of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..exceptions import ConfigurationError, IdentityConflict, IdentityError
from ..names import is_pod_name, ordinal_of
from .hosts_file import OwnLine

__all__ = ["NameFacts", "check_index", "find_pod_name"]

_HOSTS = "/etc/hosts"
_ADVICE = (
    "set POD_NAME from the downward API (fieldRef: metadata.name), or pass pod_name=; outside a "
    "pod there is no identity"
)

_JOB_POD = re.compile(r"(.+-[0-9]+)-[bcdfghjklmnpqrstvwxz2456789]{5}")
"""The pod of an Indexed Job: its host name, and five random characters
(apimachinery/pkg/util/rand; job/indexed_job_utils.go)."""


@dataclass(frozen=True, slots=True)
class NameFacts:
    """The facts from which the pod's name follows.

    Attributes:
        pod_name: ``POD_NAME``; None if it is not set.
        completion_index: ``JOB_COMPLETION_INDEX``, which an Indexed Job sets; None without one.
        hostname: The kernel's host name, unchanged.
        line: The kubelet's line for this pod in ``/etc/hosts``; None without one.
        in_pod: Whether any fact shows that this is a pod.
        host_network: Whether the pod has its node's host name.
        cluster_domain: The cluster's domain; None if not known.
    """

    pod_name: str | None
    completion_index: str | None
    hostname: str
    line: OwnLine | None
    in_pod: bool
    host_network: bool
    cluster_domain: str | None


def find_pod_name(given: str | None, facts: NameFacts) -> str:
    """The name by which the peers find this pod.

    Args:
        given: The argument, which wins over every fact.
        facts: The facts.

    Raises:
        IdentityError: The name is not known.
        IdentityConflict: Two facts contradict each other.
        ConfigurationError: The argument or ``POD_NAME`` is not a pod's name.
    """
    if given:
        return _checked(given, "pod name")
    if facts.pod_name:
        name = _checked(facts.pod_name, "POD_NAME")
        own = _job_host_name(name, facts) or name
        _check_same_pod(own, facts.line)
        return own
    return _from_host_name(facts)


def _checked(text: str, what: str) -> str:
    name = text.lower()
    if not is_pod_name(name):
        raise ConfigurationError(what, text, "a pod's name, such as 'mysql-0'")
    return name


def _job_host_name(name: str, facts: NameFacts) -> str | None:
    """The host name of an Indexed Job's pod; None unless a second fact confirms that it is one."""
    shape = _JOB_POD.fullmatch(name)
    if shape is None:
        return None
    host_name = shape[1]
    if facts.line is not None:
        confirmed = facts.line.host == host_name
    else:
        confirmed = facts.hostname.partition(".")[0].lower() == host_name
    if facts.completion_index is not None:
        confirmed = confirmed or host_name.endswith(f"-{facts.completion_index}")
    return host_name if confirmed else None


def _check_same_pod(name: str, line: OwnLine | None) -> None:
    """Reject a ``POD_NAME`` of another pod of the StatefulSet than the kubelet's line names."""
    if line is None or line.service is None:
        return
    claimed, written = ordinal_of(name), ordinal_of(line.host)
    if claimed is None or written is None or claimed == written or claimed[0] != written[0]:
        return
    raise IdentityConflict(
        "pod name",
        (f"POD_NAME is {name!r}", f"the kubelet's line in {_HOSTS} names {line.host!r}"),
        "take POD_NAME from the downward API (fieldRef: metadata.name), which differs in each pod",
    )


def _from_host_name(facts: NameFacts) -> str:
    hostname, line = facts.hostname.lower(), facts.line
    label, _, domain = hostname.partition(".")
    found = ""
    if not facts.in_pod:
        found = "which is this machine's, because this is not a pod"
    elif facts.host_network:
        found = "which is the node's, because the pod uses hostNetwork"
    elif not is_pod_name(label):
        found = "which is not a pod's name"
    elif line is not None and line.service is not None:
        if hostname not in (line.host, f"{line.host}.{line.service.fqdn}"):
            raise _host_name_conflict(facts.hostname, line)
    elif line is not None and hostname != line.host:
        raise _host_name_conflict(facts.hostname, line)
    elif domain and not _in_cluster(domain, facts.cluster_domain):
        found = "which is outside the cluster's domain, as with hostnameOverride"
    elif line is not None and (domain or ordinal_of(label) is not None):
        # A StatefulSet's pod has its service there; hostnameOverride may be any pod's name.
        found = f"which has no service in {_HOSTS}, as with hostnameOverride or without a subdomain"
    if not found:
        return label
    raise IdentityError(
        "pod name", ("POD_NAME", f"the host name {facts.hostname!r}, {found}"), _ADVICE
    )


def _in_cluster(domain: str, cluster_domain: str | None) -> bool:
    """Whether this is ``SERVICE.NAMESPACE.svc.CLUSTER_DOMAIN``, as with ``setHostnameAsFQDN``."""
    labels = domain.split(".")
    own_domain = ".".join(labels[3:])
    return labels[2:3] == ["svc"] and own_domain == (cluster_domain or own_domain)


def _host_name_conflict(hostname: str, line: OwnLine) -> IdentityConflict:
    return IdentityConflict(
        "pod name",
        (
            f"the host name is {hostname!r}",
            f"the kubelet's line in {_HOSTS} names {line.host!r}",
        ),
        "set POD_NAME from the downward API (fieldRef: metadata.name)",
    )


def check_index(name: str, ordinal: int | None, variable: str, text: str | None) -> None:
    """Compare a pod's number from the downward API with the one in its name.

    Args:
        name: The pod's name.
        ordinal: The number in the name; None without one.
        variable: The name of the environment variable.
        text: The variable's value; None if it is not set.

    Raises:
        ConfigurationError: The value is not a number.
        IdentityConflict: The numbers differ.
    """
    if text is None:
        return
    if not (text.isascii() and text.isdigit()):
        raise ConfigurationError(variable, text, "the pod's number, such as '0'")
    if text != str(ordinal):
        raise IdentityConflict(
            "ordinal",
            (f"the pod's name is {name!r}", f"{variable} is {text}"),
            f"take both from the downward API: {variable} and POD_NAME must be this pod's own",
        )
