"""``peerdisco run``: run hooks, as the peer-finder of the Kubernetes project does."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ..exceptions import ConfigurationError
from .look import add_service, seconds
from .processes import become_init, run_until_signal
from .status import NO, OK, Ended
from .watch import add_watching, open_discovery

if TYPE_CHECKING:
    from ..hooks import CommandHook

SUMMARY = "run hooks at the start and at each change"
DESCRIPTION = """\
Watches the pods behind a headless service and runs commands with the list of peers on their
standard input: --on-start once, when this pod is listed; --on-change whenever some joined, left or
came back with another address. With --on-start alone it ends when that has succeeded; with
--on-change alone the first membership is a change, and this pod need not be listed.

What changes while a hook runs is one run afterwards, with the newest list. A hook that fails or
takes too long is run again, later and later, up to --attempts times; then with the next change.
An outage of the DNS changes no list and runs nothing.

A command line is cut into words as a shell does it, but no shell is started: $, |, > and * mean
nothing. sh -c '...' has them mean what they mean to a shell. PEERDISCO_* variables tell a hook
what the list alone does not: EVENT (start or change), SERVICE, PEERS, JOINED, LEFT, REPLACED,
PRIMARY, PRIMARY_HOST, LOCAL, COMPLETE, STALE."""
EPILOG = """\
exit status:
  0  ended by SIGINT or SIGTERM, a running hook with it; or --on-start alone has succeeded
  1  --on-start alone has failed --attempts times
  2  a wrong call; so is a command that does not exist

It takes the place of the peer-finder in an image: the flags -service, -ns, -domain, -on-start and
-on-change are understood (there is also a command 'peer-finder' with these alone). As process 1 of
a container it waits for orphaned processes.

examples:
  peerdisco run my-database --on-change /scripts/reload
  peerdisco run -service=my-database -on-start='sh -c "cat > /etc/peers"'
"""
HOOK_TIMEOUT = 60.0
ATTEMPTS = 5


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
        help="what hooks read: names, the sorted fully qualified names, one a line; or json, what "
        "'peerdisco peers -o json' prints (default: %(default)s)",
    )
    hooks.add_argument(
        "--hook-timeout",
        metavar="SECONDS",
        type=seconds,
        default=HOOK_TIMEOUT,
        help="how long a hook may take (default: %(default)g)",
    )
    hooks.add_argument(
        "--attempts",
        metavar="N",
        type=_attempts,
        default=ATTEMPTS,
        help="how often a hook that fails is run for one change (default: %(default)s)",
    )
    hooks.add_argument(
        "--listed-only",
        action="store_true",
        help="run --on-change, too, only while this pod is listed, as the peer-finder does",
    )
    add_watching(parser)
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="say on stderr when a hook is run"
    )
    flags = parser.add_argument_group("flags of the peer-finder")
    flags.add_argument("-service", dest="service_flag", metavar="SERVICE", help="as SERVICE")
    # Without a default of their own these leave alone what the option of the same name stored.
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


def _attempts(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 1_000_000):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number of 1 or more")
    return int(text)


def run(args: argparse.Namespace) -> int:
    if args.service_flag and args.service not in (None, args.service_flag):
        raise ConfigurationError("-service", args.service_flag, f"the SERVICE {args.service!r}")
    args.service = args.service or args.service_flag
    if not args.on_start and not args.on_change:
        raise ConfigurationError("hooks", "none", "a command as --on-start, --on-change or both")
    on_start = _hook(args, "--on-start", args.on_start)
    on_change = _hook(args, "--on-change", args.on_change)
    status = become_init()
    if status is not None:
        return status
    try:
        return run_until_signal(_run(args, on_start, on_change))
    except Ended:
        return OK


def _hook(args: argparse.Namespace, option: str, command: str | None) -> CommandHook | None:
    from ..hooks import CommandHook  # noqa: PLC0415 - not needed for --help

    if not command:
        return None
    hook = CommandHook.parse(
        command,
        timeout=args.hook_timeout,
        stdin=args.stdin,
        environment=_environment(args),
        what=option,
    )
    hook.check(option)
    return hook


def _environment(args: argparse.Namespace) -> dict[str, str]:
    """What has ``peerdisco`` in a hook look as this command was told to by its options."""
    told = {
        "PEERDISCO_STATEFULSET": args.statefulset,
        "PEERDISCO_CLUSTER_DOMAIN": args.cluster_domain,
        "PEERDISCO_NAMESERVERS": ",".join(args.nameserver),
        "PEERDISCO_RESOLVER": args.resolver,
        "PEERDISCO_SOURCE": args.source,
        "PEERDISCO_PORT_NAME": args.port_name,
        "PEERDISCO_PROTOCOL": args.protocol,
    }
    return {name: value for name, value in told.items() if value}


async def _run(
    args: argparse.Namespace, on_start: CommandHook | None, on_change: CommandHook | None
) -> int:
    from ..hooks import HookFailed, HookRunner  # noqa: PLC0415 - not needed for --help

    async with open_discovery(args, timeout=args.timeout) as disco:
        runner = HookRunner(
            disco,
            on_start=on_start,
            on_change=on_change,
            listed_only=args.listed_only,
            attempts=args.attempts,
            tell=_tell,
            tell_runs=args.verbose,
        )
        try:
            await runner.run()
        except HookFailed as error:
            _tell(f"the on-start hook failed, and there is no other: {error}")
            return NO
    return OK


def _tell(line: str) -> None:
    print(f"peerdisco: {line}", file=sys.stderr, flush=True)
