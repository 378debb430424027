"""What event loops other than asyncio's own need; the suites run on them, too (`variants.py`)."""

from __future__ import annotations

import ast
import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

import peerdisco
from peerdisco.testing import ClusterDNS

PACKAGE = Path(peerdisco.__file__).parent


def run(work: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


@pytest.mark.parametrize("replicas", [3, 15, 60, 700])
def test_a_service_of_any_size_is_listed_over_uvloop(replicas: int) -> None:
    """From 15 pods on the answer does not fit into a datagram, and TCP is used."""
    with ClusterDNS() as dns:
        dns.statefulset("mysql", service="my-database", replicas=replicas)

        async def discover() -> peerdisco.Snapshot:
            async with asyncio.timeout(20):
                return await peerdisco.discover(
                    "my-database.default.svc.cluster.local",
                    nameservers=[dns.nameserver],
                    timeout=10,
                )

        snapshot = run(discover())
    assert len(snapshot) == replicas
    assert snapshot.complete


def test_a_watcher_ends_at_once_over_uvloop() -> None:
    with ClusterDNS() as dns:
        dns.statefulset("mysql", service="my-database", replicas=40)

        async def watch() -> float:
            async with peerdisco.Discovery(
                "my-database.default.svc.cluster.local", nameservers=[dns.nameserver]
            ) as disco:
                assert (await disco.wait(40, timeout=20)).complete
                ended = time.monotonic()
            return time.monotonic() - ended

        assert run(watch()) < 0.5


def _names(node: ast.expr) -> set[str]:
    return {
        part.attr if isinstance(part, ast.Attribute) else part.id
        for part in ast.walk(node)
        if isinstance(part, ast.Attribute | ast.Name)
    }


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_no_module_checks_the_class_of_what_a_loop_provides(path: Path) -> None:
    """The transports, tasks, futures and handles of a loop need not inherit from asyncio's."""
    provided = {
        *(name for name in dir(asyncio) if name.endswith(("Transport", "EventLoop", "Handle"))),
        *("Future", "Task", "TransportSocket", "Server"),
    }
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and _names(node.func) == {"isinstance"}:
            checked = _names(node.args[1]) & provided
            assert not checked, f"{path}:{node.lineno}: isinstance() of {checked}"
