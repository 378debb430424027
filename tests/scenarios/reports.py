"""Compares the reported changes with those that a scenario expects. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from peerdisco.membership.machine import Changes
from peerdisco.model import Change, Peer

from .world import Expected, Kind, Scenario, World

__all__ = ["Event", "events_of_change", "events_of_changes", "wrongs"]

_SLACK = 1e-6
_MOST_LINES = 20


@dataclass(frozen=True, slots=True)
class Event:
    """One reported change."""

    at: float
    kind: Kind
    peer: Peer | None = None

    def __str__(self) -> str:
        if self.peer is None:
            return f"{self.at:8.2f} {self.kind}"
        addresses = "+".join(map(str, self.peer.addresses))
        return f"{self.at:8.2f} {self.kind} {self.peer.name}={addresses}@{self.peer.port}"

    @property
    def who(self) -> tuple[Kind, str]:
        return self.kind, self.peer.name if self.peer else ""


def events_of_changes(changes: Changes, at: float) -> Iterable[Event]:
    yield from (Event(at, "leave", peer) for peer in changes.left)
    yield from (Event(at, "join", peer) for peer in changes.joined)
    yield from (Event(at, "replace", after) for _, after in changes.replaced)


def events_of_change(change: Change, at: float) -> Iterable[Event]:
    if change.degraded:
        yield Event(at, "degraded")
    if change.recovered:
        yield Event(at, "recovered")
    yield from (Event(at, "leave", peer) for peer in change.left)
    yield from (Event(at, "join", peer) for peer in change.joined)
    yield from (Event(at, "replace", after) for _, after in change.replaced)


def wrongs(scenario: Scenario, events: list[Event]) -> str:
    """The errors in the reported changes, with all of these; empty if there are none."""
    found = [*_unlike_expected(scenario, events), *_broken_promises(scenario, events)]
    if not found:
        return ""
    timeline = [f"  {event}" for event in events] or ["  nothing"]
    return "\n".join([f"{scenario.name}:", *_short(found), "reported:", *_short(timeline)])


def _short(lines: list[str]) -> list[str]:
    more = len(lines) - _MOST_LINES
    return lines if more <= 0 else [*lines[:_MOST_LINES], f"  ... and {more} more"]


def _unlike_expected(scenario: Scenario, events: list[Event]) -> Iterable[str]:
    reported: dict[tuple[str, str], list[Event]] = {}
    for event in events:
        reported.setdefault(event.who, []).append(event)
    for one in sorted(scenario.expected, key=lambda one: one.after):
        queue = reported.get((one.kind, one.pod.name if one.pod else ""), [])
        if not queue:
            yield f"- never reported: {one}"
            continue
        event = queue.pop(0)
        if not one.not_before - _SLACK <= event.at <= one.not_after + _SLACK:
            yield f"- reported at {event.at:.2f}: {one}"
        if _differs(one, event, scenario):
            yield f"- reported differently: {one}, but {event}"
    for left_over in reported.values():
        for event in left_over:
            if not (scenario.any_health and event.peer is None):
                yield f"- reported but not expected: {event}"


def _differs(one: Expected, event: Event, scenario: Scenario) -> bool:
    if not one.exact or one.pod is None or event.peer is None:
        return False
    port = one.pod.port if scenario.ports else None
    return (one.pod.addresses, port) != (event.peer.addresses, event.peer.port)


def _broken_promises(scenario: Scenario, events: list[Event]) -> Iterable[str]:
    """The guarantees that hold in every scenario."""
    world = World(scenario)
    there: dict[str, float] = {}
    for event in events:
        if event.peer is None:
            continue
        name = event.peer.name
        if event.kind == "join":
            if name in there:
                yield f"- joined twice without a leave between: {event}"
            there[name] = event.at
        elif name not in there:
            yield f"- not a member, and yet: {event}"
        elif event.kind == "leave" and not _was_away(world, name, there.pop(name), event.at):
            yield f"- was present all the time: {event}"


def _was_away(world: World, name: str, since: float, until: float) -> bool:
    """Whether the pod was absent, as a replica knew, for a moment at least."""
    scenario = world.scenario
    moments: Mapping[float, None] = dict.fromkeys(
        [since, until, *(phase.at for phase in scenario.phases if since <= phase.at <= until)]
    )
    # An answer from a cache may be as old as the cache holds it.
    early = since - scenario.cached
    return any(
        name not in world.truth(replica, moment)
        for moment in (early, *moments)
        for replica in scenario.replicas
    )
