"""The time that the shortcuts for unchanged answers save in each poll of a large service.

``python -m tests.benchmarks.costs`` prints it.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address

from peerdisco.membership.machine import Membership
from peerdisco.model import Answered, Peer, Snapshot

PODS = 5000


def microseconds(action: Callable[[], object]) -> float:
    """The duration of one call: the shortest of five measurements."""
    calls = 50
    return min(timeit.repeat(action, number=calls, repeat=5)) / calls * 1e6


def main() -> None:
    peers = tuple(
        Peer(f"db-{n}", n, "db", f"db-{n}.db", (IPv4Address(n),), cluster=None) for n in range(PODS)
    )
    snapshot = Snapshot("db", peers)
    membership = Membership()
    membership.observe(Answered(peers, 5.0), 0.0)
    answer = Answered(peers, 5.0)
    for what, action in {
        "copy a snapshot of sorted peers": lambda: replace(snapshot, age=1.0),
        "copy a snapshot and sort its peers": lambda: replace(snapshot, peers=peers),
        "observe the same tuple of peers again": lambda: membership.observe(answer, 1.0),
        "observe another tuple of the same peers": lambda: membership.observe(
            Answered((*peers[:-1], peers[-1]), 5.0), 1.0
        ),
    }.items():
        print(f"{what}, {PODS} pods: {microseconds(action):.0f} us")


if __name__ == "__main__":
    main()
