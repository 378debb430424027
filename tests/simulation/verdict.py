"""Checks the reports of a client against the guarantees in the documentation.

The formulas are those of ``docs/explanation/guarantees.md``; the letters too:

- I: the interval; j: the jitter of the schedule; W = I (1 + j): the longest wait between polls.
- L: the longest lag of a replica; T: the TTL of the caches, 0 without.
- H: the hold; E: the hold of an answer without any peer, and of absences between failed lookups.
- D: the time that lookups took, or that passed between two good answers if a lookup between them
  is no evidence: it failed, was truncated, or came from a replica that had just restarted.
- C: caution, without caches: H and E are doubled for every four wrong suspicions, up to 8.
- n: how often of late the pod came back to what it was before, up to 6: H and E are doubled for
  each, and so are the five answers in a row that an address takes which the pod had before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from peerdisco.membership.rules import ConfirmationRules
from peerdisco.membership.schedule import Schedule

from .clients import Report, Run
from .world import Addresses, Segment

_ROUNDING = 1e-6


def hold_of(run: Run) -> float:
    """H: the hold of a missing peer if the caches are known."""
    setup = run.setup
    least = ConfirmationRules(interval=setup.interval).least_hold
    return max(least, setup.ttl + 2 * setup.interval) if setup.cached else least


@dataclass(frozen=True)
class Bounds:
    """How long it may take, apart from D, until a change is reported."""

    join: float
    leave: float
    leave_of_the_last: float
    leave_while_lookups_fail: float
    reversal: float

    @classmethod
    def of(cls, run: Run, *, sure: bool, refuted: int = 0, returns: int = 0) -> Bounds:
        """For this run.

        Args:
            run: What happened.
            sure: Whether the client has seen for how long caches hold, if any do.
            refuted: The number of wrong suspicions.
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
            leave_while_lookups_fail=stale + wait + 2 * hold_empty * caution + wait / 2,
            reversal=stale + wait + max(hold, (lookups - 1) * wait / 2) + wait / 2,
        )


@dataclass(frozen=True)
class Violation:
    """A wrong, late or missing report."""

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
    """All violations of the guarantees."""
    seed = run.setup.seed
    for words in run.trouble:
        yield Violation(seed, "not a sequence", 0.0, words)
    for report in false_departures(run):
        if not at_odds(run, report.name, report.time):
            words = f"{report.name} was present all the time"
            yield Violation(seed, "false departure", report.time, words)
    for report in ghosts(run):
        if not at_odds(run, report.name, report.time):
            words = f"{report.name} joined again but was absent"
            yield Violation(seed, "ghost", report.time, words)
    yield from _strangers(run)
    yield from _flapping(run)
    yield from _false_replacements(run)
    yield from _late(run)


def at_odds(run: Run, name: str, until: float, since: float = float("-inf")) -> bool:
    """Whether a replica that lost the API may have said otherwise of a pod than it was.

    Such a replica lags for longer than any hold: its answers are reported, but with ever more
    caution; see `_flapping`. Of pods that did not change meanwhile it says the truth.
    """
    kept = float(run.setup.ttl) if run.setup.cached else 0.0
    for trouble in run.setup.troubles:
        if (
            trouble.kind == "disconnected"
            and trouble.start <= until
            and trouble.end + kept >= since
        ):
            early = trouble.start - max(run.setup.lags)
            late = min(until, trouble.end + max(run.setup.lags) + kept)
            if any(early < segment.start <= late for segment in run.truth.segments.get(name, ())):
                return True
    return False


def _strangers(run: Run) -> Iterator[Violation]:
    """Pods that only an answer from before the run lists.

    Where caches cannot reach their upstream, and nothing fresh came before, it cannot be known.
    """
    for report in run.reports:
        unknown = report.time < run.fresh_at and any(
            trouble.kind == "upstream" and trouble.start <= report.time < trouble.end
            for trouble in run.setup.troubles
        )
        if report.name not in run.truth.segments and report.action == "joined" and not unknown:
            words = f"{report.name} was gone before the run"
            yield Violation(run.setup.seed, "stranger", report.time, words)


_MOST_FLAPS = 6
"""The largest number of false returns of a pod to a former state that may be reported."""


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
            words = f"{name} was reported {len(false)} times as returned to a former state"
            yield Violation(run.setup.seed, "flapping", false[-1], words)


def false_departures(run: Run) -> Iterator[Report]:
    """Reported departures of pods that were present, unchanged, all the time."""
    since: dict[str, tuple[float, Addresses]] = {}
    for report in run.reports:
        if report.action == "left":
            start, addresses = since.pop(report.name)
            segment = run.truth.segment(report.name, report.time)
            same = segment.addresses == addresses or (segment.addresses and not addresses)
            if segment.addresses and same and segment.start <= start:
                yield report
        else:
            since[report.name] = (report.time, report.addresses)


def ghosts(run: Run) -> Iterator[Report]:
    """Joins of pods that had left, and were not there again since an old answer could have it."""
    hold = hold_of(run)
    left: dict[str, tuple[float, Addresses]] = {}
    has: dict[str, Addresses] = {}
    for report in run.reports:
        if report.action == "left":
            left[report.name] = report.time, has[report.name]
        elif report.action == "joined" and report.name in left:
            time, addresses = left[report.name]
            if report.addresses == addresses and not any(
                segment.addresses == addresses
                and segment.start < report.time
                and segment.end > time - hold
                for segment in run.truth.segments.get(report.name, ())
            ):
                yield report
        has[report.name] = report.addresses


def _false_replacements(run: Run) -> Iterator[Violation]:
    """Reported replacements by former addresses, although the pod still has the newer ones.

    An outdated address that was never reported before does not count.
    """
    heard: dict[str, list[Report]] = {}
    for report in run.reports:
        before = heard.setdefault(report.name, [])
        if report.action == "replaced":
            last = before[-1]
            segment = run.truth.segment(report.name, report.time)
            still = segment.addresses == last.addresses and segment.start <= last.time
            had = [
                old.start
                for old in run.truth.segments.get(report.name, ())
                if old.addresses == report.addresses and old.start <= report.time
            ]
            again = any(
                old.addresses == report.addresses and had and old.time >= had[-1] for old in before
            )
            if still and again and not at_odds(run, report.name, report.time):
                words = (
                    f"{report.name} replaced by {report.addresses}, but still has {last.addresses}"
                )
                yield Violation(run.setup.seed, "false replacement", report.time, words)
        before.append(report)


# --- in time


class Lost:
    """D: the time without evidence."""

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
        """Whether a lookup in this time is no evidence: then DNS may be restarting."""
        return any(start <= time <= end for time in self.wrong)

    def within(self, start: float, end: float) -> float:
        """How much of this time."""
        return sum(
            max(0.0, min(end, until) - max(start, since))
            for since, until in self.spans
            if until > start and since < end
        )


def believed(run: Run, name: str) -> list[Believed]:
    """The reported state of one pod over time."""
    spans = []
    start, addresses = float("-inf"), ()
    for report in run.reports:
        if report.name == name:
            spans.append(Believed(start, report.time, addresses))
            start, addresses = report.time, report.addresses
    spans.append(Believed(start, float("inf"), addresses))
    return spans


def settled_after(run: Run, segment: Segment, spans: list[Believed]) -> float:
    """When the reports became the truth for good; the end of the segment if they did not."""
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
                report.name == name
                and start <= report.time < settled
                and set(report.addresses) & earlier
                for report in run.reports
            )
            if segment.addresses and (
                earlier & set(segment.addresses) or len(segment.addresses) > 1 or old_news
            ):
                # An address that it had before, an old and a new one, or an old one that was seen
                # after the new one: this has to settle, and begins again with each lookup that says
                # something else.
                bound = bounds.reversal
                suspicions = [time for time in lost.wrong if start <= time < settled]
                start = max([start, *suspicions])
            elif segment.addresses:
                bound = bounds.join
            elif lost.failed_within(start - 30 * run.setup.interval, settled):
                bound = bounds.leave_while_lookups_fail
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
