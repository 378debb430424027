"""The scripts that give an empty volume its first copy, run in pods."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cli.command import WAITING, bare_environment
from tests.docs.markdown import ROOT
from tests.mysql.database import Image
from tests.mysql.mariadb import beside, programs
from tests.mysql.namespaces import Process
from tests.mysql.pods import Network, Pod
from tests.mysql.waiting import DEADLINE, until

CLONE = ROOT / "examples" / "mysql" / "clone"


def need_beside(program: str, *names: str) -> None:
    """Skip the test if the installation of a server is without one of these programs."""
    missing = [name for name in names if beside(program, name) is None]
    if missing:
        found = ", ".join(missing)
        beside_it = f"this machine has no {found} beside {program}"
        pytest.skip(beside_it if "/" in program else f"not installed: {found}")


class Script:
    """A script that runs in a pod; what it says is kept.

    Args:
        pod: Where.
        command: What ``sh`` is given.
        env: Its environment.
        path: A directory where programs are looked for first.
    """

    def __init__(
        self, pod: Pod, *command: str | Path, env: Mapping[str, str], path: str = ""
    ) -> None:
        self.lines: list[str] = []
        own = str(Path(sys.executable).parent)
        path = os.pathsep.join([*filter(None, [path]), own, os.environ["PATH"], "/usr/sbin"])
        # A session of its own, as a container is: what kills it kills all that it started.
        self.process: Process = pod.popen(
            *("setsid", "sh", *map(str, command)),
            env=bare_environment({"PATH": path, "POD_NAME": pod.name, **env}),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.popen.stderr is not None
        for line in self.process.popen.stderr:
            # On a busy machine anything may wait for longer than a second, and then says so.
            if not line.startswith(WAITING):
                self.lines.append(line.rstrip("\n"))

    def wait_for(self, text: str, timeout: float = DEADLINE) -> None:
        """Wait until it has said a line that begins so."""
        until(
            lambda: self.said(text) or not self._reader.is_alive(),
            timeout=timeout,
            what=lambda: f"{text!r} is said; {self.lines}",
        )
        assert self.said(text), self.lines

    def said(self, text: str) -> bool:
        """Whether it has said a line that begins so."""
        return any(line.startswith(text) for line in self.lines)

    def terminate(self) -> None:
        """What the kubelet does first."""
        self.process.signal(signal.SIGTERM)

    def kill(self) -> None:
        """What the end of a container does: nothing that it started is left."""
        try:
            session = self.process.pid
        except RuntimeError:  # it has ended on its own: there is no child any more
            self.ended()
            return
        while members := _members(session):  # some may have been born meanwhile
            for pid in members:
                _kill(pid)
        self.ended()

    def ended(self, timeout: float = 40) -> int:
        status = self.process.wait(timeout)
        self._reader.join(timeout)
        return status


class Volume:
    """A volume for a pod, and the server that will be started on it.

    Attributes:
        server: Down; its data directory is there when the copy is.
    """

    def __init__(
        self, network: Network, pod: Pod, image: Image, passwords: Path, config: str
    ) -> None:
        self.network = network
        self.pod = pod
        self.path = network.directory / f"volume-{pod.name}"
        self.run = network.directory / f"run-{pod.name}"
        self.run.mkdir()
        self.server = image.server(pod, self.path, image.data, config)
        self.said: list[str] = []
        (self.path / "my.cnf").write_text(config)
        self.environment = {
            "CLONE_VOLUME": str(self.path),
            "CLONE_DIRECTORY": self.server.datadir.name,
            "CLONE_RUN": str(self.run),
            "CLONE_PASSWORD_FILE": str(passwords),
            "CLONE_DEFAULTS_FILE": str(self.path / "my.cnf"),
            "CLONE_TIMEOUT": "20",
            "PEERDISCO_INTERVAL": "0.1",
            "PEERDISCO_MYSQL_REPLICATION_PASSWORD_FILE": str(passwords.parent / "replication"),
            "PEERDISCO_MYSQL_REPLICAS": "1",
            "RECOVER_TIMEOUT": "5",
            "CLONE_HEALTH_PORT": "0",
        }
        network.own(self.path)
        network.own(self.run)

    def script(self, name: str, **environment: str) -> Script:
        return Script(
            self.pod,
            CLONE / name,
            env={**self.environment, **environment},
            path=programs(self.server.program),
        )

    def find(self, **environment: str) -> int:
        """Run find-source.sh to its end; its status."""
        return self._run("find-source.sh", environment)

    def clone(self, **environment: str) -> int:
        """Run clone-mariadb.sh to its end; its status."""
        return self._run("clone-mariadb.sh", environment)

    def _run(self, name: str, environment: Mapping[str, str]) -> int:
        script = self.script(name, **environment)
        status = script.ended()
        self.said += script.lines
        return status

    @property
    def last(self) -> str:
        """What was said last."""
        return self.said[-1]

    def kill(self, script: Script) -> None:
        """Kill a script of this pod, and keep what it said."""
        script.kill()
        self.said += script.lines

    @property
    def story(self) -> str:
        """All that was said, and by the local server too."""
        log = self.run / "server.log"
        return "\n".join([*self.said, log.read_text() if log.exists() else ""])

    @property
    def files(self) -> set[str]:
        """What there is in the volume beside what the test itself put there."""
        return {file.name for file in self.path.iterdir()} - {"my.cnf", "error.log"}


def _members(session: int) -> list[int]:
    """The living processes of a session, its leader first."""
    return sorted(
        int(stat.parent.name)
        for stat in Path("/proc").glob("[0-9]*/stat")
        if _belongs(stat, session)
    )


def _belongs(stat: Path, session: int) -> bool:
    try:
        state, _, _, its_session, *_ = stat.read_text().rpartition(")")[2].split()
    except OSError:
        return False  # it has ended meanwhile
    return int(its_session) == session and state not in "ZX"


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
