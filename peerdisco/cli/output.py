"""How the commands print: tables for people, JSON and bare lines for programs."""

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
        help="table for people, json for programs; names, hostnames (fully qualified) or "
        "addresses, one a line (default: %(default)s)",
    )


def use_colour(stream: TextIO) -> bool:
    """Colours only on a terminal, and not where the user said no (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def print_json(value: Any) -> None:
    import json  # noqa: PLC0415 - only this format needs it

    print(json.dumps(value, indent=2))


def print_lines(snapshot: Snapshot, peers: Sequence[Peer], what: str) -> None:
    """One line for each peer's name or host name, or for each of its addresses."""
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
    """The table of these peers of a membership, with their clusters where they have any."""
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
    roles = [role for role, who in (("primary", primary), ("local", snapshot.local)) if who is peer]
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
