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


@pytest.mark.parametrize("path", sorted(WORKFLOWS.glob("*.yml")), ids=lambda path: path.name)
def test_each_action_is_pinned_by_its_commit(path: Path) -> None:
    """A tag can be moved to other code, a digest cannot; the comment says which version it is."""
    lines = [line for line in path.read_text().splitlines() if "uses:" in line]
    steps = [step for job in workflow(path.name)["jobs"].values() for step in job["steps"]]
    assert len(lines) == sum("uses" in step for step in steps) > 0
    for line in lines:
        assert re.fullmatch(r" *- uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_an_action_has_the_same_commit_everywhere() -> None:
    used = {
        found
        for path in WORKFLOWS.glob("*.yml")
        for found in re.findall(r"uses: (\S+)@(\w+) # (\S+)", path.read_text())
    }
    assert len(used) == len({action for action, _, _ in used})


def test_pinned_actions_are_kept_up_to_date() -> None:
    settings = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())
    assert settings["version"] == 2
    (update,) = settings["updates"]
    assert update["package-ecosystem"] == "github-actions"
    assert update["directory"] == "/"
    assert update["schedule"]["interval"] == "weekly"


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


def steps_that_use(job: dict[str, Any], action: str) -> list[dict[str, Any]]:
    """The inputs of each step of this action."""
    return [
        step.get("with", {})
        for step in job["steps"]
        if step.get("uses", "").partition("@")[0] == action
    ]


def test_what_is_published_is_what_was_built_and_tested() -> None:
    """The files go through the artifact, without the bill of materials, which is no archive."""
    jobs = workflow("release.yml")["jobs"]
    assert jobs["publish"]["needs"] == "build"
    uploads = steps_that_use(jobs["build"], "actions/upload-artifact")
    uploaded = {given["name"]: given for given in uploads}
    (downloaded,) = steps_that_use(jobs["publish"], "actions/download-artifact")
    assert uploaded["dist"]["path"] == downloaded["path"] == "dist/"
    assert downloaded["name"] == "dist"
    assert {given["if-no-files-found"] for given in uploaded.values()} == {"error"}
    order = [step.get("run", step.get("with", {}).get("name")) for step in jobs["build"]["steps"]]
    assert order[-4:] == ["make package", "dist", "make VENV=.venv-sbom sbom", "sbom"]
    assert not commands(jobs["publish"]), "the job that may publish executes nothing of the project"


def test_only_the_job_that_publishes_may_sign() -> None:
    release = workflow("release.yml")
    assert release["permissions"] == {"contents": "read"}
    assert "permissions" not in release["jobs"]["build"]
    assert release["jobs"]["publish"]["permissions"] == {"id-token": "write"}
    assert release["jobs"]["publish"]["environment"] == "pypi"


def test_the_scripts_write_where_the_workflow_looks() -> None:
    uploads = [
        given["path"]
        for given in steps_that_use(workflow("release.yml")["jobs"]["build"],
                                    "actions/upload-artifact")
    ]  # fmt: skip
    assert uploads == ["dist/", "dist/*.cdx.json"]
    assert "--outdir dist" in (ROOT / ".ci" / "build").read_text()
    assert "dist/peerdisco-$version.cdx.json" in (ROOT / ".ci" / "sbom").read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in ("package", "sbom"):
        recipe = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
        assert recipe is not None
        assert f".ci/{target} " in recipe[1]


@pytest.mark.parametrize("path", sorted(WORKFLOWS.glob("*.yml")), ids=lambda path: path.name)
def test_each_job_has_a_limit_and_keeps_no_credentials(path: Path) -> None:
    for name, job in workflow(path.name)["jobs"].items():
        assert 0 < job["timeout-minutes"] <= 120, name
        for given in steps_that_use(job, "actions/checkout"):
            assert given["persist-credentials"] is False, name
        for given in steps_that_use(job, "actions/setup-python"):
            versions = str(given["python-version"])
            known = "matrix" in versions or set(versions.split()) <= set(claimed_pythons())
            assert known, f"{name}: {versions}"


@pytest.mark.parametrize("path", sorted(WORKFLOWS.glob("*.yml")), ids=lambda path: path.name)
def test_each_step_is_a_program_that_a_shell_can_read(path: Path) -> None:
    for job in workflow(path.name)["jobs"].values():
        for command in commands(job):
            script = re.sub(r"\$\{\{.*?\}\}", "expression", command)
            done = subprocess.run(
                ["bash", "-n"], input=script, text=True, capture_output=True, check=False
            )
            assert done.returncode == 0, f"{command}: {done.stderr}"
