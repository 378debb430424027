"""The gate of ``make coverage``, over what the suites before it have measured.

Every line and branch of the pure modules (``PURE`` in ``tests/unit/test_imports.py``), and of the
package as a whole ``PACKAGE`` percent.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.unit.test_imports import MODULES, PURE, ROOT, within

PACKAGE = 95.0
"""Percent of the package's lines and branches that the suites have to reach."""


def report() -> dict[str, Any]:
    """The report of coverage.py, with the paths of the files relative to the checkout."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "coverage.json")
        subprocess.run(
            [sys.executable, "-m", "coverage", "json", "--quiet", "-o", str(file)], check=True
        )
        read: dict[str, Any] = json.loads(file.read_text())
    return read


def not_covered(measured: dict[str, Any], pure: set[str]) -> list[str]:
    """What the pure modules leave out, one line for each of them."""
    found = []
    for file in sorted(pure):
        if file not in measured["files"]:
            found.append(f"{file}: not measured")
            continue
        lines = measured["files"][file]["missing_lines"]
        branches = measured["files"][file]["missing_branches"]
        if lines or branches:
            shown = [*map(str, lines), *(f"{start}->{end}" for start, end in branches)]
            found.append(f"{file}: not covered: {', '.join(shown)}")
    return found


def main() -> int:
    measured = report()
    pure = {
        str(path.relative_to(ROOT.parent)) for name, path in MODULES.items() if within(name, PURE)
    }
    problems = not_covered(measured, pure)
    percent = measured["totals"]["percent_covered"]
    print(f"covered: {percent:.1f} % of the package, by lines and branches")
    if percent < PACKAGE:
        problems.append(f"the package: {percent:.1f} % covered, expected {PACKAGE:g} % or more")
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
