"""Records of an answer that name no peer, each with the reason. Pure.

No record of an answer is dropped silently: it either makes a peer or is kept here.
An answer with no other records says nothing about the pods, so it is a failure.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

from ..dns import wire
from ..dns.fast_path import labels_below
from ..exceptions import NotHeadless, UnusableAnswer
from ..model import Attempt

__all__ = ["Leftovers"]

_MOST = 200
"""The most names that are kept: to spell one of many labels takes 40 µs, and an answer may have
thousands."""


class Leftovers:
    """The records of one lookup that are not used.

    Args:
        service: The service's fully qualified name.
        suffix: The same in wire form.

    Attributes:
        found: The name that each record is about, with the reason why it is not used.
        alias: The name that the service is an alias of; None if it is not an alias.
        own_name: Whether a record names the service itself, as for a service with a cluster IP.
    """

    def __init__(self, service: str, suffix: bytes) -> None:
        self.service = service
        self._suffix = suffix
        self.found: dict[str, str] = {}
        self._seen: set[bytes] = set()
        self.alias: str | None = None
        self.own_name = False

    def __bool__(self) -> bool:
        return bool(self.found)

    def add_target(self, target: bytes) -> None:
        """Keep an SRV or PTR record whose target cannot be a peer."""
        self.own_name = self.own_name or target == self._suffix
        if self._is_new(target):
            self._keep(target, self._why_no_peer(target))

    def add_record(self, record: wire.Record, asked: bytes) -> None:
        """Keep a record of an answer section.

        Args:
            record: The record.
            asked: The name in the question.
        """
        if record.owner == asked:
            if type(record) is wire.Srv or type(record) is wire.Pointer:
                self.add_target(record.target)
                return
            if type(record) is wire.Alias and self.alias is None:
                self.alias = wire.name_to_text(record.target)
        if self._is_new(record.owner):
            self._keep(record.owner, self._why_unused(record, asked))

    def _is_new(self, name: bytes) -> bool:
        """Whether a name is to be kept: the first time, and while there is room."""
        if name in self._seen or len(self._seen) >= _MOST:
            return False
        self._seen.add(name)
        return True

    def _keep(self, name: bytes, why: str) -> None:
        self.found.setdefault(wire.name_to_text(name), why)

    def _why_unused(self, record: wire.Record, asked: bytes) -> str:
        """The reason why a record of an answer section is not used."""
        if type(record) is wire.Alias:
            return f"it is an alias (CNAME) of {wire.name_to_text(record.target)}"
        if record.owner != asked:
            return f"the question was for {wire.name_to_text(asked)}"
        kind = f"type {record.type}" if type(record) is wire.Opaque else type(record).__name__
        return f"the answer has a record of {kind}"

    def _why_no_peer(self, target: bytes) -> str:
        """The reason why a target is not the name of a pod behind the service."""
        if target == b"\0":
            return "the target '.' means that the service is not offered (RFC 2782)"
        if target == self._suffix:
            return "it is the service itself, so the service has a cluster IP"
        text = wire.name_to_text(target)
        try:
            ip_address(text)
        except ValueError:
            pass
        else:
            return "an SRV target is a name, not an address (RFC 2782)"
        below = labels_below(target, self._suffix)
        if not below:
            return f"it is not within {self.service}"
        if below == 1:
            return "it is not a host name in Kubernetes (lower-case letters, digits and dashes)"
        if below == 2:
            return (
                f"it is two labels below {self.service}, which only a multi-cluster service has "
                "(--cluster or cluster= chooses a cluster where the domain is not clusterset.local)"
            )
        return f"it is {below} labels below {self.service}"

    def error(
        self, attempts: tuple[Attempt, ...], cluster_ip: tuple[IPv4Address | IPv6Address, ...]
    ) -> UnusableAnswer:
        """The error for an answer without any peer.

        Args:
            attempts: Every exchange of the lookup.
            cluster_ip: The addresses of the service's own name; empty if not known.
        """
        if self.alias is not None or self.own_name:
            return NotHeadless(self.service, attempts, self.alias, cluster_ip)
        return UnusableAnswer(self.service, attempts, tuple(self.found.items()))
