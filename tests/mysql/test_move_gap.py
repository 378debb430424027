"""The write gap of a planned move in the documentation is the one that was measured."""

from __future__ import annotations

import json

from .move_gap import BEGIN, END, PAGE, RECORD, paragraph


def test_the_page_has_the_figures_of_the_command() -> None:
    record = json.loads(RECORD.read_text())
    assert record.keys() >= {"mariadb", "mysql"}
    assert all(one["moves"] >= 10 for one in record.values())
    assert f"{BEGIN}{paragraph(record)}{END}" in PAGE.read_text()
