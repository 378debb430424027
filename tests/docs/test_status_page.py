"""The picture of the sidecar's status page is that of the page as it is now."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import struct
import sys
from pathlib import Path
from types import ModuleType

import pytest

from .markdown import REWRITE, ROOT


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    path = ROOT / "docs" / "_tools" / "status_page_picture.py"
    monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])
    spec = importlib.util.spec_from_file_location("status_page_picture", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_is_that_of_the_page(tool: ModuleType) -> None:
    if REWRITE:
        tool.main()
    made = hashlib.sha256(tool.page().encode()).hexdigest()
    assert tool.hash_of(tool.PICTURE.read_bytes()) == made, (
        "the status page has changed: run docs/_tools/status_page_picture.py, which needs Chromium"
    )
    assert "(status-page.png)" in (ROOT / "docs" / "how-to" / "mysql.md").read_text()


@pytest.mark.timeout(110)
def test_the_command_makes_a_picture_of_the_whole_page(tool: ModuleType, tmp_path: Path) -> None:
    if shutil.which("chromium") is None:
        pytest.skip("this machine has no browser: Chromium is not installed")
    tool.PICTURE = tmp_path / "page.png"
    tool.main()
    made = tool.PICTURE.read_bytes()
    header = dict(tool.chunks(made))[b"IHDR"]
    assert struct.unpack_from(">II", header) == (tool.WIDTH, tool.HEIGHT)
    assert tool.hash_of(made) == hashlib.sha256(tool.page().encode()).hexdigest()
