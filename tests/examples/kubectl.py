"""``kubectl`` for pods that are network namespaces, so that documented commands can be executed.

It knows what the runbooks for MySQL use, and fails for everything else. A pod that is deleted comes
back at once: with its claim's volume, or an empty one, and its init containers run before it.
"""

from __future__ import annotations

import json
import os
import shutil
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.command import bare_environment
from tests.mysql.database import Database, Member
from tests.mysql.mariadb import beside

from .cloning import CLONE, Script
from .test_recovery import SCRIPTS, script

PROGRAM = f"""\
#!{sys.executable} -IS
import json, socket, sys
given = sys.stdin.read() if "--stdin" in sys.argv else ""
with socket.socket(socket.AF_UNIX) as server:
    server.connect({{path!r}})
    server.sendall(json.dumps([sys.argv[1:], given]).encode() + b"\\n")
    status, out, err = json.loads(b"".join(iter(lambda: server.recv(65536), b"")))
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(status)
"""
CLIENTS = {"mariadb": "mariadb", "mysql": "mysql"}
Answer = tuple[int, str, str]


class Kubectl:
    """What is known of the cluster beside its pods.

    Attributes:
        names: The directory of the ConfigMap ``mysql-clone-from``.
        kept: The directories of volumes that no pod has any more.
        fails_at: The number of the call that fails, as if the operator was interrupted there; None
            for none.
        calls: What was called.
    """

    def __init__(self, db: Database, directory: Path) -> None:
        self.db = db
        self.names = db.network.directory / "clone-from"
        self.kept: dict[str, Path] = {}
        self.fails_at: int | None = None
        self.calls: list[list[str]] = []
        self._volumes = {member.name: f"pv-{member.name}-1" for member in db.members}
        self._retained: set[str] = set()
        self._terminating: set[str] = set()
        self._starting: list[threading.Thread] = []
        self._directory = directory
        self._lock = threading.Lock()

    # --- the program

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Answer the program while the block runs."""
        kubectl = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                answer = kubectl.answer(*json.loads(self.rfile.readline()))
                self.wfile.write(json.dumps(answer).encode())

        path = self._directory / "kubectl.sock"
        program = self._directory / "kubectl"
        program.write_text(PROGRAM.format(path=str(path)))
        program.chmod(0o755)
        with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join()

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """What an operator's shell does with a command."""
        path = f"{self._directory}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-c", command],
            env=bare_environment({"PATH": path}),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def answer(self, arguments: list[str], given: str) -> Answer:
        if "--stdin" in arguments:
            arguments.remove("--stdin")
        with self._lock:
            self.calls.append(arguments)
            if self.fails_at == len(self.calls):
                return 130, "", "interrupted\n"
        what = " ".join(argument for argument in arguments[:2] if argument)
        for beginning, action in {
            "exec ": lambda arguments: self._exec(arguments, given),
            "get persistentvolumeclaim": self._get_claim,
            "get persistentvolumes": lambda _: (0, "\n".join([*self.kept, ""]), ""),
            "patch persistentvolume": self._patch,
            "delete persistentvolumeclaim": self._delete_claim,
            "delete pod": self._delete_pod,
            "create configmap": self._create_names,
            "delete configmap": self._delete_names,
        }.items():
            if what.startswith(beginning):
                return action(arguments)
        return 1, "", f"error: nothing is known here of {arguments}\n"

    # --- what is called

    def _member(self, name: str) -> Member:
        return next(member for member in self.db.members if member.name == name)

    def _exec(self, arguments: list[str], given: str) -> Answer:
        option, container, dashes, *command = arguments[2:]
        assert (option, dashes) == ("--container", "--")
        member = self._member(arguments[1])
        env = {**self.db.environment, "POD_NAME": member.name}
        if container == "mysql":
            # The root of these servers has no password, and their socket has another name.
            client = beside(member.server.program, CLIENTS[member.server.flavour])
            wrapper = self._directory / member.name / CLIENTS[member.server.flavour]
            wrapper.parent.mkdir(exist_ok=True)
            wrapper.write_text(f'#!/bin/sh\nexec {client} --socket={member.server.socket} "$@"\n')
            wrapper.chmod(0o755)
            env["PATH"] = f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}"
        else:
            assert command.pop(0) == "peerdisco"
            command = [sys.executable, "-m", "peerdisco", *command]
        process = member.pod.popen(*command, env=bare_environment(env), stdin=subprocess.PIPE)
        out, err = process.popen.communicate(given, timeout=120)
        return process.popen.returncode, out, err

    def _get_claim(self, arguments: list[str]) -> Answer:
        assert arguments[3:] == ["--output", "jsonpath={.spec.volumeName}"]
        return 0, self._volumes[arguments[2].removeprefix("data-")], ""

    def _patch(self, arguments: list[str]) -> Answer:
        volume, option, patch = arguments[2:]
        if volume not in self._volumes.values():
            return 1, "", f"error: no volume {volume!r}\n"
        assert option == "--patch"
        assert json.loads(patch) == {"spec": {"persistentVolumeReclaimPolicy": "Retain"}}
        self._retained.add(volume)
        return 0, "", ""

    def _delete_claim(self, arguments: list[str]) -> Answer:
        name = arguments[2].removeprefix("data-")
        if name not in self._volumes:
            return 1, "", f"error: no claim {arguments[2]!r}\n"
        assert arguments[3:] == ["--wait=false"], "it would wait for the pod that uses it"
        self._terminating.add(name)
        return 0, "", ""

    def _delete_pod(self, arguments: list[str]) -> Answer:
        member = self._member(arguments[2])
        member.sidecar.stop()
        member.server.stop()
        if member.name in self._terminating:
            self._terminating.discard(member.name)
            self._release(member)
        thread = threading.Thread(target=self._start, args=(member,), daemon=True)
        self._starting.append(thread)
        thread.start()
        return 0, "", ""

    def wait(self) -> None:
        """Wait until all init containers have succeeded, and the pods have been started."""
        while self._starting:
            thread = self._starting.pop()
            thread.join(120)
            assert not thread.is_alive(), self.calls

    def _release(self, member: Member) -> None:
        volume = self._volumes[member.name]
        stem, _, number = volume.rpartition("-")
        self._volumes[member.name] = f"{stem}-{int(number) + 1}"
        if volume in self._retained:
            self.kept[volume] = self._directory / volume
            shutil.copytree(member.server.datadir, self.kept[volume])
        member.server.wipe()

    def _start(self, member: Member) -> None:
        """Run the init containers until they succeed, as Kubernetes does, and start the pod."""
        for name in ("find-source.sh", SCRIPTS[member.server.flavour]):
            while (done := self._init(member, name)).ended(120) != 0:
                self.calls.append(["init", member.name, name, done.lines[-1]])
        member.start()

    def _init(self, member: Member, name: str) -> Script:
        timeout = {"CLONE_TIMEOUT": "20", "RECOVER_TIMEOUT": "60"}
        names = {"CLONE_FROM_DIRECTORY": str(self.names)}
        return script(self.db, member, CLONE / name, **names, **timeout)

    def _create_names(self, arguments: list[str]) -> Answer:
        if self.names.exists():
            return 1, "", f"error: configmaps {arguments[2]!r} already exists\n"
        self.names.mkdir()
        for literal in arguments[3:]:
            key, _, value = literal.removeprefix("--from-literal=").partition("=")
            (self.names / key).write_text(value)
        self.db.network.own(self.names)
        return 0, "", ""

    def _delete_names(self, arguments: list[str]) -> Answer:
        if not self.names.exists():
            return 1, "", f"error: configmaps {arguments[2]!r} not found\n"
        shutil.rmtree(self.names)
        return 0, "", ""
