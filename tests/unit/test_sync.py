"""The blocking names."""

from __future__ import annotations

import asyncio
import inspect
import threading
import typing

import pytest

import peerdisco
import peerdisco.sync
from peerdisco import discovery

SERVICE = "db.shop.svc.cluster.local"
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
    hints = typing.get_type_hints(discovery.discover)
    assert hints["return"] is peerdisco.Snapshot


def test_what_never_waited_is_the_same() -> None:
    assert peerdisco.sync.parse_pod_name is peerdisco.parse_pod_name
    assert peerdisco.sync.local_identity is peerdisco.local_identity


def test_every_public_name_is_there() -> None:
    assert all(hasattr(peerdisco.sync, name) for name in peerdisco.sync.__all__)
    assert set(peerdisco.sync.__all__) <= set(peerdisco.__all__)


# The watcher on a thread.


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "peerdisco" in thread.name]


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
    with pytest.raises(RuntimeError, match="started once"):
        disco.__enter__()


def test_an_error_within_the_block_ends_the_thread() -> None:
    with (
        pytest.raises(ZeroDivisionError),
        peerdisco.sync.Discovery(SERVICE, source=STATIC),
    ):
        1 / 0  # noqa: B018
    assert threads() == []


@pytest.mark.timeout(10)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_watcher_that_cannot_start_says_so_and_does_not_hang() -> None:
    """The asyncio watcher within was started and closed already."""
    disco = peerdisco.sync.Discovery(SERVICE, source=STATIC)
    asyncio.run(disco._discovery.aclose())
    with pytest.raises(RuntimeError, match="started once"):
        disco.__enter__()
    assert threads() == []
