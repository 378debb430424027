"""The page about reliability: its figures, its picture, and that each promise has its tests."""

from __future__ import annotations

import re
import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest

from tests.docs.markdown import ROOT
from tests.reliability import report
from tests.reliability.campaigns import CAMPAIGNS
from tests.reliability.promises import PROMISES


def test_the_page_is_that_of_the_results() -> None:
    text = report.PAGE.read_text(encoding="utf-8")
    assert text == report.page(text, report.results()), "python -m tests.reliability renews it"


def test_the_picture_is_that_of_the_results() -> None:
    command = (sys.executable, report.PICTURE, "-")
    made = subprocess.run(command, capture_output=True, text=True, check=True, timeout=50).stdout
    assert made == report.RESULTS.with_suffix(".svg").read_text(encoding="utf-8")
    assert ET.fromstring(made).tag.endswith("svg")


def test_every_campaign_held() -> None:
    kept = report.results()
    assert kept
    for name, row in kept.items():
        assert row["command"] == CAMPAIGNS[name].shown, f"run {name} again: its command changed"
        assert row["failed"] <= row["allowed"], name


def test_every_promise_has_its_tests() -> None:
    page = (ROOT / "docs" / "explanation" / "promises.md").read_text(encoding="utf-8")
    assert list(PROMISES) == re.findall(r"^\*\*(.+)\*\*$", page, re.MULTILINE)


@pytest.mark.parametrize("test", sorted({test for tests in PROMISES.values() for test in tests}))
def test_the_tests_of_a_promise_exist(test: str) -> None:
    path, name = report.place(test)
    assert path.exists()
    if name:
        assert re.search(rf"^(async )?def {name}\(", path.read_text(encoding="utf-8"), re.MULTILINE)


REST = "20 accepted, 10 refused"


@pytest.mark.parametrize(
    ("output", "figures"),
    [
        (
            "\n".join(
                [f"a: 2,000 inputs, {REST}, 0 faults; ...", f"b: 30 inputs, {REST}, 1 faults; ..."]
            ),
            {"tried": 2030, "failed": 1, "allowed": 0},
        ),
        ("nothing\n", None),
    ],
)
def test_figures_are_read_from_the_output(output: str, figures: object) -> None:
    assert CAMPAIGNS["dns messages"].read(output) == figures


def test_the_figures_of_many_watchers() -> None:
    read = CAMPAIGNS["many watchers"].read
    printed = "1500 watchers, 2 false changes, 3 not recovered after 60 s; 374 times lookups ..."
    assert read(printed) == {"tried": 1500, "failed": 5, "allowed": 0}
    assert read("Traceback") is None


def test_mutants_that_make_no_difference_are_not_counted() -> None:
    read = CAMPAIGNS["mutants: dns"].read
    printed = (
        "dns: 150 of 2,345 mutants, 10 of them make no difference; 2 of the others survived, "
        "98.6% were noticed"
    )
    assert read(printed) == {"tried": 140, "failed": 2, "allowed": 7}
    assert read("dns: mutmut ended with 1") is None


def test_the_figures_of_events_on_database_servers() -> None:
    read = CAMPAIGNS["MySQL 9.7"].read
    printed = (
        "mysql: 1,062 events, 28 times at rest, 14,293 rows acknowledged, 0 positions repaired, "
        "601 s, 572 events an hour: 1 faults"
    )
    assert read(printed) == {
        "tried": 1062,
        "failed": 1,
        "allowed": 0,
        "rows": 14293,
        "seconds": 601,
        "hourly": 572,
    }
    assert read("Traceback") is None
