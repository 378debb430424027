"""The membership machine: turns the results of lookups into confirmed changes. Pure.

One answer can be wrong in many ways: DNS fails, a cache holds an outdated answer, two replicas
disagree, an answer is truncated. The machine keeps a state for each peer, and reports a change only
when none of these can explain the answers any more:

- A peer joins as soon as it is listed.
- A peer leaves when it was missing from several consecutive complete answers, for longer than a
  cache can hold an answer without it.
- A peer with a new address is replaced at once. With a former address, or with the old and the new
  one together, it is replaced when the difference has settled.
- A change that was reported and then undone takes longer to confirm each time. A replica of the
  DNS that lags behind permanently causes such changes.
- A lookup that fails, or whose answer is served stale, is no evidence about any peer.

The table `TRANSITIONS` has the states, the evidence that an answer gives, and the reported changes.
All times are seconds of a clock that only goes forward.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..exceptions import DiscoveryError, StaleAnswer
from ..model import Answered, Empty, Failed, Observation, Peer
from .caching import TTL_TOLERANCE, Caching
from .changes import ChangeCollector, Changes
from .freshness import Freshness, Staleness
from .records import MOST_RETURNS, RETURN_EXPIRY, PeerRecord, Unlisted, endpoint
from .rules import ConfirmationRules
from .transitions import TRANSITIONS, Action, Evidence, State

__all__ = ["TRANSITIONS", "Action", "Changes", "Evidence", "Membership", "State"]

_FREE_SUSPICIONS = 4
"""After each so many consecutive wrong suspicions the next ones take twice as long to confirm."""

_MOST_CAUTION = 3
"""Wrong suspicions multiply the hold by two to the power of this at most."""

_SUSPICION_EXPIRY = 30
"""After so many intervals without a suspicion, the wrong ones are forgotten."""

_REVERSAL_LOOKUPS = 5
"""The consecutive answers that confirm a return to a former address.

As many as a departure takes without a cache, with a lookup each half interval."""


class Membership:
    """The membership machine.

    Attributes:
        rules: How much evidence confirms a change.
        caching: What the TTLs show about caches in between.
        freshness: Whether the newest answer may be served stale.
        observed_at: The time of the newest answer; None before the first.
        incomplete_reason: Why the newest answer may be incomplete; None if it is complete.
        last_error: Why the newest lookup failed; None if it succeeded.
        failures: The number of consecutive failed lookups.
        stable_since: The time of the newest change, suspicion or failure; None before the first
            lookup.
    """

    def __init__(self, rules: ConfirmationRules | None = None) -> None:
        self.rules = rules or ConfirmationRules()
        self.caching = Caching()
        self.freshness = Freshness()
        self.observed_at: float | None = None
        self.incomplete_reason: str | None = None
        self.last_error: DiscoveryError | None = None
        self.failures = 0
        self.stable_since: float | None = None
        self._peers: dict[str, Peer] = {}
        self._records: dict[str, PeerRecord] = {}
        """The few peers with unconfirmed evidence or a history; the others are just present."""
        self._unlisted: dict[str, Unlisted] = {}
        """The peers that the incomplete answers since the last complete one do not list."""
        self._unchanged: tuple[Peer, ...] | None = None
        """The tuple of peers that `_is_unchanged` compares; None while anything is unconfirmed."""
        self._departed: dict[str, PeerRecord] = {}
        """The peers that left recently, to recognise a return."""
        self._failing_since = 0.0
        self._negative_ttl = 0.0

    @property
    def peers(self) -> tuple[Peer, ...]:
        """The peers as they were reported."""
        return tuple(self._peers.values())

    def state(self, name: str) -> State:
        """The state of a peer, by its unique name."""
        return self._record(name).state if name in self._peers else State.GONE

    @property
    def recheck(self) -> bool:
        """Whether the newest answer has TTL 0, and the next one decides whether it counts."""
        return self.freshness.recheck

    @property
    def may_be_stale(self) -> bool:
        """Whether every answer so far came with TTL 0, so that all may be served stale."""
        return self.freshness.staleness is Staleness.UNVERIFIED

    @property
    def unconfirmed(self) -> bool:
        """Whether a departure or a difference was seen that is not confirmed yet."""
        return any(record.state is not State.PRESENT for record in self._records.values())

    def confirmable_at(self, now: float, pause: float) -> float:
        """When the next answer is due, so that nothing unconfirmed is confirmed late.

        Args:
            now: The time.
            pause: Seconds between two answers, if more than one is still necessary.

        Returns:
            The time at which the answer counts that may confirm a change; earlier by ``pause`` for
            each answer that is necessary before it; infinite if nothing is unconfirmed.
        """
        times = [float("inf")]
        for record in self._records.values():
            if record.state is State.PRESENT:
                continue
            if record.state is State.SUSPECTED:
                lookups, hold = self._to_leave(record, self.hold, now)
            else:
                lookups, hold = self._to_settle(record, now), self.hold
            times.append(record.since + hold - pause * max(0, lookups - record.lookups - 1))
        return min(times)

    @property
    def size(self) -> int:
        """The number of peers."""
        return len(self._peers)

    @property
    def settling(self) -> frozenset[str]:
        """The unique names of the peers whose new address or port is not confirmed yet."""
        records = self._records.items()
        return frozenset(name for name, one in records if one.state is State.SETTLING)

    @property
    def suspected(self) -> frozenset[str]:
        """The unique names of the peers that the newest answers do not confirm.

        A complete answer does not list the peer, or lists it with another address, and the change
        is not confirmed yet; or incomplete answers do not list it, in as many answers and for as
        long as a departure takes with complete ones.
        """
        if self.observed_at is None:
            return frozenset()
        names = {name for name, one in self._records.items() if one.state is not State.PRESENT}
        for name, unlisted in self._unlisted.items():
            often = unlisted.answers >= self.rules.leave_lookups
            if often and self.observed_at - unlisted.since >= self.hold:
                names.add(name)
        return frozenset(names)

    @property
    def hold(self) -> float:
        """Seconds for which a peer must be missing, or have a former address, to be believed."""
        if self.rules.leave_after is not None:
            return self.rules.leave_after
        return self.caching.hold(self.rules)

    def _empty_hold(self) -> float:
        """Seconds that an answer without peers must last until all have left."""
        if self.rules.leave_after is not None:
            return self.rules.leave_after
        return max(self.rules.empty_after, 2 * self.hold, self._negative_ttl + TTL_TOLERANCE)

    # Lookups.

    def observe(self, observation: Observation, now: float) -> Changes:
        """Apply the result of a lookup, and return the changes that it confirms.

        Args:
            observation: The result.
            now: The time at which the lookup ended.
        """
        self._judge_freshness(observation, now)
        match observation:
            case Failed(error=error):
                self.fail(error, now)
            case _ if self.freshness.staleness is Staleness.UNCLEAR:
                pass
            case _ if self.freshness.staleness is Staleness.STALE:
                self._fail_stale(observation, now)
            case Empty(ttl=ttl):
                self._answered(now, None)
                self._negative_ttl = max(self._negative_ttl, ttl or 0.0)
                return self._apply_complete((), now, self._empty_hold())
            case Answered(incomplete_reason=None):
                return self._observe_complete(observation, now)
            case _:
                self._answered(now, observation.incomplete_reason)
                self._negative_ttl = 0.0
                return self._apply_incomplete(observation.peers, now)
        return Changes()

    def _judge_freshness(self, observation: Observation, now: float) -> None:
        was_configured = self.freshness.configured
        self.freshness = self.freshness.after(observation, now)
        if self.freshness.configured and not was_configured:
            self.caching = Caching()  # the earlier TTLs belong to another configuration

    def _observe_complete(self, answer: Answered, now: float) -> Changes:
        self._answered(now, None)
        self._negative_ttl = 0.0
        self.caching = self.caching.after(answer.ttl, now)
        if self._is_unchanged(answer.peers):
            return Changes()
        return self._apply_complete(answer.peers, now, 0.0)

    def _is_unchanged(self, peers: tuple[Peer, ...]) -> bool:
        """Whether this very tuple was applied last and left nothing unconfirmed.

        Sources return the same tuple again when nothing changed. For 5000 peers this takes
        8 microseconds a lookup, and applying an equal tuple 950.
        ``python -m tests.benchmarks.costs`` measures it.
        """
        return peers is self._unchanged

    def fail(self, error: DiscoveryError, now: float, *, since: float | None = None) -> None:
        """Apply a failed lookup: no peer joins or leaves.

        Args:
            error: The reason.
            now: The time at which the lookup ended.
            since: The time since which there has been no answer; None for ``now``.
        """
        if self.last_error is None:
            self._failing_since = now if since is None else since
        self.last_error = error
        self.failures += 1
        self.stable_since = now

    def _fail_stale(self, answer: Answered | Empty, now: float) -> None:
        attempt = answer.attempt
        name = "the service" if attempt is None else attempt.name.rstrip(".")
        attempts = () if attempt is None else (attempt,)
        age = self.freshness.age(now)
        self.fail(StaleAnswer(name, attempts, age), now, since=now - age)

    def tick(self, now: float) -> Changes:
        """Return the differences that are confirmed because enough time has passed.

        Only while lookups succeed, and only differences that the newest answer still shows.
        A departure always needs another answer.
        """
        changes = ChangeCollector()
        if self.last_error is not None:
            return Changes()
        for name, record in list(self._records.items()):
            if (
                record.state is State.SETTLING
                and record.seen_at == self.observed_at
                and self._has_settled(record, record.lookups, now)
            ):
                self._transition(name, Evidence.SETTLED, record.candidate, now, changes)
        return self._finish(changes, now)

    def _answered(self, now: float, reason: str | None) -> None:
        if self.last_error is not None:
            self._recover(now)
        if self.stable_since is None or self.last_error is not None:
            self.stable_since = now
        self.observed_at = now
        self.incomplete_reason = reason
        self.last_error = None
        self.failures = 0

    def _recover(self, now: float) -> None:
        """Time without answers does not count towards a departure or a difference."""
        gap = now - self._failing_since
        for name, unlisted in self._unlisted.items():
            self._unlisted[name] = unlisted._replace(since=unlisted.since + gap)
        for name, record in self._records.items():
            if record.state is not State.PRESENT:
                self._records[name] = record.postponed(gap)

    # Answers.

    def _apply_complete(self, listed: tuple[Peer, ...], now: float, least: float) -> Changes:
        """Apply a complete answer; a missing peer is held for ``least`` seconds or more."""
        self._unchanged = None
        self._unlisted = {}
        changes = ChangeCollector()
        by_name = self._apply_listed(listed, now, changes, complete=True)
        missing = [name for name in self._peers if name not in by_name]
        mass = len(missing) * 2 >= len(self._peers)
        hold = max(self.hold, least)
        for name in missing:
            self._apply_missing(name, now, hold, mass, changes)
        if not missing and not self.unconfirmed:
            self._unchanged = listed
        return self._finish(changes, now)

    def _apply_incomplete(self, listed: tuple[Peer, ...], now: float) -> Changes:
        """Apply an incomplete answer; a missing peer is no evidence of a departure."""
        self._unchanged = None
        changes = ChangeCollector()
        by_name = self._apply_listed(listed, now, changes, complete=False)
        before = self._unlisted
        self._unlisted = {}
        for name in self._peers:
            if name not in by_name:
                unlisted = before.get(name) or Unlisted(now)
                self._unlisted[name] = unlisted._replace(answers=unlisted.answers + 1)
        return self._finish(changes, now)

    def _apply_listed(
        self, listed: Iterable[Peer], now: float, changes: ChangeCollector, *, complete: bool
    ) -> dict[str, Peer]:
        """Apply the listed peers of an answer, and return them by their unique names."""
        by_name = {peer.unique_name: peer for peer in listed}
        for name, peer in by_name.items():
            known = self._peers.get(name)
            if known is None:
                self._join(name, peer, now, changes)
            elif known is not peer or self._is_unconfirmed(name):
                self._apply_known(name, peer, now, changes, complete=complete)
        return by_name

    def _is_unconfirmed(self, name: str) -> bool:
        record = self._records.get(name)
        return record is not None and record.state is not State.PRESENT

    def _apply_known(
        self, name: str, peer: Peer, now: float, changes: ChangeCollector, *, complete: bool
    ) -> None:
        record = self._record(name)
        before = record.peer
        partial = not complete and set(peer.addresses) <= set(before.addresses)
        if partial or not peer.addresses:
            # Addresses may be missing from an answer, which does not mean that they were removed.
            # The ordinal may depend on them: see `ordinal_of`.
            peer = replace(
                peer,
                addresses=before.addresses,
                ordinal=before.ordinal,
                statefulset=before.statefulset,
            )
        record = self._records[name] = record._replace(seen_at=now)
        evidence = self._evidence(record, peer, now, complete=complete)
        self._transition(name, evidence, peer, now, changes)

    def _evidence(self, record: PeerRecord, peer: Peer, now: float, *, complete: bool) -> Evidence:
        """What an answer says about a peer that it lists."""
        before = record.peer
        if endpoint(peer) == endpoint(before):
            return Evidence.SAME
        moved = peer.addresses != before.addresses
        old_and_new = moved and not set(peer.addresses).isdisjoint(before.addresses)
        if complete and not old_and_new and not record.had(peer):
            return Evidence.MOVED
        if (
            record.state is State.SETTLING
            and record.is_candidate(peer)
            and self._has_settled(record, record.lookups + 1, now)
        ):
            return Evidence.SETTLED
        return Evidence.UNSETTLED

    def _has_settled(self, record: PeerRecord, lookups: int, now: float) -> bool:
        """Whether a difference was seen in enough answers and for long enough."""
        return lookups >= self._to_settle(record, now) and now - record.since >= self.hold

    def _to_settle(self, record: PeerRecord, now: float) -> int:
        """The answers in which a difference must be seen."""
        least = self.rules.leave_lookups
        if record.had(record.candidate):
            returns = record.recent_returns(now, self.rules.interval)
            least = max(least, _REVERSAL_LOOKUPS) << returns
        return least

    def _apply_missing(
        self, name: str, now: float, hold: float, mass: bool, changes: ChangeCollector
    ) -> None:
        """Apply a complete answer without a peer that is known."""
        record = self._record(name)
        if record.state is not State.SUSPECTED:
            self._transition(name, Evidence.ABSENT, None, now, changes)
            expired = now - record.since > _SUSPICION_EXPIRY * self.rules.interval
            self._keep(
                name,
                self._record(name)._replace(
                    since=now, lookups=1, mass=mass, refuted=0 if expired else record.refuted
                ),
            )
            return
        record = record._replace(lookups=record.lookups + 1, mass=record.mass or mass)
        self._keep(name, record)
        left = self._has_left(record, hold, now)
        evidence = Evidence.ABSENT_FOR_LONG if left else Evidence.ABSENT
        self._transition(name, evidence, None, now, changes)

    def _has_left(self, record: PeerRecord, hold: float, now: float) -> bool:
        """Whether a suspected peer was missing from enough answers and for long enough."""
        lookups, hold = self._to_leave(record, hold, now)
        return record.lookups >= lookups and now - record.since >= hold

    def _to_leave(self, record: PeerRecord, hold: float, now: float) -> tuple[int, float]:
        """The answers and the seconds that a suspected peer must be missing."""
        lookups = self.rules.leave_lookups + (self.rules.mass_lookups if record.mass else 0)
        hold *= self._caution(record, now)
        if record.interrupted:
            hold = max(hold, 2 * self._empty_hold())
        return lookups, hold

    def _caution(self, record: PeerRecord, now: float) -> float:
        """The factor for the hold of a peer whose suspicions were wrong again and again.

        A replica of the DNS that lags behind permanently causes them: it lost the API, for
        instance. If there is a cache, the hold covers a disagreement of the replicas, unless the
        peer returned after its departure was reported.
        """
        if self.rules.leave_after is not None:
            return 1.0
        returns = record.recent_returns(now, self.rules.interval)
        if not self.caching.none_seen:
            return 2.0**returns
        return 2.0 ** max(returns, min(_MOST_CAUTION, record.refuted // _FREE_SUSPICIONS))

    # Transitions.

    def _record(self, name: str) -> PeerRecord:
        """The record of a peer that is not gone."""
        return self._records.get(name) or PeerRecord(self._peers[name])

    def _keep(self, name: str, record: PeerRecord) -> None:
        """Store the record of a peer, if it says more than that the peer is present."""
        self._peers[name] = record.peer
        if record.state is State.PRESENT:
            record = record._replace(seen_at=0.0)  # only used while settling
        if record == PeerRecord(record.peer):
            self._records.pop(name, None)
        else:
            self._records[name] = record

    def _join(self, name: str, peer: Peer, now: float, changes: ChangeCollector) -> None:
        """The only transition of a peer that is gone."""
        changes.joined.append(peer)
        self._peers[name] = peer
        departed = self._departed.pop(name, None)
        if departed is not None and endpoint(departed.peer) == endpoint(peer):
            # A replica of the DNS that lags behind permanently may list it again and again.
            self._keep(name, departed.rejoined(peer, now, self.rules.interval))

    def _transition(
        self, name: str, evidence: Evidence, peer: Peer | None, now: float, changes: ChangeCollector
    ) -> None:
        """Change the state of a known peer as `TRANSITIONS` says.

        Args:
            name: The peer's unique name.
            evidence: What the answer says about it.
            peer: The peer as the answer lists it; None if it is missing.
            now: The time.
            changes: Collects the change that is reported.
        """
        record = self._record(name)
        following, action = TRANSITIONS[record.state, evidence]
        if peer is None:
            if action is Action.LEFT:
                self._leave(name, record, now, changes)
                return
            record = record.suspected()
        elif action is Action.REPLACED:
            changes.replaced.append((record.peer, peer))
            record = record.replaced(peer, now, self.rules.interval)
        elif following is State.SETTLING:
            record = record.settling(peer, now)
        else:
            record = record.confirmed(peer, now, self.rules.interval)
        self._keep(name, record._replace(state=following))

    def _leave(self, name: str, record: PeerRecord, now: float, changes: ChangeCollector) -> None:
        """Remove a peer, and forget the departed ones that can no longer return."""
        changes.left.append(record.peer)
        del self._peers[name]
        self._records.pop(name, None)
        recent = MOST_RETURNS * RETURN_EXPIRY * self.rules.interval
        self._departed = {
            other: departed
            for other, departed in self._departed.items()
            if now - departed.seen_at <= recent
        }
        self._departed[name] = record._replace(seen_at=now)

    def _finish(self, collector: ChangeCollector, now: float) -> Changes:
        changes = collector.changes()
        if changes or self.unconfirmed:
            self.stable_since = now
        return changes
