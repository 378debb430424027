"""`discover`, which looks once, and `Discovery`, which keeps looking."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Self

from .clock import Clock, SystemClock
from .conditions import Condition, in_words, to_condition, with_local
from .exceptions import IdentityError, NotReady, WatcherError
from .membership.machine import Membership
from .membership.published import Published
from .membership.rules import ConfirmationRules
from .membership.schedule import Schedule
from .model import Change, Identity, Observation, Peer, PrimaryPolicy, Snapshot
from .names import parse_seconds
from .pod.environment import PodEnvironment, read_pod_environment
from .sources import Source
from .sources.lookup import lookup
from .sources.once import observe_once, snapshot_from_observation
from .sources.query import ServiceQuery, choose_snapshot_builder, reject_unused_arguments
from .sources.shared import SharedSource, share
from .timing.stalls import LEAST_STALL

__all__ = ["Discovery", "Watch", "discover"]

TIMEOUT = 5.0
"""Seconds a look may take: several rounds of questions to three name servers."""

_MANY = 1000
"""So many peers at once are work that others should not have to wait for."""

INTERVAL = 2.0
MIN_INTERVAL = 0.5


async def discover(
    service: str | None = None,
    *,
    namespace: str | None = None,
    cluster_domain: str | None = None,
    statefulset: str | None = None,
    cluster: str | None = None,
    port_name: str | None = None,
    protocol: str | None = None,
    primary: PrimaryPolicy | None = None,
    identity: Identity | None = None,
    nameservers: Sequence[str] = (),
    resolver: str | None = None,
    source: Source | str | None = None,
    timeout: float = TIMEOUT,
) -> Snapshot:
    """Look once, and say who is there.

    What is not given is taken from the environment (``PEERDISCO_*``, ``POD_*``), then from the
    pod's files; see `local_identity`.

    Args:
        service: The headless service: ``svc``, ``svc.ns`` or the fully qualified name.
            None for ``PEERDISCO_SERVICE``, else the one that governs this pod.
        namespace: Of a service that is given without one; None for this pod's own.
        cluster_domain: Of a service that is given without one; None for this cluster's.
        statefulset: List the pods of this StatefulSet alone. None for ``PEERDISCO_STATEFULSET``,
            else list every pod, and count the ordinals of this pod's own StatefulSet if it has
            pods behind the service.
        cluster: List the pods of this cluster alone, behind a multi-cluster service. None for
            ``PEERDISCO_CLUSTER``, else list every pod; the primary is ambiguous then.
        port_name: Ask for this named port (``_port._tcp``); None for ``PEERDISCO_PORT_NAME``,
            else every port, without names.
        protocol: The protocol of the named port: ``tcp``, ``udp`` or ``sctp``. None for
            ``PEERDISCO_PROTOCOL``, else ``tcp``.
        primary: Picks the primary; None for `ordinal` 0.
        identity: Who this pod is; None to detect it. Without one `Snapshot.local` is None.
        nameservers: ``ip``, ``ip:port`` or ``[ip6]:port``, asked in turn. Empty for
            ``PEERDISCO_NAMESERVERS``, else those of ``/etc/resolv.conf``.
        resolver: What asks them: ``builtin``, or ``aiodns`` for c-ares, which needs the extra
            ``peerdisco[aiodns]``. None for ``PEERDISCO_RESOLVER``, else ``builtin``.
        source: Where to look: ``dns``, ``static:NAME=IP[:PORT],...`` or a `Source`, which stays
            open. None for ``PEERDISCO_SOURCE``, else ``dns``.
        timeout: Seconds the look may take. An answer with TTL 0 is asked for again within them,
            which takes a second; see `Snapshot.may_be_stale`.

    Returns:
        The membership. Check `Snapshot.complete` before you conclude that a pod is not there.

    Raises:
        ServiceNotFound: DNS says that the service does not exist, or none of its pods is ready.
        ResolveTimeout: No answer came in time.
        StaleAnswer: The only answer was one that a cache serves although it has expired.
        ResolverUnavailable: No name server gave an answer that can be used.
        IdentityError: A part of the service's name is needed and nothing tells it.
        ConfigurationError: An argument or a variable has a value that cannot be right.
    """
    timeout = parse_seconds(timeout, "timeout")
    pod = read_pod_environment()
    view = choose_snapshot_builder(
        statefulset,
        primary,
        identity,
        pod,
        namespace=namespace,
        cluster_domain=cluster_domain,
        cluster=cluster,
    )
    if isinstance(source, Source):
        reject_unused_arguments(
            "a source that is given",
            service=service,
            namespace=namespace,
            cluster_domain=cluster_domain,
            port_name=port_name,
            protocol=protocol,
            nameservers=nameservers,
            resolver=resolver,
        )
        seen, may_be_stale = await observe_once(source, timeout=timeout)
        return snapshot_from_observation(seen, source.service, view, may_be_stale=may_be_stale)
    opened = ServiceQuery.choose(
        service,
        namespace=namespace,
        cluster_domain=cluster_domain,
        port_name=port_name,
        protocol=protocol,
        nameservers=nameservers,
        resolver=resolver,
        source=source,
        cluster=view.cluster,
        pod_environment=pod,
    ).open()
    try:
        seen, may_be_stale = await observe_once(opened, timeout=timeout)
        return snapshot_from_observation(seen, opened.service, view, may_be_stale=may_be_stale)
    finally:
        await opened.aclose()


class Discovery:
    """Keeps looking at a service, and tells what is true.

    ```python
    async with peerdisco.Discovery("my-database") as disco:
        snapshot = await disco.wait(required=3, stable_for=5, timeout=120)
        async for change in disco.watch():
            ...
    ```

    One task looks; it is started by ``async with`` and ended by its end, or is the caller's own
    with `run`. Watchers of one service in one event loop share their looks. The rules by which a
    peer joins, leaves and is replaced are those of `peerdisco.membership`: a failed lookup
    changes nothing, and a peer has left when no cache can still hold an answer that lacks it.

    Args:
        service: The headless service; it and the following as for `discover`.
        namespace: As for `discover`.
        cluster_domain: As for `discover`.
        statefulset: As for `discover`.
        cluster: As for `discover`.
        port_name: As for `discover`.
        protocol: As for `discover`.
        primary: As for `discover`.
        identity: As for `discover`.
        nameservers: As for `discover`. Those of ``/etc/resolv.conf`` are read again whenever that
            file changes.
        resolver: As for `discover`.
        source: As for `discover`. A `Source` that is given is used by this watcher alone, and
            closed with it.
        interval: Seconds between two looks when nothing happens; None for
            ``PEERDISCO_INTERVAL``, else 2. Where a cache holds the answer, until it expires.
        min_interval: Never less than so many seconds between two looks.
        leave_after: Seconds a peer must be absent before it has left; None to derive them.
        timeout: Seconds a look may take.
        clock: Time; for tests.
        chance: Gives numbers from 0 up to 1, for the jitter; for tests.

    Raises:
        IdentityError: A part of the service's name is needed and nothing tells it.
        ConfigurationError: An argument or a variable has a value that cannot be right.
    """

    def __init__(
        self,
        service: str | None = None,
        *,
        namespace: str | None = None,
        cluster_domain: str | None = None,
        statefulset: str | None = None,
        cluster: str | None = None,
        port_name: str | None = None,
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
        clock: Clock | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        pod = read_pod_environment()
        seconds = _find_interval(interval, pod)
        if leave_after is not None:
            leave_after = parse_seconds(leave_after, "leave_after")
        least = min(parse_seconds(min_interval, "min_interval"), seconds)
        self._timeout = parse_seconds(timeout, "timeout")
        self._view = choose_snapshot_builder(
            statefulset,
            primary,
            identity,
            pod,
            namespace=namespace,
            cluster_domain=cluster_domain,
            cluster=cluster,
        )
        self._given: Source | None = None
        self._target: ServiceQuery | None = None
        if isinstance(source, Source):
            reject_unused_arguments(
                "a source that is given",
                service=service,
                namespace=namespace,
                cluster_domain=cluster_domain,
                port_name=port_name,
                protocol=protocol,
                nameservers=nameservers,
                resolver=resolver,
            )
            self._given = source
        else:
            self._target = ServiceQuery.choose(
                service,
                namespace=namespace,
                cluster_domain=cluster_domain,
                port_name=port_name,
                protocol=protocol,
                nameservers=nameservers,
                resolver=resolver,
                source=source,
                cluster=self._view.cluster,
                pod_environment=pod,
            )
        self._source: Source | None = None
        self._shared: SharedSource | None = None
        self._membership = Membership(ConfirmationRules(interval=seconds, leave_after=leave_after))
        self._schedule = Schedule(seconds, least)
        self._clock: Clock = clock or SystemClock()
        self._chance = chance
        self._wake = asyncio.Event()
        self._looked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._error: BaseException | None = None
        self._process: int | None = None
        self._closed = False
        self._leaving: str | None = None
        """The unique name of this pod, once it is about to go."""
        self._refreshes = 0
        """How often `refresh` was called."""
        self._published = Published(self._view.snapshot(self.service, (), observed_at=None))
        """All that consumers read; replaced as a whole, so that none sees a half of a lookup."""

    # Life.

    async def __aenter__(self) -> Self:
        self._open()
        self._task = asyncio.create_task(self._look_forever(), name=f"peerdisco {self.service}")
        self._task.add_done_callback(self._ended)
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        await self.aclose()
        if kind is None:
            self._check_failed()

    async def run(self) -> None:
        """Look until it is cancelled, or closed by another task.

        The alternative to ``async with`` for those who own their tasks.

        Raises:
            WatcherError: It was started already, or the lookups have ended and nobody closed it.
        """
        async with self:
            await self.closed()

    async def closed(self) -> None:
        """Wait until it is closed.

        Raises:
            WatcherError: The lookups have ended and nobody closed it, or this is a fork.
        """
        self.check_process()
        if self._task is not None:
            await asyncio.wait({self._task})
        self._check_failed()

    async def aclose(self) -> None:
        """Stop looking and close everything; watchers end.

        A second call does nothing, nor does one in a fork of the process that started it.
        """
        if self.forked:
            return  # task, loop and sockets are those of the other process
        self._closed = True
        task, self._task = self._task, None
        source, self._source = self._source, None
        try:
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
        finally:
            self._tell()
            if source is not None:
                await source.aclose()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """The task that makes the lookups has ended: unless it was closed, that is a failure."""
        if task.cancelled():
            error: BaseException | None = None if self._closed else asyncio.CancelledError()
        else:
            error = task.exception()
        if error is not None:
            self._error = error
            self._published = replace(self._published, failure=self._failure(error))
        self._tell()

    def _failure(self, error: BaseException) -> WatcherError:
        problem = f"{self.service}: the watcher has failed: {error!r}"
        failure = WatcherError(problem, "make another Discovery")
        failure.__cause__ = error
        return failure

    def _open(self) -> None:
        self.check_process()
        if self._closed or self._source is not None:
            raise WatcherError("a Discovery is started once", "make another one")
        self._process = os.getpid()
        if self._given is not None:
            self._source = self._given
        elif self._target is not None and not isinstance(self._clock, SystemClock):
            self._source = self._target.open()  # what is shared goes by the machine's clock
        elif self._target is not None:
            self._shared = share(self._target, self._schedule.min_interval, self._target.open)
            self._source = self._shared
            if self._refreshes:
                self._shared.refresh()

    @property
    def forked(self) -> bool:
        """Whether this is a fork of the process that started the watcher.

        The task that looks lives in the other process only. Here the membership is the one of the
        moment of the fork.
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

    def __reduce__(self) -> tuple[Any, ...]:
        raise WatcherError(
            "a Discovery cannot be pickled or copied", "create one in the process that uses it"
        )

    # What is known.

    @property
    def service(self) -> str:
        """The service's fully qualified name, without the trailing dot."""
        if self._target is not None:
            return self._target.service.fqdn
        assert self._given is not None
        return self._given.service

    @property
    def snapshot(self) -> Snapshot:
        """The membership as it is known now; not `Snapshot.known` before the first answer.

        Any thread may read it. It is stale, too, when the watcher has failed, and in a fork.
        """
        published = self._published
        snapshot = published.at(self._clock.now())
        error = self._fork_error() if self.forked else published.failure
        return snapshot if error is None else replace(snapshot, last_error=error)

    @property
    def local(self) -> Peer | None:
        """This pod among the peers; None if it is not listed, or not known who it is."""
        return self._published.snapshot.local

    @property
    def lookups(self) -> int:
        """How many lookups have ended, failed ones too."""
        return self._published.lookups

    def refresh(self) -> None:
        """Look up the service as soon as the minimal interval allows, instead of when it is due.

        It does not wait; a `wait` that is called after it does. Only a lookup that is begun after
        this call counts for it: neither one that is under way, nor an answer that another watcher
        of the same service has just had. (A cache between here and the cluster's DNS may still
        give an older answer.)

        Raises:
            WatcherError: This is a fork of the process that started the watcher.
        """
        self.check_process()
        self._refreshes += 1
        if self._shared is not None:
            self._shared.refresh()
        self._wake.set()

    def leaving(self) -> None:
        """Say that this pod is about to go.

        From then on its own departure, return and new address are told to nobody: a pod that
        drains must not have its own hooks run because it drains.
        """
        self.check_process()
        me, local = self._view.identity, self.local
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

        After `refresh` it waits for the answer of a lookup that was begun after that call.

        Args:
            required: How many, `quorum`, or any function of a snapshot.
            stable_for: Seconds for which, before that, nothing changed, was in doubt, or failed.
            local: Whether to wait until this pod is listed too. DNS lists a pod when it is ready,
                or before that with ``publishNotReadyAddresses``.
            timeout: Seconds to wait; None for as long as it takes.

        Returns:
            The membership that was enough; never one whose newest look failed.

        Raises:
            NotReady: They were not there in time; says what was.
            IdentityError: `local` is True, and it is not known who this pod is.
            ConfigurationError: An argument has a value that cannot be right.
            WatcherError: The watcher is not running, has failed, or was started by the process
                that forked this one.
        """
        condition = to_condition(required)
        me = self._own_name() if local else None
        if me is not None:
            condition = with_local(condition, me)
        stable_for = parse_seconds(stable_for, "stable_for", zero=True)
        if timeout is not None:
            timeout = parse_seconds(timeout, "timeout", zero=True)
        deadline = None if timeout is None else self._clock.now() + timeout
        refreshes = self._refreshes
        lookups, latest = 0, 0.0
        """How many lookups there have to be, or what the time, to conclude from time passing."""
        while True:
            self._check_running()
            looked, published = self._looked, self._published
            now = self._clock.now()
            snapshot = published.at(now)
            pause = None if deadline is None else deadline - now
            concludes = published.lookups >= lookups or now >= latest
            if snapshot.known and not snapshot.stale and published.refreshes >= refreshes:
                since = now if published.stable_since is None else published.stable_since
                if condition(snapshot):
                    left = stable_for - (now - since)
                    if left <= 0 and (concludes or not stable_for):
                        return snapshot
                    pause = left if pause is None else min(pause, left)
            if deadline is not None and now >= deadline and concludes:
                there = snapshot if snapshot.known else None
                assert timeout is not None
                unlisted = me if there is not None and there.local is None else None
                words = in_words(condition)
                raise NotReady(words, timeout, there, unlisted) from snapshot.last_error
            if not concludes:
                pause = latest - now
            await self._clock.wait(looked, pause)
            woken = self._clock.now()
            if pause is not None and woken - now - pause > LEAST_STALL:
                # The process could not run, and saw nothing meanwhile: the next lookup decides.
                lookups, latest = self._published.lookups + 1, woken + self._timeout

    def _own_name(self) -> str:
        if self._view.identity is None:
            raise IdentityError(
                "pod name",
                ("identity=", "POD_NAME"),
                "waiting until this pod is listed needs to know who it is: set POD_NAME from the "
                "downward API (fieldRef: metadata.name), or give "
                "identity=peerdisco.local_identity()",
            )
        return self._view.identity.pod_name

    def watch(self) -> Watch:
        """The changes, from now on.

        The first is the present membership, all of it in ``joined``; then come the differences to
        what this iterator gave last, so that a consumer who is slow gets one change that holds
        them all, and one whose wait is cancelled loses nothing. It ends when the watcher is closed.
        """
        return Watch(self._next_change)

    async def _next_change(self, seen: Snapshot | None) -> Change | None:
        """The difference to what was seen, as soon as there is one; None when it is closed."""
        while not self._closed:
            self.check_process()
            looked, published = self._looked, self._published
            if published.lookups and (published.snapshot.known or published.snapshot.stale):
                now = published.at(self._clock.now())
                change = Change.between(seen, now, ignore=self._leaving)
                if change or seen is None or _is_to_be_told(seen, now):
                    return change
            self._check_running()
            await looked.wait()
        self._check_failed()
        return None

    # Looking.

    async def _look_forever(self) -> None:
        source = self._source
        assert source is not None
        never = asyncio.Event()
        while not self._closed:
            self._wake.clear()
            refreshes = self._refreshes
            observation = await lookup(source, self._timeout)
            now = self._clock.now()
            await self._take_in(observation, now, refreshes)
            pause = self._schedule.wait(self._membership, now, self._chance())
            if await self._clock.wait(self._wake, pause):
                early = now + self._schedule.min_interval - self._clock.now()
                if early > 0:
                    await self._clock.wait(never, early)

    async def _take_in(self, observation: Observation, now: float, refreshes: int) -> None:
        membership, before = self._membership, self._published
        told = membership.observe(observation, now)
        settled = membership.tick(now)
        if len(told.joined) > _MANY:
            await asyncio.sleep(0)  # others have their turn between two pieces of work
        known = before.snapshot
        # A lookup that failed, or whose answer may be stale, leaves the snapshot as old as it is.
        counted = membership.observed_at == now
        observed_at = self._clock.utcnow() if counted else known.observed_at
        if told or settled or not before.lookups:
            known = self._view.snapshot(self.service, membership.peers, observed_at=observed_at)
        suspected = membership.suspected
        self._published = Published(
            snapshot=replace(
                known,
                observed_at=observed_at,
                incomplete_reason=membership.incomplete_reason,
                last_error=membership.last_error,
                may_be_stale=membership.may_be_stale,
                unconfirmed=tuple(peer for peer in known if peer.unique_name in suspected),
            ),
            observed_at=membership.observed_at,
            stable_since=membership.stable_since,
            lookups=before.lookups + 1,
            refreshes=refreshes if counted else before.refreshes,
        )
        self._tell()

    def _tell(self) -> None:
        """Wake everybody who waits for the next look."""
        self._looked.set()
        self._looked = asyncio.Event()

    def _check_running(self) -> None:
        self.check_process()
        self._check_failed()
        if self._closed or self._source is None:
            raise WatcherError("the watcher is not running", "use 'async with', or run()")

    def _check_failed(self) -> None:
        if self._error is not None:
            raise self._failure(self._error)


def _is_to_be_told(before: Snapshot, now: Snapshot) -> bool:
    """Whether there are the first suspects, or no more of them, whose departure cannot be seen."""
    return not now.complete and bool(before.unconfirmed) != bool(now.unconfirmed)


def _find_interval(given: float | None, pod: PodEnvironment) -> float:
    """The polling interval: the argument, the variable, or the default."""
    if given is not None:
        return parse_seconds(given, "interval")
    variable = pod.variable("PEERDISCO_INTERVAL")
    if variable is None:
        return INTERVAL
    return parse_seconds(variable, "PEERDISCO_INTERVAL", text=True)


class Watch(AsyncIterator[Change]):
    """The changes as one consumer has seen them; see `Discovery.watch`."""

    def __init__(self, next_change: Callable[[Snapshot | None], Awaitable[Change | None]]) -> None:
        self._next_change = next_change
        self._seen: Snapshot | None = None

    async def __anext__(self) -> Change:
        change = await self._next_change(self._seen)
        if change is None:
            raise StopAsyncIteration
        self._seen = change.snapshot
        return change
