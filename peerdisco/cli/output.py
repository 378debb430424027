"""The output formats: tables for people, JSON and plain lines for programs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from ..model import Peer, Snapshot, clear_primary
from .fields import FIELDS

FORMATS = ("table", "wide", "json", "yaml", "names", "hostnames", "addresses")


def add_output(parser: argparse.ArgumentParser, default: str, *, of_peers: bool = True) -> None:
    """The options ``--output`` and, of a command that prints peers, ``--format``."""
    parser.add_argument(
        "-o",
        "--output",
        choices=FORMATS,
        default=default,
        help="table or wide (with more columns) for people, json or yaml for programs, or one "
        "name, hostname (fully qualified) or address on each line (default: %(default)s)",
    )
    if of_peers:
        add_format(parser, "print this text for each peer")


def add_format(parser: argparse.ArgumentParser, does: str) -> None:
    """The option ``--format``; see `templates`."""
    parser.add_argument(
        "--format",
        metavar="TEXT",
        type=_template,
        help=f"{does}, with these fields in braces: {FIELDS}; a fact that is not known is '-'",
    )


def _template(text: str) -> str:
    from .templates import template  # noqa: PLC0415 - for this option alone

    return template(text)


def is_terminal(stream: TextIO) -> bool:
    """Whether the stream is a terminal on which lines can be rewritten."""
    return stream.isatty() and os.environ.get("TERM") not in (None, "", "dumb")


def use_colour(stream: TextIO) -> bool:
    """Whether to use colours: only on a terminal, unless NO_COLOR is set (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def print_json(value: Any) -> None:
    import json  # noqa: PLC0415 - only this format needs it

    print(json.dumps(value, indent=2))


def print_yaml(value: Any) -> None:
    from ..wording.as_yaml import as_yaml  # noqa: PLC0415 - only this format needs it

    print(as_yaml(value), end="")


def print_snapshot(
    snapshot: Snapshot,
    args: argparse.Namespace,
    *,
    peers: Sequence[Peer] | None = None,
    facts: dict[str, object] | None = None,
) -> None:
    """Print peers of a snapshot as ``--output`` and ``--format`` say.

    Args:
        snapshot: The membership.
        args: The options.
        peers: The peers to print; None for all.
        facts: What JSON and YAML contain; None for the snapshot.
    """
    listed = snapshot.peers if peers is None else peers
    if args.format is not None:
        from .templates import formatted  # noqa: PLC0415 - for this option alone

        for peer in listed:
            print(formatted(args.format, peer, snapshot))
    elif args.output in ("json", "yaml"):
        show = print_json if args.output == "json" else print_yaml
        show(snapshot.as_dict() if facts is None else facts)
    elif args.output not in ("table", "wide"):
        print_lines(snapshot, listed, args.output)
    elif listed:
        print_peers(snapshot, listed, clear_primary(snapshot), wide=args.output == "wide")


def print_lines(snapshot: Snapshot, peers: Sequence[Peer], what: str) -> None:
    """Print a line for the name or host name of each peer, or for each of its addresses."""
    for peer in peers:
        if what == "addresses":
            for address in peer.addresses:
                print(address)
        else:
            print(peer.hostname if what == "hostnames" else snapshot.name_of(peer))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for line in table_lines(header, rows, colour=use_colour(sys.stdout)):
        print(line)


def table_lines(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, colour: bool = False
) -> list[str]:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    ]
    if colour:
        lines[0] = f"\x1b[1m{lines[0]}\x1b[0m"
    return lines


def print_peers(
    snapshot: Snapshot, peers: Sequence[Peer], primary: Peer | None, *, wide: bool = False
) -> None:
    """Print the table of these peers, with a column for the clusters if they have any.

    Args:
        snapshot: The membership.
        peers: The peers.
        primary: The primary; None if there is none.
        wide: Whether to add columns: the StatefulSet, the readiness and the host name.
    """
    header = PEER_HEADER
    rows = [peer_row(peer, snapshot, primary) for peer in peers]
    if any(peer.cluster is not None for peer in peers):
        header = (header[0], "CLUSTER", *header[1:])
        rows = [
            (row[0], peer.cluster or "-", *row[1:]) for row, peer in zip(rows, peers, strict=True)
        ]
    if wide:
        header = (*header, "STATEFULSET", "READY", "HOSTNAME")
        rows = [
            (*row, peer.statefulset or "-", _readiness(peer), peer.hostname)
            for row, peer in zip(rows, peers, strict=True)
        ]
    print_table(header, rows)


def _readiness(peer: Peer) -> str:
    return "-" if peer.ready is None else "yes" if peer.ready else "no"


PEER_HEADER: tuple[str, ...] = ("NAME", "ORDINAL", "ADDRESSES", "PORTS", "ROLE")


def peer_row(peer: Peer, snapshot: Snapshot, primary: Peer | None) -> tuple[str, ...]:
    roles = [
        role for role, holder in (("primary", primary), ("local", snapshot.local)) if holder is peer
    ]
    if peer in snapshot.unconfirmed:
        roles.append("unconfirmed")
    return (
        peer.name,
        "-" if peer.ordinal is None else str(peer.ordinal),
        ",".join(map(str, peer.addresses)) or "-",
        ",".join(
            str(number) if name in ("", str(number)) else f"{name}:{number}"
            for name, number in peer.ports.items()
        )
        or "-",
        ",".join(roles) or "-",
    )
