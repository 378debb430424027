"""``peerdisco is-primary``: whether this pod is the primary, as an exit status."""

from __future__ import annotations

import argparse
import sys

from ..exit_status import NO, OK, WRONG
from ..lookup import lookup
from ..options import LOOKUP_TIMEOUT, add_lookup, add_service, add_verbose

SUMMARY = "exit with 0 if this pod is the primary, with 1 if not"
DESCRIPTION = """\
Exits with 0 if this pod is the primary: the pod of ordinal 0 (or of --ordinal).
It exits with 1 without a lookup if the pod's own name has another ordinal or StatefulSet. It exits
with 0 only if a complete answer lists this pod under the primary's name, with exactly this pod's
own addresses. Ordinal 0 is a name, not a lock: status 0 does not keep another pod from writing."""
EPILOG = """\
exit status:
  0  yes
  1  no
  2  not known; stderr gives the reason: the lookup failed, the list may be incomplete, this pod is
     not listed, its addresses differ from those in DNS, or its own addresses are not known

example:
  if peerdisco is-primary; then echo primary; else echo "not the primary, or unknown"; fi
"""


def configure(parser: argparse.ArgumentParser) -> None:
    add_service(parser)
    add_lookup(parser)
    add_verbose(parser)
    parser.set_defaults(timeout=LOOKUP_TIMEOUT)


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
        # StatefulSet and ordinal are in the pod's own name, which no lookup changes.
        if args.verbose:
            print(f"peerdisco: {me.pod_name} is not {chosen}-{args.ordinal}", file=sys.stderr)
        return NO
    # Loaded here: the probes of most pods, which are replicas, do not need it.
    from ...primary.verdicts import confirm_local_primary  # noqa: PLC0415
    from ..signals import run_until_signal  # noqa: PLC0415

    # A pod of another StatefulSet behind the service can have the same ordinal.
    args.statefulset = chosen
    result = run_until_signal(lookup(args, timeout=args.timeout, identity=me))
    if result.error is not None:
        raise result.error
    verdict = confirm_local_primary(result.snapshot, me)
    reasons = "; ".join(map(str, verdict.reasons))
    if not verdict:
        print(f"peerdisco: unknown: {reasons}", file=sys.stderr)
        return WRONG
    if args.verbose:
        print(f"peerdisco: {reasons}", file=sys.stderr)
    return OK
