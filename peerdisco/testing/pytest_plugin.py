"""The pytest fixtures; pytest loads them automatically if peerdisco is installed.

This module is imported into every run of pytest, so it imports nothing but pytest: the server,
and dnspython with it, is imported by the fixture that starts it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .server import ClusterDNS

__all__ = ["cluster_dns", "peerdisco_environment"]

_PREFIXES = ("POD_", "PEERDISCO_")


@pytest.fixture
def cluster_dns() -> Iterator[ClusterDNS]:
    """A cluster DNS on loopback, on a thread of its own, for one test: sync or async."""
    from .server import ClusterDNS  # noqa: PLC0415 - see above

    with ClusterDNS() as dns:
        yield dns


@pytest.fixture
def peerdisco_environment(
    cluster_dns: ClusterDNS, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Make peerdisco query ``cluster_dns``, in this process and in those that the test starts.

    The variables ``POD_*`` and ``PEERDISCO_*`` of the machine are removed during the test, so that
    its result is the same in a pod. Returns the variables that are set instead.
    """
    for name in [name for name in os.environ if name.startswith(_PREFIXES)]:
        monkeypatch.delenv(name)
    environment = cluster_dns.environment
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment
