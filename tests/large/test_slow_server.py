"""First lookups at a server that takes long for each answer, on a simulated clock."""

from __future__ import annotations

import pytest

from peerdisco.dns.resolver import FIRST_TIMEOUT
from peerdisco.model import Answered, Observation
from peerdisco.names import Endpoint, parse_service
from peerdisco.sources.headless_dns import HeadlessDNS

from .polling import TIMEOUT
from .service import LargeService, statefulset
from .slow import SlowServer, run


def first_lookup(service: LargeService, server: SlowServer) -> Observation:
    async def look_up() -> Observation:
        source = HeadlessDNS(parse_service(service.name), [Endpoint("127.0.0.1", 9)])
        source._large = True  # UDP is not simulated; nothing may leave the machine
        try:
            return await source.observe(timeout=TIMEOUT)
        finally:
            await source.aclose()

    return run(server, look_up)


@pytest.mark.parametrize(("absent", "together"), [(0.004, True), (0.034, True), (0.06, False)])
def test_negative_answers_that_take_long_leave_no_pod_out(absent: float, together: bool) -> None:
    service = LargeService(statefulset("db", range(5000)))
    server = SlowServer(service, present=0.0001, absent=absent, together=together)
    observation = first_lookup(service, server)
    assert isinstance(observation, Answered)
    assert observation.incomplete_reason is None
    assert len(observation.peers) == 5000
    assert server.longest < FIRST_TIMEOUT


@pytest.mark.parametrize("together", [False, True], ids=["each reply", "replies together"])
def test_a_server_that_is_slow_for_each_name_is_asked_fewer_at_a_time(together: bool) -> None:
    """A hundred questions a second, where 512 pending ones would wait for five seconds."""
    service = LargeService(statefulset("db", range(1200)))
    server = SlowServer(service, present=0.01, absent=0.01, together=together)
    observation = first_lookup(service, server)
    assert isinstance(observation, Answered)
    assert observation.incomplete_reason is None
    assert len(observation.peers) == 1200
    assert server.longest < FIRST_TIMEOUT


def test_many_statefulsets_with_their_absent_ordinals_are_found() -> None:
    """Each has absent ordinals beyond its end."""
    pods = [
        pod
        for number in range(60)
        for pod in statefulset(f"db-{number:02}x", range(80), 1 + 100 * number)
    ]
    service = LargeService(pods)
    server = SlowServer(service, present=0.0001, absent=0.008, together=True)
    observation = first_lookup(service, server)
    assert isinstance(observation, Answered)
    assert len(observation.peers) == len(pods)
    assert observation.incomplete_reason is None
    assert server.longest < FIRST_TIMEOUT
