"""Each test of the contract runs for each resolver."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest

from tests.unit.scripted import Serve, dead_endpoint, serving, settle

from .resolvers import KINDS, NAME, Kind, open_files, soon, threads


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    param: Kind = request.param
    return param


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    async with serving() as start:
        yield start


@pytest.fixture(autouse=True)
async def nothing_is_left(kind: Kind) -> AsyncIterator[None]:
    """Every test ends without a task, a thread or a file of its own."""
    # pycares starts a thread that lives on with the first channel.
    first = kind.open(dead_endpoint())
    await first.ask(NAME, 1, deadline=soon())
    await first.aclose()
    await _settled()
    before = open_files(), threads()
    yield
    gc.collect()  # what was not closed says so now
    await settle(lambda: (open_files(), threads()) == before)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def _settled() -> None:
    """Wait until c-ares has ended the threads of the channels that were closed."""
    seen = (open_files(), threads())
    steady = 0
    while steady < 20:
        await asyncio.sleep(0.002)
        now = (open_files(), threads())
        steady = steady + 1 if now == seen else 0
        seen = now
