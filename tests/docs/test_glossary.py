"""The glossary: each term is defined once, and linked from the pages that use it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT

GLOSSARY = ROOT / "docs" / "reference" / "glossary.md"

LINKED = {
    "governing-service": r"\bgoverning service\b",
    "hold": r"\bthe hold\b",
    "suspected": r"\bsuspected\b",
    "settling": r"\bsettling\b",
    "polling-interval": r"\bpolling interval\b",
}
"""Terms that a page links where it uses them: those that its reader may not know."""

PAGES = sorted(
    page
    for page in (ROOT / "docs").rglob("*.md")
    if "_build" not in page.parts and page != GLOSSARY
)


def prose(page: Path) -> str:
    """A page without its code, its comments and its headings."""
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"^( *)```.*?^\1```$|<!--.*?-->|^#.*?$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`|!\[[^]]*\]", "", text)


def anchors() -> list[str]:
    """The links that lead to each heading, as MyST and GitHub make them."""
    headings = re.findall(r"^#{2,3} (.*)$", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings]


def test_each_term_is_defined_once() -> None:
    assert len(anchors()) == len(set(anchors()))
    assert set(anchors()) >= set(LINKED)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_links_the_terms_that_it_uses(page: Path) -> None:
    links = re.findall(r"glossary\.md#([a-z0-9-]+)", page.read_text(encoding="utf-8"))
    assert set(links) <= set(anchors())
    text = prose(page)
    used = {term for term, pattern in LINKED.items() if re.search(pattern, text)}
    assert used <= set(links), f"link to glossary.md#{'/'.join(sorted(used - set(links)))}"
