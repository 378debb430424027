"""Every fuzz target, by its name."""

from __future__ import annotations

from . import dns_messages, mysql_server, text

__all__ = ["TARGETS"]

TARGETS = {
    target.name: target
    for target in (
        dns_messages.MESSAGES,
        dns_messages.READERS,
        *text.TARGETS,
        *mysql_server.TARGETS,
    )
}
