"""``peerdisco whoami``: print the identity."""

from __future__ import annotations

import argparse

from .. import output
from ..exit_status import OK
from ..options import add_namespace

SUMMARY = "print this pod's identity"
DESCRIPTION = """\
Prints the pod's name, ordinal, StatefulSet, namespace, service, cluster domain, host name and
addresses, from the environment and the files that the kubelet writes. It makes no DNS query."""
EPILOG = """\
exit status:
  0  the identity was printed; unknown facts are '-' (null in JSON)
  2  the pod's name or namespace is not known; stderr says how to set it
  6  the output cannot be written: stdout is closed, or its disk is full
"""


def configure(parser: argparse.ArgumentParser) -> None:
    output.add_output(parser, "table", of_peers=False)
    add_namespace(parser.add_argument_group("override what is detected"))


def run(args: argparse.Namespace) -> int:
    from ...pod.identity import local_identity  # noqa: PLC0415 - not needed for --help

    me = local_identity(namespace=args.namespace, cluster_domain=args.cluster_domain)
    facts = {
        "pod_name": me.pod_name,
        "ordinal": me.ordinal,
        "statefulset": me.statefulset,
        "namespace": me.namespace,
        "service": me.service,
        "cluster_domain": me.cluster_domain,
        "hostname": me.hostname,
        "addresses": [str(address) for address in me.addresses],
    }
    if args.output == "json":
        output.print_json(facts)
    elif args.output == "yaml":
        output.print_yaml(facts)
    elif args.output == "names":
        print(me.pod_name)
    elif args.output == "hostnames":
        print(me.hostname or me.pod_name)
    elif args.output == "addresses":
        for address in me.addresses:
            print(address)
    else:
        facts["addresses"] = ",".join(map(str, me.addresses)) or None
        rows = [
            (name.replace("_", " "), "-" if value is None else str(value))
            for name, value in facts.items()
        ]
        output.print_table(("FACT", "VALUE"), rows)
    return OK
