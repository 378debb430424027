"""Whole processes: what an import, and a probe that runs every few seconds, cost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from .conftest import serving

ASYNCIO = "import asyncio"
SEED = "my-database.default.svc.cluster.local"
PEERDISCO = str(Path(sys.executable).with_name("peerdisco"))
ROUNDS = 40


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@pytest.mark.parametrize(
    ("code", "against"),
    [
        ("pass", {}),
        (ASYNCIO, {}),
        ("import peerdisco", {ASYNCIO: 1.6}),
        ("from peerdisco import discover", {ASYNCIO: 2.0}),
    ],
)
def test_import(benchmark: BenchmarkFixture, code: str, against: dict[str, float]) -> None:
    benchmark.group = "a process"
    benchmark.extra_info["who"] = code
    benchmark.extra_info["against"] = against
    benchmark.pedantic(run, (sys.executable, "-c", code), rounds=ROUNDS, warmup_rounds=3)


def test_command(benchmark: BenchmarkFixture) -> None:
    benchmark.group = "a process"
    benchmark.extra_info["who"] = "peerdisco primary"
    benchmark.extra_info["against"] = {ASYNCIO: 3.0}
    with serving("seed-three-pods") as port:
        command = (PEERDISCO, "primary", SEED, "--nameserver", f"127.0.0.1:{port}")
        benchmark.pedantic(run, command, rounds=ROUNDS, warmup_rounds=3)
