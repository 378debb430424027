"""However the lookups end, nobody waits for ever: it is a failed lookup, or all are notified."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

import peerdisco
import peerdisco.sync
from peerdisco.hooks import HookRunner
from peerdisco.model import Failed, Observation
from peerdisco.sources.lookup import lookup
from peerdisco.sources.shared import SharedSource, _SharedLookups
from peerdisco.testing import ManualClock, ScriptedSource, failure, peers

SECONDS = 5.0
"""Nothing here has to wait; who waits for so long hangs."""


async def inner_cancelled() -> Observation:
    """A future of the source's own is cancelled, and nobody cancelled the lookup."""
    future: asyncio.Future[Observation] = asyncio.get_running_loop().create_future()
    future.cancel()
    return await future


class Raises:
    """A source whose second lookup ends in an error, as none should."""

    service = "my-database.default.svc.cluster.local"

    def __init__(self, error: BaseException | None) -> None:
        self.error = error
        self.lookups = 0

    async def observe(self, *, timeout: float) -> Observation:
        self.lookups += 1
        if self.lookups != 2:
            return peers("mysql", 3 if self.lookups == 1 else 4)
        await asyncio.sleep(0)
        if self.error is None:
            return "nonsense"  # type: ignore[return-value]
        raise self.error

    async def aclose(self) -> None:
        pass


async def soon(work: Awaitable[Any]) -> Any:
    async with asyncio.timeout(SECONDS):
        return await work


# A failed lookup.


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(asyncio.CancelledError(), id="cancelled"),
        pytest.param(
            peerdisco.ResolverUnavailable("my-database", ()), id="raised and not returned"
        ),
    ],
)
async def test_it_is_a_failed_lookup(bad: BaseException) -> None:
    async with peerdisco.Discovery(source=Raises(bad), interval=0.1, min_interval=0.05) as disco:
        watch = disco.watch()
        assert len((await soon(anext(watch))).joined) == 3
        degraded = await soon(anext(watch))
        assert degraded.degraded
        assert len(degraded.snapshot) == 3
        error = degraded.snapshot.last_error
        assert error is bad or isinstance(error, peerdisco.SourceFailed)
        assert error is bad or error.__cause__ is bad
        assert (await soon(anext(watch))).recovered
        assert len(await soon(disco.wait(4))) == 4


async def test_discover_says_so_too() -> None:
    source = ScriptedSource("my-database", [inner_cancelled])
    with pytest.raises(peerdisco.SourceFailed, match="CancelledError"):
        await peerdisco.discover(source=source)


async def test_who_is_cancelled_is_cancelled() -> None:
    """A lookup that ends in it because of that is none that failed."""
    gate = asyncio.Event()

    async def never() -> Observation:
        gate.set()
        await asyncio.Event().wait()
        raise AssertionError

    task = asyncio.create_task(peerdisco.discover(source=ScriptedSource("my-database", [never])))
    await gate.wait()
    task.cancel()
    await asyncio.wait({task}, timeout=SECONDS)
    assert task.cancelled()


async def test_everybody_who_shares_the_lookup_goes_on() -> None:
    lookups = _SharedLookups(Raises(asyncio.CancelledError()), lambda: None)
    watchers = [
        peerdisco.Discovery(source=SharedSource(lookups, 0.0), interval=0.1, min_interval=0.05)
        for _ in range(3)
    ]
    async with contextlib.AsyncExitStack() as stack:
        for disco in watchers:
            await stack.enter_async_context(disco)
        assert [len(await soon(disco.wait(4))) for disco in watchers] == [4, 4, 4]


@pytest.mark.parametrize("error", [KeyboardInterrupt("a bug"), SystemExit(3)], ids=repr)
def test_what_ends_the_event_loop_ends_it_once_and_not_once_for_each_user(
    error: BaseException,
) -> None:
    loop = asyncio.new_event_loop()
    try:
        lookups = _SharedLookups(Raises(error), lambda: None)
        users = [SharedSource(lookups, 0.0) for _ in range(3)]
        loop.run_until_complete(users[0].observe(timeout=SECONDS))
        waiting = [loop.create_task(lookup(user, SECONDS)) for user in users]
        with pytest.raises(type(error)):
            loop.run_until_complete(asyncio.wait(waiting, timeout=SECONDS))
        for seen in loop.run_until_complete(asyncio.gather(*waiting)):
            assert isinstance(seen, Failed)
            assert isinstance(seen.error, peerdisco.SourceFailed)
            assert seen.error.__cause__ is error
    finally:
        loop.close()


async def test_a_shared_lookup_that_a_stranger_cancels_is_a_failed_one() -> None:
    begun = asyncio.Event()

    async def never() -> Observation:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    source = ScriptedSource("my-database", [never, peers("mysql", 4)])
    lookups = _SharedLookups(source, lambda: None)
    discos = [
        peerdisco.Discovery(source=SharedSource(lookups, 0.0), interval=0.1, min_interval=0.05)
        for _ in range(2)
    ]
    async with discos[0], discos[1]:
        await begun.wait()
        assert lookups._task is not None
        lookups._task.cancel()
        assert [len(await soon(disco.wait(4))) for disco in discos] == [4, 4]


@pytest.mark.parametrize("error", [OSError("no file"), None, "text"], ids=repr)
async def test_a_failure_without_a_fitting_error_is_a_failure(error: Any) -> None:
    source = ScriptedSource("my-database", [peers("mysql", 3), Failed(error), peers("mysql", 4)])
    async with peerdisco.Discovery(source=source, interval=0.1, min_interval=0.05) as disco:
        watch = disco.watch()
        await soon(anext(watch))
        degraded = await soon(anext(watch))
        assert degraded.degraded
        assert isinstance(degraded.snapshot.last_error, peerdisco.SourceFailed)
        assert repr(error) in str(degraded.snapshot.last_error)
        assert (await soon(anext(watch))).recovered


# An error that ends the lookups: everybody gets it.


ENDS = [
    pytest.param(ZeroDivisionError("a bug"), id="Exception"),
    pytest.param(ExceptionGroup("bugs", [ValueError("a bug")]), id="ExceptionGroup"),
    pytest.param(BaseExceptionGroup("bugs", [asyncio.CancelledError()]), id="BaseExceptionGroup"),
    pytest.param(GeneratorExit("a bug"), id="GeneratorExit"),
    pytest.param(TimeoutError("a bug"), id="TimeoutError"),
    pytest.param(None, id="no observation"),
]


@contextlib.asynccontextmanager
async def failing(error: BaseException | None) -> AsyncIterator[peerdisco.Discovery]:
    """A watcher that has had one answer, and fails at its second lookup."""
    async with peerdisco.Discovery(source=Raises(error), interval=0.1, min_interval=0.05) as disco:
        await disco.wait(3)
        yield disco


async def watched(disco: peerdisco.Discovery) -> None:
    async for _ in disco.watch():
        pass


async def hooked(disco: peerdisco.Discovery) -> None:
    await HookRunner(disco, on_change=lambda change: None).run()


CONSUMERS: dict[str, Callable[[peerdisco.Discovery], Awaitable[Any]]] = {
    "wait": lambda disco: disco.wait(9),
    "wait for stability": lambda disco: disco.wait(1, stable_for=1000),
    "watch": watched,
    "closed": lambda disco: disco.closed(),
    "hooks": hooked,
}


@pytest.mark.parametrize("error", ENDS)
async def test_every_consumer_gets_the_error(error: BaseException | None) -> None:
    with pytest.raises(peerdisco.WatcherError) as at_the_end:  # noqa: PT012 - the block raises
        async with failing(error) as disco:
            tasks = {
                name: asyncio.ensure_future(consume(disco))  # type: ignore[arg-type]
                for name, consume in CONSUMERS.items()
            }
            done, _ = await asyncio.wait(tasks.values(), timeout=SECONDS)
            assert {name: task.done() for name, task in tasks.items()} == dict.fromkeys(tasks, True)
            errors = [task.exception() for task in done]
            for consume in CONSUMERS.values():  # and those who come afterwards
                with pytest.raises(peerdisco.WatcherError) as caught:
                    await soon(consume(disco))
                errors.append(caught.value)
            for one in errors:
                assert isinstance(one, peerdisco.WatcherError)
                assert isinstance(one, RuntimeError)
                assert "the watcher has failed" in str(one)
                assert error is None or one.__cause__ is error
            assert disco.snapshot.stale
            assert isinstance(disco.snapshot.last_error, peerdisco.WatcherError)
            assert len(disco.snapshot) == 3, "a failure is never a departure"
    assert "the watcher has failed" in str(at_the_end.value)


@pytest.mark.parametrize("error", ENDS)
async def test_run_gets_the_error(error: BaseException | None) -> None:
    disco = peerdisco.Discovery(source=Raises(error), interval=0.1, min_interval=0.05)
    with pytest.raises(peerdisco.WatcherError, match="the watcher has failed"):
        await soon(disco.run())


@pytest.mark.parametrize("error", [KeyboardInterrupt("a bug"), SystemExit(3)], ids=repr)
def test_what_ends_the_event_loop_does_not_leave_consumers_waiting(error: BaseException) -> None:
    """The loop is run again afterwards, as in a notebook: whoever waited gets the error."""
    loop = asyncio.new_event_loop()
    try:
        disco = peerdisco.Discovery(source=Raises(error), interval=0.1, min_interval=0.05)
        loop.run_until_complete(disco.__aenter__())
        waiting = loop.create_task(disco.wait(9))
        with pytest.raises(type(error)):
            loop.run_until_complete(asyncio.wait({waiting}, timeout=SECONDS))
        with pytest.raises(peerdisco.WatcherError) as caught:
            loop.run_until_complete(soon(waiting))
        assert caught.value.__cause__ is error
        loop.run_until_complete(disco.aclose())
    finally:
        loop.close()


async def test_a_stranger_who_cancels_all_tasks_ends_nobody_silently() -> None:
    clock = ManualClock()
    source = ScriptedSource("my-database", [peers("mysql", 3)])
    before = asyncio.all_tasks()
    with pytest.raises(peerdisco.WatcherError, match="CancelledError"):  # noqa: PT012
        async with peerdisco.Discovery(source=source, clock=clock) as disco:
            await clock.advance(1)
            for task in asyncio.all_tasks() - before:
                task.cancel()
            consumers = [
                asyncio.ensure_future(consume(disco))  # type: ignore[arg-type]
                for consume in CONSUMERS.values()
            ]
            await asyncio.wait(consumers, timeout=SECONDS)
            assert [type(one.exception()) for one in consumers] == (
                [peerdisco.WatcherError] * len(CONSUMERS)
            )


async def test_it_is_reported_although_the_task_never_began() -> None:
    disco = peerdisco.Discovery(source=ScriptedSource("my-database", [peers("mysql", 3)]))
    with pytest.raises(peerdisco.WatcherError):  # noqa: PT012
        async with disco:
            assert disco._task is not None
            disco._task.cancel()
            await soon(disco.wait(9))


async def test_an_error_in_the_last_turn_is_raised_at_the_end_of_the_block() -> None:
    """The lookup fails while the watcher is being closed."""

    class Stubborn(Raises):
        async def observe(self, *, timeout: float) -> Observation:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise ZeroDivisionError("a bug") from None
            raise AssertionError

    with pytest.raises(peerdisco.WatcherError, match="a bug"):
        async with peerdisco.Discovery(source=Stubborn(None)):
            await asyncio.sleep(0)


async def test_a_source_that_takes_a_cancellation_for_a_failure_does_not_keep_it_open() -> None:
    class Swallows(Raises):
        async def observe(self, *, timeout: float) -> Observation:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            return failure()

    disco = peerdisco.Discovery(source=Swallows(None))
    async with disco:
        await asyncio.sleep(0)
        await soon(disco.aclose())


async def test_the_block_s_own_error_is_not_hidden() -> None:
    with pytest.raises(KeyError):  # noqa: PT012
        async with failing(ZeroDivisionError("a bug")) as disco:
            with pytest.raises(peerdisco.WatcherError):
                await soon(disco.wait(9))
            raise KeyError


@pytest.mark.parametrize("error", ENDS)
def test_the_blocking_one_gets_the_error(error: BaseException | None) -> None:
    disco = peerdisco.sync.Discovery(source=Raises(error), interval=0.1, min_interval=0.05)
    with pytest.raises(peerdisco.WatcherError) as at_the_end, disco:  # noqa: PT012
        watch = disco.watch()
        assert len(next(watch).joined) == 3
        consumers: list[Callable[[], Any]] = [lambda: disco.wait(9), lambda: next(watch)]
        for consume in consumers * 2:
            with pytest.raises(peerdisco.WatcherError, match="has failed") as caught:
                consume()
            assert error is None or caught.value.__cause__ is error
        assert disco.snapshot.stale
    assert "the watcher has failed" in str(at_the_end.value)
