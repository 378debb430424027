"""The lock files belong to ``pyproject.toml``, and name every package with its hashes.

After a change of the dependencies: ``make lock``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hatchling.build import get_requires_for_build_editable
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from . import declared

ROOT = Path(__file__).parents[2]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = PYPROJECT["project"]["optional-dependencies"]
GROUPS: dict[str, list[str]] = PYPROJECT["dependency-groups"]

RUNTIME = [requirement for extra in EXTRAS.values() for requirement in extra]
DEVELOP = [requirement for group in declared.LOCKED_GROUPS for requirement in GROUPS[group]]
LOCKS: dict[str, list[str]] = {
    "requirements/runtime.txt": RUNTIME,
    "requirements/develop.txt": [*RUNTIME, *DEVELOP],
    "examples/kubernetes/requirements.txt": [],
    "examples/mysql/kubernetes/requirements.txt": EXTRAS["mysql"],
}
"""Each file, with what it locks beside the required dependencies."""

LOCKED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[\w,-]+\])?==(\S+?)(?: ; (.+?))? \\$", re.MULTILINE)
"""A package, its version, and the marker."""

lock_files = pytest.mark.parametrize("file", LOCKS)


def entries(file: str) -> Iterator[tuple[str, str, Marker | None, str]]:
    """The name, version and marker of each locked package, and the lines with its hashes."""
    text = (ROOT / file).read_text()
    found = list(LOCKED.finditer(text))
    for match, following in zip(found, [*found[1:], None], strict=True):
        name, version, marker = match.groups()
        hashes = text[match.end() : len(text) if following is None else following.start()]
        yield canonicalize_name(name), version, Marker(marker) if marker else None, hashes


@lock_files
def test_a_lock_file_was_made_from_this_pyproject(file: str) -> None:
    text = (ROOT / file).read_text()
    assert text.startswith(declared.header()), f"{file} is older than pyproject.toml: make lock"


@lock_files
def test_a_lock_file_has_what_is_declared(file: str) -> None:
    locked = {name: version for name, version, _, _ in entries(file)}
    for text in [*PYPROJECT["project"]["dependencies"], *LOCKS[file]]:
        requirement = Requirement(text)
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, f"{file} does not have {requirement.name}: make lock"
        assert version in requirement.specifier, f"{file}: {requirement}: make lock"


def test_the_development_lock_has_what_builds_the_editable_installation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`make LOCKED=1` builds it without an environment of its own."""
    monkeypatch.chdir(ROOT)
    needed = [*PYPROJECT["build-system"]["requires"], *get_requires_for_build_editable()]
    locked = {name: version for name, version, _, _ in entries("requirements/develop.txt")}
    assert len(needed) > 1
    for requirement in map(Requirement, needed):
        assert locked.get(canonicalize_name(requirement.name), "none") in requirement.specifier


@lock_files
def test_every_package_has_a_hash_and_nothing_else_is_in_the_file(file: str) -> None:
    for name, _, _, hashes in entries(file):
        lines = [line.strip(" \\") for line in hashes.strip("\n").splitlines()]
        assert lines, name
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", line) for line in lines), name
    lines = (ROOT / file).read_text().splitlines()
    others = [line for line in lines if not re.match(r"    --hash=|#|[A-Za-z0-9]\S*==", line)]
    assert not others, "an index or a path of one machine"


def test_one_package_has_one_version_in_all_files() -> None:
    """So that the images run what was tested."""
    versions: dict[str, set[str]] = {}
    for file in LOCKS:
        for name, version, marker, _ in entries(file):
            if marker is None:
                versions.setdefault(name, set()).add(version)
    assert {name: many for name, many in versions.items() if len(many) > 1} == {}
