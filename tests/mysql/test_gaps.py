"""The write gaps in the documentation are those that were measured."""

from __future__ import annotations

import pytest

from . import move_gap, restart_gap
from .gaps import SERVERS, Figures


@pytest.mark.parametrize(
    ("figures", "times"),
    [(move_gap.FIGURES, "moves"), (restart_gap.FIGURES, "restarts")],
    ids=["move", "rolling restart"],
)
def test_the_page_has_the_figures_of_the_command(figures: Figures, times: str) -> None:
    assert figures.known.keys() >= SERVERS.keys()
    assert all(one[times] >= 10 for one in figures.known.values())
    assert figures.block in figures.page.read_text()
