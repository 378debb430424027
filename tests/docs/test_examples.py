"""The examples run, and their manifests are what Kubernetes takes."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from peerdisco import cli
from peerdisco.testing import ClusterDNS, StatefulSet
from tests.docs.markdown import ROOT

EXAMPLES = ROOT / "examples"
SHELL = EXAMPLES / "shell"
KUBERNETES = EXAMPLES / "kubernetes"
DEADLINE = 20.0


class Process:
    """A program whose output is read line by line, with a deadline."""

    def __init__(self, *command: str | Path, environment: dict[str, str]) -> None:
        self.popen = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert self.popen.stdout is not None
        self._stdout = self.popen.stdout
        self._rest = b""
        self.lines: list[str] = []

    def wait_for_line(self, pattern: str) -> str:
        """The next line that the pattern is found in."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdout, selectors.EVENT_READ)
            deadline = time.monotonic() + DEADLINE
            while True:
                line = self._next_line()
                if line is not None:
                    self.lines.append(line)
                    if re.search(pattern, line):
                        return line
                    continue
                assert selector.select(deadline - time.monotonic()), self._missing(pattern)
                chunk = os.read(self._stdout.fileno(), 65536)
                assert chunk, self._missing(pattern)
                self._rest += chunk

    def _next_line(self) -> str | None:
        line, newline, rest = self._rest.partition(b"\n")
        if not newline:
            return None
        self._rest = rest
        return line.decode()

    def _missing(self, pattern: str) -> str:
        return f"no line with {pattern!r} in:\n" + "\n".join(self.lines)

    def terminate(self) -> int:
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(DEADLINE)


@contextlib.contextmanager
def running(*command: str | Path, environment: dict[str, str]) -> Iterator[Process]:
    process = Process(*command, environment=environment)
    try:
        yield process
    finally:
        if process.popen.poll() is None:
            process.popen.kill()
        process.popen.wait()
        assert process.popen.stdout is not None
        process.popen.stdout.close()


# --- the simulation, which the tutorial and the examples send their readers to


def test_simulation_serves_what_the_tutorial_shows(environment: dict[str, str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve = ("peerdisco", "simulate", "--serve", "--port", str(port))
    with running(*serve, environment=environment) as simulation:
        simulation.wait_for_line("mysql-2 joined at 10.244.0.5")
        environment |= {"PEERDISCO_NAMESERVERS": f"127.0.0.1:{port}"}
        table = subprocess.run(
            ["peerdisco", "peers", "my-database"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stdout
        assert simulation.terminate() == 0
    assert table in (ROOT / "docs" / "tutorial" / "first-steps.md").read_text()


def test_demo_shows_what_the_readme_shows(environment: dict[str, str]) -> None:
    readme = (ROOT / "README.md").read_text()
    (excerpt,) = re.findall(r"^```text\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    demo = ("peerdisco", "simulate", "--plain", "--speed", "2")
    with running(*demo, environment=environment) as simulation:
        for line in excerpt.splitlines():
            simulation.wait_for_line(f"{re.escape(line.strip())}$")
        assert simulation.popen.wait(DEADLINE) == 0


# --- the asyncio application

APP = (sys.executable, EXAMPLES / "asyncio_app" / "app.py", "my-database", "--interval", "0.02")


def test_application_follows_the_membership_and_outlives_an_outage(
    cluster: ClusterDNS, mysql: StatefulSet, environment: dict[str, str]
) -> None:
    environment |= {"POD_NAME": "mysql-1"}
    with running(*APP, "--required", "3", environment=environment) as app:
        first = app.wait_for_line("peers:")
        assert first == (
            "mysql-1 (replica); peers: mysql-0, mysql-1, mysql-2; writes go to: mysql-0"
        )
        assert app.wait_for_line("write:") == "write: mysql-0 at 10.244.0.3:3306"
        assert app.wait_for_line("read:") == "read: mysql-2 at 10.244.0.5:3306"

        with cluster.fail("servfail"):
            app.wait_for_line("peers: mysql-0, mysql-1, mysql-2; .*; no answer, .*SERVFAIL")
            app.wait_for_line("^write: mysql-0 at")
        app.wait_for_line("; answered again$")

        mysql.stop(0)
        app.wait_for_line("peers: mysql-1, mysql-2; writes go to: nobody$")
        app.wait_for_line("^write: nobody to ask now$")
        mysql.start(0)
        app.wait_for_line("writes go to: mysql-0$")
        app.wait_for_line("^write: mysql-0 at 10.244.0.6:3306$")
        mysql.restart(2)
        app.wait_for_line("; mysql-2 is at 10.244.0.7 now$")

        assert app.terminate() == 0
        app.wait_for_line("^stopped$")


def test_application_waits_for_the_first_peers(
    cluster: ClusterDNS, environment: dict[str, str]
) -> None:
    with running(*APP, environment=environment) as app:
        wait_for(lambda: bool(cluster.queries))
        cluster.statefulset("mysql", service="my-database", replicas=1)
        app.wait_for_line(r"outside a pod \(not listed\); peers: mysql-0; writes go to: mysql-0")


def test_application_ends_when_its_peers_do_not_come(environment: dict[str, str]) -> None:
    with running(*APP, "--timeout", "0.2", environment=environment) as app:
        assert app.wait_for_line("") == "app: waited 0.2 s for 1 peer; there was: nobody"
        assert app.popen.wait(DEADLINE) == 1


def test_application_says_in_one_line_what_is_set_up_wrongly(environment: dict[str, str]) -> None:
    environment |= {"PEERDISCO_NAMESERVERS": "not-an-address"}
    with running(*APP, environment=environment) as app:
        assert app.wait_for_line("").startswith("app: PEERDISCO_NAMESERVERS: got 'not-an-address'")
        assert app.popen.wait(DEADLINE) == 1


def test_application_tests_pass() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider"),
            *("-o", "addopts=", "-o", "pythonpath=examples/asyncio_app"),
            "examples/asyncio_app",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


# --- the shell scripts


def role(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", SHELL / "role.sh", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.fixture
def state(tmp_path: Path, environment: dict[str, str]) -> Path:
    environment |= {"STATE_DIR": str(tmp_path), "POD_NAME": "mysql-1", "POD_IP": "10.244.0.4"}
    return tmp_path


def content(state: Path) -> dict[str, str]:
    return {file.name: file.read_text().strip() for file in state.iterdir()}


REPLICA = {"role": "replica", "primary": "mysql-0.my-database.default.svc.cluster.local"}


@pytest.mark.usefixtures("mysql")
def test_role_of_a_replica_and_of_the_primary(state: Path, environment: dict[str, str]) -> None:
    done = role(environment, "my-database")
    assert (done.returncode, done.stderr) == (0, "")
    assert content(state) == REPLICA
    environment |= {"POD_NAME": "mysql-0", "POD_IP": "10.244.0.3"}
    assert role(environment, "my-database").returncode == 0
    assert content(state) == {**REPLICA, "role": "primary"}


@pytest.mark.usefixtures("mysql")
def test_role_takes_the_service_from_the_environment(
    state: Path, environment: dict[str, str]
) -> None:
    environment |= {"PEERDISCO_SERVICE": "my-database"}
    assert role(environment).returncode == 0
    assert content(state) == REPLICA


def test_role_keeps_what_it_knew_during_an_outage(
    cluster: ClusterDNS, mysql: StatefulSet, state: Path, environment: dict[str, str]
) -> None:
    role(environment, "my-database")
    with cluster.fail("servfail"):
        done = role(environment, "my-database")
        assert done.returncode == 1
        assert "SERVFAIL" in done.stderr
        assert content(state) == REPLICA
    mysql.stop(0)  # status 3
    done = role(environment, "my-database")
    assert done.returncode == 1
    assert "ordinal 0 is not listed" in done.stderr
    assert content(state) == REPLICA
    mysql.scale(0)  # NXDOMAIN: 3 again
    assert role(environment, "my-database").returncode == 1
    assert content(state) == REPLICA


def test_role_keeps_what_it_knew_of_a_list_that_is_cut(
    cluster: ClusterDNS, mysql: StatefulSet, state: Path, environment: dict[str, str]
) -> None:
    role(environment, "my-database")
    mysql.stop(0)
    cluster.fail("truncate")  # status 4: the rest may hold ordinal 0
    done = role(environment, "my-database")
    assert done.returncode == 1
    assert "may lack pods" in done.stderr
    assert content(state) == REPLICA


@pytest.mark.usefixtures("mysql")
def test_role_is_not_primary_by_name_alone(state: Path, environment: dict[str, str]) -> None:
    environment |= {"POD_NAME": "mysql-0", "POD_IP": "10.244.9.9"}
    done = role(environment, "my-database")
    assert done.returncode == 1
    assert "cannot tell" in done.stderr
    assert "role" not in content(state)


def test_role_says_where_it_cannot_write(environment: dict[str, str]) -> None:
    environment |= {"STATE_DIR": "/nowhere/at/all"}
    done = role(environment, "my-database")
    assert done.returncode == 2
    assert "STATE_DIR" in done.stderr


def test_follow_goes_on_until_it_is_told_to_stop(
    cluster: ClusterDNS, mysql: StatefulSet, state: Path, environment: dict[str, str]
) -> None:
    outage = cluster.fail("servfail")
    command = ("sh", SHELL / "follow.sh", "my-database", "--verbose")
    with running(*command, environment=environment) as follow:
        follow.wait_for_line("the on-change hook waits: there was no answer yet: .*SERVFAIL")
        outage.remove()
        follow.wait_for_line("the on-change hook runs: 3 peers")
        wait_for(lambda: content(state) == REPLICA)
        mysql.restart(2)
        follow.wait_for_line("the on-change hook runs: 3 peers")

        with cluster.fail("servfail"):
            follow.wait_for_line("the peers are as they were last seen: .*SERVFAIL")
            assert content(state) == REPLICA
        follow.wait_for_line("looks are answered again")

        mysql.stop(0)
        follow.wait_for_line("the on-change hook runs: 2 peers")
        follow.wait_for_line("ordinal 0 is not listed")
        follow.wait_for_line("the on-change hook failed .* exited with status 1; again in")
        mysql.start(0)
        follow.wait_for_line("the on-change hook runs: 3 peers")
        assert follow.terminate() == 0
    assert content(state) == REPLICA


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("script", sorted(SHELL.glob("*.sh")), ids=lambda script: script.name)
def test_scripts_are_posix_shell(script: Path) -> None:
    assert script.read_text().startswith("#!/bin/sh\n")
    assert os.access(script, os.X_OK)
    for shell in filter(None, map(shutil.which, ("sh", "dash", "bash", "busybox"))):
        command = [shell, "sh", "-n"] if shell.endswith("busybox") else [shell, "-n"]
        subprocess.run([*command, script], check=True, timeout=10)


@pytest.mark.parametrize(
    "file",
    [file for file in sorted(EXAMPLES.rglob("*")) if file.suffix in {".sh", ".md"}],
    ids=lambda file: str(file.relative_to(EXAMPLES)),
)
def test_commands_that_are_named_exist(file: Path) -> None:
    named = re.findall(
        r"(?:^|[$(;] |\$\(|-- )peerdisco ([a-z][-a-z]*)", file.read_text(), re.MULTILINE
    )
    assert set(named) <= set(cli._COMMANDS), file


# --- the manifests


def manifests() -> dict[str, dict]:
    documents = yaml.safe_load_all((KUBERNETES / "my-database.yaml").read_text())
    return {document["kind"]: document for document in documents}


def init_containers() -> tuple[dict, dict]:
    """The sidecar, and the one that waits."""
    sidecar, waiting = manifests()["StatefulSet"]["spec"]["template"]["spec"]["initContainers"]
    return sidecar, waiting


@pytest.mark.parametrize("version", ["1.29", "1.31", "1.33", "1.35"])
@pytest.mark.parametrize("kind", ["Service", "Secret", "StatefulSet"])
def test_manifests_are_valid(kind: str, version: str) -> None:
    kubernetes_validate.validate(manifests()[kind], version, strict=True)


def test_manifests_belong_together() -> None:
    service, statefulset = manifests()["Service"], manifests()["StatefulSet"]
    spec, template = statefulset["spec"], statefulset["spec"]["template"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert spec["serviceName"] == service["metadata"]["name"] == "my-database"
    for selector in (service["spec"]["selector"], spec["selector"]["matchLabels"]):
        assert selector.items() <= template["metadata"]["labels"].items()

    pod = template["spec"]
    (mysql,) = pod["containers"]
    (port,) = service["spec"]["ports"]
    assert port["port"] == mysql["ports"][0]["containerPort"] == 3306
    secret = manifests()["Secret"]
    for variable in mysql["env"]:
        reference = variable["valueFrom"]["secretKeyRef"]
        assert reference["name"] == secret["metadata"]["name"]
        assert reference["key"] in secret["stringData"]

    volumes = {volume["name"] for volume in pod["volumes"]}
    volumes |= {claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]}
    for container in (mysql, *pod["initContainers"]):
        assert {mount["name"] for mount in container.get("volumeMounts", ())} <= volumes
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True


def test_sidecar_is_one_and_knows_who_it_is() -> None:
    statefulset = manifests()["StatefulSet"]
    sidecar, _ = init_containers()
    assert sidecar["restartPolicy"] == "Always"
    fields = {
        variable["name"]: variable["valueFrom"]["fieldRef"]["fieldPath"]
        for variable in sidecar["env"]
        if "valueFrom" in variable
    }
    assert fields == {
        "POD_NAME": "metadata.name",
        "POD_NAMESPACE": "metadata.namespace",
        "POD_IP": "status.podIP",
    }
    values = {v["name"]: v["value"] for v in sidecar["env"] if "value" in v}
    assert values["PEERDISCO_SERVICE"] == statefulset["spec"]["serviceName"]
    mounts = {mount["mountPath"] for mount in sidecar["volumeMounts"]}
    assert values["STATE_DIR"] in mounts


@pytest.mark.usefixtures("mysql")
def test_init_container_waits_for_what_can_come(environment: dict[str, str]) -> None:
    spec = manifests()["StatefulSet"]["spec"]
    _, waiting = init_containers()
    assert spec["podManagementPolicy"] == "Parallel", "it would wait for ever"
    assert manifests()["Service"]["spec"]["publishNotReadyAddresses"] is True
    command = waiting["command"]
    assert command[:4] == ["peerdisco", "wait", "--quorum", str(spec["replicas"])]
    values = {v["name"]: v["value"] for v in waiting["env"] if "value" in v}
    stable = command.index("--stable-for") + 1
    quick = [*command[:stable], "0.2", *command[stable + 1 :]]
    done = subprocess.run(
        quick, env=environment | values, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.split() == ["mysql-0", "mysql-1", "mysql-2"]


def test_image_holds_what_the_sidecar_runs() -> None:
    lines = (KUBERNETES / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    instructions = [line.split() for line in lines if line and not line.startswith("#")]
    copied = {
        word
        for instruction, *words in instructions
        if instruction == "COPY"
        for word in words[:-1]
        if not word.startswith("--")
    }
    assert copied == {"shell/role.sh", "shell/follow.sh"}
    assert all((EXAMPLES / file).is_file() for file in copied)
    users = [words[0] for instruction, *words in instructions if instruction == "USER"]
    assert users, "the image runs as root"
    assert users[-1].partition(":")[0].isdigit(), "runAsNonRoot needs a number"
    assert users[-1].partition(":")[0] != "0"
    assert instructions[-1] == ["ENTRYPOINT", '["/opt/peerdisco/follow.sh"]']


def test_kustomization_names_what_there_is() -> None:
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    assert all((KUBERNETES / file).is_file() for file in kustomization["resources"])
    (image,) = kustomization["images"]
    for container in init_containers():
        assert container["image"].rpartition(":")[0] == image["name"]
