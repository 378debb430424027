"""Reports events: to the log under ``peerdisco``, and to the observers of the user."""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ..model import Change, Observation, Peer, Snapshot
from ..wording.foreign import one_line
from ..wording.lists import listed
from .events import HookEnded, LookupEnded, Observer

__all__ = ["Reporter"]

_log = logging.getLogger("peerdisco.discovery")
_hook_log = logging.getLogger("peerdisco.hooks")


class Reporter:
    """Reports the events of one watcher or hook runner.

    Args:
        service: The service's fully qualified name.
        observers: The observers of the user.
    """

    def __init__(self, service: str, observers: Sequence[Observer] = ()) -> None:
        self._service = service
        self.observers = tuple(observers)
        self._broken: set[Observer] = set()
        """The observers whose error was logged."""
        self._logged: _Logged | None = None
        """Shared with the other open watchers of the service; None before the first report."""

    def lookup_ended(
        self, before: Snapshot, after: Snapshot, observation: Observation, seconds: float
    ) -> None:
        """Report a lookup. Without observers, one that changes nothing costs a few comparisons."""
        turned = (
            after.peers is not before.peers
            or after.stale is not before.stale
            or after.complete is not before.complete
        )
        if not turned and not self.observers and not _log.isEnabledFor(logging.DEBUG):
            return
        event = LookupEnded(self._service, observation, seconds, Change.between(before, after))
        if self._logged is None:
            self._logged = _logged.setdefault(self._service, _Logged())
        self._logged.log(self, event)
        self._notify(lambda observer: observer.lookup_ended(event))

    @contextmanager
    def hook_run(self, hook: str, attempt: int) -> Iterator[None]:
        """Report the run of a hook that this block is.

        Args:
            hook: ``on-start`` or ``on-change``.
            attempt: The number of this run for the same change.
        """
        begun, error, cancelled = time.monotonic(), None, False
        try:
            yield
        except Exception as failure:
            error = failure
            raise
        except BaseException:
            cancelled = True
            raise
        finally:
            seconds = time.monotonic() - begun
            event = HookEnded(self._service, hook, seconds, attempt, error, cancelled)
            _write_hook(event)
            self._notify(lambda observer: observer.hook_ended(event))

    def closed(self) -> None:
        """Report that the watcher was closed."""
        if self._logged is not None:
            self._logged.failing.discard(self)
            self._logged.incomplete.discard(self)
            self._logged = None  # what it logged ends with the last open watcher
        self._notify(lambda observer: observer.closed(self._service))

    def _notify(self, notify: Callable[[Observer], None]) -> None:
        for observer in self.observers:
            try:
                notify(observer)
            except Exception:  # noqa: BLE001 - an observer's bug must not end the lookups
                if observer not in self._broken:
                    self._broken.add(observer)
                    _log.exception("%s: an observer failed: %r", self._service, observer)


class _Logged:
    """What the log says about a service, so that several watchers of it log each event once."""

    def __init__(self) -> None:
        self._peers: dict[str, Peer] = {}
        self.failing: weakref.WeakSet[Reporter] = weakref.WeakSet()
        """The watchers whose lookups fail; the first and the last one are logged."""
        self.incomplete: weakref.WeakSet[Reporter] = weakref.WeakSet()
        """The watchers whose answers are incomplete."""

    def log(self, reporter: Reporter, event: LookupEnded) -> None:
        """Log a lookup, and what it changed."""
        if _log.isEnabledFor(logging.DEBUG):
            self._log_lookup(event)
        change = event.change
        if not change:
            return
        if change.recovered and _is_last(self.failing, reporter):
            _write(logging.INFO, event, "lookups succeed again", event="recovered")
        self._log_members(event)
        if change.degraded and _is_first(self.failing, reporter):
            error = one_line(str(event.error))
            words = f"lookups fail, keeping the last known peers: {error}"
            facts = {"error": error, "error_type": type(event.error).__name__}
            _write(logging.WARNING, event, words, event="degraded", **facts)
        self._log_completeness(reporter, event)

    def _log_lookup(self, event: LookupEnded) -> None:
        if event.error is None:
            found = f"{len(event.snapshot)} peers"
        else:
            found = one_line(str(event.error))
        by = f" from {event.server}" if event.server else ""
        words = f"{event.outcome}{by} after {event.seconds * 1000:.1f} ms: {found}"
        _write(logging.DEBUG, event, words, event="lookup")

    def _log_members(self, event: LookupEnded) -> None:
        """Log joins, departures and replacements that no other watcher has logged."""
        change, known = event.change, self._peers
        joined = [peer for peer in change.joined if peer.unique_name not in known]
        moved = [(old, new) for old, new in change.replaced if _differs(known, new)]
        left = [peer for peer in change.left if peer.unique_name in known]
        if not (joined or moved or left):
            return
        for peer in left:
            del known[peer.unique_name]
        for peer in (*joined, *(new for _, new in moved)):
            known[peer.unique_name] = peer
        name_of = event.snapshot.name_of
        lists = {
            "joined": [*map(name_of, joined)],
            "left": [*map(name_of, left)],
            "replaced": [name_of(new) for _, new in moved],
        }
        words = "; ".join(f"{what}: {listed(names)}" for what, names in lists.items() if names)
        count = len(event.snapshot)
        peers = f"now {count} peer{'' if count == 1 else 's'}"
        _write(logging.INFO, event, f"{words}; {peers}", event="changed", **lists)

    def _log_completeness(self, reporter: Reporter, event: LookupEnded) -> None:
        change = event.change
        if change.incomplete and _is_first(self.incomplete, reporter):
            reason = one_line(event.snapshot.incomplete_reason or "")
            words = f"the list may be incomplete, so departures cannot be confirmed: {reason}"
            _write(logging.WARNING, event, words, event="incomplete", reason=reason)
        elif change.completed and _is_last(self.incomplete, reporter):
            _write(logging.INFO, event, "the list is complete again", event="completed")


_logged: weakref.WeakValueDictionary[str, _Logged] = weakref.WeakValueDictionary()
"""By service, for as long as one of its watchers exists."""


def _is_first(watchers: weakref.WeakSet[Reporter], watcher: Reporter) -> bool:
    watchers.add(watcher)
    return len(watchers) == 1


def _is_last(watchers: weakref.WeakSet[Reporter], watcher: Reporter) -> bool:
    was_there = watcher in watchers
    watchers.discard(watcher)
    return was_there and not watchers


def _differs(known: dict[str, Peer], peer: Peer) -> bool:
    old = known.get(peer.unique_name)
    return old is None or (old.addresses, old.ports) != (peer.addresses, peer.ports)


def _write(level: int, lookup: LookupEnded, words: str, **facts: object) -> None:
    """Log a line, with its facts as attributes of the record."""
    shared = {
        "service": lookup.service,
        "outcome": lookup.outcome,
        "server": lookup.server,
        "seconds": lookup.seconds,
        "peers": len(lookup.snapshot),
    }
    _log.log(level, "%s: %s", lookup.service, words, extra={**shared, **facts})


def _write_hook(run: HookEnded) -> None:
    """Log a run at DEBUG; the runner reports failures itself."""
    facts = {
        "service": run.service,
        "event": "hook",
        "hook": run.hook,
        "outcome": run.outcome,
        "seconds": run.seconds,
        "attempt": run.attempt,
    }
    words = f"the {run.hook} hook ended after {run.seconds:.3f} s: {run.outcome}"
    _hook_log.debug("%s: %s", run.service, words, extra=facts)
