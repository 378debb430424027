"""What the pictures of the documentation have in common: SVG, written by hand."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).parents[2]

STYLE = """
  svg { --paper: #ffffff; --ink: #1f2328; --faint: #6b7280; --line: #d5d9e0; --edge: #4b5563;
        --one: #2563a8; --two: #d9822b; --bad: #c0392b; --wash: #f9e3e0; --node: #eef3fa;
        --good: #2e7d4f; }
  @media (prefers-color-scheme: dark) {
    svg { --paper: #16181d; --ink: #e6e8eb; --faint: #9aa3af; --line: #363b44; --edge: #a9b1bd;
          --one: #6aa9ec; --two: #f0a95c; --bad: #f0857a; --wash: #3b2422; --node: #202936;
          --good: #74c797; }
  }
  text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif;
         font-size: 13px; fill: var(--ink); }
  .faint { fill: var(--faint); }
  .small { font-size: 11.5px; }
  .strong { font-weight: 600; }
  .bad { fill: var(--bad); }
  .good { fill: var(--good); }
  .paper { fill: var(--paper); }
"""


def document(width: int, height: int, title: str, words: str, body: Sequence[str]) -> str:
    """A picture on a ground of its own, so that it can be read on any page."""
    return "\n".join(
        (
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
                f'width="{width}" height="{height}" role="img" aria-labelledby="title words">'
            ),
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="words">{escape(words)}</desc>',
            f"<style>{STYLE}</style>",
            f'<rect class="paper" width="{width}" height="{height}" rx="8"/>',
            *body,
            "</svg>\n",
        )
    )


def number(value: float) -> str:
    """A coordinate, short."""
    return f"{value:.1f}".removesuffix(".0")


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    """A line of text."""
    about = f' class="{kind}"' if kind else ""
    where = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{number(x)}" y="{number(y)}"{about}{where}>{escape(words)}</text>'


def save(name: str, picture: str) -> None:
    """Write it into the documentation, or to standard output if the command's argument is ``-``."""
    if sys.argv[1:] == ["-"]:
        sys.stdout.write(picture)
        return
    (ROOT / "docs" / "explanation" / name).write_text(picture, encoding="utf-8")
