"""``peerdisco is-primary``: the answer as an exit status."""

from __future__ import annotations

import argparse
import os
import sys

from .look import TIMEOUT, add_look, add_service, add_verbose, look
from .processes import run_until_signal
from .status import NO, OK, WRONG

SUMMARY = "exit with 0 if this pod is the primary, with 1 if not"
DESCRIPTION = """\
For 'if' in a shell: is this pod the one of ordinal 0 (or of --ordinal)?
It says yes only if DNS lists this pod under that name, with one of its own addresses where these
are known. Ordinal 0 is a name and not a lock: a yes does not keep another pod from writing."""
EPILOG = """\
exit status:
  0  yes
  1  no
  2  it cannot be told; stderr says why

example:
  if peerdisco is-primary; then echo primary; else echo "not the primary, or not known"; fi
"""


def configure(parser: argparse.ArgumentParser) -> None:
    add_service(parser)
    add_look(parser)
    add_verbose(parser)
    parser.set_defaults(timeout=TIMEOUT)


def run(args: argparse.Namespace) -> int:
    from ..local import local_identity  # noqa: PLC0415 - not needed for --help

    me = local_identity(namespace=args.namespace, cluster_domain=args.cluster_domain)
    chosen = args.statefulset or os.environ.get("PEERDISCO_STATEFULSET") or me.statefulset
    if (me.statefulset, me.ordinal) != (chosen, args.ordinal):
        # StatefulSet and ordinal are in the pod's own name: no look could make it the primary.
        if args.verbose:
            print(f"peerdisco: {me.pod_name} is not {chosen}-{args.ordinal}", file=sys.stderr)
        return NO
    seen = run_until_signal(look(args, timeout=args.timeout, identity=me))
    if seen.error is not None:
        raise seen.error
    local = seen.snapshot.local
    if local is None:
        doubt = (
            f"{seen.snapshot.service} does not list {me.pod_name}: it is not ready, or not of it"
        )
    elif me.addresses and local.addresses and not set(me.addresses) & set(local.addresses):
        doubt = (
            f"{local.hostname} is {', '.join(map(str, local.addresses))} in DNS, and this pod has "
            f"{', '.join(map(str, me.addresses))}: the record is old, or another pod has this name"
        )
    else:
        return OK if seen.snapshot.primary is local else NO
    print(f"peerdisco: cannot tell: {doubt}", file=sys.stderr)
    return WRONG
