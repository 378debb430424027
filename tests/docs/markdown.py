"""The fenced blocks of a Markdown page, and the instructions to the tests between them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

REWRITE = bool(os.environ.get("PEERDISCO_REWRITE_DOCS"))
"""Whether to write into the documentation what was seen, instead of comparing."""

_FENCE = re.compile(
    r"^(?P<indent>[ ]*)(?P<fence>```+)(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)(?P=fence)[ ]*$"
    r"|^<!-- run: (?P<run>.*?) -->$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block, or a ``<!-- run: ... -->`` comment, which is of the language ``run``."""

    page: str
    line: int
    language: str
    text: str
    start: int
    """Where the text begins in the page."""

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """The pages whose blocks are run."""
    docs = [page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts]
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(docs)]


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        if match["run"] is not None:
            language, body, start = "run", match["run"], match.start("run")
        else:
            start = match.start("body")
            indent = len(match["indent"])
            body = "".join(row[indent:] or "\n" for row in match["body"].splitlines(keepends=True))
            language = match["info"].strip()
        found.append(Block(str(page.relative_to(ROOT)), line, language, body, start))
    return found
