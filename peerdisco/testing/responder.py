"""One name server without its sockets: bytes of a question in, bytes of a reply out.

Servers of the same cluster differ in their faults, their cache, and whether they are frozen.
No sockets and no waiting; the time is an argument.
"""

from __future__ import annotations

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

from .answers import Shuffle, Zone, reply_to, shuffled
from .cache import AnswerCache
from .cluster import Cluster
from .faults import FaultKind, Faults, Query, Transport
from .rendering import render, udp_limits
from .state import ClusterState

__all__ = ["Reaction", "Responder"]

_HEADER_SIZE = 12
_OTHER_QUESTION = dns.name.from_text("another-question.invalid.")
_RCODES = {
    "servfail": dns.rcode.SERVFAIL,
    "refused": dns.rcode.REFUSED,
    "formerr": dns.rcode.FORMERR,
}


class Reaction(NamedTuple):
    """The reaction of a server to a question.

    Attributes:
        reply: The bytes to send; None to send nothing.
        delay: Seconds to wait before.
        close: Whether to close the connection instead.
    """

    reply: bytes | None
    delay: float = 0.0
    close: bool = False


_SILENCE = Reaction(None)

_ROOT_NAME_SERVERS = ("a.root-servers.net.", "b.root-servers.net.")
_ROOT_TTL = 86400


class Responder:
    """A name server over a cluster.

    Args:
        cluster: The cluster; several servers may share it.
        shuffle: Shuffles the addresses of each answer in place.
        family: The Internet protocol of its socket: 4 or 6.
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
        self._cache: AnswerCache | None = None
        self._clock: Callable[[], float] | None = None
        self._cut_off = False

    # --- the state of this server

    @property
    def queries(self) -> list[Query]:
        """The questions received so far, in order."""
        with self._lock:
            return list(self._queries)

    def clear_queries(self) -> None:
        with self._lock:
            self._queries.clear()

    def freeze(self) -> None:
        """From now on, answer with the current state of the cluster."""
        state = self.cluster.state()
        with self._lock:
            self._frozen = state

    def thaw(self) -> None:
        """Follow the cluster again."""
        with self._lock:
            self._frozen = None

    def caches(self, cache: AnswerCache, clock: Callable[[], float] | None) -> None:
        """Answer through this cache."""
        with self._lock:
            self._cache, self._clock = cache, clock

    def cut_off(self, cut_off: bool) -> None:
        """Set whether questions that are not in the cache are answered with SERVFAIL."""
        with self._lock:
            self._cut_off = cut_off

    def restore(self) -> None:
        """End all faults, and use no cache."""
        self.faults.clear()
        with self._lock:
            self._frozen = self._cache = None
            self._cut_off = False

    # --- answering

    def react(self, wire: bytes, transport: Transport, now: float) -> Reaction:
        """The reaction to a message."""
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
            # The server behind the cache fails; a cache keeps a failure too.
            cache, now = self._cache_now(now)
            return response if cache is None else cache.keep(query, response, now)
        if kind in ("lame", "foreign"):
            return _elsewhere(query, kind)
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
        cache, now = self._cache_now(now)
        if cache is None:
            return shuffled(self._upstream(query), self._shuffle)
        return shuffled(cache.answer(query, now, self._upstream), self._shuffle)

    def _cache_now(self, now: float) -> tuple[AnswerCache | None, float]:
        """The cache, and the time by its clock."""
        with self._lock:
            return self._cache, self._clock() if self._clock is not None else now

    def _upstream(self, query: Message) -> Message:
        """The answer of the cluster DNS, before any cache."""
        if self._cut_off:
            response = reply_to(query)
            response.set_rcode(dns.rcode.SERVFAIL)
            return response
        return self._current_zone().answer(query)

    def _current_zone(self) -> Zone:
        # Without the lock: a thread that holds the cluster's lock may wait for this one.
        state = self._frozen or self.cluster.state()
        if state is not self._zone_state:
            self._zone, self._zone_state = Zone(state), state
        return self._zone


def _elsewhere(query: Message, kind: FaultKind) -> Message:
    """The answer of a server that does not serve the cluster's zone."""
    response = reply_to(query)
    if kind == "lame":
        response.authority = [dns.rrset.from_text(".", _ROOT_TTL, "IN", "NS", *_ROOT_NAME_SERVERS)]
    else:
        response.flags |= dns.flags.RA
        response.set_rcode(dns.rcode.NXDOMAIN)
        soa = f"{_ROOT_NAME_SERVERS[0]} nstld.verisign-grs.com. 1 1800 900 604800 {_ROOT_TTL}"
        response.authority = [dns.rrset.from_text(".", _ROOT_TTL, "IN", "SOA", soa)]
    return response


def _header_error(wire: bytes) -> dns.rcode.Rcode | None:
    """The messages that miekg/dns rejects because of their header (``acceptfunc.go``)."""
    if wire[2] & 0x78:
        return dns.rcode.NOTIMP
    questions, answers, authority, additional = (
        int.from_bytes(wire[at : at + 2]) for at in (4, 6, 8, 10)
    )
    if questions != 1 or answers > 1 or authority > 1 or additional > 2:
        return dns.rcode.FORMERR
    return None


def _bare_header(wire: bytes, rcode: dns.rcode.Rcode) -> bytes:
    """A reply that consists of a header, with the opcode, RD and CD of the question."""
    return wire[:2] + bytes((0x80 | wire[2] & 0x79, wire[3] & 0x10 | rcode)) + bytes(8)
