"""The tables and the picture of the benchmarks are those of the results that are kept.

``make bench`` writes all three; nothing here measures.
"""

from __future__ import annotations

import json
import subprocess
import sys
from xml.etree import ElementTree as ET

from tests.benchmarks import report, where_memory


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


def test_the_profile_of_memory_accounts_for_all_of_it() -> None:
    text = (report.EXPLANATION / "benchmarks-where-memory.txt").read_text(encoding="utf-8")
    for command in ("watch", "mysql-sidecar"):
        _, _, after = text.partition(f"peerdisco {command}: ")
        whole, _, table = after.partition(" KiB resident")
        lines = table.partition("\n\n")[2].partition("\n\n")[0].splitlines()[1:]
        assert sum(_number(line.split()[0]) for line in lines) == _number(whole)


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def test_a_module_counts_to_what_peerdisco_or_its_driver_imported() -> None:
    importers = {"_ssl": "ssl", "ssl": "pymysql.connections", "pymysql.connections": "pymysql"}
    importers |= {"selectors": "socket", "socket": "peerdisco.dns.transport"}
    rooms = {name: where_memory.room(name, importers) for name in importers}
    assert rooms == {
        "_ssl": "ssl",
        "ssl": "ssl",
        "pymysql.connections": where_memory.DRIVER,
        "selectors": "socket",
        "socket": "socket",
    }
    assert where_memory.room("peerdisco.mysql.sidecar.health", importers) == "peerdisco.mysql"
