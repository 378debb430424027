"""What surrounds the code: the workflows and the services read what the project declares."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / ".github" / "workflows"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

if not WORKFLOWS.is_dir():
    pytest.skip("needs a checkout: the source archive has no workflows", allow_module_level=True)


def workflow(name: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((WORKFLOWS / name).read_text())
    return read


def claimed_pythons() -> list[str]:
    """The versions that the classifiers claim."""
    return [
        version
        for text in PYPROJECT["project"]["classifiers"]
        for version in re.findall(r"^Programming Language :: Python :: (3\.\d+)$", text)
    ]


def commands(job: dict[str, Any]) -> list[str]:
    return [step["run"] for step in job["steps"] if "run" in step]


def test_every_claimed_python_is_tested() -> None:
    matrix = workflow("ci.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == claimed_pythons()


def test_the_lowest_python_is_the_required_one() -> None:
    assert PYPROJECT["project"]["requires-python"] == f">={claimed_pythons()[0]}"
    assert (
        PYPROJECT["tool"]["ruff"]["target-version"] == f"py{claimed_pythons()[0].replace('.', '')}"
    )
    assert PYPROJECT["tool"]["mypy"]["python_version"] == claimed_pythons()[0]


@pytest.mark.parametrize("path", sorted(WORKFLOWS.glob("*.yml")), ids=lambda path: path.name)
def test_workflows_call_targets_that_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = {
        word
        for job in workflow(path.name)["jobs"].values()
        for command in commands(job)
        if command.startswith("make ")
        for word in command.split()[1:]
        if "=" not in word
    }
    assert called <= targets


def released(tag: str, version: str, owner: str, place: Path) -> bool:
    """Whether the release workflow's own checks let this tag of this tree pass."""
    (place / "peerdisco").mkdir()
    (place / "peerdisco" / "__init__.py").write_text(f'__version__ = "{version}"\n')
    declared = (ROOT / "pyproject.toml").read_text().replace("com/OWNER/", f"com/{owner}/")
    (place / "pyproject.toml").write_text(declared)
    checks = [
        run for run in commands(workflow("release.yml")["jobs"]["build"]) if "make" not in run
    ]
    assert len(checks) == 2
    return all(
        not subprocess.run(
            ["bash", "-ec", check],
            cwd=place,
            env={"GITHUB_REF_NAME": tag, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            check=False,
        ).returncode
        for check in checks
    )


def test_a_tag_that_is_the_version_is_released(tmp_path: Path) -> None:
    assert released("v1.2.3", "1.2.3", "somebody", tmp_path)


def test_a_tag_that_is_not_the_version_is_refused(tmp_path: Path) -> None:
    assert not released("v1.2.4", "1.2.3", "somebody", tmp_path)


def test_a_package_with_placeholder_links_is_refused(tmp_path: Path) -> None:
    assert not released("v1.2.3", "1.2.3", "OWNER", tmp_path)
