"""The guarantees for large services, in simulated clusters of a thousand pods and more.

The source is the real one, and so are its queries; a name server in the same process answers them
as CoreDNS does, shuffled and truncated. Time is simulated: nothing waits.

``python -m tests.simulation.large --seeds 200`` checks the runs of that many seeds.
``python -m tests.simulation.large --polls 1000`` makes as many polls of 1,000, of 2,000 and of
5,000 pods; in each five of them, something happens to a pod or two.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from random import Random
from unittest import mock

from peerdisco.dns import wire
from peerdisco.dns.reply import Reply
from peerdisco.membership.machine import Membership
from peerdisco.membership.rules import ConfirmationRules
from peerdisco.membership.schedule import Schedule
from peerdisco.model import Attempt, Outcome
from peerdisco.names import Endpoint, parse_service
from peerdisco.sources.headless_dns import HeadlessDNS
from peerdisco.sources.large.rotation import MOST_VERIFIED, ROUND_POLLS
from tests.large.service import LargeService, Pod, address, statefulset

INTERVAL = 2.0
LONGEST_WAIT = 1.1 * INTERVAL
HOLD = 2 * INTERVAL
ORDINALS = 30.0
"""Seconds after which absent ordinals are queried again."""

WARM_UP = 30.0
EVERY = 5
"""Polls of a long run for each change."""

LONG_SIZES = (1000, 2000, 5000)
"""Pods of the long runs."""

KINDS = ("leave", "join", "move", "swap", "take over", "reuse")


class Answers:
    """A `peerdisco.dns.reply.ResolverProtocol` that answers at once."""

    def __init__(self, service: LargeService) -> None:
        self._service = service
        self.fails = False
        self.asked = 0

    async def aclose(self) -> None: ...

    def use(self, nameservers: Sequence[Endpoint]) -> None: ...

    def begin(self, zone: bytes | None) -> None: ...

    async def ask(self, name: bytes, rtype: int, *, deadline: float, tcp: bool = False) -> Reply:
        self.asked += 1
        text = wire.name_to_text(name)
        if self.fails:
            failed = Attempt("10.96.0.10:53", "tcp", text, "", Outcome.SERVFAIL, 0.0)
            return Reply((failed,), failed, None)
        message = wire.read(self._service.reply(wire.query(1, name, rtype)))
        outcome = Outcome.ANSWER if message.answers else Outcome.NO_DATA
        if message.rcode == wire.NXDOMAIN:
            outcome = Outcome.NXDOMAIN
        attempt = Attempt("10.96.0.10:53", "tcp", text, "", outcome, 0.0)
        return Reply((attempt,), attempt, message)

    async def ask_many(
        self, questions: Sequence[tuple[bytes, int]], *, deadline: float, tcp: bool = False
    ) -> list[Reply]:
        return [await self.ask(*question, deadline=deadline) for question in questions]


@dataclass(frozen=True)
class Expected:
    """A report that must come: `joined`, `left` or `replaced`, at the latest at this time."""

    action: str
    name: str
    since: float
    latest: float


@dataclass
class Run:
    """What was expected in a run, what was reported, and how often and how much was asked.

    Attributes:
        expected: The reports that must come.
        reports: Those that came: when, `joined`, `left` or `replaced`, and the pod.
        polls: How many there were.
        most_asked: The most questions of one poll before the first change.
    """

    expected: list[Expected] = field(default_factory=list)
    reports: list[tuple[float, str, str]] = field(default_factory=list)
    polls: int = 0
    most_asked: int = 0

    def violations(self) -> list[str]:
        """Reports that are missing, late, or without a cause."""
        found, left = [], list(self.reports)
        for one in self.expected:
            match = next((r for r in left if r[1:] == (one.action, one.name)), None)
            if match is None:
                found.append(f"{one} was never reported")
                continue
            left.remove(match)
            if not one.since <= match[0] <= one.latest:
                found.append(f"{one} was reported at {match[0]:.1f}")
        return [*found, *(f"{report} has no cause" for report in left)]


class _Cluster:
    """A service whose pods change, and the reports that must follow."""

    def __init__(self, pods: int, seed: int) -> None:
        self.chance = Random(f"large {seed}")
        self.service = LargeService(statefulset("db", range(pods)), seed=seed)
        self.run = Run()
        self._untouched = sorted(self.service.pods)
        self.chance.shuffle(self._untouched)
        self._next, self._address = pods, 100_000
        truncated = pods > 4090
        fewer = 1.05 if truncated else 1.0
        rounds = max(ROUND_POLLS, (pods + 40) * fewer // MOST_VERIFIED + 1) * LONGEST_WAIT
        self._seen = LONGEST_WAIT + (max(rounds, ORDINALS) if truncated else 0.0)
        """Seconds until a change of the addresses is seen."""
        self._turn = self._seen + rounds
        """Seconds until a change that leaves the addresses as they are is seen."""
        self._leave = HOLD + LONGEST_WAIT / 2

    @property
    def slowest(self) -> float:
        return self._turn + self._leave

    def change(self, now: float, kind: str | None = None) -> None:
        """Something happens to a pod or two; by default whatever it is."""
        pods, kind = self.service.pods, kind or self.chance.choice(KINDS)
        one, other = self._untouched.pop(), self._untouched.pop()
        held = pods[one].packed
        if kind == "leave":
            del pods[one]
            self._expect("left", one, now, self._seen + self._leave)
        elif kind == "join":
            self._add(self._new(), now, self._seen)
        elif kind == "move":
            self._put(one, self._new(), now, self._seen)
        elif kind == "swap":
            self._put(one, pods[other].packed, now, self._turn)
            self._put(other, held, now, self._turn)
        elif kind == "take over":
            del pods[one]
            self._expect("left", one, now, self._seen + self._leave)
            self._put(other, held, now, self._seen)
        else:
            del pods[one]
            self._expect("left", one, now, self._turn + self._leave)
            self._add(held, now, self._turn)

    def _new(self) -> tuple[bytes, ...]:
        self._address += 1
        return (address(self._address),)

    def _put(self, name: str, packed: tuple[bytes, ...], now: float, within: float) -> None:
        self.service.pods[name] = Pod(name, packed)
        self._expect("replaced", name, now, within)

    def _add(self, packed: tuple[bytes, ...], now: float, within: float) -> None:
        name = f"db-{self._next}"
        self._next += 1
        self.service.pods[name] = Pod(name, packed)
        self._expect("joined", name, now, within)

    def _expect(self, action: str, name: str, now: float, within: float) -> None:
        self.run.expected.append(Expected(action, name, now, now + within))


async def simulate(pods: int, seed: int, changes: int = 8, *, outage: bool = False) -> Run:
    """Poll a service of so many pods to which so many things happen.

    Args:
        pods: At the beginning.
        seed: Of everything that is random.
        changes: Their number; some fall between the same two polls.
        outage: Whether the name server fails for ten seconds before the first change.
    """
    cluster = _Cluster(pods, seed)
    chance = cluster.chance
    times = sorted(WARM_UP + chance.uniform(0.0, 40.0) for _ in range(changes))
    times = [time if chance.random() < 0.7 else times[0] for time in times]
    times.sort()
    end = times[-1] + cluster.slowest + 1.0

    def before(now: float) -> bool:
        while times and times[0] <= now:
            cluster.change(times.pop(0))
        return now < end

    return await _poll(cluster, before, outage=outage)


async def simulate_polls(pods: int, polls: int, every: int = EVERY, seed: int = 0) -> Run:
    """Poll so often, and until the last change must have been reported.

    Args:
        pods: At the beginning.
        polls: How many, at least.
        every: In so many polls, one change; the kinds take turns.
        seed: Of everything that is random.
    """
    cluster = _Cluster(pods, seed)
    run = cluster.run
    kinds = cycle(KINDS)
    last = 0.0

    def before(now: float) -> bool:
        nonlocal last
        if run.polls < polls and run.polls % every == 0 and now >= WARM_UP:
            # It happened at some time since the poll before.
            cluster.change(now - cluster.chance.uniform(0.0, now - last), next(kinds))
        last = now
        latest = run.expected[-1].since + cluster.slowest if run.expected else now
        return run.polls < polls or now < latest

    return await _poll(cluster, before)


async def _poll(cluster: _Cluster, before: Callable[[float], bool], *, outage: bool = False) -> Run:
    """Poll as long as what is called before each poll, with the time, returns True."""
    chance, run, now = cluster.chance, cluster.run, 0.0
    resolver = Answers(cluster.service)
    source = HeadlessDNS(
        parse_service(cluster.service.name),
        [Endpoint("10.96.0.10", 53)],
        resolver=lambda _: resolver,
    )
    membership, schedule = Membership(ConfirmationRules(interval=INTERVAL)), Schedule(INTERVAL)
    with mock.patch.object(asyncio.get_running_loop(), "time") as time:
        while before(now):
            time.return_value = now
            resolver.fails = outage and WARM_UP - 10.0 <= now < WARM_UP - 1.0
            asked = resolver.asked
            observation = await source.observe(timeout=5.0)
            run.polls += 1
            if now and not run.expected:
                run.most_asked = max(run.most_asked, resolver.asked - asked)
            for step in (membership.observe(observation, now), membership.tick(now)):
                if now:
                    run.reports += [(now, "joined", peer.name) for peer in step.joined]
                run.reports += [(now, "left", peer.name) for peer in step.left]
                run.reports += [(now, "replaced", new.name) for _, new in step.replaced]
            now += schedule.wait(membership, now, chance.random())
    return run


SIZES = (950, 1500, 2500)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.large", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--polls", type=int, help="make so many polls, instead of runs of seeds")
    parser.add_argument("--every", type=int, default=EVERY, help="polls for each change")
    parser.add_argument("--pods", type=int)
    options = parser.parse_args(arguments)
    if options.polls is not None:
        sizes = (options.pods,) if options.pods else LONG_SIZES
        if options.every < 1 or 2 * options.polls > options.every * min(sizes):
            parser.error(f"--every: {min(sizes)} pods are too few for so many changes")
        return _polls(sizes, options.polls, options.every)
    bad = 0
    for seed in range(options.seeds):
        pods = options.pods or SIZES[seed % len(SIZES)]
        for violation in asyncio.run(simulate(pods, seed, outage=seed % 3 == 0)).violations():
            print(f"seed {seed}, {pods} pods: {violation}")
            bad += 1
    print(f"{options.seeds} runs, {bad} violations")
    return bool(bad)


def _polls(sizes: Sequence[int], polls: int, every: int) -> int:
    """Make the long runs and print what came of them; 1 if something is wrong."""
    wrong = False
    for pods in sizes:
        run = asyncio.run(simulate_polls(pods, polls, every))
        violations = run.violations()
        print(
            f"{pods} pods, {run.polls} polls: {len(run.expected)} reports expected, "
            f"{len(run.reports)} came, {len(violations)} missing, late or without a cause",
            flush=True,
        )
        for violation in violations:
            print(f"  {violation}")
        wrong = wrong or bool(violations)
    return wrong


if __name__ == "__main__":
    raise SystemExit(main())
