"""The project's words: a few that an earlier version used, and what is said instead.

Held in the README, the documentation, the help files, and the strings, docstrings and comments of
the package and its tests. CONTRIBUTING has the rules; the glossary has the terms.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT

_COUNTS = (
    r"(?:an?|one|each|every|the|first|last|next|newest|two|three|all|of|further|failed|"
    r"such|many|few|several|complete|in|\d+)"
)

OLD_WORDS = {
    rf"\b{_COUNTS} looks?\b(?! like| as if)": "lookup, poll",
    r"\blooks? (?:fail|failed|succeed|are answered|again)\b": "lookups fail; try again",
    r"\blook(?:s|ed|ing)? at\b": "query, read, check",
    r"\btold\b": "reported, notified, configured",
    r"\btells\b": "reports, says, shows",
    r"\banew\b": "again, afresh, rebuilt",
    r"\bdoubt(?:s|ed)?\b": "suspected, held, unconfirmed",
    r"\blacks\b(?! (?:a|the) privilege)": "does not have, is missing",
    r"\bold news\b": "old answers",
    r"\bsurroundings\b": "environment",
    r"\b(?:by|of) itself\b": "automatically, on its own; by default",
    r"\bthe like\b": "name them",
    r"\bnobody is there\b": "no peers",
}
"""Patterns, and what is said instead."""

PATTERN = re.compile("|".join(f"(?:{word})" for word in OLD_WORDS), re.IGNORECASE)


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """What a person reads in a file, with the line where it begins."""
    source = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield 1, source
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def old_words(path: Path) -> list[str]:
    """Each old word in a file, with its line."""
    found = []
    for line, text in texts(path):
        for match in PATTERN.finditer(re.sub(r"\s", " ", text)):
            where = line + text.count("\n", 0, match.start())
            found.append(f"{path.relative_to(ROOT)}:{where}: {match[0]!r}")
    return found


@cache
def files() -> list[Path]:
    docs = [path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts]
    pages = [*ROOT.glob("[A-Z]*.md"), *docs, *(ROOT / "docs/reference/help").glob("*.txt")]
    code = [path for top in ("peerdisco", "tests") for path in (ROOT / top).rglob("*.py")]
    return sorted(
        path for path in (*pages, *code) if path.name != "CHANGELOG.md" and path != Path(__file__)
    )


FOLDERS = sorted({path.parent for path in files()})


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_folder_has_none_of_the_old_words(folder: Path) -> None:
    found = [line for path in files() if path.parent == folder for line in old_words(path)]
    assert not found, f"say instead: {OLD_WORDS}"


@pytest.mark.parametrize(
    "text",
    [
        "a look that failed",
        "two looks in a row",
        "Looks fail, and nobody leaves",
        "it was told",
        "made anew",
        "a peer that is\ndoubted",
        "a list that lacks a pod",
        "it starts by itself",
    ],
)
def test_the_patterns_find_the_old_words(text: str) -> None:
    assert PATTERN.search(re.sub(r"\s", " ", text))


@pytest.mark.parametrize(
    "text",
    [
        "a pod looks like a new one",
        "the lookup failed",
        "look the number up",
        "the account lacks a privilege",
    ],
)
def test_the_patterns_leave_other_words_alone(text: str) -> None:
    assert not PATTERN.search(text)


if __name__ == "__main__":  # what is left, for whoever works on it
    print(*(line for path in files() for line in old_words(path)), sep="\n")
