"""The backends of HAProxy, rendered by the hook of the example, in both of its loops."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from ipaddress import ip_address
from pathlib import Path

import pytest

from peerdisco.exceptions import ResolverUnavailable
from peerdisco.hooks import CommandHook
from peerdisco.model import Change, Peer, Ports, Snapshot
from peerdisco.testing import peers

EXAMPLE = Path(__file__).parents[2] / "examples" / "haproxy"
SERVICE = "my-database.default.svc.cluster.local"
ERROR = ResolverUnavailable(SERVICE, ())
EXPECTED = """\
backend primary
    mode tcp
    server mysql-0 10.244.0.3:3306 check
backend replicas
    mode tcp
    server mysql-1 10.244.0.4:3306 check
    server mysql-2 [fd00::5]:3306 check
"""

pytestmark = pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq: apt-get install jq")


def membership() -> Snapshot:
    six = Peer(
        "mysql-2", 2, "mysql", f"mysql-2.{SERVICE}", (ip_address("fd00::5"),), Ports({"db": 3306})
    )
    unknown = Peer("mysql-3", 3, "mysql", f"mysql-3.{SERVICE}")
    return Snapshot(SERVICE, (*peers("mysql", 2).peers, six, unknown))


def settings(place: Path) -> dict[str, str]:
    reload = place / "reload-haproxy"
    reload.write_text(f"#!/bin/sh\necho reloaded >>{place}/log\n")
    reload.chmod(0o755)
    return {
        "BACKENDS": str(place / "backends.cfg"),
        "FILTER": str(EXAMPLE / "haproxy.jq"),
        "RELOAD": str(reload),
    }


async def test_the_hook_renders_the_backends_and_reloads(tmp_path: Path) -> None:
    hook = CommandHook([str(EXAMPLE / "reload.sh")], stdin="json", environment=settings(tmp_path))
    await hook(Change.between(None, membership()))
    assert (tmp_path / "backends.cfg").read_text() == EXPECTED
    assert (tmp_path / "log").read_text() == "reloaded\n"


async def test_without_a_primary_its_backend_is_empty(tmp_path: Path) -> None:
    hook = CommandHook([str(EXAMPLE / "reload.sh")], stdin="json", environment=settings(tmp_path))
    await hook(Change.between(None, Snapshot(SERVICE, peers("mysql", [1]).peers)))
    text = (tmp_path / "backends.cfg").read_text()
    assert text.startswith("backend primary\n    mode tcp\nbackend replicas\n")


def test_an_input_that_is_cut_short_replaces_nothing(tmp_path: Path) -> None:
    environment = settings(tmp_path)
    Path(environment["BACKENDS"]).write_text("before\n")
    done = subprocess.run(
        [EXAMPLE / "reload.sh"],
        input=json.dumps(membership().as_dict())[:-40].encode(),
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert done.returncode != 0
    assert Path(environment["BACKENDS"]).read_text() == "before\n"
    assert not (tmp_path / "log").exists()


def test_the_loop_over_watch_renders_the_same(tmp_path: Path) -> None:
    """A line with ``recovered`` that also has peers, as after an outage."""
    page = (EXAMPLE.parents[1] / "docs/how-to/haproxy.md").read_text()
    loop = page[page.index("peerdisco watch my-database -o json | while") :].partition("```")[0]
    known = membership()
    line = Change.between(Snapshot(SERVICE, last_error=ERROR), known).as_dict()
    assert line["recovered"]
    assert line["joined"]
    unknown = Change.between(None, Snapshot(SERVICE, last_error=ERROR)).as_dict()
    (tmp_path / "lines").write_text(f"{json.dumps(unknown)}\n{json.dumps(line)}\n")
    script = loop.replace("peerdisco watch my-database -o json", f"cat {tmp_path}/lines")
    script = script.replace("/etc/peerdisco/reload.sh", str(EXAMPLE / "reload.sh"))
    environment = {**os.environ, **settings(tmp_path)}
    subprocess.run(["sh", "-c", script], check=True, env=environment, timeout=30)
    assert (tmp_path / "backends.cfg").read_text() == EXPECTED
    assert (tmp_path / "log").read_text() == "reloaded\n"
