"""The output formats: tables for people, JSON and plain lines for programs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from ..model import Peer, Snapshot

FORMATS = ("table", "json", "names", "hostnames", "addresses")


def add_output(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "-o",
        "--output",
        choices=FORMATS,
        default=default,
        help="table for people, json for programs, or one name, hostname (fully qualified) or "
        "address on each line (default: %(default)s)",
    )


def use_colour(stream: TextIO) -> bool:
    """Whether to use colours: only on a terminal, unless NO_COLOR is set (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def print_json(value: Any) -> None:
    import json  # noqa: PLC0415 - only this format needs it

    print(json.dumps(value, indent=2))


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


def print_peers(snapshot: Snapshot, peers: Sequence[Peer], primary: Peer | None) -> None:
    """Print the table of these peers, with a column for the clusters if they have any."""
    header = PEER_HEADER
    rows = [peer_row(peer, snapshot, primary) for peer in peers]
    if any(peer.cluster is not None for peer in peers):
        header = (header[0], "CLUSTER", *header[1:])
        rows = [
            (row[0], peer.cluster or "-", *row[1:]) for row, peer in zip(rows, peers, strict=True)
        ]
    print_table(header, rows)


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
