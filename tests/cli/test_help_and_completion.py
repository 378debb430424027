"""Help, man pages, completion, and suggestions for typing errors."""

from __future__ import annotations

import importlib
import os
import pty
import select
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from peerdisco import cli

from .command import bare_environment


def output(capsys: pytest.CaptureFixture[str], *args: str, status: int = 0) -> str:
    assert cli.main(args) == status
    shown = capsys.readouterr()
    return shown.out if status == 0 else shown.err


@pytest.mark.parametrize(
    ("args", "meant"),
    [
        (("wach",), "watch"),
        (("help", "simulat"), "simulate"),
        (("watch", "x", "--outptu", "json"), "--output"),
        (("peers", "x", "--namspace=y"), "--namespace"),
        (("peers", "x", "-o", "jsn"), "json"),
        (("completion", "fsh"), "fish"),
        (("mysql-setup", "confg", "--flavour", "mysql"), "config"),
    ],
)
def test_a_typing_error_gets_a_suggestion(
    args: tuple[str, ...], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error = output(capsys, *args, status=2)
    assert f"did you mean {meant}? try: " in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    "args", [("peers", "x", "--zzzzzz"), ("watch", "x", "--zz=1"), ("help", "peers", "primary")]
)
def test_an_unknown_option_names_the_help_of_its_command(
    args: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    error = output(capsys, *args, status=2)
    assert error.startswith(f"peerdisco {args[0]}: unrecognized arguments: ")
    assert error.endswith(f"(try: peerdisco {args[0]} --help)\n")


@pytest.mark.parametrize("args", [("wach",), ("help", "wach")])
def test_an_unknown_command_is_not_answered_with_all_that_there_are(
    args: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    error = output(capsys, *args, status=2)
    assert error.startswith("peerdisco: there is no command 'wach' (did you mean watch? ")


@pytest.mark.parametrize("args", [("qqqq",), ("peers", "x", "--zzzzzz"), ("peers", "x", "y z")])
def test_nothing_is_suggested_for_what_is_like_nothing(
    args: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    error = output(capsys, *args, status=2)
    assert "did you mean" not in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("command", ["watch", "peers", "help"])
def test_help_command_is_its_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "help", command) == output(capsys, command, "--help")


def test_help_alone_is_the_overview(capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "help") == output(capsys, "--help")


def test_flavor_is_flavour(capsys: pytest.CaptureFixture[str]) -> None:
    for spelling in ("--flavour", "--flavor"):
        args = ("mysql-setup", "accounts", spelling, "mysql")
        assert cli.main(args) == 2  # passwords are missing, which is another matter
        assert "flav" not in capsys.readouterr().err


@pytest.mark.parametrize("command", [None, *cli._COMMANDS])
def test_every_command_has_a_man_page(
    command: str | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal, from Python 3.14 on
    page = output(capsys, "help", "--man", *filter(None, [command]))
    name = "PEERDISCO" if command is None else f"PEERDISCO-{command.upper()}"
    assert page.startswith(f'.TH "{name}" "1"')
    assert "\x1b" not in page
    for section in (".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH OPTIONS"):
        assert section in page
    if command is not None:
        assert ".SH EXIT STATUS" in page
        summary = importlib.import_module(
            f"peerdisco.cli.commands.{command.replace('-', '_')}"
        ).SUMMARY
        assert f"{name.lower()} - {summary}".replace("-", "\\-").replace("'", "\\(aq") in page
    # Lines that continue the first one begin below its options.
    synopsis = page.partition(".SH SYNOPSIS\n.nf\n")[2].partition("\n.fi")[0].replace("\\", "")
    first, *more = synopsis.splitlines()
    assert first.startswith("peerdisco")
    below = len(f"peerdisco {command} " if command else "peerdisco ")
    assert {len(line) - len(line.lstrip()) for line in more} <= {below}
    # A line that begins with a dot is a request, and only these are meant.
    requests = {line.split()[0] for line in page.splitlines() if line.startswith((".", "'"))}
    assert requests <= {".TH", ".SH", ".TP", ".nf", ".fi"}


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff: apt-get install groff-base")
def test_a_man_page_is_rendered_without_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    page = output(capsys, "help", "--man", "run")
    done = subprocess.run(
        ["groff", "-man", "-Tascii", "-ww", "-z"],
        input=page,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_is_a_script_with_every_command(
    shell: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text(output(capsys, "completion", shell))
    for command in cli._COMMANDS:
        assert command in script.read_text()
    if shutil.which(shell) is not None:
        subprocess.run([shell, "-n", script], check=True, timeout=30)


COMPLETE = """
source {script}
COMP_WORDS=({words}) COMP_CWORD={index} COMP_LINE="{words}" COMP_POINT=99
$(complete -p peerdisco | sed 's/.*-F \\([^ ]*\\).*/\\1/') peerdisco "{last}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("peerdisco wat", {"watch"}),
        ("peerdisco watch --outp", {"--output"}),
        ("peerdisco watch --output js", {"json"}),
        ("peerdisco completion z", {"zsh"}),
        ("peerdisco mysql-", {"mysql-sidecar", "mysql-setup"}),
    ],
)
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash: apt-get install bash")
def test_bash_completes_commands_options_and_values(
    words: str, expected: set[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text(output(capsys, "completion", "bash"))
    split = words.split()
    program = COMPLETE.format(script=script, words=words, index=len(split) - 1, last=split[-1])
    done = subprocess.run(
        ["bash", "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    found = {word.strip() for word in done.stdout.splitlines()}
    assert expected <= found
    assert all(word.startswith(split[-1]) for word in found)


COMPLETIONS = {
    "wat": "watch",
    "watch --outp": "watch --output",
    "watch --output js": "watch --output json",
    "completion z": "completion zsh",
    "mysql-si": "mysql-sidecar",
    "mysql-setup conf": "mysql-setup config",
}
"""What is typed behind ``peerdisco``, and what it becomes."""


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish: apt-get install fish")
def test_fish_completes_commands_options_and_values(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text(output(capsys, "completion", "fish"))
    asked = "\n".join(f"complete --do-complete 'peerdisco {words}'; echo" for words in COMPLETIONS)
    done = subprocess.run(
        ["fish", "--no-config", "--command", f"source {script}\n{asked}"],
        env={**bare_environment(), "HOME": str(tmp_path)},
        capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    assert done.stderr == ""
    groups = [group.splitlines() for group in done.stdout.split("\n\n")]
    found = [{line.partition("\t")[0] for line in group} for group in groups]
    for words, offered in zip(COMPLETIONS.values(), found, strict=False):
        assert words.split()[-1] in offered


@pytest.mark.skipif(shutil.which("zsh") is None, reason="needs zsh: apt-get install zsh")
@pytest.mark.parametrize(
    "load",
    [
        "fpath=({place} $fpath); autoload -Uz compinit; compinit -u -D",
        "autoload -Uz compinit; compinit -u -D; source <(cat {place}/_peerdisco)",
        'autoload -Uz compinit; compinit -u -D; eval "$(<{place}/_peerdisco)"',
    ],
    ids=["fpath", "source", "eval"],
)
def test_zsh_completes_commands_options_and_values(
    load: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Typed in a terminal, with the key that completes; a function shows what it became."""
    (tmp_path / "_peerdisco").write_text(output(capsys, "completion", "zsh"))
    ours, theirs = pty.openpty()
    shell = subprocess.Popen(
        ["zsh", "-f", "-i"],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**bare_environment(), "TERM": "xterm", "HOME": str(tmp_path)},
    )  # fmt: skip
    os.close(theirs)

    def read_until(end: str) -> str:
        text, deadline = "", time.monotonic() + 30
        while end not in text:
            assert time.monotonic() < deadline, text
            assert select.select([ours], [], [], 30)[0], text
            text += os.read(ours, 65536).decode()
        return text

    try:
        for line in (
            load.format(place=tmp_path),
            'peerdisco() { print -r -- "GOT[$*]" }',
            "print READ''Y",
        ):
            os.write(ours, f"{line}\n".encode())
        read_until("READY")
        for typed, completed in COMPLETIONS.items():
            os.write(ours, f"peerdisco {typed}\t\n".encode())
            # Inserted, or shown in a list where an option has a short form too.
            assert completed.split()[-1] in read_until("]\r\n"), typed
    finally:
        shell.kill()
        shell.wait(20)
        os.close(ours)


def test_completions_have_the_summaries_of_the_commands(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And not the first line of a description, which ends in the middle of a sentence."""
    script = output(capsys, "completion", "zsh")
    for command in cli._COMMANDS:
        summary = importlib.import_module(
            f"peerdisco.cli.commands.{command.replace('-', '_')}"
        ).SUMMARY
        assert f"{command}:{shlex.quote(summary)}" in script, command
