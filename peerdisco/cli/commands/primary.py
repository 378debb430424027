"""``peerdisco primary``: print the primary."""

from __future__ import annotations

import argparse
import sys

from ...exceptions import NotReady
from ...model import Snapshot
from .. import output
from ..look import TIMEOUT, add_look, add_service, add_verbose, look, timeout_in_words
from ..one_peer import absent, print_peer
from ..processes import run_until_signal
from ..status import OK, TIMED_OUT

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
  6  the output cannot be written: stdout is closed, or its disk is full

examples:
  mysql --host "$(peerdisco primary my-database -o hostnames)"
  peerdisco primary my-database --wait --timeout 60
"""
WAIT_TIMEOUT = 300.0


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
    parser.set_defaults(interval=None, leave_after=None)


def run(args: argparse.Namespace) -> int:
    if args.wait:
        return _run_waiting(args, args.timeout or WAIT_TIMEOUT)
    seen = run_until_signal(look(args, timeout=args.timeout or TIMEOUT, identity=None))
    if seen.error is not None and not seen.answered:
        raise seen.error
    primary = seen.snapshot.primary
    print_peer(seen.snapshot, primary, args.output)
    return OK if primary is not None else absent(seen, f"ordinal {args.ordinal} is not listed")


def _run_waiting(args: argparse.Namespace, timeout: float) -> int:
    try:
        snapshot = run_until_signal(_wait(args, timeout))
    except NotReady as error:
        print(f"peerdisco: {timeout_in_words(error)}", file=sys.stderr)
        return TIMED_OUT
    print_peer(snapshot, snapshot.primary, args.output)
    return OK


async def _wait(args: argparse.Namespace, timeout: float) -> Snapshot:
    """Watch until the primary is listed.

    Raises:
        NotReady: It was not listed in time.
        AmbiguousPrimary: Several StatefulSets stand behind the service.
    """
    from .watch import open_discovery  # noqa: PLC0415 - not needed for one look

    async with open_discovery(args, timeout=min(TIMEOUT, timeout)) as disco:
        return await disco.wait(_PrimaryIsListed(args.ordinal), timeout=timeout)


class _PrimaryIsListed:
    """The condition of ``--wait``. A timeout names it as ``ordinal 0``."""

    def __init__(self, ordinal: int) -> None:
        self._ordinal = ordinal

    def __call__(self, snapshot: Snapshot) -> bool:
        return snapshot.primary is not None

    def __repr__(self) -> str:
        return f"ordinal {self._ordinal}"
