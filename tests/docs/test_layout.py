"""The pages as they are shown: long lines of output wrap, and tables fit."""

from __future__ import annotations

import re

import pytest

from .markdown import ROOT, blocks, pages

CONF = (ROOT / "docs" / "conf.py").read_text(encoding="utf-8")
SHEET = ROOT / "docs" / "_static" / "peerdisco.css"
FITS = 88
"""Characters that a block shows without a bar to scroll, at the width of the theme."""
CODE = {"python", "yaml", "json", "sql", "dockerfile", "run"}
"""What is code, whose lines stay as they are."""


def wrapped() -> set[str]:
    """The languages whose lines wrap."""
    (rule,) = re.findall(r"([^{}/]+)\{[^}]*white-space: pre-wrap", SHEET.read_text("utf-8"))
    return set(re.findall(r"\.highlight-(\w+) pre", rule))


def test_the_style_sheet_is_used() -> None:
    assert 'html_static_path = ["_static"]' in CONF
    assert f'html_css_files = ["{SHEET.name}"]' in CONF


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_long_lines_wrap(page: object) -> None:
    known = wrapped() | CODE
    for block in blocks(page):  # type: ignore[arg-type]
        language = block.language.split()[0] if block.language else "text"
        if max(map(len, block.text.splitlines() or [""])) > FITS and language[0] != "{":
            assert language in known, block.where
