"""Linux namespaces that live as long as the test that made them.

Each is held by a process that ends when its input does, so whatever becomes of the test, nothing
is left behind: no named namespace, no link, no file in ``/etc/netns``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

from .waiting import until

NOBODY = 65534
"""The user without rights, whom every Linux has."""


@dataclass(frozen=True)
class Maker:
    """Who makes the namespaces.

    Attributes:
        before: The command that makes a command that user's.
        uid: The user, outside of the namespaces.
        user_namespace: Whether it takes a user namespace to be allowed the others.
    """

    before: tuple[str, ...]
    uid: int
    user_namespace: bool


def ordinary_user() -> Maker:
    """This user; for root it is nobody, if nobody may read this repository and run its Python."""
    uid = os.getuid()
    drop = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    # setpriv itself still has the rights that the command after it has lost.
    if uid == 0 and _works(*drop, "env", sys.executable, "-c", "import tests.mysql.dns"):
        return Maker(drop, NOBODY, True)
    return Maker((), uid, True)


def best_user() -> Maker:
    """Root, for whom nothing has to be mapped; else this user."""
    return Maker((), 0, False) if os.getuid() == 0 else ordinary_user()


@cache
def refusal(maker: Maker, *setup: str) -> str | None:
    """What the kernel says to namespaces of this user, and to a command in them; None if it works.

    The words fit behind "this machine".
    """
    kinds = _kinds(maker, net=True)
    done = subprocess.run(
        [*maker.before, "unshare", *kinds, "sh", "-c", " && ".join(setup) or ":"],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    if done.returncode == 0:
        return None
    who = "root" if maker.uid == 0 and not maker.user_namespace else "an ordinary user"
    return f"lets {who} make no such namespaces: {done.stderr.strip()}"


def _kinds(maker: Maker, *, net: bool) -> list[str]:
    user = ["--user", "--map-root-user"] if maker.user_namespace else []
    return [*user, "--mount", *(["--net"] if net else [])]


def _works(*command: str) -> bool:
    return not subprocess.run(command, capture_output=True, check=False, timeout=20).returncode


class Process:
    """A process in a pod.

    Attributes:
        popen: Of the command that went into the namespaces and waits for it.
    """

    def __init__(self, popen: subprocess.Popen[str]) -> None:
        self.popen = popen
        self._pid: int | None = None

    @property
    def pid(self) -> int:
        """Of the process itself, as it is seen here."""
        if self._pid is None:
            self._pid = _child_of(self.popen)
        return self._pid

    def signal(self, number: int) -> None:
        """Send it a signal, if it is there still; it has stopped or goes on when this returns."""
        if self.popen.poll() is not None:
            return
        if number == signal.SIGCONT:
            self.release()
            return
        os.kill(self.pid, number)
        if number == signal.SIGSTOP:
            # nsenter stops when its child does, and then nothing would collect the child's status.
            until(lambda: _stopped(self.popen.pid), what="nsenter stops")
        elif number == signal.SIGKILL:
            self.release()

    def release(self) -> None:
        """Let nsenter go on if it has stopped, which then continues its child itself."""
        if self.popen.poll() is None and _stopped(self.popen.pid):
            self.popen.send_signal(signal.SIGCONT)
            until(lambda: not _stopped(self.pid), what="the process goes on")

    def kill(self) -> int:
        """End it at once, as kill -9 does; its status."""
        self.signal(signal.SIGKILL)
        return self.wait()

    def wait(self, timeout: float = 30) -> int:
        return self.popen.wait(timeout)

    @property
    def alive(self) -> bool:
        return self.popen.poll() is None


def _stopped(pid: int) -> bool:
    """Whether a signal has stopped a process; not if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


def _child_of(popen: subprocess.Popen[Any]) -> int:
    """The one child of a process that is about to have one."""
    children = Path(f"/proc/{popen.pid}/task/{popen.pid}/children")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if found := children.read_text().split():
                return int(found[0])
        except OSError:
            pass
        if popen.poll() is not None:
            break
        time.sleep(0.001)
    raise RuntimeError(f"{popen.args} has no child; its status is {popen.poll()}")


class Namespace:
    """Namespaces, and the process that holds them.

    Args:
        command: What makes them: ``unshare`` with its options, and before it what goes where.
        setup: Shell commands that are run in them first.
        kinds: Options that make ``nsenter`` go into them.
        before: The command that makes ``nsenter`` the right user's.
        forks: Whether a process ID namespace is among them: then the holder is its first process,
            and when that ends the kernel kills all the others in it.
    """

    def __init__(
        self,
        command: Sequence[str],
        setup: Sequence[str],
        kinds: Sequence[str],
        before: Sequence[str],
        *,
        forks: bool,
    ) -> None:
        shell = " && ".join([*setup, "echo", "exec cat"])
        self._popen = subprocess.Popen(
            [*command, "sh", "-c", shell], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if _stream(self._popen.stdout).readline() != "\n":
            raise RuntimeError(f"{command}: status {self._popen.wait(20)}")
        self.pid = _child_of(self._popen) if forks else self._popen.pid
        self.forks = forks
        self._processes: list[Process] = []
        # Going into a mount namespace leads to its root.
        back = ("env", f"--chdir={Path.cwd()}")
        self.enter = (*before, "nsenter", f"--target={self.pid}", *kinds, *back)
        """The command that brings another command into them."""

    def run(self, *command: str, timeout: float = 20) -> str:
        """Run a command in them that has to succeed; what it printed."""
        done = subprocess.run(
            [*self.enter, *command], capture_output=True, text=True, check=False, timeout=timeout
        )
        if done.returncode:
            said = f"{done.stdout}{done.stderr}".strip()
            raise RuntimeError(f"{command}: status {done.returncode}: {said}")
        return done.stdout

    def popen(
        self,
        command: Sequence[str],
        env: Mapping[str, str] | None = None,
        stdout: int | IO[str] = subprocess.PIPE,
        stderr: int | IO[str] = subprocess.PIPE,
        stdin: int = subprocess.DEVNULL,
    ) -> Process:
        """Start a command in them; only where they hold process IDs, see `Process`."""
        assert self.forks
        process = Process(
            subprocess.Popen(
                [*self.enter, *command],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                text=True,
                env=None if env is None else dict(env),
            )
        )
        self._processes.append(process)
        return process

    def close(self) -> None:
        """End the holder, and with it what it is the first process of."""
        for process in self._processes:
            process.release()
        self._popen.communicate(timeout=20)
        for process in self._processes:
            process.popen.communicate(timeout=20)


def _stream(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream
