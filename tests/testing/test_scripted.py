from __future__ import annotations

import asyncio
import threading
from ipaddress import ip_address

import pytest

from peerdisco.exceptions import ConfigurationError, ResolverUnavailable, ResolveTimeout
from peerdisco.model import Answered, Failed, Observation, Outcome
from peerdisco.sources import Source
from peerdisco.testing import ScriptedSource, failure, no_data, nxdomain, peers


def names(observation: Observation) -> list[str]:
    assert isinstance(observation, Answered)
    return [peer.name for peer in observation.peers]


def test_it_is_a_source() -> None:
    source = ScriptedSource("my-database", [nxdomain()])
    assert isinstance(source, Source)
    assert source.service == "my-database.default.svc.cluster.local"


@pytest.mark.parametrize(
    ("given", "fqdn"),
    [
        ("db", "db.default.svc.cluster.local"),
        ("db.prod", "db.prod.svc.cluster.local"),
        ("db.prod.svc", "db.prod.svc.cluster.local"),
        ("db.prod.svc.k8s.example", "db.prod.svc.k8s.example"),
        ("db.example.com.", "db.example.com"),
    ],
)
def test_the_service(given: str, fqdn: str) -> None:
    assert ScriptedSource(given, [nxdomain()]).service == fqdn


async def test_one_observation_per_lookup_and_the_last_one_again() -> None:
    source = ScriptedSource("my-database", [peers("mysql", 3), nxdomain(), peers("mysql", 1)])
    seen = [await source.observe(timeout=1) for _ in range(4)]
    assert seen == [peers("mysql", 3), nxdomain(), peers("mysql", 1), peers("mysql", 1)]
    assert source.lookups == 4


async def test_the_script_goes_on() -> None:
    source = ScriptedSource("my-database", [nxdomain()])
    for _ in range(3):
        await source.observe(timeout=1)
    source.then(no_data(), peers("mysql", 2))
    assert await source.observe(timeout=1) == no_data()
    assert names(await source.observe(timeout=1)) == ["mysql-0", "mysql-1"]


async def test_the_end_can_be_an_error() -> None:
    source = ScriptedSource("my-database", [nxdomain()], at_end="raise")
    await source.observe(timeout=1)
    with pytest.raises(AssertionError, match=r"lookup 2 of my-database.* the script has 1 entries"):
        await source.observe(timeout=1)


async def test_errors_and_functions() -> None:
    error = ResolverUnavailable("x", ())

    async def later() -> Observation:
        await asyncio.sleep(0)
        return nxdomain()

    source = ScriptedSource("my-database", [error, lambda: error, later, lambda: later])
    assert await source.observe(timeout=1) == Failed(error)
    assert await source.observe(timeout=1) == Failed(error)
    assert await source.observe(timeout=1) == nxdomain()
    assert await source.observe(timeout=1) == nxdomain()


async def test_a_lookup_that_takes_too_long_has_failed() -> None:
    source = ScriptedSource("my-database", [asyncio.Event().wait])  # type: ignore[list-item]
    observation = await source.observe(timeout=0.01)
    assert isinstance(observation, Failed)
    assert isinstance(observation.error, ResolveTimeout)
    assert observation.error.timeout == 0.01


async def test_a_function_s_own_timeout_error_is_its_own() -> None:
    def broken() -> Observation:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        await ScriptedSource("my-database", [broken]).observe(timeout=1)


async def test_waiting_for_a_lookup() -> None:
    source = ScriptedSource("my-database", [nxdomain()])
    waiting = asyncio.create_task(source.wait_for_lookups(2))
    await source.observe(timeout=1)
    await asyncio.sleep(0)
    assert not waiting.done()
    await source.observe(timeout=1)
    await waiting
    await source.wait_for_lookups(1)


async def test_waiting_for_a_lookup_on_another_thread() -> None:
    source = ScriptedSource("my-database", [nxdomain()])
    thread = threading.Thread(target=lambda: asyncio.run(source.observe(timeout=1)))
    waiting = asyncio.create_task(source.wait_for_lookups(1))
    await asyncio.sleep(0)
    thread.start()
    await asyncio.wait_for(waiting, 5)
    thread.join()


async def test_who_gave_up_waiting_is_forgotten() -> None:
    source = ScriptedSource("my-database", [nxdomain()])
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(source.wait_for_lookups(1), 0.001)
    assert source._waiting == []
    await source.observe(timeout=1)


async def test_closing_is_noted() -> None:
    source = ScriptedSource("my-database", [nxdomain()])
    assert not source.closed
    await source.aclose()
    await source.aclose()
    assert source.closed


@pytest.mark.parametrize("script", [[], ["mysql-0"], [ValueError()]])
def test_scripts_that_make_no_sense(script: list[object]) -> None:
    with pytest.raises(ConfigurationError, match="script"):
        ScriptedSource("my-database", script)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="at_end"):
        ScriptedSource("my-database", [nxdomain()], at_end="stop")  # type: ignore[arg-type]


def test_peers() -> None:
    first, second = peers("mysql", [0, 5], addresses={5: "fd00::5"}, ports={"mysql": 3306}).peers
    assert first.hostname == "mysql-0.my-database.default.svc.cluster.local"
    assert (first.ordinal, first.statefulset, first.ready) == (0, "mysql", None)
    assert first.addresses == (ip_address("10.244.0.3"),)
    assert second.addresses == (ip_address("fd00::5"),)
    assert dict(second.ports) == {"mysql": 3306}
    assert peers(incomplete_reason="truncated").incomplete_reason == "truncated"


def test_failures() -> None:
    refused = failure(Outcome.REFUSED)
    assert isinstance(refused.error, ResolverUnavailable)
    assert "REFUSED from 127.0.0.1:53 for SRV my-database.default" in str(refused.error)
    assert isinstance(failure(Outcome.TIMEOUT, seconds=2).error, ResolveTimeout)
    assert no_data().outcome is Outcome.NO_DATA
    assert nxdomain(ttl=None).ttl is None
