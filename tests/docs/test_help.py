"""The help of each command is a checked-in file, which the reference shows.

After a change: ``PEERDISCO_REWRITE_DOCS=1 pytest tests/docs/test_help.py``.
"""

from __future__ import annotations

import re

import pytest

from peerdisco import cli
from peerdisco.cli import peer_finder
from tests.docs.markdown import REWRITE, ROOT

HELP = ROOT / "docs" / "reference" / "help"
COMMANDS = sorted(cli._COMMANDS)


SHIM = "peer-finder"


@pytest.mark.parametrize("command", ["", *COMMANDS, SHIM])
def test_help_is_as_documented(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    if command == SHIM:
        assert peer_finder.main(["-help"]) == 0
    else:
        assert cli.main([*filter(None, [command]), "--help"]) == 0
    shown = capsys.readouterr().out
    file = HELP / f"{command or 'peerdisco'}.txt"
    if REWRITE:
        file.write_text(shown, encoding="utf-8")
    documented = file.read_text(encoding="utf-8") if file.exists() else ""
    assert normal(shown) == normal(documented), f"run with PEERDISCO_REWRITE_DOCS=1 to renew {file}"


def normal(text: str) -> str:
    """Python 3.13 writes ``-o, --output X`` where earlier ones write ``-o X, --output X``."""
    return re.sub(r"(-[\w-]+) (\S+), (-[\w-]+) \2", r"\1, \3 \2", " ".join(text.split()))


@pytest.mark.parametrize("columns", ["0", "-1", "wide", "9" * 5000, "\u0661\u0662"])
def test_a_width_that_is_not_understood_does_not_matter(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert cli.main(["--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: peerdisco [-h] [--version] COMMAND ...\n")


def test_every_command_is_documented() -> None:
    assert {file.stem for file in HELP.glob("*.txt")} == {"peerdisco", SHIM, *COMMANDS}
    reference = (HELP.parent / "command.md").read_text(encoding="utf-8")
    for command in ("peerdisco", SHIM, *COMMANDS):
        assert f"help/{command}.txt" in reference
