"""Logs and metrics of the commands that run on."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from peerdisco.testing import ClusterDNS
from tests.hooks.running import running

from .command import bare_environment, peerdisco


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def test_an_outage_is_a_json_line_with_its_facts(dns: ClusterDNS, env: dict[str, str]) -> None:
    with running("watch", "my-database", "--log-format", "json", env=env) as watch:
        joined = json.loads(watch.complaint())
        assert (joined["level"], joined["event"]) == ("info", "changed")
        assert joined["joined"] == ["mysql-0", "mysql-1", "mysql-2"]
        with dns.fail("servfail"):
            failed = json.loads(watch.complaint())
        assert (failed["level"], failed["logger"]) == ("warning", "peerdisco.discovery")
        assert failed["outcome"] == "servfail"
        assert failed["server"] == dns.nameserver
        assert failed["service"] == "my-database.default.svc.cluster.local"
        recovered = json.loads(watch.complaint())
        assert (recovered["event"], recovered["level"]) == ("recovered", "info")
        assert watch.end()[2] == ""


def test_a_hook_reports_through_the_same_log(env: dict[str, str]) -> None:
    options = ("--on-change", "false", "--attempts", "1", "--log-format", "json")
    with running("run", "my-database", *options, "--log-level", "warning", env=env) as run:
        failed = json.loads(run.complaint())
        assert (failed["logger"], failed["level"]) == ("peerdisco.hooks", "warning")
        assert "the on-change hook failed (1 of 1)" in failed["message"]
        run.end()


def test_every_lookup_is_in_the_debug_log(env: dict[str, str]) -> None:
    with running("watch", "my-database", "--log-level", "debug", env=env) as watch:
        lines = [watch.complaint() for _ in range(4)]
        assert sum(" DEBUG peerdisco.discovery: " in line for line in lines) >= 3
        assert "answer from 127.0.0.1:" in lines[0]
        watch.end()


def test_without_the_options_stderr_is_as_before(dns: ClusterDNS, env: dict[str, str]) -> None:
    with running("watch", "my-database", env=env) as watch:
        watch.line()
        with dns.fail("servfail"):
            assert "DNS lookups fail" in watch.line()
        watch.line()
        assert watch.end()[2] == ""


@pytest.mark.parametrize(
    "command", [("watch",), ("run", "--on-change", "true"), ("wait", "--required", "9")]
)
def test_metrics_are_served(command: tuple[str, ...], env: dict[str, str]) -> None:
    port = free_port()
    with running(*command, "my-database", "--metrics-listen", f"127.0.0.1:{port}", env=env) as it:
        deadline, text = time.monotonic() + 30, ""
        while 'peerdisco_peers{service="my-database.default' not in text:
            assert time.monotonic() < deadline, text
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as got:
                    text = got.read().decode()
            except OSError:
                time.sleep(0.05)
        assert "peerdisco_lookups_total{" in text
        status, _, _, seconds = it.end(signal.SIGTERM)
        assert status in (0, 128 + signal.SIGTERM)
        assert seconds < 10


def test_an_address_in_use_is_one_line(env: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = peerdisco("watch", "my-database", "--metrics-listen", f"127.0.0.1:{port}", env=env)
    assert done.status == 2
    assert done.complaint.startswith(f"peerdisco: --metrics-listen: got '127.0.0.1:{port}'")


@pytest.mark.parametrize("listen", ["localhost:9101", "127.0.0.1:0", "127.0.0.1:x", ""])
def test_an_address_that_is_none_is_one_line(listen: str, env: dict[str, str]) -> None:
    done = peerdisco("watch", "my-database", "--metrics-listen", listen, env=env)
    assert done.status == 2
    assert "--metrics-listen" in done.complaint


def test_without_the_package_the_error_says_what_to_install(env: dict[str, str]) -> None:
    program = (
        "import sys; sys.modules['prometheus_client'] = None; from peerdisco.cli import main; "
        "sys.exit(main(['watch', 'my-database', '--metrics-listen', '127.0.0.1:9101']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=bare_environment(env),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 2
    assert "pip install 'peerdisco[prometheus]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
