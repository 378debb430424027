"""``make bench``: measures, prints the tables, and writes them and a picture into the docs.

``python -m tests.benchmarks FILE ...`` measures what these files do, prints it, and writes nothing;
with ``--renew`` before the files it replaces their tables in the docs.
"""

from __future__ import annotations

import compileall
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import peerdisco

from . import network, report

OPTIONS = (
    "--override-ini=addopts=",
    "--override-ini=timeout=180",
    "--import-mode=importlib",
    "-ra",
    "--quiet",
    "--no-header",
    "--benchmark-disable-gc",
    "--benchmark-quiet",
    "--benchmark-columns=median,iqr,rounds",
)


def main(arguments: list[str]) -> int:
    # A process that compiles modules takes more memory and time than those after it.
    compileall.compile_dir(Path(peerdisco.__file__).parent, quiet=1)
    renew = arguments[:1] == ["--renew"]
    arguments = arguments[renew:]
    folder = Path(__file__).parent
    with tempfile.TemporaryDirectory() as name:
        files = Path(name)
        measured = files / "benchmark.json"
        environment = dict(os.environ)
        environment.pop(network.VARIABLE, None)
        prefix = network.prefix()
        if prefix:
            environment[network.VARIABLE] = name
        command = [*prefix, sys.executable, "-m", "pytest", *OPTIONS]
        command += [f"--benchmark-json={measured}", *(arguments or [str(folder)])]
        status = subprocess.run(
            command, cwd=folder.parents[1], env=environment, check=False
        ).returncode
        if not measured.exists():
            return status or 1
        results = report.distill(json.loads(measured.read_text()))
    print(report.printed(results), end="")
    if not status and renew:
        report.write({**json.loads(report.RESULTS.read_text()), **results})
    elif not status and not arguments:
        report.write(results)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
