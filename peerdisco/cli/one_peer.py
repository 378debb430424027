"""What the commands share that print one peer of the membership."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from ..model import Identity, Peer, Snapshot
from ..pod.identity import local_identity
from ..wording.members import peers_in_words
from . import output
from .look import TIMEOUT, Seen, add_look, add_service, add_verbose, look
from .processes import run_until_signal
from .status import INCOMPLETE, NONE, OK

STATUSES = """\
  0  it was printed
  2  a wrong call, no name server gave an answer, or several StatefulSets to choose from
  3  there is none; stderr says who is listed
  4  there is none, and the list may lack pods
  6  the output cannot be written: stdout is closed, or its disk is full
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of a command that looks once and prints one peer."""
    add_service(parser)
    output.add_output(parser, "hostnames")
    add_look(parser)
    add_verbose(parser)


def run(
    args: argparse.Namespace, pick: Callable[[Snapshot], Peer | None], nobody: str, *, local: bool
) -> int:
    """Look once, and print the peer that is picked.

    Args:
        args: The options.
        pick: Picks the peer.
        nobody: What to say where there is none.
        local: Whether the pick depends on who this pod is; then that must be known.

    Raises:
        DiscoveryError: The look failed.
        IdentityError: It is not known who this pod is, and has to be.
    """
    me: Identity | None = None
    if local:
        me = local_identity(namespace=args.namespace, cluster_domain=args.cluster_domain)
    seen = run_until_signal(look(args, timeout=args.timeout or TIMEOUT, identity=me))
    if seen.error is not None and not seen.answered:
        raise seen.error
    peer = pick(seen.snapshot)
    print_peer(seen.snapshot, peer, args.output)
    return OK if peer is not None else absent(seen, nobody)


def absent(seen: Seen, what: str) -> int:
    """Say that there is no such peer; the exit status for it."""
    snapshot = seen.snapshot
    there = peers_in_words(snapshot)
    error = seen.error or f"{snapshot.service}: {what}"
    if snapshot.complete:
        remark = "" if seen.error else f"; there is: {there}"
    else:
        nobody = f"; there is: {there}" if snapshot.left_out and not snapshot.peers else ""
        remark = f"{nobody}, and the list may lack pods: {snapshot.incomplete_reason}"
    print(f"peerdisco: {error}{remark}", file=sys.stderr)
    return NONE if snapshot.complete else INCOMPLETE


def print_peer(snapshot: Snapshot, peer: Peer | None, how: str) -> None:
    """Print one peer, or nothing but the membership's facts where there is none."""
    primary = snapshot.primary
    if how == "json":
        from ..wording.as_json import peer_json, snapshot_json  # noqa: PLC0415 - for this format alone

        found = peer_json(peer) if peer else None
        output.print_json({**snapshot_json(snapshot, primary), "peer": found})
    elif peer is None:
        return
    elif how == "table":
        output.print_peers(snapshot, [peer], primary)
    else:
        output.print_lines(snapshot, [peer], how)
