"""Which reports are news, so that one cause is one line of the log. Pure."""

from __future__ import annotations

import re

from .report import Report, State

__all__ = ["Announcements"]

_SETTLED = frozenset({State.PRIMARY, State.REPLICA, State.REFUSED, State.FENCED})
_NUMBERS = re.compile(r"\d+(\.\d+)?")


class Announcements:
    """Remembers what was reported since the state was last settled.

    While a server is away, the reason changes from pass to pass: between two errors for the same
    cause, with the number of the attempt, or with the seconds that it took. Each of them is news
    once.
    """

    def __init__(self) -> None:
        self._state: State | None = None
        self._known: set[tuple[object, ...]] = set()

    def is_news(self, report: Report) -> bool:
        """Whether the report should be reported; it then counts as known."""
        settled = report.state in _SETTLED
        if settled and report.state is not self._state:
            self._known.clear()
        self._state = report.state
        keys = {_gist(report)}
        if report.done:
            keys.add(("done", *report.done))
        news = not keys <= self._known or (settled and bool(report.done))
        self._known |= keys
        return news


def _gist(report: Report) -> tuple[object, ...]:
    """What the report says, without the words and numbers that differ for one and the same cause.

    A verdict has codes for that.
    """
    problems = frozenset((problem.code, problem.peer) for problem in report.problems)
    if report.verdict is not None:
        codes = frozenset((reason.code, reason.peer) for reason in report.verdict.deciding)
        return report.state, report.paused, codes, problems
    return report.state, report.paused, _NUMBERS.sub("", report.reason), problems
