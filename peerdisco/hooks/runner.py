"""When hooks are run: one at a time, the newest state winning."""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

from ..exceptions import ConfigurationError, IdentityError
from ..model import Change, Peer, Snapshot
from ..names import parse_seconds
from ..timing.backoff import Backoff
from ..wording.members import nobody_chosen, peers_in_words
from .command import CommandHook, HookFailed
from .contract import Hook, Watched

__all__ = ["HookRunner"]

ATTEMPTS = 5
BACKOFF = 1.0
MAX_BACKOFF = 30.0
REMIND_EVERY = 30.0
"""Seconds until it is said again what an on-start hook waits for."""

_log = logging.getLogger("peerdisco.hooks")


class _News(Exception):
    """Something changed while it was waited before the next attempt."""


class _Closed(Exception):
    """There will be no more changes: the watcher was closed, or failed for this cause."""


class HookRunner:
    """Runs hooks when the membership changes, one at a time, the newest state winning.

    - `on_start` is run once, for the first membership that lists this pod; from then on `on_change`
      is run whenever somebody joined, left or was replaced. Without `on_start`, `on_change` is run
      for the first membership, too, as soon as it has peers.
    - What changes while a hook runs is one change afterwards. A change holds all that differs from
      what the hook was told when it last succeeded, so nothing is lost with a run that failed.
    - A hook that fails is run again, with exponential backoff and jitter, `attempts` times; at once
      and with the newest membership if that changes meanwhile. Then it is left until the next
      change. No failure ends the watch unless it is asked for (`end_on_failure`).
    - An outage is no change, and runs nothing unless it is asked for (`on_health`). No hook is run
      before there was an answer. A hook that got an incomplete list is run again when the list is
      complete.
    - `peerdisco.Discovery.leaving` keeps this pod's own departure from its hooks.

    For several hooks that shall not wait for one another, make a runner for each.

    Args:
        discovery: A watcher that is running.
        on_start: Run once; None for no such hook.
        on_change: Run at each change; None to end when `on_start` has succeeded.
        on_health: Whether `on_change` is also run when looks begin to fail and when they are
            answered again.
        listed_only: Whether `on_change`, too, waits while this pod is not listed, as the
            peer-finder of the Kubernetes project has it.
        attempts: How often a hook is run for one change until it is given up.
        end_on_failure: Whether the end of the attempts ends `run` with the hook's error, as the
            peer-finder of the Kubernetes project ends.
        backoff: Seconds after the first failure, at most; doubled with each one. Each pause is
            shortened by up to a half of it, by chance, so that pods do not act all at once.
        max_backoff: Never more than so many seconds.
        tell: Called with one line for what an operator should know: failures, outages, and what is
            waited for, at once and every 30 seconds. None logs it (``peerdisco.hooks``).
        tell_runs: Whether each run is told, too.
        sleep: Waits for so many seconds; for tests.
        chance: Gives numbers from 0 up to 1, for the jitter; for tests.

    Raises:
        ConfigurationError: There is no hook, or a number cannot be right.
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
        tell: Callable[[str], object] | None = None,
        tell_runs: bool = False,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        if on_start is None and on_change is None:
            raise ConfigurationError("on_change", None, "a hook, here or as on_start")
        if attempts < 1:
            raise ConfigurationError("attempts", attempts, "1 or more")
        self._discovery = discovery
        self._on_start = on_start
        self._on_change = on_change
        self._on_health = on_health
        self._listed_only = listed_only
        self._attempts = attempts
        self._end_on_failure = end_on_failure
        self._backoff = parse_seconds(backoff, "backoff")
        self._max_backoff = parse_seconds(max_backoff, "max_backoff")
        self._tell = tell or _log.warning
        self._tell_runs = tell_runs
        self._sleep = sleep
        self._chance = chance
        self._watch: AsyncIterator[Change] | None = None
        self._started = False
        self._newest: Snapshot | None = None
        self._told: Snapshot | None = None
        """What the hook was told when it last succeeded."""
        self._names: set[str] = set()
        """Of whom something was told since then: not of this pod, while it is leaving."""
        self._news = False
        """Whether there is news that no run has been tried with."""
        self._unsettled = False
        """Whether a run since then failed, so that nobody knows what it did."""

    async def run(self) -> None:
        """Run the hooks until it is cancelled, or the watcher is closed.

        Cancelled, it ends the hook that runs; see `CommandHook`. It can be called once.

        Raises:
            IdentityError: A hook has to wait for this pod to be listed, and who it is is not known.
            ConfigurationError: A hook has to wait for this pod to be listed, and the service is in
                another namespace, so that it never will be.
            Exception: What `on_start` raised the last time, without `on_change`; with
                `end_on_failure`, what either hook raised the last time.
            WatcherError: The watcher is not running, or has failed.
        """
        if self._watch is not None:
            raise RuntimeError("a HookRunner is run once: make another one")
        if self._needs_local and self._identity is None:
            raise IdentityError(
                "pod name",
                ("POD_NAME", "the host name"),
                "an on-start hook waits until this pod is listed: set POD_NAME from the downward "
                "API (fieldRef: metadata.name), or use an on-change hook alone",
            )
        self._refuse_another_namespace()
        self._watch = self._discovery.watch()
        try:
            while True:
                await self._wait_for_work()
                succeeded = await self._work()
                if succeeded and self._on_change is None:
                    return
        except _Closed as closed:
            error = closed.__cause__
        if error is not None:
            raise error  # outside of the except clause, so that its own cause stays

    # What there is to do.

    @property
    def _needs_local(self) -> bool:
        """Whether the hook whose turn it is waits until this pod is listed."""
        return self._listed_only or (self._on_start is not None and not self._started)

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
                f"{me.namespace!r}, in which this pod {me.pod_name} is (POD_NAMESPACE, else "
                f"/etc/resolv.conf): a service of another one never lists it, and the "
                f"{self._current[1]} hook would wait for ever",
            )

    @property
    def _identity(self) -> str | None:
        identity = self._discovery.snapshot.identity
        return None if identity is None else identity.pod_name

    @property
    def _current(self) -> tuple[Hook, str]:
        """The hook whose turn it is, and its name."""
        if self._on_start is not None and not self._started:
            return self._on_start, "on-start"
        assert self._on_change is not None
        return self._on_change, "on-change"

    def _merged(self) -> Change:
        """All that was told since the hook last succeeded, as one change."""
        assert self._newest is not None
        change = Change.between(self._told, self._newest)
        return replace(
            change,
            joined=self._of_interest(change.joined),
            left=self._of_interest(change.left),
            replaced=tuple(pair for pair in change.replaced if pair[1].unique_name in self._names),
        )

    def _of_interest(self, peers: tuple[Peer, ...]) -> tuple[Peer, ...]:
        return tuple(peer for peer in peers if peer.unique_name in self._names)

    def _runs_for(self, change: Change) -> bool:
        """Whether this change by itself is a reason to run a hook."""
        if change.joined or change.left or change.replaced:
            return True
        if self._on_health and self._started and (change.degraded or change.recovered):
            return True
        return self._told is not None and change.snapshot.complete and not self._told.complete

    def _is_due(self) -> bool:
        if not self._news or self._obstacle() is not None:
            return False
        return self._unsettled or self._runs_for(self._merged())

    def _obstacle(self) -> str | None:
        """Why a hook that might have something to do is not run; None if nothing hinders it."""
        newest = self._newest
        if newest is None:
            return None
        if newest.observed_at is None:
            return f"there was no answer yet: {newest.last_error}"
        if self._needs_local and newest.local is None:
            others = peers_in_words(newest)
            why = f"{newest.service} lists {others} and not {self._identity}"
        elif self._told is None and not newest.peers:
            there = nobody_chosen(newest) if newest.left_out else "no peers"
            why = f"{newest.service} has {there}"
        else:
            return None
        return (
            f"{why}: a pod is listed when it is ready, or with publishNotReadyAddresses: true "
            "in the headless service"
        )

    # Waiting.

    async def _wait_for_work(self) -> None:
        reminder: asyncio.Future[object] | None = None
        try:
            while not self._is_due():
                obstacle = self._obstacle()
                if obstacle is None:
                    if reminder is not None:
                        reminder.cancel()
                    reminder = None
                elif reminder is None or reminder.done():
                    self._tell(f"the {self._current[1]} hook waits: {_one_line(obstacle)}")
                    reminder = asyncio.ensure_future(self._sleep(REMIND_EVERY))
                await self._read(reminder)
        finally:
            if reminder is not None:
                reminder.cancel()

    async def _read(self, pause: asyncio.Future[object] | None) -> bool:
        """Take in the next change, unless the pause is over before.

        Returns:
            Whether it is a reason to run a hook.

        Raises:
            _Closed: There will be none.
        """
        assert self._watch is not None
        reading = asyncio.ensure_future(_next(self._watch))
        both: set[asyncio.Future[Any]] = {reading} if pause is None else {reading, pause}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                return False
            return self._take_in(reading.result())
        finally:
            reading.cancel()

    def _take_in(self, change: Change) -> bool:
        if change.snapshot.observed_at is not None:
            if change.degraded:
                error = _one_line(change.snapshot.last_error)
                self._tell(f"the peers are as they were last seen: {error}")
            elif change.recovered and self._newest is not None and self._newest.observed_at:
                self._tell("looks are answered again")
            self._tell_completeness(change)
        self._newest = change.snapshot
        self._names |= {peer.unique_name for peer in (*change.joined, *change.left)}
        self._names |= {new.unique_name for _, new in change.replaced}
        runs = self._runs_for(change)
        # A hook that was given up may have failed for the same reason as the looks.
        self._news = self._news or runs or (change.recovered and self._unsettled)
        return runs

    def _tell_completeness(self, change: Change) -> None:
        """Tell when departures cannot be observed any more, whose, and when they can be again."""
        snapshot = change.snapshot
        if change.incomplete:
            reason = _one_line(snapshot.incomplete_reason)
            self._tell(f"the list is incomplete, so departures cannot be observed: {reason}")
        elif change.completed:
            self._tell("the list is complete again")
        suspected_before = self._newest is not None and self._newest.unconfirmed
        if not snapshot.complete and snapshot.unconfirmed and not suspected_before:
            names = ", ".join(peer.name for peer in snapshot.unconfirmed)
            self._tell(f"not listed lately, and still among the peers: {names}")

    async def _pause(self, seconds: float) -> None:
        """Wait before the next attempt; news cuts it short.

        Raises:
            _News: There was news.
        """
        pause = asyncio.ensure_future(self._sleep(seconds))
        try:
            while not pause.done():
                if await self._read(pause):
                    raise _News
        finally:
            pause.cancel()

    # Working.

    async def _work(self) -> bool:
        """Run the hook until it succeeds, is given up, or there is news; whether it succeeded."""
        from tenacity import (  # noqa: PLC0415 - only where a hook is run
            AsyncRetrying,
            RetryCallState,
            retry_if_exception_type,
            stop_after_attempt,
        )

        name = self._current[1]

        def pause(state: RetryCallState) -> float:
            longest = Backoff(self._backoff, self._max_backoff).after(state.attempt_number)
            return longest * (1 - self._chance() / 2)

        def tell(state: RetryCallState) -> None:
            assert state.outcome is not None
            assert state.next_action is not None
            self._tell(
                f"the {name} hook failed ({state.attempt_number} of {self._attempts}): "
                f"{_error_in_words(state.outcome.exception())}; "
                f"again in {state.next_action.sleep:.1f} s"
            )

        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._attempts),
            wait=pause,
            # Whatever a user's function raises; what ends the process or the task is none of it.
            retry=retry_if_exception_type(Exception),
            sleep=self._pause,
            before_sleep=tell,
            reraise=True,
        )
        try:
            await retrying(self._run_hook)
        except _Closed:
            raise
        except _News:
            return False
        except Exception as error:
            if self._on_change is None or self._end_on_failure:
                raise
            self._tell(
                f"the {name} hook failed ({self._attempts} of {self._attempts}): "
                f"{_error_in_words(error)}; it is left until the next change"
            )
            return False
        return True

    async def _run_hook(self) -> None:
        hook, name = self._current
        assert self._newest is not None
        current = self._discovery.snapshot
        if current.peers is self._newest.peers:
            self._newest = current  # which has grown older since it was read
        change = self._merged()
        if self._tell_runs:
            self._tell(f"the {name} hook runs: {len(change.snapshot)} peers")
        self._news = False
        self._unsettled = True
        if isinstance(hook, CommandHook):
            await hook(change, "change" if self._started else "start")
        else:
            result = hook(change)
            if inspect.isawaitable(result):
                await result
        self._unsettled = False
        self._started = True
        self._told = change.snapshot
        self._names.clear()


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
