"""The status of every command, whatever becomes of what it prints.

`OUTCOMES` and `STANDARD` are the table: what a command comes to, and which streams it is run with.
Each cell is a process: a fork, which is compared with a process of its own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from peerdisco.testing import ClusterDNS, StatefulSet
from tests.hooks.running import QUICK

from .command import bare_environment, peerdisco
from .preloaded import Forked, fork

PRIMARY = {"POD_NAME": "mysql-0", "POD_IP": "10.244.0.3"}
REPLICA = {"POD_NAME": "mysql-1", "POD_IP": "10.244.0.4"}
MYSQL = {
    **REPLICA,
    "PEERDISCO_SERVICE": "my-database",
    "PEERDISCO_MYSQL_PASSWORD": "local",
    "PEERDISCO_MYSQL_REPLICATION_PASSWORD": "replication",
}
FINDER = "peerdisco.cli.peer_finder"
UNWRITTEN = 6

Situation = Callable[[ClusterDNS, StatefulSet], object]


@dataclass(frozen=True)
class Outcome:
    """What a command comes to.

    Attributes:
        args: The arguments.
        status: The exit status while every stream is open.
        prints: What stdout is to it: nothing is written; it is what the command is run for; or it
            is written beside the status, which is the answer.
        env: Variables.
        situation: What happens to the cluster before.
        module: What is run.
    """

    args: tuple[str, ...]
    status: int
    prints: str = "product"
    env: Mapping[str, str] = field(default_factory=dict)
    situation: Situation | None = None
    module: str = "peerdisco"

    def with_stdout(self, stdout: str) -> int:
        """The status with such a stdout."""
        lost = stdout in ("closed", "full") and self.prints == "product"
        return UNWRITTEN if lost and self.status == 0 else self.status


def outage(dns: ClusterDNS, _: StatefulSet) -> None:
    dns.fail("servfail")


def no_primary(_: ClusterDNS, pods: StatefulSet) -> None:
    pods.set_ready(0, False)


def primary_alone(_: ClusterDNS, pods: StatefulSet) -> None:
    pods.scale(1)


def only_udp(dns: ClusterDNS, pods: StatefulSet) -> None:
    pods.scale(100)
    dns.fail("refused", transport="tcp")


DB = "my-database"
OUTCOMES = {
    "--help": Outcome(("--help",), 0),
    "--version": Outcome(("--version",), 0),
    "no command": Outcome((), 2, "nothing"),
    "no such command": Outcome(("nonsense",), 2, "nothing"),
    "no such option": Outcome(("peers", "--nonsense"), 2, "nothing"),
    "peers --help": Outcome(("peers", "--help"), 0),
    "peers": Outcome(("peers", DB), 0),
    "peers json": Outcome(("peers", DB, "-o", "json"), 0),
    "peers names": Outcome(("peers", DB, "-o", "names"), 0),
    "peers addresses": Outcome(("peers", DB, "-o", "addresses"), 0),
    "peers verbose": Outcome(("peers", DB, "-v"), 0),
    "peers, none": Outcome(("peers", "absent", "-o", "json"), 3),
    "peers, outage": Outcome(("peers", DB), 2, "nothing", situation=outage),
    "peers, incomplete": Outcome(("peers", DB), 4, situation=only_udp),
    "primary": Outcome(("primary", DB), 0),
    "primary, absent": Outcome(("primary", DB), 3, "nothing", situation=no_primary),
    "primary, outage": Outcome(("primary", DB), 2, "nothing", situation=outage),
    "primary --wait": Outcome(("primary", DB, "--wait"), 0),
    "primary --wait, late": Outcome(
        ("primary", DB, "--wait", "--timeout", "0.2"), 5, "nothing", situation=no_primary
    ),
    "is-primary, yes": Outcome(("is-primary", DB), 0, "nothing", env=PRIMARY),
    "is-primary, no": Outcome(("is-primary", DB, "-v"), 1, "nothing", env=REPLICA),
    "is-primary, unknown": Outcome(("is-primary", DB), 2, "nothing"),
    "is-primary, outage": Outcome(("is-primary", DB), 2, "nothing", env=PRIMARY, situation=outage),
    "clone-source": Outcome(("clone-source", DB), 0, env=REPLICA),
    "clone-source, none": Outcome(("clone-source", DB), 3, "nothing", env=PRIMARY),
    "clone-source, unknown": Outcome(("clone-source", DB), 2, "nothing"),
    "backup-candidate": Outcome(("backup-candidate", DB), 0),
    "backup-candidate, none": Outcome(
        ("backup-candidate", DB), 3, "nothing", situation=primary_alone
    ),
    "whoami": Outcome(("whoami",), 0, env={**PRIMARY, "POD_NAMESPACE": "default"}),
    "whoami, unknown": Outcome(("whoami",), 2, "nothing"),
    "wait": Outcome(("wait", DB, "--required", "3"), 0, "beside"),
    "wait verbose": Outcome(("wait", DB, "--required", "3", "-v"), 0, "beside"),
    "wait, late": Outcome(("wait", DB, "--required", "9", "--timeout", "0.2"), 5, "nothing"),
    "wait, outage": Outcome(
        ("wait", DB, "--required", "1", "--timeout", "0.2"), 5, "nothing", situation=outage
    ),
    "watch, wrong": Outcome(("watch", DB, "--interval", "0"), 2, "nothing"),
    "run --on-start": Outcome(("run", DB, "--on-start", "true", "-v"), 0, "nothing", env=REPLICA),
    "run --on-start, fails": Outcome(
        ("run", DB, "--on-start", "false", "--attempts", "1"), 1, "nothing", env=REPLICA
    ),
    "run, wrong": Outcome(("run", DB), 2, "nothing"),
    "mysql-setup config": Outcome(("mysql-setup", "config", "--flavour", "mysql"), 0, env=MYSQL),
    "mysql-setup accounts": Outcome(
        ("mysql-setup", "accounts", "--flavour", "mariadb"), 0, env=MYSQL
    ),
    "mysql-setup, unknown": Outcome(
        ("mysql-setup", "accounts", "--flavour", "mariadb"), 2, "nothing"
    ),
    # Without a password; with one, it would connect to the pods.
    "mysql-source, wrong": Outcome(("mysql-source", "backup", DB), 2, "nothing", env=REPLICA),
    "mysql-recover, wrong": Outcome(("mysql-recover", DB), 2, "nothing", env=MYSQL),
    "mysql-sidecar, wrong": Outcome(("mysql-sidecar", DB), 2, "nothing", env=REPLICA),
    "simulate": Outcome(("simulate", "--plain", "--speed", "40"), 0),
    "simulate --serve": Outcome(
        ("simulate", "--serve", "--port", "{port}", "--seconds", "0.3"), 0, "beside"
    ),
    "simulate, wrong": Outcome(("simulate", "--story"), 2, "nothing"),
    "peer-finder -help": Outcome(("-help",), 0, module=FINDER),
    "peer-finder, wrong": Outcome(("-nonsense",), 2, "nothing", module=FINDER),
    "peer-finder -on-start": Outcome(
        ("-service", DB, "-on-start", "true"), 0, "nothing", env=REPLICA, module=FINDER
    ),
}

STANDARD = [
    ("open", "open"),
    ("gone", "open"),
    ("closed", "open"),
    ("full", "open"),
    ("open", "gone"),
    ("open", "closed"),
    ("open", "full"),
    ("closed", "closed"),
    ("full", "full"),
]
"""What stdout and stderr are: what is written is kept; the reader has gone; the descriptor is
closed; the disk is full."""


@contextlib.contextmanager
def stalled() -> Iterator[int]:
    """A pipe that is full and that nobody reads."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"\n" * 65536)
    os.set_blocking(writer, True)
    try:
        yield writer
    finally:
        os.close(writer)
        os.close(reader)


@contextlib.contextmanager
def stream(what: str) -> Iterator[int]:
    """A descriptor, or the request for a pipe."""
    with contextlib.ExitStack() as files:
        if what == "open":
            yield subprocess.PIPE
        elif what == "stalled":
            yield files.enter_context(stalled())
        elif what == "full":
            yield files.enter_context(Path("/dev/full").open("wb")).fileno()
        else:
            reader, writer = os.pipe()
            os.close(reader)
            files.callback(os.close, writer)
            yield writer


@contextlib.contextmanager
def started(
    args: tuple[str, ...], stdout: str, stderr: str, env: Mapping[str, str], module: str
) -> Iterator[subprocess.Popen[str]]:
    """The command with such streams. Where stdout is closed, stdin is, too."""
    closing = " ".join(
        text
        for text, what in (("0<&-", stdout), ("1>&-", stdout), ("2>&-", stderr))
        if what == "closed"
    )
    with stream(stdout) as out, stream(stderr) as err:
        process = subprocess.Popen(
            [
                *("sh", "-c", f'exec "$@" {closing}', "sh"),
                *(sys.executable, "-W", "error", "-m", module, *args),
            ],
            stdout=out,
            stderr=err,
            text=True,
            env=bare_environment(env),
        )
        with process:
            try:
                yield process
            finally:
                process.kill()


@contextlib.contextmanager
def forked(
    args: tuple[str, ...], stdout: str, stderr: str, env: Mapping[str, str], module: str
) -> Iterator[Forked]:
    """The same in a fork of a process that has done the imports."""
    closed = [n for n, what in ((0, stdout), (1, stdout), (2, stderr)) if what == "closed"]
    with stream(stdout) as out, stream(stderr) as err:
        process = fork(module, args, bare_environment(env), out, err, closed)
        with contextlib.closing(process):
            yield process


@pytest.fixture
def dns() -> Iterator[ClusterDNS]:
    with ClusterDNS() as server:
        yield server


@pytest.fixture
def pods(dns: ClusterDNS) -> StatefulSet:
    return dns.statefulset("mysql", service=DB, replicas=3)


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        number: int = held.getsockname()[1]
        return number


Cell = tuple[int | None, str, str]
"""A status, stdout and stderr."""


def outcomes(
    outcome: Outcome, env: Mapping[str, str], start: Callable[..., Any]
) -> dict[tuple[str, str], Cell]:
    """The row of the table: all its processes run at the same time."""
    found = {}
    with contextlib.ExitStack() as running:
        processes = {
            streams: running.enter_context(
                start(
                    tuple(arg.format(port=free_port()) for arg in outcome.args),
                    *streams,
                    {**QUICK, **env, **outcome.env},
                    outcome.module,
                )
            )
            for streams in STANDARD
        }
        for streams, process in processes.items():
            out, err = process.communicate()
            found[streams] = (process.returncode, out or "", err or "")
    return found


@pytest.mark.parametrize("name", ["--help", "peers", "is-primary, no", "peer-finder, wrong"])
@pytest.mark.usefixtures("pods")
def test_a_fork_ends_as_a_process_of_its_own(env: dict[str, str], name: str) -> None:
    found = outcomes(OUTCOMES[name], env, forked)
    assert found == outcomes(OUTCOMES[name], env, started)


@pytest.mark.parametrize("name", OUTCOMES)
def test_the_status_of_every_command(
    dns: ClusterDNS, pods: StatefulSet, env: dict[str, str], name: str
) -> None:
    outcome = OUTCOMES[name]
    if outcome.situation is not None:
        outcome.situation(dns, pods)
    found = outcomes(outcome, env, forked)
    assert {streams: status for streams, (status, _, _) in found.items()} == {
        streams: outcome.with_stdout(streams[0]) for streams in STANDARD
    }
    _, printed, complaints = found["open", "open"]
    assert bool(printed) is (outcome.prints != "nothing")
    for stderr in ("gone", "closed", "full"):
        assert bool(found["open", stderr][1]) is bool(printed), "stdout misses nothing"
    for stdout in ("closed", "full"):
        _, _, err = found[stdout, "open"]
        more = [line for line in err.splitlines() if "cannot write to stdout" in line]
        assert len(more) == (outcome.prints != "nothing")
        assert len(err.splitlines()) == len(complaints.splitlines()) + len(more)
    assert not [err for _, _, err in found.values() if "Traceback" in err or "Exception" in err]


@pytest.mark.usefixtures("pods")
def test_what_is_said_of_a_full_disk_and_of_a_closed_stream(env: dict[str, str]) -> None:
    said = {}
    for stdout in ("full", "closed"):
        with started(("peers", DB), stdout, "open", env, "peerdisco") as process:
            said[stdout] = process.communicate(timeout=50)[1]
    assert said == {
        "full": "peerdisco: cannot write to stdout: No space left on device\n",
        "closed": "peerdisco: cannot write to stdout: it is closed; to drop the output, redirect "
        "it to /dev/null\n",
    }


def test_no_part_of_a_password_is_shown_where_stdout_has_no_letter_for_it() -> None:
    password = {"PEERDISCO_MYSQL_PASSWORD": "sesam-\N{LATIN SMALL LETTER U WITH DIAERESIS}"}
    env = {**MYSQL, **password, "PYTHONIOENCODING": "ascii"}
    done = peerdisco("mysql-setup", "accounts", "--flavour", "mysql", env=env)
    assert (done.status, done.out) == (6, "")
    assert done.complaint == (
        "peerdisco: cannot write to stdout: the encoding ascii cannot represent it; "
        "set PYTHONIOENCODING=utf-8"
    )


@pytest.mark.usefixtures("pods")
def test_what_hooks_inherit(env: dict[str, str], tmp_path: Path) -> None:
    found = tmp_path / "found"
    hook = (
        "sh -c 'x=$(readlink /proc/$$/fd/1 /proc/$$/fd/2; grep SigIgn /proc/$$/status); "
        f'echo "$x" > {found}\''
    )
    args = ("run", DB, "--on-start", hook)
    with started(args, "closed", "closed", {**QUICK, **env, **REPLICA}, "peerdisco") as process:
        assert process.wait(20) == 0
    stdout, stderr, ignored = found.read_text().splitlines()
    assert (stdout, stderr) == ("/dev/null", "/dev/null")
    assert not int(ignored.split()[1], 16) & 1 << (signal.SIGPIPE - 1)


# Commands that go on.

DEAD = ["gone", "closed", "full", "stalled"]


def ended(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> int:
    process.send_signal(number)
    return process.wait(20)


def until(true: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert process.poll() is None, process.returncode
        assert time.monotonic() < deadline
        time.sleep(0.01)


def until_asked(dns: ClusterDNS, process: subprocess.Popen[str], times: int = 2) -> None:
    """Wait until the name server got so many more queries."""
    asked = len(dns.queries)
    until(lambda: len(dns.queries) >= asked + times, process)


@pytest.mark.parametrize("stderr", DEAD)
@pytest.mark.parametrize("finder", [False, True])
def test_run_goes_on_whatever_becomes_of_its_log(
    dns: ClusterDNS,
    pods: StatefulSet,
    env: dict[str, str],
    tmp_path: Path,
    stderr: str,
    finder: bool,
) -> None:
    listed = tmp_path / "listed"
    hook = f"sh -c 'wc -l > {listed}.new; mv {listed}.new {listed}'"
    args = ("run", DB, "--on-change", hook, "-v")
    if finder:
        args = ("-service", DB, "-on-change", hook)

    def lists(count: int) -> bool:
        return listed.exists() and listed.read_text().strip() == str(count)

    env = {**QUICK, **env, **REPLICA}
    with started(args, "open", stderr, env, FINDER if finder else "peerdisco") as process:
        until(partial(lists, 3), process)
        for count in (4, 5):
            with dns.fail("servfail"):  # which is logged, and so is its end
                until_asked(dns, process, 1)
            pods.scale(count)
            until(partial(lists, count), process)
        assert ended(process) == 0


@pytest.mark.parametrize("stderr", DEAD)
def test_wait_goes_on_whatever_becomes_of_its_log(
    dns: ClusterDNS, pods: StatefulSet, env: dict[str, str], stderr: str
) -> None:
    args = ("wait", DB, "--required", "6", "-v", "--timeout", "40")
    with started(args, "open", stderr, {**QUICK, **env}, "peerdisco") as process:
        for count in (4, 5, 6):
            until_asked(dns, process, 1)
            pods.scale(count)
        out, _ = process.communicate(timeout=40)
    assert (process.returncode, len(out.splitlines())) == (0, 6)


@pytest.mark.parametrize("stderr", DEAD)
def test_the_sidecar_goes_on_whatever_becomes_of_its_log(
    dns: ClusterDNS, env: dict[str, str], stderr: str
) -> None:
    port = free_port()
    args = ("mysql-sidecar", DB, "--listen", f"127.0.0.1:{port}", "--port", "9")
    with started(args, "open", stderr, {**QUICK, **env, **MYSQL}, "peerdisco") as process:
        for _ in range(2):
            until_asked(dns, process, 5)
            with urlopen(f"http://127.0.0.1:{port}/healthz") as answer:
                assert answer.status == 200
        assert ended(process) == 0


@pytest.mark.parametrize("stderr", DEAD)
def test_watch_goes_on_whatever_becomes_of_its_log(
    pods: StatefulSet, env: dict[str, str], stderr: str
) -> None:
    with started(("watch", DB), "open", stderr, {**QUICK, **env}, "peerdisco") as process:
        assert process.stdout is not None
        for count in (4, 5):
            assert "mysql" in process.stdout.readline()
            pods.scale(count)
        assert "mysql" in process.stdout.readline()
        assert ended(process) == 0


@pytest.mark.parametrize(("stdout", "status"), [("gone", 0), ("closed", 6), ("full", 6)])
@pytest.mark.parametrize("output", ["text", "json"])
@pytest.mark.usefixtures("pods")
def test_watch_ends_when_nobody_gets_its_lines(
    env: dict[str, str], stdout: str, status: int, output: str
) -> None:
    args = ("watch", DB, "-o", output)
    with started(args, stdout, "open", {**QUICK, **env}, "peerdisco") as process:
        _, err = process.communicate(timeout=20)
    assert process.returncode == status
    assert len(err.splitlines()) == (status == 6)


@pytest.mark.parametrize("stdout", ["gone", "closed", "full"])
def test_a_simulated_dns_goes_on_whoever_reads(env: dict[str, str], stdout: str) -> None:
    port = free_port()
    serve = ("simulate", "--serve", "--story", "--speed", "20", "--port", str(port))
    with started(serve, stdout, "open", env, "peerdisco") as process:
        for required in ("2", "5"):
            done = peerdisco(
                *("wait", "my-database.default", "--required", required),
                *("--nameserver", f"127.0.0.1:{port}", "--cluster-domain", "cluster.local"),
                env=QUICK,
            )
            assert done.status == 0
        assert ended(process) == 0


@pytest.mark.parametrize("stdout", ["gone", "closed", "full"])
def test_a_show_that_nobody_sees_ends(env: dict[str, str], stdout: str) -> None:
    with started(("simulate", "--plain"), stdout, "open", env, "peerdisco") as process:
        start = time.monotonic()
        assert process.wait(20) == (0 if stdout == "gone" else 6)
        assert time.monotonic() - start < 10, "the whole story takes 20 s"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_what_others_left_in_a_buffer_changes_no_status(stream: str) -> None:
    program = (
        "import contextlib, sys\n"
        "with contextlib.suppress(OSError):\n"
        f"    print('early', file=sys.{stream})\n"
        "from peerdisco.cli import main\n"
        "sys.exit(main(['nonsense']))\n"
    )
    with Path("/dev/full").open("wb") as full:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: full}
        done = subprocess.run(
            [sys.executable, "-c", program],
            **streams,  # type: ignore[call-overload]
            env=bare_environment(),
            check=False,
            timeout=50,
        )
    assert done.returncode == 2
