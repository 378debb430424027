"""Draws ``docs/explanation/reliability.svg`` from ``reliability.json``.

``python docs/_tools/reliability_picture.py`` writes it, with ``-`` to standard output.
"""

from __future__ import annotations

import json
import math

from svg import ROOT, document, number, save, text

RESULTS = ROOT / "docs" / "explanation" / "reliability.json"
WIDTH, LEFT, RIGHT, TOP, ROW, BAR = 860, 170, 130, 62, 30, 16


def picture() -> str:
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    most = math.log10(max(row["tried"] for row in results.values()))
    body = [
        text(20, 28, "What was tried to break the promises", "strong"),
        text(
            20,
            47,
            "Bars: attempts, on a logarithmic scale. Beside them: how many succeeded.",
            "faint",
        ),
    ]
    for index, (name, row) in enumerate(results.items()):
        y = TOP + index * ROW
        length = (WIDTH - LEFT - RIGHT) * math.log10(row["tried"]) / most
        kind = "good" if row["failed"] <= row["allowed"] else "bad"
        body += [
            text(LEFT - 12, y + 13, name, "small", "end"),
            (
                f'<rect x="{LEFT}" y="{y}" width="{number(length)}" height="{BAR}" rx="2.5" '
                f'fill="var(--{"one" if kind == "good" else "bad"})"/>'
            ),
            text(
                LEFT + length + 8, y + 13, f"{row['tried']:,}: {row['failed']:,}", f"small {kind}"
            ),
        ]
    words = "; ".join(
        f"{name}: {row['tried']} tried, {row['failed']} failed" for name, row in results.items()
    )
    height = TOP + len(results) * ROW + 14
    return document(WIDTH, height, "Attempts to break the promises", words, body)


if __name__ == "__main__":
    save("reliability.svg", picture())
