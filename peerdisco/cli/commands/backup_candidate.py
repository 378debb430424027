"""``peerdisco backup-candidate``: print the peer to back up."""

from __future__ import annotations

import argparse

from .. import one_peer

SUMMARY = "print the peer to back up: the highest ordinal that is not the primary"
DESCRIPTION = """\
Prints the host name of the pod with the highest ordinal that is not the primary, so that a backup
does not load the server that takes writes. Without a replica there is no candidate."""
EPILOG = f"""\
exit status:
{one_peer.STATUSES}
example:
  mariadb-dump --host "$(peerdisco backup-candidate my-database)" ...
"""

configure = one_peer.configure


def run(args: argparse.Namespace) -> int:
    return one_peer.run(
        args, lambda snapshot: snapshot.backup_candidate, "there is no replica", local=False
    )
