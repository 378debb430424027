"""``peerdisco clone-source``: print the peer to copy the data from."""

from __future__ import annotations

import argparse

from .. import one_peer

SUMMARY = "print the peer from which this pod gets its first copy of the data"
DESCRIPTION = """\
Prints the host name of the pod with the nearest lower ordinal, else of the primary. The primary
itself has no clone source: a primary without data needs a person to decide."""
EPILOG = f"""\
exit status:
{one_peer.STATUSES}
example:
  source=$(peerdisco clone-source my-database) && mariadb-dump --host "$source" ...
"""

configure = one_peer.configure


def run(args: argparse.Namespace) -> int:
    return one_peer.run(
        args, lambda snapshot: snapshot.clone_source, "there is no peer to clone from", local=True
    )
