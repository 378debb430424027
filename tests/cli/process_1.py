"""The command as process 1, as in a container: in a PID namespace of its own."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.hooks.running import Running

ENDING = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


def can_unshare() -> bool:
    unshare = shutil.which("unshare")
    if unshare is None:
        return False
    call = [unshare, "--pid", "--fork", "--mount-proc", "true"]
    return subprocess.run(call, capture_output=True, check=False, timeout=20).returncode == 0


as_process_1 = pytest.mark.skipif(
    not can_unshare(),
    reason="this machine does not let this user unshare a PID namespace: run as root",
)
UNSHARE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


def process_1(run: Running) -> int:
    """The process that is number 1 of the namespace, by the number that it has here."""
    [child] = children(run.process.pid)
    return child


def children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()]
