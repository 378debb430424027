"""Running the command as a user does: in a process of its own, or a fork (see `preloaded`)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from .preloaded import fork, usual

SOON = 4.0
"""Seconds within which a command ends that waits for nothing, beside others on a busy machine. What
it must not wait for takes longer."""


WAITING = "peerdisco: waiting: "
"""How the lines of a command that waits for longer than a second begin."""


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """What was said on stderr, which has to be one line and no traceback.

        On a busy machine any wait may take longer than a second, and then says so before.
        """
        lines = [line for line in self.err.splitlines() if not line.startswith(WAITING)]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0]


def bare_environment(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment: nothing that peerdisco reads, and Python's own buffers."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PEERDISCO_", "POD_", "KUBERNETES_", "PYTHONUNBUFFERED"))
    }
    return {**kept, **(variables or {})}


def peerdisco(*args: str, env: Mapping[str, str] | None = None) -> Done:
    """What the command prints, and its status."""
    environment = bare_environment(env)
    if usual(environment):
        forked = fork("peerdisco", args, environment)
        out, err = forked.communicate()
        assert forked.returncode is not None
        return Done(forked.returncode, out, err)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "peerdisco", *args],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env=environment,
    )
    return Done(done.returncode, done.stdout, done.stderr)
