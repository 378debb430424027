"""The index of this folder names tests that exist, and all of its own."""

from __future__ import annotations

import re
from pathlib import Path

from . import __doc__ as index

ROOT = Path(__file__).parents[2]


def test_the_index_names_tests_that_exist() -> None:
    named = re.findall(r"^ +(tests/\S+\.py)::(\w+)$", index, re.MULTILINE)
    assert len(named) > 25
    for path, name in named:
        assert f"def {name}(" in (ROOT / path).read_text(), f"{path}::{name}"


def test_the_index_names_all_tests_of_this_folder() -> None:
    others = {"test_index.py", "test_bounds.py"}
    for path in Path(__file__).parent.glob("test_*.py"):
        for name in re.findall(r"def (test_\w+)\(", path.read_text()):
            assert path.name in others or f"{path.name}::{name}\n" in index, name
