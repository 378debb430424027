"""The ``peerdisco`` command.

One file a command: each has a `configure` that declares its options and a `run` that returns the
exit status. What goes wrong is said in one line on stderr; a traceback is a bug.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn, Protocol, TextIO

from .. import __version__
from ..exceptions import DiscoveryError
from . import (
    backup_candidate,
    clone_source,
    is_primary,
    mysql_setup,
    mysql_sidecar,
    peers,
    primary,
    simulate,
    wait,
    watch,
    whoami,
)
from . import run as run_
from .status import INTERRUPTED, OK, WRONG

__all__ = ["main"]


class _Command(Protocol):
    """What each command's module offers."""

    SUMMARY: str
    DESCRIPTION: str
    EPILOG: str

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's options."""

    def run(self, args: argparse.Namespace) -> int:
        """Run it; returns the exit status."""


_COMMANDS: dict[str, _Command] = {
    "peers": peers,
    "primary": primary,
    "is-primary": is_primary,
    "clone-source": clone_source,
    "backup-candidate": backup_candidate,
    "whoami": whoami,
    "wait": wait,
    "watch": watch,
    "run": run_,
    "mysql-sidecar": mysql_sidecar,
    "mysql-setup": mysql_setup,
    "simulate": simulate,
}

_DESCRIPTION = """\
Finds the pods behind a Kubernetes headless service, their ordinals, and the primary.

  peerdisco peers my-database        list the pods once
  peerdisco primary my-database      print the pod of ordinal 0
  peerdisco whoami                   print who this pod is
  peerdisco wait --required 3        block until three pods are listed
  peerdisco watch my-database        print a line for each change
  peerdisco run --on-change COMMAND  run a command at each change
  peerdisco simulate                 see it work without a cluster
"""

_EPILOG = """\
environment (an option wins over a variable, a variable over what is detected):
  PEERDISCO_SERVICE         the headless service, if none is named
  PEERDISCO_STATEFULSET     as --statefulset
  PEERDISCO_CLUSTER_DOMAIN  as --cluster-domain
  PEERDISCO_NAMESERVERS     as --nameserver, several with commas between them
  PEERDISCO_RESOLVER        as --resolver
  PEERDISCO_SOURCE          as --source
  PEERDISCO_PORT_NAME       as --port-name
  PEERDISCO_INTERVAL        seconds between two looks of a command that waits
  POD_NAME, POD_NAMESPACE, POD_IP   who this pod is, from the downward API

'peerdisco COMMAND --help' describes a command and its exit status.
"""


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG, f"{self.prog}: {message} (try: {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="peerdisco",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"peerdisco {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in _COMMANDS.items():
        command.configure(
            commands.add_parser(
                name,
                help=command.SUMMARY,
                description=command.DESCRIPTION,
                epilog=command.EPILOG,
                formatter_class=argparse.RawDescriptionHelpFormatter,
                allow_abbrev=False,
            )
        )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The arguments without the program's name; None for the process's own.

    Returns:
        The exit status; see `peerdisco.cli.status`.
    """
    try:
        args = _parser().parse_args(argv)
    except SystemExit as exit_:  # argparse ends the process; a caller of main() wants the status
        _flush(sys.stdout)
        return exit_.code if isinstance(exit_.code, int) else WRONG
    try:
        status = _COMMANDS[args.command].run(args)
    except DiscoveryError as error:
        print(f"peerdisco: {error}", file=sys.stderr)
        status = WRONG
    except KeyboardInterrupt:
        status = INTERRUPTED
    except BrokenPipeError:
        status = OK
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        name = type(error).__name__
        print(
            f"peerdisco: this is a bug: {name}: {error} (PYTHONDEVMODE=1 shows where)",
            file=sys.stderr,
        )
        status = WRONG
    _flush(sys.stdout)
    return status


def _flush(stream: TextIO) -> None:
    """Write out what is buffered; a reader that has gone (``| head``) is no error."""
    try:
        stream.flush()
    except BrokenPipeError:
        # What is still buffered would be tried again, and complained of, when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
