"""Servers that have the identity of another one, so that they take turns in replicating. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .facts import ServerFacts
from .versions import Flavour

__all__ = ["duplicates"]


def duplicates(own: int, servers: Mapping[int, ServerFacts]) -> Iterator[tuple[int, str]]:
    """The pods whose servers have the identity of another one, each with the reason in words.

    On MariaDB it is the pod whose number is not that of its ordinal. On MySQL nothing shows which
    volume is the copy: the words name both, and the pod is the one with the higher ordinal.

    A primary ends the connection of one replica when another one with the same identity connects;
    MariaDB does so without an error.

    Args:
        own: The ordinal of the primary, whose identity is taken for the right one.
        servers: The servers that answered, by the ordinals of their pods; the primary's too.
    """
    first: dict[str, int] = {}
    for ordinal, found in sorted(servers.items(), key=lambda item: (item[0] != own, item[0])):
        other = first.setdefault(found.origin, ordinal)
        if other == ordinal:
            continue
        base = servers[own].server_id - own
        is_right = found.flavour is Flavour.MARIADB and found.server_id == base + ordinal
        wrong = other if is_right and other != own else ordinal
        yield wrong, _words(wrong, ordinal if wrong == other else other, found)


def _words(wrong: int, other: int, found: ServerFacts) -> str:
    if found.flavour is Flavour.MARIADB:
        return (
            f"the server of ordinal {wrong} has the server_id of that of ordinal {other}, "
            f"{found.server_id}, so that they take turns in replicating: 'peerdisco mysql-setup "
            f"config' gives each pod its own; correct that of ordinal {wrong}, and restart it"
        )
    return (
        f"the servers of the ordinals {other} and {wrong} have one server_uuid, {found.origin}, so "
        "that they take turns in replicating: the volume of one of them is a copy of the other's; "
        "in the pod that was given the copy, stop the server, remove auto.cnf from its data "
        "directory, and start it; the data of neither are wrong because of that"
    )
