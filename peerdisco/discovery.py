"""`Discovery`: polls a service, and publishes its confirmed membership."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Self

from .clock import Clock, SystemClock
from .conditions import Condition, in_words, to_condition, with_local
from .exceptions import IdentityError, WatcherError
from .membership.machine import Membership
from .membership.published import Published
from .membership.rules import ConfirmationRules
from .membership.schedule import Schedule
from .membership.waiting import Waiting
from .membership.watches import PrimaryWatch, Watch
from .model import Change, Identity, Observation, Peer, PrimaryPolicy, Snapshot
from .names import parse_seconds
from .observability.events import Observer
from .observability.reporting import Reporter
from .pod.environment import PodReading
from .pod.settings import find_interval
from .sources import Source, verify_all
from .sources.lookup import lookup
from .sources.options import TIMEOUT, LookupOptions, LookupPlan
from .sources.pending import PendingPlan
from .sources.query import ServiceQuery
from .sources.shared import share
from .timing.chance import random_fraction
from .timing.stalls import LEAST_STALL

__all__ = ["Discovery", "PrimaryWatch", "Watch"]

_MANY = 1000
"""So many joined peers at once are work during which other tasks get a turn."""

INTERVAL = 2.0
MIN_INTERVAL = 0.5


class Discovery:
    """Polls a service, and publishes its membership and every confirmed change.

    ```python
    async with peerdisco.Discovery("my-database") as disco:
        snapshot = await disco.wait(required=3, stable_for=5, timeout=120)
        async for change in disco.watch():
            ...
    ```

    One task makes the lookups. ``async with`` starts and ends it; with `run` it is the caller's
    own. Watchers of one service in one event loop share their lookups. `peerdisco.membership` has
    the rules by which a peer joins, leaves and is replaced: a failed lookup changes nothing, and a
    missing peer has left only after any cached answer that might omit it has expired.

    The arguments from ``service`` to ``source`` are those of `discover`, with two differences: the
    name servers of ``/etc/resolv.conf`` are read again whenever that file changes, and a `Source`
    belongs to this watcher, which closes it.

    Args:
        interval: Seconds between two lookups while nothing changes; None for
            ``PEERDISCO_INTERVAL``, else 2. An answer from a cache is not queried again before it
            expires.
        min_interval: The least number of seconds between two lookups.
        leave_after: Seconds a peer must be missing before it has left; None to derive them.
        timeout: Seconds a lookup may take.
        observers: Get an event for each lookup, for metrics and traces; see `Observer`.
        clock: The source of time; for tests.
        chance: Returns numbers from 0 up to 1 for the jitter; for tests.

    Raises:
        IdentityError: A part of the service's name is required and not known. If an event loop
            cannot read the pod's files at once, ``async with`` raises it, and the attributes do.
        ConfigurationError: An argument or a variable has an invalid value.
    """

    def __init__(
        self,
        service: str | None = None,
        *,
        namespace: str | None = None,
        cluster_domain: str | None = None,
        statefulset: str | None = None,
        cluster: str | None = None,
        port_name: str | Sequence[str] | None = None,
        protocol: str | None = None,
        primary: PrimaryPolicy | None = None,
        identity: Identity | None = None,
        nameservers: Sequence[str] = (),
        resolver: str | None = None,
        source: Source | str | None = None,
        interval: float | None = None,
        min_interval: float = MIN_INTERVAL,
        leave_after: float | None = None,
        timeout: float = TIMEOUT,
        observers: Sequence[Observer] = (),
        clock: Clock | None = None,
        chance: Callable[[], float] = random_fraction,
    ) -> None:
        pod = PodReading()
        seconds = find_interval(interval, pod.variables, INTERVAL)
        if leave_after is not None:
            leave_after = parse_seconds(leave_after, "leave_after")
        least = min(parse_seconds(min_interval, "min_interval"), seconds)
        self._timeout = parse_seconds(timeout, "timeout")
        options = LookupOptions(
            service=service,
            namespace=namespace,
            cluster_domain=cluster_domain,
            statefulset=statefulset,
            cluster=cluster,
            port_name=port_name,
            protocol=protocol,
            primary=primary,
            identity=identity,
            nameservers=nameservers,
            resolver=resolver,
            source=source,
        )
        self._pending, self._observers = PendingPlan(options, pod), observers
        self._source: Source | None = None
        self._opened: Source | None = None
        """The source, if it was opened here and not given by the caller."""
        self._membership = Membership(ConfirmationRules(interval=seconds, leave_after=leave_after))
        self._schedule = Schedule(seconds, least)
        self._clock: Clock = clock or SystemClock()
        self._chance = chance
        self._wake = asyncio.Event()
        self._updated = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._error: BaseException | None = None
        self._process: int | None = None
        self._closed = False
        self._leaving: str | None = None
        """The unique name of this pod, once `leaving` was called."""
        self._refreshes = 0
        self._pending.check()

    @property
    def _plan(self) -> LookupPlan:
        return self._pending.plan

    @cached_property
    def _reporter(self) -> Reporter:
        return Reporter(self.service, self._observers)

    @cached_property
    def _published(self) -> Published:
        """Everything that consumers read; replaced as a whole, so that none sees half a lookup."""
        return Published(self._plan.builder.snapshot(self.service, (), observed_at=None))

    # Starting and closing.

    async def __aenter__(self) -> Self:
        await self._pending.read()
        self._open()
        self._task = asyncio.create_task(self._poll_forever(), name=f"peerdisco {self.service}")
        self._task.add_done_callback(self._ended)
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        await self.aclose()
        if kind is None:
            self._check_failed()

    async def run(self) -> None:
        """Poll until this is cancelled, or the watcher is closed by another task.

        The alternative to ``async with`` for callers with a task of their own.

        Raises:
            WatcherError: The watcher was already started, or has failed.
        """
        async with self:
            await self.closed()

    async def closed(self) -> None:
        """Wait until the watcher is closed.

        Raises:
            WatcherError: The watcher has failed, or this is a fork.
        """
        self.check_process()
        if self._task is not None:
            await asyncio.wait({self._task})
        self._check_failed()

    async def aclose(self) -> None:
        """Stop polling and close all connections; iterators of `watch` end.

        A second call does nothing. A call in a fork of the process that started it does nothing.
        """
        if self.forked:
            return  # the task, the loop and the sockets belong to the other process
        self._closed = True
        task, self._task = self._task, None
        source, self._source = self._source, None
        try:
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
        finally:
            self._notify()
            self._reporter.closed()
            if source is not None:
                await source.aclose()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Record the end of the polling task; it is a failure unless the watcher was closed."""
        if task.cancelled():
            error: BaseException | None = None if self._closed else asyncio.CancelledError()
        else:
            error = task.exception()
        if error is not None:
            self._error = error
            self._published = replace(self._published, failure=self._failure(error))
        self._notify()

    def _failure(self, error: BaseException) -> WatcherError:
        problem = f"{self.service}: the watcher has failed: {error!r}"
        failure = WatcherError(problem, "create another Discovery")
        failure.__cause__ = error
        return failure

    def _open(self) -> None:
        self.check_process()
        if self._closed or self._source is not None:
            raise WatcherError("a Discovery can be started only once", "create another one")
        self._process = os.getpid()
        target = self._plan.target
        if not isinstance(target, ServiceQuery):
            self._source = target
        elif not isinstance(self._clock, SystemClock):
            self._opened = target.open()  # shared lookups follow the machine's clock
        else:
            self._opened = share(target, self._schedule.min_interval, target.open)
            if self._refreshes:
                verify_all(self._opened)
        self._source = self._source or self._opened

    @property
    def forked(self) -> bool:
        """Whether this is a fork of the process that started the watcher.

        The polling task exists only in the other process. Here the membership stays as it was at
        the fork.
        """
        return self._process is not None and self._process != os.getpid()

    def check_process(self) -> None:
        """Raise `WatcherError` in a fork of the process that started the watcher."""
        if self.forked:
            raise self._fork_error()

    def _fork_error(self) -> WatcherError:
        return WatcherError(
            f"{self.service}: the watcher runs in process {self._process}, "
            f"and this is a fork of it, process {os.getpid()}",
            "create a Discovery in each process, after the fork",
        )

    def __repr__(self) -> str:
        state = "closed" if self._closed else "running" if self._process else "not started"
        return f"<Discovery {self.service}: {self.snapshot.in_words()}, {state}>"

    def __reduce__(self) -> tuple[Any, ...]:
        raise WatcherError(
            "a Discovery cannot be pickled or copied", "create one in the process that uses it"
        )

    # The membership.

    @property
    def service(self) -> str:
        """The service's fully qualified name, without the trailing dot."""
        return self._plan.service

    @property
    def snapshot(self) -> Snapshot:
        """The current membership; `Snapshot.known` is False before the first answer.

        Any thread may read it. It is also stale after the watcher has failed, and in a fork.
        """
        published = self._published
        snapshot = published.at(self._clock.now())
        error = self._fork_error() if self.forked else published.failure
        return snapshot if error is None else replace(snapshot, last_error=error)

    @property
    def local(self) -> Peer | None:
        """The peer that is this pod; None if it is not listed, or its identity is not known."""
        return self._published.snapshot.local

    @property
    def settling(self) -> frozenset[str]:
        """The unique names of the peers that are listed with another address or port, unconfirmed.

        The other peers of `Snapshot.unconfirmed` are suspected: they are missing.
        """
        return self._membership.settling

    @property
    def observers(self) -> tuple[Observer, ...]:
        """The observers that get its events, and by default those of its hooks."""
        return self._reporter.observers

    @property
    def lookups(self) -> int:
        """Number of lookups that have ended, including failed ones."""
        return self._published.lookups

    def refresh(self) -> None:
        """Make the next lookup as soon as ``min_interval`` allows.

        This does not wait; a later `wait` does. Only a lookup that begins after this call counts:
        neither one in progress, nor an answer that another watcher of the same service just
        received. (A cache between this pod and the cluster DNS may still serve an older answer.)
        It queries every pod of a service that is too large for one answer; most lookups query a
        few of them.

        Raises:
            WatcherError: This is a fork of the process that started the watcher.
        """
        self.check_process()
        self._refreshes += 1
        if self._opened is not None:
            verify_all(self._opened)
        self._wake.set()

    def leaving(self) -> None:
        """Announce that this pod is about to terminate.

        From then on its own departure, return and new address are not reported: a pod that drains
        must not run its own hooks because it drains.
        """
        self.check_process()
        me, local = self._plan.builder.identity, self.local
        name = None if me is None else me.pod_name
        self._leaving = name if local is None else local.unique_name

    async def wait(
        self,
        required: int | Condition = 1,
        *,
        stable_for: float = 0.0,
        local: bool = False,
        timeout: float | None = None,
    ) -> Snapshot:
        """Wait until there are enough peers.

        After `refresh` this waits for the answer of a lookup that began after that call.

        Args:
            required: The number of peers, `quorum`, or any function of a snapshot.
            stable_for: Seconds without a change, a suspected peer or a failed lookup before this
                returns.
            local: Whether to wait until this pod is listed too. DNS lists a pod when it is ready,
                or earlier with ``publishNotReadyAddresses``.
            timeout: Seconds to wait; None for no limit.

        Returns:
            The membership that met the condition; never one whose last lookup failed.

        Raises:
            NotReady: The condition was not met in time; the error has the last membership.
            IdentityError: `local` is True, and the identity of this pod is not known.
            ConfigurationError: An argument has an invalid value.
            WatcherError: The watcher is not running or has failed, or this is a fork.
        """
        condition = to_condition(required)
        me = self._own_name() if local else None
        if me is not None:
            condition = with_local(condition, me)
        stable_for = parse_seconds(stable_for, "stable_for", zero=True)
        if timeout is not None:
            timeout = parse_seconds(timeout, "timeout", zero=True)
        waiting = Waiting(
            condition=condition,
            words=in_words(condition),
            stable_for=stable_for,
            timeout=timeout,
            began=self._clock.now(),
            refreshes=self._refreshes,
            local=me,
        )
        while True:
            self._check_running()
            updated, now = self._updated, self._clock.now()
            ready = waiting.check(self._published, now)
            if ready is not None:
                return ready
            await self._clock.wait(updated, waiting.pause)
            late = 0.0 if waiting.pause is None else self._clock.now() - now - waiting.pause
            if late > LEAST_STALL:
                waiting.stalled(self._published, self._clock.now() + self._timeout)

    def _own_name(self) -> str:
        if self._plan.builder.identity is None:
            raise IdentityError(
                "pod name",
                ("identity=", "POD_NAME"),
                "waiting until this pod is listed requires its name: set POD_NAME from the "
                "downward API (fieldRef: metadata.name), or pass "
                "identity=peerdisco.local_identity()",
            )
        return self._plan.builder.identity.pod_name

    def watch(self) -> Watch:
        """The changes from now on.

        The first has the whole current membership in ``joined``. Each later one is the difference
        to the previous one of this iterator: a slow consumer gets one change that combines several,
        and a cancelled wait loses nothing. The iterator ends when the watcher is closed.
        """
        return Watch(self._next_change)

    def watch_primary(self) -> PrimaryWatch:
        """The primary, and then each other primary: another peer, another address or port.

        The first is the present primary. None stands for an absent primary: no other peer takes
        its place. Nothing is reported while the primary is unknown: before the first answer, and
        while answers that do not list it are incomplete. A failed lookup changes nothing either;
        `Snapshot.stale` shows it. Like `watch`, each iterator is independent, a slow consumer gets
        the newest primary only, and a cancelled wait loses nothing.

        The iterator raises `AmbiguousPrimary` while the primary is ambiguous; the next `anext` then
        waits for the next change.
        """
        return PrimaryWatch(self.watch())

    async def _next_change(self, last: Snapshot | None) -> Change | None:
        """The difference to the last snapshot, once there is one; None when this is closed."""
        while not self._closed:
            self.check_process()
            updated = self._updated
            change = self._published.change_since(last, self._clock.now(), self._leaving)
            if change is not None:
                return change
            self._check_running()
            await updated.wait()
        self._check_failed()
        return None

    # Polling.

    async def _poll_forever(self) -> None:
        source = self._source
        assert source is not None
        never = asyncio.Event()
        while not self._closed:
            self._wake.clear()
            refreshes, begun, before = self._refreshes, self._clock.now(), self._published.snapshot
            observation = await lookup(source, self._timeout)
            now = self._clock.now()
            await self._apply(observation, now, refreshes)
            after = self._published.snapshot
            self._reporter.lookup_ended(before, after, observation, now - begun)
            pause = self._schedule.wait(self._membership, now, self._chance())
            if await self._clock.wait(self._wake, pause):
                early = now + self._schedule.min_interval - self._clock.now()
                if early > 0:
                    await self._clock.wait(never, early)

    async def _apply(self, observation: Observation, now: float, refreshes: int) -> None:
        membership, before = self._membership, self._published
        changes = membership.observe(observation, now)
        settled = membership.tick(now)
        if len(changes.joined) > _MANY:
            await asyncio.sleep(0)
        # A lookup that failed, or whose answer may be stale, does not renew the snapshot.
        counted = membership.observed_at == now
        known = before.snapshot
        observed_at = self._clock.utcnow() if counted else known.observed_at
        if changes or settled or not before.lookups:
            known = self._plan.builder.snapshot(
                self.service, membership.peers, observed_at=observed_at
            )
        self._published = before.after(
            known, membership, refreshes if counted else before.refreshes, observed_at
        )
        self._notify()

    def _notify(self) -> None:
        """Wake every task that waits for the next lookup."""
        self._updated.set()
        self._updated = asyncio.Event()

    def _check_running(self) -> None:
        self.check_process()
        self._check_failed()
        if self._closed or self._source is None:
            raise WatcherError("the watcher is not running", "use 'async with', or run()")

    def _check_failed(self) -> None:
        if self._error is not None:
            raise self._failure(self._error)
