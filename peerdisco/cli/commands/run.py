"""``peerdisco run``: run hooks, as the peer-finder of the Kubernetes project does."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from ...exceptions import ConfigurationError
from ..exit_status import NO, OK, Ended
from ..hook_commands import refuse_shell_text, shell_command
from ..options import UsageError, add_service, seconds, whole_number
from ..output import is_terminal
from ..progress import Words, print_line, progress
from ..signals import PATIENCE, become_init, run_until_signal
from ..telemetry import add_telemetry, logs, waiting_log
from ..watching import add_polling, open_discovery

if TYPE_CHECKING:
    from ...discovery import Discovery
    from ...hooks import CommandHook, HookRunner
    from ...model import Snapshot

SUMMARY = "run hooks at the start and at each change"
DESCRIPTION = """\
Polls a headless service and runs commands with the list of peers on their standard input:
--on-start once, when this pod is listed; --on-change whenever pods join, leave or come back with
another address. With --on-start alone, the command exits when that has succeeded. With --on-change
alone, the first membership is a change, and this pod need not be listed.

Changes that happen while a hook runs lead to one run afterwards, with the newest list. A hook that
fails or exceeds --hook-timeout is retried with backoff, up to --attempts times, and then at the
next change. A DNS outage changes no list and runs no hook.

A command line is split into words as a shell does it, but no shell is started: a command that needs
one, with |, >, && or $X, is refused. Use --shell, or sh -c '...' as the command.
Hooks get more facts in PEERDISCO_* variables: EVENT (start or change), SERVICE, PEERS, JOINED,
LEFT, REPLACED, PRIMARY, PRIMARY_HOST, LOCAL, COMPLETE, STALE."""
EPILOG = """\
exit status:
  0  ended by a signal, as was the running hook; or --on-start alone has succeeded
  1  a hook has failed --attempts times, with --on-start alone or --exit-on-failure
  2  a usage error, or the command of a hook does not exist

It can replace the peer-finder of the Kubernetes project in an image: it accepts the flags -service,
-ns, -domain, -on-start and -on-change (the command 'peer-finder' accepts only these). As process 1
of a container it reaps orphaned processes.

examples:
  peerdisco run my-database --on-change /scripts/reload
  peerdisco run -service=my-database -on-start='sh -c "cat > /etc/peers"'
"""
HOOK_TIMEOUT = 60.0
ATTEMPTS = 5
HOOK_TIMEOUT_VARIABLE = "PEERDISCO_HOOK_TIMEOUT"
GRACE_VARIABLE = "PEERDISCO_HOOK_GRACE"
ATTEMPTS_VARIABLE = "PEERDISCO_HOOK_ATTEMPTS"
NO_LIMIT = "none"

_T = TypeVar("_T")

_attempts = whole_number(1, 1_000_000, "a number of 1 or more")


def configure(parser: argparse.ArgumentParser) -> None:
    add_service(parser)
    hooks = parser.add_argument_group("hooks")
    hooks.add_argument(
        "--on-start", "-on-start", metavar="COMMAND", help="run once, when this pod is listed"
    )
    hooks.add_argument("--on-change", "-on-change", metavar="COMMAND", help="run at each change")
    hooks.add_argument(
        "--stdin",
        choices=("names", "json"),
        default="names",
        help="the standard input of hooks: names, the sorted fully qualified names, one per line; "
        "or json, the output of 'peerdisco peers -o json' (default: %(default)s)",
    )
    hooks.add_argument(
        "--shell",
        action="store_true",
        help="run the commands in a shell, sh -c COMMAND, so that |, >, && and $X work",
    )
    hooks.add_argument(
        "--hook-timeout",
        metavar="SECONDS",
        type=_limit,
        help="time limit of a hook, or 'none' "
        f"(default: {HOOK_TIMEOUT_VARIABLE}, else {HOOK_TIMEOUT:g})",
    )
    hooks.add_argument(
        "--grace",
        metavar="SECONDS",
        type=_limit,
        help="seconds between SIGTERM and SIGKILL for a hook that runs when a signal ends this "
        f"command, or 'none' for no limit (default: {GRACE_VARIABLE}, else {PATIENCE:g})",
    )
    hooks.add_argument(
        "--attempts",
        metavar="N",
        type=_attempts,
        help="how often a failing hook is run for one change "
        f"(default: {ATTEMPTS_VARIABLE}, else {ATTEMPTS})",
    )
    hooks.add_argument(
        "--exit-on-failure",
        action="store_true",
        help="exit with status 1 when a hook has failed --attempts times, as the peer-finder does; "
        "otherwise the hook is run again at the next change",
    )
    hooks.add_argument(
        "--listed-only",
        action="store_true",
        help="run --on-change only while this pod is listed, as the peer-finder does",
    )
    hooks.add_argument(
        "--host-address",
        action="store_true",
        help="set HOST_ADDRESS, HOST_ADDRESS_TYPE, POD_IP and POD_IP_TYPE for hooks, as the "
        "peer-finder of kmodules does",
    )
    add_polling(parser)
    add_telemetry(parser)
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="report each run of a hook on stderr"
    )
    flags = parser.add_argument_group("flags of the peer-finder")
    flags.add_argument("-service", dest="service_flag", metavar="SERVICE", help="as SERVICE")
    # SUPPRESS: without this flag, the value of the option --namespace stays.
    flags.add_argument(
        "-ns",
        dest="namespace",
        metavar="NAME",
        default=argparse.SUPPRESS,
        help="as --namespace",
    )
    flags.add_argument(
        "-domain",
        dest="cluster_domain",
        metavar="DOMAIN",
        default=argparse.SUPPRESS,
        help="as --cluster-domain",
    )


def _limit(text: str) -> float:
    """The value of a time limit; infinity for ``none``."""
    if text == NO_LIMIT:
        return math.inf
    try:
        return seconds(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, or {NO_LIMIT!r}") from None


def _given(given: _T | None, variable: str, parse: Callable[[str], _T], default: _T) -> _T:
    """The value of an option, else of its variable, else the default."""
    text = os.environ.get(variable, "").strip()
    if given is not None or not text:
        return default if given is None else given
    try:
        return parse(text)
    except argparse.ArgumentTypeError as error:
        raise ConfigurationError(variable, text, str(error).partition("expected ")[2]) from None


def _finite(limit: float) -> float | None:
    return None if math.isinf(limit) else limit


def run(args: argparse.Namespace) -> int:
    if args.service_flag and args.service not in (None, args.service_flag):
        raise ConfigurationError("-service", args.service_flag, f"the SERVICE {args.service!r}")
    args.service = args.service or args.service_flag
    if not args.on_start and not args.on_change:
        raise UsageError("no hook given: use --on-start COMMAND, --on-change COMMAND or both")
    args.hook_timeout = _given(args.hook_timeout, HOOK_TIMEOUT_VARIABLE, _limit, HOOK_TIMEOUT)
    args.grace = _given(args.grace, GRACE_VARIABLE, _limit, PATIENCE)
    args.attempts = _given(args.attempts, ATTEMPTS_VARIABLE, _attempts, ATTEMPTS)
    on_start = _hook(args, "--on-start", args.on_start)
    on_change = _hook(args, "--on-change", args.on_change)
    status = become_init()
    if status is not None:
        return status
    try:
        work = _run(args, on_start, on_change)
        return run_until_signal(work, patience=_finite(args.grace))
    except Ended:
        return OK


def _hook(args: argparse.Namespace, option: str, command: str | None) -> CommandHook | None:
    if not command:
        return None
    from ..shown_hook import ShownHook  # noqa: PLC0415 - not needed for --help

    hook = _command_hook(args, option, command)
    return ShownHook.of(hook, option.removeprefix("--"), waiting_log(args))


def _command_hook(args: argparse.Namespace, option: str, command: str) -> CommandHook:
    from ...hooks import CommandHook  # noqa: PLC0415 - not needed for --help

    options: dict[str, Any] = {
        "timeout": _finite(args.hook_timeout),
        "grace": _finite(args.grace),
        "stdin": args.stdin,
        "environment": _environment(args),
    }
    if args.shell:
        # The on-start script may create the on-change script.
        check = option == "--on-start" or not args.on_start
        return CommandHook(shell_command(command, option, check=check), **options)
    refuse_shell_text(command, option)
    hook = CommandHook.parse(command, what=option, **options)
    hook.check(option)
    return hook


def _environment(args: argparse.Namespace) -> dict[str, str]:
    """The variables with which ``peerdisco`` in a hook makes the same lookup as this command."""
    options = {
        "PEERDISCO_STATEFULSET": args.statefulset,
        "PEERDISCO_CLUSTER": args.cluster,
        "PEERDISCO_CLUSTER_DOMAIN": args.cluster_domain,
        "PEERDISCO_NAMESERVERS": ",".join(args.nameserver),
        "PEERDISCO_RESOLVER": args.resolver,
        "PEERDISCO_SOURCE": args.source,
        "PEERDISCO_PORT_NAME": ",".join(args.port_name or ()),
        "PEERDISCO_PROTOCOL": args.protocol,
    }
    return {name: value for name, value in options.items() if value}


async def _run(
    args: argparse.Namespace, on_start: CommandHook | None, on_change: CommandHook | None
) -> int:
    from ...hooks import HookFailed, HookRunner  # noqa: PLC0415 - not needed for --help

    async with open_discovery(args, timeout=args.timeout) as disco:
        if args.host_address:
            facts = _host_address(disco.snapshot)
            on_start, on_change = (
                hook and replace(hook, environment={**hook.environment, **facts})
                for hook in (on_start, on_change)
            )
        runner = HookRunner(
            disco,
            on_start=on_start,
            on_change=on_change,
            listed_only=args.listed_only,
            attempts=args.attempts,
            end_on_failure=args.exit_on_failure,
            report=None if logs(args) else print_line,
            report_runs=args.verbose,
        )
        try:
            async with progress(_waiting_in_words(disco, runner), log=waiting_log(args)):
                await runner.run()
        except HookFailed as error:
            if on_change is None:
                print_line(f"the on-start hook failed, exiting: {error}")
            else:
                print_line(f"a hook failed, exiting (--exit-on-failure): {error}")
            return NO
    return OK


def _waiting_in_words(disco: Discovery, runner: HookRunner) -> Words:
    """What a hook waits for.

    The runner itself reports why a hook waits, at once and now and then. Only a terminal shows it
    all the time.
    """
    terminal = is_terminal(sys.stderr)

    def words(seconds: float) -> str | None:
        snapshot = disco.snapshot
        if not snapshot.known and snapshot.last_error is None:
            return f"the first answer about {disco.service}, {seconds:.0f} s"
        obstacle = runner.waits_for if terminal else None
        return None if obstacle is None else f"{obstacle}, {seconds:.0f} s"

    return words


def _host_address(snapshot: Snapshot) -> dict[str, str]:
    """This pod's identity in the variables of the peer-finder of kmodules; empty if not known.

    HOST_ADDRESS is the name under which peers reach this pod. A POD_IP that is set stays.
    """
    identity = snapshot.identity
    if identity is None:
        return {}
    facts = {
        "HOST_ADDRESS": f"{identity.pod_name}.{snapshot.service}",
        "HOST_ADDRESS_TYPE": "DNS",
    }
    address = os.environ.get("POD_IP") or next(map(str, identity.addresses), None)
    if address:
        facts |= {"POD_IP": address, "POD_IP_TYPE": "IPv6" if ":" in address else "IPv4"}
    return facts
