"""The ``peerdisco`` command: `main` loads one module of `commands` and runs it.

The modules of this folder are what commands share: `options`, `lookup`, `watching`, `output`,
`signals`, `streams`, `exit_status`; `peer_finder` is a program of its own. Nothing but
``__main__`` imports this package. Begin with `commands.peers`.

An error is one line on stderr; a traceback is a bug.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn, Protocol, cast

from .. import __version__
from ..exceptions import DiscoveryError
from .exit_status import INTERRUPTED, WRONG, Ended
from .streams import standard_streams

__all__ = ["main"]


class _Command(Protocol):
    """The interface of the module of a command."""

    SUMMARY: str
    DESCRIPTION: str
    EPILOG: str

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's options."""

    def run(self, args: argparse.Namespace) -> int:
        """Run the command. Returns the exit status."""


_COMMANDS = (
    "peers",
    "primary",
    "is-primary",
    "clone-source",
    "backup-candidate",
    "whoami",
    "wait",
    "watch",
    "run",
    "mysql-sidecar",
    "mysql-setup",
    "mysql-source",
    "mysql-recover",
    "doctor",
    "simulate",
)


def _command(name: str) -> _Command:
    """The module of a command. No other is loaded: probes run every few seconds."""
    module = importlib.import_module(f".commands.{name.replace('-', '_')}", __name__)
    return cast("_Command", module)


_DESCRIPTION = """\
Finds the pods behind a Kubernetes headless service, their ordinals, and the primary.

  peerdisco peers my-database        list the pods once
  peerdisco primary my-database      print the pod of ordinal 0
  peerdisco whoami                   print this pod's identity
  peerdisco wait --required 3        block until three pods are listed
  peerdisco watch my-database        print a line for each change
  peerdisco run --on-change COMMAND  run a command at each change
  peerdisco doctor my-database       say what is wrong, and how to fix it
  peerdisco simulate                 a demonstration without a cluster
"""

_EPILOG = """\
environment (an option overrides a variable, a variable overrides detection):
  PEERDISCO_SERVICE         the headless service, as SERVICE
  PEERDISCO_STATEFULSET     as --statefulset
  PEERDISCO_CLUSTER         as --cluster
  PEERDISCO_CLUSTER_DOMAIN  as --cluster-domain
  PEERDISCO_NAMESERVERS     as --nameserver, comma-separated
  PEERDISCO_RESOLVER        as --resolver
  PEERDISCO_SOURCE          as --source
  PEERDISCO_PORT_NAME       as --port-name
  PEERDISCO_PROTOCOL        as --protocol
  PEERDISCO_INTERVAL        as --interval: seconds between two lookups
  POD_NAME, POD_NAMESPACE, POD_IP   this pod, from the downward API
  PEERDISCO_NAMESPACE       as POD_NAMESPACE; if both are set they must be equal

'peerdisco COMMAND --help' describes a command and its exit statuses.
"""


_MOST_DIGITS = 6
"""Of COLUMNS. Python refuses to read a number of thousands of digits."""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """A formatter as wide as the terminal that does not import `shutil`.

    argparse creates a formatter for each option, also when no help is printed.
    """

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    """COLUMNS, else the width of the terminal, else 80, as in `shutil.get_terminal_size`."""
    text = os.environ.get("COLUMNS", "")
    if text.isascii() and text.isdigit() and len(text) < _MOST_DIGITS and int(text):
        return int(text)
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or 80  # type: ignore[union-attr]
    except (AttributeError, ValueError, OSError):
        return 80


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG, f"{self.prog}: {message} (try: {self.prog} --help)\n")


def _parser(names: Iterable[str]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="peerdisco",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"peerdisco {__version__}")
    # Without prog, argparse would format a usage line to find the name.
    commands = parser.add_subparsers(
        prog="peerdisco", dest="command", metavar="COMMAND", required=True
    )
    for name in names:
        command = _command(name)
        command.configure(
            commands.add_parser(
                name,
                help=command.SUMMARY,
                description=command.DESCRIPTION,
                epilog=command.EPILOG,
                formatter_class=_Formatter,
                allow_abbrev=False,
            )
        )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The arguments without the program name; None for those of the process.

    Returns:
        The exit status; see `peerdisco.cli.exit_status`.
    """
    given = sys.argv[1:] if argv is None else argv
    if os.getpid() == 1:
        from .signals import end_as_process_1  # noqa: PLC0415 - for process 1 alone

        end_as_process_1()
    try:
        with standard_streams() as streams:
            status, needed = _run(given)
            return streams.settle(status, needed=needed)
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(given: Sequence[str]) -> tuple[int, bool]:
    """Run the command. Returns its status, and whether its output is its purpose."""
    names = given[:1] if given and given[0] in _COMMANDS else _COMMANDS
    try:
        args = _parser(names).parse_args(given)
    except SystemExit as exit_:  # argparse exits, but a caller of main() needs the status
        return (exit_.code if isinstance(exit_.code, int) else WRONG), True
    try:
        status = _command(args.command).run(args)
    except DiscoveryError as error:
        print(f"peerdisco: {error}", file=sys.stderr)
        status = WRONG
    except Ended as ended:
        status = ended.status
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        name = type(error).__name__
        print(
            f"peerdisco: this is a bug: {name}: {error} (PYTHONDEVMODE=1 shows where)",
            file=sys.stderr,
        )
        status = WRONG
    return status, getattr(args, "output_needed", True)
