"""Reads ``/etc/resolv.conf``. Pure: text in, values out (resolv.conf(5)).

Lines are read as the C library does: only a newline ends a line, keywords begin in the first
column, and white space separates words (glibc ``resolv/res_init.c``, musl
``src/network/resolvconf.c``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import ip_address

from ..names import DNS_PORT, Endpoint

__all__ = ["ResolvConf", "parse_resolv_conf", "split_words"]

_MOST_NAMESERVERS = 3
"""The C library, and so the kubelet, uses the first three."""

_WORD = re.compile(r"[^ \t\r\f\v]+")
"""Anything but white space in the C library (``isspace``)."""


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """The settings of a resolv.conf that peerdisco uses.

    Attributes:
        nameservers: At most three, in order.
        search: The search list, in order. The last ``search`` or ``domain`` line with a
            domain counts.
        use_vc: Whether ``options use-vc`` is set: the name servers are queried over TCP.
        invalid: The values of ``nameserver`` lines that are not an IP address. Such a line is
            ignored, as in the C library.
    """

    nameservers: tuple[Endpoint, ...] = ()
    search: tuple[str, ...] = ()
    use_vc: bool = False
    invalid: tuple[str, ...] = ()


def parse_resolv_conf(text: str) -> ResolvConf:
    """Parse a resolv.conf; invalid lines are ignored, as in the C library."""
    nameservers: list[Endpoint] = []
    invalid: list[str] = []
    search: tuple[str, ...] = ()
    use_vc = False
    for line in text.split("\n"):
        keyword, *values = split_words(line) or [""]
        if not values or not line.startswith(keyword):
            continue  # a keyword without a value changes nothing in glibc
        if keyword == "nameserver":
            try:
                nameservers.append(Endpoint(str(ip_address(values[0])), DNS_PORT))
            except ValueError:
                invalid.append(values[0])
        elif keyword == "search":
            search = tuple(values)
        elif keyword == "domain":
            search = tuple(values[:1])
        elif keyword == "options" and "use-vc" in values:
            use_vc = True
    servers = [replace(server, tcp=use_vc) for server in nameservers[:_MOST_NAMESERVERS]]
    return ResolvConf(tuple(servers), search, use_vc, tuple(invalid))


def split_words(line: str) -> list[str]:
    """The words of a line, separated by ASCII white space, as in the C library."""
    return _WORD.findall(line)
