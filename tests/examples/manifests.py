"""The manifests of the examples, as kustomize makes them, and their containers run in pods."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .processes import EXAMPLES

MYSQL = EXAMPLES / "mysql"
MARIADB, FILES, OVERLAY, BACKUP, BACKUP_FILES = (
    MYSQL / "kubernetes" / "mariadb",
    MYSQL / "kubernetes" / "mariadb-backup",
    MYSQL / "kubernetes" / "mysql",
    MYSQL / "backup",
    MYSQL / "backup-files",
)
Document = dict[str, Any]


def build(directory: Path) -> list[Document]:
    """What ``kubectl kustomize`` prints, but for the order and the hashes behind names."""
    kustomization = yaml.safe_load((directory / "kustomization.yaml").read_text())
    assert kustomization.keys() <= {
        *("apiVersion", "kind", "resources", "components", "configMapGenerator", "images"),
        "patches",
    }
    documents: list[Document] = []
    for resource in kustomization.get("resources", ()):
        path = directory / resource
        documents += (
            build(path.resolve()) if path.is_dir() else yaml.safe_load_all(path.read_text())
        )
    for component in kustomization.get("components", ()):
        documents = with_component((directory / component).resolve(), documents)
    for generator in kustomization.get("configMapGenerator", ()):
        made = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": generator["name"]},
            "data": {file: (directory / file).read_text() for file in generator["files"]},
        }
        if generator.get("behavior") == "replace":
            documents.remove(named(documents, "ConfigMap", generator["name"]))
        documents.append(made)
    for patch in kustomization.get("patches", ()):
        change = yaml.safe_load((directory / patch["path"]).read_text())
        target = named(documents, change["kind"], change["metadata"]["name"])
        documents[documents.index(target)] = merged(target, change)
    for image in kustomization.get("images", ()):
        for spec in pods(documents):
            for container in containers(spec):
                name, _, _ = container["image"].rpartition(":")
                if name == image["name"]:
                    container["image"] = f"{name}:{image['newTag']}"
    return documents


def with_component(directory: Path, documents: list[Document]) -> list[Document]:
    """The documents after the patches of a component, each of which has a kind as its target."""
    component = yaml.safe_load((directory / "kustomization.yaml").read_text())
    assert component.keys() == {"apiVersion", "kind", "patches"}
    assert component["kind"] == "Component"
    for patch in component["patches"]:
        assert patch["target"].keys() == {"kind"}
        change = yaml.safe_load((directory / patch["path"]).read_text())
        del change["metadata"]["name"]
        documents = [
            merged(document, change) if document["kind"] == patch["target"]["kind"] else document
            for document in documents
        ]
    return documents


def merged(old: Any, new: Any) -> Any:
    """A strategic merge of what these patches hold: lists of things with a name or a path.

    As with kustomize, what is new comes before what was there.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(key for key in new if key not in old)]
        return {
            key: merged(old[key], new[key]) if key in old and key in new else {**old, **new}[key]
            for key in keys
        }
    if isinstance(old, list) and isinstance(new[0], dict):
        key = "mountPath" if "mountPath" in new[0] else "name"
        changes = {item[key]: item for item in new}
        kept = [
            merged(item, changes.pop(item[key])) if item[key] in changes else item for item in old
        ]
        result = [*changes.values(), *kept]
        return [item for item in result if not (isinstance(item, dict) and item.get("$patch"))]
    return new


def named(documents: list[Document], kind: str, name: str) -> Document:
    (found,) = (
        document
        for document in documents
        if (document["kind"], document["metadata"]["name"]) == (kind, name)
    )
    return found


def of_kind(documents: list[Document], kind: str) -> list[Document]:
    return [document for document in documents if document["kind"] == kind]


def template(document: Document) -> Document:
    """The pod's template in a StatefulSet or a CronJob."""
    spec = document["spec"]
    return spec["jobTemplate"]["spec"]["template"] if "jobTemplate" in spec else spec["template"]


def pods(documents: list[Document]) -> list[Document]:
    """The specifications of all pods."""
    return [
        template(document)["spec"]
        for document in documents
        if document["kind"] in ("StatefulSet", "CronJob")
    ]


def containers(pod: Document) -> list[Document]:
    return [*pod.get("initContainers", ()), *pod["containers"]]


def container(pod: Document, name: str) -> Document:
    (found,) = (one for one in containers(pod) if one["name"] == name)
    return found


def sorted_lists(value: Any) -> Any:
    """The same, with lists of named things in one order: kustomize has its own."""
    if isinstance(value, dict):
        return {key: sorted_lists(item) for key, item in value.items()}
    if isinstance(value, list):
        items = [sorted_lists(item) for item in value]
        if all(isinstance(item, dict) and "name" in item for item in items):
            return sorted(items, key=lambda item: str(item["name"]))
        return items
    return value


class Volumes:
    """The volumes of one pod as directories.

    Args:
        documents: With the ConfigMaps and Secrets in them.
        pod: The pod's specification.
        directory: Where they are made.
        claims: Directories for the claims, which outlive the pod.
        passwords: Instead of those in the Secret.
    """

    def __init__(
        self,
        documents: list[Document],
        pod: Document,
        directory: Path,
        claims: Mapping[str, Path],
        passwords: Mapping[str, str],
    ) -> None:
        self.paths = dict(claims)
        for volume in pod["volumes"]:
            path = self.paths.setdefault(volume["name"], directory / volume["name"])
            path.mkdir(parents=True, exist_ok=True)
            if volume.get("configMap", {}).get("optional"):
                continue
            if "configMap" in volume:
                made = named(documents, "ConfigMap", volume["configMap"]["name"])
                for name, text in made["data"].items():
                    (path / name).write_text(text)
            elif "secret" in volume:
                for item in volume["secret"]["items"]:
                    (path / item["path"]).write_text(passwords[item["key"]])

    def command(self, spec: Document, identity: Mapping[str, str]) -> list[str]:
        """What runs a container: its command, in a root directory that has its mounts.

        Everything else in that directory is this machine's.
        """
        script = [ROOT_DIRECTORY]
        for mount in spec.get("volumeMounts", ()):
            if mount["mountPath"] != "/tmp":  # where this repository may lie
                path = self.paths[mount["name"]] / mount.get("subPath", "")
                mode = "-o ro,bind" if mount.get("readOnly") else "--bind"
                script.append(f"mkdir -p $R{mount['mountPath']}")
                script.append(f"mount {mode} '{path}' $R{mount['mountPath']}")
        environment = [f"{name}={value}" for name, value in variables(spec, identity).items()]
        script.append('exec chroot $R env "$@"')
        shell = " && ".join(script)
        return ["unshare", "--mount", "sh", "-c", shell, "sh", *environment, *spec["command"]]


ROOT_DIRECTORY = """
R=$(mktemp -d) && mount -t tmpfs tmpfs $R && mkdir $R/run $R/etc &&
for e in /* /etc/*; do
    case $e in
        /run | /etc | /etc/peerdisco | /volume) ;;
        *)
            if [ -L $e ]; then cp -P $e $R$e
            elif [ -d $e ]; then mkdir -p $R$e && mount --rbind $e $R$e
            elif [ -e $e ]; then : >$R$e && mount --bind $e $R$e
            fi ;;
    esac || exit 1
done"""


def variables(spec: Document, identity: Mapping[str, str]) -> dict[str, str]:
    """The environment of a container: values, and what the downward API gives."""
    found = {}
    for variable in spec.get("env", ()):
        if "value" in variable:
            found[variable["name"]] = variable["value"]
        else:
            found[variable["name"]] = identity[variable["valueFrom"]["fieldRef"]["fieldPath"]]
    return found


def assert_base_can_be_pinned(lines: list[str], tag: str) -> None:
    """The base image is an argument, and the comments have the commands to pin that very tag."""
    first, second = [line for line in lines if line and not line.startswith("#")][:2]
    assert re.fullmatch(tag, first.removeprefix("ARG BASE="))
    assert second == "FROM $BASE"
    assert_can_be_pinned(lines, "BASE")


def assert_can_be_pinned(lines: list[str], argument: str) -> None:
    """The comments have the commands to pin the very tag that this build argument has."""
    (base,) = (
        line.removeprefix(f"ARG {argument}=")
        for line in lines
        if line.startswith(f"ARG {argument}=")
    )
    comments = [line for line in lines if line.startswith("#")]
    inspect = f"#   docker buildx imagetools inspect --format '{{{{.Manifest.Digest}}}}' {base}"
    assert inspect in comments
    assert f"#   --build-arg {argument}={base}@sha256:..." in comments


def assert_pip_checks_hashes(instructions: list[list[str]]) -> None:
    """Only peerdisco's own wheel is installed without a hash, and without dependencies."""
    run, *_ = (" ".join(words) for instruction, *words in instructions if instruction == "RUN")
    locked, own, *_ = (step.split() for step in run.split("&&"))
    assert {"--require-hashes", "--requirement"} <= set(locked)
    assert (own[:2], own[-1]) == (["pip", "install"], "peerdisco==0.1.0")
    assert sum("==" in word for word in own) == 1
    assert "--no-deps" in own
