"""The commands, as scripts and people use them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest

from peerdisco.testing import ClusterDNS

from .command import bare_environment, peerdisco

DOMAIN = "my-database.default.svc.cluster.local"


def test_peers_as_a_table(env: dict[str, str]) -> None:
    done = peerdisco("peers", "my-database", env=env)
    assert (done.status, done.err) == (0, "")
    header, *rows = done.out.splitlines()
    assert header.split() == ["NAME", "ORDINAL", "ADDRESSES", "PORTS", "ROLE"]
    assert [row.split()[0] for row in rows] == ["mysql-0", "mysql-1", "mysql-2"]
    assert [row.split()[-1] for row in rows] == ["primary", "-", "-"]
    assert "\x1b" not in done.out


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("names", ["mysql-0", "mysql-1", "mysql-2"]),
        ("hostnames", [f"mysql-{n}.{DOMAIN}" for n in range(3)]),
    ],
)
def test_peers_as_lines(env: dict[str, str], output: str, expected: list[str]) -> None:
    done = peerdisco("peers", "my-database", "-o", output, env=env)
    assert (done.status, done.out.splitlines()) == (0, expected)


def test_peers_as_addresses_lists_both_families(dns: ClusterDNS, env: dict[str, str]) -> None:
    both = dns.statefulset("db", service="dual", replicas=2, families=("ipv4", "ipv6"))
    done = peerdisco("peers", "dual", "-o", "addresses", env=env)
    assert done.out.splitlines() == [str(a) for pod in both.pods for a in pod.addresses]


def test_peers_knows_the_local_pod(env: dict[str, str]) -> None:
    done = peerdisco("peers", "my-database", "-o", "json", env={**env, "POD_NAME": "mysql-1"})
    assert json.loads(done.out)["local"] == "mysql-1"


def test_verbose_says_what_was_asked(dns: ClusterDNS, env: dict[str, str]) -> None:
    done = peerdisco("peers", "my-database", "-v", env=env)
    assert done.status == 0
    for words in (DOMAIN, "3 peers", dns.nameserver, "SRV", "udp"):
        assert words in done.complaint


def test_colours_on_a_terminal_alone(env: dict[str, str]) -> None:
    command = [sys.executable, "-m", "peerdisco", "peers", "my-database"]
    for variables, coloured in (({"TERM": "xterm"}, True), ({"NO_COLOR": "1"}, False)):
        terminal, end = pty.openpty()
        done = subprocess.run(
            command,
            stdout=end,
            stderr=subprocess.PIPE,
            timeout=50,
            check=False,
            env=bare_environment({"TERM": "xterm", **env, **variables}),
        )
        os.close(end)
        printed = os.read(terminal, 100_000)
        os.close(terminal)
        assert (done.returncode, done.stderr) == (0, b"")
        assert (b"\x1b" in printed) is coloured


@pytest.mark.parametrize("args", [["peers", "big", "-o", "json"], ["peers", "--help"]])
def test_a_closed_pipe_is_no_error(dns: ClusterDNS, env: dict[str, str], args: list[str]) -> None:
    dns.statefulset("big", service="big", replicas=400)
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(
        [sys.executable, "-W", "error", "-m", "peerdisco", *args],
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=50,
        check=False,
        env=bare_environment(env),
    )
    os.close(writer)
    assert (process.returncode, process.stderr) == (0, b"")


def test_primary(env: dict[str, str]) -> None:
    assert peerdisco("primary", "my-database", env=env).out == "mysql-0\n"
    done = peerdisco("primary", "my-database", "-o", "hostnames", env=env)
    assert (done.status, done.out) == (0, f"mysql-0.{DOMAIN}\n")
    result = json.loads(peerdisco("primary", "my-database", "-o", "json", env=env).out)
    assert (result["primary"], result["peer"]["ordinal"]) == ("mysql-0", 0)
    table = peerdisco("primary", "my-database", "-o", "table", env=env).out
    assert table.splitlines()[1].split()[0] == "mysql-0"


def test_nobody_takes_the_place_of_an_absent_primary(dns: ClusterDNS, env: dict[str, str]) -> None:
    pods = dns.statefulset("late", service="late", replicas=3)
    pods.set_ready(0, False)
    done = peerdisco("primary", "late", env=env)
    assert (done.status, done.out) == (3, "")
    assert "ordinal 0 is not listed; listed: late-1, late-2" in done.complaint
    done = peerdisco("primary", "late", "--ordinal", "1", env=env)
    assert (done.status, done.out) == (0, "late-1\n")


def test_backup_candidate(dns: ClusterDNS, env: dict[str, str]) -> None:
    done = peerdisco("backup-candidate", "my-database", env=env)
    assert (done.status, done.out, done.err) == (0, f"mysql-2.{DOMAIN}\n", "")
    dns.statefulset("alone", service="alone", replicas=1)
    done = peerdisco("backup-candidate", "alone", env=env)
    assert (done.status, done.out) == (3, "")
    assert "there is no replica; listed: alone-0" in done.complaint


def test_clone_source(env: dict[str, str]) -> None:
    for name, source in (("mysql-2", "mysql-1"), ("mysql-7", "mysql-2")):
        done = peerdisco("clone-source", "my-database", env={**env, "POD_NAME": name})
        assert (done.status, done.out, done.err) == (0, f"{source}.{DOMAIN}\n", "")
    done = peerdisco(
        "clone-source", "my-database", "-o", "json", env={**env, "POD_NAME": "mysql-1"}
    )
    assert json.loads(done.out)["peer"]["addresses"] == ["10.244.0.3"]


def test_there_is_no_clone_source_for_the_primary(env: dict[str, str]) -> None:
    done = peerdisco("clone-source", "my-database", env={**env, "POD_NAME": "mysql-0"})
    assert (done.status, done.out) == (3, "")
    assert "there is no peer to clone from; listed: mysql-0, mysql-1, mysql-2" in done.complaint


def test_clone_source_needs_to_know_who_this_pod_is(env: dict[str, str]) -> None:
    done = peerdisco("clone-source", "my-database", env=env)
    assert (done.status, done.out) == (2, "")
    assert "POD_NAME" in done.complaint


def test_two_statefulsets_are_not_guessed_between(dns: ClusterDNS, env: dict[str, str]) -> None:
    dns.statefulset("green", service="my-database", replicas=1)
    done = peerdisco("primary", "my-database", env=env)
    assert (done.status, done.out) == (2, "")
    assert "mysql-0" in done.complaint
    assert "green-0" in done.complaint
    assert "--statefulset" in done.complaint
    listed = peerdisco("peers", "my-database", env=env)
    assert listed.status == 0
    assert "--statefulset" in listed.complaint
    assert len(listed.out.splitlines()) == 5
    chosen = peerdisco("primary", "my-database", "--statefulset", "green", env=env)
    assert chosen.out == "green-0\n"
    own = peerdisco("primary", "my-database", env={**env, "POD_NAME": "green-0"})
    assert own.out == "green-0\n", "the pod's own StatefulSet counts where none is chosen"


def test_primary_waits_until_it_is_listed(dns: ClusterDNS, env: dict[str, str]) -> None:
    pods = dns.statefulset("late", service="late", replicas=1)
    pods.set_ready(0, False)
    command = [sys.executable, "-m", "peerdisco", "primary", "late", "--wait", "--timeout", "40"]
    waiting = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env=bare_environment({**env, "PEERDISCO_INTERVAL": "0.05"}),
    )
    while len(dns.queries) < 3:
        assert waiting.poll() is None
    pods.set_ready(0, True)
    out, _ = waiting.communicate(timeout=40)
    assert (waiting.returncode, out) == (0, "late-0\n")


def test_primary_waits_no_longer_than_its_timeout(dns: ClusterDNS, env: dict[str, str]) -> None:
    dns.fail("drop")
    args = ("primary", "my-database", "--wait", "--timeout", "0.3")
    done = peerdisco(*args, env={**env, "PEERDISCO_INTERVAL": "0.1"})
    assert (done.status, done.out) == (5, "")
    assert "timed out after 0.3 s: needed ordinal 0, no lookup succeeded" in done.complaint


def test_whoami(env: dict[str, str]) -> None:
    pod = {"POD_NAME": "mysql-2", "POD_IP": "10.244.0.9", "PEERDISCO_SERVICE": "my-database"}
    done = peerdisco("whoami", "-o", "json", env={**env, **pod})
    assert (done.status, done.err) == (0, "")
    assert json.loads(done.out) == {
        "pod_name": "mysql-2",
        "ordinal": 2,
        "statefulset": "mysql",
        "namespace": "default",
        "service": "my-database",
        "cluster_domain": "cluster.local",
        "hostname": f"mysql-2.{DOMAIN}",
        "addresses": ["10.244.0.9"],
    }
    lines = {"names": "mysql-2", "hostnames": f"mysql-2.{DOMAIN}", "addresses": "10.244.0.9"}
    for output, expected in lines.items():
        assert peerdisco("whoami", "-o", output, env={**env, **pod}).out == f"{expected}\n"


def test_whoami_outside_a_pod() -> None:
    done = peerdisco("whoami")
    assert (done.status, done.out) == (2, "")
    assert "POD_NAME" in done.complaint
    assert "downward API" in done.complaint


@pytest.mark.parametrize("command", ["peers", "primary", "is-primary", "whoami", "simulate"])
def test_help_tells_the_exit_statuses(command: str) -> None:
    done = peerdisco(command, "--help")
    assert (done.status, done.err) == (0, "")
    assert "exit status:" in done.out


def test_version() -> None:
    assert peerdisco("--version").out.startswith("peerdisco 0.")


def test_an_interrupt_is_no_traceback(dns: ClusterDNS, env: dict[str, str]) -> None:
    dns.fail("drop")
    command = [sys.executable, "-m", "peerdisco", "peers", "my-database", "--timeout", "30"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=bare_environment(env),
    )
    while not dns.queries:
        assert process.poll() is None
    process.send_signal(2)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "")
