"""Histories of servers, written shortly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from peerdisco.mysql.history import Epoch, Heartbeat, History, Recorded
from peerdisco.mysql.positions import Position, parse_position

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def position(text: str) -> Position:
    """``0-100-5`` of MariaDB, or a GTID set of MySQL."""
    return parse_position(text if ":" in text else f"{text}|")


def at(second: int) -> datetime:
    return BEGAN + timedelta(seconds=second)


def epoch(
    number: int, left: str, beat: int | None = None, *, name: str = "", **given: Any
) -> Epoch:
    """One that began at a position, after a heartbeat of the one before."""
    found: dict[str, Any] = {
        "id": name or f"epoch-{number}",
        "predecessor": f"epoch-{number - 1}" if number > 1 else None,
        "ordinal": 0,
        "server": "100",
        "opened_at": at(100 * number),
        "left_beat": beat,
        "left_beat_at": at(beat) if beat is not None else None,
    }
    return Epoch(number=number, left_position=position(left), **{**found, **given})


def heartbeat(name: str, counter: int, left: str | None = None, **given: Any) -> Heartbeat:
    return Heartbeat(
        name, counter, at(counter), position(left) if left is not None else None, **given
    )


def recorded(
    text: str, *epochs: Epoch, beat: Heartbeat | None = None, origin: str = "101", **given: Any
) -> Recorded:
    return Recorded(History(tuple(epochs), beat), position(text), origin, **given)
