"""Findings as text for people, and as JSON for support tickets. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from ..wording.foreign import escaped
from .findings import Finding, Fix, Status, worst

__all__ = ["COUNTED", "report_json", "report_lines", "summary"]

COUNTED = (Status.PROBLEM, Status.WARNING, Status.UNKNOWN, Status.OK)
_COLOURS = {
    Status.OK: "\x1b[32m",
    Status.WARNING: "\x1b[33m",
    Status.UNKNOWN: "\x1b[35m",
    Status.PROBLEM: "\x1b[31m",
}
_RESET = "\x1b[0m"
_STATUS_WIDTH = max(len(status.value) for status in Status) + 2
_LEAST_WIDTH = 40


def report_lines(
    findings: Sequence[Finding], *, width: int = 100, colour: bool = False
) -> Iterator[str]:
    """The report: a line for each check that is ok, more for the others.

    Args:
        findings: The findings, in order.
        width: Columns. Commands and YAML are never wrapped, so that they can be copied, and a check
            that is ok has one line.
        colour: Whether to colour the statuses.
    """
    width = max(width, _LEAST_WIDTH)
    for finding in findings:
        yield from _finding_lines(finding, width, colour)
    yield ""
    yield summary(findings)


def summary(findings: Sequence[Finding]) -> str:
    """How many findings there are of each status; the checks that are not ok by name."""
    parts = []
    for status in COUNTED:
        checks = [finding.check for finding in findings if finding.status is status]
        if not checks:
            continue
        named = "" if status is Status.OK else f" ({', '.join(dict.fromkeys(checks))})"
        plural = "s" if len(checks) > 1 and status in (Status.PROBLEM, Status.WARNING) else ""
        parts.append(f"{len(checks)} {status.value}{plural}{named}")
    return "; ".join(parts) or "nothing was checked"


def _finding_lines(finding: Finding, width: int, colour: bool) -> Iterator[str]:
    label = finding.status.value.ljust(_STATUS_WIDTH)
    if colour:
        label = f"{_COLOURS[finding.status]}{label}{_RESET}"
    text = f"{finding.check}: {finding.found}"
    if finding.status is Status.OK:
        yield f"{label}{escaped(text)}"
        return
    first, *more = _wrapped(text, width - _STATUS_WIDTH)
    yield f"{label}{first}"
    yield from (" " * _STATUS_WIDTH + line for line in more)
    yield from _labelled("why", finding.why, width)
    if finding.fix is not None:
        yield from _fix_lines(finding.fix, width)


def _fix_lines(fix: Fix, width: int) -> Iterator[str]:
    yield from _labelled("fix", fix.text, width)
    indent = " " * (_STATUS_WIDTH + 5)
    for block in (fix.command, fix.sql, fix.yaml):
        yield from (f"{indent}{escaped(line)}" for line in block.split("\n") if block)


def _labelled(label: str, text: str, width: int) -> Iterator[str]:
    indent = _STATUS_WIDTH + 5
    for number, line in enumerate(_wrapped(text, width - indent)):
        yield (" " * _STATUS_WIDTH + f"{label}: " if number == 0 else " " * indent) + line


def _wrapped(text: str, width: int) -> list[str]:
    """The lines of a text; its own line breaks stay."""
    return [
        line
        for part in text.split("\n")
        for line in textwrap.wrap(
            escaped(part),
            width,
            break_long_words=False,
            break_on_hyphens=False,
            drop_whitespace=True,
        )
        or [""]
    ]


def report_json(
    findings: Sequence[Finding], *, version: str, at: str, service: str | None, pod: str | None
) -> dict[str, Any]:
    """The report as data. It has no passwords, and no variables but those that are named.

    Args:
        findings: The findings, in order.
        version: The version of peerdisco.
        at: The time, RFC 3339 in UTC.
        service: The service's fully qualified name; None if it is not known.
        pod: This pod's name; None if it is not known.
    """
    return {
        "peerdisco": version,
        "at": at,
        "service": service,
        "pod": pod,
        "status": worst(findings).value,
        "counts": {
            status.value: sum(finding.status is status for finding in findings)
            for status in COUNTED
        },
        "findings": [_finding_json(finding) for finding in findings],
    }


def _finding_json(finding: Finding) -> dict[str, Any]:
    fix = finding.fix
    return {
        "check": finding.check,
        "status": finding.status.value,
        "found": finding.found,
        "why": finding.why or None,
        "fix": None
        if fix is None
        else {
            "text": fix.text,
            "command": fix.command or None,
            "yaml": fix.yaml or None,
            "sql": fix.sql or None,
        },
        "facts": dict(finding.facts),
    }
