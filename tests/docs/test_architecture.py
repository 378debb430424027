"""The page about the architecture, its picture and CONTRIBUTING match the repository.

After a change: ``PEERDISCO_REWRITE_DOCS=1 pytest tests/docs/test_architecture.py``.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.docs.markdown import REWRITE, ROOT
from tests.unit.test_imports import MODULES

PAGE = ROOT / "docs" / "explanation" / "architecture.md"
PICTURE = PAGE.with_suffix(".svg")
ROOMS = sorted({module.partition(".")[0] for module in MODULES} - {"", "__main__"})


def test_the_picture_is_drawn_from_the_imports_of_today() -> None:
    tool = ROOT / "docs" / "_tools" / "architecture_picture.py"
    command = (sys.executable, tool, "-")
    made = subprocess.run(command, capture_output=True, text=True, check=True, timeout=50).stdout
    if REWRITE:
        PICTURE.write_text(made, encoding="utf-8")
    there = PICTURE.read_text(encoding="utf-8")
    assert made == there, "run with PEERDISCO_REWRITE_DOCS=1 to renew the picture"


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_is_on_the_page_and_in_the_picture(room: str) -> None:
    assert f"`{room}`" in PAGE.read_text(encoding="utf-8")
    texts = [
        "".join(element.itertext())
        for element in ET.parse(PICTURE).getroot().iter()
        if element.tag.endswith("text")
    ]
    assert room in " ".join(texts).split()


def test_the_page_names_modules_and_files_that_exist() -> None:
    text = PAGE.read_text(encoding="utf-8")
    named = re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", text)
    assert named
    assert set(named) <= set(MODULES)
    for path in re.findall(r"`((?:peerdisco|tests|docs)/[a-z_/]+\.py)`", text):
        assert (ROOT / path).is_file(), path


def folders(path: Path) -> set[str]:
    """The folders below a path that have Python files or data in them."""
    return {
        str(folder.relative_to(path))
        for folder in path.rglob("*")
        if folder.is_dir() and "__pycache__" not in folder.parts
    }


def test_the_folders_of_the_unit_tests_are_those_of_the_package() -> None:
    assert folders(ROOT / "tests" / "unit") <= folders(ROOT / "peerdisco")


def test_contributing_lists_every_folder_of_tests() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    listed = {
        path
        for row in re.findall(r"^\| (`tests/.*?) \|", text, re.MULTILINE)
        for path in re.findall(r"`tests/([a-z]+)`", row)
    }
    assert listed == {folder for folder in folders(ROOT / "tests") if "/" not in folder}
