"""The page, its pictures and its figures are what the simulation finds today.

After a change: ``PEERDISCO_REWRITE_DOCS=1 pytest tests/load/test_figures.py``.
"""

from __future__ import annotations

import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest

from tests.docs.markdown import REWRITE, ROOT

from . import figures, slices, tables
from .__main__ import main

PICTURES = ("questions", "bytes", "detection")
RENEW = "run with PEERDISCO_REWRITE_DOCS=1 to renew it"


def picture(name: str) -> str:
    command = (sys.executable, ROOT / "docs" / "_tools" / "scaling_pictures.py", name, "-")
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=50).stdout


@pytest.mark.timeout(300)
def test_the_page_and_its_pictures_are_made_of_the_figures() -> None:
    if REWRITE:
        main()
    found = figures.load()
    there = tables.PAGE.read_text(encoding="utf-8")
    assert there == tables.page(there, found), RENEW
    for name in PICTURES:
        made = picture(name)
        file = tables.EXPLANATION / f"scaling-{name}.svg"
        if REWRITE:
            file.write_text(made, encoding="utf-8")
        assert made == file.read_text(encoding="utf-8"), RENEW
        assert ET.fromstring(made).tag.endswith("svg")
        assert f"({file.name})" in there


def test_the_words_of_the_page_say_what_the_figures_say() -> None:
    found = figures.load()
    words = tables.PAGE.read_text(encoding="utf-8")
    default, _, longer, *_ = found.intervals
    asked, moved = tables.amount(default.load.questions), tables.volume(default.load.bytes)
    assert f"ask {asked} times a second and move {moved} a second" in words
    assert longer.interval == 10
    assert longer.load.bytes == pytest.approx(default.load.bytes / 5, rel=0.02)
    assert f"what one answer holds**: {found.rooms[0].tcp} pods" in words
    assert f"in proportion to the pods up to {found.rooms[0].tcp}" in words
    line = slices.RecordedWatch().line(range(slices.MOST_ENDPOINTS))
    assert f"a change of one slice is {tables.volume(10_000 * line)} to be sent" in words
    many, few = found.lookups[4], found.lookups[5]
    assert f"{many.pods} pods take more bytes than {few.pods} do" in words
    assert many.bytes > few.bytes
    for lookup in found.lookups:
        watched = found.load("EndpointSlices, all watch", lookup.pods).restart_bytes
        assert watched < found.load("DNS, no cache", lookup.pods).restart_bytes
        assert (
            lookup.truncated
            or watched > found.load("DNS, cache on each node", lookup.pods).restart_bytes
        )


@pytest.mark.parametrize("source", figures.CACHES)
def test_the_load_on_dns(source: str) -> None:
    """Of those that take long to simulate, one where answers are whole, and one where not."""
    found = figures.load()
    for pods in (3, 10, 300, 1000):
        made = figures.load_of_dns(source, figures.CACHES[source], pods)
        assert made == found.load(source, pods), RENEW


def test_the_load_on_the_api_server() -> None:
    found = figures.load()
    for source, watchers in figures.WATCHERS.items():
        for pods in figures.PODS:
            made = figures.load_of_slices(source, watchers, pods)
            assert made == found.load(source, pods), RENEW


@pytest.mark.parametrize("source", ["DNS, no cache", "DNS, cache on each node"])
def test_how_soon_changes_are_reported(source: str) -> None:
    made = figures.detections_of_dns(source, figures.CACHES[source])
    assert set(made) <= set(figures.load().detections), RENEW


def test_the_longest_interval() -> None:
    made = figures.of_interval(figures.INTERVALS[-1])
    assert made == figures.load().intervals[-1], RENEW


def test_pods_on_a_node() -> None:
    made = tuple(map(figures.of_nodes, figures.PODS_A_NODE))
    assert made == figures.load().nodes, RENEW


def test_the_busiest_second() -> None:
    source = "DNS, cache of 30 s"
    made = figures.busiest_second(source, figures.CACHES[source])
    assert made in figures.load().busiest, RENEW


def test_lookups_and_how_much_an_answer_holds() -> None:
    found = figures.load()
    for lookup in found.lookups[:8]:
        assert figures.one_lookup(lookup.pods) == lookup, RENEW
    assert figures.room(found.rooms[0].service) == found.rooms[0], RENEW
