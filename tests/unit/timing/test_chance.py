"""The random numbers of the jitter: from 0, never 1, and everywhere between them alike."""

from __future__ import annotations

import os

import pytest

from peerdisco.timing.chance import random_fraction


@pytest.mark.parametrize(
    ("drawn", "fraction"),
    [
        (b"\0" * 7, 0.0),
        (b"\x80" + b"\0" * 6, 0.5),
        (b"\xc0" + b"\0" * 6, 0.75),
        (b"\xff" * 7, 1 - 2**-53),
    ],
)
def test_the_drawn_bits_are_the_digits_of_the_fraction(
    monkeypatch: pytest.MonkeyPatch, drawn: bytes, fraction: float
) -> None:
    monkeypatch.setattr(os, "urandom", lambda size: drawn[:size])
    assert random_fraction() == fraction < 1


def test_two_draws_differ() -> None:
    assert random_fraction() != random_fraction()
