"""``peerdisco wait``: block until there are enough peers."""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ...exceptions import NotReady
from .. import output
from ..look import (
    TIMEOUT,
    add_query,
    add_service,
    add_timeout,
    may_be_stale_in_words,
    seconds,
    timeout_in_words,
)
from ..processes import run_until_signal
from ..status import OK, TIMED_OUT
from .watch import add_pace, as_text, open_discovery

if TYPE_CHECKING:
    from ...discovery import Discovery
    from ...model import Snapshot

SUMMARY = "block until there are enough peers"
DESCRIPTION = """\
Looks until so many pods are listed behind a headless service, and prints them. It goes on through
failures and through NXDOMAIN, which is what DNS says until the first pod is ready. With
--stable-for it also waits until nothing changed, was in doubt or failed for so long."""
EPILOG = """\
exit status:
  0  they are there
  2  a wrong call
  5  they were not there in time; stderr says what was there, and why
  128 + N  ended by signal N: 130 by SIGINT, 143 by SIGTERM

examples:
  peerdisco wait my-database --required 3 --timeout 120
  peerdisco wait my-database --quorum 5 --stable-for 10 -o addresses
  peerdisco wait my-database --required 3 --local
"""
WAIT_TIMEOUT = 300.0


def configure(parser: argparse.ArgumentParser) -> None:
    add_service(parser)
    output.add_output(parser, "names")
    enough = parser.add_mutually_exclusive_group(required=True)
    enough.add_argument("--required", metavar="N", type=_count, help="wait for so many peers")
    enough.add_argument(
        "--quorum", metavar="N", type=_count, help="wait for more than half of so many peers"
    )
    parser.add_argument(
        "--stable-for",
        metavar="SECONDS",
        type=_seconds_or_none,
        default=0.0,
        help="wait until nothing changed, was in doubt or failed for so long",
    )
    parser.add_argument(
        "--local", action="store_true", help="wait until this pod is listed, too (POD_NAME)"
    )
    add_query(parser)
    group = parser.add_argument_group("how to wait")
    add_timeout(
        group,
        WAIT_TIMEOUT,
        help_=f"give up after so long (default: %(default)g); a lookup may take {TIMEOUT:g} s",
    )
    add_pace(group)
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="say on stderr what changes meanwhile"
    )
    parser.set_defaults(output_needed=False)  # it is run for its status


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 1_000_000):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number of peers, 1 or more")
    return int(text)


def _seconds_or_none(text: str) -> float:
    return seconds(text, zero=True)


def run(args: argparse.Namespace) -> int:
    try:
        snapshot = run_until_signal(_wait(args))
    except NotReady as error:
        print(f"peerdisco: {_in_words(error, args)}", file=sys.stderr)
        return TIMED_OUT
    _print(snapshot, args.output)
    return OK


async def _wait(args: argparse.Namespace) -> Snapshot:
    from ...conditions import at_least, quorum  # noqa: PLC0415 - not needed for --help

    required = quorum(args.quorum) if args.quorum is not None else at_least(args.required)
    look_timeout = min(TIMEOUT, args.timeout)
    identity = None
    if args.local:
        from ...pod.identity import local_identity  # noqa: PLC0415 - not needed for --help

        identity = local_identity(namespace=args.namespace, cluster_domain=args.cluster_domain)
    async with open_discovery(args, timeout=look_timeout, identity=identity) as disco:
        telling = asyncio.create_task(_tell(disco)) if args.verbose else None
        try:
            return await disco.wait(
                required, stable_for=args.stable_for, local=args.local, timeout=args.timeout
            )
        finally:
            if telling is not None:
                telling.cancel()
                await asyncio.gather(telling, return_exceptions=True)


async def _tell(disco: Discovery) -> None:
    async for change in disco.watch():
        line = as_text(change, datetime.now(UTC), verbose=True)
        print(f"peerdisco: {line}", file=sys.stderr, flush=True)


def _in_words(error: NotReady, args: argparse.Namespace) -> str:
    """What was there, what was required, and why it did not do."""
    snapshot = error.snapshot
    if snapshot is not None and snapshot.last_error is None:
        if not snapshot.peers and not snapshot.left_out:
            return (
                f"{error}: there is no service {snapshot.service}, or none of its pods is ready "
                "(publishNotReadyAddresses: true in the headless service lists them before)"
            )
        if error.unlisted is not None:
            return (
                f"{error}: a pod is listed when it is ready, or before that with "
                "publishNotReadyAddresses: true in the headless service"
            )
        needed = args.quorum // 2 + 1 if args.quorum is not None else args.required
        if len(snapshot) >= needed:
            return f"{error}, but not for {args.stable_for:g} s without a change"
    return timeout_in_words(error)


def _print(snapshot: Snapshot, how: str) -> None:
    from ...wording.as_json import clear_primary, membership_json  # noqa: PLC0415

    if how == "json":
        output.print_json(membership_json(snapshot))
    elif how != "table":
        output.print_lines(snapshot, snapshot.peers, how)
    else:
        output.print_peers(snapshot, snapshot.peers, clear_primary(snapshot))
    if snapshot.may_be_stale:
        print(f"peerdisco: {may_be_stale_in_words(snapshot.service)}", file=sys.stderr)
    if not snapshot.complete:
        print(
            f"peerdisco: {snapshot.service}: the list may lack pods or addresses: "
            f"{snapshot.incomplete_reason}",
            file=sys.stderr,
        )
