"""The tables and the pictures in the documentation are what the commands make today.

After a change: ``PEERDISCO_REWRITE_DOCS=1 pytest tests/simulation/test_documents.py``.
"""

from __future__ import annotations

import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest

from peerdisco.membership.machine import TRANSITIONS, Action
from tests.docs.markdown import REWRITE, ROOT

from . import compare
from .__main__ import main

EXPLANATION = ROOT / "docs" / "explanation"
PICTURES = {"states.svg": "state_diagram.py", "outage.svg": "outage_picture.py"}


def test_the_tables_are_what_the_command_makes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = compare.tables()
    monkeypatch.setattr(compare, "tables", lambda: made)
    if REWRITE:
        main([])
        assert capsys.readouterr().out.startswith(made["comparison"][1])
    for name, (page, table) in made.items():
        text = (EXPLANATION / page).read_text(encoding="utf-8")
        assert text == compare.written(text, name, table), (
            f"run with PEERDISCO_REWRITE_DOCS=1 to renew the tables in {page}"
        )


def test_the_table_has_a_row_for_each_client_and_each_kind_of_dns() -> None:
    header, rule, *rows = compare.table(20).splitlines()
    assert header == f"| {' | '.join(compare.HEADER)} |"
    assert set(rule) == set("| -")
    cells = [row.strip("| ").split(" | ") for row in rows]
    assert {len(row) for row in cells} == {len(compare.HEADER)}
    kinds = list(dict.fromkeys(row[0] for row in cells))
    assert [row[:2] for row in cells] == [[kind, who] for kind in kinds for who in compare.CLIENTS]
    assert len(kinds) == 4


def test_peerdisco_reports_fewer_false_departures_than_the_loops() -> None:
    for kind, setups in compare.groups(100).items():
        tallies = compare.tally(setups)
        ours = tallies.pop("peerdisco")
        assert ours.hours > 1
        for tally in tallies.values():
            assert ours.false_departures <= tally.false_departures, kind
            assert ours.lookups < tally.lookups, kind


def test_a_run_can_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    main(["3"])
    shown = capsys.readouterr().out
    assert "lookup: mysql-0=10.244.0.1" in shown
    assert "mysql-0 joined" in shown


def test_runs_can_be_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "30"]) == 0
    assert "30 runs, 0 of them break what is promised; with " in capsys.readouterr().out


@pytest.mark.parametrize("name", PICTURES)
def test_the_pictures_are_what_the_commands_make(name: str) -> None:
    tool = ROOT / "docs" / "_tools" / PICTURES[name]
    command = (sys.executable, tool, "-")
    made = subprocess.run(command, capture_output=True, text=True, check=True, timeout=50).stdout
    if REWRITE:
        (EXPLANATION / name).write_text(made, encoding="utf-8")
    there = (EXPLANATION / name).read_text(encoding="utf-8")
    assert made == there, f"run with PEERDISCO_REWRITE_DOCS=1 to renew {name}"
    assert ET.fromstring(made).tag.endswith("svg")


def test_the_state_diagram_has_every_transition() -> None:
    texts = [
        "".join(text.itertext())
        for text in ET.parse(EXPLANATION / "states.svg").getroot().iter()
        if text.tag.endswith("text")
    ]
    for (state, evidence), (following, action) in TRANSITIONS.items():
        assert {state.value, following.value} <= set(texts)
        words = evidence.value + (f" → {action.value}" if action is not Action.NOTHING else "")
        wanted = sum(
            other is evidence and other_action is action
            for (_, other), (_, other_action) in TRANSITIONS.items()
        )
        assert texts.count(words) == wanted, words


def test_the_outage_picture_shows_an_outage_that_only_the_loop_takes_for_departures() -> None:
    words = (EXPLANATION / "outage.svg").read_text(encoding="utf-8")
    assert ">reports 3 departures, 3 arrivals<" in words
    assert ">reports 1 new address<" in words
