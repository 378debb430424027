"""What each pod and each server did when a round did not end well, so that it need not come again.

The stacks of a server's threads are read where ``gdb`` is installed and the server does not answer,
or has sessions that wait: what holds what is in no other place, and is gone when the server is.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pymysql

from ..database import Member
from ..mariadb import connected
from .cluster import Cluster

__all__ = ["explain"]

_WITHIN = 5
"""Seconds within which a server that is well has answered."""

_IDLE = ("Sleep", "Daemon", "Binlog Dump")
_LINES = 40
"""Of what each sidecar and each server logged last."""


def explain(cluster: Cluster) -> str:
    """Everything that can be known about the pods; it never fails, and waits for nothing long."""
    return "\n".join(line for member in cluster.db.members for line in _member(member))


def _member(member: Member) -> Iterator[str]:
    yield f"=== {member.name}: {_process(member)}"
    yield f"/readyz: {_tried(lambda: member.sidecar.get('/readyz'))}"
    sessions = _asked(member, "SHOW FULL PROCESSLIST")
    yield from (f"session: {one}" for one in sessions)
    for query in ("SHOW REPLICA STATUS", "SHOW GLOBAL STATUS LIKE 'rpl_semi_sync%'"):
        yield from (f"{query}: {one}" for one in _asked(member, query))
    yield from (f"sidecar: {line}" for line in member.sidecar.lines[-_LINES:])
    yield from (f"server: {line}" for line in member.server.log().splitlines()[-_LINES:])
    if member.server.alive and any(map(_waits, sessions)):
        yield from (f"stack: {line}" for line in _stacks(member.server.pid))


def _process(member: Member) -> str:
    """Whether its processes run, and what the kernel says they do."""
    server, sidecar = member.server.process, member.sidecar.process
    parts = []
    for name, process in (("server", server), ("sidecar", sidecar)):
        if process is None or not process.alive:
            parts.append(f"{name} down")
        else:
            parts.append(f"{name} {process.pid} {_state(process.pid)}")
    return ", ".join(parts)


def _state(pid: int) -> str:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError as error:
        return str(error)
    return next(line for line in lines if line.startswith("State:"))


def _asked(member: Member, query: str) -> list[Mapping[str, Any] | str]:
    """The rows of a query; the error, if there was one."""
    try:
        with connected(member.server.socket, timeout=_WITHIN) as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())
    except (pymysql.err.MySQLError, OSError) as error:
        return [f"{type(error).__name__}: {error}"]


def _waits(session: Mapping[str, Any] | str) -> bool:
    """Whether a session takes long; a server that waits gives an error instead of sessions."""
    if isinstance(session, str):
        return True
    return session["Command"] not in _IDLE and (session["Time"] or 0) >= _WITHIN


def _stacks(pid: int) -> list[str]:
    """Where each thread of a server is."""
    if shutil.which("gdb") is None:
        return ["gdb is not installed"]
    command = ["gdb", "-p", str(pid), "-batch", "-iex", "set sysroot /", *_symbols(pid)]
    done = _tried(
        lambda: (
            subprocess.run(
                [*command, "-ex", "thread apply all bt"],
                check=False,
                capture_output=True,
                text=True,
                timeout=120,
            ).stdout
        )
    )
    return [line for line in done.splitlines() if line.startswith(("Thread", "#"))]


def _symbols(pid: int) -> list[str]:
    """What makes gdb find the names of a server that the dynamic linker was called with."""
    for line in _tried(Path(f"/proc/{pid}/maps").read_text).splitlines():
        start, _, path = line.partition("-")[0], *line.rpartition(" ")[1:]
        if path.endswith(("/mariadbd", "/mysqld")):
            return ["-ex", f"add-symbol-file {path} -o 0x{start}"]
    return []


def _tried(ask: Callable[[], object]) -> str:
    try:
        return str(ask())
    except (AssertionError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        return f"{type(error).__name__}: {error}"
