"""Detects a DNS server that has an address for every name below a service. Pure."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["MOST_AT_ONE_ADDRESS", "InventedPods"]

MOST_AT_ONE_ADDRESS = 512
"""Pods that may share their addresses, as with ``hostNetwork``: more than a node runs.

Kubernetes recommends at most 110 pods a node, and providers allow up to 256.
"""


class InventedPods:
    """The pods that a search by ordinal found, grouped by their addresses.

    A wildcard record (RFC 4592) answers for every ordinal with the same addresses. The search would
    find new pods for as long as the lookup has time: 80,000 in five seconds.
    """

    def __init__(self) -> None:
        self._names: dict[frozenset[bytes], set[bytes]] = {}

    def add(self, name: bytes, addresses: tuple[bytes, ...]) -> None:
        """Add a pod that was found."""
        self._names.setdefault(frozenset(addresses), set()).add(name)

    def without(
        self, pods: Mapping[bytes, tuple[bytes, ...]]
    ) -> Mapping[bytes, tuple[bytes, ...]] | None:
        """These pods without the invented ones; None if none is invented."""
        invented: set[bytes] = set()
        for names in self._names.values():
            if len(names) > MOST_AT_ONE_ADDRESS:
                invented |= names
        if not invented:
            return None
        return {name: addresses for name, addresses in pods.items() if name not in invented}
