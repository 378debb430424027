"""The tables and the picture of the benchmarks are those of the results that are kept.

``make bench`` writes all three; nothing here measures.
"""

from __future__ import annotations

import json
import subprocess
import sys
from xml.etree import ElementTree as ET

from tests.benchmarks import report


def results() -> report.Results:
    return json.loads(report.RESULTS.read_text(encoding="utf-8"))


def test_the_page_holds_the_tables_of_the_results() -> None:
    text = report.PAGE.read_text(encoding="utf-8")
    assert text == report.page(text, results()), "make bench writes the page and the results"
    for name in report.tables(results()):
        assert f"<!-- {name}: begin -->" in text


def test_the_picture_is_that_of_the_results() -> None:
    command = (sys.executable, report.PICTURE, "-")
    made = subprocess.run(command, capture_output=True, text=True, check=True, timeout=50).stdout
    assert made == report.RESULTS.with_suffix(".svg").read_text(encoding="utf-8")
    assert ET.fromstring(made).tag.endswith("svg")


def test_the_results_tell_nothing_of_the_machine() -> None:
    kept = results()
    always = {"Python", "dnspython", "aiodns", "pycares", "BIND"}
    assert always <= set(kept.pop("versions")) <= always | {"CoreDNS", "Go"}
    for rows in kept.values():
        for row in rows:
            assert {type(value) for value in row.values()} <= {str, int, float, bool, type(None)}
