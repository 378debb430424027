"""The checks: facts in, findings out. Pure; one module for each subject."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..facts import Facts
from ..findings import Finding
from .answers import check_answers
from .members import check_members
from .nameservers import check_nameservers
from .pod import check_pod
from .resolv_conf import check_resolv_conf
from .service import check_service

__all__ = ["CHECKS", "check"]

CHECKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    check_pod,
    check_resolv_conf,
    check_nameservers,
    check_service,
    check_members,
    check_answers,
)
"""In the order in which they are reported: a cause comes before its effects."""


def check(facts: Facts) -> tuple[Finding, ...]:
    """The findings of every check but those of the database."""
    return tuple(finding for one in CHECKS for finding in one(facts))
