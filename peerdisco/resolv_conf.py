"""What ``/etc/resolv.conf`` says. Pure: text in, values out (resolv.conf(5))."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from .names import DNS_PORT, Endpoint

__all__ = ["ResolvConf", "parse_resolv_conf"]

_MOST_NAMESERVERS = 3
"""The C library, and so the kubelet, uses the first three."""


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """What counts of a resolv.conf.

    Attributes:
        nameservers: At most three, in order.
        search: The search list, in order. The last ``search`` or ``domain`` line counts.
    """

    nameservers: tuple[Endpoint, ...] = ()
    search: tuple[str, ...] = ()


def parse_resolv_conf(text: str) -> ResolvConf:
    """Read a resolv.conf; lines that mean nothing are passed over, as the C library does."""
    nameservers: list[Endpoint] = []
    search: tuple[str, ...] = ()
    for line in text.splitlines():
        if line.startswith(("#", ";")):
            continue
        keyword, *values = line.split() or [""]
        if keyword == "nameserver" and values:
            try:
                nameservers.append(Endpoint(str(ip_address(values[0])), DNS_PORT))
            except ValueError:
                continue
        elif keyword == "search":
            search = tuple(values)
        elif keyword == "domain":
            search = tuple(values[:1])
    return ResolvConf(tuple(nameservers[:_MOST_NAMESERVERS]), search)
