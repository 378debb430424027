"""The sidecar of a pod, as a process of its own."""

from __future__ import annotations

import json
import re
import signal
import sys
import threading
import time
from collections.abc import Mapping
from typing import IO, Any

from tests.cli.command import bare_environment

from .evidence import Evidence
from .namespaces import Process
from .pods import Pod
from .waiting import DEADLINE, until

FETCH = """
import json, socket, sys
for line in sys.stdin:
    address, path = line.split()
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), 10) as client:
            client.sendall(f"GET {path} HTTP/1.0\\r\\n\\r\\n".encode())
            answer = b"".join(iter(lambda: client.recv(65536), b""))
        head, _, body = answer.partition(b"\\r\\n\\r\\n")
        said = int(head.split()[1]), body.decode()
    except Exception as error:
        said = 0, repr(error)
    print(json.dumps(said), flush=True)
"""
"""Without the modules for HTTP, whose import takes longer than all the rest."""


def fetch(pod: Pod, address: str, path: str) -> tuple[int, str]:
    """Ask an HTTP server from within a pod: the status, and the body.

    One process in the pod asks for all: it is often asked, and processes take long to start.
    """
    said = pod.ask(f"{address} {path}", sys.executable, "-I", "-S", "-c", FETCH)
    status, body = json.loads(said)
    if not status:
        raise RuntimeError(f"{pod.name}: {address}{path}: {body}")
    return status, body


LISTENING = re.compile(r"peerdisco: listening on (\S+)")
STATE = re.compile(r"peerdisco: ([a-z-]+): (.*)")


class Sidecar:
    """A sidecar; what it says is kept, over all its starts.

    Args:
        pod: Where it runs; it may be given another one while it is down.
        environment: What it is configured with.
        evidence: Where all that it says goes.
        command: What is run; ``python -m peerdisco mysql-sidecar`` by default.
    """

    def __init__(
        self,
        pod: Pod,
        environment: Mapping[str, str],
        evidence: Evidence,
        command: tuple[str, ...] = ("-m", "peerdisco", "mysql-sidecar"),
    ) -> None:
        self.pod = pod
        self.environment = dict(environment)
        self.command = command
        self.lines: list[str] = []
        self.process: Process | None = None
        self._evidence = evidence
        self._reader: threading.Thread | None = None
        self._before = 0

    def start(self, *arguments: str) -> None:
        """Start it; what is said from now on is what `states` gives."""
        assert not self.alive, "it runs already"
        self._before = len(self.lines)
        self.process = self.pod.popen(
            sys.executable,
            "-W",
            "error",
            *self.command,
            *arguments,
            env=bare_environment({**self.environment, "POD_IP": self.pod.address}),
        )
        self._reader = threading.Thread(
            target=self._read, args=(self.process.popen.stderr,), daemon=True
        )
        self._reader.start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self.lines.append(line.rstrip("\n"))
            self._evidence.add(f"sidecar of {self.pod.name}", line)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.alive

    def stop(self) -> int:
        """End it in good order; its exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """End it with kill -9."""
        return self._end(signal.SIGKILL)

    def _end(self, number: int) -> int:
        assert self.process is not None
        self.process.signal(number)
        return self.ended()

    def ended(self) -> int:
        """Wait for its end; its exit status."""
        assert self.process is not None
        assert self._reader is not None
        status = self.process.wait()
        self._reader.join()
        return status

    # --- what it says

    @property
    def said(self) -> list[str]:
        """The lines since it was started last."""
        return self.lines[self._before :]

    @property
    def states(self) -> list[tuple[str, str]]:
        """Each state that it reported since it was started last, and why it is in it."""
        found = (STATE.fullmatch(line) for line in self.said)
        return [(match[1], match[2]) for match in found if match]

    @property
    def state(self) -> str | None:
        """The last state that it reported."""
        states = self.states
        return states[-1][0] if states else None

    def wait_for(self, *states: str, timeout: float = DEADLINE) -> str:
        """Wait until it is in one of the states; why it says it is."""
        deadline = time.monotonic() + timeout
        while not (told := self.states) or told[-1][0] not in states:
            if not self.alive or time.monotonic() > deadline:
                said = "\n".join(self.said) or "nothing"
                raise AssertionError(
                    f"{self.pod.name}: not {' or '.join(states)} within {timeout:g} s; "
                    f"{'it runs' if self.alive else 'it has ended'}, and said:\n{said}"
                )
            time.sleep(0.005)
        return told[-1][1]

    @property
    def address(self) -> str:
        """Where its HTTP server listens."""

        def found() -> str | None:
            matches = (LISTENING.fullmatch(line) for line in self.said)
            return next((match[1] for match in matches if match), None)

        address = until(found, what="the sidecar listens")
        assert address is not None
        return address

    def get(self, path: str) -> tuple[int, str]:
        """Ask its HTTP server, from within the pod: the status, and the body."""
        status, body = fetch(self.pod, self.address, path)
        self._evidence.add(f"{path} of {self.pod.name}", body)
        return status, body

    def ready(self) -> tuple[int, dict[str, Any]]:
        """What ``/readyz`` says."""
        status, body = self.get("/readyz")
        return status, json.loads(body)
