"""The recipes of the examples, built where no registry can be reached.

Each `Dockerfile` is taken as it is. Its base images are made of this machine's Python, and the
wheels that ``pip`` gets are made of this repository and of what is installed here. The lock file is
the only one that is replaced: it has the hashes of these wheels.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

import docker
import docker.errors
from packaging.requirements import Requirement

from . import images

EXAMPLES = images.REPOSITORY / "examples"
WHEELS = "wheels"
SLIM = "peerdisco-test/python-slim:latest"
DISTROLESS = "peerdisco-test/python-distroless:latest"
TOOLS = ("sh", "dirname", "mv", "cp", "cat", "rm", "mkdir")
"""What the scripts of the examples start, and the recipes themselves."""

INTERPRETER = Path(os.path.realpath(sys.executable))
STDLIB = Path(sysconfig.get_path("stdlib"))
UNWANTED = ("site-packages", "dist-packages", "__pycache__", "test", "idlelib", "ensurepip",
            "tkinter", "turtledemo", "lib2to3", "EXTERNALLY-MANAGED")  # fmt: skip
NOT_DISTROLESS = ("ctypes", "pydoc_data", "venv")
"""What the distroless Python leaves out, or what nothing there can use."""


@dataclass(frozen=True)
class Recipe:
    """One Dockerfile, and how it is built.

    Args:
        file: Below `examples`.
        context: The directory that is sent to the engine, below `examples`.
        lock: The lock file, below `examples`.
        extra: The extra of peerdisco that the lock file is for.
        arguments: The base image of each build argument.
    """

    file: str
    context: str
    lock: str
    extra: str
    arguments: dict[str, str]

    def build(self, client: docker.DockerClient, wheels: Path, place: Path) -> str:
        """Build it; the name of the image."""
        shutil.copytree(EXAMPLES / self.context, place / "context", dirs_exist_ok=True)
        relative = Path(self.file).relative_to(self.context)
        lock = place / "context" / Path(self.lock).relative_to(self.context)
        lock.write_text(locked(closure(self.extra), wheels))
        tag = f"peerdisco-test/{relative.name.lower()}-{self.extra or 'plain'}:latest"
        client.images.build(
            path=str(place / "context"), dockerfile=str(relative), tag=tag, rm=True,
            forcerm=True, network_mode="none", buildargs=self.arguments,
        )  # fmt: skip
        return tag


SIDECAR = Recipe("kubernetes/Dockerfile", ".", "kubernetes/requirements.txt", "", {"BASE": SLIM})
COMMAND = Recipe(
    "kubernetes/distroless.Dockerfile", ".", "kubernetes/requirements.txt", "",
    {"BUILD": SLIM, "BASE": DISTROLESS},
)  # fmt: skip
MYSQL = Recipe(
    "mysql/kubernetes/Dockerfile", "mysql/kubernetes", "mysql/kubernetes/requirements.txt",
    "mysql", {"BASE": SLIM},
)  # fmt: skip


def bases(client: docker.DockerClient, wheels: Path) -> None:
    """Make the images that the recipes begin with."""

    def slim(tar: tarfile.TarFile) -> None:
        images.base(tar)
        _python(tar, UNWANTED)
        _programs(tar, TOOLS)
        _pip(tar)
        for wheel in sorted(wheels.iterdir()):
            tar.add(wheel, f"{WHEELS}/{wheel.name}")

    def distroless(tar: tarfile.TarFile) -> None:
        images.base(tar)
        _python(tar, (*UNWANTED, *NOT_DISTROLESS))

    # Where pip puts commands, too.
    path = f"ENV PATH=/usr/local/bin:/usr/bin:/bin:{INTERPRETER.parent}"
    # A machine with a package index of its own configures pip in the same way.
    images.make(client, SLIM, slim, path, "ENV PIP_NO_INDEX=1", f"ENV PIP_FIND_LINKS=/{WHEELS}")
    images.make(client, DISTROLESS, distroless, path)


def missing() -> str | None:
    """Why the images cannot be made here; None if they can."""
    for name in (*TOOLS, "ldd"):
        if shutil.which(name) is None:
            return f"this machine has no {name}"
    if "pip" not in {one.name for one in Distribution.discover()}:
        return "this machine's environment has no pip to copy"
    return None


def make_wheels(place: Path) -> Path:
    """The wheels of peerdisco, as the release builds it, and of all that its recipes install."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", place],
        cwd=images.REPOSITORY, check=True, capture_output=True, timeout=100,
    )  # fmt: skip
    for one in closure("mysql").values():
        _repack(one, place)
    return place


def closure(extra: str) -> dict[str, Distribution]:
    """The distributions that peerdisco with this extra needs, without itself."""
    found: dict[str, Distribution] = {}
    wanted, seen = [("peerdisco", extra)], {("peerdisco", extra)}
    while wanted:
        name, extra = wanted.pop()
        found[name] = distribution(name)
        needed = set(_needs(found[name], extra)) - seen
        seen |= needed
        wanted += needed
    del found["peerdisco"]
    return found


def _needs(one: Distribution, extra: str) -> Iterator[tuple[str, str]]:
    """The names of what it needs with this extra, each with an extra of its own or ""."""
    for requirement in map(Requirement, one.requires or ()):
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            name = requirement.name.lower().replace("_", "-")
            yield name, ""
            yield from ((name, inner) for inner in requirement.extras)


def locked(distributions: dict[str, Distribution], wheels: Path) -> str:
    """The lock file for these wheels, as `make lock` writes it."""
    lines = []
    for name, one in sorted(distributions.items()):
        (wheel,) = wheels.glob(f"{_file_name(one)}-*.whl")
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        lines.append(f"{name}=={one.version} \\\n    --hash=sha256:{digest}\n")
    return "".join(lines)


def _file_name(one: Distribution) -> str:
    return f"{one.name.replace('-', '_').lower()}-{one.version}"


def _repack(one: Distribution, place: Path) -> None:
    """Make a wheel of what is installed."""
    tags = [line.split()[1] for line in (one.read_text("WHEEL") or "").splitlines()
            if line.startswith("Tag:")]  # fmt: skip
    with zipfile.ZipFile(place / f"{_file_name(one)}-{tags[0]}.whl", "w") as archive:
        for file in one.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                archive.write(str(one.locate_file(file)), str(file))


def _python(tar: tarfile.TarFile, unwanted: tuple[str, ...]) -> None:
    """This machine's interpreter, its standard library, and the libraries that they load."""

    def wanted(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        parts = Path(member.name).parts
        out = any(part in unwanted or part.startswith("config-") for part in parts)
        return None if out or member.name.endswith(".a") else _roots(member)

    _directories(tar, STDLIB.parent)
    tar.add(STDLIB, str(STDLIB).lstrip("/"), filter=wanted)
    _file(tar, INTERPRETER)
    for name in ("python3", "python"):
        images.add(tar, f"usr/local/bin/{name}", type=tarfile.SYMTYPE, linkname=str(INTERPRETER))
    _libraries(tar, (INTERPRETER, *STDLIB.glob("lib-dynload/*.so")))


def _programs(tar: tarfile.TarFile, names: tuple[str, ...]) -> None:
    found = [Path(shutil.which(name) or name) for name in names]
    for path in found:
        # Below /usr, where /bin leads.
        member = tar.gettarinfo(str(path.resolve()), f"usr/bin/{path.name}")
        with path.open("rb") as file:
            tar.addfile(_roots(member), file)
    _libraries(tar, found)


def _pip(tar: tarfile.TarFile) -> None:
    """The packages' installer, where the interpreter finds it."""
    site = subprocess.run(
        [INTERPRETER, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True, capture_output=True, text=True, timeout=20,
    ).stdout.strip()  # fmt: skip
    one = distribution("pip")
    for file in one.files or ():
        if ".." not in file.parts and "__pycache__" not in file.parts:
            tar.add(str(one.locate_file(file)), f"{site}/{file}".lstrip("/"), filter=_roots)
    images.add(tar, "usr/local/bin/pip", b'#!/bin/sh\nexec python3 -m pip "$@"\n', mode=0o755)


def _libraries(tar: tarfile.TarFile, programs: Iterable[Path]) -> None:
    # Where the loader looks for them, but not through the links /lib and /lib64.
    named = {path.parent.resolve() / path.name for path in _linked(programs)}
    present = {Path("/", name) for name in tar.getnames()}
    for path in sorted(named - present):
        _file(tar, path)


def _linked(programs: Iterable[Path]) -> Iterator[Path]:
    done = subprocess.run(
        ["ldd", *map(str, programs)], check=False, capture_output=True, text=True, timeout=60
    )
    for line in done.stdout.splitlines():
        for word in line.split():
            if word.startswith("/") and not word.endswith(":"):
                yield Path(word)


def _file(tar: tarfile.TarFile, path: Path) -> None:
    """A file with the content of what a link leads to."""
    _directories(tar, path.parent)
    member = tar.gettarinfo(str(path.resolve()), str(path).lstrip("/"))
    with path.open("rb") as file:
        tar.addfile(_roots(member), file)


def _directories(tar: tarfile.TarFile, path: Path) -> None:
    """Everything above may be entered by every user, also what is root's alone here."""
    present = set(tar.getnames())
    for directory in (*reversed(path.parents), path):
        name = str(directory).strip("/")
        if name and name not in present:
            images.add(tar, name, type=tarfile.DIRTYPE, mode=0o755)


def _roots(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Root's own, and for everybody to read."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = (member.mode & 0o755) | 0o444 | (0o111 if member.isdir() else 0)
    return member


def files_of(client: docker.DockerClient, image: str) -> list[tarfile.TarInfo]:
    """All that is in an image, as a container of it would have it."""
    container = client.containers.create(image, ["none"])
    try:
        content = io.BytesIO(b"".join(container.export()))
    finally:
        container.remove()
    with tarfile.open(fileobj=content) as tar:
        return tar.getmembers()


def configured(client: docker.DockerClient, image: str) -> dict[str, Any]:
    """The configuration of an image: its user, its entry point and its variables."""
    found: dict[str, Any] = client.api.inspect_image(image)["Config"]
    return found
