"""The ``cache`` plugin of CoreDNS in front of a name server. Pure: the time is an argument.

`plugin/cache <https://coredns.io/plugins/cache/>`_: an answer is kept for its TTL, SERVFAIL for
five seconds, and with ``serve_stale`` an expired answer is served with TTL 0.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import dns.flags
import dns.name
import dns.rcode
import dns.rrset
from dns.message import Message

from ..exceptions import ConfigurationError
from ..names import parse_seconds
from .answers import reply_to

__all__ = ["AnswerCache", "ServeStale"]

ServeStale = Literal["immediate", "verify"]
"""When an expired answer is served.

- ``immediate``: at once, and the upstream is asked for the next time.
- ``verify``: only if the upstream fails now.
"""

_SMALLEST_TTL = 5
"""Nothing is kept for less (``minttl``)."""
_FAILURE_TTL = 5
"""SERVFAIL is kept for so long (``servfail``)."""

_Key = tuple[dns.name.Name, int, int]


@dataclass(frozen=True, slots=True)
class _Kept:
    """An answer, since when it is kept, and for how many seconds it is valid."""

    answer: Message
    since: float
    valid: int

    def left(self, now: float) -> int:
        """Seconds until it expires; 0 and less once it has."""
        return self.valid - int(now - self.since)


class AnswerCache:
    """Answers that were given before.

    Args:
        ttl: Seconds to keep an answer for, or its own TTL if that is less.
        serve_stale: When an expired answer is served; None for never.
        stale_for: For how many seconds after it has expired.

    Raises:
        ConfigurationError: CoreDNS would refuse the value.
    """

    def __init__(
        self, ttl: int, serve_stale: ServeStale | None = None, stale_for: float = 3600.0
    ) -> None:
        if ttl < _SMALLEST_TTL:
            raise ConfigurationError("ttl", ttl, f"{_SMALLEST_TTL} s or more")
        if serve_stale not in (None, *get_args(ServeStale)):
            raise ConfigurationError("serve_stale", serve_stale, "'immediate', 'verify' or None")
        self._ttl = ttl
        self._serve_stale = serve_stale
        self._stale_for = parse_seconds(stale_for, "stale_for")
        self._kept: dict[_Key, _Kept] = {}

    def answer(self, query: Message, now: float, upstream: Callable[[Message], Message]) -> Message:
        """The kept answer, or the upstream's."""
        kept = self._kept.get(_key(query))
        if kept is not None and kept.left(now) > 0:
            return _reply(query, kept.answer, kept.left(now))
        if kept is None or not self._may_serve(kept, now):
            return self.keep(query, upstream(query), now)
        fresh = upstream(query)
        failed = fresh.rcode() == dns.rcode.SERVFAIL
        if not failed:
            answer = self.keep(query, fresh, now)
        if failed or self._serve_stale == "immediate":
            return _reply(query, kept.answer, 0)
        return answer

    def keep(self, query: Message, answer: Message, now: float) -> Message:
        """Keep the upstream's answer, and give it as a client gets it."""
        ttls = [rrset.ttl for section in answer.sections[1:] for rrset in section]
        if answer.rcode() == dns.rcode.SERVFAIL:
            valid = _FAILURE_TTL
        elif ttls:
            valid = max(_SMALLEST_TTL, min([self._ttl, *ttls]))
        else:
            return answer  # without a TTL, such as REFUSED: passed on
        self._kept[_key(query)] = _Kept(answer, now, valid)
        return _reply(query, answer, valid)

    def _may_serve(self, kept: _Kept, now: float) -> bool:
        """Whether this answer, which has expired, may still be served."""
        if self._serve_stale is None or kept.answer.rcode() == dns.rcode.SERVFAIL:
            return False
        return -kept.left(now) < self._stale_for


def _key(query: Message) -> _Key:
    question = query.question[0]
    return question.name, int(question.rdtype), int(question.rdclass)


def _reply(query: Message, answer: Message, ttl: int) -> Message:
    response = reply_to(query)
    response.set_rcode(answer.rcode())
    response.flags |= answer.flags & dns.flags.AA
    for number in (1, 2, 3):
        response.sections[number].extend(_with_ttl(rrset, ttl) for rrset in answer.sections[number])
    return response


def _with_ttl(rrset: dns.rrset.RRset, ttl: int) -> dns.rrset.RRset:
    other = copy.copy(rrset)
    other.ttl = ttl
    return other
