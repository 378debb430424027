"""Detects a DNS server that has an address for every name below a service. Pure."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["MOST_AT_ONE_ADDRESS", "InventedPods"]

MOST_AT_ONE_ADDRESS = 512
"""Pods that may share their addresses, as with ``hostNetwork``: more than a node runs.

Kubernetes recommends at most 110 pods a node, and providers allow up to 256.
"""


class InventedPods:
    """The pods that a search by ordinal found, and how many have the same addresses.

    A wildcard record (RFC 4592) answers for every ordinal with the same addresses. The search would
    find new pods for as long as the lookup has time: 80,000 in five seconds.
    """

    def __init__(self) -> None:
        # Thousands of pods have an address each: no container is made for one of them.
        self._found: dict[bytes, tuple[bytes, ...]] = {}
        self._alike: dict[tuple[bytes, ...], int] = {}

    def add(self, name: bytes, addresses: tuple[bytes, ...]) -> None:
        """Add a pod that was found."""
        if name not in self._found:
            key = addresses if len(addresses) == 1 else tuple(sorted(set(addresses)))
            self._found[name] = key
            self._alike[key] = self._alike.get(key, 0) + 1

    def without(
        self, pods: Mapping[bytes, tuple[bytes, ...]]
    ) -> Mapping[bytes, tuple[bytes, ...]] | None:
        """These pods without the invented ones; None if none is invented."""
        many = {key for key, count in self._alike.items() if count > MOST_AT_ONE_ADDRESS}
        if not many:
            return None
        found = self._found
        return {name: packed for name, packed in pods.items() if found.get(name) not in many}
