"""The pytest fixtures as users meet them, and what the package imports."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import peerdisco.testing
from peerdisco.testing import ClusterDNS

from .asking import ask, ask_blocking, names

pytest_plugins = ["pytester"]

PACKAGE = Path(peerdisco.testing.__file__).parent


def test_sync(cluster_dns: ClusterDNS) -> None:
    cluster_dns.statefulset("mysql", service="my-database")
    assert len(names(ask_blocking(cluster_dns))) == 3


async def test_async(cluster_dns: ClusterDNS) -> None:
    assert cluster_dns.queries == []  # another test's is another
    cluster_dns.statefulset("mysql", service="my-database", replicas=2)
    assert len(names(await ask(cluster_dns))) == 2


def test_the_environment(cluster_dns: ClusterDNS, peerdisco_environment: dict[str, str]) -> None:
    ours = {name: value for name, value in os.environ.items() if name in peerdisco_environment}
    assert ours == peerdisco_environment == cluster_dns.environment


def test_in_a_project_of_its_own(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POD_NAME", "mysql-7")
    monkeypatch.setenv("PEERDISCO_INTERVAL", "99")
    pytester.makepyfile(
        """
        import os, subprocess, sys

        def test_clean(peerdisco_environment, cluster_dns):
            assert "POD_NAME" not in os.environ and "PEERDISCO_INTERVAL" not in os.environ
            printed = subprocess.run(
                [sys.executable, "-c", "import os; print(os.environ['PEERDISCO_NAMESERVERS'])"],
                capture_output=True, text=True, check=True,
            ).stdout.strip()
            assert printed == cluster_dns.nameserver

        def test_restored():
            assert os.environ["POD_NAME"] == "mysql-7"
            assert "PEERDISCO_NAMESERVERS" not in os.environ
        """
    )
    result = pytester.runpytest_subprocess(
        "-W", "error", "-p", "no:cacheprovider", "-p", "no:asyncio"
    )
    result.assert_outcomes(passed=2)


def imported_by(statement: str, *modules: str) -> list[str]:
    """Which of the modules are there after the statement, in a fresh interpreter."""
    code = f"{statement}\nimport sys\nprint(*[m for m in {modules!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    return done.stdout.split()


def test_the_plugin_costs_little() -> None:
    statement = "import peerdisco.testing.pytest_plugin"
    assert imported_by(statement, "dns", "peerdisco.dns", "peerdisco.testing.server") == []
    assert imported_by("from peerdisco.testing import ClusterDNS", "dns") == ["dns"]
    assert imported_by("from peerdisco.testing import ScriptedSource, Cluster", "dns") == []


def test_every_public_name_is_there() -> None:
    for name in peerdisco.testing.__all__:
        assert getattr(peerdisco.testing, name) is not None
    assert set(peerdisco.testing.__all__) <= set(dir(peerdisco.testing))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = peerdisco.testing.nonsense  # type: ignore[attr-defined]


MAY_IMPORT = {"model", "names", "exceptions", "sources", "dns"}
PURE = {"cluster", "state", "statefulset", "answers", "rendering", "faults", "responder"}
IMPURE = {"asyncio", "socket", "time", "random", "os", "logging"}


def imports(path: Path) -> tuple[set[str], set[str]]:
    """The modules of this project and of others that a file names."""
    own, others = set(), set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 2:
            own.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.ImportFrom) and not node.level:
            others.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.Import):
            others |= {alias.name.split(".")[0] for alias in node.names}
    return own, others


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.stem)
def test_imports_point_one_way(path: Path) -> None:
    own, others = imports(path)
    assert own <= MAY_IMPORT
    assert "peerdisco" not in others
    if path.stem in PURE:
        assert not others & IMPURE
