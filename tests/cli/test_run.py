"""``run`` and ``peer-finder``: hooks in real processes, over a real name server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from peerdisco import ConfigurationError
from peerdisco.cli.hook_commands import refuse_shell_text
from peerdisco.testing import ClusterDNS
from tests.hooks.running import Pipe, running

from .command import SOON, peerdisco
from .process_1 import ENDING, UNSHARE, as_process_1, children, process_1

SERVICE = "my-database.default.svc.cluster.local"


@pytest.fixture
def env(dns: ClusterDNS) -> dict[str, str]:
    return {**dns.environment, "POD_NAME": "mysql-1"}


def hostnames(*ordinals: int) -> str:
    return " ".join(f"mysql-{n}.{SERVICE}" for n in ordinals)


REPORT = 'echo "$1" $PEERDISCO_EVENT: $(cat) > "$2"'
"""What a hook script says: its first argument, the event, and what it reads, in one line."""


# The command.


def test_on_start_and_then_on_change(
    dns: ClusterDNS, env: dict[str, str], pipe: Callable[[str], Pipe], script: Callable[..., str]
) -> None:
    pods = dns.statefulset("mysql", service="late", replicas=2, namespace="other")
    report, say = script("report", REPORT), pipe("say")
    hooks = ("--on-start", f"{report} begin {say}", "--on-change", f"{report} reload {say}")
    with running("run", "late.other", *hooks, env={**env, "POD_NAMESPACE": "other"}) as run:
        two = " ".join(f"mysql-{n}.late.other.svc.cluster.local" for n in (0, 1))
        assert say.line() == f"begin start: {two}"
        pods.scale(3)
        assert say.line() == f"reload change: {two} mysql-2.late.other.svc.cluster.local"
        status, out, err, seconds = run.end()
    assert (status, out, err) == (0, "", "")
    assert seconds < SOON


def test_json_and_the_facts(
    env: dict[str, str], tmp_path: Path, script: Callable[..., str]
) -> None:
    out = tmp_path / "out"
    hook = script("hook", f"cat > {out}", "env | grep ^PEERDISCO_ >> /proc/self/fd/1")
    with running("run", "my-database", "--on-start", hook, "--stdin", "json", env=env) as run:
        status, printed, err = run.ended()
    assert (status, err) == (0, "")
    listed = peerdisco("peers", "my-database", "-o", "json", env=env)
    assert json.loads(out.read_text()) == json.loads(listed.out)
    facts = dict(line.split("=", 1) for line in printed.splitlines())
    assert facts["PEERDISCO_LOCAL"] == "mysql-1"
    assert facts["PEERDISCO_PRIMARY_HOST"] == f"mysql-0.{SERVICE}"


def test_no_shell_reads_the_command_line(env: dict[str, str]) -> None:
    hook = r"""echo '$(id)' '>' "|" a&b=c \; '&&' $1 x>y "it's" '*' \$HOME *.cnf"""
    with running("run", "my-database", "--on-start", hook, env=env) as run:
        assert run.ended() == (0, "$(id) > | a&b=c ; && $1 x>y it's * $HOME *.cnf\n", "")


@pytest.mark.parametrize(
    ("hook", "found"),
    [
        ("echo a | sort", "'|'"),
        ("echo a |& sort", "'|&'"),
        ("echo a > /tmp/x", "'>'"),
        ("echo a >/tmp/x", "'>/tmp/x'"),
        ("echo a >> /tmp/x", "'>>'"),
        ("echo a 2>/dev/null", "'2>/dev/null'"),
        ("echo a 2>&1", "'2>&1'"),
        ("echo a >&2", "'>&2'"),
        ("echo a &> x", "'&>'"),
        ("sort < /tmp/x", "'<'"),
        ("sort <<EOF", "'<<EOF'"),
        ("true && echo a", "'&&'"),
        ("true || echo a", "'||'"),
        ("true ; echo a", "';'"),
        ("true; echo a", "'true;'"),
        ("sleep 1 &", "'&'"),
        ("sleep 1&", "'1&'"),
        ("( echo a )", "'('"),
        ("echo $HOME", "'$HOME'"),
        ("echo --user=$USER", "'--user=$USER'"),
        ('echo "$HOME/x"', "'\"$HOME/x\"'"),
        ("echo ${HOME}", "'${HOME}'"),
        ("echo $(POD_NAME)", "'$(POD_NAME)'"),
        ("echo `id`", "'`id`'"),
        ('echo "`id`"', "'\"`id`\"'"),
        ("rm -f /var/lib/mysql/*", "'/var/lib/mysql/*'"),
        ("ls *", "'*'"),
        ("cat ~/x", "'~/x'"),
        ("cat ~", "'~'"),
        ("true\ntrue", "a line break"),
        ("true \\\n  -x", "a line break"),
    ],
)
def test_text_for_a_shell_is_refused(hook: str, found: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        refuse_shell_text(hook, "--on-start")
    said = str(raised.value)
    assert said.startswith("--on-start: got ")
    assert f"no shell is started, and {found} needs one: use --shell or sh -c '...'" in said


@pytest.mark.parametrize("option", ["--on-start", "--on-change", "-on-start"])
def test_it_is_refused_before_anything_runs(option: str, tmp_path: Path) -> None:
    args = ("run", SERVICE, option, f"touch {tmp_path}/made && true")
    done = peerdisco(*args, env={"PEERDISCO_NAMESERVERS": "127.0.0.1:1"})
    assert (done.status, done.out) == (2, "")
    assert "'&&' needs one: use --shell" in done.complaint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "hook",
    [
        "true http://127.0.0.1:8080/reload?now=1&all=2",
        "true --filter=a|b a;b x>y a->b",
        "true 'a | b' \"c && d\" \\; \\| \\>",
        "true 50% a=b +x -- - {} {print} [a] ! # %h @ ^x$ $ $1 US$",
        "true *.cnf --include=*.sh *:80 http://*:80/ a?b --exclude=/tmp/*",
        "true a~b user~1",
        "sh -c 'true | true; true && echo $HOME > /dev/null'",
        "  true  ",
        "true\n",
    ],
)
def test_an_argument_is_not_refused(hook: str) -> None:
    refuse_shell_text(hook, "--on-start")


def test_a_shell_by_an_option(env: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    hook = f"sort -r | head -n 1 > {out} && echo $PEERDISCO_EVENT >> {out}"
    with running("run", "my-database", "--shell", "--on-start", hook, env=env) as run:
        assert run.ended() == (0, "", "")
    assert out.read_text() == f"mysql-2.{SERVICE}\nstart\n"


def test_a_shell_that_is_asked_for(env: dict[str, str]) -> None:
    shell = """sh -c 'wc -l | tr -d " "'"""
    with running("run", "my-database", "--on-start", shell, env=env) as run:
        assert run.ended() == (0, "3\n", "")


def test_the_command_in_a_hook_queries_the_same_service(
    env: dict[str, str], dns: ClusterDNS
) -> None:
    dns.statefulset("green", service="my-database", replicas=1)
    hook = f"{sys.executable} -m peerdisco primary -o hostnames"
    configured = {
        "PEERDISCO_STATEFULSET": "mysql",
        "PEERDISCO_NAMESERVERS": "127.0.0.1:1",
        "PEERDISCO_RESOLVER": "no such resolver",
    }
    options = ("--statefulset", "green", "--nameserver", dns.nameserver, "--resolver", "aiodns")
    with running(
        "run",
        "my-database",
        "--on-start",
        hook,
        *options,
        env={**env, "POD_NAME": "green-0", **configured},
    ) as run:
        assert run.ended() == (0, f"green-0.{SERVICE}\n", "")


def test_on_change_alone_needs_no_pod(
    dns: ClusterDNS, pipe: Callable[[str], Pipe], script: Callable[..., str]
) -> None:
    report, say = script("report", REPORT), pipe("say")
    hook = ("-on-change", f"{report} reload {say}", "-v")
    with running("run", "my-database", *hook, env=dict(dns.environment)) as run:
        assert say.line() == f"reload start: {hostnames(0, 1, 2)}"
        assert run.complaint() == "peerdisco: the on-change hook runs: 3 peers"


def test_changes_during_a_hook_are_one(
    dns: ClusterDNS, env: dict[str, str], pipe: Callable[[str], Pipe], script: Callable[..., str]
) -> None:
    pods = dns.statefulset("db", service="late", replicas=1)
    say, go = pipe("say"), pipe("go")
    hook = script("hook", f'echo "$PEERDISCO_JOINED" > {say}', f"read word < {go}")
    with running("run", "late", "--on-change", hook, env=env):
        assert say.line() == "db-0"
        for replicas in (2, 3):
            pods.scale(replicas)
            seen = len(dns.queries)
            while len(dns.queries) < seen + 2:
                pass
        go.say()
        assert say.line() == "db-1 db-2"


def test_a_failure_is_reported_and_the_watch_goes_on(
    dns: ClusterDNS, env: dict[str, str], pipe: Callable[[str], Pipe], script: Callable[..., str]
) -> None:
    pods = dns.statefulset("db", service="late", replicas=1)
    say = pipe("say")
    hook = script("hook", f'[ "$PEERDISCO_PEERS" = db-0 ] && exit 7; echo ran > {say}')
    with running("run", "late", "--on-change", hook, "--attempts", "1", env=env) as run:
        assert run.complaint() == (
            f"peerdisco: the on-change hook failed (1 of 1): {hook} exited with status 7; "
            "waiting for the next change"
        )
        pods.scale(2)
        assert say.line() == "ran"


def test_a_hook_that_takes_too_long(env: dict[str, str]) -> None:
    hook = ("--on-change", "sleep 1000", "--hook-timeout", "0.2")
    with running("run", "my-database", *hook, env=env) as run:
        assert "(1 of 5): sleep 1000 exceeded its time limit of 0.2 s" in run.complaint()


def test_no_limit_for_a_hook(env: dict[str, str]) -> None:
    hook = ("--on-start", "sleep 0.3")
    short = {**env, "PEERDISCO_HOOK_TIMEOUT": "0.1", "PEERDISCO_HOOK_ATTEMPTS": "1"}
    with running("run", "my-database", *hook, "--hook-timeout", "none", env=short) as run:
        assert run.ended() == (0, "", "")
    with running("run", "my-database", *hook, env=short) as run:
        status, _, err = run.ended()
    assert status == 1
    assert "exceeded its time limit of 0.1 s" in err


def test_a_failure_ends_it_where_that_is_asked_for(env: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    hooks = ("--shell", "--on-change", f"echo ran >> {out}; exit 7", "--exit-on-failure")
    with running("run", "my-database", *hooks, "--attempts", "2", env=env) as run:
        status, _, err = run.ended()
    assert status == 1
    assert out.read_text() == "ran\nran\n"
    assert err.endswith("exited with status 7\n")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("PEERDISCO_HOOK_TIMEOUT", "nan", "or 'none'"),
        ("PEERDISCO_HOOK_TIMEOUT", "5m", "a number of seconds"),
        ("PEERDISCO_HOOK_GRACE", "0", "or 'none'"),
        ("PEERDISCO_HOOK_ATTEMPTS", "none", "a number of 1 or more"),
    ],
)
def test_a_wrong_limit(variable: str, value: str, said: str) -> None:
    done = peerdisco("run", SERVICE, "--on-change", "true", env={variable: value})
    assert (done.status, done.out) == (2, "")
    assert done.complaint.startswith(f"peerdisco: {variable}: got {value!r}, expected ")
    assert said in done.complaint


def test_on_start_alone_that_fails_in_the_end(env: dict[str, str]) -> None:
    hook = ("--on-start", "false", "--attempts", "2")
    with running("run", "my-database", *hook, env=env) as run:
        status, out, err = run.ended()
    assert (status, out) == (1, "")
    assert "the on-start hook failed (1 of 2): false exited with status 1; retrying in" in err
    assert err.endswith("exiting: false exited with status 1\n")


def test_it_says_what_on_start_waits_for(dns: ClusterDNS, env: dict[str, str]) -> None:
    pods = dns.statefulset("db", service="late", replicas=2)
    pods.set_ready(1, False)
    with running("run", "late", "--on-start", "true", env={**env, "POD_NAME": "db-1"}) as run:
        said = run.complaint()
        assert "lists db-0 and not db-1" in said
        assert "publishNotReadyAddresses" in said
        pods.set_ready(1, True)
        assert run.ended() == (0, "", "")


# Its end.


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize("stubborn", [False, True])
def test_a_signal_ends_the_hook_and_all_its_processes(
    env: dict[str, str],
    pipe: Callable[[str], Pipe],
    script: Callable[..., str],
    tmp_path: Path,
    number: int,
    stubborn: bool,
) -> None:
    say, life = pipe("say"), tmp_path / "life"
    os.mkfifo(life)
    held = os.open(life, os.O_RDONLY | os.O_NONBLOCK)
    hook = script(
        "hook",
        f"exec 9> {life}",
        'trap "" TERM' if stubborn else "",
        f"sh -c 'echo begun > {say}; exec sleep 1000' &",
        f"echo begun > {say}",
        "exec sleep 1000",
    )
    with running("run", "my-database", "--on-change", hook, env=env) as run:
        assert [say.line(), say.line()] == ["begun", "begun"]
        status, out, err, seconds = run.end(number)
    assert (status, out, err) == (0, "", "")
    assert seconds < SOON
    os.set_blocking(held, True)
    assert os.read(held, 1) == b"", "nobody holds it any more"
    os.close(held)


def test_a_hook_is_given_time_to_end(
    env: dict[str, str], pipe: Callable[[str], Pipe], script: Callable[..., str], tmp_path: Path
) -> None:
    """A database that a hook runs closes its files, which takes a while."""
    say, go, out = pipe("say"), pipe("go"), tmp_path / "out"
    hook = script(
        "hook",
        f"trap 'echo closing > {say}; read word < {go}; echo closed > {out}; exit' TERM",
        f"echo begun > {say}",
        "while :; do sleep 0.05; done",
    )
    args = ("run", "my-database", "--on-start", hook, "--grace", "none")
    with running(*args, env=env) as run:
        assert say.line() == "begun"
        run.process.send_signal(signal.SIGTERM)
        assert say.line() == "closing"
        with pytest.raises(subprocess.TimeoutExpired):  # longer than the limit otherwise is
            run.process.wait(0.8)
        go.say()
        assert run.ended()[:2] == (0, "")
    assert out.read_text() == "closed\n"


def test_a_second_signal_ends_the_wait(
    env: dict[str, str], pipe: Callable[[str], Pipe], script: Callable[..., str]
) -> None:
    say = pipe("say")
    hook = script("hook", 'trap "" TERM', f"echo begun > {say}", "exec sleep 1000")
    args = ("run", "my-database", "--on-start", hook, "--grace", "none")
    with running(*args, env=env) as run:
        say.line()
        # The same signal may come by two ways, from a terminal and from process 1.
        run.process.send_signal(signal.SIGTERM)
        run.process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            run.process.wait(1.2)
        assert run.end()[:3] == (0, "", "")


# Wrong calls.


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], ["--on-change", "--on-start"]),
        (["--on-change", ""], ["--on-start"]),
        (["--on-change", "no-such-hook -x"], ["--on-change", "'no-such-hook -x'", "PATH"]),
        (["--on-start", "/no/hook"], ["--on-start", "'/no/hook'", "not an executable file"]),
        (["--on-start", "cd / && ls"], ["--on-start", "no shell", "sh -c"]),
        (["--on-start", "a 'b"], ["--on-start", "quotation"]),
        (["--on-start", "true", "--stdin", "yaml"], ["--stdin", "yaml"]),
        (["--on-start", "true", "--hook-timeout", "0"], ["--hook-timeout", "'0'"]),
        (["--on-start", "true", "--attempts", "0"], ["--attempts", "'0'"]),
        (["--on-start", "true", "-service", "other"], ["-service", "'other'"]),
        (["--on-start", "true"], ["pod name", "POD_NAME"]),
    ],
)
def test_a_wrong_call(args: list[str], said: list[str]) -> None:
    done = peerdisco("run", SERVICE, *args, env={"PEERDISCO_NAMESERVERS": "127.0.0.1:1"})
    assert (done.status, done.out) == (2, "")
    for words in said:
        assert words in done.complaint


def test_help_tells_the_exit_statuses() -> None:
    done = peerdisco("run", "--help")
    assert (done.status, done.err) == (0, "")
    assert "exit status:" in done.out
    assert "sh -c" in done.out


# As process 1.


def is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


@as_process_1
def test_as_process_1_it_reaps_orphans_and_keeps_what_hooks_return(
    dns: ClusterDNS, env: dict[str, str], pipe: Callable[[str], Pipe], script: Callable[..., str]
) -> None:
    pods = dns.statefulset("db", service="late", replicas=2)
    say, go = pipe("say"), pipe("go")
    orphan = script("orphan", f"echo orphan > {say}", f"read word < {go}")
    # The hook leaves ten orphans, and its own status must come through while they end.
    hook = script("hook", f"for n in 0 1 2 3 4 5 6 7 8 9; do {orphan} & done", "exit 5")
    args = ("run", "late", "--on-change", hook, "--attempts", "1")
    with running(*args, env=env, before=UNSHARE) as run:
        assert "exited with status 5" in run.complaint()
        assert [say.line() for _ in range(10)] == ["orphan"] * 10
        init = process_1(run)
        assert len(children(init)) == 11
        for _ in range(10):
            go.say()
        while len(children(init)) > 1:
            time.sleep(0.01)
        [worker] = children(init)
        assert not is_zombie(worker)
        pods.scale(3)
        assert "exited with status 5" in run.complaint()
        assert [say.line() for _ in range(10)] == ["orphan"] * 10
        os.kill(init, signal.SIGTERM)
        assert run.ended() == (0, "", "")


@as_process_1
@pytest.mark.parametrize("number", ENDING)
def test_as_process_1_it_ends_at_once(
    env: dict[str, str], pipe: Callable[[str], Pipe], script: Callable[..., str], number: int
) -> None:
    say = pipe("say")
    hook = script("hook", 'trap "" TERM', f"echo begun > {say}", "exec sleep 1000")
    with running("run", "my-database", "--on-change", hook, env=env, before=UNSHARE) as run:
        say.line()
        start = time.monotonic()
        os.kill(process_1(run), number)
        assert run.ended() == (0, "", "")
        assert time.monotonic() - start < SOON, "it does not wait for a hook that ignores SIGTERM"


@as_process_1
def test_as_process_1_it_returns_the_status(env: dict[str, str]) -> None:
    args = ("run", "my-database", "--on-start", "false", "--attempts", "1")
    with running(*args, env=env, before=UNSHARE) as run:
        status, out, err = run.ended()
    assert (status, out) == (1, "")
    assert len(err.splitlines()) == 1


@as_process_1
def test_a_worker_that_is_killed_shows_in_the_status(env: dict[str, str]) -> None:
    with running("run", "my-database", "--on-change", "cat", env=env, before=UNSHARE) as run:
        run.line()
        [worker] = children(process_1(run))
        os.kill(worker, signal.SIGKILL)
        status, _, err = run.ended()
    assert (status, err) == (137, "")
