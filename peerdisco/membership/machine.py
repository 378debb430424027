"""The membership machine: what looks saw, turned into what is true. Pure.

A look can be wrong in many ways: DNS is away, a cache is old, two replicas disagree, an answer is
cut. This machine keeps a state for each peer and tells a change only when no such thing can
explain it any more:

- a peer that is seen has joined, at once;
- a peer that is not seen has left when it was absent from several complete answers in a row, for
  longer than any cache can hold an answer that lacks it;
- a name with a new address was replaced, at once; with an address it had before, or with the old
  and the new one at a time, when that has settled;
- what was reported and then turned out to be undone, as a replica that lags for good makes it look,
  takes longer to be believed each time;
- a look that failed, or whose answer is served stale, says nothing about anybody.

What a peer can be, what a look can say of it, and what follows, is the table `TRANSITIONS`.
Everything takes ``now``, in seconds of a clock that only goes forward.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from ..exceptions import DiscoveryError, StaleAnswer
from ..model import Answered, Empty, Failed, Observation, Peer
from .caching import TTL_TOLERANCE, Caching
from .freshness import Freshness, Staleness
from .rules import ConfirmationRules
from .transitions import TRANSITIONS, Action, Evidence, State

__all__ = ["TRANSITIONS", "Action", "Changes", "Evidence", "Membership", "State"]


class _Known(NamedTuple):
    """A peer that was told, and what has been seen of it since.

    Attributes:
        peer: As it was told.
        state: Never `State.GONE`.
        since: When the doubt, or the difference, was first seen.
        looks: How many complete answers in a row lacked it; while it is settling, how many in a
            row listed it with the same difference.
        mass: Whether it was missed together with half of the peers or more.
        shaken: Whether looks failed while it was missed so; then it is doubted twice as long
            as emptiness is.
        refuted: How many doubts in a row, with less than a minute or so between them, were wrong.
        returns: How often of late it came back to what it was before: with an address that it had
            been replaced with another one for, or after its departure.
        returned_at: When it did so last.
        seen_at: When it was last seen.
        candidate: The difference that may settle; None in the other states.
        before: What it was before it was replaced, the newest last.
    """

    peer: Peer
    state: State = State.PRESENT
    since: float = 0.0
    lookups: int = 0
    mass: bool = False
    shaken: bool = False
    refuted: int = 0
    returns: int = 0
    returned_at: float = 0.0
    seen_at: float = 0.0
    candidate: Peer | None = None
    before: tuple[Peer, ...] = ()


class _Unlisted(NamedTuple):
    """A peer that incomplete answers do not list, which is no evidence that it has left.

    Attributes:
        since: When the first such answer in a row came.
        answers: How many there were in a row.
    """

    since: float
    answers: int = 0


_FREE_DOUBTS = 4
"""So many doubts in a row may be wrong before the next ones take longer to be believed."""

_MOST_CAUTION = 3
"""They take up to two to the power of this times as long."""

_QUIET = 30
"""After so many intervals without a doubt, the wrong ones are forgotten."""

_MOST_RETURNS = 6
"""A difference that was undone takes twice as long each time, up to two to the power of this."""

_RETURNS_QUIET = 300
"""After so many intervals one time that it was undone is forgotten."""

_REVERSAL_LOOKS = 5
"""In so many answers in a row an address is listed that a peer had before, until it has it again.

As many as a departure takes without a cache, where a look comes each half interval."""

_MOST_PLACES = 8
"""So many former addresses of a peer are remembered."""


def _had(known: _Known, peer: Peer) -> bool:
    """Whether a peer had this address before the one that was told."""
    return any(_place(old) == _place(peer) for old in known.before)


def _place(peer: Peer) -> tuple[object, ...]:
    """Where a peer is reached: what makes it replaced when it changes."""
    return peer.addresses, peer.ports


@dataclass(frozen=True, slots=True)
class Changes:
    """What one step of the machine told."""

    joined: tuple[Peer, ...] = ()
    left: tuple[Peer, ...] = ()
    replaced: tuple[tuple[Peer, Peer], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.joined or self.left or self.replaced)


class Membership:
    """The machine.

    Attributes:
        rules: How much it takes until something is believed.
        caching: What is known about caches on the way.
        freshness: What the TTLs say about the newest answer.
        observed_at: When the newest answer came; None before the first.
        incomplete_reason: Why the newest answer may lack pods; None if it was whole.
        last_error: Why the newest look failed; None if it did not.
        failures: How many looks in a row failed.
        stable_since: When something last changed, was doubted, or failed.
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
        self._doubts: dict[str, _Known] = {}
        """What has been seen of those peers of whom there is more to say than that they are there;
        of thousands it is a few."""
        self._unlisted: dict[str, _Unlisted] = {}
        """The peers that the incomplete answers since the last complete one do not list."""
        self._quiet: tuple[Peer, ...] | None = None
        """The peers of an answer that, if it comes again, says nothing new about anybody."""
        self._departed: dict[str, _Known] = {}
        """The peers that left of late, to know them again."""
        self._failing_since = 0.0
        self._negative_ttl = 0.0

    @property
    def peers(self) -> tuple[Peer, ...]:
        """The peers as they were told."""
        return tuple(self._peers.values())

    def state(self, name: str) -> State:
        """What a peer is now."""
        return self._known(name).state if name in self._peers else State.GONE

    def _known(self, name: str) -> _Known:
        """What is known of a peer that is not gone."""
        return self._doubts.get(name) or _Known(self._peers[name])

    def _keep(self, name: str, known: _Known) -> None:
        """Know this of a peer from now on."""
        self._peers[name] = known.peer
        if known.state is State.PRESENT:
            known = known._replace(seen_at=0.0)  # of no use but while something may settle
        if known == _Known(known.peer):
            self._doubts.pop(name, None)
        else:
            self._doubts[name] = known

    @property
    def recheck(self) -> bool:
        """Whether the newest answer has TTL 0, and the next one decides what that means."""
        return self.freshness.recheck

    @property
    def may_be_stale(self) -> bool:
        """Whether every answer so far came with TTL 0, which may mean that it is served stale."""
        return self.freshness.evidence is Staleness.UNVERIFIED

    @property
    def unconfirmed(self) -> bool:
        """Whether something was seen that is not told yet."""
        if self._quiet is not None:
            return False
        return any(known.state is not State.PRESENT for known in self._doubts.values())

    @property
    def suspected(self) -> frozenset[str]:
        """The names of the peers for which the newest answers do not say what is believed.

        A complete answer does not list the peer, or lists it with another address, which is not
        confirmed yet; or incomplete answers do not list it, in as many answers and for as long as
        would make it a departure if they were complete.
        """
        if self._quiet is not None or self.observed_at is None:
            return frozenset()
        names = [name for name, known in self._doubts.items() if known.state is not State.PRESENT]
        names += [
            name
            for name, unlisted in self._unlisted.items()
            if unlisted.answers >= self.rules.leave_lookups
            and self.observed_at - unlisted.since >= self.hold
        ]
        return frozenset(names)

    def observe(self, observation: Observation, now: float) -> Changes:
        """Take in a look; what it told, now that it is believed."""
        was_configured = self.freshness.configured
        self.freshness = self.freshness.after(observation, now)
        if self.freshness.configured and not was_configured:
            self.caching = Caching()  # the TTLs before were those of another configuration
        if not isinstance(observation, Failed):
            if self.freshness.evidence is Staleness.UNCLEAR:
                return Changes()
            if self.freshness.evidence is Staleness.STALE:
                self._fail_stale(observation, now)
                return Changes()
        match observation:
            case Failed(error=error):
                self.fail(error, now)
                return Changes()
            case Empty(ttl=ttl):
                self._answered(now, None)
                self._negative_ttl = max(self._negative_ttl, ttl or 0.0)
                return self._settle((), now, absence_counts=True, least=self._empty_hold())
            case Answered(peers=peers, ttl=ttl, incomplete_reason=reason):
                self._answered(now, reason)
                self._negative_ttl = 0.0
                if reason is None:
                    self.caching = self.caching.saw(ttl, now)
                    if peers is self._quiet:
                        return Changes()
                return self._settle(peers, now, absence_counts=reason is None, least=0.0)

    def _fail_stale(self, answer: Answered | Empty, now: float) -> None:
        attempt = answer.attempt
        name = "the service" if attempt is None else attempt.name.rstrip(".")
        attempts = () if attempt is None else (attempt,)
        age = self.freshness.age(now)
        self.fail(StaleAnswer(name, attempts, age), now, since=now - age)

    def fail(self, error: DiscoveryError, now: float, *, since: float | None = None) -> None:
        """Take in a look that was not answered: nobody joins, nobody leaves.

        Args:
            error: Why.
            now: When.
            since: Since when there has been no answer; None for now.
        """
        if self.last_error is None:
            self._failing_since = now if since is None else since
        self.last_error = error
        self.failures += 1
        self.stable_since = now

    def tick(self, now: float) -> Changes:
        """Let time pass: a difference that stands for long enough is told.

        Only while DNS answers: then the newest answer has it too, or it would not stand.
        Absences wait for one more answer.
        """
        told = _ChangeCollector()
        if self.last_error is not None or self._quiet is not None:
            return Changes()
        for name, known in list(self._doubts.items()):
            if (
                known.state is State.SETTLING
                and known.seen_at == self.observed_at
                and self._stands(known, known.lookups, now)
            ):
                self._step(name, Evidence.SETTLED, known.candidate, now, told)
        return self._finish(told, now)

    @property
    def hold(self) -> float:
        """For how many seconds an absence, or an old address, is doubted."""
        if self.rules.leave_after is not None:
            return self.rules.leave_after
        return self.caching.hold(self.rules)

    def _empty_hold(self) -> float:
        """For how many seconds an answer without any peer is doubted."""
        if self.rules.leave_after is not None:
            return self.rules.leave_after
        return max(self.rules.empty_after, 2 * self.hold, self._negative_ttl + TTL_TOLERANCE)

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
        """The time without answers is no time in which anybody was seen to be absent."""
        gap = now - self._failing_since
        for name, unlisted in self._unlisted.items():
            self._unlisted[name] = unlisted._replace(since=unlisted.since + gap)
        for name, known in self._doubts.items():
            if known.state is not State.PRESENT:
                # A DNS that fails, and misses most of the pods when it answers, may be restarting.
                shaken = known.state is State.SUSPECTED and known.mass
                self._doubts[name] = known._replace(since=known.since + gap, shaken=shaken)

    def _settle(
        self, seen: Iterable[Peer], now: float, *, absence_counts: bool, least: float
    ) -> Changes:
        self._quiet = None
        told = _ChangeCollector()
        by_name = {peer.unique_name: peer for peer in seen}
        peers, doubts = self._peers, self._doubts
        for name, peer in by_name.items():
            known = peers.get(name)
            if known is None:
                self._join(name, peer, now, told)
            elif known is not peer or (name in doubts and doubts[name].state is not State.PRESENT):
                # Else it is the same object as in the look before: nothing changed.
                self._see(name, peer, now, whole=absence_counts, told=told)
        if not absence_counts:
            self._unlisted = {
                name: self._unlist(name, now) for name in peers if name not in by_name
            }
        else:
            self._unlisted = {}
            absent = [name for name in peers if name not in by_name]
            mass = len(absent) * 2 >= len(peers)
            for name in absent:
                self._miss(name, now, max(self.hold, least), mass, told)
            if not absent and isinstance(seen, tuple) and not self.unconfirmed:
                self._quiet = seen
        return self._finish(told, now)

    def _unlist(self, name: str, now: float) -> _Unlisted:
        """An incomplete answer does not list a peer."""
        before = self._unlisted.get(name) or _Unlisted(now)
        return before._replace(answers=before.answers + 1)

    def _see(
        self, name: str, peer: Peer, now: float, *, whole: bool, told: _ChangeCollector
    ) -> None:
        """An answer lists a peer that is known."""
        known = self._known(name)
        if not peer.addresses or (not whole and set(peer.addresses) <= set(known.peer.addresses)):
            # Addresses that were not told, or cut off, are none that went away.
            # So is an ordinal that only the addresses tell from a part of an address.
            before = known.peer
            peer = replace(
                peer,
                addresses=before.addresses,
                ordinal=before.ordinal,
                statefulset=before.statefulset,
            )
        known = self._doubts[name] = known._replace(seen_at=now)
        self._step(name, self._said_of(known, peer, now, whole=whole), peer, now, told)

    def _said_of(self, known: _Known, peer: Peer, now: float, *, whole: bool) -> Evidence:
        """What an answer that lists a peer says of it."""
        told = known.peer
        if _place(peer) == _place(told):
            return Evidence.SAME
        old_news = _had(known, peer)
        both = peer.addresses != told.addresses and set(peer.addresses) & set(told.addresses)
        if whole and not old_news and not both:
            return Evidence.MOVED
        return self._unsettled(known, peer, now)

    def _unsettled(self, known: _Known, peer: Peer, now: float) -> Evidence:
        same = known.candidate is not None and _place(known.candidate) == _place(peer)
        if known.state is State.SETTLING and same and self._stands(known, known.lookups + 1, now):
            return Evidence.SETTLED
        return Evidence.UNSETTLED

    def _stands(self, known: _Known, lookups: int, now: float) -> bool:
        """Whether a difference has been seen often and long enough."""
        assert known.candidate is not None
        least = self.rules.leave_lookups
        if _had(known, known.candidate):
            least = max(least, _REVERSAL_LOOKS) << self._returns(known, now)
        return lookups >= least and now - known.since >= self.hold

    def _returns(self, known: _Known, now: float) -> int:
        """How often a peer came back to what it was, as far as it counts."""
        forgotten = (now - known.returned_at) // (_RETURNS_QUIET * self.rules.interval)
        return max(0, min(_MOST_RETURNS, known.returns) - int(forgotten))

    def _miss(self, name: str, now: float, hold: float, mass: bool, told: _ChangeCollector) -> None:
        """A complete answer does not list a peer."""
        known = self._known(name)
        if known.state is not State.SUSPECTED:
            self._step(name, Evidence.ABSENT, None, now, told)
            quiet = now - known.since > _QUIET * self.rules.interval
            refuted = 0 if quiet else known.refuted
            doubted = self._known(name)
            self._keep(name, doubted._replace(since=now, lookups=1, mass=mass, refuted=refuted))
            return
        known = known._replace(lookups=known.lookups + 1, mass=known.mass or mass)
        self._keep(name, known)
        lookups = self.rules.leave_lookups + (self.rules.mass_lookups if known.mass else 0)
        hold *= self._caution(known, now)
        if known.shaken:
            hold = max(hold, 2 * self._empty_hold())
        long = known.lookups >= lookups and now - known.since >= hold
        self._step(name, Evidence.ABSENT_FOR_LONG if long else Evidence.ABSENT, None, now, told)

    def _caution(self, known: _Known, now: float) -> float:
        """How much longer than usual to doubt a peer that was doubted in vain again and again.

        That is a replica that lags behind for good: it lost the API, say. Where there is a cache,
        the hold covers what replicas can disagree about, unless the peer came back after it.
        """
        if self.rules.leave_after is not None:
            return 1.0
        returns = self._returns(known, now)
        if not self.caching.none_seen:
            return 2.0**returns
        return 2.0 ** max(returns, min(_MOST_CAUTION, known.refuted // _FREE_DOUBTS))

    def _join(self, name: str, peer: Peer, now: float, told: _ChangeCollector) -> None:
        """The one transition of a peer that is not known: from gone, by having moved in."""
        told.joined.append(peer)
        self._peers[name] = peer
        departed = self._departed.pop(name, None)
        if departed is not None and _place(departed.peer) == _place(peer):
            # As it was before its departure: a replica that lags for good may list it for ever.
            self._keep(name, self._returned(departed, now)._replace(peer=peer))

    def _returned(self, known: _Known, now: float) -> _Known:
        """A peer that came back once more to what it was, and present again."""
        returns = self._returns(known, now) + 1
        return _Known(known.peer, before=known.before, returns=returns, returned_at=now)

    def _step(
        self, name: str, said: Evidence, peer: Peer | None, now: float, told: _ChangeCollector
    ) -> None:
        """One transition of a peer that is known."""
        known = self._known(name)
        state = known.state
        following, action = TRANSITIONS[state, said]
        if action is Action.LEFT:
            told.left.append(known.peer)
            del self._peers[name]
            self._doubts.pop(name, None)
            self._remember(name, known, now)
            return
        if action is Action.REPLACED:
            assert peer is not None
            told.replaced.append((known.peer, peer))
            if _had(known, peer):
                known = self._returned(known, now)
            others = [old for old in known.before if _place(old) != _place(peer)]
            before = (*others, known.peer)[-_MOST_PLACES:]
            self._keep(
                name,
                _Known(peer, before=before, returns=known.returns, returned_at=known.returned_at),
            )
            return
        if following is State.SETTLING:
            assert peer is not None
            if known.candidate is None or _place(known.candidate) != _place(peer):
                known = known._replace(since=now, candidate=peer, lookups=0)
            known = known._replace(lookups=known.lookups + 1)
        else:
            undone = following is State.PRESENT
            if undone and known.candidate is not None and _had(known, known.candidate):
                returns = self._returns(known, now) + 1
                known = known._replace(returns=returns, returned_at=now)
            known = known._replace(candidate=None)
        if following is State.PRESENT:
            if peer is not None and _place(peer) == _place(known.peer):
                known = known._replace(peer=peer)  # its readiness may have changed
            if state is State.SUSPECTED:
                known = known._replace(refuted=known.refuted + 1)
            known = known._replace(lookups=0, mass=False, shaken=False)
        self._keep(name, known._replace(state=following))

    def _remember(self, name: str, known: _Known, now: float) -> None:
        """Keep what is known of a peer that leaves, and forget those that left long ago."""
        recent = _MOST_RETURNS * _RETURNS_QUIET * self.rules.interval
        self._departed = {
            other: departed
            for other, departed in self._departed.items()
            if now - departed.seen_at <= recent
        }
        self._departed[name] = known._replace(seen_at=now)

    def _finish(self, telling: _ChangeCollector, now: float) -> Changes:
        told = Changes(tuple(telling.joined), tuple(telling.left), tuple(telling.replaced))
        if told or self.unconfirmed:
            self.stable_since = now
        return told


class _ChangeCollector:
    """What a step tells, while it is under way."""

    def __init__(self) -> None:
        self.joined: list[Peer] = []
        self.left: list[Peer] = []
        self.replaced: list[tuple[Peer, Peer]] = []
