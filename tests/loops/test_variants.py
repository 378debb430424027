"""What runs the suites on other event loops does run them there, in every process."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

SITE = Path(__file__).with_name("site")
VARIANTS = ["asyncio", "debug", "uvloop", "eager"]

REPORT = """\
import asyncio

async def main():
    loop = asyncio.get_running_loop()
    eager = loop.get_task_factory() is getattr(asyncio, "eager_task_factory", 0)
    print(type(loop).__module__, loop.get_debug(), eager)

asyncio.run(main())
"""
EXPECTED = {
    "asyncio": "asyncio.unix_events False False",
    "debug": "asyncio.unix_events True False",
    "eager": "asyncio.unix_events False True",
    "uvloop": "uvloop False False",
}


def missing(variant: str) -> str | None:
    if variant == "eager" and not hasattr(asyncio, "eager_task_factory"):
        return "this machine runs a Python without eager tasks: use 3.12 or later"
    return None


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_process_has_the_loop_that_was_chosen(variant: str) -> None:
    if (reason := missing(variant)) is not None:
        pytest.skip(reason)
    environment = {**os.environ, "PYTHONPATH": str(SITE), "EVENT_LOOP": variant}
    said = subprocess.run(
        [sys.executable, "-W", "error", "-c", REPORT],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert said.stdout.strip() == EXPECTED[variant]
    assert said.stderr == ""


async def test_these_tests_run_on_the_loop_that_was_chosen() -> None:
    loop = asyncio.get_running_loop()
    eager = loop.get_task_factory() is getattr(asyncio, "eager_task_factory", 0)
    found = f"{type(loop).__module__} {loop.get_debug()} {eager}"
    chosen = os.environ.get("EVENT_LOOP")
    assert chosen is None or found == EXPECTED[chosen]
