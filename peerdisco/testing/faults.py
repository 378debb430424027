"""Faults to inject: which answers are wrong, how, and how often.

Pure: this module says which fault applies to a question; `responder` changes the answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple, Self, get_args

from ..exceptions import ConfigurationError
from ..names import parse_seconds

__all__ = ["Fault", "FaultKind", "Faults", "Query", "Transport"]

Transport = Literal["udp", "tcp"]

FaultKind = Literal[
    "drop",
    "servfail",
    "refused",
    "formerr",
    "nxdomain",
    "lame",
    "foreign",
    "garbage",
    "truncate",
    "wrong-id",
    "wrong-question",
    "close",
]
"""How an answer can be wrong.

- ``drop``: no answer is sent.
- ``servfail``, ``refused``, ``formerr``: that response code, and no records.
- ``nxdomain``: as if the name did not exist, or none of its pods were ready.
- ``lame``: a referral to the root, as from a server that neither serves the zone nor recurses.
- ``foreign``: NXDOMAIN with the SOA record of the root, as from a public server, which does not
  serve ``cluster.local``.
- ``garbage``: the header of a reply, followed by bytes that are no DNS message.
- ``truncate``: TC is set, half of the records are missing and all of the glue.
- ``wrong-id``, ``wrong-question``: the correct answer, with another ID or question.
- ``close``: over TCP the connection is closed; over UDP no answer is sent.
"""


class Query(NamedTuple):
    """A question that the server received.

    Attributes:
        name: The name in its original case, with the trailing dot.
        type: ``SRV``, ``A``, and so on.
        transport: ``udp`` or ``tcp``.
    """

    name: str
    type: str
    transport: str


NamePredicate = str | Callable[[str], bool]
"""A name, with or without the trailing dot, with the wildcards ``*`` and ``?``; or a function of
the name in lower case without the trailing dot."""


@dataclass(eq=False)
class Fault:
    """A fault: active until it is removed or used up; as a context manager, until the block ends.

    Attributes:
        kind: How the answer is wrong; None for one that is only late.
        seconds: The delay of the answer.
        transport: The only affected transport; None for both.
        name: The only affected names; None for all.
        rtype: The only affected record type; None for all.
        times: The number of questions after which it is used up; None for no limit.
        hits: The number of questions that it has affected.
    """

    kind: FaultKind | None
    seconds: float = 0.0
    transport: Transport | None = None
    name: NamePredicate | None = None
    rtype: str | None = None
    times: int | None = None
    hits: int = 0
    _faults: Faults | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.kind not in (None, *get_args(FaultKind)):
            raise ConfigurationError("fault", self.kind, f"one of {', '.join(get_args(FaultKind))}")
        if self.transport not in (None, "udp", "tcp"):
            raise ConfigurationError("transport", self.transport, "'udp', 'tcp' or None")
        if self.times is not None and self.times < 1:
            raise ConfigurationError("times", self.times, "1 or more, or None for no limit")
        self.seconds = parse_seconds(self.seconds, "seconds", zero=True)

    def applies_to(self, query: Query) -> bool:
        """Whether it affects this question."""
        if self.times is not None and self.hits >= self.times:
            return False
        if self.transport not in (None, query.transport):
            return False
        if self.rtype is not None and self.rtype.upper() != query.type:
            return False
        name = query.name.lower().removesuffix(".")
        if self.name is None:
            return True
        if callable(self.name):
            return self.name(name)
        return fnmatchcase(name, self.name.lower().removesuffix("."))

    def remove(self) -> None:
        """End it; a second call does nothing."""
        if self._faults is not None:
            self._faults.remove(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class Faults:
    """The faults of one server; any thread may add and remove them."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a name's predicate may add and remove faults
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Activate a fault."""
        fault._faults = self  # noqa: SLF001 - the same file
        with self._lock:
            self._faults.append(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        with self._lock:
            if fault in self._faults:
                self._faults.remove(fault)

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def strike(self, query: Query) -> tuple[FaultKind | None, float]:
        """The effect of the faults on this question: how its answer is wrong, and its delay.

        If several faults make it wrong, the oldest applies; delays add up.
        """
        kind: FaultKind | None = None
        delay = 0.0
        with self._lock:
            for fault in list(self._faults):
                if (fault.kind is None or kind is None) and fault.applies_to(query):
                    fault.hits += 1
                    kind = kind or fault.kind
                    delay += fault.seconds
        return kind, delay
