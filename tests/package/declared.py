"""The first lines of a lock file: the command that made it, and a digest of what it was made from.

``make lock`` writes them; ``tests/package/test_locks.py`` compares them, without a network.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"

LOCKED_GROUPS = ("test", "servers", "docs", "check", "release")
"""The dependency groups of the development environment; the others are for single campaigns."""


def digest() -> str:
    """SHA-256 of everything in ``pyproject.toml`` that a lock file depends on."""
    declared = tomllib.loads(PYPROJECT.read_text())
    project = declared["project"]
    parts = [
        project["requires-python"],
        project["dependencies"],
        project["optional-dependencies"],
        [declared["dependency-groups"][group] for group in LOCKED_GROUPS],
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def header() -> str:
    return f"# Written by 'make lock'; do not edit.\n# pyproject.toml: sha256:{digest()}\n"


if __name__ == "__main__":
    print(header(), end="")
