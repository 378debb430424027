"""One name server without its sockets: bytes of a question in, bytes of a reply out.

It keeps what makes one server differ from another over the same cluster: its faults, its cache,
and the state it froze at. No sockets and no waiting; the time is an argument.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
from dns.message import Message

from ..exceptions import ConfigurationError
from .answers import Shuffle, Zone, reply_to, shuffled
from .cluster import Cluster
from .faults import FaultKind, Faults, Query, Transport
from .rendering import render, udp_limits
from .state import ClusterState

__all__ = ["Reaction", "Responder"]

_HEADER_SIZE = 12
_SMALLEST_CACHE_TTL = 5
"""The ``cache`` plugin keeps nothing for less (plugin/cache, ``minttl``)."""
_OTHER_QUESTION = dns.name.from_text("another-question.invalid.")
_RCODES = {
    "servfail": dns.rcode.SERVFAIL,
    "refused": dns.rcode.REFUSED,
    "formerr": dns.rcode.FORMERR,
}


class Reaction(NamedTuple):
    """What a server does about a question.

    Attributes:
        reply: The bytes to send; None to send nothing.
        delay: For how many seconds to wait before.
        close: Whether to close the connection instead.
    """

    reply: bytes | None
    delay: float = 0.0
    close: bool = False


_SILENCE = Reaction(None)

_CacheKey = tuple[dns.name.Name, int, int]


class Responder:
    """A name server over a cluster.

    Args:
        cluster: What it answers about; several servers may share it.
        shuffle: Puts addresses into another order, for each answer.
        family: 4 or 6: over which Internet protocol it is asked.
    """

    def __init__(self, cluster: Cluster, shuffle: Shuffle, family: int = 4) -> None:
        self.cluster = cluster
        self.faults = Faults()
        self._shuffle = shuffle
        self._family = family
        self._lock = threading.Lock()
        self._queries: list[Query] = []
        self._frozen: ClusterState | None = None
        self._zone_state = cluster.state()
        self._zone = Zone(self._zone_state)
        self._cache_ttl: int | None = None
        self._clock: Callable[[], float] | None = None
        self._cache: dict[_CacheKey, tuple[float, int, Message]] = {}

    # --- what makes it differ

    @property
    def queries(self) -> list[Query]:
        """What was asked, in order."""
        with self._lock:
            return list(self._queries)

    def clear_queries(self) -> None:
        with self._lock:
            self._queries.clear()

    def freeze(self) -> None:
        """From now on answer what is true now."""
        state = self.cluster.state()
        with self._lock:
            self._frozen = state

    def thaw(self) -> None:
        """Answer what is true again."""
        with self._lock:
            self._frozen = None

    def caches(self, ttl: int, clock: Callable[[], float] | None) -> None:
        """Keep answers for ``ttl`` seconds, or for their own TTL if that is less."""
        if ttl < _SMALLEST_CACHE_TTL:
            raise ConfigurationError("ttl", ttl, f"{_SMALLEST_CACHE_TTL} s or more")
        with self._lock:
            self._cache_ttl, self._clock = ttl, clock
            self._cache = {}

    def restore(self) -> None:
        """Answer rightly, freshly and at once."""
        self.faults.clear()
        with self._lock:
            self._frozen = self._cache_ttl = None
            self._cache = {}

    # --- answering

    def react(self, wire: bytes, transport: Transport, now: float) -> Reaction:
        """What to do about these bytes."""
        if len(wire) < _HEADER_SIZE or wire[2] & 0x80:
            return _SILENCE
        refusal = _header_error(wire)
        if refusal is not None:
            return Reaction(_bare_header(wire, refusal))
        try:
            query = dns.message.from_wire(wire, ignore_trailing=True)
        except dns.exception.DNSException:
            return Reaction(_bare_header(wire, dns.rcode.FORMERR))
        question = query.question[0]
        asked = Query(str(question.name), dns.rdatatype.to_text(question.rdtype), transport)
        with self._lock:
            self._queries.append(asked)
        kind, delay = self.faults.strike(asked)
        if kind in ("drop", "close"):
            return Reaction(None, delay, close=kind == "close")
        if kind == "garbage":
            return Reaction(wire[:2] + b"\x84\0" + b"\xff" * 20, delay)
        response = self._faulty(query, kind, now) if kind else self._right(query, now)
        limits = udp_limits(query, self._family) if transport == "udp" else ()
        return Reaction(render(response, *limits), delay)

    def _faulty(self, query: Message, kind: FaultKind, now: float) -> Message:
        if kind in _RCODES:
            response = reply_to(query)
            response.set_rcode(_RCODES[kind])
            return response
        response = self._right(query, now)
        if kind == "nxdomain":
            response.set_rcode(dns.rcode.NXDOMAIN)
            response.flags |= dns.flags.AA
            response.answer, response.additional = [], []
            response.authority = [self._current_zone().soa(query.question[0].name)]
        elif kind == "truncate":
            response.flags |= dns.flags.TC
            response.answer = response.answer[: len(response.answer) // 2]
            response.authority, response.additional = [], []
        elif kind == "wrong-id":
            response.id ^= 0xFFFF
        elif kind == "wrong-question":
            asked = query.question[0]
            response.question = [dns.rrset.RRset(_OTHER_QUESTION, asked.rdclass, asked.rdtype)]
        return response

    def _right(self, query: Message, now: float) -> Message:
        with self._lock:
            ttl = self._cache_ttl
            now = self._clock() if self._clock is not None else now
        if ttl is None:
            return shuffled(self._current_zone().answer(query), self._shuffle)
        return shuffled(self._cached(query, now, ttl), self._shuffle)

    def _cached(self, query: Message, now: float, ttl: int) -> Message:
        """The answer through a cache: its TTL says for how long the cache still holds it."""
        question = query.question[0]
        key = (question.name, int(question.rdtype), int(question.rdclass))
        stored = self._cache.get(key)
        if stored is None or now - stored[0] >= stored[1]:
            kept = self._current_zone().answer(query)
            ttls = [rrset.ttl for section in kept.sections[1:] for rrset in section]
            stored = (now, max(_SMALLEST_CACHE_TTL, min([ttl, *ttls])), kept)
            if ttls:  # SERVFAIL and REFUSED are passed on
                self._cache[key] = stored
        since, held, kept = stored
        left = held - int(now - since)
        response = reply_to(query)
        response.set_rcode(kept.rcode())
        response.flags |= kept.flags & dns.flags.AA
        for number in (1, 2, 3):
            response.sections[number].extend(
                _with_ttl(rrset, left) for rrset in kept.sections[number]
            )
        return response

    def _current_zone(self) -> Zone:
        # Without the lock: whoever holds the cluster's may be waiting for this one.
        state = self._frozen or self.cluster.state()
        if state is not self._zone_state:
            self._zone, self._zone_state = Zone(state), state
        return self._zone


def _with_ttl(rrset: dns.rrset.RRset, ttl: int) -> dns.rrset.RRset:
    other = copy.copy(rrset)
    other.ttl = ttl
    return other


def _header_error(wire: bytes) -> dns.rcode.Rcode | None:
    """What miekg/dns refuses by the header alone (``acceptfunc.go``)."""
    if wire[2] & 0x78:
        return dns.rcode.NOTIMP
    questions, answers, authority, additional = (
        int.from_bytes(wire[at : at + 2]) for at in (4, 6, 8, 10)
    )
    if questions != 1 or answers > 1 or authority > 1 or additional > 2:
        return dns.rcode.FORMERR
    return None


def _bare_header(wire: bytes, rcode: dns.rcode.Rcode) -> bytes:
    """A reply of a header only, with the opcode, RD and CD of the question."""
    return wire[:2] + bytes((0x80 | wire[2] & 0x79, wire[3] & 0x10 | rcode)) + bytes(8)
