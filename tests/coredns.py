"""A real CoreDNS on loopback, which reads its services from an API server of the tests.

`serving` runs the program that ``PEERDISCO_TEST_COREDNS`` names::

    cluster = Cluster(ttl=30)
    cluster.statefulset("db", service="db", replicas=3)
    with serving(cluster, tmp_path) as server:
        ...

Its Corefile is the one that kubeadm writes, for loopback, without the plugins that forward or
measure: it asks nothing of any other server, and refuses what is in no zone of the cluster.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import dns.flags
import dns.message
import dns.query
import pytest

from peerdisco.names import Endpoint
from peerdisco.testing import Cluster

from . import kubernetes_api
from .bind import free_port
from .kubernetes_api import KubernetesApi
from .processes import PATIENCE, running

VARIABLE = "PEERDISCO_TEST_COREDNS"
PROGRAM = os.environ.get(VARIABLE, "")


def missing() -> str | None:
    """Why no CoreDNS can be started here, to be the reason of a skip; None if one can."""
    if not PROGRAM:
        return f"this machine has no CoreDNS; {VARIABLE}=PATH names one"
    if shutil.which(PROGRAM) is None:
        return f"{VARIABLE}={PROGRAM} is no program"
    return None


def require() -> None:
    """Skip the test where there is no CoreDNS."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)


def version() -> str:
    """Its number, as ``1.13.1``."""
    said = subprocess.run([PROGRAM, "-version"], capture_output=True, text=True, check=True).stdout
    return said.split()[0].removeprefix("CoreDNS-")


@dataclass(frozen=True)
class CoreDns:
    """A server that runs.

    Attributes:
        endpoint: Where it listens, on UDP and TCP.
        cluster: Its services; `publish` makes changes visible.
    """

    endpoint: Endpoint
    cluster: Cluster
    _api: KubernetesApi

    def publish(self) -> None:
        """Wait until DNS has the addresses that the cluster has now.

        Services of more than one DNS message are not waited for.
        """
        self._api.publish()
        state = self.cluster.state()
        for (namespace, service), endpoints in state.services.items():
            name = f"{service}.{namespace}.svc.{state.cluster_domain}."
            for family in (4, 6):
                wanted = {e.address for e in endpoints if e.address.version == family}
                self._await(name, "A" if family == 4 else "AAAA", wanted)

    def _await(self, name: str, rtype: str, wanted: set[IPv4Address | IPv6Address]) -> None:
        deadline = time.monotonic() + PATIENCE
        where = self.endpoint
        while True:
            query = dns.message.make_query(name, rtype)
            answer = dns.query.tcp(query, where.address, PATIENCE, where.port)
            has = {ip_address(record.address) for rrset in answer.answer for record in rrset}
            if has == wanted or answer.flags & dns.flags.TC:
                return
            assert time.monotonic() < deadline, f"{rtype} of {name}: {len(has)} of {len(wanted)}"
            time.sleep(0.005)


@contextmanager
def serving(
    cluster: Cluster, directory: Path, *, address: str = "127.0.0.1", port: int | None = None
) -> Iterator[CoreDns]:
    """Run a server with the services of this cluster, and end it.

    Args:
        cluster: Its TTL becomes that of the ``kubernetes`` plugin.
        directory: Where it keeps its files.
        address: Where it listens.
        port: Its port; None for one that is free.
    """
    log = directory / "coredns.log"
    with kubernetes_api.serving(cluster) as api:
        for _ in range(5):
            endpoint, ready = Endpoint(address, port or free_port()), free_port()
            corefile = directory / "Corefile"
            corefile.write_text(_corefile(cluster, api.url, endpoint, ready))
            with running([PROGRAM, "-conf", corefile], log) as process:
                if _started(process, endpoint, ready):
                    yield CoreDns(endpoint, cluster, api)
                    return
    raise AssertionError(f"CoreDNS does not start: {log.read_text(errors='replace')[-2000:]}")


def _started(process: subprocess.Popen[bytes], where: Endpoint, ready: int) -> bool:
    """Whether it serves: it has read everything from the API server, then taken its ports."""
    deadline = time.monotonic() + PATIENCE
    query = dns.message.make_query("cluster.local.", "SOA")
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{ready}/ready", timeout=PATIENCE):
                dns.query.tcp(query, where.address, PATIENCE, where.port)
                dns.query.udp(query, where.address, PATIENCE, where.port)
                return True
        except OSError:
            time.sleep(0.01)
    return False


def _corefile(cluster: Cluster, api: str, endpoint: Endpoint, ready: int) -> str:
    domain = cluster.cluster_domain
    zones = " ".join(f"{zone}:{endpoint.port}" for zone in (domain, "in-addr.arpa", "ip6.arpa"))
    return f"""
{zones} {{
    bind {endpoint.address}
    errors
    ready 127.0.0.1:{ready}
    kubernetes {domain} in-addr.arpa ip6.arpa {{
        endpoint {api}
        pods insecure
        ttl {cluster.ttl}
    }}
    cache 30 {{
        disable success {domain}
        disable denial {domain}
    }}
    loadbalance
}}
"""
