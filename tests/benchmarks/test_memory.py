"""The memory of a watcher, and how long it is collected, each time in a fresh process."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from .conftest import ROOT, Replaying
from .services import Service

SIZES = (3, 5000)
TURNS = 5


def watcher(server: str, pods: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.benchmarks.watcher"]
    arguments = [server, Service(pods).fqdn, str(pods)]
    made = subprocess.run(
        [*command, *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return json.loads(made.stdout)


@pytest.fixture(scope="module")
def measured(testing_dns: Replaying) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {pods: [] for pods in SIZES}
    for _ in range(TURNS):
        for pods, those in found.items():
            those.append(watcher(str(testing_dns.endpoint), pods))
    return found


@pytest.mark.parametrize("pods", SIZES)
def test_memory(
    benchmark: BenchmarkFixture, measured: dict[int, list[dict[str, Any]]], pods: int
) -> None:
    those = benchmark.pedantic(lambda: measured[pods])
    benchmark.group = "memory of a watcher"
    benchmark.extra_info.update(
        table="memory",
        pods=pods,
        found=min(one["found"] for one in those),
        complete=all(one["complete"] for one in those),
        resident=statistics.median(one["resident"] for one in those),
        least=min(one["resident"] for one in those),
        most=max(one["resident"] for one in those),
        peak=statistics.median(one["peak"] for one in those),
        collection=statistics.median(one["collection"] for one in those),
    )
