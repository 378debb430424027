"""The page of compatibility names what exists: its tests, its targets, and the Pythons claimed."""

from __future__ import annotations

import json
import re
import tomllib

import pytest
import yaml

from .markdown import ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
PAGE = (ROOT / "docs" / "reference" / "compatibility.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    """The rows of the section's table, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`(tests/[^`]*)`", PAGE)
    assert len(named) > 15
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_target_that_is_named_exists() -> None:
    for target in set(re.findall(r"`(?:\w+=\w+ )?make ([a-z-]+)`", PAGE)):
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target


@pytest.mark.parametrize(
    "title",
    [
        *("Python", "Event loops", "Processes and application servers"),
        *("Operating system", "Name servers", "Kubernetes"),
    ],
)
def test_every_line_names_what_tests_it(title: str) -> None:
    assert rows(title)
    for row in rows(title):
        assert re.search(r"`(tests/|make )", row[1]), row


def test_the_pythons_are_those_of_the_classifiers() -> None:
    claimed = [
        found[1]
        for classifier in PROJECT["project"]["classifiers"]
        if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", classifier))
    ]
    assert [row[0] for row in rows("Python")] == claimed
    assert PROJECT["project"]["requires-python"] == f">={claimed[0]}"


def makefile_list(variable: str) -> set[str]:
    line = re.search(rf"^{variable} := (.*)$", MAKEFILE, re.MULTILINE)
    assert line is not None
    return {word for word in line[1].split() if word.startswith("tests/")}


def test_the_suites_are_those_that_run_on_every_loop() -> None:
    named = set(re.findall(r"`(tests/[^`]*)`", section("Event loops").split("\n|")[0]))
    assert named == makefile_list("LOOP_SUITES") - {"tests/loops"}


def test_the_portion_of_the_suites_is_the_one_that_is_named() -> None:
    [line] = [line for line in PAGE.splitlines() if line.startswith("`make test-pythons` runs")]
    assert set(re.findall(r"`(tests/[^`]*)`", line)) == makefile_list("SOME_LOOP_SUITES")
    assert makefile_list("SOME_LOOP_SUITES") <= makefile_list("LOOP_SUITES")


def test_the_commands_of_ci_run_every_python_and_every_loop() -> None:
    assert "\nmake test-pythons\n" in (ROOT / ".ci" / "run").read_text()
    assert "loops=(eager uvloop debug)" in (ROOT / ".ci" / "pythons").read_text()


@pytest.mark.skipif(not WORKFLOW.exists(), reason="the source archive has no workflows")
def test_the_jobs_of_ci_run_every_python_and_every_loop() -> None:
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    assert jobs["pythons"]["steps"][-1]["run"] == "make test-all-pythons"
    pythons = [row[0] for row in rows("Python")]
    for job in ("test", "loops"):
        assert jobs[job]["strategy"]["matrix"]["python"] == pythons
    assert jobs["pythons"]["steps"][1]["with"]["python-version"].split() == pythons[::-1]
    assert jobs["loops"]["strategy"]["matrix"]["loop"] == ["debug", "eager", "uvloop"]


def test_the_recordings_are_of_the_versions_named() -> None:
    recorded = json.loads((ROOT / "tests" / "vectors" / "seed-three-pods.json").read_text())
    server, kubernetes = re.search(
        r"CoreDNS (\S+) .*kube-controller-manager ([\d.]+)", recorded["recorded_from"]
    ).groups()  # type: ignore[union-attr]
    assert rows("Name servers")[0][0].startswith(f"CoreDNS {server} ")
    assert rows("Kubernetes")[0][0].startswith(f"{kubernetes}, ")


def test_the_guide_about_the_installation_has_every_extra() -> None:
    page = (ROOT / "docs" / "how-to" / "install.md").read_text()
    extras = PROJECT["project"]["optional-dependencies"]
    assert set(re.findall(r"^\| `peerdisco\[(\w+)\]` \|", page, re.MULTILINE)) == set(extras)
