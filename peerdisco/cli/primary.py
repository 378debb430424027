"""``peerdisco primary``: print the primary."""

from __future__ import annotations

import argparse
import asyncio
import sys

from ..exceptions import NotReady
from ..model import Peer
from ..names import parse_seconds
from . import output
from .look import TIMEOUT, Seen, add_look, add_service, add_verbose, look
from .status import INCOMPLETE, NONE, OK, TIMED_OUT

SUMMARY = "print the primary: the pod of ordinal 0"
DESCRIPTION = """\
Prints the pod of ordinal 0 (or of --ordinal) of the StatefulSet behind a headless service.
It is a deterministic pick and not an election: while that pod is absent, nobody takes its place."""
EPILOG = """\
exit status:
  0  it was printed
  2  a wrong call, no name server gave an answer, or several StatefulSets to choose from
  3  it is not listed: its pod is absent or not ready
  4  it is not listed, and the list may lack pods
  5  --wait, and it was not listed in time

examples:
  mysql --host "$(peerdisco primary my-database -o hostnames)"
  peerdisco primary my-database --wait --timeout 60
"""
WAIT_TIMEOUT = 300.0
INTERVAL = 2.0


def configure(parser: argparse.ArgumentParser) -> None:
    add_service(parser)
    output.add_output(parser, "names")
    parser.add_argument(
        "--wait",
        action="store_true",
        help="look again until it is listed; --timeout then bounds the wait "
        f"(default: {WAIT_TIMEOUT:g})",
    )
    add_look(parser)
    add_verbose(parser)


def run(args: argparse.Namespace) -> int:
    timeout = args.timeout or (WAIT_TIMEOUT if args.wait else TIMEOUT)
    looking = _wait(args, timeout) if args.wait else look(args, timeout=timeout, identity=None)
    seen = asyncio.run(looking)
    if seen.error is not None and not seen.answered and not args.wait:
        raise seen.error
    snapshot = seen.snapshot
    primary = snapshot.primary
    _print(seen, primary, args.output)
    if primary is not None:
        return OK
    if args.wait:
        late = NotReady(f"ordinal {args.ordinal}", timeout, snapshot if seen.answered else None)
        why = f" ({seen.error})" if seen.error is not None else ""
        print(f"peerdisco: {late}{why}", file=sys.stderr)
        return TIMED_OUT
    there = ", ".join(peer.name for peer in snapshot) or "no peers"
    error = seen.error or f"{snapshot.service}: ordinal {args.ordinal} is not listed"
    if snapshot.complete:
        remark = "" if seen.error else f"; there is: {there}"
    else:
        remark = f", and the list may lack pods: {snapshot.incomplete_reason}"
    print(f"peerdisco: {error}{remark}", file=sys.stderr)
    return NONE if snapshot.complete else INCOMPLETE


async def _wait(args: argparse.Namespace, timeout: float) -> Seen:
    """Look until the primary is listed or the time is up; the last look, whatever it saw."""
    import os  # noqa: PLC0415

    interval = parse_seconds(
        os.environ.get("PEERDISCO_INTERVAL") or str(INTERVAL), "PEERDISCO_INTERVAL"
    )
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while True:
        left = deadline - loop.time()
        seen = await look(args, timeout=min(TIMEOUT, max(left, 0.01)), identity=None)
        if seen.answered and seen.snapshot.primary is not None:
            return seen
        pause = min(interval, deadline - loop.time())
        if pause <= 0:
            return seen
        await asyncio.sleep(pause)


def _print(seen: Seen, primary: Peer | None, how: str) -> None:
    if how == "json":
        peer = output.peer_json(primary) if primary else None
        output.print_json({**output.snapshot_json(seen.snapshot, primary), "peer": peer})
    elif primary is None:
        return
    elif how == "table":
        row = output.peer_row(primary, primary=primary, local=seen.snapshot.local)
        output.print_table(output.PEER_HEADER, [row])
    else:
        output.print_lines([primary], how)
