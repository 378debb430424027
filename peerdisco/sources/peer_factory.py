"""Makes peers from the names and addresses of an answer. Pure."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from operator import is_

from ..dns.fast_path import labels_below
from ..dns.wire import name_from_text
from ..model import Peer, Ports, in_order
from ..names import is_label, ordinal_of

__all__ = ["PeerFactory", "unpack"]

_SLICE = 500
"""How many peers are made without a pause: one or two milliseconds of work."""

_WITH_CLUSTER = 2
"""Number of labels before a multi-cluster service in a pod's name: the pod's and the cluster's."""

_LONGEST_LABEL, _LONGEST_NAME = 63, 255

_MOST_PREFIXES = 1000
_HEXADECIMAL = frozenset("0123456789abcdef-")


class PeerFactory:
    """Makes the peers of a service; an unchanged peer is the same object as before.

    Args:
        service: The service's fully qualified name, without the trailing dot.
        port_name: The named port that was queried; None for every port.
        clusters: Whether a pod's name may contain its cluster's name before the service's, as
            behind a multi-cluster service (KEP-1645).
    """

    def __init__(
        self, service: str, port_name: str | None = None, *, clusters: bool = False
    ) -> None:
        self.service = service
        self.suffix = name_from_text(service)
        """The service's name in wire form."""
        self._size = len(self.suffix)
        self._port_name = port_name or ""
        self._clusters = clusters
        self._ports: dict[tuple[int, ...], Ports] = {}
        self._peers: dict[bytes, tuple[tuple[bytes, ...], tuple[int, ...], Peer]] = {}
        self._made_of: tuple[object, object] = (None, None)
        self._tuple: tuple[Peer, ...] = ()
        self._order: list[Peer] = []
        """The same peers in the order of the answer."""
        self.refused: tuple[bytes, ...] = ()
        """The names of the last answer that are not peers."""
        self._prefixes: dict[str, str] = {}

    def forget(self) -> None:
        """Rebuild every peer the next time."""
        self._peers = {}
        self._made_of = (None, None)
        self._tuple, self._order = (), []
        self.refused = ()

    def label(self, target: bytes) -> str | None:
        """The pod's label in a name; None if the name is not that of a pod behind the service.

        A label that Kubernetes does not allow as a host name is not a peer, whatever DNS says.
        """
        below = labels_below(target, self.suffix)
        if below != 1 and (below != _WITH_CLUSTER or self._cluster(target) is None):
            return None
        label = target[1 : 1 + target[0]].decode("latin-1")
        return label if is_label(label) else None

    def _cluster(self, target: bytes) -> str | None:
        """The cluster in a name below the service; None without one."""
        start = 1 + target[0]
        stop = start + 1 + target[start]
        if not self._clusters or len(target) != stop + len(self.suffix):
            return None
        cluster = target[start + 1 : stop].decode("latin-1")
        return cluster if is_label(cluster) else None

    def name_of(self, row: str, ordinal: int) -> bytes:
        """A pod's name in wire form, from the StatefulSet and the ordinal that `pod` returns."""
        statefulset, _, cluster = row.partition(".")
        labels = [f"{statefulset}-{ordinal}", *([cluster] if cluster else [])]
        return b"".join(b"%c%b" % (len(text), text.encode()) for text in labels) + self.suffix

    def names_of(self, pods: Iterable[tuple[str, int]]) -> dict[bytes, tuple[str, int]]:
        """These pods by name, but for those whose names are too long for DNS (RFC 1035, 3.1)."""
        return {
            name: pod
            for pod in pods
            if (name := self.name_of(*pod))[0] <= _LONGEST_LABEL and len(name) <= _LONGEST_NAME
        }

    def pod(self, target: bytes, packed: Sequence[bytes] = ()) -> tuple[str, int] | None:
        """The StatefulSet and the ordinal in a name that `label` accepts; None without one.

        Behind a multi-cluster service the StatefulSet is ``NAME.CLUSTER``.

        Args:
            target: The name.
            packed: The known addresses of the pod.
        """
        known = self._peers.get(target)
        if known is None:
            pod = self.ordinal(target[1 : 1 + target[0]].decode("ascii"), packed)
            statefulset, ordinal = pod or (None, None)
        else:
            statefulset, ordinal = known[2].statefulset, known[2].ordinal
        if statefulset is None or ordinal is None:
            return None
        cluster = self._cluster(target)
        return statefulset if cluster is None else f"{statefulset}.{cluster}", ordinal

    def ordinal(self, label: str, packed: Sequence[bytes] = ()) -> tuple[str, int] | None:
        """The StatefulSet and the ordinal in a pod's label; None without an ordinal."""
        prefix, _, digits = label.rpartition("-")
        statefulset = self._prefixes.get(prefix)
        if statefulset is not None and len(digits) < 10 and digits.isdecimal():
            return None if digits[0] == "0" and digits != "0" else (statefulset, int(digits))
        pod = ordinal_of(label, [unpack(address) for address in packed] if "-" in prefix else ())
        # With such a prefix, the label cannot be an address with dashes.
        if pod is not None and ("-" not in prefix or not _HEXADECIMAL.issuperset(prefix)):
            if len(self._prefixes) >= _MOST_PREFIXES:
                self._prefixes.clear()
            self._prefixes[prefix] = prefix
        return pod

    def peers(
        self,
        ports: Mapping[bytes, tuple[int, ...]],
        addresses: Mapping[bytes, tuple[bytes, ...]],
    ) -> tuple[Peer, ...]:
        """The peers of an answer, sorted; the same tuple as before if none changed.

        Args:
            ports: The names in the answer with their port numbers; a name that `label` rejects
                is not a peer.
            addresses: The pods' packed addresses.
        """
        making = self.peers_in_slices(ports, addresses)
        while True:
            try:
                next(making)
            except StopIteration as end:
                peers: tuple[Peer, ...] = end.value
                return peers

    def made_of(self, ports: object, addresses: object) -> tuple[Peer, ...] | None:
        """The previous peers, if they were made from these same objects; else None."""
        if self._peers and self._made_of[0] is ports and self._made_of[1] is addresses:
            return self._tuple
        return None

    def peers_in_slices(
        self,
        ports: Mapping[bytes, tuple[int, ...]],
        addresses: Mapping[bytes, tuple[bytes, ...]],
    ) -> Generator[None, None, tuple[Peer, ...]]:
        """The same as `peers`, with a pause after every few hundred new peers."""
        if (same := self.made_of(ports, addresses)) is not None:
            return same
        before = self._peers
        made: dict[bytes, tuple[tuple[bytes, ...], tuple[int, ...], Peer]] = {}
        peers: list[Peer] = []
        refused: list[bytes] = []
        new = 0
        for target, numbers in ports.items():
            packed = addresses.get(target, ())
            if len(packed) > 1:
                packed = tuple(sorted(set(packed), key=_by_family))
            if len(numbers) > 1:
                numbers = tuple(sorted(set(numbers)))  # noqa: PLW2901 - the same, sorted
            known = before.get(target)
            if known is None or known[0] != packed or known[1] != numbers:
                peer = self._peer(target, packed, numbers, None if known is None else known[2])
                if peer is None:
                    refused.append(target)
                    continue
                known = (packed, numbers, peer)
                new += 1
                if new % _SLICE == 0:
                    yield
            made[target] = known
            peers.append(known[2])
        if len(peers) != len(self._order) or not all(map(is_, peers, self._order)):
            self._order, self._tuple = peers, in_order(peers)
        self._peers = made
        self.refused = tuple(refused)
        self._made_of = (ports, addresses)
        return self._tuple

    def _peer(
        self,
        target: bytes,
        packed: tuple[bytes, ...],
        numbers: tuple[int, ...],
        before: Peer | None,
    ) -> Peer | None:
        """A new peer; None if `label` rejects the name.

        Args:
            target: The name.
            packed: The addresses.
            numbers: The port numbers.
            before: The peer of this name in the previous answer.
        """
        if before is not None and before.statefulset in self._prefixes:
            # The address of a pod changed, on which its ordinal does not depend.
            return Peer(
                before.name,
                before.ordinal,
                before.statefulset,
                before.hostname,
                _unpack_each(packed),
                self._ports_of(numbers),
                None,
                before.cluster,
            )
        size = 1 + target[0]
        label = target[1:size].decode("latin-1")
        prefix, _, digits = label.rpartition("-")
        statefulset = self._prefixes.get(prefix) if len(target) == size + self._size else None
        ordinal: int | None = None
        cluster: str | None = None
        if statefulset is not None and len(digits) < 10 and digits.isdecimal() and digits[0] != "0":
            # The common case, a pod of a known StatefulSet: its label is valid.
            ordinal = int(digits)
        elif self.label(target) is None:
            return None
        else:
            statefulset, ordinal = self.ordinal(label, packed) or (None, None)
            cluster = self._cluster(target) if len(target) != size + self._size else None
        return Peer(
            label,
            ordinal,
            statefulset,
            f"{label}.{self.service}" if cluster is None else f"{label}.{cluster}.{self.service}",
            _unpack_each(packed),
            self._ports_of(numbers),
            None,
            cluster,
        )

    def _ports_of(self, numbers: tuple[int, ...]) -> Ports:
        ports = self._ports.get(numbers)
        if ports is None:
            ports = self._ports[numbers] = Ports.of_numbers(numbers, self._port_name)
        return ports


def unpack(packed: bytes) -> IPv4Address | IPv6Address:
    """An address from the bytes of an A or AAAA record."""
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)


def _unpack_each(packed: tuple[bytes, ...]) -> tuple[IPv4Address | IPv6Address, ...]:
    if len(packed) == 1 and len(packed[0]) == 4:  # as for most pods
        return (IPv4Address(packed[0]),)
    return tuple(map(unpack, packed))


def _by_family(packed: bytes) -> tuple[int, bytes]:
    return len(packed), packed
