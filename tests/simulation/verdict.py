"""Whether what a client told is what the guarantees in the documentation say.

The formulas are those of ``docs/explanation/guarantees.md``; the letters too:

- I: the interval; j: the jitter of the schedule; W = I (1 + j): the longest wait between looks.
- L: the longest lag of a replica; T: the TTL of the caches, 0 without.
- H: the hold; E: the hold of an answer without any peer, and of absences between failed looks.
- D: the time that looks took, or that passed between two good answers where a look between them
  said nothing of the truth: it failed, was cut, or came from a replica that had just restarted.
- C: caution, without caches: H and E are doubled for every four doubts that were wrong, up to 8.
- n: how often of late the pod came back to what it was before, up to 6: H and E are doubled for
  each, and so are the five answers in a row that an address takes which the pod had before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from peerdisco.membership.rules import ConfirmationRules
from peerdisco.membership.schedule import Schedule

from .clients import Changes, Run
from .world import Addresses, Segment

_ROUNDING = 1e-6


def hold_of(run: Run) -> float:
    """H: for how long an absence is doubted where it is known what caches there are."""
    setup = run.setup
    least = ConfirmationRules(interval=setup.interval).least_hold
    return max(least, setup.ttl + 2 * setup.interval) if setup.cached else least


@dataclass(frozen=True)
class Bounds:
    """How long it may take, apart from D, until a change is told."""

    join: float
    leave: float
    leave_of_the_last: float
    leave_while_looks_fail: float
    reversal: float

    @classmethod
    def of(cls, run: Run, *, sure: bool, refuted: int = 0, returns: int = 0) -> Bounds:
        """For this run.

        Args:
            run: What happened.
            sure: Whether the client has seen for how long caches hold, if any do.
            refuted: How many doubts were wrong.
            returns: How often the pod came back to what it was before.
        """
        setup = run.setup
        interval, ttl = setup.interval, float(setup.ttl)
        wait = interval * (1 + Schedule().jitter)
        rules = ConfirmationRules(interval=interval)
        hold = hold_of(run)
        known = hold
        if not sure:
            assumed = max(ttl, rules.cache_ttl) if setup.cached else ttl
            known = max(hold, assumed + 2 * interval)
        hold_empty = max(rules.empty_after, 2 * known, ttl + 1)
        doublings = 0 if setup.cached else min(3, refuted // 4)
        caution = 2.0 ** max(doublings, min(6, returns))
        lookups = 5 * 2 ** min(6, returns)
        stale = max(setup.lags) + (ttl if setup.cached else 0.0)
        return cls(
            join=stale + wait,
            leave=stale + wait + hold * caution + wait / 2,
            leave_of_the_last=stale + wait + hold_empty * caution + wait / 2,
            leave_while_looks_fail=stale + wait + 2 * hold_empty * caution + wait / 2,
            reversal=stale + wait + max(hold, (lookups - 1) * wait / 2) + wait / 2,
        )


@dataclass(frozen=True)
class Violation:
    """What a client told that it should not have, or should have and did not."""

    seed: int
    kind: str
    time: float
    words: str

    def __str__(self) -> str:
        return f"seed {self.seed}, at {self.time:.2f} s, {self.kind}: {self.words}"


@dataclass(frozen=True)
class Believed:
    """For so long, the application had this in mind of one pod."""

    start: float
    end: float
    addresses: Addresses


def check(run: Run) -> Iterator[Violation]:
    """Everything that is wrong with what was told."""
    seed = run.setup.seed
    for words in run.trouble:
        yield Violation(seed, "not a sequence", 0.0, words)
    for told in false_departures(run):
        if not at_odds(run, told.name, told.time):
            words = f"{told.name} was there all the time"
            yield Violation(seed, "false departure", told.time, words)
    for told in ghosts(run):
        if not at_odds(run, told.name, told.time):
            words = f"{told.name} joined again and was not there"
            yield Violation(seed, "ghost", told.time, words)
    yield from _strangers(run)
    yield from _flapping(run)
    yield from _false_replacements(run)
    yield from _late(run)


def at_odds(run: Run, name: str, until: float, since: float = float("-inf")) -> bool:
    """Whether a replica that lost the API may have said otherwise of a pod than it was.

    Such a replica lags for longer than any hold: it is told what it says, but with ever more
    caution; see `_flapping`. Of pods that did not change meanwhile it says the truth.
    """
    kept = float(run.setup.ttl) if run.setup.cached else 0.0
    for trouble in run.setup.troubles:
        if trouble.kind == "cut off" and trouble.start <= until and trouble.end + kept >= since:
            early = trouble.start - max(run.setup.lags)
            late = min(until, trouble.end + max(run.setup.lags) + kept)
            if any(early < segment.start <= late for segment in run.truth.segments.get(name, ())):
                return True
    return False


def _strangers(run: Run) -> Iterator[Violation]:
    """Pods that only an answer from before the run lists.

    Where caches cannot reach their upstream, and nothing fresh came before, it cannot be known.
    """
    for told in run.told:
        unknown = told.time < run.fresh_at and any(
            trouble.kind == "upstream" and trouble.start <= told.time < trouble.end
            for trouble in run.setup.troubles
        )
        if told.name not in run.truth.segments and told.action == "joined" and not unknown:
            words = f"{told.name} was gone before the run"
            yield Violation(run.setup.seed, "stranger", told.time, words)


_MOST_FLAPS = 6
"""A pod may be told so often to be again what it was before, while it was not, in some minutes."""


def _flapping(run: Run) -> Iterator[Violation]:
    for name, times in run.undone.items():
        false = [
            time
            for time, addresses in times
            if not any(
                segment.addresses == addresses and time - 120 < segment.start <= time
                for segment in run.truth.segments.get(name, ())
            )
        ]
        if len(false) > _MOST_FLAPS:
            words = f"{name} was told {len(false)} times to be again what it was before"
            yield Violation(run.setup.seed, "flapping", false[-1], words)


def false_departures(run: Run) -> Iterator[Changes]:
    """Departures of pods that were there from before they were told until now, unchanged."""
    since: dict[str, tuple[float, Addresses]] = {}
    for told in run.told:
        if told.action == "left":
            start, addresses = since.pop(told.name)
            segment = run.truth.segment(told.name, told.time)
            same = segment.addresses == addresses or (segment.addresses and not addresses)
            if segment.addresses and same and segment.start <= start:
                yield told
        else:
            since[told.name] = (told.time, told.addresses)


def ghosts(run: Run) -> Iterator[Changes]:
    """Joins of pods that had left, and were not there again since an old answer could have it."""
    hold = hold_of(run)
    left: dict[str, tuple[float, Addresses]] = {}
    has: dict[str, Addresses] = {}
    for told in run.told:
        if told.action == "left":
            left[told.name] = told.time, has[told.name]
        elif told.action == "joined" and told.name in left:
            time, addresses = left[told.name]
            if told.addresses == addresses and not any(
                segment.addresses == addresses
                and segment.start < told.time
                and segment.end > time - hold
                for segment in run.truth.segments.get(told.name, ())
            ):
                yield told
        has[told.name] = told.addresses


def _false_replacements(run: Run) -> Iterator[Violation]:
    """Replacements of addresses that a pod has, and had when that was told, by ones told before.

    Old news that come after the new ones, and were not told before, are news to everybody.
    """
    heard: dict[str, list[Changes]] = {}
    for told in run.told:
        before = heard.setdefault(told.name, [])
        if told.action == "replaced":
            last = before[-1]
            segment = run.truth.segment(told.name, told.time)
            still = segment.addresses == last.addresses and segment.start <= last.time
            had = [
                old.start
                for old in run.truth.segments.get(told.name, ())
                if old.addresses == told.addresses and old.start <= told.time
            ]
            again = any(
                old.addresses == told.addresses and had and old.time >= had[-1] for old in before
            )
            if still and again and not at_odds(run, told.name, told.time):
                words = f"{told.name} replaced by {told.addresses}, but still has {last.addresses}"
                yield Violation(run.setup.seed, "false replacement", told.time, words)
        before.append(told)


# --- in time


class Lost:
    """D: the time in which no look could tell anything."""

    def __init__(self, run: Run) -> None:
        self.spans: list[tuple[float, float]] = []
        start: float | None = None
        last = 0.0
        for asked, answered, wrong in run.lookups:
            if wrong:
                start = last if start is None else start
                continue
            self.spans.append((asked if start is None else start, answered))
            start, last = None, answered
        if start is not None:
            self.spans.append((start, float("inf")))
        self.wrong = [answered for _, answered, wrong in run.lookups if wrong]

    def failed_within(self, start: float, end: float) -> bool:
        """Whether a look said nothing of the truth in this time: then DNS may be restarting."""
        return any(start <= time <= end for time in self.wrong)

    def within(self, start: float, end: float) -> float:
        """How much of this time."""
        return sum(
            max(0.0, min(end, until) - max(start, since))
            for since, until in self.spans
            if until > start and since < end
        )


def believed(run: Run, name: str) -> list[Believed]:
    """What the application had in mind of one pod, over time."""
    spans = []
    start, addresses = float("-inf"), ()
    for told in run.told:
        if told.name == name:
            spans.append(Believed(start, told.time, addresses))
            start, addresses = told.time, told.addresses
    spans.append(Believed(start, float("inf"), addresses))
    return spans


def settled_after(run: Run, segment: Segment, spans: list[Believed]) -> float:
    """When what was told became what was true, for good; its end if it did not."""
    settled = segment.start
    for span in spans:
        overlaps = span.end > segment.start and span.start < segment.end
        if overlaps and span.addresses != segment.addresses:
            settled = max(settled, min(span.end, segment.end))
    return settled


def _late(run: Run) -> Iterator[Violation]:
    lost = Lost(run)
    for name, segments in run.truth.segments.items():
        spans = believed(run, name)
        had: set[object] = set()
        for segment in segments:
            earlier = set(had)
            had |= set(segment.addresses)
            start = max(0.0, segment.start)
            settled = settled_after(run, Segment(start, segment.end, segment.addresses), spans)
            if at_odds(run, name, settled, start):
                continue
            sure = run.sure_at is not None and run.sure_at <= start
            refuted = sum(time < settled for time in run.refuted.get(name, ()))
            returns = sum(time < settled for time in run.returns.get(name, ()))
            bounds = Bounds.of(run, sure=sure, refuted=refuted, returns=returns)
            old_news = any(
                told.name == name and start <= told.time < settled and set(told.addresses) & earlier
                for told in run.told
            )
            if segment.addresses and (
                earlier & set(segment.addresses) or len(segment.addresses) > 1 or old_news
            ):
                # An address that it had before, an old and a new one, or an old one that was seen
                # after the new one: this has to settle, and begins anew with each look that says
                # something else.
                bound = bounds.reversal
                doubts = [time for time in lost.wrong if start <= time < settled]
                start = max([start, *doubts])
            elif segment.addresses:
                bound = bounds.join
            elif lost.failed_within(start - 30 * run.setup.interval, settled):
                bound = bounds.leave_while_looks_fail
            elif run.truth.ever_empty(start, settled):
                bound = bounds.leave_of_the_last
            else:
                bound = bounds.leave
            took = settled - start
            if took <= bound + _ROUNDING:
                continue
            took -= lost.within(start, settled)
            if took > bound + _ROUNDING:
                what = ", ".join(map(str, segment.addresses)) or "gone"
                words = f"{name} is {what} since {segment.start:.2f}, settled after {took:.2f} s"
                yield Violation(run.setup.seed, "late", settled, f"{words}, bound {bound:.2f} s")
