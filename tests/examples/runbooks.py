"""The commands of the runbooks."""

from __future__ import annotations

import re

from tests.docs.markdown import ROOT, Block, blocks

PAGE = "docs/how-to/mysql-clone.md"
README = "examples/mysql/clone/README.md"
NEW_COPY = "## A replica that needs a new copy"
KEEP = "## Keep a volume, and give the pod another one"
LOST = "## A lost ordinal 0"

_COMMAND = re.compile(r"^\$ ((?:.*(?:&&|\\)\n)*.*)$", re.MULTILINE)


def commands_of(block: Block) -> list[str]:
    """The commands of a console block, without what they print."""
    return _COMMAND.findall(block.text)


def commands(page: str, heading: str) -> list[str]:
    """The commands in the console blocks below a heading, without what they print."""
    text = (ROOT / page).read_text(encoding="utf-8")
    begin = text.index(f"\n{heading}\n")
    following = re.search(r"^## ", text[begin + len(heading) + 1 :], re.MULTILINE)
    end = begin + len(heading) + 1 + following.start() if following else len(text)
    found = []
    for block in blocks(ROOT / page):
        if block.language == "console" and begin <= block.start < end:
            found += commands_of(block)
    return found
