"""``peerdisco peers``: list the peers once."""

from __future__ import annotations

import argparse
import sys

from ...exceptions import AmbiguousPrimary
from ...wording.members import nobody_chosen
from .. import output
from ..look import TIMEOUT, add_look, add_service, add_verbose, look
from ..processes import run_until_signal
from ..status import INCOMPLETE, NONE, OK

SUMMARY = "list the peers once"
DESCRIPTION = """\
Looks once and lists the pods behind a headless service, by ordinal.
The primary is the pod of ordinal 0 (or of --ordinal)."""
EPILOG = """\
exit status:
  0  there are peers
  2  a wrong call, or no name server gave an answer
  3  there are none: no such service, or no pod of it is ready
  4  the list may lack pods; stderr says why
  6  the output cannot be written: stdout is closed, or its disk is full

examples:
  peerdisco peers my-database
  peerdisco peers my-database.production -o addresses
  peerdisco peers my-database -o json --nameserver 127.0.0.1:5300
"""


def configure(parser: argparse.ArgumentParser) -> None:
    add_service(parser)
    output.add_output(parser, "table")
    add_look(parser)
    add_verbose(parser)
    parser.set_defaults(timeout=TIMEOUT)


def run(args: argparse.Namespace) -> int:
    seen = run_until_signal(look(args, timeout=args.timeout, identity=None))
    if not seen.answered and seen.error is not None:
        raise seen.error
    snapshot = seen.snapshot
    remark = seen.error
    try:
        primary = snapshot.primary
    except AmbiguousPrimary as error:
        primary, remark = None, error
    if args.output == "json":
        from ...wording.as_json import peer_json, snapshot_json  # noqa: PLC0415 - for this format alone

        listed = [peer_json(peer) for peer in snapshot]
        output.print_json({**snapshot_json(snapshot, primary), "peers": listed})
    elif args.output != "table":
        output.print_lines(snapshot, snapshot.peers, args.output)
    elif snapshot.peers:
        output.print_peers(snapshot, snapshot.peers, primary)
    nobody = nobody_chosen(snapshot) if snapshot.left_out and not snapshot.peers else ""
    if not snapshot.complete:
        print(
            f"peerdisco: {snapshot.service}: {f'{nobody}; ' if nobody else ''}the list may lack "
            f"pods or addresses: {snapshot.incomplete_reason}",
            file=sys.stderr,
        )
        return INCOMPLETE
    if remark is not None:
        print(f"peerdisco: {remark}", file=sys.stderr)
    elif not snapshot.peers:
        print(f"peerdisco: {snapshot.service}: {nobody or 'it has no peers'}", file=sys.stderr)
    return OK if snapshot.peers else NONE
