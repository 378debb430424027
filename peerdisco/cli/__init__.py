"""The ``peerdisco`` command: `main` loads one module of `commands` and runs it.

The modules of this folder are what commands share: `options`, `lookup`, `watching`, `output`,
`signals`, `streams`, `exit_status`, `lean_imports`; `peer_finder` is a program of its own. Nothing
but ``__main__`` imports this package. Begin with `commands.peers`.

An error is one line on stderr; a traceback is a bug.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn, Protocol, cast

from .. import __version__
from ..exceptions import DiscoveryError
from .exit_status import INTERRUPTED, WRONG, Ended
from .lean_imports import import_asyncio_without_tls, import_driver_without_rsa
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
    "completion",
    "help",
)


_WITHOUT_TLS = frozenset(
    {"peers", "primary", "clone-source", "backup-candidate", "wait", "watch", "run"}
)
"""The commands that always use asyncio, and never its TLS. ``is-primary`` mostly needs neither."""


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
  peerdisco help COMMAND             describe a command
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
    """An argument parser whose errors are one line, with a suggestion for a typing error."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.suggest_on_error = False  # argparse does it for values only, from Python 3.15 on

    def error(self, message: str) -> NoReturn:
        meant = self._meant(message)
        hint = f"did you mean {meant}? " if meant else ""
        prog = self._prog(message)
        # Seventeen commands would hide the one that was meant.
        message = re.sub(
            r"argument COMMAND: invalid choice: ('.*') \(choose from .*\)",
            r"there is no command \1",
            message,
            flags=re.DOTALL,
        )
        self.exit(WRONG, f"{prog}: {message} ({hint}try: {prog} --help)\n")

    def _prog(self, message: str) -> str:
        """The command that the error is about, which does not itself report unknown options."""
        commands = [
            parser.prog
            for action in self._actions
            if isinstance(action, argparse._SubParsersAction)  # noqa: SLF001 - no public way
            for parser in action.choices.values()
        ]
        unknown = message.startswith("unrecognized arguments")
        return commands[0] if unknown and len(commands) == 1 else self.prog

    def _meant(self, message: str) -> str | None:
        """What was probably meant by an unknown option or value; None if nothing is similar."""
        from difflib import get_close_matches  # noqa: PLC0415 - only for an error

        unknown = re.fullmatch(r"unrecognized arguments: (\S+).*", message, re.DOTALL)
        choice = re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message, re.DOTALL)
        if choice:
            given, known = choice[1], [one.strip("'\" ") for one in choice[2].split(",")]
        elif unknown and unknown[1].startswith("-"):
            given, known = unknown[1].partition("=")[0], sorted(self._known_options())
        else:
            return None
        return next(iter(get_close_matches(given, known, n=1)), None)

    def _known_options(self) -> set[str]:
        """The options of this parser and of its commands, of which one is loaded as a rule."""
        options = set(self._option_string_actions)
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - no public way
                for parser in action.choices.values():
                    options |= set(parser._option_string_actions)  # noqa: SLF001
        return options


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


def whole_parser() -> argparse.ArgumentParser:
    """The parser with every command."""
    return _parser(_COMMANDS)


def parser_of(name: str | None) -> argparse.ArgumentParser:
    """The parser of a command; None for that of all.

    Exits as for a wrong call if there is no such command.
    """
    parser = whole_parser()
    if name is None:
        return parser
    (action,) = (
        one
        for one in parser._actions  # noqa: SLF001 - argparse has no public way
        if isinstance(one, argparse._SubParsersAction)  # noqa: SLF001
    )
    if name not in action.choices:
        choices = ", ".join(map(repr, action.choices))
        parser.error(f"argument COMMAND: invalid choice: {name!r} (choose from {choices})")
    found: argparse.ArgumentParser = action.choices[name]
    return found


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
            status, needed = _run(given, own_process=argv is None)
            return streams.settle(status, needed=needed)
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(given: Sequence[str], *, own_process: bool) -> tuple[int, bool]:
    """Run the command. Returns its status, and whether its output is its purpose."""
    names = given[:1] if given and given[0] in _COMMANDS else _COMMANDS
    # The caller of `main` in another process may want its packages whole later.
    if own_process and _WITHOUT_TLS.issuperset(names):
        import_asyncio_without_tls()
    if own_process and names == ["mysql-sidecar"]:
        import_driver_without_rsa()
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
    except SystemExit as exit_:  # of `help` for a command that does not exist
        status = exit_.code if isinstance(exit_.code, int) else WRONG
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
