"""Reading the pod's environment and files, once and again."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from peerdisco.names import Endpoint
from peerdisco.pod import environment, files
from peerdisco.pod.environment import (
    FIRST_PATIENCE,
    PATIENCE,
    PodEnvironment,
    ResolvConfFile,
    read_pod_environment,
)
from peerdisco.pod.identity import local_identity


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take longer for a file than an event loop is held."""
    monkeypatch.setattr(environment, "PATIENCE", 5.0)


def test_files_that_cannot_be_read_tell_nothing(tmp_path: Path) -> None:
    directory = str(tmp_path)
    absent = str(tmp_path / "absent")
    pod = read_pod_environment(
        environ={}, resolv_conf=directory, hosts=absent, namespace_file=absent
    )
    assert pod == PodEnvironment(hostname=socket.gethostname())
    assert not pod.in_pod


def test_bytes_that_are_no_utf8_do_not_stop_the_reading(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_bytes(b"# Kubernetes-managed hosts file.\n# \xff\xfe\n10.0.0.3 mysql-0\n")
    absent = str(tmp_path / "absent")
    pod = read_pod_environment(
        environ={"POD_NAME": "mysql-0", "POD_NAMESPACE": "shop"},
        resolv_conf=absent,
        hosts=str(hosts),
        namespace_file=absent,
    )
    assert local_identity(pod_environment=pod).addresses == (ip_address("10.0.0.3"),)


def test_the_environment_is_the_processs_own_by_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POD_NAME", "mysql-5")
    monkeypatch.setenv("POD_NAMESPACE", "shop")
    identity = local_identity()
    assert (identity.pod_name, identity.namespace) == ("mysql-5", "shop")


def test_the_namespace_file_ends_with_or_without_a_line_break(tmp_path: Path) -> None:
    (tmp_path / "namespace").write_text("shop\n")
    pod = read_pod_environment(environ={}, namespace_file=str(tmp_path / "namespace"))
    assert pod.service_account_namespace == "shop"
    assert pod.in_pod


@pytest.mark.parametrize("mark", ["\u2028", "\x85", "\x0b", "\x0c", "\x1c", "\r"], ids=ascii)
def test_nothing_but_a_newline_ends_a_line_of_a_file(tmp_path: Path, mark: str) -> None:
    hosts, resolv_conf = tmp_path / "hosts", tmp_path / "resolv.conf"
    hosts.write_bytes(
        f"# Kubernetes-managed hosts file.\n# was:{mark}10.6.6.6\tmysql-0\n"
        "10.0.0.3\tmysql-0\r\n".encode()
    )
    resolv_conf.write_bytes(f"# was:{mark}nameserver 10.6.6.6\nnameserver 10.0.0.1\r\n".encode())
    pod = read_pod_environment(
        environ={"POD_NAME": "mysql-0", "POD_NAMESPACE": "shop"},
        resolv_conf=str(resolv_conf),
        hosts=str(hosts),
        namespace_file=str(tmp_path / "absent"),
    )
    assert pod.resolv_conf.nameservers == (Endpoint("10.0.0.1", 53),)
    assert ResolvConfFile(str(resolv_conf)).nameservers() == (Endpoint("10.0.0.1", 53),)
    assert local_identity(pod_environment=pod).addresses == (ip_address("10.0.0.3"),)


def test_a_name_server_that_is_no_address_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver kube-dns\nnameserver 10.0.0.1\n")
    file = ResolvConfFile(str(path))
    for _ in range(3):
        assert file.nameservers() == (Endpoint("10.0.0.1", 53),)
    (message,) = caplog.messages
    assert "'kube-dns' is not an IP address" in message


# A resolv.conf that changes.


def test_name_servers_are_read_again_when_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    file = ResolvConfFile(str(path))
    assert file.nameservers() == ()
    path.write_text("nameserver 10.0.0.1\n")
    assert file.nameservers() == (Endpoint("10.0.0.1", 53),)
    path.write_text("nameserver 10.0.0.1\nnameserver 10.0.0.2\n")
    assert file.nameservers() == (Endpoint("10.0.0.1", 53), Endpoint("10.0.0.2", 53))
    # The kubelet, as others do, puts a new file in the old one's place.
    other = tmp_path / "new"
    other.write_text("nameserver 10.0.0.3\nnameserver 10.0.0.4\n")
    other.replace(path)
    assert file.nameservers() == (Endpoint("10.0.0.3", 53), Endpoint("10.0.0.4", 53))


@pytest.mark.parametrize("broken", ["", "nameserver\n", "# written just now\n", None])
def test_a_file_that_has_none_for_a_moment_keeps_the_last_ones(
    tmp_path: Path, broken: str | None
) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 10.0.0.1\n")
    file = ResolvConfFile(str(path))
    assert file.nameservers() == (Endpoint("10.0.0.1", 53),)
    if broken is None:
        path.unlink()
    else:
        path.write_text(broken)
    assert file.nameservers() == (Endpoint("10.0.0.1", 53),)
    path.write_text("nameserver 10.0.0.22\n")
    assert file.nameservers() == (Endpoint("10.0.0.22", 53),)


# A file that cannot be read at once.


def test_a_fifo_is_no_file_and_holds_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    start = time.monotonic()
    pod = read_pod_environment(
        environ={}, resolv_conf=str(fifo), hosts=str(fifo), namespace_file=str(fifo)
    )
    assert pod == PodEnvironment(hostname=socket.gethostname())
    assert caplog.messages == [f"{fifo} is not a regular file, taken as empty"]
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 10.0.0.1\n")
    file = ResolvConfFile(str(path))
    assert file.nameservers() == (Endpoint("10.0.0.1", 53),)
    fifo.replace(path)
    for _ in range(3):
        assert file.nameservers() == (Endpoint("10.0.0.1", 53),)
    assert len(caplog.messages) == 2, "said once for each file"
    assert time.monotonic() - start < FIRST_PATIENCE


@pytest.fixture
def hangs(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """While the event is not set, every system call on a file hangs, as on a mount that is lost."""
    back, stat, open_ = threading.Event(), os.stat, os.open
    back.set()

    def waits(call: Callable[..., Any]) -> Callable[..., Any]:
        def hanging(*args: Any, **options: Any) -> Any:
            back.wait()
            return call(*args, **options)

        return hanging

    monkeypatch.setattr(environment, "os", SimpleNamespace(environ=os.environ, stat=waits(stat)))
    monkeypatch.setattr(files, "os", SimpleNamespace(**{**vars(os), "open": waits(open_)}))
    yield back
    back.set()
    for thread in threading.enumerate():
        if thread.name == "peerdisco files":
            thread.join(10)


def test_a_mount_that_hangs_costs_the_first_reading_a_second(
    tmp_path: Path, hangs: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "hosts").write_text("10.0.0.3 mysql-0\n")
    hangs.clear()
    start = time.monotonic()
    pod = read_pod_environment(environ={}, hosts=str(tmp_path / "hosts"))
    assert FIRST_PATIENCE <= time.monotonic() - start < FIRST_PATIENCE + 2
    assert pod == PodEnvironment(hostname=socket.gethostname())
    (message,) = caplog.messages
    assert message.startswith("cannot read within 1 s, taken as empty: ")
    assert str(tmp_path / "hosts") in message


def test_while_a_mount_hangs_the_last_name_servers_are_used(
    tmp_path: Path, hangs: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert PATIENCE < 0.05
    monkeypatch.setattr(environment, "PATIENCE", PATIENCE)
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 10.0.0.1\n")
    file = ResolvConfFile(str(path))
    while file.nameservers() != (Endpoint("10.0.0.1", 53),):
        pass
    path.write_text("nameserver 10.0.0.22\n")
    hangs.clear()
    threads = threading.active_count()
    start = time.monotonic()
    for _ in range(200):
        assert file.nameservers() == (Endpoint("10.0.0.1", 53),)
    assert time.monotonic() - start < 2, "only one of them waits, for the patience of a lookup"
    assert threading.active_count() == threads + 1
    hangs.set()
    deadline = time.monotonic() + 10
    while file.nameservers() != (Endpoint("10.0.0.22", 53),):
        assert time.monotonic() < deadline
    assert threading.active_count() == threads


def test_a_resolv_conf_that_is_too_long_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 10.0.0.1\n" + "#\n" * 40_000)
    file = ResolvConfFile(str(path))
    assert file.nameservers() == (Endpoint("10.0.0.1", 53),)
    assert file.nameservers() == (Endpoint("10.0.0.1", 53),)
    ignored = 20 + 80_000 - 65_536
    assert caplog.messages == [f"{path} is too long: its last {ignored} characters are ignored"]
