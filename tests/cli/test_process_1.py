"""Every command that waits ends on signals, as any process and as process 1."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import termios
import time

import pytest

from peerdisco.testing import ClusterDNS
from tests.hooks.running import Running, running

from .command import bare_environment
from .process_1 import ENDING, UNSHARE, as_process_1, process_1

WAITING = {
    "peers": ("peers", "my-database", "--timeout", "300"),
    "primary": ("primary", "my-database", "--timeout", "300"),
    "primary --wait": ("primary", "my-database", "--wait"),
    "is-primary": ("is-primary", "my-database", "--timeout", "300"),
    "clone-source": ("clone-source", "my-database", "--timeout", "300"),
    "backup-candidate": ("backup-candidate", "my-database", "--timeout", "300"),
    "wait": ("wait", "my-database", "--required", "3"),
}
"""Commands with an outcome of their own: a signal that ends them shows in the status."""

GOING_ON = {
    "watch": ("watch", "my-database"),
    "run": ("run", "my-database", "--on-change", "true"),
    "mysql-sidecar": ("mysql-sidecar", "my-database", "--listen", "127.0.0.1:0"),
    "simulate": ("simulate", "--plain", "--speed", "0.001"),
}
"""Commands that go on until they are ended."""


@pytest.fixture
def silent(dns: ClusterDNS) -> ClusterDNS:
    """A name server that is asked, and does not answer."""
    dns.fail("drop")
    return dns


@pytest.fixture
def env(dns: ClusterDNS) -> dict[str, str]:
    return {
        **dns.environment,
        "POD_NAME": "mysql-0",
        "POD_IP": "10.244.0.3",
        "PEERDISCO_MYSQL_PASSWORD": "local",
        "PEERDISCO_MYSQL_REPLICATION_PASSWORD": "replication",
        "PEERDISCO_MYSQL_HOST": "127.0.0.1",
        "PEERDISCO_MYSQL_PORT": "9",
    }


def until_it_waits(run: Running, args: tuple[str, ...], dns: ClusterDNS) -> None:
    if args[0] == "simulate":
        run.line()
        return
    while not dns.queries:
        assert run.process.poll() is None
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        *[(name, number) for name in [*WAITING, *GOING_ON] for number in ENDING[:1]],
        *[(name, number) for name in ("peers", "wait", "watch") for number in ENDING[1:]],
    ],
)
def test_a_signal_ends_it(silent: ClusterDNS, env: dict[str, str], name: str, number: int) -> None:
    args = {**WAITING, **GOING_ON}[name]
    with running(*args, env=env) as run:
        until_it_waits(run, args, silent)
        status, _, err, seconds = run.end(number)
    assert status == (128 + number if name in WAITING else 0)
    assert seconds < 10
    assert "Traceback" not in err


@as_process_1
@pytest.mark.parametrize("name", [*WAITING, *GOING_ON])
def test_a_signal_ends_process_1(silent: ClusterDNS, env: dict[str, str], name: str) -> None:
    args = {**WAITING, **GOING_ON}[name]
    with running(*args, env=env, before=UNSHARE) as run:
        until_it_waits(run, args, silent)
        start = time.monotonic()
        os.kill(process_1(run), signal.SIGTERM)
        status, _, err = run.ended()
    assert time.monotonic() - start < 10
    assert status == (143 if name in WAITING else 0)
    assert "Traceback" not in err


def waiting_bytes(pipe: int) -> int:
    """How much can be read from a pipe."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4), sys.byteorder)


@as_process_1
def test_a_signal_ends_process_1_that_writes_to_nobody_who_reads(
    dns: ClusterDNS, env: dict[str, str]
) -> None:
    dns.statefulset("big", service="big", replicas=800)
    reader, writer = os.pipe()
    size = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    args = ("peers", "big", "-o", "json")
    with running(*args, env=env, before=UNSHARE, stdout=writer) as run:
        os.close(writer)
        while waiting_bytes(reader) < size:
            assert run.process.poll() is None
            time.sleep(0.01)
        os.kill(process_1(run), signal.SIGTERM)
        status, _, err = run.ended()
    os.close(reader)
    assert (status, err) == (143, "")


def test_a_signal_that_was_to_be_ignored_is_ignored(
    silent: ClusterDNS, env: dict[str, str]
) -> None:
    nohup = ("sh", "-c", 'trap "" HUP; exec "$@"', "sh")
    args = WAITING["wait"]
    with running(*args, env=bare_environment(env), before=nohup) as run:
        until_it_waits(run, args, silent)
        run.process.send_signal(signal.SIGHUP)
        asked = len(silent.queries)
        while len(silent.queries) < asked + 2:
            assert run.process.poll() is None
            time.sleep(0.01)
        assert run.end()[0] == 143
