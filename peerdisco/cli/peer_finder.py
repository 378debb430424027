"""``peer-finder``: ``peerdisco run`` with the flags of the peer-finder of the Kubernetes project.

For an image that calls that program (kubernetes/contrib, peer-finder.go): the flags, the list on
standard input and the life cycle are the same. What differs: a script is started without a shell,
a hook that fails is run again instead of ending the program, and a lookup that fails changes
nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from .status import OK, WRONG
from .streams import standard_streams

__all__ = ["main"]

_FLAGS = {
    "on-change": "script to run on change; reads a newline separated list of peers on stdin",
    "on-start": "script to run on start; reads a newline separated list of peers on stdin",
    "service": "the governing service of this pod",
    "ns": "the namespace of this pod (default: POD_NAMESPACE, else from /etc/resolv.conf)",
    "domain": "the domain of the cluster (default: from /etc/resolv.conf)",
}
_INTERVAL = "1"
"""Seconds, as in the original."""


class _WrongCall(Exception):
    """The arguments are wrong, in the words of Go's flag package."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The arguments without the program's name; None for the process's own.

    Returns:
        The exit status: 0 ended by SIGINT or SIGTERM, or on-start alone has succeeded; 1 on-start
        alone has failed; 2 a wrong call.
    """
    with standard_streams() as streams:
        return streams.settle(_run(sys.argv[1:] if argv is None else argv))


def _run(argv: Sequence[str]) -> int:
    from . import main as peerdisco  # noqa: PLC0415 - the package imports its commands

    try:
        given, ignored = parse_flags(argv)
    except _WrongCall as error:
        print(f"peer-finder: {error} (try: peer-finder -help)", file=sys.stderr)
        return WRONG
    if given is None:
        print(_usage())
        return OK
    if not given.get("service") or not (given.get("on-change") or given.get("on-start")):
        print(
            "peer-finder: incomplete arguments: -service is required, and -on-change or -on-start",
            file=sys.stderr,
        )
        return WRONG
    if ignored:
        print(f"peer-finder: arguments after the flags are ignored: {ignored}", file=sys.stderr)
    call = ["run", "--listed-only"]
    if not os.environ.get("PEERDISCO_INTERVAL"):
        call.append(f"--interval={_INTERVAL}")
    call += [f"-{flag}={value}" for flag, value in given.items() if value]
    return peerdisco(call)


def parse_flags(arguments: Sequence[str]) -> tuple[dict[str, str] | None, list[str]]:
    """The flags as Go's flag package reads them, and the arguments after them.

    ``-flag value``, ``-flag=value``, and the same with two dashes; the last one counts. The first
    argument that is no flag, or ``--``, ends them.

    Returns:
        The flags' values, None if help is asked for; and the rest.

    Raises:
        _WrongCall: A flag is not known, or has no value.
    """
    given: dict[str, str] = {}
    rest = list(arguments)
    while rest and len(rest[0]) > 1 and rest[0].startswith("-"):
        argument = rest.pop(0)
        if argument == "--":
            break
        name, equals, value = argument.removeprefix("-").removeprefix("-").partition("=")
        if not name or name.startswith("-"):
            raise _WrongCall(f"bad flag syntax: {argument}")
        if name not in _FLAGS:
            if name in ("h", "help"):
                return None, rest
            raise _WrongCall(f"flag provided but not defined: -{name}")
        if not equals:
            if not rest:
                raise _WrongCall(f"flag needs an argument: -{name}")
            value = rest.pop(0)
        given[name] = value
    return given, rest


def _usage() -> str:
    lines = [f"  -{name} string\n    \t{text}" for name, text in sorted(_FLAGS.items())]
    return "\n".join(
        [
            "Usage of peer-finder:",
            *lines,
            "No shell is started for a script: give sh -c '...' where one is needed.",
            "It is 'peerdisco run' by another name; see peerdisco run --help.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
