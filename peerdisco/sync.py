"""The blocking API, with the same names: for scripts and code without an event loop."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from typing import Any, ParamSpec, Self, TypeVar

from . import discovery
from .clock import Clock
from .conditions import Condition
from .exceptions import WatcherError
from .model import Change, Identity, Peer, PrimaryPolicy, Snapshot
from .names import parse_pod_name
from .observability.events import Observer
from .pod.identity import local_identity
from .sources import Source, once
from .sources.options import TIMEOUT
from .timing.chance import random_fraction

__all__ = ["Discovery", "PrimaryWatch", "Watch", "discover", "local_identity", "parse_pod_name"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

CLOSE_TIMEOUT = 10.0
"""Seconds the thread may take to end: a source may have connections to close."""

_ASYNC = "async with peerdisco.Discovery(...)"


def _refuse_to_block(name: str, instead: str) -> None:
    """Raise RuntimeError if an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        f"peerdisco.sync.{name}() would block the running event loop; use: {instead}"
    )


def _blocking(function: Callable[_P, Coroutine[Any, Any, _T]]) -> Callable[_P, _T]:
    name = function.__name__

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        _refuse_to_block(name, f"await peerdisco.{name}()")
        return asyncio.run(function(*args, **kwargs))

    return call


discover = _blocking(once.discover)
"""`peerdisco.discover`, blocking; for threads without a running event loop."""


class _Worker:
    """The thread of one watcher, its event loop, and the calls that wait for it.

    Args:
        watcher: Lives in the thread's event loop from `start` until `stop`, or until it fails.
    """

    def __init__(self, watcher: discovery.Discovery) -> None:
        self._watcher = watcher
        self._lock = threading.Lock()
        self._calls: dict[Future[Any], Coroutine[Any, Any, Any]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self.stopped = False
        """Whether it was closed."""
        self._started: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._run, name=f"peerdisco {watcher.service}", daemon=True
        )
        self.error: BaseException | None = None
        """Why the watcher failed, once the thread has ended; None if it did not."""

    def start(self) -> None:
        """Start the thread and wait until the watcher runs; raises the error if it cannot start."""
        self._thread.start()
        self._started.result()

    def stop(self) -> None:
        """Make the thread end, without waiting for it."""
        with self._lock:
            self.stopped = True
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._stop.set)

    def join(self) -> bool:
        """Wait at most `CLOSE_TIMEOUT` for the thread to end; return whether it did."""
        self._thread.join(CLOSE_TIMEOUT)
        return not self._thread.is_alive()

    def call_soon(self, function: Callable[[], object]) -> None:
        """Call this on the thread's event loop; does nothing once the thread is ending."""
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(function)

    def call(self, make: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """Run a coroutine on the thread's event loop; an interrupt of this thread cancels it.

        Raises:
            WatcherError: The watcher is closed, or was closed while this waited.
        """
        with self._lock:
            loop = self._loop
            if loop is not None:
                work = make()
                future = asyncio.run_coroutine_threadsafe(work, loop)
                self._calls[future] = work
        if loop is None:
            raise self._why_ended()
        try:
            return future.result()
        except CancelledError:
            raise self._why_ended() from None
        except WatcherError:
            if self.stopped:
                raise self._why_ended() from None
            raise
        except BaseException:
            future.cancel()
            raise
        finally:
            with self._lock:
                self._calls.pop(future, None)

    def _why_ended(self) -> BaseException:
        self.join()  # the thread sets the error before it ends
        return self.error or _not_running()

    def _run(self) -> None:
        try:
            asyncio.run(self._watch())
        except BaseException as error:  # noqa: BLE001 - raised where it was started or is closed
            self.error = error
            if not self._started.done():
                self._started.set_exception(error)
        # Calls that the loop never began are ended here.
        with self._lock:
            calls, self._calls = self._calls, {}
        for future, work in calls.items():
            if not future.done():
                future.cancel()
            work.close()

    async def _watch(self) -> None:
        async with self._watcher:
            with self._lock:
                self._loop = asyncio.get_running_loop()
                if self.stopped:
                    self._stop.set()
            self._started.set_result(None)
            failed = asyncio.create_task(self._watcher.closed())
            failed.add_done_callback(self._watcher_ended)
            try:
                await self._stop.wait()
            finally:
                with self._lock:
                    self._loop = None
                failed.cancel()

    def _watcher_ended(self, closed: asyncio.Task[None]) -> None:
        if not closed.cancelled():
            closed.exception()  # the end of the block above raises it
        self._stop.set()


def _not_running() -> WatcherError:
    return WatcherError("the watcher is not running", "use 'with'")


class Discovery:
    """`peerdisco.Discovery` on a thread of its own: the same names, blocking.

    ```python
    with peerdisco.sync.Discovery("my-database") as disco:
        snapshot = disco.wait(required=3, timeout=120)
        for change in disco.watch():
            ...
    ```

    Any thread may use it. The thread ends with the block, and so does every call that waits in
    another thread. It does not survive a fork: in the child every snapshot is stale, and the
    methods that need the watcher raise `WatcherError`. The arguments are those of
    `peerdisco.Discovery`.

    Raises:
        DiscoveryError: As for `peerdisco.Discovery`.
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
        min_interval: float = discovery.MIN_INTERVAL,
        leave_after: float | None = None,
        timeout: float = TIMEOUT,
        observers: Sequence[Observer] = (),
        clock: Clock | None = None,
        chance: Callable[[], float] = random_fraction,
    ) -> None:
        self._discovery = discovery.Discovery(
            service,
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
            interval=interval,
            min_interval=min_interval,
            leave_after=leave_after,
            timeout=timeout,
            observers=observers,
            clock=clock,
            chance=chance,
        )
        self._worker: _Worker | None = None

    def __enter__(self) -> Self:
        _refuse_to_block("Discovery", _ASYNC)
        self._discovery.check_process()
        if self._worker is not None:
            raise WatcherError("a Discovery can be started only once", "create another one")
        worker = self._worker = _Worker(self._discovery)
        try:
            worker.start()
        except BaseException:
            worker.stop()
            worker.join()
            raise
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Stop polling and end the thread.

        Raises:
            WatcherError: The watcher has failed, or its thread does not end. An error of the
                block itself is never replaced.
        """
        if kind is None:
            self.close()
            if self._worker is not None and self._worker.error is not None:
                raise self._worker.error
        elif self._worker is not None and not self.forked:
            self._worker.stop()
            self._worker.join()

    def __repr__(self) -> str:
        return repr(self._discovery).replace("<Discovery", "<sync.Discovery", 1)

    def __reduce__(self) -> tuple[Any, ...]:
        return self._discovery.__reduce__()

    def close(self) -> None:
        """Stop polling and end the thread. A second call, or a call in a fork, does nothing.

        Raises:
            WatcherError: The thread does not end.
        """
        if self._worker is None or self.forked:
            return
        self._worker.stop()
        _refuse_to_block("Discovery.close", "await asyncio.to_thread(disco.close)")
        if not self._worker.join():
            raise WatcherError(
                f"the watcher's thread did not end within {CLOSE_TIMEOUT:g} s",
                "check that neither the source's aclose() nor a condition of wait() blocks",
            )

    def _call(self, name: str, make: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        _refuse_to_block(f"Discovery.{name}", _ASYNC)
        self._discovery.check_process()
        if self._worker is None:
            raise _not_running()
        return self._worker.call(make)

    @property
    def forked(self) -> bool:
        """Whether this is a fork of the process that started the watcher."""
        return self._discovery.forked

    @property
    def service(self) -> str:
        """The service's fully qualified name, without the trailing dot."""
        return self._discovery.service

    @property
    def snapshot(self) -> Snapshot:
        """The current membership; without peers before the first answer.

        In a fork it stays as it was at the fork, and is stale.
        """
        return self._discovery.snapshot

    @property
    def local(self) -> Peer | None:
        """The peer that is this pod; None if it is not listed, or its identity is not known."""
        return self._discovery.local

    def refresh(self) -> None:
        """Make the next lookup as soon as ``min_interval`` allows.

        Raises:
            WatcherError: This is a fork of the process that started the watcher.
        """
        self._discovery.check_process()
        if self._worker is not None:
            self._worker.call_soon(self._discovery.refresh)

    def leaving(self) -> None:
        """Announce that this pod is about to terminate; see `peerdisco.Discovery.leaving`."""
        self._discovery.leaving()

    def wait(
        self,
        required: int | Condition = 1,
        *,
        stable_for: float = 0.0,
        local: bool = False,
        timeout: float | None = None,
    ) -> Snapshot:
        """Wait until there are enough peers; see `peerdisco.Discovery.wait`.

        Raises:
            NotReady: The condition was not met in time.
            IdentityError: `local` is True, and the identity of this pod is not known.
            WatcherError: The watcher is not running, or has failed.
        """
        return self._call(
            "wait",
            lambda: self._discovery.wait(
                required, stable_for=stable_for, local=local, timeout=timeout
            ),
        )

    def watch(self) -> Watch:
        """The changes from now on; see `peerdisco.Discovery.watch`."""
        self._discovery.check_process()
        return Watch(self._next_of("watch", self._discovery.watch()))

    def watch_primary(self) -> PrimaryWatch:
        """The primary, and each other one; see `peerdisco.Discovery.watch_primary`."""
        self._discovery.check_process()
        return PrimaryWatch(self._next_of("watch_primary", self._discovery.watch_primary()))

    def _next_of(self, name: str, items: AsyncIterator[_T]) -> Callable[[], tuple[_T] | None]:
        """A function that returns the next item, in a tuple, or None at the end."""

        def next_item() -> tuple[_T] | None:
            try:
                return self._call(name, lambda: _next_in_tuple(items))
            except WatcherError:
                if self._worker is not None and self._worker.stopped and not self.forked:
                    return None
                raise

        return next_item


async def _next_in_tuple(items: AsyncIterator[_T]) -> tuple[_T] | None:
    """The next item; None at the end, which a call of another thread cannot raise."""
    try:
        return (await anext(items),)
    except StopAsyncIteration:
        return None


class Watch(Iterator[Change]):
    """The changes for one consumer; see `Discovery.watch`."""

    def __init__(self, next_change: Callable[[], tuple[Change] | None]) -> None:
        self._next_change = next_change

    def __next__(self) -> Change:
        change = self._next_change()
        if change is None:
            raise StopIteration
        return change[0]


class PrimaryWatch(Iterator[Peer | None]):
    """The primary for one consumer; see `Discovery.watch_primary`."""

    def __init__(self, next_primary: Callable[[], tuple[Peer | None] | None]) -> None:
        self._next_primary = next_primary

    def __next__(self) -> Peer | None:
        primary = self._next_primary()
        if primary is None:
            raise StopIteration
        return primary[0]
