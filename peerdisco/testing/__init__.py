"""Test an application that uses peerdisco without a cluster.

A name server on loopback answers as CoreDNS does, about a cluster that you change:

```python
with ClusterDNS() as dns:                       # or: async with ClusterDNS() as dns:
    mysql = dns.statefulset("mysql", service="my-database", replicas=3)
    os.environ.update(dns.environment)          # peerdisco now queries this server
    mysql.scale(5)
    mysql.restart(0)                            # comes back with a new address
    with dns.fail("servfail"):                  # an outage
        ...
```

With pytest there is nothing to import: the fixture ``cluster_dns`` is such a server, and
``peerdisco_environment`` makes peerdisco query it, in the test's process and in those it starts.

In tests that need no DNS, `ScriptedSource` returns one observation after another:

```python
source = ScriptedSource("my-database", [peers("mysql", 3), failure(), peers("mysql", 2)])
await source.wait_for_lookups(2)                # until the second lookup, without sleeping
```

Names are imported when they are first used: dnspython only with the server.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .clock import ManualClock
    from .cluster import Cluster, ManualEndpoint
    from .faults import Fault, FaultKind, Query
    from .scripted import ScriptedSource, failure, no_data, nxdomain, peers
    from .server import ClusterDNS
    from .state import Endpoint, Pod, Service, ServicePort
    from .statefulset import StatefulSet

__all__ = [
    "Cluster",
    "ClusterDNS",
    "Endpoint",
    "Fault",
    "FaultKind",
    "ManualClock",
    "ManualEndpoint",
    "Pod",
    "Query",
    "ScriptedSource",
    "Service",
    "ServicePort",
    "StatefulSet",
    "failure",
    "no_data",
    "nxdomain",
    "peers",
]

_MODULES = {
    "clock": ("ManualClock",),
    "cluster": ("Cluster", "ManualEndpoint"),
    "faults": ("Fault", "FaultKind", "Query"),
    "scripted": ("ScriptedSource", "failure", "no_data", "nxdomain", "peers"),
    "server": ("ClusterDNS",),
    "state": ("Endpoint", "Pod", "Service", "ServicePort"),
    "statefulset": ("StatefulSet",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    # pytest imports this package on every run, for the fixtures, whether they are used or not.
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
