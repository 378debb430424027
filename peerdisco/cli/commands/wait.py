"""``peerdisco wait``: block until there are enough peers."""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ...exceptions import NotReady
from ...wording.lists import listed
from .. import output
from ..exit_status import OK, TIMED_OUT
from ..lookup import may_be_stale_in_words, timeout_in_words
from ..options import (
    LOOKUP_TIMEOUT,
    add_query,
    add_service,
    add_timeout,
    seconds,
    whole_number,
)
from ..progress import progress, waiting_in_words
from ..signals import run_until_signal
from ..telemetry import add_telemetry, waiting_log
from ..watching import add_pace, open_discovery

if TYPE_CHECKING:
    from ...discovery import Discovery
    from ...model import Snapshot

SUMMARY = "block until there are enough peers"
DESCRIPTION = """\
Polls a headless service until it lists enough pods, and prints them. A failed lookup does not end
it, nor does NXDOMAIN, which is the answer of DNS until the first pod is ready. With --stable-for it
also waits until nothing has changed, been suspected or failed for that long."""
EPILOG = """\
exit status:
  0  enough peers are listed
  2  a usage error
  5  timed out; stderr says which peers were listed, and the reason
  128 + N  ended by signal N: 130 by SIGINT, 143 by SIGTERM

examples:
  peerdisco wait my-database --required 3 --timeout 120
  peerdisco wait my-database --quorum 5 --stable-for 10 -o addresses
  peerdisco wait my-database --required 3 --local
"""
WAIT_TIMEOUT = 300.0

_count = whole_number(1, 1_000_000, "a number of peers, 1 or more")


def configure(parser: argparse.ArgumentParser) -> None:
    add_service(parser)
    output.add_output(parser, "names")
    enough = parser.add_mutually_exclusive_group(required=True)
    enough.add_argument(
        "--required", metavar="N", type=_count, help="the number of peers to wait for"
    )
    enough.add_argument(
        "--quorum", metavar="N", type=_count, help="wait for more than half of N peers"
    )
    parser.add_argument(
        "--stable-for",
        metavar="SECONDS",
        type=_seconds_or_none,
        default=0.0,
        help="wait until nothing has changed, been suspected or failed for so long",
    )
    parser.add_argument(
        "--local", action="store_true", help="also wait until this pod is listed (POD_NAME)"
    )
    add_query(parser)
    group = parser.add_argument_group("waiting")
    add_timeout(
        group,
        WAIT_TIMEOUT,
        help_="give up after this time (default: %(default)g); the limit of each lookup is "
        f"{LOOKUP_TIMEOUT:g} s",
    )
    add_pace(group)
    add_telemetry(parser)
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="report changes on stderr meanwhile"
    )
    parser.set_defaults(output_needed=False)  # its result is the exit status


def _seconds_or_none(text: str) -> float:
    return seconds(text, zero=True)


def run(args: argparse.Namespace) -> int:
    try:
        snapshot = run_until_signal(_wait(args))
    except NotReady as error:
        print(f"peerdisco: {_in_words(error, args)}", file=sys.stderr)
        return TIMED_OUT
    _print(snapshot, args)
    return OK


async def _wait(args: argparse.Namespace) -> Snapshot:
    from ...conditions import at_least, quorum  # noqa: PLC0415 - not needed for --help

    required = quorum(args.quorum) if args.quorum is not None else at_least(args.required)
    identity = None
    if args.local:
        from ...pod.environment import wait_for_pod_environment  # noqa: PLC0415 - not for --help
        from ...pod.identity import local_identity  # noqa: PLC0415

        identity = local_identity(
            namespace=args.namespace,
            cluster_domain=args.cluster_domain,
            pod_environment=await wait_for_pod_environment(),
        )
    lookup_timeout = min(LOOKUP_TIMEOUT, args.timeout)
    async with open_discovery(args, timeout=lookup_timeout, identity=identity) as disco:
        reporting = asyncio.create_task(_report_changes(disco)) if args.verbose else None
        words = waiting_in_words(disco, lambda found: _so_far(found, args), args.timeout)
        try:
            async with progress(words, log=waiting_log(args)):
                return await disco.wait(
                    required, stable_for=args.stable_for, local=args.local, timeout=args.timeout
                )
        finally:
            if reporting is not None:
                reporting.cancel()
                await asyncio.gather(reporting, return_exceptions=True)


def _so_far(snapshot: Snapshot, args: argparse.Namespace) -> str:
    """What is listed, of what is required: ``2 of 3 listed (mysql-0, mysql-1)``."""
    needed = args.quorum // 2 + 1 if args.quorum is not None else args.required
    names = f" ({listed(snapshot.names)})" if snapshot.peers else ""
    enough = len(snapshot) >= needed
    words = f"{len(snapshot)}{'' if enough else f' of {needed}'} listed{names}"
    if args.local and snapshot.local is None:
        return f"{words}, this pod is not listed"
    if enough and args.stable_for:
        return f"{words}, not stable for {args.stable_for:g} s yet"
    return words


async def _report_changes(disco: Discovery) -> None:
    from ..change_lines import change_text  # noqa: PLC0415 - only with --verbose

    async for change in disco.watch():
        line = change_text(change, datetime.now(UTC), verbose=True)
        print(f"peerdisco: {line}", file=sys.stderr, flush=True)


def _in_words(error: NotReady, args: argparse.Namespace) -> str:
    """The message of a timeout: what was required, what was listed, and the reason."""
    snapshot = error.snapshot
    if snapshot is not None and snapshot.last_error is None:
        if not snapshot.peers and not snapshot.left_out:
            return (
                f"{error}: there is no service {snapshot.service}, or none of its pods is ready "
                "(publishNotReadyAddresses: true in the headless service lists pods that are not)"
            )
        if error.unlisted is not None:
            return (
                f"{error}: DNS lists a pod when it is ready, or earlier with "
                "publishNotReadyAddresses: true in the headless service"
            )
        needed = args.quorum // 2 + 1 if args.quorum is not None else args.required
        if len(snapshot) >= needed:
            return f"{error}, but not for {args.stable_for:g} s without a change"
    return timeout_in_words(error)


def _print(snapshot: Snapshot, args: argparse.Namespace) -> None:
    output.print_snapshot(snapshot, args)
    if snapshot.may_be_stale:
        print(f"peerdisco: {may_be_stale_in_words(snapshot.service)}", file=sys.stderr)
    if not snapshot.complete:
        print(
            f"peerdisco: {snapshot.service}: the list may be incomplete: "
            f"{snapshot.incomplete_reason}",
            file=sys.stderr,
        )
