"""The guard of `tests/conftest.py` sees what is left unclosed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest

from ..unclosed import unclosed


class Cycle:
    """What only the garbage collection frees."""

    def __init__(self, held: object) -> None:
        self.held = held
        self.itself = self


async def forgotten() -> None:
    """Nobody awaits it."""


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (asyncio.SelectorEventLoop, "unclosed event loop"),
        (socket.socket, "unclosed <socket.socket"),
        (forgotten, "never awaited"),
    ],
)
def test_what_is_left_unclosed_is_found_at_once(make: Callable[[], object], complaint: str) -> None:
    Cycle(make())
    assert complaint in "".join(unclosed())
    assert unclosed() == []
