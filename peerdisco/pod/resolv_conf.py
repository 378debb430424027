"""Reads ``/etc/resolv.conf``. Pure: text in, values out (resolv.conf(5)).

Lines are read as the C library does: only a newline ends a line, keywords begin in the first
column, and white space separates words (glibc ``resolv/res_init.c``, musl
``src/network/resolvconf.c``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

from ..names import DNS_PORT, Endpoint

__all__ = ["ResolvConf", "number_of_option", "parse_resolv_conf", "split_words"]

_MOST_NAMESERVERS = 3
"""The C library, and so the kubelet, uses the first three."""

_MOST_NDOTS = 15
"""The C library's limit (``RES_MAXNDOTS``)."""

_MOST_TEXT = 1 << 16
"""Characters that are read; the kubelet's file has at most some 3,000."""

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
        unused: The name servers after the first three, which are ignored.
        options: The words of the ``options`` lines, in order.
        unread: The number of characters that are ignored because the file is too long.
    """

    nameservers: tuple[Endpoint, ...] = ()
    search: tuple[str, ...] = ()
    use_vc: bool = False
    invalid: tuple[str, ...] = ()
    unused: tuple[Endpoint, ...] = ()
    options: tuple[str, ...] = ()
    unread: int = 0

    @property
    def ndots(self) -> int:
        """The dots that a name needs to be tried without the search list first; 1 by default."""
        number = number_of_option("ndots:", self.options)
        return 1 if number is None else min(number, _MOST_NDOTS)


def parse_resolv_conf(text: str) -> ResolvConf:
    """Parse a resolv.conf; invalid lines are ignored, as in the C library.

    Lines after the first 65,536 characters are ignored, too.
    """
    end = len(text) if len(text) <= _MOST_TEXT else text.rfind("\n", 0, _MOST_TEXT) + 1
    nameservers: list[Endpoint] = []
    invalid: list[str] = []
    search: tuple[str, ...] = ()
    options: list[str] = []
    for line in text[:end].split("\n"):
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
        elif keyword == "options":
            options += values
    use_vc = "use-vc" in options
    servers = [replace(server, tcp=use_vc) for server in nameservers]
    used, unused = servers[:_MOST_NAMESERVERS], servers[_MOST_NAMESERVERS:]
    return ResolvConf(
        tuple(used), search, use_vc, tuple(invalid), tuple(unused), tuple(options), len(text) - end
    )


def number_of_option(option: str, words: Sequence[str]) -> int | None:
    """The number after an option such as ``ndots:``, of the last word that has one; else None."""
    numbers = [word.removeprefix(option) for word in words if word.startswith(option)]
    valid = [number for number in numbers if number.isascii() and number.isdigit()]
    return int(valid[-1][:6]) if valid else None


def split_words(line: str) -> list[str]:
    """The words of a line, separated by ASCII white space, as in the C library."""
    return _WORD.findall(line)
