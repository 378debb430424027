"""The cluster's DNS in a container, and its commands from outside.

``python -m tests.containers.dns SOCKET SERVICE PORT`` answers on port 53 of all its addresses.
Whoever connects to the Unix socket writes states, a line of JSON each, as `tests.mysql.dns` reads
them, and hears an empty line when the next question is answered from that.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path

from tests.mysql.dns import serve


def main(path: str, service: str, port: int) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        control, _ = listening.accept()
        for standard in (0, 1):
            os.dup2(control.fileno(), standard)
    serve("0.0.0.0", service, port)


class Names:
    """Which addresses the DNS gives for which pod.

    Args:
        path: Of its socket, as this process sees it.
    """

    def __init__(self, path: Path) -> None:
        self._pods: dict[str, list[str]] = {}
        self._control = socket.socket(socket.AF_UNIX)
        self._control.settimeout(20)
        _connect(self._control, path)
        self._stream = self._control.makefile("rw")
        self._hear()

    def publish(self, name: str, address: str) -> None:
        """Let the name have this address."""
        self._pods[name] = [address]
        self._stream.write(json.dumps({"pods": self._pods, "fault": None}) + "\n")
        self._stream.flush()
        self._hear()

    def _hear(self) -> None:
        if self._stream.readline() != "\n":
            raise RuntimeError("the DNS has ended")

    def close(self) -> None:
        self._stream.close()
        self._control.close()


def _connect(control: socket.socket, path: Path) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            control.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
