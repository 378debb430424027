"""The peer-finder of Kubernetes' contrib repository as a contender, where a binary is named.

``PEERDISCO_TEST_PEER_FINDER`` names it; nothing of it is in this repository. Once a second it asks
the servers in ``/etc/resolv.conf``, through the resolver of Go's standard library, and gets the
names of the pods without addresses.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

VARIABLE = "PEERDISCO_TEST_PEER_FINDER"
PROGRAM = os.environ.get(VARIABLE, "")
WHO = "Go's peer-finder"


def missing() -> str | None:
    """Why it cannot be run here, to be the reason of a skip; None if it can."""
    if not PROGRAM:
        return f"this machine has no peer-finder; {VARIABLE}=PATH names one"
    if shutil.which(PROGRAM) is None:
        return f"{VARIABLE}={PROGRAM} is no program"
    return None


def command(service: str) -> Sequence[str]:
    """What watches this service, and runs nothing: this host is none of its pods."""
    options = ("-ns=default", "-domain=cluster.local", "-on-change=true")
    return (PROGRAM, f"-service={service}", *options)
