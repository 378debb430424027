"""The blocking names."""

from __future__ import annotations

import asyncio
import inspect
import threading
import typing
from collections.abc import Callable

import pytest

import peerdisco
import peerdisco.sync
from peerdisco import discovery
from peerdisco.sources import once
from peerdisco.testing import ClusterDNS, ScriptedSource, peers

SERVICE = "db.shop.svc.cluster.local"
CLUSTER = "my-database.default.svc.cluster.local"
STATIC = "static:mysql-0=127.0.0.1:3306,mysql-1=127.0.0.1:3307"


def test_discover_returns_the_membership() -> None:
    snapshot = peerdisco.sync.discover(SERVICE, source=STATIC)
    assert [str(peer) for peer in snapshot] == ["mysql-0", "mysql-1"]
    assert snapshot == asyncio.run(peerdisco.discover(SERVICE, source=STATIC))


def test_it_can_be_called_again_and_leaves_no_loop() -> None:
    for _ in range(3):
        assert len(peerdisco.sync.discover(SERVICE, source=STATIC)) == 2
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


def test_errors_come_out_as_they_are() -> None:
    with pytest.raises(peerdisco.ConfigurationError, match="source: got 'nonsense'"):
        peerdisco.sync.discover(SERVICE, source="nonsense")


def test_errors_do_not_tell_of_a_loop_that_nobody_asked_for() -> None:
    with pytest.raises(peerdisco.ConfigurationError) as caught:
        peerdisco.sync.discover(SERVICE, source="nonsense")
    assert caught.value.__context__ is None


async def test_within_a_running_loop_it_says_what_to_use() -> None:
    with pytest.raises(RuntimeError, match=r"use: await peerdisco\.discover\(\)") as caught:
        peerdisco.sync.discover(SERVICE, source=STATIC)
    assert "peerdisco.sync.discover() would block" in str(caught.value)


def test_it_takes_what_the_other_takes() -> None:
    assert inspect.signature(peerdisco.sync.discover).parameters == (
        inspect.signature(peerdisco.discover).parameters
    )
    hints = typing.get_type_hints(once.discover)
    assert hints["return"] is peerdisco.Snapshot


def test_what_never_waited_is_the_same() -> None:
    assert peerdisco.sync.parse_pod_name is peerdisco.parse_pod_name
    assert peerdisco.sync.local_identity is peerdisco.local_identity


def test_every_public_name_is_there() -> None:
    assert all(hasattr(peerdisco.sync, name) for name in peerdisco.sync.__all__)
    assert set(peerdisco.sync.__all__) <= set(peerdisco.__all__)


# The watcher on a thread.


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "peerdisco " in thread.name]


def test_the_watcher_waits_and_watches_on_a_thread_of_its_own() -> None:
    with peerdisco.sync.Discovery(SERVICE, source=STATIC) as disco:
        assert threads() == [f"peerdisco {SERVICE}"]
        assert disco.service == SERVICE
        snapshot = disco.wait(2, timeout=10)
        assert [str(peer) for peer in snapshot] == ["mysql-0", "mysql-1"]
        change = next(disco.watch())
        assert [str(peer) for peer in change.joined] == ["mysql-0", "mysql-1"]
        assert disco.snapshot.peers == snapshot.peers
        disco.refresh()
    assert threads() == []


def test_the_watcher_says_what_was_there_when_the_time_is_up() -> None:
    with (
        peerdisco.sync.Discovery(SERVICE, source=STATIC) as disco,
        pytest.raises(peerdisco.NotReady, match="mysql-0, mysql-1"),
    ):
        disco.wait(3, timeout=0.2)
    assert threads() == []


def test_a_watcher_that_is_closed_says_so() -> None:
    disco = peerdisco.sync.Discovery(SERVICE, source=STATIC)
    with pytest.raises(RuntimeError, match="not running: use 'with'"):
        disco.wait()
    with disco:
        watch = disco.watch()
        next(watch)
    disco.close()
    disco.refresh()
    assert list(watch) == []
    with pytest.raises(RuntimeError, match="not running"):
        disco.wait()
    with pytest.raises(RuntimeError, match="started only once"):
        disco.__enter__()


def test_an_error_within_the_block_ends_the_thread() -> None:
    with (
        pytest.raises(ZeroDivisionError),
        peerdisco.sync.Discovery(SERVICE, source=STATIC),
    ):
        1 / 0  # noqa: B018
    assert threads() == []


@pytest.mark.timeout(10)
def test_a_watcher_that_cannot_start_says_so_and_does_not_hang() -> None:
    """The asyncio watcher within was started and closed already."""
    disco = peerdisco.sync.Discovery(SERVICE, source=STATIC)
    asyncio.run(disco._discovery.aclose())
    with pytest.raises(RuntimeError, match="started only once"):
        disco.__enter__()
    assert threads() == []


def test_the_watcher_takes_what_the_other_takes() -> None:
    ours = inspect.signature(peerdisco.sync.Discovery)
    assert ours.parameters == inspect.signature(peerdisco.Discovery).parameters
    for name in ("wait", "watch", "refresh", "leaving"):
        blocking, other = (
            getattr(module.Discovery, name) for module in (peerdisco.sync, peerdisco)
        )
        assert inspect.signature(blocking).parameters == inspect.signature(other).parameters


def test_every_argument_reaches_the_watcher(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}

    class Recorder:
        def __init__(self, service: object, **kwargs: object) -> None:
            seen.update(kwargs, service=service)

    monkeypatch.setattr(discovery, "Discovery", Recorder)
    given = {name: object() for name in inspect.signature(peerdisco.sync.Discovery).parameters}
    peerdisco.sync.Discovery(**given)  # type: ignore[arg-type]
    assert seen == given


# The end of the block.


@pytest.mark.parametrize("replicas", [3, 16, 100])
def test_the_block_ends_at_once_and_in_silence(cluster_dns: ClusterDNS, replicas: int) -> None:
    """From 16 pods on a TCP connection is kept, and has to be closed."""
    cluster_dns.statefulset("mysql", service="my-database", replicas=replicas)
    for _ in range(10):
        with peerdisco.sync.Discovery(
            CLUSTER, nameservers=[cluster_dns.nameserver], interval=0.05, min_interval=0.01
        ) as disco:
            assert len(disco.wait(replicas, timeout=10)) == replicas
        assert threads() == []


def test_the_block_ends_with_the_error_of_its_own(cluster_dns: ClusterDNS) -> None:
    cluster_dns.statefulset("mysql", service="my-database", replicas=40)
    disco = peerdisco.sync.Discovery(CLUSTER, nameservers=[cluster_dns.nameserver])
    with pytest.raises(ZeroDivisionError), disco:
        1 / len(disco.wait(40, timeout=10).missing)
    assert threads() == []


class Stuck(ScriptedSource):
    """Its close takes until it is released."""

    def __init__(self) -> None:
        super().__init__(SERVICE, [peers()])
        self.may_end = threading.Event()

    async def aclose(self) -> None:
        self.may_end.wait(20)


def test_a_source_that_blocks_the_close_is_reported_and_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(peerdisco.sync, "CLOSE_TIMEOUT", 0.05)
    source = Stuck()
    with (
        pytest.raises(peerdisco.WatcherError, match=r"did not end within 0\.05 s"),
        peerdisco.sync.Discovery(source=source) as disco,
    ):
        disco.wait(3, timeout=10)
    source.may_end.set()
    monkeypatch.undo()
    disco.close()
    assert threads() == []


def test_a_source_that_blocks_the_close_hides_no_error_of_the_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(peerdisco.sync, "CLOSE_TIMEOUT", 0.05)
    source = Stuck()
    with pytest.raises(ZeroDivisionError), peerdisco.sync.Discovery(source=source) as disco:
        1 / 0  # noqa: B018
    source.may_end.set()
    monkeypatch.undo()
    disco.close()
    assert threads() == []


@pytest.mark.parametrize("method", ["wait", "watch"])
def test_whoever_waits_in_another_thread_ends_with_the_block(method: str) -> None:
    ended: list[str] = []

    def work(disco: peerdisco.sync.Discovery) -> None:
        try:
            if method == "wait":
                disco.wait(9)
            else:
                for _ in disco.watch():
                    pass
        except peerdisco.WatcherError as error:
            ended.append(str(error))
        else:
            ended.append("in silence")

    for _ in range(20):
        with peerdisco.sync.Discovery(SERVICE, source=STATIC) as disco:
            waiting = [threading.Thread(target=work, args=(disco,)) for _ in range(4)]
            for thread in waiting:
                thread.start()
        for thread in waiting:
            thread.join(10)
            assert not thread.is_alive()
    expected = {"wait": ["the watcher is not running: use 'with'"], "watch": ["in silence"]}
    # A thread that begins after the end of the block is refused as one that waited is.
    assert len(ended) == 80
    assert set(ended) == set(expected[method])


# Within a running event loop.

BLOCKING: dict[str, Callable[[peerdisco.sync.Discovery], object]] = {
    "wait": lambda disco: disco.wait(2, timeout=5),
    "watch": lambda disco: next(disco.watch()),
    "close": lambda disco: disco.close(),
    "__enter__": lambda disco: disco.__enter__(),
}


@pytest.mark.parametrize("name", BLOCKING)
def test_what_blocks_refuses_to_block_a_running_loop(name: str) -> None:
    async def use() -> None:
        with pytest.raises(RuntimeError, match="would block the running event loop; use: "):
            BLOCKING[name](disco)

    with peerdisco.sync.Discovery(SERVICE, source=STATIC) as disco:
        asyncio.run(use())
    assert threads() == []


def test_what_does_not_block_works_within_a_running_loop() -> None:
    async def use() -> None:
        assert len(disco.snapshot) == 2
        assert disco.local is None
        disco.refresh()

    with peerdisco.sync.Discovery(SERVICE, source=STATIC) as disco:
        disco.wait(2, timeout=10)
        asyncio.run(use())


def test_a_condition_that_waits_for_its_own_watcher_is_refused() -> None:
    """The condition is called on the watcher's thread, whose loop it would stop for good."""

    def condition(snapshot: peerdisco.Snapshot) -> bool:
        return bool(disco.wait(1, timeout=1))

    with (
        peerdisco.sync.Discovery(SERVICE, source=STATIC) as disco,
        pytest.raises(RuntimeError, match="would block the running event loop"),
    ):
        disco.wait(condition, timeout=5)
