"""What ``--format`` can print of a peer."""

from __future__ import annotations

FIELDS = (
    "name, ordinal, statefulset, cluster, hostname, address, addresses, port, ports, endpoint, "
    "ready, role, event"
)
