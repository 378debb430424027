"""The status page of the sidecar: what it shows, that all of it is escaped, and in a browser."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from peerdisco.exceptions import SourceFailed
from peerdisco.model import Identity, Peer, Snapshot
from peerdisco.mysql.sidecar.past_reports import History
from peerdisco.mysql.sidecar.report import Report, State
from peerdisco.mysql.sidecar.status_page import render
from peerdisco.testing import peers

SERVICE = "my-database.default.svc.cluster.local"
AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
EVIL = "<script>document.title='owned'</script>\"'&{body}{title}"
CHROMIUM = shutil.which("chromium")


def snapshot(**facts: Any) -> Snapshot:
    me = Identity("mysql-1", "default", 1, "mysql")
    return Snapshot(SERVICE, peers("mysql", 3).peers, observed_at=AT, identity=me, **facts)


def facts(**changed: Any) -> dict[str, object]:
    reasons = [{"code": "needs-copy", "peer": "mysql-0", "detail": "copy it"}]
    return {
        "ready": False,
        "role": "replica",
        "state": "refused",
        "reason": "this pod needs a copy",
        "lag": 7,
        "identity": "5f0c",
        "source": "mysql-0.my-database",
        "verdict": {"decision": "refused", "reasons": reasons},
        "problems": [{"code": "replication-account", "peer": None, "detail": "login"}],
        **changed,
    }


def history() -> History:
    found = History()
    found.add(Report(State.STARTING, "the first pass"), AT)
    found.add(Report(State.REFUSED, "this pod needs a copy", done=("stopped it",)), AT)
    return found


def page(**changed: Any) -> str:
    given: dict[str, Any] = {
        "pod": "mysql-1",
        "snapshot": snapshot(),
        "history": history().entries,
        "at": AT,
        **changed,
    }
    return render(given.pop("facts", facts()), **given)


class Reader(HTMLParser):
    """The tags of a page, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.text.append(data.strip())


def test_it_shows_the_role_the_verdict_the_lag_the_history_and_the_peers() -> None:
    text = Reader(page()).text
    for shown in (
        "replica",
        "not ready: refused",
        "this pod needs a copy",
        "7 s",
        "5f0c",
        "mysql-0.my-database",
        "needs-copy",
        "replication-account",
        "this pod needs a copy; stopped it",
        "2026-01-01 12:00:00 UTC",
        "10.244.0.5",
        "this pod",
        "primary",
    ):
        assert shown in text, shown


def test_it_reloads_without_a_script() -> None:
    text = page()
    assert '<meta http-equiv="refresh" content="5">' in text
    assert "default-src 'none'" in text
    assert "script" not in Reader(text).tags
    assert "http://" not in text


def test_its_tags_are_balanced() -> None:
    assert Reader(page()).open == []


def everything(value: object, evil: str) -> object:
    """The same with each text replaced."""
    if isinstance(value, dict):
        return {key: everything(inner, evil) for key, inner in value.items()}
    if isinstance(value, list):
        return [everything(inner, evil) for inner in value]
    return evil if isinstance(value, str) else value


def test_everything_on_it_is_escaped() -> None:
    bad = Peer(EVIL, None, None, EVIL, peers("mysql", 1).peers[0].addresses)
    one = Snapshot(EVIL, (bad,), observed_at=AT, unconfirmed=(bad,))
    entries = History()
    entries.add(Report(State.FAILED, EVIL, done=(EVIL,)), AT)
    given: dict[str, object] = everything(facts(), EVIL)  # type: ignore[assignment]
    for shown in (
        one,
        replace(one, incomplete_reason=EVIL),
        replace(one, last_error=SourceFailed(EVIL, EVIL)),
    ):
        text = page(facts=given, pod=EVIL, snapshot=shown, history=entries.entries)
        assert "<script" not in text
        assert set(Reader(text).tags) == set(Reader(page()).tags)
        assert "".join(Reader(text).text).count(EVIL) >= 12


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (facts(verdict=None, problems=[], lag=None), "not asked"),
        (facts(ready=True, state="replica"), "ready: replica"),
        ({}, "not ready: -"),
    ],
)
def test_what_is_not_known_is_a_dash(changed: dict[str, object], words: str) -> None:
    assert words in Reader(page(facts=changed)).text


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (Snapshot(SERVICE), "the peers are unknown"),
        (snapshot(incomplete_reason="truncated"), "may be incomplete: truncated"),
        (snapshot(last_error=SourceFailed(SERVICE, "x")), "keeping the last known peers"),
    ],
)
def test_it_says_what_is_wrong_with_the_list(shown: Snapshot, words: str) -> None:
    assert words in " ".join(Reader(page(snapshot=shown)).text)


def test_a_large_service_is_shown_in_part_and_says_so() -> None:
    text = page(snapshot=Snapshot(SERVICE, peers("mysql", 5000).peers))
    assert "4800 more peers are not shown." in text
    assert len(text) < 100_000


def test_the_history_keeps_each_state_once_in_a_row_and_a_bounded_number() -> None:
    found = History()
    for second in range(10_000):
        found.add(Report(State.WAITING, "a peer"), AT + timedelta(seconds=second))
    assert [entry.at for entry in found.entries] == [AT]
    for second in range(10_000):
        found.add(Report(State.WAITING, f"peer {second}"), AT)
    assert len(found.entries) == 50
    assert found.entries[0].reason == "peer 9999"


def chromium(*args: str, home: Path) -> str:
    assert CHROMIUM is not None
    command = [
        CHROMIUM,
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        f"--user-data-dir={home}",
        *args,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=True)
    return done.stdout


@pytest.fixture
def in_a_browser(tmp_path: Path) -> Path:
    if CHROMIUM is None:
        pytest.skip("this machine has no browser: Chromium is not installed")
    return tmp_path / "page.html"


@pytest.mark.timeout(110)
def test_a_browser_shows_it_and_runs_nothing(in_a_browser: Path, tmp_path: Path) -> None:
    given: dict[str, object] = everything(facts(), EVIL)  # type: ignore[assignment]
    in_a_browser.write_text(page(facts=given, pod="mysql-1"))
    home = tmp_path / "home"
    shown = chromium("--dump-dom", in_a_browser.as_uri(), home=home)
    assert "<title>mysql-1: &lt;script&gt;" in shown
    assert "owned</title>" not in shown
    assert "<script" not in shown
    picture = tmp_path / "page.png"
    chromium(f"--screenshot={picture}", "--window-size=900,900", in_a_browser.as_uri(), home=home)
    assert picture.read_bytes().startswith(b"\x89PNG")
