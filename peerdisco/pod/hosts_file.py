"""The line that the kubelet writes for a pod into ``/etc/hosts``. Pure.

The file begins with a header and the loopback entries; then comes a line for each of the pod's
addresses, ``ADDRESS HOST.SERVICE.NAMESPACE.svc.DOMAIN HOST``, or ``ADDRESS HOST`` for a pod
without a subdomain; then ``hostAliases``, and lines that were appended later
(`kubelet_pods.go <https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/kubelet_pods.go>`_,
``managedHostsFileContent``). Only the pod's own line identifies the pod.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from ..names import ServiceName, parse_service
from .resolv_conf import split_words

__all__ = ["OwnLine", "from_kubelet", "host_network", "own_line"]

_HEADER = "# Kubernetes-managed hosts file"
_HOST_NETWORK = "(host network)"
_HOST_ALIASES = "# Entries added by HostAliases"

_LONGEST_LINE = 4096
"""Characters of a line that is read; the kubelet's have at most 600."""

_LOOPBACK_NAMES = frozenset(
    {
        "localhost",
        "ip6-localhost",
        "ip6-loopback",
        "ip6-localnet",
        "ip6-mcastprefix",
        "ip6-allnodes",
        "ip6-allrouters",
    }
)


@dataclass(frozen=True, slots=True)
class OwnLine:
    """The line that the kubelet wrote for this pod.

    Attributes:
        host: The host name in lower case. With ``hostnameOverride`` this is the override, which is
            not in DNS.
        service: The governing service; None for a pod without a subdomain, and with
            ``hostnameOverride``.
        addresses: The pod's addresses, in the order of the file.
    """

    host: str
    service: ServiceName | None
    addresses: tuple[IPv4Address | IPv6Address, ...]


def from_kubelet(lines: Sequence[str]) -> bool:
    """Whether the kubelet wrote this file."""
    return bool(lines) and lines[0].startswith(_HEADER)


def host_network(lines: Sequence[str]) -> bool:
    """Whether the kubelet wrote this file for a pod that shares its node's network.

    The rest of the file is then the node's own.
    """
    return from_kubelet(lines) and _HOST_NETWORK in lines[0]


def own_line(lines: Sequence[str]) -> OwnLine | None:
    """The pod's own line, or its two lines with dual-stack; None if the kubelet wrote none.

    Args:
        lines: The lines of ``/etc/hosts``.
    """
    if not from_kubelet(lines) or host_network(lines):
        return None
    names: list[str] = []
    addresses: list[IPv4Address | IPv6Address] = []
    for line in lines[1:]:
        if line.startswith(_HOST_ALIASES) or len(line) > _LONGEST_LINE:
            break
        first, *rest = split_words(line) or [""]
        if not addresses and (not first or first.startswith("#")):
            continue
        if rest and not addresses and _LOOPBACK_NAMES.issuperset(rest):
            continue
        address = _address(first)
        if address is None or not rest or (names and names != rest):
            break
        if any(address.version == other.version for other in addresses):
            break  # a pod has one address per family: this line belongs to another host
        names = rest
        addresses.append(address)
    if not addresses:
        return None
    host = names[-1].lower()
    return OwnLine(
        host, _service(names[0].lower(), host) if len(names) == 2 else None, (*addresses,)
    )


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _service(fqdn: str, host: str) -> ServiceName | None:
    """The service in ``HOST.SERVICE.NAMESPACE.svc.DOMAIN``; None for any other name."""
    first, _, rest = fqdn.partition(".")
    labels = rest.split(".")
    if first != host or len(labels) < 4 or labels[2] != "svc":
        return None
    return parse_service(rest, what="/etc/hosts")
