"""Makes ``docs/how-to/status-page.png``: the sidecar's status page in Chromium.

``python docs/_tools/status_page_picture.py`` makes it, with Debian's package ``chromium``. The page
is that of a replica which was set up a minute ago, while a peer is suspected. The picture has the
hash of its page in it, so that a test without a browser notices that the page has changed.
"""

from __future__ import annotations

import hashlib
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from svg import ROOT

sys.path.insert(0, str(ROOT))

from peerdisco.model import Identity, Snapshot
from peerdisco.mysql.sidecar.past_reports import History
from peerdisco.mysql.sidecar.report import Report, Role, State
from peerdisco.mysql.sidecar.status_page import render
from peerdisco.testing import peers

PICTURE = ROOT / "docs" / "how-to" / "status-page.png"
WIDTH, HEIGHT = 900, 1000
SIGNATURE = b"\x89PNG\r\n\x1a\n"
KEY = b"SHA-256 of the page\0"
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--force-device-scale-factor=1"),
)
LIMIT = 50
"""Seconds."""


def page() -> str:
    """The page that is shown."""
    at = datetime(2026, 1, 1, 12, tzinfo=UTC)
    three = peers("mysql", 3).peers
    snapshot = Snapshot(
        "my-database.default.svc.cluster.local",
        three,
        observed_at=at,
        identity=Identity("mysql-1", "default", 1, "mysql"),
        unconfirmed=three[2:],
    )
    history = History()
    source = "mysql-0.my-database.default.svc.cluster.local"
    for seconds, report in (
        (64, Report(State.STARTING, "the first pass has not ended yet")),
        (63, Report(State.NO_SERVER, "this pod's server does not answer: connection refused")),
        (60, Report(State.CONNECTING, f"connecting to {source}", done=("set up replication",))),
        (59, Report(State.REPLICA, f"replicates from {source}")),
    ):
        history.add(report, at - timedelta(seconds=seconds))
    newest = Report(
        State.REPLICA, f"replicates from {source}", Role.REPLICA, source=source, behind=0
    )
    # What the facts of its server, which are not made up here, would add.
    more = {"ready": True, "identity": "5f0c2f3e-8a4b-11f0-9a3d-0242ac110002"}
    facts = {**newest.as_json(30.0), **more}
    return render(facts, pod="mysql-1", snapshot=snapshot, history=history.entries, at=at)


def screenshot(html: str, picture: Path) -> None:
    """Make a picture of a page.

    Raises:
        FileNotFoundError: Chromium is not installed.
        subprocess.CalledProcessError: Chromium failed.
    """
    chromium = shutil.which("chromium")
    if chromium is None:
        raise FileNotFoundError("chromium is not installed (Debian's package chromium)")
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, "page.html")
        file.write_text(html, encoding="utf-8")
        command = [chromium, *FLAGS, f"--user-data-dir={name}/home", f"--screenshot={picture}"]
        command += [f"--window-size={WIDTH},{HEIGHT}", file.as_uri()]
        subprocess.run(command, capture_output=True, timeout=LIMIT, check=True)  # noqa: S603 - no text of others


def chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a picture: type and data."""
    assert png.startswith(SIGNATURE)
    at = len(SIGNATURE)
    while at < len(png):
        size, kind = struct.unpack_from(">I4s", png, at)
        yield kind, png[at + 8 : at + 8 + size]
        at += size + 12


def with_hash(png: bytes, html: str) -> bytes:
    """The picture with the hash of its page, in a chunk of text behind the header."""
    made = [*chunks(png)]
    made.insert(1, (b"tEXt", KEY + hashlib.sha256(html.encode()).hexdigest().encode()))
    return SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in made
    )


def hash_of(png: bytes) -> str:
    """The hash of the page that a picture shows; empty if it has none."""
    found = (data for kind, data in chunks(png) if kind == b"tEXt" and data.startswith(KEY))
    return next(found, KEY).removeprefix(KEY).decode()


def main() -> None:
    html = page()
    with tempfile.TemporaryDirectory() as name:
        made = Path(name, "page.png")
        screenshot(html, made)
        PICTURE.write_bytes(with_hash(made.read_bytes(), html))


if __name__ == "__main__":
    main()
