"""``peerdisco clone-source``: print the peer to copy the data from."""

from __future__ import annotations

import argparse

from .. import one_peer

SUMMARY = "print the peer from which this pod gets its first copy of the data"
DESCRIPTION = """\
Prints the host name of the pod with the nearest lower ordinal, else of the primary. There is none
for the primary itself: a primary without data is a matter for a person."""
EPILOG = f"""\
exit status:
{one_peer.STATUSES}
example:
  source=$(peerdisco clone-source my-database) && mariadb-dump --host "$source" ...
"""

configure = one_peer.configure


def run(args: argparse.Namespace) -> int:
    return one_peer.run(
        args, lambda snapshot: snapshot.clone_source, "there is nobody to clone from", local=True
    )
