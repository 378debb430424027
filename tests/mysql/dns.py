"""The cluster's DNS in a process of its own, since it lives in the pods' network.

``python -m tests.mysql.dns ADDRESS SERVICE PORT`` serves on port 53 of the address, where
resolv.conf has every program look. Each line on its input is the whole state as JSON, ``{"pods":
{"mysql-0": ["198.18.0.10"]}, "fault": null}``; what it says in return is an empty line, when that
is what the next question is answered from.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import IO

from peerdisco.testing import ClusterDNS, ManualEndpoint


def serve(address: str, service: str, port: int) -> None:
    with ClusterDNS(host=address, port=53) as dns:
        dns.service(service, ports=port, publish_not_ready_addresses=True)
        endpoints: list[ManualEndpoint] = []
        print(flush=True)
        for line in sys.stdin:
            told = json.loads(line)
            dns.restore()
            if told["fault"] is not None:
                dns.fail(told["fault"])
            with dns.cluster.changing():
                for endpoint in endpoints:
                    endpoint.remove()
                endpoints = [
                    dns.endpoint(service, name, addresses)
                    for name, addresses in told["pods"].items()
                ]
            print(flush=True)


class NetworkDNS:
    """Such a process, and its commands.

    Args:
        enter: The command that brings another into the network.
        address: Where it listens.
        service: The headless service; it lists pods whether they are ready or not.
        port: That the service names.
    """

    def __init__(self, enter: Sequence[str], address: str, service: str, port: int) -> None:
        self.address = address
        self.service = service
        self._pods: dict[str, list[str]] = {}
        self._fault: str | None = None
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [*enter, sys.executable, "-m", "tests.mysql.dns", address, service, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._hear()

    def fqdn(self, name: str) -> str:
        return f"{name}.{self.service}.default.svc.cluster.local"

    def publish(self, name: str, *addresses: str) -> None:
        """Let the name have these addresses, and none if none is given."""
        if addresses:
            self._pods[name] = list(addresses)
        else:
            self._pods.pop(name, None)
        self._tell()

    def fail(self, kind: str | None) -> None:
        """Answer everything wrongly (see `FaultKind`); rightly again with None."""
        self._fault = kind
        self._tell()

    def _tell(self) -> None:
        with self._lock:
            told = json.dumps({"pods": self._pods, "fault": self._fault})
            stdin = _stream(self._process.stdin)
            stdin.write(told + "\n")
            stdin.flush()
            self._hear()

    def _hear(self) -> None:
        if _stream(self._process.stdout).readline() != "\n":
            raise RuntimeError(f"the DNS has ended with status {self._process.wait(20)}")

    def close(self) -> None:
        self._process.communicate(timeout=20)


def _stream(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
