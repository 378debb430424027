"""One lookup, of which one peer is printed: shared by the commands that do so."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from ..model import Identity, Peer, Snapshot
from ..pod.identity import local_identity
from ..wording.members import peers_in_words
from . import output
from .exit_status import INCOMPLETE, NONE, OK
from .lookup import LookupResult, lookup
from .options import LOOKUP_TIMEOUT, add_lookup, add_service, add_verbose
from .signals import run_until_signal

STATUSES = """\
  0  the peer was printed
  2  a usage error, the lookup failed, or several StatefulSets are listed and none is chosen
  3  there is no such peer; stderr names the listed peers
  4  there is no such peer in the list, which may be incomplete
  6  the output cannot be written: stdout is closed, or its disk is full
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of such a command."""
    add_service(parser)
    output.add_output(parser, "hostnames")
    add_lookup(parser)
    add_verbose(parser)


def run(
    args: argparse.Namespace, pick: Callable[[Snapshot], Peer | None], nobody: str, *, local: bool
) -> int:
    """Look up the service once, and print the peer that `pick` selects.

    Args:
        args: The options.
        pick: Selects the peer; None if there is none.
        nobody: The message if there is none.
        local: Whether the selection depends on this pod's identity.

    Raises:
        DiscoveryError: The lookup failed.
        IdentityError: The identity is needed, and is not known.
    """
    me: Identity | None = None
    if local:
        me = local_identity(namespace=args.namespace, cluster_domain=args.cluster_domain)
    result = run_until_signal(lookup(args, timeout=args.timeout or LOOKUP_TIMEOUT, identity=me))
    if result.error is not None and not result.answered:
        raise result.error
    peer = pick(result.snapshot)
    print_peer(result.snapshot, peer, args)
    return OK if peer is not None else absent(result, nobody)


def absent(result: LookupResult, what: str) -> int:
    """Report on stderr that there is no such peer. Returns the exit status for it."""
    snapshot = result.snapshot
    listed = f"; listed: {peers_in_words(snapshot)}"
    error = result.error or f"{snapshot.service}: {what}"
    if snapshot.complete:
        remark = "" if result.error else listed
    else:
        nobody = listed if snapshot.left_out and not snapshot.peers else ""
        remark = f"{nobody}; the list may be incomplete: {snapshot.incomplete_reason}"
    print(f"peerdisco: {error}{remark}", file=sys.stderr)
    return NONE if snapshot.complete else INCOMPLETE


def print_peer(snapshot: Snapshot, peer: Peer | None, args: argparse.Namespace) -> None:
    """Print one peer. Without one, print nothing, or in JSON the facts about the membership.

    Raises:
        AmbiguousPrimary: The primary is ambiguous.
    """
    _ = snapshot.primary
    facts = snapshot.as_dict()
    del facts["peers"]
    facts["peer"] = peer.as_dict() if peer else None
    output.print_snapshot(snapshot, args, peers=[peer] if peer else [], facts=facts)
