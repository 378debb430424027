"""Mutation tests of the modules that decide: ``python -m tests.mutants [AREA...]``.

mutmut changes one thing at a time in the code of an area and runs the tests that reach it. A
mutant that no test notices survives, and is printed with its change. ``tests/mutants.txt`` has the
ones that are not run, each with its reason: the change makes no difference. The status is 1 if less
than 95 % of the mutants that make a difference are noticed.

It takes hours for all areas; ``--sample 200`` takes so many mutants of each, drawn at random but
the same ones each time. ``.mutants`` keeps what was done, so a run can be interrupted and
continued; survivors are tried again. Delete it to begin again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
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
    """The modules that are changed, and the tests that should notice it.

    Attributes:
        modules: Below the package.
        tests: Below the unit tests.
        slow: What of them is not run: simulations of hours, which each mutant would repeat.
    """

    modules: tuple[str, ...]
    tests: tuple[str, ...]
    slow: tuple[str, ...] = ()


AREAS = {
    "names": Area(
        ("names.py",),
        ("test_names.py", "test_port_names.py", "test_huge_ordinals.py", "test_seconds.py",
         "test_clusters.py", "test_text_for_a_list.py", "pod"),
    ),
    "membership": Area(
        ("membership/*",),
        ("membership", "test_change.py", "test_model.py"),
        ("flap", "nor_between", "at_once_after_any", "counts_down_to_0", "a_stale_nxdomain",
         "after_a_day", "while_it_refreshes", "nor_do_several"),
    ),
    "primary": Area(("primary/verdicts.py", "primary/policies.py"), ("primary",)),
    "dns": Area(
        ("dns/wire.py", "dns/fast_path.py", "dns/evidence.py", "dns/servers.py", "dns/retries.py"),
        ("dns/test_wire.py", "dns/test_fast_path.py", "dns/test_evidence.py",
         "dns/test_reverse_name.py", "dns/test_retries.py", "dns/test_servers.py",
         "dns/test_wire_differential.py",
         "dns/test_resolver.py", "dns/test_hostile_servers.py", "dns/test_bulk.py",
         "dns/test_glue.py", "dns/test_side_by_side.py", "sources/test_usual_answer.py"),
        ("as_dnspython_does", "takes_long", "flood", "strays_alone"),
    ),
    "mysql": Area(
        ("mysql/decisions.py", "mysql/positions.py", "mysql/history.py", "mysql/status.py",
         "mysql/versions.py", "mysql/literals.py", "mysql/values.py"),
        ("mysql/test_recorded_decisions.py", "mysql/test_trust.py", "mysql/test_values.py",
         "mysql/test_decisions.py", "mysql/test_history.py", "mysql/test_literals.py",
         "mysql/test_objections.py", "mysql/test_own_log.py", "mysql/test_positions.py",
         "mysql/test_recovery.py", "mysql/test_takeover.py", "mysql/test_unknown_facts.py",
         "mysql/test_versions.py"),
    ),
}  # fmt: skip


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("area", nargs="*", choices=[[], *AREAS], help=", ".join(AREAS))
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--sample", type=int, metavar="N", help="mutants of each area; else all")
    given = parser.parse_args(arguments)
    enough = [check(name, given.processes, given.sample) for name in given.area or AREAS]
    return 0 if all(enough) else 1


def check(name: str, processes: int, sample: int | None = None) -> bool:
    """Run the mutants of an area, or a sample of them; whether enough of them were noticed."""
    folder = prepared(name)
    mutmut(folder, processes, NO_MUTANT)
    known, of = draw(folder, sample)
    status = mutmut(folder, processes)
    outcomes = {mutant: outcome for mutant, outcome in results(folder) if outcome != "skipped"}
    if not outcomes or "not checked" in outcomes.values():
        print(f"{name}: mutmut ended with {status}, see {folder / LOG}")
        return False
    survivors = [mutant for mutant, outcome in outcomes.items() if outcome not in NOTICED]
    for mutant in survivors:
        print(f"{outcomes[mutant]}: {mutant}\n{change(folder, mutant)}")
    share = 1 - len(survivors) / len(outcomes)
    print(
        f"{name}: {len(outcomes) + known:,} of {of:,} mutants, {known} of them make no "
        f"difference; {len(survivors)} of the others survived, {share:.1%} were noticed",
        flush=True,
    )
    return share >= WANTED


LOG = "mutmut.log"
NO_MUTANT = "none"
"""Matches no mutant: mutmut makes the mutants, measures the tests and ends."""
NOT_CHECKED, SKIPPED = None, 34
AGAIN = (0, 5, 33, SKIPPED)
"""Status in the files of mutmut; these survived, or no test reached them."""


def mutmut(folder: Path, processes: int, *mutants: str) -> int:
    """Run mutants, by default all those without an outcome; the status."""
    run = [sys.executable, "-m", "mutmut", "run", "--max-children", str(processes), *mutants]
    with (folder / LOG).open("w") as output:
        return subprocess.run(run, cwd=folder, stdout=output, stderr=output, check=False).returncode


def draw(folder: Path, sample: int | None) -> tuple[int, int]:
    """Have the drawn mutants run that have no outcome or survived, and no others.

    Returns:
        How many of the drawn ones are not run because they are accepted, and the number of all.
    """
    files = {file: json.loads(file.read_text()) for file in folder.glob("mutants/**/*.meta")}
    every = sorted(mutant for meta in files.values() for mutant in meta["exit_code_by_key"])
    drawn = set(
        every if sample is None else random.Random(0).sample(every, min(sample, len(every)))
    )
    known = drawn & accepted().keys()
    for file, meta in files.items():
        for mutant, status in meta["exit_code_by_key"].items():
            if mutant not in drawn or mutant in known:
                meta["exit_code_by_key"][mutant] = SKIPPED
            elif status in AGAIN:
                meta["exit_code_by_key"][mutant] = NOT_CHECKED
        file.write_text(json.dumps(meta, indent=4))
    return len(known), len(every)


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
    if area.slow:
        settings["pytest_add_cli_args"] += ["-k", f"not ({' or '.join(area.slow)})"]
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
