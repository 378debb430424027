"""The types that users see, checked as users check them."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import peerdisco

ROOT = Path(__file__).parents[2]
TYPING = ROOT / "tests" / "typing"
API = TYPING / "api.py"
WRONG = TYPING / "wrong.py"


def mypy(pytestconfig: pytest.Config, *files: Path) -> subprocess.CompletedProcess[str]:
    """``mypy --strict`` with a user's configuration, which is none, and a cache of its own."""
    cache = pytestconfig.cache.mkdir("mypy")  # type: ignore[union-attr]
    return subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file="),
            *("--python-version", "3.11", "--cache-dir", str(cache), "--show-error-codes"),
            *map(str, files),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )


def wrong_lines() -> set[int]:
    lines = WRONG.read_text().splitlines()
    return {number for number, line in enumerate(lines, 1) if "# WRONG" in line}


def test_the_users_code_uses_every_public_name() -> None:
    tree = ast.parse(API.read_text())
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "peerdisco"
        for alias in node.names
    }
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert imported & used == set(peerdisco.__all__)


@pytest.mark.xdist_group("mypy")
def test_mypy_accepts_the_users_code_and_refuses_what_is_wrong(
    pytestconfig: pytest.Config,
) -> None:
    pytest.importorskip("mypy", reason="needs mypy: pip install --group check")
    done = mypy(pytestconfig, API, WRONG)
    errors = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert [line for line in errors if WRONG.name not in line] == [], done.stdout + done.stderr
    refused = {int(re.findall(r"wrong\.py:(\d+)", line)[0]) for line in errors}
    assert refused == wrong_lines(), done.stdout + done.stderr


def test_pyright_accepts_the_users_code_and_refuses_what_is_wrong(tmp_path: Path) -> None:
    pyright = shutil.which("pyright", path=str(Path(sys.executable).parent)) or shutil.which(
        "pyright"
    )
    if pyright is None:
        pytest.skip("needs pyright: pip install --group check")
    try:
        known = subprocess.run(
            [pyright, "--version"], capture_output=True, text=True, timeout=20, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip("needs pyright with its Node.js: pip install --group check")
    if known.returncode:
        pytest.skip(
            "needs pyright with its Node.js (pip install --group check): "
            f"{known.stderr.strip()[-200:]}"
        )
    done = subprocess.run(
        [pyright, "--outputjson", "--pythonpath", sys.executable, str(API), str(WRONG)],
        cwd=tmp_path,  # a user's configuration, which is none; the files ask for strictness
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == 2, done.stdout
    errors = [found for found in report["generalDiagnostics"] if found["severity"] == "error"]
    assert [found for found in errors if not found["file"].endswith(WRONG.name)] == []
    refused = {found["range"]["start"]["line"] + 1 for found in errors}
    assert refused == wrong_lines(), errors
