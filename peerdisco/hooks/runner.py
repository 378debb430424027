"""When hooks run: one at a time, and always with the newest membership."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from ..exceptions import ConfigurationError, IdentityError
from ..model import Change
from ..names import parse_seconds
from ..observability.events import Observer
from ..observability.reporting import Reporter
from ..timing.backoff import Backoff
from ..timing.chance import random_fraction
from ..wording.members import none_selected, peers_in_words
from .command import CommandHook, Event, HookFailed
from .contract import Hook, Watched
from .pending import PendingChanges

__all__ = ["HookRunner"]

ATTEMPTS = 5
BACKOFF = 1.0
MAX_BACKOFF = 30.0
REMIND_EVERY = 30.0
"""Seconds between two reports that a hook is waiting."""

_log = logging.getLogger("peerdisco.hooks")


class _Changed(Exception):
    """The membership changed during the pause before the next attempt."""


class _Closed(Exception):
    """No more changes come: the watcher was closed, or failed with ``__cause__``."""


class HookRunner:
    """Runs hooks when the membership changes, one at a time, with the newest membership.

    - `on_start` runs once, for the first membership that lists this pod. After that, `on_change`
      runs whenever peers join, leave or are replaced. Without `on_start`, `on_change` also runs for
      the first membership that has peers.
    - Changes that happen while a hook runs lead to one run afterwards. Its change contains all
      differences since the last run that succeeded, so a failed run loses nothing.
    - A hook that fails is retried with exponential backoff and jitter, up to ``attempts`` times. If
      the membership changes meanwhile, it runs again at once, with the newest membership. After the
      last attempt it waits for the next change. A failure ends `run` only with `end_on_failure`.
    - An outage is not a change, and runs hooks only with `on_health`. No hook runs before the first
      answer. A hook that got an incomplete list runs again when the list is complete.
    - `peerdisco.Discovery.leaving` hides this pod's own departure from its hooks.

    For several independent hooks, create one runner for each.

    Args:
        discovery: A running watcher.
        on_start: The hook that runs once; None for no such hook.
        on_change: The hook that runs at each change; None to end when `on_start` has succeeded.
        on_health: Whether `on_change` also runs when lookups begin to fail and when they succeed
            again.
        listed_only: Whether `on_change` also waits until this pod is listed, as the peer-finder of
            the Kubernetes project does.
        attempts: The number of runs for one change, until the hook waits for the next change.
        end_on_failure: Whether `run` raises the error of the hook after the last attempt, as the
            peer-finder of the Kubernetes project ends.
        backoff: The longest pause after the first failure, in seconds. It doubles with each
            failure. Each pause is shortened at random by up to a half, so that pods do not act at
            the same time.
        max_backoff: The longest pause, in seconds.
        report: Called with one line for each event that an operator should know: failures,
            outages, and what a hook waits for, at once and every 30 seconds. None logs these lines
            as warnings to ``peerdisco.hooks``.
        report_runs: Whether each run is reported too.
        observers: Get an event for each run, for metrics and traces; see `peerdisco.Observer`.
            None for the observers of the watcher.
        sleep: Waits for a number of seconds; for tests.
        chance: Returns numbers from 0 up to 1, for the jitter; for tests.

    Raises:
        ConfigurationError: There is no hook, or a number is invalid.
    """

    def __init__(
        self,
        discovery: Watched,
        *,
        on_start: Hook | None = None,
        on_change: Hook | None = None,
        on_health: bool = False,
        listed_only: bool = False,
        attempts: int = ATTEMPTS,
        end_on_failure: bool = False,
        backoff: float = BACKOFF,
        max_backoff: float = MAX_BACKOFF,
        report: Callable[[str], object] | None = None,
        report_runs: bool = False,
        observers: Sequence[Observer] | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        chance: Callable[[], float] = random_fraction,
    ) -> None:
        if on_start is None and on_change is None:
            raise ConfigurationError("on_change", None, "a hook, here or as on_start")
        if attempts < 1:
            raise ConfigurationError("attempts", attempts, "1 or more")
        self._discovery = discovery
        self._on_start = on_start
        self._on_change = on_change
        self._listed_only = listed_only
        self._attempts = attempts
        self._end_on_failure = end_on_failure
        self._backoff = parse_seconds(backoff, "backoff")
        self._max_backoff = parse_seconds(max_backoff, "max_backoff")
        self._report = report or _log.warning
        self._report_runs = report_runs
        if observers is None:
            observers = getattr(discovery, "observers", ())
        self._reporter = Reporter(discovery.snapshot.service, observers)
        self._sleep = sleep
        self._chance = chance
        self._watch: AsyncIterator[Change] | None = None
        self._pending = PendingChanges(on_health=on_health)

    async def run(self) -> None:
        """Run the hooks until cancelled, or until the watcher is closed. Call it once.

        When cancelled, it ends the running hook; see `CommandHook`.

        Raises:
            IdentityError: A hook has to wait for this pod, and the pod's identity is not known.
            ConfigurationError: A hook has to wait for this pod, and the service is in another
                namespace, so that it never lists this pod.
            Exception: The error of the last attempt of `on_start`, without `on_change`; with
                `end_on_failure`, of either hook.
            WatcherError: The watcher is not running, or has failed.
        """
        if self._watch is not None:
            raise RuntimeError("a HookRunner can run only once: create another one")
        if self._needs_local and self._identity is None:
            raise IdentityError(
                "pod name",
                ("POD_NAME", "the host name"),
                "an on-start hook waits until this pod is listed: set POD_NAME from the downward "
                "API (fieldRef: metadata.name), or use only an on-change hook",
            )
        self._refuse_another_namespace()
        self._watch = self._discovery.watch()
        try:
            while True:
                await self._wait_for_work()
                succeeded = await self._run_with_retries()
                if succeeded and self._on_change is None:
                    return
        except _Closed as closed:
            error = closed.__cause__
        if error is not None:
            raise error  # outside of the except clause, which would replace its context

    # Which hook, and whether it can run.

    @property
    def _needs_local(self) -> bool:
        """Whether the current hook waits until this pod is listed."""
        return self._listed_only or self._starts

    def _refuse_another_namespace(self) -> None:
        snapshot = self._discovery.snapshot
        labels = snapshot.service.split(".")
        me = snapshot.identity
        if not self._needs_local or me is None or labels[2:3] != ["svc"]:
            return
        if labels[1] != me.namespace:
            raise ConfigurationError(
                f"the namespace of {snapshot.service}",
                labels[1],
                f"{me.namespace!r}, the namespace of this pod {me.pod_name} (POD_NAMESPACE, else "
                f"/etc/resolv.conf): a service of another namespace never lists it, and the "
                f"{self._current[1]} hook would wait forever",
            )

    @property
    def _identity(self) -> str | None:
        identity = self._discovery.snapshot.identity
        return None if identity is None else identity.pod_name

    @property
    def _current(self) -> tuple[Hook, str]:
        """The current hook, and its name."""
        if self._on_start is not None and self._starts:
            return self._on_start, "on-start"
        assert self._on_change is not None
        return self._on_change, "on-change"

    @property
    def _starts(self) -> bool:
        """Whether `on_start` still has to run."""
        return self._on_start is not None and self._pending.handled is None

    @property
    def waits_for(self) -> str | None:
        """The reason why a pending hook cannot run yet, in one line; None if there is none."""
        obstacle = self._obstacle()
        return None if obstacle is None else f"the {self._current[1]} hook waits: {obstacle}"

    def _obstacle(self) -> str | None:
        newest = self._pending.newest
        if newest is None:
            return None
        if newest.observed_at is None:
            return f"no lookup has succeeded yet: {_one_line(newest.last_error)}"
        if self._needs_local and newest.local is None:
            why = f"{newest.service} lists {peers_in_words(newest)} and not {self._identity}"
        elif self._pending.handled is None and not newest.peers:
            why = f"{newest.service} has {none_selected(newest) if newest.left_out else 'no peers'}"
        else:
            return None
        return (
            f"{why}: DNS lists a pod when it is ready, or earlier with "
            "publishNotReadyAddresses: true in the headless service"
        )

    # Waiting.

    async def _wait_for_work(self) -> None:
        reminder: asyncio.Future[object] | None = None
        try:
            while (obstacle := self.waits_for) is not None or not self._pending.is_due:
                if obstacle is None:
                    if reminder is not None:
                        reminder.cancel()
                    reminder = None
                elif reminder is None or reminder.done():
                    self._report(obstacle)
                    reminder = asyncio.ensure_future(self._sleep(REMIND_EVERY))
                await self._read(reminder)
        finally:
            if reminder is not None:
                reminder.cancel()

    async def _read(self, pause: asyncio.Future[object] | None) -> bool:
        """Read the next change, unless the pause ends before.

        Returns:
            Whether the change is a reason to run a hook.

        Raises:
            _Closed: No more changes come.
        """
        assert self._watch is not None
        reading = asyncio.ensure_future(_next(self._watch))
        both: set[asyncio.Future[Any]] = {reading} if pause is None else {reading, pause}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                return False
            change = reading.result()
            self._report_health(change)
            return self._pending.add(change)
        finally:
            reading.cancel()

    def _report_health(self, change: Change) -> None:
        """Report when lookups begin to fail or to be incomplete, and when that ends.

        Without a function for the reports, the log of the watcher has these lines already.
        """
        if self._report == _log.warning:
            return
        snapshot, previous = change.snapshot, self._pending.newest
        if snapshot.observed_at is None:
            return
        if change.degraded:
            error = _one_line(snapshot.last_error)
            self._report(f"DNS lookups fail, keeping the last known peers: {error}")
        elif change.recovered and previous is not None and previous.observed_at:
            self._report("DNS lookups succeed again")
        if change.incomplete:
            reason = _one_line(snapshot.incomplete_reason)
            self._report(f"the list is incomplete, so departures cannot be confirmed: {reason}")
        elif change.completed:
            self._report("the list is complete again")
        suspected_before = previous is not None and previous.unconfirmed
        if not snapshot.complete and snapshot.unconfirmed and not suspected_before:
            names = ", ".join(peer.name for peer in snapshot.unconfirmed)
            self._report(f"not listed lately, but kept as peers: {names}")

    async def _pause(self, seconds: float) -> None:
        """Wait before the next attempt.

        Raises:
            _Changed: The membership changed meanwhile.
        """
        pause = asyncio.ensure_future(self._sleep(seconds))
        try:
            while not pause.done():
                if await self._read(pause):
                    raise _Changed
        finally:
            pause.cancel()

    # Running.

    async def _run_with_retries(self) -> bool:
        """Run the current hook until it succeeds, has no attempts left, or the list changes.

        Returns:
            Whether it succeeded.
        """
        from tenacity import (  # noqa: PLC0415 - only where a hook is run
            AsyncRetrying,
            RetryCallState,
            retry_if_exception_type,
            stop_after_attempt,
        )

        name, attempt = self._current[1], itertools.count(1)

        async def run_once() -> None:
            await self._run_hook(next(attempt))

        def pause(state: RetryCallState) -> float:
            longest = Backoff(self._backoff, self._max_backoff).after(state.attempt_number)
            return longest * (1 - self._chance() / 2)

        def report(state: RetryCallState) -> None:
            assert state.outcome is not None
            assert state.next_action is not None
            self._report(
                f"the {name} hook failed ({state.attempt_number} of {self._attempts}): "
                f"{_error_in_words(state.outcome.exception())}; "
                f"retrying in {state.next_action.sleep:.1f} s"
            )

        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._attempts),
            wait=pause,
            # Any error of a user's function, but not what ends the process or the task.
            retry=retry_if_exception_type(Exception),
            sleep=self._pause,
            before_sleep=report,
            reraise=True,
        )
        try:
            await retrying(run_once)
        except _Closed:
            raise
        except _Changed:
            return False
        except Exception as error:
            if self._on_change is None or self._end_on_failure:
                raise
            self._report(
                f"the {name} hook failed ({self._attempts} of {self._attempts}): "
                f"{_error_in_words(error)}; waiting for the next change"
            )
            return False
        return True

    async def _run_hook(self, attempt: int) -> None:
        hook, name = self._current
        event: Event = "start" if self._pending.handled is None else "change"
        change = self._pending.begin(self._discovery.snapshot)
        if self._report_runs:
            self._report(f"the {name} hook runs: {len(change.snapshot)} peers")
        with self._reporter.hook_run(name, attempt):
            if isinstance(hook, CommandHook):
                await hook(change, event)
            else:
                result = hook(change)
                if inspect.isawaitable(result):
                    await result
        self._pending.succeed(change)


async def _next(watch: AsyncIterator[Change]) -> Change:
    try:
        return await anext(watch)
    except StopAsyncIteration:
        raise _Closed from None
    except Exception as error:
        raise _Closed from error


def _error_in_words(error: BaseException | None) -> str:
    if isinstance(error, HookFailed):
        return _one_line(error)
    return _one_line(f"{type(error).__name__}: {error}")


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
