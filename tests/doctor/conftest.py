from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.doctor.world import Server, World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A sound set-up: three pods of ``mysql`` behind ``my-database``; this pod is ``mysql-0``."""
    async with Server() as dns:
        yield World(dns, dns.statefulset("mysql", service="my-database", replicas=3))
