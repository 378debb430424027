"""The manifests of examples/mysql: valid, of one piece, and their commands really run."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from packaging.requirements import Requirement

from tests.cli.command import bare_environment
from tests.docs.markdown import ROOT
from tests.mysql.database import AWKWARD
from tests.mysql.evidence import Evidence
from tests.mysql.mariadb import MariaDB
from tests.mysql.pods import Network
from tests.mysql.sidecar import fetch
from tests.mysql.waiting import until

from .manifests import (
    BACKUP,
    BACKUP_FILES,
    FILES,
    MARIADB,
    MYSQL,
    OVERLAY,
    Document,
    Volumes,
    assert_base_can_be_pinned,
    assert_pip_checks_hashes,
    build,
    container,
    containers,
    named,
    of_kind,
    pods,
    sorted_lists,
    template,
)

DIRECTORIES = {
    "mariadb": MARIADB,
    "mariadb-backup": FILES,
    "mysql": OVERLAY,
    "backup": BACKUP,
    "backup-files": BACKUP_FILES,
}
JOBS = ("backup", "backup-files")
BUILT = {name: build(directory) for name, directory in DIRECTORIES.items()}
ALL = pytest.mark.parametrize("name", DIRECTORIES)
MADE_BY_HAND = {"mysql-copy": {"copy.pem"}}
"""The keys of Secrets that commands of the README make."""
DATABASES = pytest.mark.parametrize("name", ["mariadb", "mysql"])


def database(name: str) -> tuple[Document, Document]:
    """The StatefulSet, and its pods' specification."""
    statefulset = named(BUILT[name], "StatefulSet", "mysql")
    return statefulset, template(statefulset)["spec"]


@ALL
@pytest.mark.parametrize("version", ["1.29", "1.31", "1.33", "1.35"])
def test_manifests_are_valid(name: str, version: str) -> None:
    for document in BUILT[name]:
        kubernetes_validate.validate(document, version, strict=True)


@ALL
def test_kustomize_makes_what_is_tested_here(name: str) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("this machine has no kubectl: install it, and no cluster is needed")
    done = subprocess.run(
        ["kubectl", "kustomize", DIRECTORIES[name]],
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    # A generated name has a hash behind it, so that a change restarts the pods.
    text = re.sub(r"\b(mysql-(?:clone|config|backup))-[a-z0-9]{10}\b", r"\1", done.stdout)

    def key(document: Document) -> tuple[str, str]:
        return document["kind"], document["metadata"]["name"]

    made = sorted(yaml.safe_load_all(text), key=key)
    assert sorted_lists(made) == sorted_lists(sorted(BUILT[name], key=key))


@ALL
def test_what_is_named_is_there(name: str) -> None:
    documents = [*BUILT["mariadb"], *BUILT[name]] if name in JOBS else BUILT[name]
    claims = {claim["metadata"]["name"] for claim in of_kind(documents, "PersistentVolumeClaim")}
    claims |= {f"{claim}-mysql-0" for claim in claims_of(documents)}
    for pod in pods(BUILT[name]):
        volumes = {volume["name"] for volume in pod["volumes"]}
        if name not in JOBS:
            volumes |= claims_of(BUILT[name])
        mounted = {m["name"] for one in containers(pod) for m in one["volumeMounts"]}
        assert mounted == volumes, "what is not mounted, or not there"
        for volume in pod["volumes"]:
            if "configMap" in volume and not volume["configMap"].get("optional"):
                named(documents, "ConfigMap", volume["configMap"]["name"])
            if "secret" in volume:
                secret = volume["secret"]["secretName"]
                keys = MADE_BY_HAND.get(secret) or set(
                    named(documents, "Secret", secret)["stringData"]
                )
                assert {item["key"] for item in volume["secret"]["items"]} <= keys
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims
        for one in containers(pod):
            paths = [mount["mountPath"] for mount in one["volumeMounts"]]
            assert len(paths) == len(set(paths))
            for script in re.findall(
                r"/(?:clone|scripts)/(\S+\.sh)", " ".join(one.get("command", ()))
            ):
                source = "mysql-backup" if name in JOBS else "mysql-clone"
                assert script in named(documents, "ConfigMap", source)["data"]


def claims_of(documents: list[Document]) -> set[str]:
    """The volumes that the StatefulSet's pods get of their own."""
    (statefulset,) = of_kind(documents, "StatefulSet")
    return {claim["metadata"]["name"] for claim in statefulset["spec"]["volumeClaimTemplates"]}


@DATABASES
def test_services_select_the_pods_and_the_governing_one_lists_them_all(name: str) -> None:
    statefulset, pod = database(name)
    labels = template(statefulset)["metadata"]["labels"]
    ports = {
        port["name"]: port["containerPort"]
        for one in containers(pod)
        for port in one.get("ports", ())
    }
    assert ports == {"mysql": 3306, "health": 8080}
    services = {
        service["metadata"]["name"]: service["spec"] for service in of_kind(BUILT[name], "Service")
    }
    assert services.keys() == {"mysql", "mysql-write", "mysql-read"}
    for service in services.values():
        assert (
            service["selector"].items()
            <= {
                **labels,
                "statefulset.kubernetes.io/pod-name": "mysql-0",
            }.items()
        )
        assert all(port["targetPort"] in ports for port in service["ports"])
    governing = services[statefulset["spec"]["serviceName"]]
    assert governing["clusterIP"] == "None"
    assert governing["publishNotReadyAddresses"] is True
    assert not any(s.get("publishNotReadyAddresses") for n, s in services.items() if n != "mysql")
    assert statefulset["spec"]["selector"]["matchLabels"].items() <= labels.items()
    for kind in ("NetworkPolicy", "PodDisruptionBudget"):
        (document,) = of_kind(BUILT[name], kind)
        selector = document["spec"].get("podSelector") or document["spec"]["selector"]
        assert selector["matchLabels"].items() <= labels.items()
    for spread in pod["topologySpreadConstraints"]:
        assert spread["labelSelector"]["matchLabels"].items() <= labels.items()


@DATABASES
def test_first_start_is_of_all_pods_together(name: str) -> None:
    statefulset, pod = database(name)
    assert statefulset["spec"]["podManagementPolicy"] == "Parallel"
    environment = {v["name"]: v.get("value") for v in container(pod, "peerdisco")["env"]}
    assert environment["PEERDISCO_MYSQL_REPLICAS"] == str(statefulset["spec"]["replicas"])


@DATABASES
def test_readiness_is_the_sidecars_and_no_probe_asks_the_dns(name: str) -> None:
    _, pod = database(name)
    sidecar, server = container(pod, "peerdisco"), container(pod, "mysql")
    assert pod["initContainers"][-1] is sidecar, "the volume is filled before it starts"
    assert sidecar["restartPolicy"] == "Always"
    assert sidecar["command"] == ["peerdisco", "mysql-sidecar"]
    paths = {
        kind: (
            sidecar[f"{kind}Probe"]["httpGet"]["path"],
            sidecar[f"{kind}Probe"]["httpGet"]["port"],
        )
        for kind in ("startup", "liveness", "readiness")
    }
    assert paths == {
        "startup": ("/healthz", "health"),
        "liveness": ("/healthz", "health"),
        "readiness": ("/readyz", "health"),
    }
    assert "readinessProbe" not in server
    assert "livenessProbe" not in server
    assert server["startupProbe"]["tcpSocket"]["port"] == "mysql"


@ALL
def test_containers_may_do_no_more_than_they_must(name: str) -> None:
    for pod in pods(BUILT[name]):
        assert pod["automountServiceAccountToken"] is False
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] > 0
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        for one in containers(pod):
            assert one["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert one["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in one["resources"]["limits"]
            assert ":" in one["image"]
            assert not one["image"].endswith(":latest")
        for volume in pod["volumes"]:
            assert volume.get("secret", {}).get("defaultMode", 0o440) == 0o440


@DATABASES
def test_each_container_sees_the_passwords_that_it_needs(name: str) -> None:
    _, pod = database(name)
    keys = {
        volume["name"]: {item["key"] for item in volume["secret"]["items"]}
        for volume in pod["volumes"]
        if "secret" in volume
    }
    seen = {
        one["name"]: set().union(*(keys.get(m["name"], set()) for m in one["volumeMounts"]))
        for one in containers(pod)
    }
    assert seen == {
        "setup": {"local", "replication", "backup"},
        "find-source": {"replication"},
        "clone": {"backup"},
        "peerdisco": {"local", "replication"},
        "mysql": {"root"},
    }
    in_memory = {
        volume["name"]
        for volume in pod["volumes"]
        if volume.get("emptyDir", {}).get("medium") == "Memory"
    }
    assert {"initdb", "run"} <= in_memory, "files with passwords reach no disk"
    for one in containers(pod):
        for variable in one.get("env", ()):
            assert "PASSWORD" not in variable["name"] or variable["name"].endswith("_FILE")
            assert "secretKeyRef" not in variable.get("valueFrom", {})


@ALL
def test_variables_are_known_to_what_reads_them(name: str) -> None:
    documented = (ROOT / "docs" / "reference" / "environment.md").read_text()
    scripts = "".join(file.read_text() for file in sorted(MYSQL.rglob("*.sh")))
    for pod in pods(BUILT[name]):
        for one in containers(pod):
            for variable in one.get("env", ()):
                known = variable["name"]
                if known.startswith(("PEERDISCO_", "POD_")):
                    assert f"`{known}`" in documented, known
                elif known.startswith(("CLONE_", "BACKUP_", "PRIMARY_", "RESTORE_")):
                    assert known in scripts
                elif known.startswith(("MARIADB_", "MYSQL_")):
                    prefix = "MARIADB" if "mariadb" in one["image"] else "MYSQL"
                    assert known in {f"{prefix}_ROOT_PASSWORD_FILE", f"{prefix}_ROOT_HOST"}
                else:
                    assert known == "FLAVOUR"


def test_variants_differ_in_what_is_the_familys_own() -> None:
    for name, flavour in (("mariadb", "mariadb"), ("mysql", "mysql")):
        _, pod = database(name)
        images = {one["image"].partition(":")[0] for one in containers(pod)}
        assert images == {flavour, "registry.example.com/peerdisco-mysql"}
        assert container(pod, "clone")["image"] == container(pod, "mysql")["image"]
        assert container(pod, "clone")["command"] == ["sh", f"/clone/clone-{flavour}.sh"]
        setup = {v["name"]: v.get("value") for v in container(pod, "setup")["env"]}
        assert setup["FLAVOUR"] == flavour
        stops = container(pod, "mysql").get("lifecycle", {}).get("preStop", {}).get("exec")
        if flavour == "mysql":
            assert "SET GLOBAL offline_mode = ON" in stops["command"][-1]
        else:
            assert stops is None
    backup = container(pods(BUILT["backup"])[0], "dump")
    assert backup["image"] == container(database("mariadb")[1], "mysql")["image"]


def test_copies_of_files_are_made_by_the_servers_own_image_and_port() -> None:
    _, pod = database("mariadb-backup")
    server, serve, clone = (container(pod, name) for name in ("mysql", "serve", "clone"))
    assert server["image"] == serve["image"] == clone["image"]
    key = {"name": "copy-key", "mountPath": "/etc/peerdisco-copy", "readOnly": True}
    assert key in serve["volumeMounts"]
    assert key in clone["volumeMounts"]
    assert {"name": "backup-account", "mountPath": "/etc/peerdisco", "readOnly": True} in serve[
        "volumeMounts"
    ]
    (port,) = (one["containerPort"] for one in serve["ports"])
    assert f"STREAM_PORT:-{port}" in (MYSQL / "clone" / "common-stream.sh").read_text()
    policy = named(BUILT["mariadb-backup"], "NetworkPolicy", "mysql-copy")["spec"]
    own = {"podSelector": {"matchLabels": {"app": "mysql"}}}
    assert [rule["from"] for rule in policy["ingress"]] == [[own]]
    assert [rule["ports"][0]["port"] for rule in policy["egress"]] == [port]


def test_job_may_talk_to_the_database_and_to_nobody_else() -> None:
    (job,) = of_kind(BUILT["backup"], "CronJob")
    labels = template(job)["metadata"]["labels"]
    policy = named(BUILT["mariadb"], "NetworkPolicy", "mysql")["spec"]
    clients = policy["ingress"][0]["from"][1]["podSelector"]["matchLabels"]
    assert clients.items() <= labels.items()
    own = named(BUILT["backup"], "NetworkPolicy", "mysql-backup")["spec"]
    assert own["podSelector"]["matchLabels"].items() <= labels.items()
    ports = {port["port"] for rule in own["egress"] for port in rule["ports"]}
    assert ports == {53, 3306, 8080}
    # And, for backups of the files, to the containers that send them.
    files, copy = (
        named(BUILT["backup-files"], "NetworkPolicy", name)["spec"]
        for name in ("mysql-backup-files", "mysql-copy-backup")
    )
    assert files["podSelector"]["matchLabels"].items() <= labels.items()
    sender = container(database("mariadb-backup")[1], "serve")
    assert files["egress"][0]["ports"][0]["port"] == sender["ports"][0]["containerPort"]
    assert copy["ingress"][0]["ports"][0]["port"] == sender["ports"][0]["name"]
    assert copy["ingress"][0]["from"] == [{"podSelector": files["podSelector"]}]
    made, restored = of_kind(BUILT["backup-files"], "CronJob")
    assert restored["spec"]["suspend"] is True
    used = {container(template(made)["spec"], "dump")["image"], sender["image"]}
    assert used == {container(template(restored)["spec"], "restore")["image"]}


def test_image_is_small_and_pinned_and_not_roots() -> None:
    lines = (MYSQL / "kubernetes" / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    instructions = [line.split() for line in lines if line and not line.startswith("#")]
    assert_base_can_be_pinned(lines, r"python:3\.\d+-slim-\w+")
    (user,) = (words[0] for instruction, *words in instructions if instruction == "USER")
    _, pod = database("mariadb")
    context = pod["securityContext"]
    assert user == f"{context['runAsUser']}:{context['runAsGroup']}"
    assert ["ENTRYPOINT", '["peerdisco"]'] in instructions

    text = (MYSQL / "kubernetes" / "requirements.txt").read_text()
    pinned = re.findall(r"^([\w.-]+)==", text, re.MULTILINE)
    assert {canonical(name) for name in pinned} == closure("peerdisco", "mysql") - {"peerdisco"}
    assert_pip_checks_hashes(instructions)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(name: str, extra: str = "", seen: frozenset[str] = frozenset()) -> set[str]:
    """The distribution, and all that it needs."""
    found = {canonical(name)}
    for text in importlib.metadata.requires(name) or ():
        requirement = Requirement(text)
        needed = requirement.marker is None or requirement.marker.evaluate({"extra": extra})
        if needed and canonical(requirement.name) not in seen:
            extras = next(iter(requirement.extras), "")
            found |= closure(requirement.name, extras, seen | found)
    return found


# --- the containers of a pod, one after the other, as Kubernetes starts them

SMALL = "performance_schema = OFF\ninnodb_log_file_size = 4M\ninnodb_buffer_pool_size = 16M\n"


class PodOf:
    """A pod of the StatefulSet: its volumes, and a server that stands for the image's."""

    def __init__(
        self, network: Network, ordinal: int, bare: Path, passwords: dict[str, str]
    ) -> None:
        _, self.spec = database("mariadb")
        self.pod = network.pod(f"mysql-{ordinal}")
        self.data = network.directory / f"data-{ordinal}"
        self.data.mkdir()
        directory = network.directory / f"pod-{ordinal}"
        self.volumes = Volumes(
            BUILT["mariadb"], self.spec, directory, {"data": self.data}, passwords
        )
        for path in self.volumes.paths.values():
            network.own(path)
        self.identity = {
            "metadata.name": self.pod.name,
            "metadata.namespace": "default",
            "status.podIP": self.pod.address,
        }
        self.server = MariaDB(self.pod, network.directory / f"s{ordinal}", bare)
        self.server.datadir = self.data / "mysql"

    def popen(self, name: str) -> Any:
        command = self.volumes.command(container(self.spec, name), self.identity)
        return self.pod.popen(*command, env=environment())

    def init(self, name: str) -> str:
        """Run an init container to its end; what it said."""
        process = self.popen(name)
        _, said = process.popen.communicate(timeout=60)
        assert process.popen.returncode == 0, said
        return str(said)

    def config(self) -> str:
        directory = self.volumes.paths["conf-d"]
        return "".join(file.read_text() for file in sorted(directory.iterdir()))

    def start_server(self) -> None:
        """Do what the image does: fill an empty volume and run initdb's files, then start."""
        blank = not self.server.datadir.exists()
        self.server.config = f"{self.config()}\n{SMALL}"
        self.server.start()
        if blank:
            (accounts,) = self.volumes.paths["initdb"].iterdir()
            assert accounts.stat().st_mode & 0o077 == 0
            self.server.script(accounts.read_text())

    def ready(self) -> tuple[int, Document]:
        status, body = fetch(self.pod, "127.0.0.1:8080", "/readyz")
        return status, json.loads(body)


@pytest.fixture
def secrets() -> Iterator[dict[str, str]]:
    """The Secret; afterwards none of it may have been on a command line."""
    made = {
        key: f"{AWKWARD}{os.urandom(6).hex()}" for key in ("root", "local", "replication", "backup")
    }
    evidence = Evidence([value.removeprefix(AWKWARD) for value in made.values()])
    yield made
    assert not evidence.convict()


@pytest.mark.timeout(170)
def test_pods_become_a_database_by_what_the_manifests_say(
    bridge: Network, template: Path, secrets: dict[str, str]
) -> None:
    set_of = [PodOf(bridge, ordinal, template, secrets) for ordinal in range(3)]
    # The first start: the primary's volume stays empty, and so do those that find it empty.
    sidecars = []
    for one in set_of:
        one.init("setup")
        assert f"server_id = {100 + int(one.pod.name[-1])}\n" in one.config()
        said = one.init("find-source")
        if one is not set_of[0]:
            assert said == "clone: source: mysql-0.mysql.default.svc.cluster.local\n"
        assert "with an empty volume" in one.init("clone")
        sidecars.append(one.popen("peerdisco"))
        one.start_server()
    for one, role in zip(set_of, ("primary", "replica", "replica"), strict=True):
        until(lambda one=one: reachable(one)[0] == 200, what=f"{one.pod.name} is ready")
        assert reachable(one)[1]["role"] == role
    set_of[0].server.sql("CREATE SCHEMA shop", "CREATE TABLE shop.orders (n INT PRIMARY KEY)")

    # One more pod, when there is data: it is copied, and replicates.
    more = PodOf(bridge, 3, template, secrets)
    more.init("setup")
    assert "source: mysql-2." in more.init("find-source")
    said = more.init("clone")
    assert (
        said.splitlines()[-1] == "clone: done: copied from mysql-2.mysql.default.svc.cluster.local"
    )
    sidecars.append(more.popen("peerdisco"))
    more.start_server()
    until(lambda: reachable(more)[0] == 200, what="the new pod is ready")
    set_of[0].server.sql("INSERT INTO shop.orders VALUES (1)")
    for one in (*set_of, more):
        until(lambda one=one: one.server.sql("SELECT n FROM shop.orders") == [{"n": 1}])
    files = backed_up(bridge, secrets)
    assert [file.name.endswith(".sql.gz") for file in files] == [True]
    # The pod starts again: everything is there, and nothing is done again.
    more.init("setup")
    more.init("find-source")
    assert "holds data already" in more.init("clone")
    for sidecar in sidecars:
        sidecar.kill()


def backed_up(network: Network, secrets: dict[str, str]) -> list[Path]:
    """Run the job's containers in a pod of their own; the backups that there are then."""
    (spec,) = pods(BUILT["backup"])
    pod = network.pod("backup", publish=False)
    target = network.directory / "backups"
    documents = [*BUILT["mariadb"], *BUILT["backup"]]
    volumes = Volumes(documents, spec, network.directory / "job", {"backup": target}, secrets)
    for path in volumes.paths.values():
        network.own(path)
    for name in ("find-candidate", "dump"):
        identity = {"metadata.namespace": "default"}
        process = pod.popen(*volumes.command(container(spec, name), identity), env=environment())
        _, said = process.popen.communicate(timeout=60)
        assert process.popen.returncode == 0, said
    return list(target.iterdir())


def environment() -> dict[str, str]:
    path = [str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin"]
    return bare_environment({"PATH": os.pathsep.join(path)})


def reachable(one: PodOf) -> tuple[int, Document]:
    try:
        return one.ready()
    except (RuntimeError, ValueError):
        return 0, {}
