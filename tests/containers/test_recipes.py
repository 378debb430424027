"""The images of the examples are built by each engine that this machine has, and run."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest

import peerdisco
from tests.mysql.waiting import until

from . import engine, recipes
from .recipes import COMMAND, MYSQL, SIDECAR

INSTALL = Path(__file__).parents[2] / "docs" / "how-to" / "install.md"
SOMEBODY = "12345:12345"
"""A user whom no file of the images knows."""

CONFINED: dict[str, Any] = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "user": SOMEBODY,
}
"""What the manifests demand of each container."""

pytestmark = pytest.mark.timeout(240)  # an engine, and three images


class Built:
    """The images, in one engine.

    Args:
        client: Of the engine.
        place: A directory for what is sent to it.
        stack: Ends the containers.
    """

    def __init__(self, client: docker.DockerClient, place: Path, stack: ExitStack) -> None:
        self.client = client
        self._stack = stack
        self._place = place
        self._wheels = place / "wheels"
        self._wheels.mkdir()
        recipes.bases(client, recipes.make_wheels(self._wheels))
        self._names: dict[str, str] = {}

    def image(self, recipe: recipes.Recipe) -> str:
        """The name of the image, which is built when it is first used."""
        if recipe.file not in self._names:
            place = self._place / f"recipe{len(self._names)}"
            self._names[recipe.file] = recipe.build(self.client, self._wheels, place)
        return self._names[recipe.file]

    def start(self, recipe: recipes.Recipe, *command: str, **keywords: Any) -> Any:
        """Start a container as the manifests do."""
        container = self.client.containers.run(
            self.image(recipe), list(command), detach=True, **CONFINED | keywords
        )
        self._stack.callback(self._remove, container)
        return container

    @staticmethod
    def _remove(container: Any) -> None:
        with suppress(docker.errors.NotFound):
            container.remove(force=True)

    def output(self, recipe: recipes.Recipe, *command: str, **keywords: Any) -> str:
        """What a container printed, which has to succeed."""
        container = self.start(recipe, *command, **{"network_mode": "none"} | keywords)
        status = container.wait(timeout=60)["StatusCode"]
        printed: str = container.logs().decode()
        assert status == 0, printed
        return printed

    def size(self, image: str) -> int:
        found: int = self.client.images.get(image).attrs["Size"]
        return found


@pytest.fixture(scope="module", params=["docker", "podman"])
def built(request: pytest.FixtureRequest) -> Iterator[Built]:
    if (reason := recipes.missing()) is not None:
        pytest.skip(reason)
    start = engine.engine if request.param == "docker" else engine.podman
    with ExitStack() as stack:
        place = stack.enter_context(tempfile.TemporaryDirectory(prefix="peerdisco-"))
        directory = Path(place) / "engine"
        directory.mkdir()
        try:
            url = stack.enter_context(start(directory))
        except engine.NoEngineError as error:
            pytest.skip(str(error))
        client = docker.DockerClient(url, version="auto")
        stack.callback(client.close)
        yield Built(client, Path(place), stack)


@pytest.mark.parametrize(
    "recipe",
    [
        COMMAND,
        pytest.param(SIDECAR, marks=pytest.mark.long),
        pytest.param(MYSQL, marks=pytest.mark.long),
    ],
    ids=lambda recipe: recipe.file,
)
def test_an_image_runs_as_a_user_that_is_not_root_and_compiles_nothing(
    built: Built, recipe: recipes.Recipe
) -> None:
    """A probe runs the command every few seconds, and can write no bytecode."""
    user = recipes.configured(built.client, built.image(recipe))["User"]
    assert re.fullmatch("[1-9][0-9]*:[1-9][0-9]*", user)
    lookup = ["peers", "a.b.svc.c", "--nameserver", "127.0.0.1:1", "--timeout", "0.1"]
    program = (
        "import os, sys, peerdisco.cli\n"
        "print(os.getuid(), os.getgid(), sep=':', flush=True)\n"
        f"assert peerdisco.cli.main({lookup}) == 2\n"
        "paths = [getattr(m, '__cached__', None) for m in sys.modules.values()]\n"
        "print([path for path in paths if path and not os.path.exists(path)], flush=True)\n"
        "assert peerdisco.cli.main(['--version']) == 0\n"
    )
    entry = ["python3", "-W", "error"]
    printed = built.output(recipe, "-c", program, entrypoint=entry, user=None)
    lines = [line for line in printed.splitlines() if not line.startswith("peerdisco: ")]
    assert lines == [user, "[]", f"peerdisco {peerdisco.__version__}"]


def test_the_command_alone_is_without_a_shell_and_an_installer(built: Built) -> None:
    names = [member.name for member in recipes.files_of(built.client, built.image(COMMAND))]
    assert "opt/peerdisco/peerdisco/__init__.py" in names
    last = {Path(name).name for name in names}
    assert not last & {"sh", "bash", "dash", "pip", "apt", "busybox"}
    with pytest.raises(docker.errors.APIError, match=r"not found|no such file"):
        built.start(COMMAND, "-c", "true", entrypoint=["sh"], network_mode="none")
    # Compiled once, in the image: nothing can be written when it runs.
    assert any("opt/peerdisco/peerdisco/__pycache__/" in name for name in names)
    assert not any(name.startswith("opt/peerdisco/bin/") for name in names)


@pytest.mark.long
def test_the_images_find_the_peers_and_write_the_role(built: Built) -> None:
    dns = built.start(COMMAND, "simulate", "--serve", "--port", "5300", network_mode="none")
    until(lambda: b"PEERDISCO_NAMESERVERS" in dns.logs(), what="the name server answers")
    beside: dict[str, Any] = {
        "network_mode": f"container:{dns.id}",
        "environment": {
            "PEERDISCO_NAMESERVERS": "127.0.0.1:5300",
            "PEERDISCO_SERVICE": "my-database.default.svc.cluster.local",
            "POD_NAME": "mysql-1",
            "POD_NAMESPACE": "default",
            "STATE_DIR": "/run/peerdisco",
        },
    }
    found = json.loads(built.output(COMMAND, "peers", "-o", "json", **beside))
    assert [peer["name"] for peer in found["peers"]] == ["mysql-0", "mysql-1", "mysql-2"]
    assert built.output(MYSQL, "primary", **beside) == "mysql-0\n"

    # Its entry point runs the scripts, which write the role and then the primary.
    sidecar = built.start(SIDECAR, tmpfs={"/run/peerdisco": "mode=1777"}, **beside)
    primary = "mysql-0.my-database.default.svc.cluster.local\n"
    until(lambda: content(sidecar, "primary") == primary, what="the primary is known")
    assert content(sidecar, "role") == "replica\n"
    for container in (sidecar, dns):
        container.stop(timeout=30)
        assert container.wait()["StatusCode"] == 0


def content(sidecar: Any, name: str) -> str:
    sidecar.reload()
    assert sidecar.status == "running", sidecar.logs().decode()
    found: str = sidecar.exec_run(["cat", f"/run/peerdisco/{name}"]).output.decode()
    return found


@pytest.mark.long
def test_the_guide_says_how_large_the_images_are(built: Built) -> None:
    """With PEERDISCO_REWRITE_DOCS=1 it writes the sizes that it finds."""
    text = INSTALL.read_text(encoding="utf-8")
    for recipe in (SIDECAR, COMMAND, MYSQL):
        base = recipe.arguments["BASE"]
        added = (built.size(built.image(recipe)) - built.size(base)) / 1e6
        row = re.compile(rf"(\| `examples/{re.escape(recipe.file)}` \|.*\| )([\d.]+)( MB \|)")
        (said,) = (float(match[2]) for match in row.finditer(text))
        if os.environ.get("PEERDISCO_REWRITE_DOCS") == "1":
            text = row.sub(rf"\g<1>{added:.1f}\g<3>", text)
            INSTALL.write_text(text, encoding="utf-8")
        else:
            assert said == pytest.approx(added, rel=0.25)
