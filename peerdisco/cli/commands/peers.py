"""``peerdisco peers``: list the peers once."""

from __future__ import annotations

import argparse
import sys

from ...exceptions import AmbiguousPrimary
from ...wording.members import none_selected
from .. import output
from ..exit_status import INCOMPLETE, NONE, OK
from ..lookup import lookup
from ..options import LOOKUP_TIMEOUT, add_lookup, add_service, add_verbose
from ..signals import run_until_signal

SUMMARY = "list the peers once"
DESCRIPTION = """\
Looks up a headless service once and lists its pods by ordinal.
The primary is the pod of ordinal 0 (or of --ordinal)."""
EPILOG = """\
exit status:
  0  the peers were printed
  2  a usage error, or the lookup failed
  3  no peers: no such service, or none of its pods is ready
  4  the list may be incomplete; stderr gives the reason
  6  the output cannot be written: stdout is closed, or its disk is full

examples:
  peerdisco peers my-database
  peerdisco peers my-database.production -o addresses
  peerdisco peers my-database -o json --nameserver 127.0.0.1:5300
"""


def configure(parser: argparse.ArgumentParser) -> None:
    add_service(parser)
    output.add_output(parser, "table")
    add_lookup(parser)
    add_verbose(parser)
    parser.set_defaults(timeout=LOOKUP_TIMEOUT)


def run(args: argparse.Namespace) -> int:
    result = run_until_signal(lookup(args, timeout=args.timeout, identity=None))
    if not result.answered and result.error is not None:
        raise result.error
    snapshot = result.snapshot
    remark = result.error
    try:
        _ = snapshot.primary
    except AmbiguousPrimary as error:
        remark = error
    output.print_snapshot(snapshot, args)
    nobody = none_selected(snapshot) if snapshot.left_out and not snapshot.peers else ""
    if not snapshot.complete:
        print(
            f"peerdisco: {snapshot.service}: {f'{nobody}; ' if nobody else ''}the list may be "
            f"incomplete: {snapshot.incomplete_reason}",
            file=sys.stderr,
        )
        return INCOMPLETE
    if remark is not None:
        print(f"peerdisco: {remark}", file=sys.stderr)
    elif not snapshot.peers:
        print(f"peerdisco: {snapshot.service}: {nobody or 'no peers'}", file=sys.stderr)
    return OK if snapshot.peers else NONE
