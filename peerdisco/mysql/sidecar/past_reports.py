"""The newest reports, which the status page shows. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .report import Report

__all__ = ["Entry", "History"]

_MOST_ENTRIES = 50


@dataclass(frozen=True, slots=True)
class Entry:
    """A report that differs from the one before.

    Attributes:
        at: The date and time of the report, in UTC.
        state: The state.
        reason: The reason in words.
        done: What was done to the server.
    """

    at: datetime
    state: str
    reason: str
    done: tuple[str, ...] = ()


class History:
    """The newest reports, each state and reason once in a row."""

    def __init__(self) -> None:
        self.entries: tuple[Entry, ...] = ()
        """The entries, the newest first; replaced as a whole, since another thread reads it."""

    def add(self, report: Report, at: datetime) -> None:
        """Keep a report, unless it only repeats the last one."""
        entry = Entry(at, report.state.value, report.reason, report.done)
        last = self.entries[0] if self.entries else None
        if last is None or entry.done or (last.state, last.reason) != (entry.state, entry.reason):
            self.entries = (entry, *self.entries[: _MOST_ENTRIES - 1])
