"""``peerdisco primary``: print the primary."""

from __future__ import annotations

import argparse
import sys

from ...exceptions import NotReady
from ...model import Snapshot
from .. import output
from ..exit_status import OK, TIMED_OUT
from ..lookup import lookup, timeout_in_words
from ..one_peer import absent, print_peer
from ..options import LOOKUP_TIMEOUT, add_lookup, add_service, add_verbose
from ..signals import run_until_signal

SUMMARY = "print the primary: the pod of ordinal 0"
DESCRIPTION = """\
Prints the pod of ordinal 0 (or of --ordinal) of the StatefulSet behind a headless service.
This is not an election: while that pod is absent there is no primary."""
EPILOG = """\
exit status:
  0  the primary was printed
  2  a usage error, the lookup failed, or several StatefulSets are listed and none is chosen
  3  the primary is not listed: its pod is absent or not ready
  4  the primary is not in the list, which may be incomplete
  5  with --wait: the primary was not listed within the timeout
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
        help="poll until the primary is listed; --timeout then limits the whole wait "
        f"(default: {WAIT_TIMEOUT:g})",
    )
    add_lookup(parser)
    add_verbose(parser)
    parser.set_defaults(interval=None, leave_after=None)


def run(args: argparse.Namespace) -> int:
    if args.wait:
        return _run_waiting(args, args.timeout or WAIT_TIMEOUT)
    result = run_until_signal(lookup(args, timeout=args.timeout or LOOKUP_TIMEOUT, identity=None))
    if result.error is not None and not result.answered:
        raise result.error
    primary = result.snapshot.primary
    print_peer(result.snapshot, primary, args)
    return OK if primary is not None else absent(result, f"ordinal {args.ordinal} is not listed")


def _run_waiting(args: argparse.Namespace, timeout: float) -> int:
    try:
        snapshot = run_until_signal(_wait(args, timeout))
    except NotReady as error:
        print(f"peerdisco: {timeout_in_words(error)}", file=sys.stderr)
        return TIMED_OUT
    print_peer(snapshot, snapshot.primary, args)
    return OK


async def _wait(args: argparse.Namespace, timeout: float) -> Snapshot:
    """Poll until the primary is listed.

    Raises:
        NotReady: The primary was not listed within the timeout.
        AmbiguousPrimary: Several StatefulSets are listed, and none is chosen.
    """
    from ..progress import print_waiting, progress, waiting_in_words  # noqa: PLC0415
    from ..watching import open_discovery  # noqa: PLC0415 - not needed for one lookup

    def so_far(snapshot: Snapshot) -> str:
        return f"ordinal {args.ordinal} is not listed ({len(snapshot)} others are)"

    async with open_discovery(args, timeout=min(LOOKUP_TIMEOUT, timeout)) as disco:
        words = waiting_in_words(disco, so_far, timeout)
        async with progress(words, log=print_waiting):
            return await disco.wait(_PrimaryIsListed(args.ordinal), timeout=timeout)


class _PrimaryIsListed:
    """The condition of ``--wait``. A timeout names it as ``ordinal 0``."""

    def __init__(self, ordinal: int) -> None:
        self._ordinal = ordinal

    def __call__(self, snapshot: Snapshot) -> bool:
        return snapshot.primary is not None

    def __repr__(self) -> str:
        return f"ordinal {self._ordinal}"
