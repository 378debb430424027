"""``peerdisco is-primary``: the answer as an exit status."""

from __future__ import annotations

import argparse
import sys

from ..look import TIMEOUT, add_look, add_service, add_verbose, look
from ..status import NO, OK, WRONG

SUMMARY = "exit with 0 if this pod is the primary, with 1 if not"
DESCRIPTION = """\
For 'if' in a shell: is this pod the one of ordinal 0 (or of --ordinal)?
It says no where the pod's own name has another ordinal or StatefulSet, without a lookup. It says
yes only if a complete answer lists this pod under the primary's name with this pod's own addresses
and no others. Ordinal 0 is a name and not a lock: a yes does not keep another pod from writing."""
EPILOG = """\
exit status:
  0  yes
  1  no
  2  it cannot be told; stderr says why: the lookup failed, the list may be incomplete, this pod is
     not listed, its addresses differ from those in DNS, or its own addresses are not known

example:
  if peerdisco is-primary; then echo primary; else echo "not the primary, or not known"; fi
"""


def configure(parser: argparse.ArgumentParser) -> None:
    add_service(parser)
    add_look(parser)
    add_verbose(parser)
    parser.set_defaults(timeout=TIMEOUT)


def run(args: argparse.Namespace) -> int:
    from ...pod.environment import read_pod_environment  # noqa: PLC0415 - not needed for --help
    from ...pod.identity import local_identity  # noqa: PLC0415
    from ...pod.settings import find_statefulset  # noqa: PLC0415

    pod = read_pod_environment()
    me = local_identity(
        namespace=args.namespace, cluster_domain=args.cluster_domain, pod_environment=pod
    )
    chosen = find_statefulset(args.statefulset, pod) or me.statefulset
    if (me.statefulset, me.ordinal) != (chosen, args.ordinal):
        # StatefulSet and ordinal are in the pod's own name: no lookup could make it the primary.
        if args.verbose:
            print(f"peerdisco: {me.pod_name} is not {chosen}-{args.ordinal}", file=sys.stderr)
        return NO
    # Loaded here, since the probes of most pods never come this far.
    from ...primary.verdicts import confirm_local_primary  # noqa: PLC0415
    from ..processes import run_until_signal  # noqa: PLC0415

    # The same ordinal of another StatefulSet behind the service says nothing about this pod.
    args.statefulset = chosen
    seen = run_until_signal(look(args, timeout=args.timeout, identity=me))
    if seen.error is not None:
        raise seen.error
    verdict = confirm_local_primary(seen.snapshot, me)
    reasons = "; ".join(map(str, verdict.reasons))
    if not verdict:
        print(f"peerdisco: cannot tell: {reasons}", file=sys.stderr)
        return WRONG
    if args.verbose:
        print(f"peerdisco: {reasons}", file=sys.stderr)
    return OK
