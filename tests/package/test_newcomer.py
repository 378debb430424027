"""What a newcomer does, in an environment with nothing but the built wheel and what it declares.

The time is printed and not judged: `pytest -s` shows it.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from peerdisco.testing import ClusterDNS
from tests.cli.command import bare_environment
from tests.docs.markdown import ROOT, Block, blocks
from tests.docs.test_repl import FIRST_STEPS, assert_no_error, expected, printed, python_blocks
from tests.docs.test_snippets import PageRun, shown_commands

pytestmark = pytest.mark.timeout(180)


def wheel_of(place: Path) -> Path:
    command = [
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "--target",
        "wheel",
        "--directory",
        place,
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=100)
    (wheel,) = place.glob("*.whl")
    return wheel


def required(requirements: list[str], extra: str, found: dict[str, Distribution]) -> None:
    """Add the distributions that these requirements name, and those that they need in turn."""
    for requirement in map(Requirement, requirements):
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            name = requirement.name.lower().replace("_", "-")
            if name not in found:
                found[name] = distribution(name)
                required(found[name].requires or [], "", found)


def copy_of(one: Distribution, target: Path) -> None:
    """Copy what is installed here: nothing is downloaded."""
    for file in one.files or ():
        if ".." not in file.parts and "__pycache__" not in file.parts:
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(str(one.locate_file(file)), target / file)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment in which ``pip install 'peerdisco[cli]'`` was done."""
    place = tmp_path_factory.mktemp("newcomer")
    wheel = wheel_of(place)
    venv.create(place / "env", with_pip=False, symlinks=True)
    python = place / "env" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "install", "--quiet", "--no-index", "--no-deps", wheel], check=True, timeout=100
    )
    (site,) = (place / "env" / "lib").glob("python*/site-packages")
    needed: dict[str, Distribution] = {}
    (installed,) = Distribution.discover(name="peerdisco", path=[str(site)])
    required(installed.requires or [], "cli", needed)
    for one in needed.values():
        copy_of(one, site)
    subprocess.run([*pip, "check"], check=True, stdout=subprocess.DEVNULL, timeout=50)
    return python


@contextmanager
def simulation(environment: dict[str, str]) -> Iterator[str]:
    """What `peerdisco simulate --serve` says that its name server is."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["peerdisco", "simulate", "--serve", "--port", str(port)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if found := re.search(r"PEERDISCO_NAMESERVERS=(\S+)", line):
                    yield found[1]
                    break
        finally:
            process.terminate()


@pytest.fixture
def environment(python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables of that environment's programs, and an empty directory for them."""
    monkeypatch.chdir(tmp_path)
    path = os.pathsep.join([str(python.parent), os.environ["PATH"]])
    return bare_environment(
        {"PATH": path, "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "error", "COLUMNS": "100",
         "TERM": "dumb", "PYTHON_BASIC_REPL": "1", "PEERDISCO_INTERVAL": "0.05"}
    )  # fmt: skip


class CleanRun(PageRun):
    """A page whose programs run in that environment, each as a process of its own."""

    def run_python(self, block: Block) -> str:
        file = Path(f"line_{block.line}.py")
        file.write_text(block.text, encoding="utf-8")
        printed = self.run_shell(f"python {file} 2>errors")
        self.cues.finish(block.where)
        assert_no_error(Path("errors").read_text(encoding="utf-8"))
        return printed


def test_the_readme_from_an_empty_environment(environment: dict[str, str]) -> None:
    """Every command and every program of it, in its order; CI runs those of ``make``."""
    found = blocks(ROOT / "README.md")
    installs = [b.text for b in found if "pip install" in b.text]
    assert installs == ["pip install peerdisco\n"]
    makes = [command for b in found if b.text.startswith("$ make") for command, _ in
             shown_commands(b)]  # fmt: skip
    assert set(makes) <= set((ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()) | {
        "make test"
    }
    with ClusterDNS(ttl=1) as dns:
        mysql = dns.statefulset("mysql", service="my-database", replicas=3)
        environment |= dns.environment
        page = CleanRun(environment, dns=dns, mysql=mysql)
        try:
            for block, following in itertools.zip_longest(found, found[1:]):
                page.run(block, following)
        finally:
            page.close()
    assert not page.changes
    ran = {block.language for block in found}
    assert ran >= {"python", "console", "output", "run"}


def test_the_first_steps_from_an_empty_environment(
    python: Path, environment: dict[str, str]
) -> None:
    where = subprocess.run(
        [python, "-c", "import peerdisco; print(peerdisco.__file__)"],
        env=environment, check=True, capture_output=True, text=True, timeout=30,
    ).stdout  # fmt: skip
    assert Path(where.strip()).is_relative_to(python.parents[1])

    start = time.monotonic()
    commands = 0
    with simulation(environment) as server:
        environment["PEERDISCO_NAMESERVERS"] = server
        page = PageRun(environment)
        try:
            for block in blocks(FIRST_STEPS):
                if block.language == "console" and block.text.startswith("$ pip install"):
                    assert block.text == "$ pip install 'peerdisco[cli]'\n"
                elif block.language in ("console", "run", "{code-block} python"):
                    page.run(block, None)
                    commands += len(shown_commands(block)) if block.language == "console" else 0
        finally:
            page.close()
        done = subprocess.run(
            [python, "-m", "asyncio"],
            input="".join(f"{block.text}\n" for block in python_blocks(FIRST_STEPS)),
            env=environment, capture_output=True, text=True, timeout=100, check=True,
        )  # fmt: skip
    if "expected an indented block" in done.stderr:
        pytest.skip("this Python's plain editor refuses every indented block, as that of 3.13.0")
    assert_no_error(done.stderr)
    assert printed(done.stdout) == expected(), done.stdout
    assert commands > 6
    print(f"{commands} commands and the program: {time.monotonic() - start:.1f} s")


def test_seeing_peers_takes_three_commands() -> None:
    """To install, to start a cluster on loopback, to list the peers; the rest is settings."""
    listed: list[str] = []
    for block in blocks(FIRST_STEPS):
        if block.language == "console":
            listed += [command for command, _ in shown_commands(block)]
    acts = [command.strip() for command in listed if not command.startswith("export ")]
    assert acts[:3] == [
        "pip install 'peerdisco[cli]'",
        "peerdisco simulate --serve",
        "peerdisco peers my-database",
    ]
