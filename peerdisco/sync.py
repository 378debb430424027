"""The same names, blocking: for scripts and for code without an event loop."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future
from typing import Any, ParamSpec, Self, TypeVar

from . import discovery
from .conditions import Condition
from .local import local_identity
from .model import Change, Peer, Snapshot
from .names import parse_pod_name

__all__ = ["Discovery", "Watch", "discover", "local_identity", "parse_pod_name"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _blocking(function: Callable[_P, Coroutine[Any, Any, _T]]) -> Callable[_P, _T]:
    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise RuntimeError(
                f"peerdisco.sync.{function.__name__}() would block the running event loop; "
                f"use: await peerdisco.{function.__name__}()"
            )
        return asyncio.run(function(*args, **kwargs))

    return call


discover = _blocking(discovery.discover)
"""`peerdisco.discover`, blocking; call it where no event loop runs."""


class _NotRunningError(RuntimeError):
    """The thread has not been started, or has ended."""

    def __str__(self) -> str:
        return "the watcher is not running: use 'with'"


class Discovery:
    """`peerdisco.Discovery` on a thread of its own, with the same names, blocking.

    ```python
    with peerdisco.sync.Discovery("my-database") as disco:
        snapshot = disco.wait(required=3, timeout=120)
        for change in disco.watch():
            ...
    ```

    Any thread may use it. The thread ends with the block, and what waits in other threads with it.

    Args:
        args: As for `peerdisco.Discovery`.
        kwargs: As for `peerdisco.Discovery`.

    Raises:
        DiscoveryError: As for `peerdisco.Discovery`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._discovery = discovery.Discovery(*args, **kwargs)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._thread is not None:
            raise RuntimeError("a Discovery is started once: make another one")
        started: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(started)),
            name=f"peerdisco {self._discovery.service}",
            daemon=True,
        )
        self._thread.start()
        try:
            self._loop = started.result()
        except BaseException:
            self._thread.join()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _run(self, started: Future[asyncio.AbstractEventLoop]) -> None:
        """What the thread does: look until it is closed."""
        try:
            await self._discovery.__aenter__()
        except BaseException as error:  # noqa: BLE001 - raised where it was started
            started.set_exception(error)
            return
        try:
            started.set_result(asyncio.get_running_loop())
            await self._discovery.closed()
        finally:
            await self._discovery.aclose()

    def close(self) -> None:
        """Stop looking and end the thread. A second call does nothing.

        Raises:
            RuntimeError: A look failed in a way that it should not.
        """
        thread, loop = self._thread, self._loop
        if thread is None or loop is None or not thread.is_alive():
            return
        self._call(self._discovery.aclose())
        thread.join()

    def _call(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do it on the thread's event loop; if this one is interrupted, it is cancelled there."""
        if self._loop is None or self._loop.is_closed():
            work.close()
            raise _NotRunningError
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except CancelledError:
            raise _NotRunningError from None
        except BaseException:
            future.cancel()
            raise

    @property
    def service(self) -> str:
        """The service's fully qualified name, without the trailing dot."""
        return self._discovery.service

    @property
    def snapshot(self) -> Snapshot:
        """The membership as it is known now; without peers before the first answer."""
        return self._discovery.snapshot

    @property
    def local(self) -> Peer | None:
        """This pod among the peers; None if it is not listed, or not known who it is."""
        return self._discovery.local

    def refresh(self) -> None:
        """Look as soon as the minimal interval allows, instead of when it is due."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._discovery.refresh)

    def leaving(self) -> None:
        """Say that this pod is about to go; see `peerdisco.Discovery.leaving`."""
        self._discovery.leaving()

    def wait(
        self,
        required: int | Condition = 1,
        *,
        stable_for: float = 0.0,
        timeout: float | None = None,
    ) -> Snapshot:
        """Wait until there are enough peers; see `peerdisco.Discovery.wait`.

        Raises:
            NotReady: They were not there in time.
            RuntimeError: The watcher is not running.
        """
        return self._call(self._discovery.wait(required, stable_for=stable_for, timeout=timeout))

    def watch(self) -> Watch:
        """The changes, from now on; see `peerdisco.Discovery.watch`."""
        watch = self._discovery.watch()
        return Watch(lambda: self._call(_next_of(watch)))


async def _next_of(watch: discovery.Watch) -> Change | None:
    """The next change; None at the end, since no coroutine may raise StopAsyncIteration."""
    return await anext(watch, None)


class Watch(Iterator[Change]):
    """The changes as one consumer has seen them; see `Discovery.watch`."""

    def __init__(self, next_change: Callable[[], Change | None]) -> None:
        self._next_change = next_change

    def __next__(self) -> Change:
        try:
            change = self._next_change()
        except _NotRunningError:
            change = None
        if change is None:
            raise StopIteration
        return change
