"""One command as a hook: real processes."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from peerdisco import Change, ConfigurationError, Identity
from peerdisco.hooks import CommandHook, HookFailed, StdinFormat
from peerdisco.membership.snapshots import SnapshotBuilder
from peerdisco.model import Answered
from peerdisco.testing import failure, peers

from .fifo import Fifo, Life

SERVICE = "my-database.default.svc.cluster.local"
ME = Identity("mysql-1", "default", 1, "mysql")
VIEW = SnapshotBuilder(ME)
DATE = datetime(2000, 1, 1, tzinfo=UTC)


def change(after: Answered, before: Answered | None = None, view: SnapshotBuilder = VIEW) -> Change:
    old = None if before is None else view.snapshot(SERVICE, before.peers, observed_at=DATE)
    new = view.snapshot(
        SERVICE, after.peers, observed_at=DATE, incomplete_reason=after.incomplete_reason
    )
    return Change.between(old, new)


def shell(script: str, *args: object, **options: object) -> CommandHook:
    return CommandHook(["sh", "-c", script, "sh", *map(str, args)], **options)  # type: ignore[arg-type]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def names_in(path: Path) -> set[str]:
    return {file.name for file in path.iterdir()}


def text(path: Path) -> str:
    return path.read_text()


async def test_names_are_sorted_as_text_one_a_line(out: Path) -> None:
    await shell('cat > "$1"', out)(change(peers("mysql", 11)))
    names = [f"mysql-{n}.{SERVICE}" for n in range(11)]
    assert text(out) == "".join(f"{name}\n" for name in sorted(names))
    assert text(out).index("mysql-10.") < text(out).index("mysql-2.")


async def test_json_is_what_the_command_prints(out: Path) -> None:
    reported = change(peers("mysql", 2))
    await shell('cat > "$1"', out, stdin="json")(reported)
    read = json.loads(text(out))
    assert read == reported.snapshot.as_dict()
    assert read["primary"] == "mysql-0"
    assert [peer["addresses"] for peer in read["peers"]] == [["10.244.0.3"], ["10.244.0.4"]]


async def test_nobody_is_an_empty_input(out: Path) -> None:
    await shell('cat > "$1"', out)(change(peers("mysql", 0), peers("mysql", 1)))
    assert text(out) == ""


@pytest.mark.parametrize("stdin", ["names", "json"])
async def test_a_hook_need_not_read(stdin: StdinFormat) -> None:
    # Longer than any pipe is.
    await CommandHook(["true"], stdin=stdin)(change(peers("mysql", 3000)))


async def test_the_input_can_be_opened_again(out: Path) -> None:
    await shell('cat /dev/stdin > "$1"', out)(change(peers("mysql", 1)))
    assert text(out) == f"mysql-0.{SERVICE}\n"


async def test_without_memfd_a_file_is_read(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    await shell('cat > "$1"', out)(change(peers("mysql", 1)))
    assert text(out) == f"mysql-0.{SERVICE}\n"


async def environment(out: Path, reported: Change, event: str = "change") -> dict[str, str]:
    hook = shell('env -0 > "$1"', out, environment={"PEERDISCO_STATEFULSET": "mysql"})
    await hook(reported, event)  # type: ignore[arg-type]
    variables = dict(line.split("=", 1) for line in text(out).split("\0") if line)
    return {name[10:]: text for name, text in variables.items() if name.startswith("PEERDISCO_")}


async def test_the_environment_tells_the_facts(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEERDISCO_JOINED", "of an outer hook")
    monkeypatch.setenv("PEERDISCO_SERVICE", "other")
    reported = change(
        peers("mysql", [0, 1, 10], addresses={1: "10.244.7.7"}), peers("mysql", [0, 1, 2])
    )
    assert await environment(out, reported) == {
        "EVENT": "change",
        "SERVICE": SERVICE,
        "PEERS": "mysql-0 mysql-1 mysql-10",
        "JOINED": "mysql-10",
        "LEFT": "mysql-2",
        "REPLACED": "mysql-1",
        "PRIMARY": "mysql-0",
        "PRIMARY_HOST": f"mysql-0.{SERVICE}",
        "LOCAL": "mysql-1",
        "COMPLETE": "true",
        "STALE": "false",
        "STATEFULSET": "mysql",
    }


async def test_what_is_not_there_is_empty(out: Path) -> None:
    reported = change(peers("mysql", [2], incomplete_reason="the answer was truncated"))
    facts = await environment(out, reported, "start")
    assert (facts["EVENT"], facts["COMPLETE"]) == ("start", "false")
    empty = {"LEFT", "REPLACED", "PRIMARY", "PRIMARY_HOST", "LOCAL"}
    assert {name for name, text in facts.items() if text == ""} == empty


async def test_an_ambiguous_primary_is_none(out: Path) -> None:
    both = Answered((*peers("blue", 1).peers, *peers("green", 1).peers))
    facts = await environment(out, change(both, view=SnapshotBuilder()))
    assert (facts["PRIMARY"], facts["PRIMARY_HOST"]) == ("", "")


async def test_stale_is_reported(out: Path) -> None:
    error = failure().error
    seen = peers("mysql", 2).peers
    stale = VIEW.snapshot(SERVICE, seen, observed_at=DATE, last_error=error)
    assert (await environment(out, Change.between(None, stale)))["STALE"] == "true"


async def test_a_list_that_linux_would_not_take_is_not_set(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEERDISCO_PEERS", "of an outer hook")
    facts = await environment(out, change(peers("m" * 50, 4000)))
    assert not {"PEERS", "JOINED"} & set(facts)
    assert facts["LEFT"] == ""


async def test_no_shell_sees_the_command(out: Path, tmp_path: Path) -> None:
    show = tmp_path / "show"
    show.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{out}"\n')
    show.chmod(0o755)
    reported = change(peers("mysql", 1))
    await CommandHook.parse(f"{show} $(id) `id` '$HOME x' *; touch y | z > {tmp_path}/z")(reported)
    words = ["$(id)", "`id`", "$HOME x", "*;", "touch", "y", "|", "z", ">", f"{tmp_path}/z"]
    assert text(out).splitlines() == words
    assert names_in(tmp_path) == {"show", "out"}


async def test_the_list_is_never_an_argument(out: Path) -> None:
    await shell('tr "\\0" "\\n" < /proc/$$/cmdline > "$1"', out)(change(peers("mysql", 3)))
    assert "mysql" not in text(out)


async def test_output_is_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    await shell("echo to out; echo to err >&2")(change(peers("mysql", 1)))
    assert capfd.readouterr() == ("to out\n", "to err\n")


@pytest.mark.parametrize(
    ("script", "status", "said"),
    [
        ("exit 3", 3, "exited with status 3"),
        ("kill -KILL $$", -9, "was killed by SIGKILL"),
        ("kill -40 $$", -40, "was killed by signal 40"),
    ],
)
async def test_a_failure_says_what_happened(script: str, status: int, said: str) -> None:
    with pytest.raises(HookFailed, match=said) as raised:
        await shell(script)(change(peers("mysql", 1)))
    assert raised.value.status == status
    assert "\n" not in str(raised.value)
    again = pickle.loads(pickle.dumps(raised.value))
    assert (str(again), again.status) == (str(raised.value), status)


# Scripts and programs as a shell takes them.


@pytest.fixture
def executable(tmp_path: Path) -> Callable[[str, bytes], str]:
    def make(name: str, content: bytes) -> str:
        path = tmp_path / name
        path.write_bytes(content)
        path.chmod(0o755)
        return str(path)

    return make


Executable = Callable[[str, bytes], str]
SAYS = b'printf "%s\\n" "$0" "$@" "$(wc -l)" > "$OUT"\n'


@pytest.mark.parametrize(
    "first_lines",
    [
        b"",
        b"\n#!/bin/bash\n",  # the marker is not on the first byte
        b" #!/bin/bash\n",
        b"# a comment\n",
        b"#!\n",
        b"#!  \n",
        "# größer als ASCII\n".encode(),
    ],
)
async def test_a_script_without_an_interpreter_is_run_by_sh(
    executable: Executable, out: Path, first_lines: bytes
) -> None:
    script = executable("script", first_lines + SAYS)
    hook = CommandHook([script, "a b", "-c"], environment={"OUT": str(out)})
    hook.check()
    await hook(change(peers("mysql", 2)))
    assert text(out).split("\n") == [script, "a b", "-c", "2", ""]


async def test_a_script_without_an_interpreter_is_found_in_path(
    executable: Executable, out: Path, tmp_path: Path
) -> None:
    script = executable("reload-it", SAYS)
    path = f"{tmp_path}:{os.environ['PATH']}"
    hook = CommandHook(["reload-it", "now"], environment={"OUT": str(out), "PATH": path})
    await hook(change(peers("mysql", 1)))
    assert text(out).split("\n") == [script, "now", "1", ""]


def foreign_program() -> bytes:
    """A program of a machine that this is not, as far as the kernel reads it."""
    head = bytearray(Path("/bin/true").read_bytes()[:64])
    head[18:20] = (0x1234).to_bytes(2, sys.byteorder)  # e_machine (elf(5))
    return bytes(head) + b"\n" * 100


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"cannot be started: Exec format error: the file is empty$"),
        (foreign_program(), "a program for another architecture"),
        (b"\x7fELF\0\n", "a program for another architecture"),
        (b"ec\0ho\n", "a program for another architecture"),
        (b"#!/no/such/sh -e\ntrue\n", r"names an interpreter that is missing: '/no/such/sh'$"),
        (b"#! /bin/sh\r\ntrue\r\n", "its lines end with a carriage return"),
    ],
)
async def test_what_no_shell_should_read_is_a_clear_error(
    executable: Executable, capfd: pytest.CaptureFixture[str], content: bytes, said: str
) -> None:
    with pytest.raises(HookFailed, match=said) as raised:
        await CommandHook([executable("program", content)])(change(peers("mysql", 1)))
    assert raised.value.status is None
    assert "\n" not in str(raised.value)
    assert capfd.readouterr() == ("", "")


async def test_an_interpreter_of_another_machine_is_a_clear_error(executable: Executable) -> None:
    foreign = executable("foreign", foreign_program())
    script = executable("script", f"#!{foreign} -x\ntrue\n".encode())
    with pytest.raises(HookFailed, match=f"cannot run its interpreter '{foreign}'"):
        await CommandHook([script])(change(peers("mysql", 1)))


def program_of_another_libc() -> bytes:
    program = Path("/bin/true").read_bytes()
    for loader in (b"/lib64/ld-linux-x86-64.so.2", b"/lib/ld-linux-aarch64.so.1"):
        program = program.replace(loader, loader[:-1] + b"X")
    return program


async def test_a_program_of_another_libc_is_a_clear_error(executable: Executable) -> None:
    program = executable("program", program_of_another_libc())
    with pytest.raises(HookFailed, match=r"exists, but its dynamic loader .* another libc"):
        await CommandHook([program])(change(peers("mysql", 1)))


def take_the_status(pid: int) -> None:
    os.waitpid(pid, 0)


async def test_a_status_that_something_else_took_is_no_success() -> None:
    hook = shell("exit 0")
    group = hook._start(change(peers("mysql", 1)), "change")
    take_the_status(group.pid)
    assert await group.wait() is None


async def test_without_pidfd_it_waits_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    with pytest.raises(HookFailed, match="exited with status 3"):
        await shell("sleep 0.05; exit 3")(change(peers("mysql", 1)))


async def test_without_a_limit_it_is_waited_for(fifo: Callable[[str], Fifo], out: Path) -> None:
    say, go = fifo("say"), fifo("go")
    hook = shell(
        'echo begun > "$1"; read word < "$2"; echo done > "$3"', say, go, out, timeout=None
    )
    running = asyncio.create_task(hook(change(peers("mysql", 1))))
    await say.line()
    go.say()
    await running
    assert text(out) == "done\n"


async def test_a_program_that_has_gone_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(HookFailed, match=r"cannot be started: No such file.*no shell.*\|"):
        await CommandHook([str(tmp_path / "gone"), "|"])(change(peers("mysql", 1)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no-such-program --at all", "no such program in PATH"),
        ("/no/such/program", "not an executable file"),
        ("/etc/passwd", "not an executable file"),
        ("cd / && ls", "no shell is started, and & cd needs one"),
        ("~/reload", "no shell is started, and ~ needs one"),
        ("A=1 env", "no shell is started, and = needs one"),
    ],
)
def test_what_cannot_be_started_is_found_before(
    text: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match="--on-change: got ") as raised:
        CommandHook.parse(text).check("--on-change")
    assert said in str(raised.value)
    assert ("sh -c" in str(raised.value)) is ("shell" in said)


def test_a_program_is_found_in_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool = tmp_path / "my-tool"
    shutil.copy("/bin/true", tool)
    with pytest.raises(ConfigurationError):
        CommandHook(["my-tool"]).check()
    CommandHook(["my-tool"], environment={"PATH": str(tmp_path)}).check()
    monkeypatch.setenv("PATH", str(tmp_path))
    CommandHook(["my-tool"]).check()


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "a program and its arguments"), ("''", "a program"), ("a 'b", "closing")],
)
def test_a_command_line_that_is_none(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        CommandHook.parse(text)


def test_wrong_arguments() -> None:
    for command in ([], "reload now", [""]):
        with pytest.raises(ConfigurationError, match="command"):
            CommandHook(command)
    with pytest.raises(ConfigurationError, match="stdin"):
        CommandHook(["true"], stdin="yaml")  # type: ignore[arg-type]
    for option in ("timeout", "grace"):
        with pytest.raises(ConfigurationError, match=option):
            CommandHook(["true"], **{option: 0})  # type: ignore[arg-type]
    assert CommandHook(["true"]) == CommandHook(("true",))
    assert hash(CommandHook(["true"])) == hash(CommandHook(("true",)))


# Being ended.

FAMILY = """
exec 9> "$1"     # held open by everybody who lives
trap "" TERM     # and so for whom they start
sh -c 'echo child > "$1"; exec sleep 1000' sh "$2" &
echo hook > "$2"
exec sleep 1000
"""
"""Two processes that do not end at SIGTERM; each says a line when it has begun."""


async def begun(say: Fifo) -> None:
    assert {await say.line(), await say.line()} == {"hook", "child"}


async def test_its_time_is_up_for_the_whole_group(fifo: Callable[[str], Fifo], life: Life) -> None:
    say = fifo("say")
    hook = shell(FAMILY, life, say, timeout=1.5, grace=0.1)
    running = asyncio.create_task(hook(change(peers("mysql", 1))))
    await begun(say)
    with pytest.raises(HookFailed, match=r"exceeded its time limit of 1\.5 s") as raised:
        await running
    await life.ended()
    assert raised.value.status is None


async def test_cancelled_it_leaves_nobody(fifo: Callable[[str], Fifo], life: Life) -> None:
    say = fifo("say")
    running = asyncio.create_task(shell(FAMILY, life, say, grace=0.1)(change(peers("mysql", 1))))
    await begun(say)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await life.ended()


async def test_cancelled_twice_it_kills_at_once(fifo: Callable[[str], Fifo], life: Life) -> None:
    say = fifo("say")
    running = asyncio.create_task(shell(FAMILY, life, say, grace=1e6)(change(peers("mysql", 1))))
    await begun(say)
    running.cancel()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not running.done()
    assert life.is_held
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await life.ended()


async def test_cancelled_at_every_step_of_its_end_it_is_reaped(
    fifo: Callable[[str], Fifo], life: Life
) -> None:
    say, before = fifo("say"), children()
    running = asyncio.create_task(shell(FAMILY, life, say, grace=1e6)(change(peers("mysql", 1))))
    await begun(say)
    while not running.done():
        running.cancel()
        await asyncio.sleep(0)
    # The task has ended, so nobody is left to reap a process that ends now.
    assert children() <= before
    await life.ended()


async def test_who_ends_at_sigterm_is_not_waited_for(
    fifo: Callable[[str], Fifo], life: Life
) -> None:
    say = fifo("say")
    script = 'exec 9> "$1"; echo begun > "$2"; exec sleep 1000'
    running = asyncio.create_task(shell(script, life, say, grace=1e6)(change(peers("mysql", 1))))
    await say.line()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await life.ended()


async def test_without_a_grace_limit_the_second_cancellation_kills(
    fifo: Callable[[str], Fifo], life: Life
) -> None:
    say = fifo("say")
    running = asyncio.create_task(shell(FAMILY, life, say, grace=None)(change(peers("mysql", 1))))
    await begun(say)
    running.cancel()
    done, _ = await asyncio.wait({running}, timeout=0.2)
    assert not done
    assert life.is_held
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await life.ended()


async def test_its_time_is_up_without_a_grace_limit(
    fifo: Callable[[str], Fifo], life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("peerdisco.hooks.command.GRACE", 0.1)
    say = fifo("say")
    hook = shell(FAMILY, life, say, timeout=1.5, grace=None)
    running = asyncio.create_task(hook(change(peers("mysql", 1))))
    await begun(say)
    with pytest.raises(HookFailed, match="exceeded its time limit"):
        await running
    await life.ended()


async def test_a_stopped_hook_ends_at_sigterm(fifo: Callable[[str], Fifo], life: Life) -> None:
    say = fifo("say")
    script = 'exec 9> "$1"; echo begun > "$2"; kill -STOP $$; sleep 1000'
    running = asyncio.create_task(shell(script, life, say, grace=None)(change(peers("mysql", 1))))
    await say.line()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await life.ended()


async def test_cancelled_while_it_starts_it_leaves_nobody(
    fifo: Callable[[str], Fifo], life: Life
) -> None:
    script, before = 'exec 9> "$1"; while :; do sleep 100; done', children()
    for turns in range(12):
        running = asyncio.create_task(shell(script, life, grace=0.1)(change(peers("mysql", 1))))
        for _ in range(turns):
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    # Whoever was started has ended: nobody is left who could hold it.
    assert children() <= before


async def test_cancelled_while_it_cannot_be_started() -> None:
    running = asyncio.create_task(CommandHook(["/no/such/program"])(change(peers("mysql", 1))))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises((asyncio.CancelledError, HookFailed)):
        await running


async def test_what_it_leaves_in_the_background_goes_on(
    fifo: Callable[[str], Fifo], life: Life
) -> None:
    go = fifo("go")
    script = 'exec 9> "$1"; (read word < "$2") & exit 0'
    await shell(script, life, go)(change(peers("mysql", 1)))
    assert life.is_held
    go.say()
    await life.ended()


def children() -> set[int]:
    """Those of this process, ended ones too that nobody has waited for.

    A test of another file may have left the process that forks commands for all of them.
    """
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            found |= {int(pid) for pid in (task / "children").read_text().split()}
        except FileNotFoundError:
            continue  # the thread has ended
    return found


def test_importing_hooks_does_not_import_tenacity() -> None:
    import subprocess

    program = "import sys, peerdisco.hooks; sys.exit('tenacity' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=50)
