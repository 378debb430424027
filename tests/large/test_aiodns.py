"""Large services through c-ares."""

from __future__ import annotations

import asyncio

import pytest

from peerdisco.dns import wire
from peerdisco.dns.aiodns_resolver import AiodnsResolver
from peerdisco.model import Answered
from peerdisco.names import parse_service
from peerdisco.sources.headless_dns import HeadlessDNS

from .polling import TIMEOUT
from .server import serving
from .service import LargeService, statefulset
from .test_steady import actual, listed, swap

pytestmark = pytest.mark.timeout(180)


async def test_a_large_service_is_enumerated_and_then_polled_in_parts() -> None:
    service = LargeService(statefulset("db", range(2000)))
    async with serving(service) as server:
        source = HeadlessDNS(
            parse_service(service.name), [server.endpoint], resolver=AiodnsResolver
        )
        try:
            observation = await source.observe(timeout=TIMEOUT)
            assert listed(observation) == actual(service)
            assert isinstance(observation, Answered)
            assert observation.incomplete_reason is None
            service.asked.clear()
            del service.pods["db-7"]
            swap(service, "db-1", "db-2")
            source.refresh()
            assert listed(await source.observe(timeout=TIMEOUT)) == actual(service)
            service.asked.clear()
            assert listed(await source.observe(timeout=TIMEOUT)) == actual(service)
            assert sum(service.asked.values()) < 100
        finally:
            await source.aclose()


async def test_no_question_waits_for_the_timeout_of_c_ares() -> None:
    """It sometimes kept all but two questions of a connection unsent, for two seconds."""
    service = LargeService(statefulset("db", range(5000)))
    async with serving(service) as server:
        resolver = AiodnsResolver([server.endpoint])
        questions = [(wire.name_from_text(f"{pod}.{service.name}"), wire.A) for pod in service.pods]
        longest = 0.0
        for start in range(0, len(questions), 64):
            replies = await resolver.ask_many(
                questions[start : start + 64],
                deadline=asyncio.get_running_loop().time() + TIMEOUT,
                tcp=True,
            )
            assert all(reply.message is not None for reply in replies)
            longest = max(longest, *(a.seconds for reply in replies for a in reply.attempts))
        await resolver.aclose()
    assert longest < 1.9
