"""Whole processes: what an import, and a probe that runs every few seconds, cost."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from .conftest import Replaying
from .contenders import NOTHING, Found, Lookup
from .services import Service
from .turns import CLOCK, Result, hand_over, measure, processes_too

SECONDS = 15.0
COMMAND = "peerdisco primary"
WHO = (
    "pass",
    "import asyncio",
    "import peerdisco",
    "from peerdisco import discover",
    "import dns.asyncresolver",
    "import aiodns",
    COMMAND,
)


ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
"""What is installed from a package has its bytecode beside it; an editable install of the project
gets it with the first process."""


def process(*command: str) -> Lookup:
    async def lookup() -> Found:
        subprocess.run(command, check=True, capture_output=True, env=ENVIRONMENT)  # noqa: ASYNC221
        return NOTHING

    return lookup


def probe(server: str) -> Sequence[str]:
    peerdisco = str(Path(sys.executable).with_name("peerdisco"))
    return (peerdisco, "primary", Service(3).fqdn, "--nameserver", server)


@pytest.fixture(scope="module")
def measured(testing_dns: Replaying) -> dict[str, Result]:
    lookups = {who: process(sys.executable, "-c", who) for who in WHO if who != COMMAND}
    lookups[COMMAND] = process(*probe(str(testing_dns.endpoint)))
    return asyncio.run(measure(lookups, SECONDS, instruments=False, cpu=processes_too))


@pytest.mark.benchmark(timer=CLOCK.now)
@pytest.mark.parametrize("who", WHO)
def test_startup(benchmark: BenchmarkFixture, measured: dict[str, Result], who: str) -> None:
    hand_over(benchmark, measured[who].wall)
    benchmark.group = "a process"
    benchmark.extra_info.update(table="startup", who=who, cpu=statistics.median(measured[who].cpu))
