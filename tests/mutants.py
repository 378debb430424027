"""Mutation tests of the modules that decide: ``python -m tests.mutants [AREA...]``.

mutmut changes one thing at a time in the code of an area and runs the tests that reach it. A
mutant that no test notices survives. ``tests/mutants.txt`` has the survivors that are accepted,
each with its reason; any other one is printed with its change. The status is 1 below 95 %.

It takes an hour or two for all areas. ``.mutants`` keeps what was done, so a run can be
interrupted and continued; delete it to begin again.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORK = ROOT / ".mutants"
ACCEPTED = Path(__file__).with_name("mutants.txt")
WANTED = 0.95


@dataclass(frozen=True)
class Area:
    """The modules that are changed, and the tests that should notice it."""

    modules: tuple[str, ...]
    tests: tuple[str, ...]


AREAS = {
    "names": Area(
        ("names.py",),
        ("test_names.py", "test_port_names.py", "test_huge_ordinals.py", "test_seconds.py",
         "test_clusters.py", "test_text_for_a_list.py", "pod"),
    ),
    "membership": Area(("membership/*",), ("membership", "test_change.py", "test_model.py")),
    "primary": Area(("primary/verdicts.py", "primary/policies.py"), ("primary",)),
    "dns": Area(
        ("dns/wire.py", "dns/fast_path.py", "dns/evidence.py", "dns/servers.py", "dns/retries.py"),
        ("dns/test_wire.py", "dns/test_fast_path.py", "dns/test_evidence.py",
         "dns/test_reverse_name.py", "dns/test_wire_differential.py", "dns/test_resolver.py"),
    ),
    "mysql": Area(
        ("mysql/decisions.py", "mysql/positions.py", "mysql/history.py", "mysql/status.py",
         "mysql/versions.py", "mysql/literals.py"),
        ("mysql",),
    ),
}  # fmt: skip


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("area", nargs="*", choices=[[], *AREAS], help=", ".join(AREAS))
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args(arguments)
    enough = [check(name, given.processes) for name in given.area or AREAS]
    return 0 if all(enough) else 1


def check(name: str, processes: int) -> bool:
    """Run the mutants of an area; whether enough of them were noticed."""
    folder = prepared(name)
    run = [sys.executable, "-m", "mutmut", "run", "--max-children", str(processes)]
    log = folder / "mutmut.log"
    with log.open("w") as output:
        status = subprocess.run(run, cwd=folder, stdout=output, stderr=output, check=False)
    outcomes = dict(results(folder))
    if not outcomes:
        print(f"{name}: mutmut ended with {status.returncode}, see {log}")
        return False
    survivors = [mutant for mutant, outcome in outcomes.items() if outcome not in NOTICED]
    reasons = accepted()
    for mutant in survivors:
        if mutant not in reasons:
            print(f"{outcomes[mutant]}: {mutant}\n{change(folder, mutant)}")
    share = 1 - len(survivors) / len(outcomes)
    known = sum(mutant in reasons for mutant in survivors)
    print(
        f"{name}: {len(outcomes):,} mutants, {share:.1%} noticed, {len(survivors)} survived, "
        f"{known} of them for a known reason",
        flush=True,
    )
    return share >= WANTED


NOTICED = ("killed", "timeout", "segfault", "caught by type check")


def prepared(name: str) -> Path:
    """A copy of the project in which mutmut works; its results are kept from run to run."""
    folder, area = WORK / name, AREAS[name]
    files = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout.split("\0")
    for file in filter(None, files):
        target = folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, target)
    settings = {
        "source_paths": ["peerdisco"],
        "only_mutate": [f"peerdisco/{module}" for module in area.modules],
        "also_copy": ["docs", "examples", "Makefile", "README.md", "CHANGELOG.md"],
        "pytest_add_cli_args": ["-p", "no:cacheprovider", "-p", "no:xdist", "-x", "-q"],
        "pytest_add_cli_args_test_selection": [f"tests/unit/{test}" for test in area.tests],
    }
    with (folder / "pyproject.toml").open("a") as file:
        lines = [f"{key} = {value}".replace("'", '"') for key, value in settings.items()]
        file.write("\n[tool.mutmut]\ntrack_dependencies = false\n" + "\n".join(lines) + "\n")
    return folder


def results(folder: Path) -> Iterator[tuple[str, str]]:
    """Each mutant with its outcome."""
    command = [sys.executable, "-m", "mutmut", "results", "--all", "true"]
    shown = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    for line in shown.stdout.splitlines():
        mutant, colon, outcome = line.strip().partition(": ")
        if colon:
            yield mutant, outcome


def change(folder: Path, mutant: str) -> str:
    """The lines that the mutant changes."""
    command = [sys.executable, "-m", "mutmut", "show", mutant]
    shown = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout
    lines = [line for line in shown.splitlines() if line.startswith(("- ", "+ "))]
    return "\n".join(f"  {line}" for line in lines)


def accepted() -> dict[str, str]:
    """The accepted survivors: the mutant and, after a colon, the reason."""
    if not ACCEPTED.exists():
        return {}
    lines = ACCEPTED.read_text(encoding="utf-8").splitlines()
    pairs = (line.partition(": ") for line in lines if line and not line.startswith("#"))
    return {mutant: reason for mutant, _, reason in pairs}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
