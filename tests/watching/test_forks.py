"""A watcher does not survive a fork; in the child it says so, and never waits.

The child has a copy of the watcher's memory, and neither its task nor its thread.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

import peerdisco
import peerdisco.sync
from peerdisco.testing import ClusterDNS, StatefulSet

from .forking import error_of, in_child

pytestmark = [
    # What Python 3.12 and later say of a fork beside threads, which is what is tried here.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
SERVICE = "my-database.default.svc.cluster.local"
REPLICAS = 20
"""So many that a TCP connection is kept."""

ME = peerdisco.Identity("mysql-1", "default", 1, "mysql")


@pytest.fixture
def mysql(cluster_dns: ClusterDNS) -> StatefulSet:
    return cluster_dns.statefulset("mysql", service="my-database", replicas=REPLICAS)


@pytest.fixture
def arguments(cluster_dns: ClusterDNS, mysql: StatefulSet) -> dict[str, Any]:
    return {
        "nameservers": [cluster_dns.nameserver],
        "identity": ME,
        "interval": 0.05,
        "min_interval": 0.02,
    }


@pytest.fixture
def disco(arguments: dict[str, Any]) -> Iterator[peerdisco.sync.Discovery]:
    with peerdisco.sync.Discovery(SERVICE, **arguments) as running:
        running.wait(REPLICAS, timeout=10)
        yield running


def assert_says_what_to_do(error: tuple[str, str], parent: int | None = None) -> None:
    name, text = error
    assert name == "WatcherError"
    assert f"the watcher runs in process {parent or os.getpid()}" in text
    assert "create a Discovery in each process, after the fork" in text
    assert "\n" not in text


# The blocking watcher.

Use = Callable[[peerdisco.sync.Discovery], Any]

REFUSED: dict[str, Use] = {
    "wait": lambda disco: disco.wait(1),
    "wait with a timeout": lambda disco: disco.wait(99, timeout=2),
    "watch": lambda disco: disco.watch(),
    "refresh": lambda disco: disco.refresh(),
    "leaving": lambda disco: disco.leaving(),
    "with": lambda disco: disco.__enter__(),
}


@pytest.mark.parametrize("use", REFUSED)
def test_what_needs_the_watcher_is_refused(disco: peerdisco.sync.Discovery, use: str) -> None:
    assert_says_what_to_do(tuple(in_child(lambda: error_of(lambda: REFUSED[use](disco)))))


def test_a_watch_that_was_begun_before_is_refused(disco: peerdisco.sync.Discovery) -> None:
    watch = disco.watch()
    next(watch)
    assert_says_what_to_do(tuple(in_child(lambda: error_of(lambda: next(watch)))))


def facts(snapshot: peerdisco.Snapshot) -> dict[str, Any]:
    return {
        "peers": len(snapshot),
        "stale": snapshot.stale,
        "error": error_of(lambda: _raise(snapshot.last_error)),
        "age": snapshot.age,
    }


def _raise(error: BaseException | None) -> None:
    if error is not None:
        raise error


def test_the_snapshot_is_stale_and_ages(disco: peerdisco.sync.Discovery) -> None:
    def child() -> list[dict[str, Any]]:
        first = facts(disco.snapshot)
        time.sleep(0.02)
        return [first, facts(disco.snapshot)]

    first, second = in_child(child)
    assert first["peers"] == second["peers"] == REPLICAS
    assert first["stale"]
    assert second["stale"]
    assert_says_what_to_do(tuple(first["error"]))
    assert second["age"] >= first["age"] + 0.02
    assert not disco.snapshot.stale, "the parent's is as it was"


def test_a_snapshot_without_an_answer_is_stale_too(
    cluster_dns: ClusterDNS, arguments: dict[str, Any]
) -> None:
    cluster_dns.fail("drop")
    with peerdisco.sync.Discovery(SERVICE, **arguments) as disco:
        assert in_child(lambda: facts(disco.snapshot))["stale"]


def test_who_this_pod_is_is_known(disco: peerdisco.sync.Discovery) -> None:
    assert in_child(lambda: [str(disco.local), disco.service, disco.forked]) == [
        "mysql-1",
        SERVICE,
        True,
    ]


@pytest.mark.parametrize("how", ["close", "the end of the block", "an error in the block"])
def test_leaving_in_the_child_leaves_the_parent_alone(
    disco: peerdisco.sync.Discovery, mysql: StatefulSet, how: str
) -> None:
    def child() -> str:
        if how == "close":
            disco.close()
            disco.close()
        elif how == "the end of the block":
            disco.__exit__(None, None, None)
        else:
            error = ZeroDivisionError()
            assert disco.__exit__(type(error), error, None) is None
        return "left"

    watch = disco.watch()
    next(watch)
    assert in_child(child) == "left"
    mysql.scale(REPLICAS + 1)
    assert [peer.name for peer in next(watch).joined] == [f"mysql-{REPLICAS}"]
    assert len(disco.wait(REPLICAS + 1, timeout=10)) == REPLICAS + 1


def test_a_block_that_is_left_in_the_child_as_well(arguments: dict[str, Any]) -> None:
    """The whole life at once: the fork within the block, and both processes leave it."""
    parent, (reading, writing) = os.getpid(), os.pipe()
    with peerdisco.sync.Discovery(SERVICE, **arguments) as disco:
        disco.wait(REPLICAS, timeout=10)
        child = os.fork()
    if os.getpid() != parent:
        os.write(writing, b"left")
        os._exit(7)
    os.close(writing)
    assert os.read(reading, 9) == b"left"
    os.close(reading)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_fork_of_a_fork(disco: peerdisco.sync.Discovery) -> None:
    def grandchild() -> list[Any]:
        return [error_of(lambda: disco.wait(1, timeout=2)), disco.snapshot.stale]

    error, stale = in_child(lambda: in_child(grandchild))
    assert_says_what_to_do(tuple(error), os.getpid())
    assert stale


def test_locks_that_other_threads_held_at_the_fork_hold_up_nothing(
    disco: peerdisco.sync.Discovery,
) -> None:
    held, release = threading.Event(), threading.Event()
    worker = disco._worker
    assert worker is not None

    def hold() -> None:
        with worker._lock:
            held.set()
            release.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)

    def child() -> list[str]:
        errors = [error_of(lambda use=use: use(disco))[0] for use in REFUSED.values()]
        disco.close()
        return [*errors, str(disco.snapshot.stale)]

    try:
        assert set(in_child(child)) == {"WatcherError", "True"}
    finally:
        release.set()
        thread.join()


def test_a_fork_while_other_threads_wait(disco: peerdisco.sync.Discovery) -> None:
    def wait() -> None:
        with pytest.raises(peerdisco.NotReady):
            disco.wait(99, timeout=0.5)

    waiting = [threading.Thread(target=wait) for _ in range(3)]
    for thread in waiting:
        thread.start()
    assert in_child(lambda: error_of(lambda: disco.wait(1, timeout=2)))[0] == "WatcherError"
    for thread in waiting:
        thread.join()


def test_the_child_makes_one_of_its_own(
    disco: peerdisco.sync.Discovery, arguments: dict[str, Any]
) -> None:
    def child() -> list[int]:
        with peerdisco.sync.Discovery(SERVICE, **arguments) as own:
            return [len(own.wait(REPLICAS, timeout=5)), len(peerdisco.sync.discover(**once))]

    once = {"service": SERVICE, "nameservers": arguments["nameservers"]}
    assert in_child(child) == [REPLICAS, REPLICAS]


def test_one_that_was_made_before_the_fork_can_be_started_after_it(
    arguments: dict[str, Any],
) -> None:
    disco = peerdisco.sync.Discovery(SERVICE, **arguments)

    def child() -> int:
        with disco:
            return len(disco.wait(REPLICAS, timeout=5))

    assert in_child(child) == REPLICAS
    with disco:
        assert len(disco.wait(REPLICAS, timeout=5)) == REPLICAS


# The asyncio watcher.


async def _anext(watch: peerdisco.Watch) -> Any:
    return await anext(watch)


async def _call(function: Callable[[], Any]) -> Any:
    return function()


AsyncUse = Callable[[peerdisco.Discovery], Coroutine[Any, Any, Any]]

ASYNC_REFUSED: dict[str, AsyncUse] = {
    "wait": lambda disco: disco.wait(1),
    "wait with a timeout": lambda disco: disco.wait(99, timeout=2),
    "watch": lambda disco: _anext(disco.watch()),
    "refresh": lambda disco: _call(disco.refresh),
    "leaving": lambda disco: _call(disco.leaving),
    "closed": lambda disco: disco.closed(),
    "run": lambda disco: disco.run(),
    "async with": lambda disco: disco.__aenter__(),
}


@pytest.mark.parametrize("use", ASYNC_REFUSED)
def test_what_needs_the_task_is_refused(arguments: dict[str, Any], use: str) -> None:
    async def parent() -> Any:
        async with peerdisco.Discovery(SERVICE, **arguments) as disco:
            await disco.wait(REPLICAS, timeout=10)
            return in_child(
                lambda: [
                    error_of(lambda: asyncio.run(ASYNC_REFUSED[use](disco))),
                    facts(disco.snapshot),
                ]
            )

    error, snapshot = asyncio.run(parent())
    assert_says_what_to_do(tuple(error))
    assert snapshot["stale"]
    assert snapshot["peers"] == REPLICAS


def test_closing_in_the_child_leaves_the_parent_alone(
    arguments: dict[str, Any], mysql: StatefulSet
) -> None:
    async def leave(disco: peerdisco.Discovery) -> str:
        await disco.aclose()
        await disco.__aexit__(None, None, None)
        return "left"

    async def parent() -> int:
        async with peerdisco.Discovery(SERVICE, **arguments) as disco:
            await disco.wait(REPLICAS, timeout=10)
            assert in_child(lambda: asyncio.run(leave(disco))) == "left"
            mysql.scale(REPLICAS + 1)
            return len(await disco.wait(REPLICAS + 1, timeout=10))

    assert asyncio.run(parent()) == REPLICAS + 1


# multiprocessing.


def _use(disco: peerdisco.sync.Discovery, queue: Any) -> None:
    queue.put(error_of(lambda: disco.wait(1, timeout=2)))


def test_multiprocessing_that_forks(disco: peerdisco.sync.Discovery) -> None:
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=_use, args=(disco, queue))
    process.start()
    process.join(20)
    assert process.exitcode == 0
    assert_says_what_to_do(queue.get())


PICKLES = """\
import multiprocessing
import peerdisco

with peerdisco.sync.Discovery("a.b.svc.c", source="static:mysql-0=127.0.0.1:3306") as disco:
    process = multiprocessing.get_context("{}").Process(target=print, args=(disco,))
    try:
        process.start()
    except peerdisco.WatcherError as error:
        print(error)
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_multiprocessing_that_pickles(method: str) -> None:
    """In a process of its own: the server of forkserver ends with the process that started it."""
    said = subprocess.run(
        [sys.executable, "-c", PICKLES.format(method)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert said.stdout.strip() == (
        "a Discovery cannot be pickled or copied: create one in the process that uses it"
    )


@pytest.mark.parametrize("kind", [peerdisco.Discovery, peerdisco.sync.Discovery])
def test_no_watcher_is_pickled(arguments: dict[str, Any], kind: Any) -> None:
    with pytest.raises(peerdisco.WatcherError, match="cannot be pickled"):
        pickle.dumps(kind(SERVICE, **arguments))
