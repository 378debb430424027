"""Each scenario, against the pure machine, the whole watcher, and the watcher over real DNS."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from peerdisco import Discovery
from peerdisco.membership.machine import Membership
from peerdisco.model import Failed, Identity, Observation, Peer
from peerdisco.names import Endpoint, parse_service
from peerdisco.sources import Source
from peerdisco.sources.headless_dns import HeadlessDNS
from peerdisco.testing import ClusterDNS, Fault, ManualClock, ManualEndpoint, ScriptedSource

from .reports import Event, events_of_change, events_of_changes, wrongs
from .world import SCENARIOS, SERVICE, Phase, Pod, Scenario, Situation, World

CHANCES = (0.0, 0.5, 0.999)
each_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
each_wire_scenario = pytest.mark.parametrize(
    "scenario", [one for one in SCENARIOS if one.wire], ids=lambda one: one.name
)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PEERDISCO_STATEFULSET", "PEERDISCO_SOURCE", "PEERDISCO_INTERVAL"):
        monkeypatch.delenv(name, raising=False)


# The files.


def test_there_are_enough_and_each_has_the_name_of_its_file() -> None:
    files = {path.stem for path in Path(__file__).parent.glob("*.json")}
    assert {scenario.name for scenario in SCENARIOS} == files
    assert len(files) >= 40


@each_scenario
def test_it_is_over_when_everything_was_due(scenario: Scenario) -> None:
    assert scenario.description
    assert all(phase.at < scenario.until for phase in scenario.phases)
    assert all(one.not_before <= one.not_after < scenario.until for one in scenario.expected)


# The machine.


def run_machine(scenario: Scenario, chance: float) -> list[Event]:
    """The changes that the pure machine reports, with polls as the schedule says."""
    machine, world = Membership(scenario.rules), World(scenario)
    events: list[Event] = []
    members: dict[str, Peer] = {}
    now = 0.0
    while now <= scenario.until:
        observation, takes = world.lookup(now)
        now += takes
        was_failing = machine.last_error is not None
        before = machine.peers
        changes = machine.observe(observation, now)
        settled = machine.tick(now)
        if isinstance(observation, Failed):
            assert not changes
            assert not settled
            assert machine.peers == before
        if (machine.last_error is not None) != was_failing:
            events.append(Event(now, "recovered" if was_failing else "degraded"))
        for event in (*events_of_changes(changes, now), *events_of_changes(settled, now)):
            events.append(event)
            assert event.peer is not None
            if event.kind == "leave":
                del members[event.peer.name]
            else:
                assert (event.peer.name in members) == (event.kind == "replace")
                members[event.peer.name] = event.peer
        assert {name: endpoint_of(peer) for name, peer in members.items()} == {
            peer.name: endpoint_of(peer) for peer in machine.peers
        }, f"at {now:.2f} s the reported changes do not give the membership"
        now += scenario.schedule.wait(machine, now, chance)
    return events


def endpoint_of(peer: Peer) -> object:
    return peer.addresses, peer.ports


@pytest.mark.parametrize("chance", CHANCES)
@each_scenario
def test_machine(scenario: Scenario, chance: float) -> None:
    wrong = wrongs(scenario, run_machine(scenario, chance))
    assert not wrong, wrong


# The watcher.


@asynccontextmanager
async def watching(
    scenario: Scenario, source: Source, clock: ManualClock
) -> AsyncIterator[tuple[Discovery, list[Event]]]:
    """A watcher over a source, and the changes that it reports."""
    events: list[Event] = []
    leave_after = scenario.rules.leave_after
    disco = Discovery(
        source=source,
        identity=Identity(scenario.own or "watcher", "default"),
        interval=scenario.rules.interval,
        min_interval=scenario.schedule.min_interval,
        leave_after=leave_after,
        clock=clock,
        chance=lambda: 0.5,
    )

    async def listen() -> None:
        async for change in disco.watch():
            events.extend(events_of_change(change, clock.now()))

    async with disco:
        listening = asyncio.create_task(listen())
        yield disco, events
    await listening


async def run_watcher(scenario: Scenario) -> list[Event]:
    """The changes that the whole watcher reports, over a scripted source."""
    clock, world = ManualClock(), World(scenario)
    never = asyncio.Event()

    async def observe() -> Observation:
        observation, takes = world.lookup(clock.now())
        if takes:
            await clock.wait(never, takes)
        return observation

    source = ScriptedSource(SERVICE, [observe])
    async with watching(scenario, source, clock) as (disco, events):
        await clock.advance(scenario.until)
        present = {peer.name for peer in disco.snapshot}
        own = disco.local
    assert source.closed
    assert (own is not None) == (scenario.own in present)
    return events


@each_scenario
async def test_watcher_reports_what_the_machine_reports(scenario: Scenario) -> None:
    """At the same times."""
    reported = await run_watcher(scenario)
    assert sorted(map(str, reported)) == sorted(map(str, run_machine(scenario, 0.5)))


# The watcher over real DNS.


class Servers:
    """Name servers on loopback that follow the scenario."""

    def __init__(self, scenario: Scenario, clock: ManualClock) -> None:
        self._scenario = scenario
        self._clock = clock
        self.world = World(scenario)
        self.servers = {name: ClusterDNS() for name in scenario.replicas}
        self._caching = dict.fromkeys(scenario.replicas, 0)
        self._listed: dict[str, dict[Pod, ManualEndpoint]] = {name: {} for name in self.servers}
        self._faults: list[Fault] = []
        self._dead = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Servers]:
        service = parse_service("my-database", namespace="default", cluster_domain="cluster.local")
        async with AsyncExitStack() as stack:
            for server in self.servers.values():
                await stack.enter_async_context(server)
                server.service(service.name, ports=3306 if self._scenario.ports else ())
            # Bound, so that the port stays unused, and connected, so that it refuses.
            stack.enter_context(self._dead)
            self._dead.bind(("127.0.0.1", 0))
            self._dead.connect(self._dead.getsockname())
            yield self

    def prepare(self) -> tuple[list[Endpoint], bool]:
        """Update them to the current time; return those to query, and whether none will answer."""
        situations = self.world.situations(self._clock.now())
        for fault in self._faults:
            fault.remove()
        self._faults.clear()
        for situation in situations:
            self._prepare(situation)
        silent = all(self._value(one) == "timeout" for one in situations)
        return [self._endpoint(one) for one in situations], silent

    def _value(self, situation: Situation) -> object:
        return situation.fault.value if situation.fails and situation.fault else None

    def _endpoint(self, situation: Situation) -> Endpoint:
        if self._value(situation) == "unreachable":
            return Endpoint(*self._dead.getsockname())
        return Endpoint("127.0.0.1", self.servers[situation.replica].port)

    def _prepare(self, situation: Situation) -> None:
        server = self.servers[situation.replica]
        assert not situation.hidden, "over real DNS nothing can be hidden; let it go instead"
        if self._caching[situation.replica] != situation.cache:
            self._caching[situation.replica] = situation.cache
            if situation.cache:
                server.caches(situation.cache, clock=self._clock.now)
            else:
                server.restore()
        listed = self._listed[situation.replica]
        with server.cluster.changing():
            server.cluster.ttl = situation.ttl
            for pod in [pod for pod in listed if pod not in situation.known]:
                listed.pop(pod).remove()
            for pod in situation.known:
                if pod not in listed:
                    ports = pod.port if self._scenario.ports and pod.port is not None else ()
                    listed[pod] = server.endpoint(
                        "my-database", pod.name, pod.addresses, ports=ports
                    )
        if situation.fault is not None:
            self._break(server, situation.fault)

    def _break(self, server: ClusterDNS, fault: Phase) -> None:
        match fault.action, fault.value:
            case "fail", "timeout":
                self._faults.append(server.fail("drop"))
            case "fail", "servfail":
                self._faults.append(server.fail("servfail"))
            case "fail", "refused":
                self._faults.append(server.fail("refused"))
            case "fail", "malformed":
                self._faults.append(server.fail("garbage"))
            case "fail", "error":
                self._faults.append(server.fail("formerr"))
            case "fail", "unreachable":
                pass  # see `_endpoint`
            case "nxdomain", _:
                self._faults.append(server.fail("nxdomain"))
            case "truncate", "udp":
                self._faults.append(server.fail("truncate", "udp"))
            case "truncate", "both":
                self._faults.append(server.fail("truncate"))
            case _:
                raise AssertionError(f"not to be had over real DNS: {fault}")


class WireSource:
    """`HeadlessDNS` over the servers of a scenario."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._endpoints = [
            Endpoint("127.0.0.1", server.port) for server in servers.servers.values()
        ]
        service = parse_service("my-database", namespace="default", cluster_domain="cluster.local")
        self._dns = HeadlessDNS(service, lambda: self._endpoints)
        self.observations: list[Observation] = []

    @property
    def service(self) -> str:
        return self._dns.service

    async def observe(self, *, timeout: float) -> Observation:
        self._endpoints, silent = self._servers.prepare()
        # Without any answer, waiting is of no use.
        observation = await self._dns.observe(timeout=0.01 if silent else 30.0)
        self.observations.append(observation)
        return observation

    async def aclose(self) -> None:
        await self._dns.aclose()


async def until(condition: Callable[[], bool]) -> None:
    """Run the event loop until the condition holds."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        await asyncio.sleep(0)


@each_wire_scenario
async def test_watcher_over_dns(scenario: Scenario) -> None:
    clock = ManualClock()
    async with Servers(scenario, clock).serving() as servers:
        source = WireSource(servers)
        async with watching(scenario, source, clock) as (disco, events):
            await until(lambda: clock.next_due is not None)
            while (due := clock.next_due) is not None and due <= scenario.until:
                lookups = disco.lookups
                # Rounding must not make the step too short.
                await clock.advance(due - clock.now() + 1e-9)
                await until(lambda lookups=lookups: disco.lookups > lookups)
                await until(lambda: clock.next_due is not None)
    wrong = wrongs(scenario, events)
    assert not wrong, wrong
    failures = {
        attempt.outcome
        for observation in source.observations
        if isinstance(observation, Failed)
        for attempt in getattr(observation.error, "attempts", ())[-1:]
    }
    if scenario.balance == "failover":
        assert not failures
    else:
        assert failures == scenario.outcomes
