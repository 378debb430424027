"""``--format``: a line of text for each peer, with its facts in braces."""

from __future__ import annotations

import argparse
import string

from ..model import Peer, Snapshot, clear_primary
from ..wording.foreign import escaped
from .fields import FIELDS

KNOWN = tuple(FIELDS.split(", "))
UNKNOWN = "-"


def template(text: str) -> str:
    """The type of ``--format``: text with fields in braces, and nothing else in them.

    Raises:
        ArgumentTypeError: There is no text or no such field, or the braces do not match.
    """
    if not text:
        raise argparse.ArgumentTypeError("got '', expected text with fields, such as '{name}'")
    try:
        fields = [(name, spec, bang) for _, name, spec, bang in string.Formatter().parse(text)]
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"got {text!r}, expected text with fields in braces, such as '{{name}}' ({error})"
        ) from None
    for name, spec, bang in fields:
        # Only whole fields: an attribute or an index would reach into the objects.
        if name is not None and (name not in KNOWN or spec or bang):
            whole = name + (f"!{bang}" if bang else "") + (f":{spec}" if spec else "")
            raise argparse.ArgumentTypeError(
                f"got the field {whole!r}, expected one of these alone: {FIELDS}"
            )
    return text


def formatted(text: str, peer: Peer, snapshot: Snapshot, event: str = UNKNOWN) -> str:
    """The text with the facts of a peer.

    Args:
        text: Checked by `template`.
        peer: The peer.
        snapshot: The membership, for the roles.
        event: What happened to the peer: ``joined``, ``left``, ``replaced``.
    """
    return text.format_map({name: escaped(fact) for name, fact in _facts(peer, snapshot, event)})


def _facts(peer: Peer, snapshot: Snapshot, event: str) -> list[tuple[str, str]]:
    primary = clear_primary(snapshot)
    roles = [name for name, one in (("primary", primary), ("local", snapshot.local)) if one is peer]
    facts: dict[str, object] = {
        "name": snapshot.name_of(peer),
        "ordinal": peer.ordinal,
        "statefulset": peer.statefulset,
        "cluster": peer.cluster,
        "hostname": peer.hostname,
        "address": peer.address,
        "addresses": ",".join(map(str, peer.addresses)) or None,
        "port": peer.port,
        "ports": ",".join(f"{name or number}={number}" for name, number in peer.ports.items())
        or None,
        "endpoint": peer.endpoint,
        "ready": None if peer.ready is None else str(peer.ready).lower(),
        "role": ",".join(roles) or None,
        "event": event,
    }
    return [(name, UNKNOWN if fact is None else str(fact)) for name, fact in facts.items()]
