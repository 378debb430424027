"""``peerdisco completion``: print the completion script of a shell."""

from __future__ import annotations

import argparse

from ...exceptions import ConfigurationError
from ..exit_status import OK

SUMMARY = "print a completion script for bash, zsh or fish"
DESCRIPTION = """\
Prints a script that makes a shell complete the commands and options of peerdisco. It is made from
the options of this version, so make it again after an upgrade. It needs peerdisco[cli]."""
EPILOG = """\
exit status:
  0  the script was printed
  2  a usage error, or the package shtab is not installed
  6  the output cannot be written: stdout is closed, or its disk is full

examples:
  source <(peerdisco completion bash)    for this shell alone; in zsh with "zsh"
  peerdisco completion bash > /etc/bash_completion.d/peerdisco
  peerdisco completion zsh > "${fpath[1]}/_peerdisco"
  peerdisco completion fish > ~/.config/fish/completions/peerdisco.fish
"""
SHELLS = ("bash", "zsh", "fish")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="the shell")


def run(args: argparse.Namespace) -> int:
    try:
        import shtab  # noqa: PLC0415 - an optional package
    except ImportError as error:
        raise ConfigurationError(
            "completion", args.shell, f"the package shtab: pip install 'peerdisco[cli]' ({error})"
        ) from None
    from .. import whole_parser  # noqa: PLC0415 - it loads every command

    parser = whole_parser()
    _summarise(parser)
    script = shtab.complete(parser, args.shell)
    # shtab recognises `eval` alone; `source <(peerdisco completion zsh)` is a file to zsh.
    print(script.replace("$zsh_eval_context[-1] == eval ", "$zsh_eval_context[-1] == (eval|file) "))
    return OK


def _summarise(parser: argparse.ArgumentParser) -> None:
    """Describe each command by its summary: the script has only the first line of each."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to its commands
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for choice in action._choices_actions:  # noqa: SLF001
                action.choices[choice.dest].description = choice.help
