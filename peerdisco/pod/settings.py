"""The namespace, the cluster domain, the StatefulSet and the name servers to use. Pure.

For each of them an argument wins over a variable, and a variable over what the pod's files show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..exceptions import ConfigurationError, IdentityError
from ..names import (
    Endpoint,
    is_pod_name,
    parse_domain,
    parse_nameserver,
    parse_namespace,
    parse_seconds,
    reject_text,
)
from .environment import RESOLV_CONF, PodEnvironment
from .resolv_conf import ResolvConf, number_of_option

__all__ = [
    "find_cluster_domain",
    "find_interval",
    "find_nameservers",
    "find_namespace",
    "find_server_timeout",
    "find_statefulset",
]

NAMESPACE_VARIABLES = ("PEERDISCO_NAMESPACE", "POD_NAMESPACE")
"""Both mean the same: the first has the product's prefix like its other variables, the second is
the usual name for this fact of the downward API."""

_MOST_TIMEOUT = 30


def find_namespace(given: str | None, pod: PodEnvironment) -> str | None:
    """The namespace of this pod; None if it is not known.

    Raises:
        ConfigurationError: It is not a namespace, or the two variables for it differ.
    """
    variables = [(name, pod.variable(name)) for name in NAMESPACE_VARIABLES]
    (name, variable), (other_name, other) = variables
    if variable and other and variable != other:
        raise ConfigurationError(
            name,
            variable,
            f"{other!r}, the value of {other_name}: both are the namespace of this pod, so set one "
            "of them; name a service in another namespace as NAME.NAMESPACE",
        )
    if given:
        return parse_namespace(given)
    for name, variable in variables:
        if variable:
            return parse_namespace(variable, name)
    return pod.cluster[0] if pod.cluster else pod.service_account_namespace


def find_server_timeout(pod: PodEnvironment) -> int | None:
    """Seconds to wait for a name server: the option ``timeout:`` of ``RES_OPTIONS`` or resolv.conf.

    None if it is not set; at most the C library's 30 (``RES_MAXRETRANS``).
    """
    words = (*pod.resolv_conf.options, *(pod.variable("RES_OPTIONS") or "").split())
    number = number_of_option("timeout:", words)
    return min(number, _MOST_TIMEOUT) if number else None


def find_cluster_domain(given: str | None, pod: PodEnvironment) -> str | None:
    """The cluster's domain; None if it is not known."""
    if given:
        return parse_domain(given)
    variable = pod.variable("PEERDISCO_CLUSTER_DOMAIN")
    if variable:
        return parse_domain(variable, "PEERDISCO_CLUSTER_DOMAIN")
    return pod.cluster[1] if pod.cluster else None


def find_statefulset(given: str | None, pod: PodEnvironment) -> str | None:
    """The StatefulSet from the argument or the variable; None without either.

    Raises:
        ConfigurationError: It is not a StatefulSet's name.
    """
    chosen = given or pod.variable("PEERDISCO_STATEFULSET")
    if chosen is not None and not is_pod_name(chosen):
        what = "statefulset" if given else "PEERDISCO_STATEFULSET"
        raise ConfigurationError(
            what, chosen, "a StatefulSet's name in lower case, such as 'mysql'"
        )
    return chosen


def find_nameservers(given: Sequence[str], pod: PodEnvironment) -> tuple[Endpoint, ...]:
    """The configured name servers; empty to use those of resolv.conf, if it has any.

    Raises:
        ConfigurationError: One of them is not an address.
        IdentityError: No name server is known.
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
        # The option describes the pod's network, so it applies to every server.
        return tuple(replace(server, tcp=pod.resolv_conf.use_vc) for server in servers)
    raise IdentityError(
        "name server",
        ("PEERDISCO_NAMESERVERS", RESOLV_CONF + _invalid(pod.resolv_conf)),
        "give one: nameservers=, --nameserver IP[:PORT] or PEERDISCO_NAMESERVERS",
    )


def find_interval(given: float | None, pod: PodEnvironment, default: float) -> float:
    """The polling interval in seconds.

    Raises:
        ConfigurationError: It is not a number of seconds.
    """
    if given is not None:
        return parse_seconds(given, "interval")
    variable = pod.variable("PEERDISCO_INTERVAL")
    if variable is None:
        return default
    return parse_seconds(variable, "PEERDISCO_INTERVAL", text=True)


def _invalid(conf: ResolvConf) -> str:
    """A remark on name servers that are not addresses."""
    if not conf.invalid:
        return ""
    return f", where {', '.join(map(repr, conf.invalid))} is not an IP address"
