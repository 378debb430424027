"""Help, man pages, completion, and suggestions for typing errors."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from peerdisco import cli


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
    command: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    page = output(capsys, "help", "--man", *filter(None, [command]))
    name = "PEERDISCO" if command is None else f"PEERDISCO-{command.upper()}"
    assert page.startswith(f'.TH "{name}" "1"')
    for section in (".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH OPTIONS"):
        assert section in page
    if command is not None:
        assert ".SH EXIT STATUS" in page
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
