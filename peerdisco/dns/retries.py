"""When to repeat a question after a failure that may be that of one replica. Pure."""

from __future__ import annotations

from ..model import Outcome

__all__ = ["PAUSES", "REPLICA_FAILURES", "FailedQuestions"]

REPLICA_FAILURES = frozenset({Outcome.SERVFAIL, Outcome.REFUSED, Outcome.LAME})
"""Failures that may be those of one replica behind a server's address."""

PAUSES = (0.0, 0.0, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
"""Seconds before each further round where every server failed in this way.

A cluster DNS has several replicas behind one address. Each round comes from a new port, so that it
may reach another replica.
"""

_Question = tuple[bytes, int]


class FailedQuestions:
    """The questions that failed in the previous lookup, and those that fail in the current one.

    A question that fails for the first time is repeated for 0.7 seconds, so that failing replicas
    go unnoticed. If it failed in the previous lookup too, this is an outage: many more queries
    would only add load to a name server that is in trouble already.
    """

    def __init__(self) -> None:
        self._previous: set[_Question] = set()
        self._current: set[_Question] = set()

    def begin(self) -> None:
        """Start a lookup."""
        self._previous, self._current = self._current, set()

    def note(self, question: _Question, outcome: Outcome) -> None:
        """Remember how a question of this lookup ended."""
        if outcome in REPLICA_FAILURES:
            self._current.add(question)
        else:
            self._current.discard(question)

    def pauses(self, question: _Question, servers: int) -> tuple[float, ...]:
        """Seconds to wait before each further round of this question.

        Args:
            question: The name in wire form, and the record type.
            servers: Number of name servers that each round asks.
        """
        if question not in self._previous:
            return PAUSES
        return PAUSES[:1] if servers == 1 else ()
