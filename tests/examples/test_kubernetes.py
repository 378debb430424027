"""The manifests of examples/kubernetes are what Kubernetes takes, and belong together."""

from __future__ import annotations

import copy
import re
import subprocess
from collections.abc import Callable
from typing import Any

import kubernetes_validate
import pytest
import yaml

from .manifests import (
    BACKUP,
    MARIADB,
    OVERLAY,
    Document,
    assert_base_can_be_pinned,
    assert_can_be_pinned,
    assert_pip_checks_hashes,
    build,
    container,
    named,
    pods,
)
from .pod_security import violations
from .processes import EXAMPLES

KUBERNETES = EXAMPLES / "kubernetes"
EXISTING = KUBERNETES / "existing"
TUTORIAL = EXAMPLES.parent / "docs" / "tutorial" / "in-a-cluster.md"


def manifests() -> dict[str, dict]:
    return {
        document["kind"]: document
        for name in ("my-database.yaml", "network-policy.yaml")
        for document in yaml.safe_load_all((KUBERNETES / name).read_text())
    }


def init_containers() -> tuple[dict, dict]:
    """The sidecar, and the one that waits."""
    sidecar, waiting = manifests()["StatefulSet"]["spec"]["template"]["spec"]["initContainers"]
    return sidecar, waiting


@pytest.mark.parametrize("version", ["1.29", "1.31", "1.33", "1.35"])
@pytest.mark.parametrize("kind", ["Service", "Secret", "StatefulSet", "NetworkPolicy"])
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
    for one in (mysql, *pod["initContainers"]):
        assert {mount["name"] for mount in one.get("volumeMounts", ())} <= volumes
        assert one["securityContext"]["allowPrivilegeEscalation"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True


def test_network_policy_lets_the_pods_reach_each_other_and_the_cluster_dns_alone() -> None:
    policy = manifests()["NetworkPolicy"]["spec"]
    template = manifests()["StatefulSet"]["spec"]["template"]
    (port,) = manifests()["Service"]["spec"]["ports"]
    own = policy["podSelector"]["matchLabels"]
    assert own.items() <= template["metadata"]["labels"].items()
    assert policy["policyTypes"] == ["Ingress", "Egress"]

    (ingress,) = policy["ingress"]
    assert ingress["ports"] == [{"port": port["port"], "protocol": "TCP"}]
    peers, clients = (source["podSelector"]["matchLabels"] for source in ingress["from"])
    assert peers == own
    assert not clients.items() <= template["metadata"]["labels"].items()

    dns, to_peers = policy["egress"]
    assert {(p["port"], p["protocol"]) for p in dns["ports"]} == {(53, "UDP"), (53, "TCP")}
    (name_server,) = dns["to"]
    # Both in one entry: the pods of the cluster DNS, and no others of that namespace.
    assert set(name_server) == {"namespaceSelector", "podSelector"}
    assert to_peers["to"] == [{"podSelector": {"matchLabels": own}}]
    assert to_peers["ports"] == ingress["ports"]
    assert all(rule["to"] for rule in policy["egress"]), "a rule without 'to' allows every address"


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
    assert_base_can_be_pinned(lines, r"python:3\.\d+-slim")
    assert copied == {"kubernetes/requirements.txt", "shell/role.sh", "shell/follow.sh"}
    assert_pip_checks_hashes(instructions)
    assert all((EXAMPLES / file).is_file() for file in copied)
    users = [words[0] for instruction, *words in instructions if instruction == "USER"]
    assert users, "the image runs as root"
    assert users[-1].partition(":")[0].isdigit(), "runAsNonRoot needs a number"
    assert users[-1].partition(":")[0] != "0"
    assert instructions[-1] == ["ENTRYPOINT", '["/opt/peerdisco/follow.sh"]']


def test_the_image_of_the_command_alone_can_be_pinned_too() -> None:
    lines = (KUBERNETES / "distroless.Dockerfile").read_text().replace("\\\n", " ").splitlines()
    instructions = [line.split() for line in lines if line and not line.startswith("#")]
    assert_can_be_pinned(lines, "BUILD")
    assert_can_be_pinned(lines, "BASE")
    assert_pip_checks_hashes(instructions)
    assert [words for instruction, *words in instructions if instruction == "FROM"] == [
        ["$BUILD", "AS", "build"],
        ["$BASE"],
    ]
    # The Python of both: Debian 13 has 3.13.
    arguments = [words[0] for instruction, *words in instructions if instruction == "ARG"]
    assert [re.findall(r"3\.13-slim-trixie|debian13", text) for text in arguments] == [
        ["3.13-slim-trixie"],
        ["debian13"],
    ]
    users = [words[0] for instruction, *words in instructions if instruction == "USER"]
    assert users == ["0:0", "65532:65532"]


def test_the_scripts_are_programs_before_they_are_copied() -> None:
    """No recipe sets their mode, which old builders cannot."""
    for name in ("role.sh", "follow.sh"):
        assert (EXAMPLES / "shell" / name).stat().st_mode & 0o111 == 0o111


def test_kustomization_names_what_there_is() -> None:
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    assert all((KUBERNETES / file).is_file() for file in kustomization["resources"])
    (image,) = kustomization["images"]
    for one in init_containers():
        assert one["image"].rpartition(":")[0] == image["name"]


# The sidecar, added to a StatefulSet that exists.


def test_a_patch_of_ten_lines_adds_the_sidecar() -> None:
    patch = (EXISTING / "patch.yaml").read_text()
    assert len(patch.splitlines()) == 10
    assert patch in (EXAMPLES.parent / "docs" / "how-to" / "sidecar.md").read_text()
    (before,) = (
        document
        for document in yaml.safe_load_all((EXISTING / "statefulset.yaml").read_text())
        if document["kind"] == "StatefulSet"
    )
    after = named(build(EXISTING), "StatefulSet", "cache")
    kubernetes_validate.validate(after, "1.33", strict=True)
    pod = after["spec"]["template"]["spec"]
    # First, so that it runs before the other init containers and beside all of them.
    assert [one["name"] for one in pod["initContainers"]] == ["peerdisco", "prepare"]
    assert {"name": "peers", "mountPath": "/run/peerdisco", "readOnly": True} in container(
        pod, "cache"
    )["volumeMounts"]
    # Nothing of the StatefulSet is lost or changed.
    rest = copy.deepcopy(after)
    spec = rest["spec"]["template"]["spec"]
    spec["initContainers"].remove(container(spec, "peerdisco"))
    del spec["volumes"]
    container(spec, "cache")["volumeMounts"] = [
        mount for mount in container(spec, "cache")["volumeMounts"] if mount["name"] != "peers"
    ]
    assert rest == before


def test_the_added_sidecar_is_that_of_the_whole_example() -> None:
    """But for the service, which it finds itself, and what the pod says of the user there."""
    added = container(pods(build(EXISTING))[0], "peerdisco")
    sidecar, _ = init_containers()
    assert [v for v in sidecar["env"] if v["name"] != "PEERDISCO_SERVICE"] == added["env"]
    context = {**sidecar.pop("securityContext"), "runAsNonRoot": True, "runAsUser": 65534}
    assert added.pop("securityContext") == {**context, "seccompProfile": {"type": "RuntimeDefault"}}
    assert {**sidecar, "env": added["env"]} == added


# Pod Security.


def tutorial() -> list[Document]:
    (block,) = re.findall(r"^```yaml\n(.*?)^```", TUTORIAL.read_text(), re.DOTALL | re.MULTILINE)
    return [*yaml.safe_load_all(block)]


@pytest.mark.parametrize(
    "documents",
    [
        pytest.param(tutorial, id="tutorial"),
        pytest.param(lambda: build(KUBERNETES), id="kubernetes"),
        pytest.param(lambda: build(EXISTING), id="existing"),
        pytest.param(lambda: build(MARIADB), id="mariadb"),
        pytest.param(lambda: build(OVERLAY), id="mysql"),
        pytest.param(lambda: [*yaml.safe_load_all(cron_job())], id="backup"),
    ],
)
def test_pods_pass_pod_security_restricted(documents: Callable[[], list[Document]]) -> None:
    found = pods(documents())
    assert found
    for pod in found:
        assert violations(pod) == []


def cron_job() -> str:
    (file,) = (path for path in BACKUP.glob("*.yaml") if "kind: CronJob" in path.read_text())
    return file.read_text()


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        (("hostNetwork",), True, "hostNetwork"),
        (("hostPID",), True, "hostPID"),
        (("volumes",), [{"name": "x", "hostPath": {"path": "/"}}], "volume x: hostPath"),
        (("securityContext", "runAsUser"), 0, "runAsUser"),
        (("securityContext", "seccompProfile"), {"type": "Unconfined"}, "seccompProfile"),
        (("securityContext", "sysctls"), [{"name": "kernel.msgmax"}], "sysctl kernel.msgmax"),
        (("securityContext", "runAsNonRoot"), None, "try-it: runAsNonRoot"),
        (("securityContext", "seccompProfile"), None, "try-it: seccompProfile"),
        (("containers", 0, "securityContext"), None, "try-it: allowPrivilegeEscalation"),
        (("containers", 0, "securityContext", "privileged"), True, "try-it: privileged"),
        (("containers", 0, "securityContext", "runAsUser"), 0, "try-it: runAsUser"),
        (
            ("containers", 0, "securityContext", "capabilities", "drop"),
            [],
            "try-it: capabilities.d",
        ),
        (("containers", 0, "securityContext", "capabilities", "add"), ["SYS_ADMIN"], "try-it: cap"),
        (("containers", 0, "ports", 0, "hostPort"), 3306, "try-it: hostPort"),
    ],
)
def test_a_pod_that_breaks_a_rule_is_rejected(
    path: tuple[str | int, ...], value: object, why: str
) -> None:
    (pod,) = pods(tutorial())
    inside: Any = pod
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    assert any(found.startswith(why) for found in violations(pod)), violations(pod)


def test_the_commands_of_the_tutorial_name_what_its_manifests_have() -> None:
    documents = tutorial()
    (statefulset,) = (one for one in documents if one["kind"] == "StatefulSet")
    (service,) = (one for one in documents if one["kind"] == "Service")
    name = statefulset["metadata"]["name"]
    assert statefulset["spec"]["serviceName"] == service["metadata"]["name"]
    assert (
        service["spec"]["selector"].items()
        <= statefulset["spec"]["template"]["metadata"]["labels"].items()
    )
    commands = re.findall(r"^\$ (kubectl .*)$", TUTORIAL.read_text(), re.MULTILINE)
    assert len(commands) > 8
    replicas = statefulset["spec"]["replicas"]
    for command in commands:
        for kind, named_set in re.findall(r"(statefulset)/(\S+)", command):
            assert (kind, named_set) == ("statefulset", name), command
        for pod in re.findall(r"(?:exec|delete pod) (\S+)", command):
            assert pod in {f"{name}-{ordinal}" for ordinal in range(replicas)}, command
        replicas = int(next(iter(re.findall(r"--replicas (\d+)", command)), replicas))
    for file in re.findall(r"--filename (\S+)", TUTORIAL.read_text()):
        assert f"Save this as `{file}`" in TUTORIAL.read_text()
