"""What a check found, why it matters, and how to fix it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

__all__ = ["Finding", "Fix", "Status", "ok", "problem", "unknown", "warning", "worst"]


class Status(Enum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"
    """It works now, and will fail or mislead in a situation that is likely to occur."""
    UNKNOWN = "unknown"
    """The check could not be made. This is not `OK`."""
    PROBLEM = "problem"
    """Something does not work."""


_ORDER = (Status.OK, Status.WARNING, Status.UNKNOWN, Status.PROBLEM)


@dataclass(frozen=True, slots=True)
class Fix:
    """What to do. Following it literally loses no data.

    Attributes:
        text: What to do, and where, in words.
        command: Lines for a shell; empty if there is none.
        yaml: Lines for a manifest; empty if there are none.
        sql: Statements for the database server; empty if there are none.
    """

    text: str
    command: str = ""
    yaml: str = ""
    sql: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        check: The name of the check, such as ``service-exists``.
        status: The result.
        found: What was checked, and what was found.
        why: Why it matters; empty if the status is `Status.OK`.
        fix: What to do about it; None if nothing has to be done.
        facts: The same as data: text, numbers, booleans, None, and lists of these.
    """

    check: str
    status: Status
    found: str
    why: str = ""
    fix: Fix | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def ok(check: str, found: str, **facts: Any) -> Finding:
    """A check that found nothing wrong."""
    return Finding(check, Status.OK, found, facts=facts)


def warning(check: str, found: str, why: str, fix: Fix, **facts: Any) -> Finding:
    """A check that found something that works now and may not later."""
    return Finding(check, Status.WARNING, found, why, fix, facts)


def problem(check: str, found: str, why: str, fix: Fix, **facts: Any) -> Finding:
    """A check that found something that does not work."""
    return Finding(check, Status.PROBLEM, found, why, fix, facts)


def unknown(check: str, found: str, why: str, fix: Fix | None = None, **facts: Any) -> Finding:
    """A check that could not be made."""
    return Finding(check, Status.UNKNOWN, found, why, fix, facts)


def worst(findings: Iterable[Finding]) -> Status:
    """The worst status; `Status.OK` without findings."""
    return max((finding.status for finding in findings), key=_ORDER.index, default=Status.OK)
