"""The threat model names files that exist, and limits that are those of the code."""

from __future__ import annotations

import re

import pytest

from peerdisco.dns.transport import MOST_STRAYS
from peerdisco.mysql import guarded
from peerdisco.mysql.sidecar import http_server
from tests.docs.markdown import ROOT

TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
ATTACKERS = re.findall(r"^### (Somebody .*|A pod .*)$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#][^)]*)\)", TEXT))
def test_a_link_leads_to_a_file(link: str) -> None:
    path, _, _ = link.partition("#")
    assert (ROOT / path).is_file()


def test_the_limits_are_those_of_the_code() -> None:
    assert f"after {MOST_STRAYS} stray datagrams" in TEXT
    assert f"at most {http_server.MOST_CONNECTIONS} connections are open" in TEXT
    assert f"each for {http_server.DEADLINE:g} seconds" in TEXT
    assert f"a request of at most {http_server.MOST_BYTES} bytes" in TEXT


def test_the_plugins_are_those_that_a_login_accepts() -> None:
    accepted, _, refused = TEXT.partition("## What is sent to whom\n")[2].partition(
        "encrypted with"
    )
    for plugin in guarded._ALLOWED:
        assert f"`{plugin}`" in accepted
    for plugin in guarded._DISCLOSING - {""}:
        assert f"`{plugin}`" in refused


def test_each_attacker_has_what_it_can_and_what_it_cannot_do() -> None:
    assert len(ATTACKERS) == 4
    for name in ATTACKERS:
        section = TEXT.partition(f"### {name}\n")[2].partition("\n##")[0]
        assert "- **Can**" in section, name
        assert "- **Cannot" in section, name
