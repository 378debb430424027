"""The programs of the page about application servers, and the servers that run them."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "application-servers.md"
LIMIT = 30.0
"""Seconds for a server to start, or to end."""

_BLOCK = re.compile(
    r"^```\{code-block\} python\n:caption: (\S+)\n\n(.*?)^```$", re.MULTILINE | re.DOTALL
)


def programs() -> dict[str, str]:
    return dict(_BLOCK.findall(PAGE.read_text()))


def write_programs(directory: Path) -> None:
    for name, text in programs().items():
        (directory / name).write_text(text)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@dataclass(frozen=True)
class Server:
    """A server that runs, and where it writes."""

    process: subprocess.Popen[bytes]
    log: Path

    def get(self, port: int, page: str = "peers") -> dict[str, Any]:
        """The JSON that it serves, as soon as it serves."""
        deadline = time.monotonic() + LIMIT
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=5) as reply:
                    said: dict[str, Any] = json.load(reply)
                    return said
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.02)

    def end(self) -> int:
        """Ask it to end; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LIMIT)


@contextlib.contextmanager
def serving(directory: Path, env: Mapping[str, str], *command: str) -> Iterator[Server]:
    """Run ``python -m COMMAND`` with the page's programs in this directory."""
    write_programs(directory)
    log = directory / "log"
    with (
        log.open("wb") as out,
        subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=directory,
            env=env,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield Server(process, log)
        finally:
            if process.poll() is None:
                process.kill()


def run(directory: Path, env: Mapping[str, str], *args: str) -> str:
    """What a Python program writes, which has to end with 0 and complain of nothing."""
    write_programs(directory)
    done = subprocess.run(
        [sys.executable, *args],
        cwd=directory,
        env=env,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
