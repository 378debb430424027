"""From the names and addresses of an answer to peers. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address

from ..dns.wire import name_from_text
from ..model import Peer, Ports
from ..names import is_label, ordinal_of

__all__ = ["Roster", "unpack"]

_Key = tuple[bytes, tuple[bytes, ...], tuple[int, ...]]
"""A peer as it stands in an answer: target, packed addresses in order, port numbers in order."""


class Roster:
    """Makes the peers of a service; one that did not change is the same object as before.

    Args:
        service: The service's fully qualified name, without the trailing dot.
        port_name: The name of the port that was asked for; None if any was.
    """

    def __init__(self, service: str, port_name: str | None = None) -> None:
        self.service = service
        self._suffix = name_from_text(service)
        self._port_name = port_name or ""
        self._ports: dict[tuple[int, ...], Ports] = {}
        self._peers: dict[_Key, Peer] = {}

    def label(self, target: bytes) -> str | None:
        """The pod's label in a name; None if the name is not one label within the service.

        What is no host name for Kubernetes is no peer either, whatever DNS says.
        """
        length = target[0]
        if not length or target[1 + length :] != self._suffix:
            return None
        label = target[1 : 1 + length].decode("latin-1")
        return label if is_label(label) else None

    def peers(
        self,
        targets: Mapping[bytes, Sequence[int]],
        addresses: Mapping[bytes, Sequence[bytes]],
    ) -> tuple[Peer, ...]:
        """The peers of an answer.

        Args:
            targets: Each pod's name, accepted by `label`, with its port numbers.
            addresses: Each pod's packed addresses.
        """
        before = self._peers
        peers: dict[_Key, Peer] = {}
        for target, numbers in targets.items():
            packed = addresses.get(target, ())
            key = (
                target,
                tuple(packed) if len(packed) < 2 else tuple(sorted(set(packed), key=_by_family)),
                tuple(numbers) if len(numbers) < 2 else tuple(sorted(set(numbers))),
            )
            peers[key] = before.get(key) or self._peer(key)
        self._peers = peers
        return tuple(peers.values())

    def _peer(self, key: _Key) -> Peer:
        target, packed, numbers = key
        label = target[1 : 1 + target[0]].decode("ascii")
        statefulset, ordinal = ordinal_of(label) or (None, None)
        ports = self._ports.get(numbers)
        if ports is None:
            ports = self._ports[numbers] = Ports.of_numbers(numbers, self._port_name)
        return Peer(
            name=label,
            ordinal=ordinal,
            statefulset=statefulset,
            hostname=f"{label}.{self.service}",
            addresses=tuple(map(unpack, packed)),
            ports=ports,
        )


def unpack(packed: bytes) -> IPv4Address | IPv6Address:
    """An address from the bytes of an A or AAAA record."""
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)


def _by_family(packed: bytes) -> tuple[int, bytes]:
    return len(packed), packed
