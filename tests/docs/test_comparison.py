"""The comparison: a page or a test stands behind each feature that it claims."""

from __future__ import annotations

import re

import pytest

from tests.docs.markdown import ROOT

PAGE = ROOT / "docs" / "explanation" / "comparison.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith("|")
]
FEATURES = [row for row in ROWS if len(row) > 2 and row[0] != "feature" and set(row[0]) != {"-"}]


def test_each_feature_has_every_program() -> None:
    assert len(FEATURES) > 15
    assert {len(row) for row in FEATURES} == {9}


@pytest.mark.parametrize("row", FEATURES, ids=lambda row: row[0])
def test_a_page_or_a_test_stands_behind_each_yes(row: list[str]) -> None:
    ours = row[-1]
    assert re.match(r"(yes|no)\b", ours)
    named = re.findall(r"\]\(([^)#]+)", ours) + re.findall(r"`(tests/[^`]+)`", ours)
    assert named or ours == "no"
    for name in named:
        path = ROOT / name if name.startswith("tests/") else PAGE.parent / name
        assert path.is_file(), name
