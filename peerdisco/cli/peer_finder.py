"""``peer-finder``: ``peerdisco run`` with the flags of the peer-finder of the Kubernetes project.

It is a program of its own, for images that call that program (kubernetes-retired/contrib,
peer-finder.go) or one of its forks. The flags, the list on standard input, the shell for the
scripts and the life cycle are the same. The difference: a lookup that fails, or an answer that is
wrong for a moment, changes nothing.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence

from .commands.run import ATTEMPTS_VARIABLE, GRACE_VARIABLE, HOOK_TIMEOUT_VARIABLE, NO_LIMIT
from .exit_status import OK, WRONG
from .streams import standard_streams

__all__ = ["main", "parse_flags", "run_call"]

_FLAGS = {
    "on-change": "script to run on change; reads a newline separated list of peers on stdin",
    "on-start": "script to run on start; reads a newline separated list of peers on stdin",
    "service": "the governing service of this pod",
    "ns": "the namespace of this pod (default: POD_NAMESPACE, else from /etc/resolv.conf)",
    "domain": "the domain of the cluster (default: from /etc/resolv.conf)",
    "hook-timeout": "time limit of a script in seconds, not in the original "
    f"(default: {HOOK_TIMEOUT_VARIABLE}, else no limit)",
    "attempts": "how often a failing script is run, not in the original "
    f"(default: {ATTEMPTS_VARIABLE}, else once)",
    "grace": "seconds between SIGTERM and SIGKILL for a script, not in the original "
    f"(default: {GRACE_VARIABLE}, else no limit)",
    "dns-suffix": "svc.DOMAIN, as -domain=DOMAIN; of the fork hellwen/peer-finder",
    "address-type": "only DNS, the names that scripts read; of the fork kmodules/peer-finder",
    "v": "a number above 0 reports each run on stderr; of the fork kmodules/peer-finder",
}
_SELECTOR = (
    "-selector is not supported: pods are found by the DNS of the headless service that -service "
    "names, not by their labels in the Kubernetes API"
)
_OF_SELECTOR = ("master", "kubeconfig", "hosts-file")
"""Flags that the fork kmodules/peer-finder needs only for -selector."""
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
"""The values that Go's strconv.ParseBool accepts."""

_DEFAULTS = {
    # Seconds between two lookups, as in the original.
    "interval": ("PEERDISCO_INTERVAL", "1"),
    "hook-timeout": (HOOK_TIMEOUT_VARIABLE, NO_LIMIT),
    "attempts": (ATTEMPTS_VARIABLE, "1"),
    "grace": (GRACE_VARIABLE, NO_LIMIT),
}
"""Options of ``peerdisco run`` with the defaults of the original: option, variable, default."""


class _UsageError(Exception):
    """A usage error, in the words of Go's flag package if it has that error."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The arguments without the program name; None for those of the process.

    Returns:
        The exit status: 0 if a signal ended it or on-start alone has succeeded, 1 if a script has
        failed, 2 after a usage error.
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
        call = run_call(given, _report)
    except _UsageError as error:
        _report(f"{error} (try: peer-finder -help)")
        return WRONG
    if ignored:
        _report(f"arguments after the flags are ignored: {ignored}")
    return peerdisco(call)


def parse_flags(arguments: Sequence[str]) -> tuple[dict[str, str] | None, list[str]]:
    """The flags as Go's flag package reads them, and the arguments after them.

    A flag is ``-flag value`` or ``-flag=value``, with one dash or two; its last value counts. A
    switch is ``-flag`` or ``-flag=false``. The flags end at ``--``, or before the first other
    argument.

    Returns:
        The values of the flags, or None for ``-help``; and the other arguments.

    Raises:
        _UsageError: A flag is unknown, has no value, or has an invalid one.
    """
    given: dict[str, str] = {}
    rest = list(arguments)
    while rest and len(rest[0]) > 1 and rest[0].startswith("-"):
        argument = rest.pop(0)
        if argument == "--":
            break
        name, equals, value = argument.removeprefix("-").removeprefix("-").partition("=")
        if not name or name.startswith("-"):
            raise _UsageError(f"bad flag syntax: {argument}")
        if name not in _KNOWN:
            if name in ("h", "help"):
                return None, rest
            raise _UsageError(f"flag provided but not defined: -{name}")
        if name in _LOGGING_SWITCHES:
            value = value if equals else "true"
            if value not in (*_TRUE, *_FALSE):
                raise _UsageError(f'invalid boolean value "{value}" for -{name}')
        elif not equals:
            if not rest:
                raise _UsageError(f"flag needs an argument: -{name}")
            value = rest.pop(0)
        if name == "v" and re.fullmatch(r"[+-]?[0-9]{1,10}", value, re.ASCII) is None:
            raise _UsageError(f'invalid value "{value}" for flag -v: expected a number')
        given[name] = value
    return given, rest


def run_call(given: dict[str, str], report: Callable[[str], object]) -> list[str]:
    """The arguments with which ``peerdisco`` does what these flags request.

    Args:
        given: The flags.
        report: Called with a line for each flag that has no effect.

    Raises:
        _UsageError: A flag requests something that is not supported.
    """
    flags = {name: value for name, value in given.items() if value}
    if "selector" in flags:
        raise _UsageError(_SELECTOR)
    if "service" not in flags or not flags.keys() & {"on-change", "on-start"}:
        raise _UsageError("incomplete arguments: -service is required, and -on-change or -on-start")
    address_type = flags.pop("address-type", "DNS")
    if address_type != "DNS":
        raise _UsageError(
            f"-address-type={address_type} is not supported: scripts read host names "
            "(-address-type=DNS); 'peerdisco run --stdin json' gives them the addresses too"
        )
    suffix = flags.pop("dns-suffix", None)
    if suffix is not None:
        domain = suffix.removeprefix("svc.")
        if flags.setdefault("domain", domain) != domain:
            raise _UsageError(f"-dns-suffix={suffix} contradicts -domain={flags['domain']}")
        report(
            f"-dns-suffix={suffix} is -domain={domain}; scripts read NAME, "
            "and not NAME,IP as in the fork that has this flag"
        )
    verbose = int(flags.pop("v", "0")) > 0
    for name in (*_OF_SELECTOR, *_LOGGING, *_LOGGING_SWITCHES):
        if flags.pop(name, None) is not None:
            why = "only -selector needs it" if name in _OF_SELECTOR else "all messages go to stderr"
            report(f"-{name} is ignored: {why}")
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


def _report(line: str) -> None:
    print(f"peer-finder: {line}", file=sys.stderr)


def _usage() -> str:
    lines = [f"  -{name} string\n    \t{text}" for name, text in sorted(_FLAGS.items())]
    return "\n".join(
        [
            "Usage of peer-finder:",
            *lines,
            "",
            "A shell runs each script: sh -c SCRIPT. When a script fails, this program exits with",
            "status 1, without another attempt.",
            _SELECTOR + ".",
            "This is 'peerdisco run' under another name; see peerdisco run --help.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
