"""``watch``, as scripts and people use it."""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from peerdisco import Change
from peerdisco.cli.change_lines import change_text
from peerdisco.membership.snapshots import SnapshotBuilder
from peerdisco.testing import ClusterDNS, peers
from tests.hooks.running import Running, running

from .command import SOON, peerdisco

NOTHING: dict[str, Any] = {
    "joined": [],
    "left": [],
    "replaced": [],
    "primary": "mysql-0",
    "local": None,
    "may_be_stale": False,
    "known": True,
    "complete": True,
    "incomplete_reason": None,
    "unconfirmed": [],
    "stale": False,
    "error": None,
    "degraded": False,
    "recovered": False,
    "incomplete": False,
    "completed": False,
}


def json_line(watch: Running) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(watch.line())
    whole = line.pop("details")
    assert [peer["name"] for peer in whole] == line["peers"]
    assert all(peer["addresses"] and "ports" in peer for peer in whole)
    assert line.pop("service").endswith(".svc.cluster.local")
    at = datetime.fromisoformat(line.pop("at"))
    assert at.utcoffset() == UTC.utcoffset(None)
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60
    return line


def test_json_lines(dns: ClusterDNS, env: dict[str, str]) -> None:
    pods = dns.statefulset("mysql", service="quiet", replicas=2, namespace="other")
    args = ("watch", "quiet.other", "-o", "json", "--leave-after", "0.1")
    with running(*args, env=env) as watch:
        two = ["mysql-0", "mysql-1"]
        assert json_line(watch) == {**NOTHING, "joined": two, "peers": two}
        pods.scale(3)
        three = [*two, "mysql-2"]
        assert json_line(watch) == {**NOTHING, "joined": ["mysql-2"], "peers": three}
        pods.restart(1)
        assert json_line(watch) == {**NOTHING, "replaced": ["mysql-1"], "peers": three}
        with dns.fail("servfail"):
            line = json_line(watch)
            assert "SERVFAIL" in line.pop("error")
            down = {**NOTHING, "peers": three, "stale": True, "degraded": True}
            del down["error"]
            assert line == down
        assert json_line(watch) == {**NOTHING, "peers": three, "recovered": True}
        pods.stop(0)
        line = json_line(watch)
        left = {**NOTHING, "left": ["mysql-0"], "peers": ["mysql-1", "mysql-2"], "primary": None}
        assert line == left
        assert watch.end()[:3] == (0, "", "")


def test_text_lines(dns: ClusterDNS, env: dict[str, str]) -> None:
    pods = dns.statefulset("db", service="quiet", replicas=1)
    with running("watch", "quiet", env=env) as watch:
        at, rest = watch.line().split("  ", 1)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", at)
        assert rest == "1 peer  +db-0"
        pods.scale(3)
        assert watch.line().split("  ")[1:] == ["3 peers", "+db-1 +db-2"]
        pods.restart(2)
        assert watch.line().split("  ")[1:] == ["3 peers", "~db-2"]
        with dns.fail("servfail"):
            at, count, remark = watch.line().split("  ", 2)
            assert count == "3 peers"
            assert remark.startswith("DNS lookups fail, keeping the last known peers: ")
        assert watch.line().split("  ")[1:] == ["3 peers", "DNS lookups succeed again"]


def test_verbose_text_has_the_addresses(dns: ClusterDNS, env: dict[str, str]) -> None:
    both = dns.statefulset("db", service="dual", replicas=1, families=("ipv4", "ipv6"))
    addresses = ",".join(map(str, both.pod(0).addresses))
    with running("watch", "dual", "-v", env=env) as watch:
        assert watch.line().endswith(f"  1 peer  +db-0={addresses}")


def test_the_first_line_says_it_when_nothing_is_known(dns: ClusterDNS, env: dict[str, str]) -> None:
    outage = dns.fail("servfail")
    with running("watch", "my-database", "-o", "json", env=env) as watch:
        line = json_line(watch)
        assert (line["joined"], line["peers"], line["stale"]) == ([], [], True)
        assert "SERVFAIL" in line["error"]
        dns.restore()
        line = json_line(watch)
        assert line["joined"] == line["peers"] == ["mysql-0", "mysql-1", "mysql-2"]
        assert (line["stale"], line["recovered"]) == (False, True)
    with outage, dns.fail("servfail"), running("watch", "my-database", env=env) as watch:
        assert "  peers unknown  DNS lookups fail" in watch.line()


def test_an_ambiguous_primary_is_null(dns: ClusterDNS, env: dict[str, str]) -> None:
    dns.statefulset("green", service="my-database", replicas=1)
    with running("watch", "my-database", "-o", "json", env=env) as watch:
        line = json_line(watch)
        assert line["primary"] is None
        assert len(line["peers"]) == 4
    chosen = ("watch", "my-database", "-o", "json", "--statefulset", "green")
    with running(*chosen, env=env) as watch:
        assert json_line(watch)["primary"] == "green-0"


def test_an_incomplete_list_says_so() -> None:
    short = peers("mysql", 1, incomplete_reason="truncated")
    now = datetime(2000, 1, 1, tzinfo=UTC)
    snapshot = SnapshotBuilder().snapshot(
        "db.ns", short.peers, observed_at=now, incomplete_reason=short.incomplete_reason
    )
    change = Change.between(None, snapshot)
    assert change.as_dict(now)["complete"] is False
    assert change_text(change, now) == (
        "2000-01-01T00:00:00.000Z  1 peer  +mysql-0  the list may be incomplete: truncated"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it(env: dict[str, str], number: int) -> None:
    with running("watch", "my-database", env=env) as watch:
        watch.line()
        status, out, err, seconds = watch.end(number)
    assert (status, out, err) == (0, "", "")
    assert seconds < SOON


def test_a_signal_ends_it_in_an_outage(dns: ClusterDNS, env: dict[str, str]) -> None:
    dns.fail("drop")
    with running("watch", "my-database", env=env) as watch:
        while not dns.queries:
            assert watch.process.poll() is None
        status, out, err, seconds = watch.end()
    assert (status, out, err) == (0, "", "")
    assert seconds < SOON


def test_a_reader_that_goes_ends_it_though_nothing_changes(env: dict[str, str]) -> None:
    reader, writer = os.pipe()
    with running("watch", "my-database", env=env, stdout=writer) as watch:
        os.close(writer)
        assert b"mysql-2" in os.read(reader, 65536)
        os.close(reader)
        assert watch.process.wait(20) == 0
        assert watch.process.stderr is not None
        assert watch.process.stderr.read() == ""


def test_a_reader_that_was_never_there(env: dict[str, str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with running("watch", "my-database", env=env, stdout=writer) as watch:
        os.close(writer)
        assert watch.process.wait(20) == 0


def test_a_reader_who_does_not_read_cannot_hold_it(dns: ClusterDNS, env: dict[str, str]) -> None:
    dns.statefulset("big", service="big", replicas=500)
    reader, writer = os.pipe()
    size = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    with running("watch", "big", "-o", "json", env=env, stdout=writer) as watch:
        os.close(writer)
        select.select([reader], [], [])
        status, _, err, _ = watch.end()
    assert (status, err) == (0, "")
    assert len(os.read(reader, 100_000)) <= size
    os.close(reader)


def test_a_long_line_is_written_whole(dns: ClusterDNS, env: dict[str, str]) -> None:
    pods = dns.statefulset("big", service="big", replicas=1000)
    with running("watch", "big", "-o", "json", env=env) as watch:
        # On a busy machine the first lookup may take longer than its timeout.
        while not (line := json_line(watch))["peers"]:
            assert line["error"]
        assert line["peers"] == list(pods.pod_names)


def test_it_writes_to_a_file(env: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "lines"
    with path.open("wb") as file, running("watch", "my-database", env=env, stdout=file.fileno()):
        while b"mysql-2\n" not in path.read_bytes():
            pass


def test_static_peers(env: dict[str, str]) -> None:
    args = ("watch", "db.default", "--source", "static:db-0=10.0.0.1", "-o", "json")
    with running(*args, env={"PEERDISCO_CLUSTER_DOMAIN": "cluster.local"}) as watch:
        assert json_line(watch)["peers"] == ["db-0"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["-o", "table"], ["table", "text", "json"]),
        (["--interval", "0"], ["--interval", "'0'", "above 0"]),
        (["--leave-after", "x"], ["--leave-after", "'x'"]),
        (["--nameserver", "dns.example"], ["'dns.example'", "not a host name"]),
    ],
)
def test_a_wrong_call(args: list[str], said: list[str]) -> None:
    done = peerdisco("watch", "my-database.default.svc.cluster.local", *args)
    assert (done.status, done.out) == (2, "")
    for words in said:
        assert words in done.complaint


def test_help_tells_the_exit_statuses() -> None:
    done = peerdisco("watch", "--help")
    assert (done.status, done.err) == (0, "")
    assert "exit status:" in done.out
