"""``peer-finder``: scripts as the peer-finder of the Kubernetes project runs them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from peerdisco.cli import peer_finder
from peerdisco.cli.peer_finder import parse_flags, run_call
from peerdisco.cli.signals import ENDING
from peerdisco.testing import ClusterDNS
from tests.hooks.running import Pipe, running

SERVICE = "my-database.default.svc.cluster.local"
PEER_FINDER = "peerdisco.cli.peer_finder"
REPORT = 'echo "$1" $PEERDISCO_EVENT: $(cat) > "$2"'
"""What a hook script says: its first argument, the event, and what it reads, in one line."""


@pytest.fixture
def env(dns: ClusterDNS) -> dict[str, str]:
    return {**dns.environment, "POD_NAME": "mysql-1"}


FLAGS: Sequence[tuple[str, str]] = [
    ("peerdisco", "run"),
    (PEER_FINDER, ""),
]


@pytest.mark.parametrize(("module", "command"), FLAGS)
@pytest.mark.parametrize("equals", [True, False])
def test_the_flags_of_the_peer_finder(
    dns: ClusterDNS,
    pipe: Callable[[str], Pipe],
    script: Callable[..., str],
    module: str,
    command: str,
    equals: bool,
) -> None:
    pods = dns.statefulset("mysql", service="galera", namespace="db", replicas=11)
    report, say = script("report", REPORT), pipe("say")
    flags = {
        "-service": "galera",
        "-ns": "db",
        "-domain": "cluster.local",
        "-on-start": f"{report} begin {say}",
        "-on-change": f"{report} reload {say}",
    }
    args = [f"{name}={value}" for name, value in flags.items()]
    if not equals:
        args = [word for flag in flags.items() for word in flag]
    env = {
        "PEERDISCO_NAMESERVERS": dns.nameserver,
        "POD_NAME": "mysql-1",
        "POD_NAMESPACE": "db",
    }
    names = sorted(f"mysql-{n}.galera.db.svc.cluster.local" for n in range(12))
    with running(*filter(None, [command]), *args, module=module, env=env) as run:
        without = [name for name in names if not name.startswith("mysql-11.")]
        assert say.line() == f"begin start: {' '.join(without)}"
        pods.scale(12)
        assert say.line() == f"reload change: {' '.join(names)}"
        assert run.end()[:3] == (0, "", "")


def test_the_peer_finder_with_on_start_alone_ends(env: dict[str, str]) -> None:
    args = ("-service=my-database", "-on-start=sort -r")
    with running(*args, module=PEER_FINDER, env=env) as run:
        names = [f"mysql-{n}.{SERVICE}" for n in (2, 1, 0)]
        assert run.ended() == (0, "".join(f"{name}\n" for name in names), "")


def test_the_peer_finder_waits_for_this_pod_with_on_change_too(
    dns: ClusterDNS, env: dict[str, str]
) -> None:
    pods = dns.statefulset("db", service="late", replicas=2)
    pods.set_ready(1, False)
    env = {**env, "POD_NAME": "db-1"}
    with running("-service", "late", "-on-change", "cat", module=PEER_FINDER, env=env) as run:
        assert "the on-change hook waits" in run.complaint()
        pods.set_ready(1, True)
        assert run.line().startswith("db-0.late.")
        assert run.line().startswith("db-1.late.")


@pytest.mark.parametrize(
    ("args", "given", "rest"),
    [
        (["-service=a", "--ns", "b"], {"service": "a", "ns": "b"}, []),
        (["-service=a=b", "-service", "-c"], {"service": "-c"}, []),
        (["-on-start="], {"on-start": ""}, []),
        (["-ns=a", "b", "-service=c"], {"ns": "a"}, ["b", "-service=c"]),
        (["-ns=a", "--", "-service=c"], {"ns": "a"}, ["-service=c"]),
        (["-ns=a", "-"], {"ns": "a"}, ["-"]),
        (["-ns=a", "-h"], None, []),
        (["--help"], None, []),
        (["-v=3", "-service", "a"], {"v": "3", "service": "a"}, []),
        (["-v", "-1", "b"], {"v": "-1"}, ["b"]),
        (["-logtostderr", "-ns=a"], {"logtostderr": "true", "ns": "a"}, []),
        (["--logtostderr=F", "a"], {"logtostderr": "F"}, ["a"]),
    ],
)
def test_flags_are_read_as_go_reads_them(
    args: list[str], given: dict[str, str] | None, rest: list[str]
) -> None:
    assert parse_flags(args) == (given, rest)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["-colour=red"], "flag provided but not defined: -colour"),
        (["-service"], "flag needs an argument: -service"),
        (["---service=a"], "bad flag syntax: ---service=a"),
        (["-=a"], "bad flag syntax: -=a"),
        (["-on-start=true"], "-service is required"),
        (["-service=a"], "-on-change or -on-start"),
        ([], "incomplete arguments"),
        (["-v=a"], 'invalid value "a" for flag -v'),
        (["-v=" + "9" * 5000, "-service=x", "-on-change=y"], "for flag -v"),
        (["-logtostderr=maybe"], 'invalid boolean value "maybe" for -logtostderr'),
        (["-selector=app=db", "-on-start=true", "-service=a"], "-selector is not supported"),
        (["-address-type=IPv4", "-on-start=true", "-service=a"], "-address-type=IPv4 is not supp"),
        (["-domain=a", "-dns-suffix=svc.b", "-on-start=true", "-service=a"], "contradicts -domain"),
        (["-service=a.b.svc.c", "-on-change=./no-such-hook x"], "not an executable file"),
        (["-service=a.b.svc.c", "-on-start=no-such-hook"], "no such program in PATH"),
    ],
)
def test_a_wrong_call_of_the_peer_finder(
    args: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert peer_finder.main(args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert len(err.splitlines()) == 1


def test_the_peer_finder_tells_its_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert peer_finder.main(["-help"]) == 0
    out, _ = capsys.readouterr()
    for flag in ("-service", "-ns", "-domain", "-on-start", "-on-change"):
        assert f"  {flag} string" in out


def test_a_shell_reads_scripts(env: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    text = f'HERE={out}; sort -r | head -n 1 > $HERE && echo $(id -u) >> "$HERE" 2>&1'
    with running("-service=my-database", f"-on-start={text}", module=PEER_FINDER, env=env) as run:
        assert run.ended() == (0, "", "")
    assert out.read_text() == f"mysql-2.{SERVICE}\n{os.getuid()}\n"


@pytest.mark.parametrize("text", ["exec cat", "cd / && cat", ": ; cat", "cat | cat", "  cat  "])
def test_what_a_shell_takes(env: dict[str, str], text: str) -> None:
    names = "".join(f"mysql-{n}.{SERVICE}\n" for n in range(3))
    with running("-service=my-database", "-on-start", text, module=PEER_FINDER, env=env) as run:
        assert run.ended() == (0, names, "")


@pytest.mark.parametrize("on_change", [(), ("-on-change=true",)])
@pytest.mark.parametrize("text", ["{script} 7", "{script} 7 && echo done"])
def test_on_start_runs_once_and_its_failure_is_the_end(
    env: dict[str, str],
    script: Callable[..., str],
    tmp_path: Path,
    on_change: tuple[str, ...],
    text: str,
) -> None:
    out = tmp_path / "config"
    hook = script("hook", f"cat >> {out}", 'exit "$1"')
    args = ("-service=my-database", f"-on-start={text.format(script=hook)}", *on_change)
    with running(*args, module=PEER_FINDER, env=env) as run:
        status, printed, err = run.ended()
    assert (status, printed) == (1, "")
    assert "exited with status 7" in err
    assert len(err.splitlines()) == 1
    assert out.read_text() == "".join(f"mysql-{n}.{SERVICE}\n" for n in range(3))


def test_a_failure_of_on_change_is_the_end(
    dns: ClusterDNS, env: dict[str, str], pipe: Callable[[str], Pipe]
) -> None:
    pods = dns.statefulset("db", service="late", replicas=2)
    say = pipe("say")
    hooks = (f"-on-start=echo begun > {say}", f"-on-change=echo changed > {say}; exit 3")
    env = {**env, "POD_NAME": "db-1"}
    with running("-service=late", *hooks, module=PEER_FINDER, env=env) as run:
        assert say.line() == "begun"
        pods.scale(3)
        assert say.line() == "changed"
        status, out, err = run.ended()
    assert (status, out) == (1, "")
    assert "exited with status 3" in err


@pytest.mark.parametrize("way", ["flag", "variable"])
def test_a_script_runs_again_where_that_is_asked_for(
    env: dict[str, str], tmp_path: Path, way: str
) -> None:
    out = tmp_path / "out"
    args = ["-service=my-database", f"-on-start=echo ran >> {out}; [ $(wc -l < {out}) = 2 ]"]
    if way == "flag":
        args.append("-attempts=3")
    else:
        env = {**env, "PEERDISCO_HOOK_ATTEMPTS": "3"}
    with running(*args, module=PEER_FINDER, env=env) as run:
        status, _, err = run.ended()
    assert status == 0
    assert "failed (1 of 3)" in err
    assert out.read_text() == "ran\nran\n"


@pytest.mark.parametrize("way", ["flag", "variable"])
def test_a_script_has_a_limit_where_that_is_asked_for(env: dict[str, str], way: str) -> None:
    args = ["-service=my-database", "-on-start=sleep 1000"]
    if way == "flag":
        args.append("-hook-timeout=0.2")
    else:
        env = {**env, "PEERDISCO_HOOK_TIMEOUT": "0.2"}
    with running(*args, module=PEER_FINDER, env=env) as run:
        status, _, err = run.ended()
    assert status == 1
    assert "sleep 1000 exceeded its time limit of 0.2 s" in err


def test_a_script_has_no_limit_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is one killed that takes its time to end."""
    for name in ("TIMEOUT", "GRACE", "ATTEMPTS"):
        monkeypatch.delenv(f"PEERDISCO_HOOK_{name}", raising=False)
    call = run_call({"service": "a", "on-start": "b"}, print)
    assert {"--hook-timeout=none", "--grace=none", "--attempts=1"} < set(call)


def test_a_script_that_another_one_makes_need_not_be_there(
    dns: ClusterDNS, env: dict[str, str], pipe: Callable[[str], Pipe], tmp_path: Path
) -> None:
    pods = dns.statefulset("db", service="late", replicas=1)
    say, made = pipe("say"), tmp_path / "made"
    start = f"echo 'echo made > {say}' > {made} && chmod +x {made} && echo begun > {say}"
    hooks = (f"-on-start={start}", f"-on-change={made}")
    env = {**env, "POD_NAME": "db-0"}
    with running("-service=late", *hooks, module=PEER_FINDER, env=env) as run:
        assert say.line() == "begun"
        pods.scale(2)
        assert say.line() == "made"
        assert run.end()[0] == 0


# The shapes of published on-start scripts.


def test_a_script_that_waits_for_its_server(
    env: dict[str, str], script: Callable[..., str], pipe: Callable[[str], Pipe], tmp_path: Path
) -> None:
    """As for MongoDB: the peers are read one by one, and a server that the script has started is
    waited for, for up to 900 seconds; any limit below that would never let it finish."""
    say, go, log = pipe("say"), pipe("go"), tmp_path / "log"
    hook = script(
        "on-start.sh",
        "peers=",
        "while read -r line; do",
        '  case "$line" in mysql-1.*) service_name="$line" ;;',
        '  *) peers="$peers $line" ;; esac',
        "done",
        f'echo "me $service_name, peers$peers" >> {log}',
        f"( echo waiting > {say}; read word < {go} ) & server=$!",
        "wait $server",
        f"echo finished >> {log}",
    )
    args = ("-service", "my-database", f"-on-start={hook}")
    with running(*args, module=PEER_FINDER, env=env) as run:
        assert say.line() == "waiting"
        with pytest.raises(subprocess.TimeoutExpired):
            run.process.wait(0.5)
        go.say()
        assert run.ended() == (0, "", "")
    me, *others = (f"mysql-{n}.{SERVICE}" for n in (1, 0, 2))
    assert log.read_text() == f"me {me}, peers {' '.join(others)}\nfinished\n"


@pytest.mark.parametrize("number", ENDING)
def test_a_script_that_runs_the_database(
    env: dict[str, str],
    script: Callable[..., str],
    pipe: Callable[[str], Pipe],
    tmp_path: Path,
    number: int,
) -> None:
    """As for Galera: the script ends in ``exec mysqld``. SIGTERM has to reach that, and its files
    are closed before anything ends."""
    say, closed = pipe("say"), tmp_path / "closed"
    database = script(
        "mysqld",
        f"trap 'sleep 0.8; echo closed > {closed}; exit 0' TERM",
        f'echo "started $*" > {say}',
        "while :; do sleep 0.05; done",
    )
    hook = script("on-start.sh", "cluster=$(sort | head -n 1)", f"exec {database} --join=$cluster")
    args = ("-service=my-database", f"-on-start={hook}", "-on-change=true")
    with running(*args, module=PEER_FINDER, env=env) as run:
        assert say.line() == f"started --join=mysql-0.{SERVICE}"
        status, out, _, _ = run.end(number)
    assert (status, out) == (0, "")
    assert closed.read_text() == "closed\n"


def test_the_working_directory_and_the_arguments(
    env: dict[str, str], script: Callable[..., str]
) -> None:
    hook = script("on-start.sh", 'pwd; echo "$#" "$@"; cat')
    args = ("-service=my-database", f"-on-start={hook} --user=root a  b")
    with running(*args, module=PEER_FINDER, env=env) as run:
        names = "".join(f"mysql-{n}.{SERVICE}\n" for n in range(3))
        assert run.ended() == (0, f"{Path.cwd()}\n3 --user=root a b\n{names}", "")


@pytest.mark.parametrize("hook", ["-on-start=true", "-on-change=true"])
def test_a_service_in_another_namespace(dns: ClusterDNS, env: dict[str, str], hook: str) -> None:
    """Its pods have the same names, and this one is not among them and never will be."""
    dns.statefulset("mysql", service="my-database", namespace="other", replicas=3)
    args = ("-service=my-database", "-ns=other", hook)
    with running(*args, module=PEER_FINDER, env=env) as run:
        status, out, err = run.ended()
    assert (status, out) == (2, "")
    [line] = err.splitlines()
    assert "my-database.other.svc.cluster.local: got 'other', expected 'default'" in line
    assert "this pod mysql-1" in line
    assert "would wait forever" in line


def test_another_namespace_is_no_matter_where_no_hook_waits_for_this_pod(
    dns: ClusterDNS, env: dict[str, str]
) -> None:
    dns.statefulset("mysql", service="my-database", namespace="other", replicas=1)
    args = ("run", "my-database", "-ns=other", "--on-change", "cat")
    with running(*args, env=env) as run:
        assert run.line() == "mysql-0.my-database.other.svc.cluster.local"


# Flags of its forks.


def test_the_address_of_this_host(env: dict[str, str]) -> None:
    text = "echo $HOST_ADDRESS $HOST_ADDRESS_TYPE $POD_IP $POD_IP_TYPE"
    args = ("-service=my-database", "-address-type=DNS", f"-on-start={text}")
    for address, kind in (("10.1.2.3", "IPv4"), ("fd00::3", "IPv6")):
        with running(*args, module=PEER_FINDER, env={**env, "POD_IP": address}) as run:
            assert run.ended() == (0, f"mysql-1.{SERVICE} DNS {address} {kind}\n", "")


def test_the_domain_as_a_suffix(env: dict[str, str]) -> None:
    del env["PEERDISCO_CLUSTER_DOMAIN"]
    args = ("-service=my-database", "-ns=default", "-dns-suffix=svc.cluster.local", "-on-start=cat")
    with running(*args, module=PEER_FINDER, env=env) as run:
        status, out, err = run.ended()
    assert (status, out.splitlines()[0]) == (0, f"mysql-0.{SERVICE}")
    assert err == (
        "peer-finder: -dns-suffix=svc.cluster.local is -domain=cluster.local; scripts read NAME, "
        "and not NAME,IP as in the fork that has this flag\n"
    )


def test_each_run_is_reported_where_that_is_asked_for(env: dict[str, str]) -> None:
    args = ("-service=my-database", "-on-start=true")
    with running(*args, "-v", "3", module=PEER_FINDER, env=env) as run:
        assert run.ended() == (0, "", "peerdisco: the on-start hook runs: 3 peers\n")
    with running(*args, "-v=0", module=PEER_FINDER, env=env) as run:
        assert run.ended() == (0, "", "")


@pytest.mark.parametrize(
    "flag", ["-kubeconfig=/x", "-master=x", "-hosts-file=/etc/hosts", "-logtostderr", "-vmodule=a"]
)
def test_a_flag_without_effect_is_named(env: dict[str, str], flag: str) -> None:
    args = (flag, "-service=my-database", "-on-start=true")
    with running(*args, module=PEER_FINDER, env=env) as run:
        status, out, err = run.ended()
    assert (status, out) == (0, "")
    assert err.startswith(f"peer-finder: {flag.partition('=')[0]} is ignored: ")
