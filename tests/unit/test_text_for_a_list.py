"""One string where a list of strings is expected: it would be read character by character."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest

import peerdisco
import peerdisco.sync
from peerdisco.hooks import CommandHook
from peerdisco.testing import ClusterDNS, ScriptedSource

SERVICE = "db.prod.svc.cluster.local"


async def discovered(nameservers: Any) -> None:
    await peerdisco.discover(SERVICE, nameservers=nameservers)


async def probed(peers: Any) -> None:
    await peerdisco.probe_peers(peers, _probe)


async def _probe(peer: peerdisco.Peer) -> peerdisco.Probe:
    raise AssertionError(peer)


def blocking(nameservers: Any) -> None:
    peerdisco.sync.discover(SERVICE, nameservers=nameservers)


def stateful(families: Any) -> None:
    with ClusterDNS() as dns:
        dns.statefulset("db", service="db", families=families)


def endpoint(addresses: Any) -> None:
    with ClusterDNS() as dns:
        dns.endpoint("db", addresses=addresses)


USES: dict[str, Callable[[Any], Any]] = {
    "Discovery(nameservers)": lambda s: peerdisco.Discovery(SERVICE, nameservers=s),
    "sync.Discovery(nameservers)": lambda s: peerdisco.sync.Discovery(SERVICE, nameservers=s),
    "discover(nameservers)": discovered,
    "sync.discover(nameservers)": blocking,
    "probe_peers(peers)": probed,
    "Identity(addresses)": lambda s: peerdisco.Identity("db-0", "prod", addresses=s),
    "CommandHook(command)": CommandHook,
    "ScriptedSource(script)": lambda s: ScriptedSource("db", s),
    "ClusterDNS.statefulset(families)": stateful,
    "ClusterDNS.endpoint(addresses)": endpoint,
}


@pytest.mark.parametrize("text", ["10.96.0.10", "10.96.0.10,10.96.0.11", "fd00::a", "1"])
@pytest.mark.parametrize("name", USES)
def test_text_is_refused(name: str, text: str) -> None:
    with pytest.raises(peerdisco.ConfigurationError) as caught:  # noqa: PT012 - called or awaited
        result = USES[name](text)
        if inspect.iscoroutine(result):
            asyncio.run(result)
    if "nameservers" in name:
        assert str(caught.value).startswith(f"nameservers: got {text!r}, expected a list")


@pytest.mark.parametrize("nameservers", [["10.96.0.10"], ("10.96.0.10",)])
def test_a_list_is_taken(nameservers: Any) -> None:
    peerdisco.Discovery(SERVICE, nameservers=nameservers)
