"""A name server at a link-local address, for each resolver."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

NAMESPACE = ["unshare", "--user", "--map-root-user", "--net"]
SETUP = "ip link set lo up && ip addr add fe80::53/64 dev lo nodad"


def test_a_link_local_name_server_is_asked() -> None:
    for command in ("unshare", "ip"):
        if shutil.which(command) is None:
            pytest.skip(f"needs the command {command} (Debian: iproute2, util-linux)")
    tried = subprocess.run(
        [*NAMESPACE, "sh", "-c", SETUP], capture_output=True, check=False, text=True
    )
    if tried.returncode:
        pytest.skip(
            "this machine permits no network namespace to this user: run as root, or allow user "
            f"namespaces ({tried.stderr.strip()})"
        )
    script = f"{SETUP} && exec {sys.executable} -m tests.contract.link_local"
    ran = subprocess.run(
        [*NAMESPACE, "sh", "-c", script], capture_output=True, check=False, text=True
    )
    assert (ran.returncode, ran.stdout) == (0, "answered\n"), ran.stderr
