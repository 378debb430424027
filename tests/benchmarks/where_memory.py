"""Where the memory of an idle command goes: ``python -m tests.benchmarks.where_memory``.

Runs ``peerdisco watch`` and ``peerdisco mysql-sidecar``, which finds no server, and prints what
their imports add to the memory of the process, in KiB. A module counts to its folder of peerdisco
or to its driver; one of Python's that another one of Python's imports first, to that one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from .conftest import ROOT
from .measured_imports import Memory, memory, minus

SECONDS = 5.0
"""After the first line of output, until nothing more is loaded."""
LEAST = 150
"""KiB of what has a line of its own."""
DRIVER = "the driver: pymysql, aiomysql"

COMMON = ("db.default.svc.cluster.local", "--source", "static:db-0=127.0.0.1")
WATCH = ("watch", *COMMON)


def sidecar(folder: Path) -> tuple[str, ...]:
    password = folder / "password"
    password.write_text("secret")
    passwords = (f"--{who}password-file={password}" for who in ("", "replication-"))
    return (
        *("mysql-sidecar", *COMMON, "--replicas=1", "--listen=127.0.0.1:0"),
        *(f"--socket={folder / 'none'}", *passwords),
    )


def profile(command: tuple[str, ...]) -> None:
    environment = {**os.environ, "POD_NAME": "db-0", "POD_NAMESPACE": "default"}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.measured_imports", *command],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=environment,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(SECONDS)
        whole = memory(process.pid)
        process.terminate()
        measured = json.loads(process.stdout.readlines()[-1])
    print(f"peerdisco {command[0]}: {whole[0]:,} KiB resident, {whole[1]:,} of them in no file\n")
    print("resident  in no file  what")
    for line in table(whole, measured["start"], measured["modules"]):
        print(line)
    print()


def table(whole: Memory, start: Memory, modules: list[tuple[str, str, Memory]]) -> Iterable[str]:
    """What the modules take together, the largest first, between the start and the work."""
    importers = {name: importer for name, importer, _ in modules}
    rooms: dict[str, list[Memory]] = {}
    for name, _, size in modules:
        rooms.setdefault(room(name, importers), []).append(size)
    sums = {name: _sum(sizes) for name, sizes in rooms.items()}
    shown = {name: size for name, size in sums.items() if size[0] >= LEAST}
    yield _line(start, "Python, before the first import")
    for name in sorted(shown, key=lambda name: shown[name], reverse=True):
        yield _line(shown[name], name)
    others = [size for name, size in sums.items() if name not in shown]
    yield _line(_sum(others), f"{len(others)} others")
    yield _line(minus(whole, start, *sums.values()), "the work")


def room(name: str, importers: dict[str, str]) -> str:
    """What a module counts to."""
    top, *rest = name.split(".")
    if top == "peerdisco":
        return ".".join((top, *rest[:1]))
    if top in ("pymysql", "aiomysql"):
        return DRIVER
    importer = importers.get(name, "")
    if importer.partition(".")[0] in ("", "peerdisco", "pymysql", "aiomysql"):
        return top
    return room(importer, importers)


def _sum(sizes: Iterable[Memory]) -> Memory:
    resident, anonymous = map(sum, zip((0, 0), *sizes, strict=True))
    return resident, anonymous


def _line(size: Memory, name: str) -> str:
    return f"{size[0]:8,}  {size[1]:10,}  {name}"


if __name__ == "__main__":
    profile(WATCH)
    with tempfile.TemporaryDirectory() as folder:
        profile(sidecar(Path(folder)))
