"""Checks an environment in which peerdisco was installed with one extra, or with none.

``python tests/package/extras.py EXTRA`` (`none` for none) runs in that environment, without pytest:
`.ci/package` calls it for the wheel and for the source archive, with each extra alone.
"""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

PACKAGES = {
    "none": set[str](),
    "aiodns": {"aiodns", "pycares"},
    "cli": {"rich", "shtab"},
    "mysql": {"aiomysql", "pymysql", "prometheus_client"},
    "opentelemetry": {"opentelemetry"},
    "prometheus": {"prometheus_client"},
}
"""What each extra installs, by the names that are imported."""
MODULES = {
    "none": "peerdisco.discovery",
    "aiodns": "peerdisco.dns.aiodns_resolver",
    "cli": "peerdisco.cli.live",
    "mysql": "peerdisco.mysql.aiomysql",
    "opentelemetry": "peerdisco.observability.opentelemetry",
    "prometheus": "peerdisco.observability.prometheus",
}
"""A module that needs each of them."""
OPTIONAL = {name for names in PACKAGES.values() for name in names} | {"pytest"}


def main(extra: str) -> None:
    import peerdisco

    where = Path(peerdisco.__file__)
    assert where.is_relative_to(sys.prefix), f"{where} is not what was installed"
    assert where.with_name("py.typed").exists()
    importlib.import_module(MODULES[extra])
    for name in PACKAGES[extra]:
        importlib.import_module(name)
    for module in pkgutil.walk_packages(peerdisco.__path__, "peerdisco."):
        if not module.name.endswith("__main__"):
            missing = missing_for(module.name)
            assert missing is None or missing in OPTIONAL - PACKAGES[extra], (module.name, missing)
    lists_peers()


def missing_for(module: str) -> str | None:
    """The package without which a module cannot be imported; None if it can be."""
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        return (error.name or "").partition(".")[0]
    return None


def lists_peers() -> None:
    """The command, against a cluster's DNS on loopback."""
    from peerdisco.testing import ClusterDNS

    with ClusterDNS() as dns:
        dns.statefulset("mysql", service="my-database", replicas=3)
        command = Path(sys.executable).with_name("peerdisco")
        done = subprocess.run(
            [command, "peers", "my-database", "-o", "names"],
            env=dns.environment, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
    assert done.stdout.split() == ["mysql-0", "mysql-1", "mysql-2"], done


if __name__ == "__main__":
    main(sys.argv[1])
    print(f"with {sys.argv[1]}: as declared")
