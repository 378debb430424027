"""The simulation: a real server and a real client, without a terminal and with one."""

from __future__ import annotations

import asyncio
import io
import os
import pty
import re
import subprocess
import sys

import pytest

import peerdisco as library
from peerdisco.cli.commands import simulate
from peerdisco.cli.simulation.screen import LiveScreen
from peerdisco.testing import ManualClock, ScriptedSource, failure, peers

from .command import bare_environment, peerdisco


def lines_of(out: str, who: str) -> list[str]:
    return re.findall(rf"^ *[0-9.]+ s  {who} +(.*)$", out, re.MULTILINE)


SPEED = "15"
"""At which an outage is shorter than a lookup that waits for an answer: a story that did not wait
for its client would be over before the client has seen one."""


def test_the_story_without_a_terminal() -> None:
    done = peerdisco("simulate", "--speed", SPEED)
    assert (done.status, done.err) == (0, "")
    cluster, client = lines_of(done.out, "cluster"), lines_of(done.out, "client")
    assert [line.partition(" ")[0] for line in cluster[3:5]] == ["scaled", "mysql-1"]
    assert "mysql-0 is the primary" in client
    assert any("DNS lookups fail: keeping" in line for line in client), "an outage is no departure"
    assert any(re.match("mysql-4 left", line) for line in client)
    assert not any(line.startswith("mysql-0 left") for line in client)
    reported = client.index(next(line for line in client if "DNS lookups fail: keeping" in line))
    back = client.index("DNS lookups succeed again")
    assert reported + 1 == back, "nothing changes during the outage"
    assert done.out.splitlines()[-1].startswith("Then read docs/tutorial/first-steps.md")
    assert "  peerdisco simulate --serve --story" in done.out.splitlines()


def test_seconds_bounds_it() -> None:
    done = peerdisco("simulate", "--seconds", "0.5")
    assert (done.status, done.err) == (0, "")
    assert "scaled up" not in done.out
    assert "You saw" not in done.out


def test_serve_answers_until_it_is_stopped() -> None:
    command = [sys.executable, "-W", "error", "-m", "peerdisco", "simulate", "--serve"]
    process = subprocess.Popen(
        [*command, "--port", str(free_port()), "--replicas", "4", "--seconds", "50"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=bare_environment(),
    )
    try:
        assert process.stdout is not None
        nameserver = re.search("runs on (.*)\\. To", process.stdout.readline())
        assert nameserver is not None
        snapshot = library.sync.discover(
            "my-database.default.svc.cluster.local", nameservers=[nameserver[1]], source="dns"
        )
        assert [peer.name for peer in snapshot] == [f"mysql-{n}" for n in range(4)]
    finally:
        process.terminate()
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")


def free_port() -> int:
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_the_story_on_a_terminal() -> None:
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "peerdisco", "simulate", "--speed", SPEED],
        stdout=end,
        stderr=subprocess.PIPE,
        env=bare_environment({"TERM": "xterm", "COLUMNS": "120", "LINES": "40"}),
    )
    os.close(end)
    printed = b""
    while True:
        try:
            printed += os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
    os.close(terminal)
    assert process.wait(20) == 0
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.read() == b""
    assert b"what the client sees" in printed
    assert b"stale" in printed
    assert b"To try it yourself" in printed


async def test_the_seconds_of_an_outage_are_redrawn_as_they_pass() -> None:
    """Nothing changes during an outage, so nothing but a redraw shows that it goes on."""
    rich = pytest.importorskip("rich.live", reason="rich is not installed")
    from rich.console import Console

    clock, out = ManualClock(), io.StringIO()
    source = ScriptedSource("my-database", [peers("mysql", 2), failure()])
    console = Console(file=out, width=120, height=40, force_terminal=True)
    async with library.Discovery(source=source, clock=clock, chance=lambda: 0.5) as disco:
        with rich.Live(console=console, auto_refresh=False) as live:
            screen = LiveScreen(live)
            screen.watches(disco)
            await clock.advance(10, until=lambda: disco.snapshot.stale)
            redrawing = asyncio.create_task(simulate._redraw(screen))
            while len(set(re.findall(r"stale for ([0-9.]+) s", out.getvalue()))) < 3:
                await clock.advance(0.1)
                await asyncio.sleep(0.01)
            redrawing.cancel()
    assert disco.snapshot.stale
