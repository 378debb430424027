"""``peer-finder``: ``peerdisco run`` with the flags of the peer-finder of the Kubernetes project.

For an image that calls that program (kubernetes-retired/contrib, peer-finder.go) or one of its
forks: the flags, the list on standard input, the shell that reads the scripts and the life cycle
are the same. What differs is that a lookup that fails, or that is wrong for a moment, changes
nothing.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence

from .commands.run import ATTEMPTS_VARIABLE, GRACE_VARIABLE, HOOK_TIMEOUT_VARIABLE, NO_LIMIT
from .status import OK, WRONG
from .streams import standard_streams

__all__ = ["main", "parse_flags", "run_call"]

_FLAGS = {
    "on-change": "script to run on change; reads a newline separated list of peers on stdin",
    "on-start": "script to run on start; reads a newline separated list of peers on stdin",
    "service": "the governing service of this pod",
    "ns": "the namespace of this pod (default: POD_NAMESPACE, else from /etc/resolv.conf)",
    "domain": "the domain of the cluster (default: from /etc/resolv.conf)",
    "hook-timeout": "seconds that a script may take, not in the original "
    f"(default: {HOOK_TIMEOUT_VARIABLE}, else no limit)",
    "attempts": "how often a script that fails is run, not in the original "
    f"(default: {ATTEMPTS_VARIABLE}, else once)",
    "grace": "seconds that a script may take to end after a signal, not in the original "
    f"(default: {GRACE_VARIABLE}, else no limit)",
    "dns-suffix": "svc.DOMAIN, as -domain=DOMAIN; of the fork hellwen/peer-finder",
    "address-type": "DNS, which is what scripts read; of the fork kmodules/peer-finder",
    "v": "a number above 0 reports each run on stderr; of the fork kmodules/peer-finder",
}
_SELECTOR = (
    "-selector is not supported: pods are found by the DNS of the headless service that -service "
    "names, not by their labels in the Kubernetes API"
)
_OF_SELECTOR = ("master", "kubeconfig", "hosts-file")
"""What the fork kmodules/peer-finder needs for -selector, and only for it."""
_LOGGING = (
    "log_backtrace_at",
    "log_dir",
    "log_file",
    "log_file_max_size",
    "stderrthreshold",
    "vmodule",
)
_LOGGING_SWITCHES = (
    "add_dir_header",
    "alsologtostderr",
    "logtostderr",
    "one_output",
    "skip_headers",
    "skip_log_headers",
)
"""Flags of klog (k8s.io/klog/v2), with a value and without one."""
_KNOWN = {*_FLAGS, "selector", *_OF_SELECTOR, *_LOGGING, *_LOGGING_SWITCHES}

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
"""What Go's strconv.ParseBool takes."""

_DEFAULTS = {
    # Seconds between two lookups, as in the original.
    "interval": ("PEERDISCO_INTERVAL", "1"),
    "hook-timeout": (HOOK_TIMEOUT_VARIABLE, NO_LIMIT),
    "attempts": (ATTEMPTS_VARIABLE, "1"),
    "grace": (GRACE_VARIABLE, NO_LIMIT),
}
"""Options of ``peerdisco run`` that are as in the original, unless a flag or this variable sets
them."""


class _WrongCall(Exception):
    """The arguments are wrong, in the words of Go's flag package where it has some."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The arguments without the program's name; None for the process's own.

    Returns:
        The exit status: 0 ended by a signal, or on-start alone has succeeded; 1 a script has
        failed; 2 a wrong call.
    """
    with standard_streams() as streams:
        return streams.settle(_run(sys.argv[1:] if argv is None else argv))


def _run(argv: Sequence[str]) -> int:
    from . import main as peerdisco  # noqa: PLC0415 - the package imports its commands

    try:
        given, ignored = parse_flags(argv)
        if given is None:
            print(_usage())
            return OK
        call = run_call(given, _tell)
    except _WrongCall as error:
        _tell(f"{error} (try: peer-finder -help)")
        return WRONG
    if ignored:
        _tell(f"arguments after the flags are ignored: {ignored}")
    return peerdisco(call)


def parse_flags(arguments: Sequence[str]) -> tuple[dict[str, str] | None, list[str]]:
    """The flags as Go's flag package reads them, and the arguments after them.

    ``-flag value``, ``-flag=value``, and the same with two dashes; the last one counts. A switch
    is ``-flag`` or ``-flag=false``. The first argument that is no flag, or ``--``, ends them.

    Returns:
        The flags' values, None if help is asked for; and the rest.

    Raises:
        _WrongCall: A flag is not known, or has no value, or one that it cannot have.
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
        if name not in _KNOWN:
            if name in ("h", "help"):
                return None, rest
            raise _WrongCall(f"flag provided but not defined: -{name}")
        if name in _LOGGING_SWITCHES:
            value = value if equals else "true"
            if value not in (*_TRUE, *_FALSE):
                raise _WrongCall(f'invalid boolean value "{value}" for -{name}')
        elif not equals:
            if not rest:
                raise _WrongCall(f"flag needs an argument: -{name}")
            value = rest.pop(0)
        if name == "v" and re.fullmatch(r"[+-]?[0-9]+", value, re.ASCII) is None:
            raise _WrongCall(f'invalid value "{value}" for flag -v: expected a number')
        given[name] = value
    return given, rest


def run_call(given: dict[str, str], tell: Callable[[str], object]) -> list[str]:
    """The arguments of ``peerdisco`` that do what these flags ask for.

    Args:
        given: The flags.
        tell: Called with a line about each flag that has no effect.

    Raises:
        _WrongCall: A flag asks for what there is not.
    """
    flags = {name: value for name, value in given.items() if value}
    if "selector" in flags:
        raise _WrongCall(_SELECTOR)
    if "service" not in flags or not flags.keys() & {"on-change", "on-start"}:
        raise _WrongCall("incomplete arguments: -service is required, and -on-change or -on-start")
    address_type = flags.pop("address-type", "DNS")
    if address_type != "DNS":
        raise _WrongCall(
            f"-address-type={address_type} is not supported: scripts read host names "
            "(-address-type=DNS); 'peerdisco run --stdin json' gives them the addresses too"
        )
    suffix = flags.pop("dns-suffix", None)
    if suffix is not None:
        domain = suffix.removeprefix("svc.")
        if flags.setdefault("domain", domain) != domain:
            raise _WrongCall(f"-dns-suffix={suffix} contradicts -domain={flags['domain']}")
        tell(
            f"-dns-suffix={suffix} is -domain={domain}; scripts read NAME, "
            "and not NAME,IP as in the fork that has this flag"
        )
    verbose = int(flags.pop("v", "0")) > 0
    for name in (*_OF_SELECTOR, *_LOGGING, *_LOGGING_SWITCHES):
        if flags.pop(name, None) is not None:
            what = "only -selector needs it" if name in _OF_SELECTOR else "everything is on stderr"
            tell(f"-{name} is ignored: {what}")
    call = ["run", "--listed-only", "--shell", "--exit-on-failure", "--host-address"]
    for option, (variable, default) in _DEFAULTS.items():
        value = flags.pop(option, None)
        if value is None and not os.environ.get(variable, "").strip():
            value = default
        if value is not None:
            call.append(f"--{option}={value}")
    if verbose:
        call.append("--verbose")
    return [*call, *(f"-{flag}={value}" for flag, value in flags.items())]


def _tell(line: str) -> None:
    print(f"peer-finder: {line}", file=sys.stderr)


def _usage() -> str:
    lines = [f"  -{name} string\n    \t{text}" for name, text in sorted(_FLAGS.items())]
    return "\n".join(
        [
            "Usage of peer-finder:",
            *lines,
            "",
            "A script is read by a shell: sh -c SCRIPT. It is run once; if it fails, this program",
            "ends with status 1.",
            _SELECTOR + ".",
            "It is 'peerdisco run' by another name; see peerdisco run --help.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
