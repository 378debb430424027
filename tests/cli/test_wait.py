"""``wait``, as init containers and scripts use it."""

from __future__ import annotations

import json
import signal

import pytest

from peerdisco.testing import ClusterDNS
from tests.hooks.running import QUICK, Running, running

from .command import SOON, peerdisco
from .test_clusters import serving

DOMAIN = "my-database.default.svc.cluster.local"
NAMES = ["mysql-0", "mysql-1", "mysql-2"]


def after_another_lookup(dns: ClusterDNS, wait: Running) -> None:
    """Return when the command has asked twice from now on."""
    seen = len(dns.queries)
    while len(dns.queries) < seen + 2:
        assert wait.process.poll() is None


@pytest.mark.parametrize("enough", [("--required", "3"), ("--required", "1"), ("--quorum", "5")])
def test_who_is_there_is_printed(env: dict[str, str], enough: tuple[str, str]) -> None:
    done = peerdisco("wait", "my-database", *enough, env=env)
    assert (done.status, done.out.splitlines(), done.err) == (0, NAMES, "")


@pytest.mark.parametrize("output", ["table", "json", "names", "hostnames", "addresses"])
def test_it_prints_as_peers_does(env: dict[str, str], output: str) -> None:
    env = {**env, "POD_NAME": "mysql-1"}
    listed = peerdisco("peers", "my-database", "-o", output, env=env)
    waited = peerdisco("wait", "my-database", "--required", "3", "-o", output, env=env)
    assert (waited.status, waited.out, waited.err) == (0, listed.out, "")


def test_it_waits_through_nxdomain_and_an_outage(dns: ClusterDNS, env: dict[str, str]) -> None:
    pods = dns.statefulset("late", service="late", replicas=2, ready=False)
    with running("wait", "late", "--required", "2", "-v", env=env) as wait:
        assert wait.complaint().endswith("  0 peers")
        after_another_lookup(dns, wait)
        with dns.fail("servfail"):
            assert "DNS lookups fail, keeping the last known peers" in wait.complaint()
            after_another_lookup(dns, wait)
        assert wait.complaint().endswith("  0 peers  DNS lookups succeed again")
        pods.set_ready(1, True)
        assert "+late-1=" in wait.complaint()
        pods.set_ready(0, True)
        status, out, _ = wait.ended()
    assert (status, out) == (0, "late-0\nlate-1\n")


def test_it_waits_until_nothing_changes(dns: ClusterDNS, env: dict[str, str]) -> None:
    pods = dns.statefulset("db", service="late", replicas=1)
    args = ("wait", "late", "--required", "1", "--stable-for", "2", "-v", "--timeout", "40")
    with running(*args, env=env) as wait:
        assert "  1 peer  +db-0=" in wait.complaint()
        pods.scale(2)
        assert "+db-1=" in wait.complaint()
        status, out, _ = wait.ended()
    assert (status, out) == (0, "db-0\ndb-1\n")


def timed_out(env: dict[str, str], *args: str) -> str:
    done = peerdisco("wait", *args, "--timeout", "0.4", env={**QUICK, **env})
    assert (done.status, done.out) == (5, "")
    assert done.complaint.startswith("peerdisco: timed out after 0.4 s: needed ")
    return done.complaint


def test_too_few(env: dict[str, str]) -> None:
    said = timed_out(env, "my-database", "--required", "4")
    assert "needed 4 peers, saw 3 (mysql-0, mysql-1, mysql-2)" in said
    assert "needed 4 peers, saw 3" in timed_out(env, "my-database", "--quorum", "6")


def test_nobody(env: dict[str, str]) -> None:
    said = timed_out(env, "nothing", "--required", "1")
    assert "there is no service nothing.default.svc.cluster.local, or none of its pods" in said
    assert "publishNotReadyAddresses" in said


def test_no_answer_at_all(dns: ClusterDNS, env: dict[str, str]) -> None:
    dns.fail("servfail")
    said = timed_out(env, "my-database", "--required", "1")
    for words in ("no lookup succeeded; the last lookup failed: ", "SERVFAIL", dns.nameserver):
        assert words in said


def test_an_answer_without_pods_is_reported_as_such() -> None:
    name = "my-database.default.svc.cluster.local."
    answers = {
        (name, "SRV"): [f"{name} SRV 0 50 3306 {name}", f"+{name} A 10.96.44.5"],
        (name, "A"): [f"{name} A 10.96.44.5"],
    }
    with serving(answers) as server:
        args = ("wait", name, "--required", "1", "--timeout", "1", "--nameserver", server)
        done = peerdisco(*args, env=QUICK)
    assert (done.status, done.out) == (5, "")
    assert done.complaint == (
        "peerdisco: timed out after 1 s: needed 1 peer, no lookup succeeded; the last lookup "
        "failed: my-database.default.svc.cluster.local is not headless: it has the cluster IP "
        "10.96.44.5, and DNS does not list its pods: use the name of a service with clusterIP: "
        "None"
    )


def test_no_answer_in_the_end(dns: ClusterDNS, env: dict[str, str]) -> None:
    args = ("wait", "my-database", "--required", "4", "--timeout", "3", "-v")
    with running(*args, env=env) as wait:
        assert "3 peers" in wait.complaint()
        dns.fail("servfail")
        assert "DNS lookups fail" in wait.complaint()
        status, out, err = wait.ended()
    assert (status, out) == (5, "")
    assert "saw 3 (mysql-0, mysql-1, mysql-2); the last lookup failed: " in err


def test_enough_but_not_for_long_enough(env: dict[str, str]) -> None:
    said = timed_out(env, "my-database", "--required", "2", "--stable-for", "30")
    assert said.endswith("saw 3 (mysql-0, mysql-1, mysql-2), but not for 30 s without a change")


def test_several_statefulsets_are_counted_together(dns: ClusterDNS, env: dict[str, str]) -> None:
    dns.statefulset("green", service="my-database", replicas=1)
    args = ("wait", "my-database", "--required", "4", "-o", "json")
    shown = json.loads(peerdisco(*args, env=env).out)
    assert (shown["primary"], len(shown["peers"])) == (None, 4)
    assert "green-0" in timed_out(env, "my-database", "--required", "2", "--statefulset", "green")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it(env: dict[str, str], number: int, status: int) -> None:
    with running("wait", "my-database", "--required", "9", "-v", env=env) as wait:
        wait.complaint()
        *ended, seconds = wait.end(number)
    assert ended == [status, "", ""]
    assert seconds < SOON


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], ["--required", "--quorum", "required"]),
        (["--required", "1", "--quorum", "3"], ["--required", "--quorum", "not allowed"]),
        (["--required", "0"], ["--required", "'0'", "1 or more"]),
        (["--quorum", "many"], ["--quorum", "'many'"]),
        (["--required", "1", "--stable-for", "-1"], ["--stable-for", "'-1'"]),
        (["--required", "1", "--timeout", "0"], ["--timeout", "'0'"]),
        (["--required", "1", "--nameserver", "dns.example"], ["'dns.example'"]),
    ],
)
def test_a_wrong_call(args: list[str], said: list[str]) -> None:
    done = peerdisco("wait", DOMAIN, *args)
    assert (done.status, done.out) == (2, "")
    for words in said:
        assert words in done.complaint


def test_no_time_without_a_change_can_be_asked_for(env: dict[str, str]) -> None:
    done = peerdisco("wait", "my-database", "--required", "1", "--stable-for", "0", env=env)
    assert done.status == 0


def test_help_tells_the_exit_statuses() -> None:
    done = peerdisco("wait", "--help")
    assert (done.status, done.err) == (0, "")
    assert "exit status:" in done.out
    assert "default: 300" in done.out
    assert done.out.count("--timeout SECONDS") == 2, "in the usage, and once described"


def test_it_waits_until_this_pod_is_listed_too(dns: ClusterDNS, env: dict[str, str]) -> None:
    pods = dns.statefulset("late", service="late", replicas=3)
    pods.set_ready(2, False)
    env = {**env, "POD_NAME": "late-2"}
    args = ("wait", "late", "--required", "2", "--local", "-v")
    with running(*args, env=env) as wait:
        assert "  2 peers  +late-0=" in wait.complaint()
        after_another_lookup(dns, wait)
        pods.set_ready(2, True)
        status, out, _ = wait.ended()
    assert (status, out) == (0, "late-0\nlate-1\nlate-2\n")


def test_it_says_that_this_pod_is_not_listed(env: dict[str, str]) -> None:
    done = peerdisco(
        *("wait", "my-database", "--required", "3", "--local", "--timeout", "0.5"),
        env={**env, "POD_NAME": "mysql-7"},
    )
    assert (done.status, done.out) == (5, "")
    assert done.err == (
        "peerdisco: timed out after 0.5 s: needed 3 peers including this pod (mysql-7), "
        "saw 3 (mysql-0, mysql-1, mysql-2); this pod, mysql-7, is not listed: DNS "
        "lists a pod when it is ready, or earlier with publishNotReadyAddresses: true "
        "in the headless service\n"
    )


def test_outside_a_pod_it_cannot_wait_for_itself(env: dict[str, str]) -> None:
    done = peerdisco("wait", "my-database", "--required", "3", "--local", env=env)
    assert (done.status, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert "cannot determine the pod name" in done.err
