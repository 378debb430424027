"""A headless service of thousands of pods as CoreDNS answers for it, but fast.

Bytes of a question in, bytes of a reply out: records are made once, answers are put together from
them. What matters here is as in CoreDNS: an answer of more than 64 KiB is truncated from its end,
over TCP too; the slices of a service come in another order each time, the pods of a slice do not;
and the ``loadbalance`` plugin puts addresses into another order each time, before that.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from peerdisco.dns import wire

LARGEST_TCP, LARGEST_UDP = 65535, 1232
SLICE = 100
"""Endpoints in a slice (``--max-endpoints-per-slice``)."""
TTL = 5

_HEADER = struct.Struct("!6H")
_SRV_TYPE, _A_TYPE, _AAAA_TYPE, _PTR_TYPE = (
    struct.pack("!HH", rtype, wire.IN) for rtype in (wire.SRV, wire.A, wire.AAAA, wire.PTR)
)
_OWNER = b"\xc0\x0c"
_OPT = b"\0" + struct.pack("!HHIH", wire.OPT, wire.EDNS_PAYLOAD, 0, 0)


@dataclass(frozen=True)
class Pod:
    """A pod as it is at one moment; ``port`` None where the service has none."""

    label: str
    packed: tuple[bytes, ...]
    port: int | None = 3306


def address(number: int) -> bytes:
    """The number of an IPv4 address out of 10.0.0.0/8."""
    return bytes((10,)) + number.to_bytes(3, "big")


def statefulset(name: str, ordinals: Iterable[int], first_address: int = 1) -> list[Pod]:
    return [Pod(f"{name}-{n}", (address(first_address + n),)) for n in ordinals]


class LargeService:
    """What a name server says of one service.

    Attributes:
        pods: By label; change it as you like.
        shuffles: Whether the answers come in another order each time.
        refuses: Record types that are answered with SERVFAIL.
        asked: How many questions there were, by type.
        wildcard: The address of every name that is no pod's; None for no such address.
        absent: The labels that were asked for and not there, in order.
    """

    def __init__(self, pods: Iterable[Pod], *, seed: int = 0, name: str = "db") -> None:
        self.name = f"{name}.default.svc.cluster.local"
        self.pods = {pod.label: pod for pod in pods}
        self.shuffles = True
        self.refuses: set[int] = set()
        self.wildcard: bytes | None = None
        self.asked: dict[int, int] = {}
        self.absent: list[str] = []
        self._chance = random.Random(seed)
        self._wire_name = wire.name_from_text(self.name)
        self._indexed: dict[str, Pod] = {}
        self._owners: dict[bytes, list[Pod]] = {}

    def reply(self, query: bytes, transport: str = "tcp") -> bytes:
        """The reply to a question about this service."""
        end = query.index(b"\0", _HEADER.size) + 5
        question = query[_HEADER.size : end]
        name, rtype = question[:-4].lower(), int.from_bytes(question[-4:-2], "big")
        self.asked[rtype] = self.asked.get(rtype, 0) + 1
        opt = _OPT if query[10:12] == b"\0\1" else b""
        limit = (LARGEST_TCP if transport == "tcp" else LARGEST_UDP) - len(opt)
        message = bytearray(_HEADER.size)
        message += question
        rcode, answers, glue = self._find(name, rtype)
        flags = 0x8500 | rcode
        counts = [0, 0]
        for section, records in enumerate((answers, glue)):
            for record in records:
                if len(message) + len(record) > limit:
                    flags |= 0x0200
                    break
                message += record
                counts[section] += 1
            if flags & 0x0200:
                break
        authority = 0
        if not answers and rcode in (wire.NOERROR, wire.NXDOMAIN):
            soa = self._wire_name * 2 + struct.pack("!5I", 1, 7200, 1800, 86400, TTL)
            message += _OWNER + struct.pack("!HHIH", wire.SOA, wire.IN, TTL, len(soa)) + soa
            authority = 1
        _HEADER.pack_into(
            message,
            0,
            int.from_bytes(query[:2], "big"),
            flags,
            1,
            counts[0],
            authority,
            counts[1] + bool(opt),
        )
        return bytes(message) + opt

    def _find(self, name: bytes, rtype: int) -> tuple[int, list[bytes], list[bytes]]:
        if rtype in self.refuses:
            return wire.SERVFAIL, [], []
        if name.endswith(b"\4arpa\0"):
            return self._pointers(name, rtype)
        if name == self._wire_name:
            pods = self._in_slices()
        elif name[1 + name[0] :] == self._wire_name:
            label = name[1 : 1 + name[0]].decode()
            pods = [self.pods[label]] if label in self.pods else []
            if not pods and self.wildcard is not None:
                pods = [Pod(label, (self.wildcard,))]
            if not pods:
                self.absent.append(label)
        else:
            return wire.REFUSED, [], []
        if not pods:
            return wire.NXDOMAIN, [], []
        if rtype == wire.SRV:
            return wire.NOERROR, *self._services(pods, len(name))
        size = {wire.A: 4, wire.AAAA: 16}.get(rtype)
        packed = list(dict.fromkeys(p for pod in pods for p in pod.packed if len(p) == size))
        if self.shuffles:
            self._chance.shuffle(packed)
        return wire.NOERROR, [_OWNER + _address(p) for p in packed], []

    def _in_slices(self) -> list[Pod]:
        pods = list(self.pods.values())
        slices = [pods[start : start + SLICE] for start in range(0, len(pods), SLICE)]
        if self.shuffles:
            self._chance.shuffle(slices)
        return [pod for part in slices for pod in part]

    def _services(self, pods: list[Pod], name_size: int) -> tuple[list[bytes], list[bytes]]:
        answers, glue = [], []
        position = _HEADER.size + name_size + 4
        for pod in pods:
            if pod.port is None or position > LARGEST_TCP:
                continue
            label = bytes((len(pod.label),)) + pod.label.encode()
            target = label + self._wire_name
            data = struct.pack("!3H", 0, 1, pod.port) + target
            record = _OWNER + _SRV_TYPE + struct.pack("!IH", TTL, len(data)) + data
            position += len(record)
            at = position - len(target)
            suffix = 0xC000 | _HEADER.size + name_size - len(self._wire_name)
            to_suffix = label + suffix.to_bytes(2, "big")
            owner = (0xC000 | at).to_bytes(2, "big") if at < 0x4000 else to_suffix
            answers.append(record)
            glue += [owner + _address(packed) for packed in pod.packed]
        if self.shuffles:
            self._chance.shuffle(glue)
        return answers, glue

    def _pointers(self, name: bytes, rtype: int) -> tuple[int, list[bytes], list[bytes]]:
        if self._indexed != self.pods:
            self._indexed, self._owners = dict(self.pods), {}
            for pod in self.pods.values():
                for packed in pod.packed:
                    self._owners.setdefault(wire.reverse_name(packed), []).append(pod)
        records = []
        for pod in self._owners.get(name, ()) if rtype == wire.PTR else ():
            target = bytes((len(pod.label),)) + pod.label.encode() + self._wire_name
            records.append(_OWNER + _PTR_TYPE + struct.pack("!IH", TTL, len(target)) + target)
        return (wire.NOERROR if records else wire.NXDOMAIN), records, []


def _address(packed: bytes) -> bytes:
    kind = _A_TYPE if len(packed) == 4 else _AAAA_TYPE
    return kind + struct.pack("!IH", TTL, len(packed)) + packed
