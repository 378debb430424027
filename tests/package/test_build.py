"""The wheel and the source archive, as they are built from this checkout."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

import pytest

from . import extras

ROOT = Path(__file__).parents[2]
SOURCES = (
    ".ci",
    "peerdisco",
    "tests",
    "examples",
    "docs",
    "requirements",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "hatch_build.py",
    "pyproject.toml",
)
UNWANTED = shutil.ignore_patterns("__pycache__", "_build", ".*_cache")

pytestmark = pytest.mark.timeout(120)


def build(checkout: Path, target: Path) -> list[Path]:
    """The archives, built with the packages of this environment: nothing is downloaded."""
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", target, checkout],
        check=True,
        capture_output=True,
        timeout=100,
    )
    return sorted(target.iterdir())


def copy_of_the_checkout(target: Path) -> Path:
    target.mkdir()
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=UNWANTED)
        else:
            shutil.copy2(source, target / name)
    return target


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    place = tmp_path_factory.mktemp("archives")
    sdist, wheel = build(copy_of_the_checkout(place / "checkout"), place / "dist")[::-1]
    assert sdist.name.endswith(".tar.gz")
    assert wheel.suffix == ".whl"
    return sdist, wheel


@pytest.fixture
def metadata(archives: tuple[Path, Path]) -> Message:
    with zipfile.ZipFile(archives[1]) as wheel:
        (name,) = (n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
        return BytesParser().parsebytes(wheel.read(name))


def test_the_wheel_holds_the_package_and_nothing_else(archives: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(archives[1]) as wheel:
        names = set(wheel.namelist())
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"peerdisco"}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "peerdisco").rglob("*.py")}
    assert modules <= names
    assert "peerdisco/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_source_archive_holds_what_its_own_tests_need(archives: tuple[Path, Path]) -> None:
    with tarfile.open(archives[0]) as sdist:
        top = {Path(name).parts[1] for name in sdist.getnames() if len(Path(name).parts) > 1}
    assert set(SOURCES) <= top


def test_what_the_makefile_calls_is_in_the_source_archive(archives: tuple[Path, Path]) -> None:
    called = set(re.findall(r"\.ci/[a-z]+", (ROOT / "Makefile").read_text()))
    with tarfile.open(archives[0]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert called
    assert called <= names


def test_tests_of_the_repository_pass_or_skip_in_the_source_archive(
    archives: tuple[Path, Path], tmp_path: Path
) -> None:
    """It has no workflows, and no history."""
    with tarfile.open(archives[0]) as sdist:
        sdist.extractall(tmp_path, filter="data")
    (place,) = tmp_path.iterdir()
    tests = ["tests/package/test_repository.py", "tests/docs/test_compatibility.py",
             "tests/package/test_build.py::test_each_extra_is_tested_alone"]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-n", "0", *tests],
        cwd=place, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the source archive has no workflows" in done.stdout


def test_every_link_of_the_package_index_page_is_absolute(metadata: Message) -> None:
    readme = metadata.get_payload()
    assert isinstance(readme, str)
    links = re.findall(r"\]\(([^)]+)\)", readme)
    assert len(links) > 20
    assert [link for link in links if not link.startswith(("https://", "#"))] == []


def test_every_relative_link_of_the_readme_leads_to_a_file() -> None:
    links = re.findall(r"\]\(((?!https?://)[^)#]+)", (ROOT / "README.md").read_text())
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_project_links_come_from_one_place(metadata: Message) -> None:
    urls = dict(text.split(", ", 1) for text in metadata.get_all("Project-URL", ()))
    assert set(urls) == {"Documentation", "Repository", "Issues", "Changelog", "Security"}
    assert all(
        url.startswith(urls["Repository"]) for name, url in urls.items() if name != "Documentation"
    )


def test_two_builds_of_one_tree_are_the_same_bytes(
    archives: tuple[Path, Path], tmp_path: Path
) -> None:
    again = build(copy_of_the_checkout(tmp_path / "elsewhere"), tmp_path / "dist")
    assert len(again) == len(archives)
    for first, second in zip(sorted(archives), again, strict=True):
        assert digest(first) == digest(second), first.name


def test_each_extra_is_tested_alone() -> None:
    """`.ci/package` installs each of them, and `extras.py` knows what it brings."""
    declared = {"none", *tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]}  # fmt: skip
    assert set(extras.PACKAGES) == set(extras.MODULES) == declared
    script = (ROOT / ".ci" / "package").read_text()
    assert set(re.search(r"for extra in (.*); do", script)[1].split()) == declared  # type: ignore[index]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
