"""The page about troubleshooting goes by messages: each of its headings is one that exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from tests.docs.markdown import ROOT

PAGE = ROOT / "docs" / "how-to" / "troubleshooting.md"
HEADINGS = re.findall(r"^## `(.+)`$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
VALUE = "\0"
"""What an f-string fills in."""

EXAMPLE = r"\.\.\.|mysql-\d|on-\w+|\b\d+\b"
"""Parts of a heading that differ from one message to the next."""


def texts() -> Iterator[str]:
    """Each string of the package, with `VALUE` where an f-string fills something in."""
    for path in (ROOT / "peerdisco").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (p.value if isinstance(p, ast.Constant) else VALUE for p in node.values)
                yield "".join(map(str, parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


@cache
def every_text() -> str:
    return "\n".join(texts())


@pytest.mark.parametrize("heading", HEADINGS)
def test_a_heading_is_made_of_parts_of_messages(heading: str) -> None:
    for part in filter(None, map(str.strip, re.split(EXAMPLE, heading))):
        # Errors add "expected", and fill in what is missing.
        words = re.sub(r"^expected |(?:pod name|service|cluster domain)$", "", part)
        for phrase in re.split(r"[:,]", words):
            assert phrase.strip() in every_text(), f"no message has {phrase.strip()!r}"


def test_there_are_many() -> None:
    assert len(HEADINGS) > 15
