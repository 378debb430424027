"""Each test of the contract runs for each resolver."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator

import pytest

from peerdisco.dns import wire
from peerdisco.dns.aiodns_resolver import AiodnsResolver
from tests.unit.scripted import Serve, dead_endpoint, serving, settle

from .resolvers import KINDS, NAME, Held, Kind


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    param: Kind = request.param
    return param


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    async with serving() as start:
        yield start


@pytest.fixture(scope="session", autouse=True)
def pycares_has_started() -> None:
    """pycares starts a thread that lives on with the first channel."""
    before = Held.now().threads
    asyncio.run(AiodnsResolver([dead_endpoint()]).ask(NAME, wire.A, deadline=0))
    deadline = time.monotonic() + 10
    while Held.now().threads > before + 1:
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.fixture(autouse=True)
async def nothing_is_left(pycares_has_started: None) -> AsyncIterator[None]:
    """Every test ends without a task, a thread or a file of its own."""
    gc.collect()  # what earlier tests left
    before = Held.now()
    yield
    gc.collect()  # what was not closed says so now
    await settle(before.is_not_exceeded)
    assert asyncio.all_tasks() == {asyncio.current_task()}
