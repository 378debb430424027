"""Variables that Kubernetes sets for each Service, in a namespace with Services named as this is.

https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import peerdisco as package
from peerdisco.cli.mysql_options import PORT_VARIABLE

from ..hooks.running import running
from .command import peerdisco

SERVICE = "db.prod.svc.cluster.local"
SERVICES = ["peerdisco", "peerdisco-mysql", "peerdisco-port", "peerdisco-service", "pod", "pod-ip"]
PASSWORDS = {
    "PEERDISCO_MYSQL_PASSWORD": "x",
    "PEERDISCO_MYSQL_REPLICATION_PASSWORD": "y",
    "POD_NAME": "db-1",
    "POD_NAMESPACE": "prod",
    "POD_IP": "127.0.0.1",
}


def links(service: str) -> dict[str, str]:
    """What the kubelet sets for a Service (pkg/kubelet/envvars)."""
    name, address = service.upper().replace("-", "_"), "10.96.7.8"
    return {
        f"{name}_SERVICE_HOST": address,
        f"{name}_SERVICE_PORT": "3306",
        f"{name}_SERVICE_PORT_NAME": "3306",
        f"{name}_PORT": f"tcp://{address}:3306",
        f"{name}_PORT_3306_TCP": f"tcp://{address}:3306",
        f"{name}_PORT_3306_TCP_PROTO": "tcp",
        f"{name}_PORT_3306_TCP_PORT": "3306",
        f"{name}_PORT_3306_TCP_ADDR": address,
    }


ALL = {name: value for service in SERVICES for name, value in links(service).items()}


def test_one_variable_that_is_read_can_be_a_services() -> None:
    """Another one that is added later has to be guarded too."""
    texts = [path.read_text() for path in Path(package.__file__).parent.rglob("*.py")]
    read = {name for text in texts for name in re.findall(r"\b(?:PEERDISCO|POD)_[A-Z_]+\b", text)}
    assert len(read) > 20
    injected = re.compile(
        r"[A-Z0-9_]+_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP).*)?)"
    )
    assert {name for name in read if injected.fullmatch(name)} == {PORT_VARIABLE}


@pytest.mark.parametrize(
    "args",
    [
        ("peers", SERVICE, "--source", "static:db-0=10.9.0.1:3306", "-o", "names"),
        ("primary", SERVICE, "--source", "static:db-0=10.9.0.1:3306"),
        ("whoami",),
    ],
)
def test_commands_do_as_without_them(args: tuple[str, ...]) -> None:
    pod = {"POD_NAME": "db-1", "POD_NAMESPACE": "prod", "POD_IP": "10.9.0.2"}
    assert peerdisco(*args, env={**ALL, **pod}) == peerdisco(*args, env=pod)


@pytest.mark.parametrize("scheme", ["tcp", "udp", "sctp"])
def test_the_sidecar_ignores_the_port_of_a_service_and_says_so(scheme: str) -> None:
    url = f"{scheme}://10.96.7.8:3306"
    args = ("mysql-sidecar", SERVICE, "--source", "static:db-1=127.0.0.1:3306")
    env = {**ALL, **PASSWORDS, PORT_VARIABLE: url, "PEERDISCO_MYSQL_LISTEN": "127.0.0.1:0"}
    with running(*args, env=env) as sidecar:
        said = sidecar.complaint()
        assert f"ignoring PEERDISCO_MYSQL_PORT={url}" in said
        assert "Service 'peerdisco-mysql'" in said
        assert "--port" in said
        assert "listening" in sidecar.complaint()


@pytest.mark.parametrize("value", ["tcp", "0", "65536", "http://10.96.7.8:80"])
def test_another_value_is_refused(value: str) -> None:
    args = ("mysql-sidecar", SERVICE, "--source", "static:db-1=127.0.0.1:3306")
    done = peerdisco(*args, env={**PASSWORDS, PORT_VARIABLE: value})
    assert done.status == 2
    assert PORT_VARIABLE in done.complaint
