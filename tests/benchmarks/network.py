"""A network and a resolv.conf of the benchmarks' own.

`getaddrinfo` asks port 53 of what stands in ``/etc/resolv.conf``, and nothing else. So the whole
run lives in a network namespace, where port 53 is free, and in a mount namespace, where that file
is another: as root, or as anybody where the kernel lets users have namespaces.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

VARIABLE = "BENCHMARKS_NETWORK"
"""Names the directory with the run's own ``resolv.conf``, if it has a network of its own.

Not ``PEERDISCO_``: tests take away what begins so.
"""

FILES = {"resolv.conf": "", "nsswitch.conf": "hosts: files dns\n"}

WITHOUT = (
    "needs a network namespace of its own, since getaddrinfo asks port 53 alone: use make bench, "
    "as root or where users may have namespaces (unshare --user --map-root-user --net true)"
)


def prefix() -> list[str]:
    """What gives the command after it a network and mounts of its own; [] if that cannot be."""
    unshare, ip = shutil.which("unshare"), shutil.which("ip")
    if unshare is None or ip is None:
        return []
    for options in ([], ["--user", "--map-root-user"]):
        command = [unshare, *options, "--net", "--mount"]
        probe = [*command, ip, "link", "set", "lo", "up"]
        if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            return command
    return []


def directory() -> Path | None:
    """Where the run's own files are; None if it has none."""
    name = os.environ.get(VARIABLE)
    return Path(name) if name else None


def set_up(files: Path) -> None:
    """In the new namespaces: let there be a loopback, and the files."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for name, text in FILES.items():
        own, etc = files / name, Path("/etc") / name
        own.write_text(text)
        if etc.exists():
            subprocess.run(["mount", "--bind", own, etc], check=True)


def ask(server: str) -> None:
    """Let the C library ask this server, on port 53."""
    files = directory()
    assert files is not None
    (files / "resolv.conf").write_text(f"nameserver {server}\n")
