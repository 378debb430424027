"""Names: a pod's and its ordinal, a service's and its domain, a name server's address.

Pure: text in, values out.
"""

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
"""A DNS label as Kubernetes wants it (RFC 1123)."""

_POD = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
"""A pod's name (RFC 1123 subdomain)."""

_LONGEST_NAME = 253
_LONGEST_LABEL = 63

_LARGEST_ORDINAL = 2**31 - 1
"""The controller reads the ordinal into 32 bits."""

_DASHED_IPV4 = re.compile(r"[0-9]{1,3}(?:-[0-9]{1,3}){3}")

_CLUSTER_SEARCH = re.compile(r"([^.]+)\.svc\.(.+)")


def parse_pod_name(name: str) -> tuple[str, int]:
    """The StatefulSet and the ordinal in a pod's name: ``mysql-0`` gives ``("mysql", 0)``.

    Read as the StatefulSet controller reads it: everything up to the last dash is the name
    (``db-1-0`` is ordinal 0 of ``db-1``), the ordinal fits into 32 bits, and the two must give
    the name again (``db-00`` is nobody's). A name that looks like
    an address with dashes (``10-244-1-0``) has no ordinal here: it may be what DNS calls a pod
    without a host name. A lookup knows the pod's address, and reads it as a name unless it is that
    very address.

    Args:
        name: The pod's name, without a domain.

    Raises:
        ValueError: The name has no ordinal; says why.
    """
    parts = ordinal_of(name)
    if parts is None:
        raise ConfigurationError(
            "pod name", name, "NAME-ORDINAL as a StatefulSet names its pods, such as 'mysql-0'"
        )
    return parts


def ordinal_of(
    name: str, addresses: Collection[IPv4Address | IPv6Address] = ()
) -> tuple[str, int] | None:
    """`parse_pod_name` for names that may well have no ordinal: None instead of an error.

    Args:
        name: The pod's name, without a domain.
        addresses: The pod's own. A name that looks like an address with dashes is one only if it
            is one of these; while they are not known, it has no ordinal.
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
    """The IP address that a label is if its dashes are read as dots or colons; None if it is none.

    CoreDNS names an endpoint without a host name so: ``10-244-1-0``, ``fd00-10-244--1``; it appends
    a 0 to one that would end in a dash. But a StatefulSet may be called ``10-244-1``, and its pod 0
    looks the same.
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
    """An address as CoreDNS writes it into a name."""
    dashed = str(address).replace(".", "-").replace(":", "-")
    return dashed + "0" if dashed.endswith("-") else dashed


def reverse_name(address: IPv4Address | IPv6Address) -> str:
    """The name whose PTR record names the address (RFC 1035, 3.5; RFC 3596, 2.5)."""
    return address.reverse_pointer


def is_pod_name(name: str) -> bool:
    """Whether this can be a pod's name in Kubernetes."""
    return len(name) <= _LONGEST_NAME and _POD.fullmatch(name) is not None


def is_label(label: str) -> bool:
    """Whether this can be a label of a host name in Kubernetes: lower case, RFC 1123."""
    return _LABEL.fullmatch(label) is not None


@dataclass(frozen=True, slots=True)
class ServiceName:
    """A headless service's name.

    Attributes:
        fqdn: Fully qualified, lower case, without the trailing dot.
        name: The service's own name, its first label.
        namespace: None where the name is not of the form ``NAME.NAMESPACE.svc.DOMAIN``.
        cluster_domain: None where the name is not of that form.
    """

    fqdn: str
    name: str
    namespace: str | None
    cluster_domain: str | None

    def __str__(self) -> str:
        return self.fqdn

    @property
    def spans_clusters(self) -> bool:
        """Whether it is a multi-cluster service (KEP-1645): one in ``clusterset.local``."""
        return (self.cluster_domain or "").partition(".")[0] == "clusterset"


_SERVICE_EXPECTED = (
    "SERVICE, SERVICE.NAMESPACE or SERVICE.NAMESPACE.svc.DOMAIN, in letters, digits and dashes "
    "(a name outside a cluster ends with a dot)"
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
        service: ``svc``, ``svc.ns``, ``svc.ns.svc``, or the whole name. A name that ends with a
            dot is taken as it is, whatever its domain.
        namespace: The namespace it has to be in; None if any will do.
        cluster_domain: The cluster domain it has to be in; None if any will do.
        default_namespace: Completes a name without a namespace.
        default_cluster_domain: Completes a name without a domain.
        what: What to call the name in an error.

    Raises:
        ConfigurationError: It is no service's name, or names another namespace or domain than it
            has to be in.
        IdentityError: The namespace or the cluster domain is needed and nothing tells it.
    """
    text = service.strip().lower()
    labels = text.removesuffix(".").split(".")
    too_long = len(text.removesuffix(".")) > _LONGEST_NAME
    if too_long or not all(is_label(label) for label in labels):
        raise ConfigurationError(what, service, _SERVICE_EXPECTED)
    in_cluster = len(labels) > 3 and labels[2] == "svc"
    if text.endswith(".") and not in_cluster:
        return ServiceName(".".join(labels), labels[0], None, None)
    if len(labels) > 2 and labels[2] != "svc":
        raise ConfigurationError(what, service, _SERVICE_EXPECTED)
    named = labels[1] if len(labels) > 1 else None
    domain = ".".join(labels[3:]) or None
    for said, wanted in ((named, namespace), (domain, cluster_domain)):
        if said and wanted and said != wanted:
            raise ConfigurationError(what, service, f"a service in {wanted!r}, as it was given too")
    named = named or namespace or default_namespace
    domain = domain or cluster_domain or default_cluster_domain
    if named is None:
        raise IdentityError(
            "namespace",
            (f"the service's name {service!r}", "POD_NAMESPACE", "/etc/resolv.conf"),
            f"give it: {labels[0]}.NAMESPACE, namespace=, --namespace or POD_NAMESPACE",
        )
    if domain is None:
        raise IdentityError(
            "cluster domain",
            (f"the service's name {service!r}", "the search list of /etc/resolv.conf"),
            f"give it: {labels[0]}.{named}.svc.DOMAIN, cluster_domain=, --cluster-domain or "
            "PEERDISCO_CLUSTER_DOMAIN (most clusters have cluster.local)",
        )
    fqdn = f"{labels[0]}.{named}.svc.{domain}"
    if len(fqdn) > _LONGEST_NAME:
        raise ConfigurationError(what, service, f"a name of at most {_LONGEST_NAME} characters")
    return ServiceName(fqdn, labels[0], named, domain)


def parse_namespace(namespace: str, what: str = "namespace") -> str:
    """A namespace's name, checked.

    Raises:
        ConfigurationError: It is none.
    """
    if not is_label(namespace):
        raise ConfigurationError(what, namespace, "a namespace: lower-case letters, digits, dashes")
    return namespace


def parse_port_name(port_name: str, what: str = "port name") -> str:
    """A service port's name in lower case, checked: a DNS label (Kubernetes ``ServicePort``).

    Only the names of container ports are limited to 15 characters.

    Raises:
        ConfigurationError: It is none.
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
"""What a service's port can have, as its SRV records name it."""


def parse_protocol(protocol: str, what: str = "protocol") -> str:
    """A port's protocol in lower case, checked.

    Raises:
        ConfigurationError: It is none.
    """
    text = protocol.lower()
    if text not in PROTOCOLS:
        raise ConfigurationError(what, protocol, "'tcp', 'udp' or 'sctp'")
    return text


MAX_SECONDS = 1e9
"""The longest time that can be given: some 31 years. What comes after it in Python's own timers,
locks and dates overflows long before a float does."""


def parse_seconds(given: object, what: str, *, text: bool = False, zero: bool = False) -> float:
    """A time in seconds, checked: a finite number within reason.

    Args:
        given: A number; ``True``, ``False`` and None are none.
        what: What an error calls it.
        text: Whether it is the text of an option or a variable instead.
        zero: Whether it may be 0.

    Raises:
        ConfigurationError: It is none, NaN, infinite, negative, 0 where that is not allowed, or
            above `MAX_SECONDS`.
    """
    seconds = float("nan")
    if isinstance(given, str) if text else isinstance(given, Real) and not isinstance(given, bool):
        try:
            seconds = float(given)  # type: ignore[arg-type]  # checked
        except ValueError:
            pass
        except OverflowError:
            given = "an integer of more than 300 digits"  # which may be too long to print
    if not 0 <= seconds <= MAX_SECONDS or (seconds == 0 and not zero):
        least = "from 0" if zero else "above 0"
        raise ConfigurationError(what, given, f"a number of seconds {least} up to {MAX_SECONDS:g}")
    return seconds


def reject_text(given: object, what: str, expected: str) -> None:
    """Refuse a string where a sequence of strings is expected: it is one of its characters.

    Raises:
        ConfigurationError: It is a string, or bytes.
    """
    if isinstance(given, str | bytes | bytearray):
        raise ConfigurationError(what, given, expected)


def parse_domain(domain: str, what: str = "cluster domain") -> str:
    """A domain in lower case without the trailing dot, checked.

    Raises:
        ConfigurationError: It is none.
    """
    text = domain.lower().removesuffix(".")
    if len(text) > _LONGEST_NAME or not all(is_label(label) for label in text.split(".")):
        raise ConfigurationError(what, domain, "a DNS domain, such as cluster.local")
    return text


def cluster_of_search_domains(search: tuple[str, ...]) -> tuple[str, str] | None:
    """The namespace and the cluster domain that the kubelet wrote into the search list.

    It begins with ``NAMESPACE.svc.DOMAIN`` and goes on with ``svc.DOMAIN``
    (pkg/kubelet/network/dns/dns.go); a list without both was not written for a pod in a cluster.
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
        port: 1 to 65535.
        tcp: Of a name server: whether it is asked over TCP at once (``options use-vc`` in
            resolv.conf).
    """

    address: str
    port: int
    tcp: bool = False

    def __str__(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.port}"


DNS_PORT = 53

_BRACKETED = re.compile(r"\[([^]]*)\](?::(.*))?", re.DOTALL)


def parse_nameserver(text: str, what: str = "name server") -> Endpoint:
    """A name server as users write it: ``10.96.0.10``, ``127.0.0.1:5300``, ``[fd00::a]:53``.

    Args:
        text: The address, with port 53 unless it names another. A link-local address needs its
            interface: ``fe80::53%eth0``, ``[fe80::53%eth0]:53``. A host name is refused:
            something would have to resolve it first.
        what: What to call it in the error.

    Raises:
        ConfigurationError: It is none of these forms.
    """
    return parse_endpoint(text, what, default_port=DNS_PORT)


def parse_endpoint(text: str, what: str, *, default_port: int) -> Endpoint:
    """An address and a port: ``IP``, ``IP:PORT`` or ``[IPv6]:PORT``.

    Raises:
        ConfigurationError: It is none of these forms.
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
            "an IP address and at most a port (IP, IP:PORT or [IPv6]:PORT), no host name",
        ) from None
    if port is None:
        return Endpoint(str(address), default_port)
    if not (port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65536):
        raise ConfigurationError(what, text, "a port from 1 to 65535 after the address")
    return Endpoint(str(address), int(port))
