"""``peerdisco help``: print the help or the man page of a command."""

from __future__ import annotations

import argparse
from importlib import import_module

from ..exit_status import OK

SUMMARY = "print the help of a command, or its man page"
DESCRIPTION = """\
Prints the help of a command, as 'peerdisco COMMAND --help' does; without a command, the overview.
With --man it prints a man page instead, made from the same text."""
EPILOG = """\
exit status:
  0  the help was printed
  2  a usage error: there is no such command
  6  the output cannot be written: stdout is closed, or its disk is full

examples:
  peerdisco help watch
  peerdisco help --man watch | man -l -
  peerdisco help --man watch > /usr/local/share/man/man1/peerdisco-watch.1
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("of", metavar="COMMAND", nargs="?", help="the command")
    parser.add_argument("--man", action="store_true", help="print a man page (roff)")


def run(args: argparse.Namespace) -> int:
    from .. import parser_of  # noqa: PLC0415 - it loads the command

    parser = parser_of(args.of)
    if args.man:
        from ..man import man_page  # noqa: PLC0415 - for this option alone

        summary = None
        if args.of is not None:
            name = args.of.replace("-", "_")
            summary = import_module(f"peerdisco.cli.commands.{name}").SUMMARY
        print(man_page(parser, args.of, summary), end="")
    else:
        parser.print_help()
    return OK
