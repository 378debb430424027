"""What the benchmarks share, and the table of ratios at the end of the run."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    with asyncio.Runner() as runner:
        yield runner.get_loop()


def serving(scenario: str) -> AbstractContextManager[int]:
    """The port of a process that answers as recorded."""
    return running("tests.benchmarks.server", scenario)


def figures(benchmark: BenchmarkFixture, what: str, values: dict[str, str]) -> None:
    """Print these at the end of the run."""
    benchmark.group = what
    benchmark.extra_info["figures"] = values


@contextmanager
def running(module: str, *args: str) -> Iterator[int]:
    """The port that a server prints, in a process of its own that ends with the block."""
    command = [sys.executable, "-m", module, *args]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.communicate()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """One table: each median, and its ratio to what it is measured against."""
    session = getattr(config, "_benchmarksession", None)
    measured = [bench for bench in getattr(session, "benchmarks", []) if bench]
    medians = {(bench.group, bench.extra_info.get("who")): bench.stats.median for bench in measured}
    rows = []
    for bench in measured:
        for against, limit in bench.extra_info.get("against", {}).items():
            base = medians.get((bench.group, against))
            if base is None:
                continue
            mine = bench.stats.median
            rows.append(
                (
                    bench.group,
                    bench.extra_info["who"],
                    f"{mine * 1e3:.2f} ms",
                    against,
                    f"{base * 1e3:.2f} ms",
                    f"{mine / base:.2f}",
                    "-" if limit == float("inf") else f"{limit:g}",
                )
            )
    for bench in measured:
        if found := bench.extra_info.get("figures"):
            terminalreporter.section(bench.group)
            for name, value in found.items():
                terminalreporter.write_line(f"{name:45} {value}")
    if not rows:
        return
    header = ("what", "who", "median", "against", "median", "ratio", "at most")
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    terminalreporter.section("ratios of medians")
    for row in (header, *rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        terminalreporter.write_line("  ".join(cells).rstrip())
