"""The page, its tables and its picture, out of the kept results."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from .campaigns import CAMPAIGNS, ROOT
from .promises import PROMISES

__all__ = ["PAGE", "PICTURE", "RESULTS", "page", "results", "write"]

PAGE = ROOT / "docs" / "explanation" / "reliability.md"
RESULTS = PAGE.with_suffix(".json")
PICTURE = ROOT / "docs" / "_tools" / "reliability_picture.py"

Results = dict[str, dict[str, Any]]


def results() -> Results:
    """The kept results; none before the first campaign."""
    kept: Results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    return kept


def write(kept: Results) -> None:
    """Keep the results, and renew the page and the picture."""
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), kept), encoding="utf-8")
    subprocess.run([sys.executable, PICTURE], check=True)


def page(text: str, kept: Results) -> str:
    """The page with these results in its tables."""
    for name, table in (("campaigns", campaigns(kept)), ("promises", promises())):
        block = re.compile(f"(<!-- {name}: begin -->\n).*(<!-- {name}: end -->)", re.DOTALL)
        assert block.search(text), f"the page has no table {name!r}"
        text = block.sub(lambda found, table=table: f"{found[1]}{table}\n{found[2]}", text)
    return text


def campaigns(kept: Results) -> str:
    rows = ["| tried | what must hold | how often it did not | command |", "|---:|---|---:|---|"]
    for name, campaign in CAMPAIGNS.items():
        if name not in kept:
            rows.append(f"| {campaign.tries} | {campaign.holds} | not run | `{campaign.shown}` |")
            continue
        row = kept[name]
        tried = f"{row['tried']:,} {campaign.tries}{_rate(row)}"
        rows.append(f"| {tried} | {campaign.holds} | {row['failed']:,} | `{row['command']}` |")
    return "\n".join(rows)


def _rate(row: dict[str, Any]) -> str:
    """How fast it was, where the campaign says it."""
    if "hourly" not in row:
        return ""
    return f", {row['hourly']:,} an hour, with {row['rows']:,} acknowledged rows"


def promises() -> str:
    rows = ["| promise | tests |", "|---|---|"]
    for promise, tests in PROMISES.items():
        rows.append(f"| {promise} | {', '.join(f'`{test}`' for test in tests)} |")
    return "\n".join(rows)


def place(test: str) -> tuple[Path, str]:
    """The file, or the folder, and the function of a test; empty for the whole file."""
    path, _, name = test.partition("::")
    return ROOT / path, name
