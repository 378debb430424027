"""``peerdisco doctor`` as a process."""

from __future__ import annotations

import json
import subprocess
import sys
import time

from peerdisco.testing import ClusterDNS

from .command import bare_environment, peerdisco

POD = {"POD_NAME": "mysql-0", "POD_IP": "10.244.0.3"}


def test_nothing_is_wrong(env: dict[str, str]) -> None:
    done = peerdisco("doctor", "my-database", env={**env, **POD})
    assert (done.status, done.err) == (0, "")
    *lines, empty, counts = done.out.splitlines()
    assert empty == ""
    assert counts == f"{sum(line.startswith('ok ') for line in lines)} ok"
    assert all(line.startswith(("ok  ", "     ")) for line in lines)
    assert "no cache was seen" not in done.out or "does not count down" in done.out
    assert "\x1b" not in done.out


def test_a_problem_is_status_1_and_json(env: dict[str, str]) -> None:
    done = peerdisco("doctor", "my-databse", "-o", "json", env={**env, **POD})
    assert (done.status, done.err) == (1, "")
    report = json.loads(done.out)
    assert report["status"] == "problem"
    assert report["service"] == "my-databse.default.svc.cluster.local"
    assert report["pod"] == "mysql-0"
    (found,) = [f for f in report["findings"] if f["status"] == "problem"]
    assert found["check"] == "service-exists"
    command, *shown = found["fix"]["command"].splitlines()
    assert command == "peerdisco doctor my-database.default"
    assert [line.split()[:2] for line in shown] == [["kubectl", "get"]] * 2
    assert peerdisco(*command.split()[1:], env={**env, **POD}).status == 0


def test_no_answer_is_no_ok(dns: ClusterDNS, env: dict[str, str]) -> None:
    """Each query has its own limit, so that the command ends soon."""
    dns.fail("drop")
    start = time.monotonic()
    done = peerdisco("doctor", "my-database", "--timeout", "0.3", env=env)
    assert done.status == 1
    assert time.monotonic() - start < 30
    assert "unknown  service-exists" in done.out
    assert "problem  nameserver-udp" in done.out


def test_outside_a_cluster_without_any_settings() -> None:
    done = peerdisco("doctor", "--nameserver", "127.0.0.1:9")
    assert done.status == 1
    assert "configuration: cannot determine the service" in done.out


def test_an_option_that_is_not_valid(env: dict[str, str]) -> None:
    done = peerdisco("doctor", "my-database", "--nameserver", "localhost", env=env)
    assert done.status == 2
    assert "name server: got 'localhost'" in done.complaint


def test_a_fixed_list_needs_no_dns() -> None:
    done = peerdisco("doctor", "db.default.svc.cluster.local", "--source", "static:db-0=10.0.0.1")
    assert done.status == 0, done.out
    assert "DNS is not queried" in done.out


def test_other_commands_import_nothing_of_it() -> None:
    program = (
        "import sys; from peerdisco.cli import main; "
        "main(['peers', '--help']); main(['whoami', '--help']); "
        "print([name for name in sys.modules if 'doctor' in name])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=50,
        env=bare_environment(),
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"
