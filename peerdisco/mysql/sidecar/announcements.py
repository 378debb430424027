"""Which reports are news, so that one cause is one line of the log. Pure."""

from __future__ import annotations

import re
from collections.abc import Hashable

from ..errors import ACCESS_DENIED, is_clients
from .report import Report, State

__all__ = ["Announcements"]

_SETTLED = frozenset({State.PRIMARY, State.REPLICA, State.REFUSED, State.FENCED})
_NUMBERS = re.compile(r"\d+(\.\d+)?")
_ERROR = re.compile(r"\berror (\d+)\b")

_HELD = 5.0
"""Seconds after which what is known already is reported again, if something else was since."""

_LONGEST_HELD = 600.0
"""The same at most; it doubles each time, until the state is settled."""


class Announcements:
    """Remembers what was reported since the state was last settled.

    While a server is away, the reason changes from pass to pass: between two errors for the same
    cause, with the number of the attempt, or with the seconds that it took. Each of them is news
    once. What returns and stays is news again, so that the last line is not an old one for ever.
    """

    def __init__(self) -> None:
        self._state: State | None = None
        self._known: set[Hashable] = set()
        self._last: Hashable = None
        """What was reported last."""
        self._current: Hashable = None
        self._since = 0.0
        """Since when it is so."""
        self._held = _HELD

    def is_news(self, report: Report, now: float) -> bool:
        """Whether the report should be reported; it then counts as known.

        Args:
            report: The newest one.
            now: Seconds that only go forward.
        """
        settled = report.state in _SETTLED
        if settled and report.state is not self._state:
            self._known.clear()
            self._held = _HELD
        self._state = report.state
        gist = _gist(report)
        if gist != self._current:
            self._current, self._since = gist, now
        keys: set[Hashable] = {gist}
        if report.done:
            keys.add(("done", *report.done))
        news = not keys <= self._known or (settled and bool(report.done))
        if not news and gist != self._last and now - self._since >= self._held:
            news, self._held = True, min(2 * self._held, _LONGEST_HELD)
        if news:
            self._last = gist
        self._known |= keys
        return news


def _gist(report: Report) -> Hashable:
    """What the report says, without the words and numbers that differ for one and the same cause.

    A verdict has codes for that, and its texts the kinds of the servers' errors.
    """
    problems = frozenset((problem.code, problem.peer) for problem in report.problems)
    if report.verdict is not None:
        codes = frozenset(
            (reason.code, reason.peer, _errors(reason.text)) for reason in report.verdict.deciding
        )
        return report.state, report.paused, codes, problems
    text = _NUMBERS.sub("", report.reason)
    return report.state, report.paused, text, _errors(report.reason), problems


def _errors(text: str) -> frozenset[int]:
    """The errors in a text, of each kind one: no connection, no access, and each other one."""
    return frozenset(map(_kind, map(int, _ERROR.findall(text))))


def _kind(errno: int) -> int:
    if errno in ACCESS_DENIED:
        return 1045
    return 2000 if is_clients(errno) else errno
