"""Commands in forks of one process that has imported them: most of a command's time is imports.

This module is the program, too: it imports, and forks for each request that it gets. The fork has
arguments, environment and streams of its own, as the interpreter makes them at its start, and ends
as the interpreter ends. `test_preloaded.py` compares both.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TextIO

import peerdisco as package

PRELOADED = ["asyncio", "http.server", "uuid", "dns.message", "rich.console", "rich.table"]
"""What the commands import, beside the package itself and the driver."""
PROGRAMS = ("__main__", "peer_finder")
"""The modules that are run, and so not imported."""

UNUSUAL = ("PYTHON", "COV", "LC_", "LANG")
"""How the variables begin that the interpreter reads at its start."""


@dataclass
class Forked:
    """A command in a fork."""

    pid: int
    report: IO[bytes]
    stdout: IO[str] | None
    stderr: IO[str] | None
    returncode: int | None = None

    def communicate(self) -> tuple[str, str]:
        """What it prints, which fits into a pipe; it has ended then."""
        try:
            out, err = (stream.read() if stream else "" for stream in (self.stdout, self.stderr))
            self.returncode = os.waitstatus_to_exitcode(int(self.report.readline()))
        finally:
            self.close()
        return out, err

    def close(self) -> None:
        """Kill it if it has not ended, and leave nothing open; a second call does nothing."""
        if self.report.closed:
            return
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)
        for stream in (self.stdout, self.stderr, self.report):
            if stream is not None:
                stream.close()


def usual(env: Mapping[str, str]) -> bool:
    """Whether a fork may stand for a process with this environment."""
    read = {name: value for name, value in env.items() if name.startswith(UNUSUAL)}
    return read.items() <= os.environ.items()


def fork(
    module: str,
    args: Sequence[str],
    env: Mapping[str, str],
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
    closed: Sequence[int] = (),
) -> Forked:
    """Run a module as a program, in a fork; `closed` are descriptors that it does not have."""
    request = {"module": module, "args": list(args), "env": dict(env), "closed": list(closed)}
    ours: list[IO[str] | None] = []
    theirs: list[int] = []
    for given in (stdout, stderr):
        if given == subprocess.PIPE:
            reader, writer = os.pipe()
            ours.append(os.fdopen(reader, encoding="utf-8"))
            theirs.append(writer)
        else:
            ours.append(None)
            theirs.append(os.dup(given))
    reader, writer = os.pipe()
    theirs.append(writer)
    socket.send_fds(_server(), [json.dumps({**request, "cwd": str(Path.cwd())}).encode()], theirs)
    for number in theirs:
        os.close(number)
    report = os.fdopen(reader, "rb")
    return Forked(int(report.readline()), report, *ours)


@functools.cache
def _server() -> socket.socket:
    """The way to the server of this process, which ends with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", __name__, str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        cwd=Path(__file__).parents[2],
    )
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait(10)

    atexit.register(end)
    return ours


# The server.


def serve(control: socket.socket) -> None:
    """Fork for each request, until nobody is left who could send one; returns in a fork, too."""
    while True:
        message, files, _, _ = socket.recv_fds(control, 1 << 20, 3)
        if not message:
            return
        if os.fork() == 0:
            control.close()
            keep(json.loads(message), files)
            return
        for number in files:
            os.close(number)
        while _reaped():
            pass


def _reaped() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False


def keep(request: Mapping[str, object], files: Sequence[int]) -> None:
    """Report the process identifier and the status of the command."""
    *streams, report = files
    pid = os.fork()
    if pid == 0:
        os.close(report)
        run(streams=streams, **request)  # type: ignore[arg-type]
        return
    for number in streams:
        os.close(number)
    os.write(report, b"%d\n" % pid)
    os.write(report, b"%d\n" % os.waitpid(pid, 0)[1])
    os._exit(0)


def run(
    module: str,
    args: Sequence[str],
    env: Mapping[str, str],
    cwd: str,
    closed: Sequence[int],
    streams: Sequence[int],
) -> None:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number, source in enumerate(streams, start=1):
        os.dup2(source, number)
        os.close(source)
    for number in closed:
        os.close(number)
    sys.stdin = sys.__stdin__ = standard(0)  # type: ignore[misc, assignment]
    sys.stdout = sys.__stdout__ = standard(1)  # type: ignore[misc, assignment]
    sys.stderr = sys.__stderr__ = standard(2)  # type: ignore[misc, assignment]
    sys.argv[1:] = args
    runpy.run_module(module, run_name="__main__", alter_sys=True)


ENCODING, ERRORS = (
    ("utf-8", "strict") if sys.stdout is None else (sys.stdout.encoding, sys.stdout.errors)
)
"""What the interpreter gave the standard streams of the server."""


def standard(number: int) -> TextIO | None:
    """A standard stream as the interpreter makes it; None if the descriptor is closed."""
    try:
        os.fstat(number)
    except OSError:
        return None
    mode = "w" if number else "r"
    raw = os.fdopen(number, f"{mode}b", closefd=False)
    return io.TextIOWrapper(
        raw,
        encoding=ENCODING,
        errors="backslashreplace" if number == 2 else ERRORS,
        line_buffering=number == 2 or raw.isatty(),
    )


def preload() -> None:
    """Import what the commands import, but no program that a request may run."""
    own = [found.name for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    for name in (*PRELOADED, "aiomysql", "prometheus_client", *own):
        if not name.endswith(PROGRAMS):
            with contextlib.suppress(ImportError):  # an extra that is not installed
                importlib.import_module(name)
    gc.freeze()


if __name__ == "__main__":
    preload()
    with socket.socket(fileno=int(sys.argv[1])) as control:
        serve(control)
