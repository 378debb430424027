"""The simulation, which the tutorial and the examples send their readers to."""

from __future__ import annotations

import re
import socket
import subprocess

from tests.docs.markdown import ROOT
from tests.examples.processes import DEADLINE, running


def test_simulation_serves_what_the_tutorial_shows(environment: dict[str, str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve = ("peerdisco", "simulate", "--serve", "--port", str(port))
    with running(*serve, environment=environment) as simulation:
        simulation.wait_for_line("mysql-2 joined at 10.244.0.5")
        environment |= {"PEERDISCO_NAMESERVERS": f"127.0.0.1:{port}"}
        table = subprocess.run(
            ["peerdisco", "peers", "my-database"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stdout
        assert simulation.terminate() == 0
    assert table in (ROOT / "docs" / "tutorial" / "first-steps.md").read_text()


def test_demo_shows_what_the_readme_shows(environment: dict[str, str]) -> None:
    readme = (ROOT / "README.md").read_text()
    shown = re.findall(r"^```text\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    (excerpt,) = [text for text in shown if text.startswith("cluster ")]
    demo = ("peerdisco", "simulate", "--plain", "--speed", "2")
    with running(*demo, environment=environment) as simulation:
        for line in excerpt.splitlines():
            simulation.wait_for_line(f"{re.escape(line.strip())}$")
        assert simulation.popen.wait(DEADLINE) == 0
