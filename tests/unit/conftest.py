"""What the tests of resolver and transports share."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest

from .scripted import Serve, open_sockets, serving, settle


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts name servers that do what their script says."""
    async with serving() as start:
        yield start


@pytest.fixture
async def nothing_is_left() -> AsyncIterator[None]:
    """The test ends without a task or a socket of its own."""
    gc.collect()  # what earlier tests left
    before = open_sockets()
    yield
    gc.collect()  # what was not closed says so now
    await settle(lambda: open_sockets() == before)
    assert asyncio.all_tasks() == {asyncio.current_task()}
