"""The page about the architecture and its picture match the package.

After a change: ``PEERDISCO_REWRITE_DOCS=1 pytest tests/docs/test_architecture.py``.
"""

from __future__ import annotations

import re
import subprocess
import sys
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
