"""The live table of ``watch``, and what a command waits for, on a terminal and in a log."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest

import peerdisco
from peerdisco.cli.commands.mysql_sidecar import _start_in_words
from peerdisco.cli.progress import _times, reason_in_words, waiting_in_words
from peerdisco.mysql.sidecar.report import Report, Role, State
from peerdisco.testing import ClusterDNS, ManualClock, ScriptedSource, failure, peers
from tests.hooks.running import Pipe, running

from .command import bare_environment
from .command import peerdisco as command

rich = pytest.importorskip("rich", reason="rich is not installed")
from rich.console import Console  # noqa: E402

from peerdisco.cli.live import LiveTable  # noqa: E402

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Terminal:
    """A process on a terminal of a size, and what it has written."""

    def __init__(self, args: tuple[str, ...], columns: int, rows: int, env: dict[str, str]) -> None:
        self.ours, theirs = pty.openpty()
        self.resize(columns, rows)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "peerdisco", *args],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**bare_environment(env), "TERM": "xterm", "COLUMNS": "100", "LINES": "30"},
        )
        os.close(theirs)
        self.text = ""

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def until(self, pattern: str) -> str:
        """Read until the new text matches; return it without the escape sequences."""
        deadline, new = time.monotonic() + 30, ""
        while not re.search(pattern, plain(new), re.DOTALL):
            assert time.monotonic() < deadline, new
            new += os.read(self.ours, 65536).decode()
        self.text += new
        return plain(new)


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "")


@contextmanager
def terminal(
    *args: str, columns: int = 100, rows: int = 30, env: dict[str, str]
) -> Iterator[Terminal]:
    one = Terminal(args, columns, rows, env)
    try:
        yield one
    finally:
        one.process.terminate()
        one.process.wait(20)
        os.close(one.ours)


def drawn(
    disco: peerdisco.Discovery, live: LiveTable, columns: int, rows: int, **options: object
) -> list[str]:
    """The lines of the table on a terminal of this size."""
    out = io.StringIO()
    console = Console(file=out, width=columns, height=rows, **options)  # type: ignore[arg-type]
    console.print(live)
    return [line.rstrip() for line in out.getvalue().splitlines()]


async def test_the_table_has_what_the_issue_of_an_operator_needs() -> None:
    clock = ManualClock()
    script = [peers("mysql", 3), *[peers("mysql", 2)] * 2, failure()]
    source = ScriptedSource("my-database", script)
    async with peerdisco.Discovery(source=source, clock=clock, chance=lambda: 0.5) as disco:
        live, watch = LiveTable(disco, Console(file=io.StringIO())), disco.watch()
        live.saw(await anext(watch), AT)
        await clock.advance(20, until=lambda: disco.lookups == 2)
        lines = drawn(disco, live, 120, 30)
        assert lines[0].startswith("my-database.default: 3 peers, last answer 0.0 s ago")
        assert lines[2].split() == ["ORDINAL", "NAME", "ADDRESS", "ROLE", "STATE", "LAST", "CHANGE"]
        (zero,) = (line.split() for line in lines if " mysql-0 " in line)
        assert zero[:6] == ["0", "mysql-0", "10.244.0.3", "primary", "listed", "joined"]
        assert any("mysql-2" in line and "suspected" in line for line in lines)
        await clock.advance(40, until=lambda: disco.snapshot.stale)
        assert "lookups fail" in drawn(disco, live, 120, 30)[0]
        assert any("mysql-0" in line and "stale" in line for line in drawn(disco, live, 120, 30))


async def test_a_new_address_that_is_not_confirmed_is_settling() -> None:
    clock = ManualClock()
    both = peers("mysql", 2)
    two = both.peers[1].addresses + peers("mysql", 1, addresses={0: "10.9.9.9"}).peers[0].addresses
    moved = peerdisco.model.Answered((both.peers[0], replace(both.peers[1], addresses=two)), 5.0)
    source = ScriptedSource("my-database", [both, moved])
    async with peerdisco.Discovery(source=source, clock=clock, chance=lambda: 0.5) as disco:
        await clock.advance(20, until=lambda: disco.lookups == 2)
        assert disco.settling == {"mysql-1"}
        lines = drawn(disco, LiveTable(disco, Console(file=io.StringIO())), 120, 30)
        assert any("mysql-1" in line and "settling" in line for line in lines)


@pytest.mark.parametrize(("columns", "rows"), [(60, 18), (40, 10)])
@pytest.mark.parametrize("count", [3, 500])
async def test_a_small_terminal_shows_the_essential(count: int, columns: int, rows: int) -> None:
    clock = ManualClock()
    source = ScriptedSource("my-database", [peers("mysql", count)])
    async with peerdisco.Discovery(source=source, clock=clock, chance=lambda: 0.5) as disco:
        live = LiveTable(disco, Console(file=io.StringIO()))
        live.saw(await anext(disco.watch()), AT)
        lines = drawn(disco, live, columns, rows)
    assert len(lines) <= rows
    assert max(map(len, lines)) <= columns
    text = "\n".join(lines)
    assert lines[0].startswith("my-database.default: ")
    assert re.search(r"mysql-0 +10\.244\.0\.3 +primary +listed", text)
    hidden = re.search(r"^\s*\.\.\. (\d+) more$", text, re.MULTILINE)
    assert (hidden is not None) == (count == 500), text


def test_watch_on_a_terminal_is_redrawn_and_follows_its_size(
    dns: ClusterDNS, env: dict[str, str]
) -> None:
    with terminal("watch", "my-database", env=env) as watch:
        watch.until(r"LAST CHANGE.*mysql-2 .*joined")
        with dns.fail("servfail"):
            watch.until(r"lookups fail")
        watch.until(r"succeed again")
        watch.resize(60, 18)
        watch.until(r"\n ?NAME +ADDRESS +ROLE +STATE *\n")


def test_no_color_keeps_the_table(env: dict[str, str]) -> None:
    with terminal("watch", "my-database", env={**env, "NO_COLOR": "1"}) as watch:
        watch.until(r"LAST CHANGE.*mysql-2 .*joined")
        colours = re.findall(r"\x1b\[([0-9;]+)m", watch.text)
        assert not {code for one in colours for code in one.split(";")} & set(
            map(str, range(30, 48))
        )


@pytest.mark.parametrize("option", [("--plain",), ("-o", "json"), ("--format", "{name}")])
def test_lines_on_a_terminal_where_they_are_asked_for(
    option: tuple[str, ...], env: dict[str, str]
) -> None:
    with terminal("watch", "my-database", *option, env=env) as watch:
        text = watch.until("mysql-2.*\n")
        assert "LAST CHANGE" not in text


def test_a_piped_watch_prints_plain_lines(env: dict[str, str]) -> None:
    with running("watch", "my-database", env=env) as watch:
        assert watch.line().split("  ")[1:] == ["3 peers", "+mysql-0 +mysql-1 +mysql-2"]
        watch.end()


# What a command waits for.


def test_a_wait_says_in_a_log_what_it_waits_for(env: dict[str, str]) -> None:
    done = command("wait", "my-database", "--required", "4", "--timeout", "1.5", env=env)
    line, error = done.err.splitlines()
    assert re.fullmatch(
        r"peerdisco: waiting: 3 of 4 listed \(mysql-0, mysql-1, mysql-2\), 1 s of 1\.5 s, "
        r"last answer \d\.\d s ago",
        line,
    )
    assert error.startswith("peerdisco: timed out after 1.5 s")


def test_a_wait_on_a_terminal_is_one_line_that_is_updated(env: dict[str, str]) -> None:
    with terminal("wait", "my-database", "--required", "4", "--timeout", "4", env=env) as wait:
        text = wait.until(r"2 s of 4 s.*timed out")
    assert text.count("\n") <= 1 + text.partition("timed out")[2].count("\n")
    assert wait.text.count("\r\x1b[K") >= 3


def test_a_short_wait_says_nothing(env: dict[str, str]) -> None:
    assert command("wait", "my-database", "--required", "3", env=env).err == ""


def test_a_wait_for_the_primary_says_so(dns: ClusterDNS, env: dict[str, str]) -> None:
    dns.statefulset("late", service="late", replicas=0)
    done = command("primary", "late", "--wait", "--timeout", "1.3", env=env)
    assert "waiting: ordinal 0 is not listed (0 others are), 1 s of 1.3 s" in done.err


def test_the_lines_of_a_long_wait_are_few() -> None:
    times = _times()
    first = [next(times) for _ in range(12)]
    assert first[:4] == [1, 10, 30, 60]
    assert first[-1] == 300


async def test_the_words_of_a_wait_during_an_outage() -> None:
    clock = ManualClock()
    source = ScriptedSource("my-database", [failure()])
    async with peerdisco.Discovery(source=source, clock=clock) as disco:
        words = waiting_in_words(disco, lambda found: f"{len(found)} of 3 listed", 300)
        assert words(0.4) == "0 of 3 listed, 0 s of 300 s, no answer yet"
        await clock.advance(1)
        assert words(12.2).startswith(
            "0 of 3 listed, 12 s of 300 s, no answer yet, lookups fail: my-database"
        )


def test_a_slow_lookup_on_a_terminal_says_what_it_waits_for(
    dns: ClusterDNS, env: dict[str, str]
) -> None:
    dns.fail("drop")
    with terminal("peers", "my-database", "--timeout", "2.5", env=env) as lookup:
        text = lookup.until("no name server answered|no answer")
    assert "waiting: the answer about my-database.default.svc.cluster.local, 1 s of 2.5 s" in text


def test_a_watch_without_a_table_says_that_it_waits_for_the_first_answer(
    dns: ClusterDNS, env: dict[str, str]
) -> None:
    dns.fail("drop")
    with terminal("watch", "my-database", "--plain", "--timeout", "3", env=env) as watch:
        watch.until("waiting: the first answer about my-database.*, 1 s")
        dns.restore()
        watch.until(r"mysql-2")


def test_run_says_that_it_waits_for_the_first_answer(dns: ClusterDNS, env: dict[str, str]) -> None:
    dns.fail("drop")
    options = ("--on-change", "sh -c 'echo changed'", "--timeout", "20")
    with running("run", "my-database", *options, env=env) as run:
        service = "my-database.default.svc.cluster.local"
        assert run.waits() == f"the first answer about {service}, 1 s"
        run.end()


def test_run_says_that_a_hook_takes_long(
    env: dict[str, str], pipe: Callable[[str], Pipe], script: Callable[..., str]
) -> None:
    go = pipe("go")
    hook = script("hook", f"read line < {go}", "echo done")
    limits = {"none": "", "30": " of 30 s"}
    for limit, words in limits.items():
        options = ("--on-change", hook, "--hook-timeout", limit)
        with running("run", "my-database", *options, env=env) as run:
            assert run.waits() == f"the on-change hook runs, 1 s{words}"
            go.say()
            assert run.line() == "done"
            assert run.end()[:3] == (0, "", "")


def test_a_hook_that_waits_for_its_pod_is_one_line_on_a_terminal(
    dns: ClusterDNS, env: dict[str, str]
) -> None:
    pods = dns.statefulset("late", service="late", replicas=1)
    options = ("--on-start", "sh -c 'echo started'", "--interval", "0.1")
    with terminal("run", "late", *options, columns=70, env={**env, "POD_NAME": "late-1"}) as run:
        text = run.until(r"hook waits: late\.[^\n]*waiting: the on-start hook waits: [^\n]*")
        pods.scale(2)
        text += run.until("started")
    reported, shown = text.split("\n", 1)
    assert reported.startswith("peerdisco: the on-start hook waits: late.default")
    assert "\n" not in shown.partition("started")[0]
    assert "\r\x1b[Kstarted" in run.text  # the line is cleared before the hook writes


def test_a_sidecar_says_that_its_first_pass_takes_long(env: dict[str, str]) -> None:
    """The server accepts connections, and says nothing on them."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        more = {
            "POD_NAME": "mysql-0",
            "PEERDISCO_MYSQL_PASSWORD": "a",
            "PEERDISCO_MYSQL_REPLICATION_PASSWORD": "b",
            "PEERDISCO_MYSQL_PORT": str(server.getsockname()[1]),
        }
        options = ("--replicas", "3", "--listen", "127.0.0.1:0")
        with running("mysql-sidecar", "my-database", *options, env={**env, **more}) as sidecar:
            assert sidecar.complaint().startswith("peerdisco: listening on 127.0.0.1:")
            line = sidecar.complaint()
            assert (
                line == "peerdisco: still starting: this pod's server and the peers are read, 1 s"
            )
            sidecar.end()


def test_the_words_of_a_start() -> None:
    """What is reported at once is said again after a while; what settles ends it."""
    state = State.WAITING
    words = _start_in_words(lambda: Report(state, "the primary is not listed", Role.REPLICA))
    assert words(1.0) == ""
    assert words(10.0) == "waiting: the primary is not listed, 10 s"
    for state in State:
        settled = state.value in ("primary", "replica", "refused", "fenced")
        assert (words(60.0) is None) == settled


def test_the_words_of_a_command_that_prints_its_reasons() -> None:
    reason = ""
    words = reason_in_words(lambda: reason, "the answers of the servers", 300)
    assert words(1.0) == "the answers of the servers, 1 s of 300 s"
    reason = "mysql-1 still\napplies"
    assert words(4.9) == ""
    assert words(30.0) == "mysql-1 still applies, 30 s of 300 s"


def test_a_doctor_on_a_terminal_says_what_it_waits_for(
    dns: ClusterDNS, env: dict[str, str]
) -> None:
    dns.fail("drop")
    with terminal("doctor", "my-database", "--timeout", "2", env=env) as doctor:
        text = doctor.until("waiting: the answers of the name servers, 1 s")
        assert "problem" not in text
        doctor.until(r"\d problems?")


def test_a_recovery_says_what_it_waits_for(dns: ClusterDNS, env: dict[str, str]) -> None:
    """No server answers there: a password, and three pods whose addresses lead nowhere."""
    dns.fail("drop")
    more = {"PEERDISCO_MYSQL_REPLICATION_PASSWORD": "x"}
    for words in (("mysql-recover", "my-database", "--replicas", "3"),
                  ("mysql-source", "backup", "my-database")):  # fmt: skip
        with running(*words, env={**env, **more}) as command_:
            assert command_.waits().startswith("the answers of the servers, 1 s")
            command_.end()
