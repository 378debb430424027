"""Parses the names of pods and services, and the addresses of name servers. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from numbers import Real

from .exceptions import ConfigurationError, IdentityError

__all__ = [
    "Endpoint",
    "ServiceName",
    "cluster_of_search_domains",
    "ordinal_of",
    "parse_endpoint",
    "parse_nameserver",
    "parse_pod_name",
    "parse_port_name",
    "parse_protocol",
    "parse_seconds",
    "parse_service",
    "reverse_name",
    "srv_prefix",
]

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
"""A DNS label in Kubernetes (RFC 1123)."""

_POD = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
"""A pod's name (RFC 1123 subdomain)."""

_LONGEST_NAME = 253
_LONGEST_LABEL = 63

_LARGEST_ORDINAL = 2**31 - 1
"""The StatefulSet controller parses the ordinal as a signed 32-bit integer."""

_DASHED_IPV4 = re.compile(r"[0-9]{1,3}(?:-[0-9]{1,3}){3}")

_CLUSTER_SEARCH = re.compile(r"([^.]+)\.svc\.(.+)")


def parse_pod_name(name: str) -> tuple[str, int]:
    """The StatefulSet and the ordinal in a pod's name: ``mysql-0`` gives ``("mysql", 0)``.

    Parsed as the StatefulSet controller does: everything up to the last dash is the StatefulSet's
    name (``db-1-0`` is ordinal 0 of ``db-1``), the ordinal fits into 32 bits, and it has no leading
    zeros (``db-00`` has no ordinal). A name that looks like an address with dashes (``10-244-1-0``)
    has no ordinal here, because DNS uses such names for pods without a host name. Lookups know the
    pod's address, and treat such a name as an address only if it is that address.

    Args:
        name: The pod's name, without a domain.

    Raises:
        ValueError: The name has no ordinal.
    """
    parts = ordinal_of(name)
    if parts is None:
        raise ConfigurationError(
            "pod name", name, "NAME-ORDINAL, as in a StatefulSet, such as 'mysql-0'"
        )
    return parts


def ordinal_of(
    name: str, addresses: Collection[IPv4Address | IPv6Address] = ()
) -> tuple[str, int] | None:
    """The StatefulSet and the ordinal in a pod's name; None if it has none.

    Args:
        name: The pod's name, without a domain.
        addresses: The pod's addresses, if known. A name that looks like an address with dashes
            has an ordinal only if it is not one of these; if they are unknown, it has none.
    """
    # The controller's pattern "(.*)-([0-9]+)$" is greedy: it splits at the last dash
    # (pkg/controller/statefulset/stateful_set_utils.go).
    statefulset, _, digits = name.rpartition("-")
    if not (digits.isascii() and digits.isdigit() and is_pod_name(name)):
        return None
    if (digits[0] == "0" and digits != "0") or len(digits) > 10:
        return None
    ordinal = int(digits)
    if ordinal > _LARGEST_ORDINAL or statefulset[-1:] in ("", "-", "."):
        return None
    address = address_with_dashes(name)
    if address is not None and (not addresses or address in addresses):
        return None
    return statefulset, ordinal


def address_with_dashes(label: str) -> IPv4Address | IPv6Address | None:
    """The IP address in a label, with dashes for dots or colons; None if it is not an address.

    CoreDNS uses such names for endpoints without a host name: ``10-244-1-0``, ``fd00-10-244--1``;
    it appends a 0 to an address that would end with a dash. The pod 0 of a StatefulSet named
    ``10-244-1`` looks the same.
    """
    if label.count("-") < 2 or label.strip("0123456789abcdef-"):
        return None
    try:
        if _DASHED_IPV4.fullmatch(label):
            return IPv4Address(label.replace("-", "."))
        return IPv6Address(label.replace("-", ":"))
    except ValueError:
        return None


def dashed_address(address: IPv4Address | IPv6Address) -> str:
    """An address with dashes, as CoreDNS writes it in names."""
    dashed = str(address).replace(".", "-").replace(":", "-")
    return dashed + "0" if dashed.endswith("-") else dashed


def reverse_name(address: IPv4Address | IPv6Address) -> str:
    """The name of the PTR record for an address (RFC 1035, 3.5; RFC 3596, 2.5)."""
    return address.reverse_pointer


def is_pod_name(name: str) -> bool:
    """Whether this is a valid pod name in Kubernetes."""
    return len(name) <= _LONGEST_NAME and _POD.fullmatch(name) is not None


def is_label(label: str) -> bool:
    """Whether this is a valid label of a host name in Kubernetes: lower case, RFC 1123."""
    return _LABEL.fullmatch(label) is not None


@dataclass(frozen=True, slots=True)
class ServiceName:
    """A headless service's name.

    Attributes:
        fqdn: Fully qualified, lower case, without the trailing dot.
        name: The service's own name, its first label.
        namespace: The namespace; None if the name is not ``NAME.NAMESPACE.svc.DOMAIN``.
        cluster_domain: The cluster domain; None if the name is not of that form.
    """

    fqdn: str
    name: str
    namespace: str | None
    cluster_domain: str | None

    def __str__(self) -> str:
        return self.fqdn

    @property
    def spans_clusters(self) -> bool:
        """Whether it is a multi-cluster service (KEP-1645): in ``clusterset.local``."""
        return (self.cluster_domain or "").partition(".")[0] == "clusterset"


_SERVICE_EXPECTED = (
    "SERVICE, SERVICE.NAMESPACE or SERVICE.NAMESPACE.svc.DOMAIN, in letters, digits and dashes, at "
    "most 63 between dots (a name outside a cluster ends with a dot)"
)


def parse_service(
    service: str,
    *,
    namespace: str | None = None,
    cluster_domain: str | None = None,
    default_namespace: str | None = None,
    default_cluster_domain: str | None = None,
    what: str = "service",
) -> ServiceName:
    """The fully qualified name of a service.

    Args:
        service: ``svc``, ``svc.ns``, ``svc.ns.svc``, or the fully qualified name. A name with a
            trailing dot is not completed, and may be in any domain.
        namespace: The required namespace; None for any.
        cluster_domain: The required cluster domain; None for any.
        default_namespace: The namespace of a name without one.
        default_cluster_domain: The cluster domain of a name without one.
        what: The name of the argument in an error.

    Raises:
        ConfigurationError: It is not a valid service name, or its namespace or domain is not the
            required one.
        IdentityError: The namespace or the cluster domain is missing and unknown.
    """
    text = service.strip().lower()
    labels = text.removesuffix(".").split(".")
    if len(text.removesuffix(".")) > _LONGEST_NAME:
        raise ConfigurationError(what, service, f"a name of at most {_LONGEST_NAME} characters")
    if not all(is_label(label) for label in labels):
        raise ConfigurationError(what, service, _SERVICE_EXPECTED)
    in_cluster = len(labels) > 3 and labels[2] == "svc"
    if text.endswith(".") and not in_cluster:
        return ServiceName(".".join(labels), labels[0], None, None)
    if len(labels) > 2 and labels[2] != "svc":
        raise ConfigurationError(what, service, _SERVICE_EXPECTED)
    named = labels[1] if len(labels) > 1 else None
    domain = ".".join(labels[3:]) or None
    for kind, own, required in (
        ("namespace", named, namespace),
        ("cluster domain", domain, cluster_domain),
    ):
        if own and required and own != required:
            expected = f"the {kind} {required!r}, which is given separately: drop one of the two"
            raise ConfigurationError(what, service, expected)
    named = named or namespace or default_namespace
    domain = domain or cluster_domain or default_cluster_domain
    if named is None:
        raise IdentityError(
            "namespace",
            (f"the service's name {service!r}", "POD_NAMESPACE", "/etc/resolv.conf"),
            f"use {labels[0]}.NAMESPACE, namespace=, --namespace or POD_NAMESPACE",
        )
    if domain is None:
        raise IdentityError(
            "cluster domain",
            (f"the service's name {service!r}", "the search list of /etc/resolv.conf"),
            f"use {labels[0]}.{named}.svc.DOMAIN, cluster_domain=, --cluster-domain or "
            "PEERDISCO_CLUSTER_DOMAIN (in most clusters it is cluster.local)",
        )
    fqdn = f"{labels[0]}.{named}.svc.{domain}"
    if len(fqdn) > _LONGEST_NAME:
        raise ConfigurationError(what, service, f"a name of at most {_LONGEST_NAME} characters")
    return ServiceName(fqdn, labels[0], named, domain)


def parse_namespace(namespace: str, what: str = "namespace") -> str:
    """A namespace's name.

    Raises:
        ConfigurationError: The name is not valid.
    """
    if not is_label(namespace):
        raise ConfigurationError(what, namespace, "a namespace: lower-case letters, digits, dashes")
    return namespace


def parse_port_name(port_name: str, what: str = "port name") -> str:
    """A service port's name in lower case: a DNS label (Kubernetes ``ServicePort``).

    Only the names of container ports are limited to 15 characters.

    Raises:
        ConfigurationError: The name is not valid.
    """
    text = port_name.lower()
    if not is_label(text):
        raise ConfigurationError(
            what,
            port_name,
            "a port's name as in the service: at most 63 letters, digits and dashes",
        )
    return text


def srv_prefix(port_name: str, protocol: str) -> str:
    """The labels before a service's name that ask for one port's SRV records (RFC 2782).

    A name of 63 characters leaves no room in its label for the underscore. CoreDNS answers without
    it too (plugin/kubernetes/parse.go).
    """
    underscore = "_" if len(port_name) < _LONGEST_LABEL else ""
    return f"{underscore}{port_name}._{protocol}."


PROTOCOLS = ("tcp", "udp", "sctp")
"""The protocols of service ports, as in SRV records."""


def parse_protocol(protocol: str, what: str = "protocol") -> str:
    """A port's protocol in lower case.

    Raises:
        ConfigurationError: It is not one of `PROTOCOLS`.
    """
    text = protocol.lower()
    if text not in PROTOCOLS:
        raise ConfigurationError(what, protocol, "'tcp', 'udp' or 'sctp'")
    return text


MAX_SECONDS = 1e9
"""The longest accepted time: about 31 years. Longer ones may overflow Python's timers, locks and
dates."""


def parse_seconds(given: object, what: str, *, text: bool = False, zero: bool = False) -> float:
    """A time in seconds.

    Args:
        given: The number; not a boolean or None.
        what: The name of the argument in an error.
        text: Whether ``given`` is the text of an option or a variable instead of a number.
        zero: Whether 0 is allowed.

    Raises:
        ConfigurationError: It is not a number, NaN, infinite, negative, 0 although that is not
            allowed, or above `MAX_SECONDS`.
    """
    seconds = float("nan")
    if isinstance(given, str) if text else isinstance(given, Real) and not isinstance(given, bool):
        try:
            seconds = float(given)  # type: ignore[arg-type]  # checked
        except ValueError:
            pass
        except OverflowError:
            given = "an integer of more than 300 digits"  # too long to print
    if not 0 <= seconds <= MAX_SECONDS or (seconds == 0 and not zero):
        least = "from 0" if zero else "above 0"
        raise ConfigurationError(what, given, f"a number of seconds {least} up to {MAX_SECONDS:g}")
    return seconds


def reject_text(given: object, what: str, expected: str) -> None:
    """Reject a string that is given instead of a sequence of strings.

    Raises:
        ConfigurationError: It is a string or bytes.
    """
    if isinstance(given, str | bytes | bytearray):
        raise ConfigurationError(what, given, expected)


def parse_domain(domain: str, what: str = "cluster domain") -> str:
    """A domain in lower case without the trailing dot.

    Raises:
        ConfigurationError: The domain is not valid.
    """
    text = domain.lower().removesuffix(".")
    if len(text) > _LONGEST_NAME or not all(is_label(label) for label in text.split(".")):
        raise ConfigurationError(what, domain, "a DNS domain, such as cluster.local")
    return text


def cluster_of_search_domains(search: tuple[str, ...]) -> tuple[str, str] | None:
    """The namespace and the cluster domain in the search list of a pod; None if it has none.

    The kubelet writes ``NAMESPACE.svc.DOMAIN`` and ``svc.DOMAIN`` (pkg/kubelet/network/dns/dns.go);
    a list without both is not from the kubelet.
    """
    domains = [domain.lower().removesuffix(".") for domain in search]
    for domain in domains:
        match = _CLUSTER_SEARCH.fullmatch(domain)
        if match and f"svc.{match[2]}" in domains:
            return match[1], match[2]
    return None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An IP address and a port.

    Attributes:
        address: An IPv4 or IPv6 address; a link-local one with its interface (``fe80::53%eth0``).
        port: The port number, from 1 to 65535.
        tcp: For a name server, whether to use TCP from the start (``options use-vc`` in
            resolv.conf).
    """

    address: str
    port: int
    tcp: bool = False

    def __hash__(self) -> int:
        return hash(self.address)  # sooner than that of all, and each lookup needs several

    def __str__(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.port}"


DNS_PORT = 53

_BRACKETED = re.compile(r"\[([^]]*)\](?::(.*))?", re.DOTALL)


def parse_nameserver(text: str, what: str = "name server") -> Endpoint:
    """A name server: ``10.96.0.10``, ``127.0.0.1:5300``, ``[fd00::a]:53``.

    Args:
        text: The address, and the port unless it is 53. A link-local address needs its interface:
            ``fe80::53%eth0``, ``[fe80::53%eth0]:53``. Host names are rejected, because they would
            have to be resolved first.
        what: The name of the argument in an error.

    Raises:
        ConfigurationError: It is not in one of these forms.
    """
    return parse_endpoint(text, what, default_port=DNS_PORT)


def parse_endpoint(text: str, what: str, *, default_port: int) -> Endpoint:
    """An address and a port: ``IP``, ``IP:PORT`` or ``[IPv6]:PORT``.

    Raises:
        ConfigurationError: It is not in one of these forms.
    """
    given = text.strip()
    bracketed = _BRACKETED.fullmatch(given)
    if bracketed:
        host, port = bracketed[1], bracketed[2]
    elif given.count(":") == 1:
        host, _, port = given.partition(":")
    else:
        host, port = given, None
    try:
        address = ip_address(host)
    except ValueError:
        raise ConfigurationError(
            what,
            text,
            "an IP address and at most a port (IP, IP:PORT or [IPv6]:PORT), not a host name",
        ) from None
    if port is None:
        return Endpoint(str(address), default_port)
    if not (port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65536):
        raise ConfigurationError(what, text, "a port from 1 to 65535 after the address")
    return Endpoint(str(address), int(port))
