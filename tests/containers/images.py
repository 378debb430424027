"""Images where no registry can be reached: made of the Debian packages of this machine.

`skeleton` holds nothing but the directories into which this machine's ``/usr`` and this repository
are mounted. `mariadb` is whole: the files of the packages that MariaDB's server depends on.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import docker.errors

SKELETON = "peerdisco-test/skeleton:latest"
MARIADB = "peerdisco-test/mariadb:latest"
REPOSITORY = Path(__file__).parents[2]
PYTHON = sys.executable
PACKAGES = ("mariadb-server-core", "coreutils", "dash")
FIELDS = "${Package}\\t${Provides}\\t${Pre-Depends}, ${Depends}\\n"
UNWANTED = ("/usr/share/doc/", "/usr/share/man/", "/usr/share/locale/", "/usr/share/lintian/")
LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
DIRECTORIES = ("etc", "proc", "sys", "dev", "run", "var", "var/lib", "usr", "root")
NSSWITCH = "hosts: files dns\n"
ENTRYPOINT = Path(__file__).with_name("entrypoint.sh")


def mounts() -> dict[str, str]:
    """What a container of the skeleton needs to run what runs here: paths, the same in both."""
    wanted = {"/usr", str(REPOSITORY), sys.prefix, sys.base_prefix, "/etc/ld.so.cache"}
    paths = sorted(path for path in wanted if Path(path).exists())
    return {
        path: path
        for path in paths
        if not any(path != other and Path(path).is_relative_to(other) for other in paths)
    }


def give(path: Path, user: str) -> None:
    """Let "UID:GID" have a file or directory, if it is another's."""
    uid, gid = map(int, user.split(":"))
    if uid != os.geteuid():
        os.chown(path, uid, gid)


def skeleton(client: docker.DockerClient) -> str:
    """Make the image for what runs from this machine's files."""
    make(client, SKELETON, base)
    return SKELETON


def foreign(client: docker.DockerClient) -> str | None:
    """Why this machine's files do not run in the engine's containers; None if they do."""
    volumes = {here: {"bind": there, "mode": "ro"} for here, there in mounts().items()}
    try:
        client.containers.run(
            SKELETON, [PYTHON, "-c", "import peerdisco"], volumes=volumes, remove=True
        )
    except docker.errors.DockerException as error:
        return f"this machine has an engine that does not run its files: {error}"
    return None


def mariadb(client: docker.DockerClient, template: Path) -> str:
    """Make the image of MariaDB's server.

    Args:
        client: Of the engine.
        template: A data directory as a fresh server has it, with which a blank volume begins.
    """

    def fill(tar: tarfile.TarFile) -> None:
        base(tar)
        for path in _files(_closure(PACKAGES)):
            tar.add(path, arcname=path.lstrip("/"), recursive=False)
        tar.add(template, arcname="template", filter=_readable)
        tar.add(ENTRYPOINT, arcname="entrypoint.sh")

    make(client, MARIADB, fill, 'ENTRYPOINT ["sh", "/entrypoint.sh"]')
    return MARIADB


def mariadb_missing() -> str | None:
    """Why the image of MariaDB's server cannot be made here; None if it can."""
    if shutil.which("dpkg-query") is None:
        return "this machine has no Debian packages"
    if shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        return "mariadbd is not installed: apt-get install mariadb-server"
    return None


def _closure(names: tuple[str, ...]) -> set[str]:
    """The installed packages that these need, themselves included."""
    listed = subprocess.run(
        ["dpkg-query", "--show", f"--showformat={FIELDS}"],
        check=True, capture_output=True, text=True, timeout=20,
    ).stdout  # fmt: skip
    needs: dict[str, list[list[str]]] = {}
    providers: dict[str, str] = {}
    for line in listed.splitlines():
        package, provides, depends = line.split("\t")
        providers[package] = package
        for one in _names(provides):
            providers.setdefault(one, package)
        needs[package] = [_names(one, "|") for one in depends.split(",")]
    found: set[str] = set()
    wanted = list(names)
    while wanted:
        package = wanted.pop()
        if package in found:
            continue
        found.add(package)
        for alternatives in needs[package]:
            wanted += [providers[one] for one in alternatives if one in providers][:1]
    return found


def _names(text: str, separator: str = ",") -> list[str]:
    """The packages' names in a field: "libc6 (>= 2.34), perl:any" is ["libc6", "perl"]."""
    return [re.split(r"[ (:]", one.strip())[0] for one in text.split(separator) if one.strip()]


def _files(packages: set[str]) -> list[str]:
    """What the packages put below /usr, but for what nobody reads in a container."""
    listed = subprocess.run(
        ["dpkg-query", "--listfiles", *sorted(packages)],
        check=True, capture_output=True, text=True, timeout=20,
    ).stdout  # fmt: skip
    # Packages may still name /lib/..., which is a link to /usr/lib.
    named = (Path(line) for line in listed.splitlines() if line.startswith("/"))
    real = {str(path.parent.resolve() / path.name) for path in named}
    return sorted(
        path
        for path in real
        if path.startswith("/usr/") and not path.startswith(UNWANTED) and os.path.lexists(path)
    )


def base(tar: tarfile.TarFile) -> None:
    """Directories and links that every root file system has, and world-writable /tmp."""
    for name in DIRECTORIES:
        add(tar, name, type=tarfile.DIRTYPE, mode=0o755)
    add(tar, "tmp", type=tarfile.DIRTYPE, mode=0o1777)
    for name, target in LINKS.items():
        if Path("/", name).is_symlink():
            add(tar, name, type=tarfile.SYMTYPE, linkname=target)
    add(tar, "etc/nsswitch.conf", NSSWITCH.encode(), mode=0o644)


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", **fields: Any) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for field, value in fields.items():
        setattr(member, field, value)
    tar.addfile(member, io.BytesIO(content))


def _readable(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """For whoever the server runs as."""
    member.mode |= 0o555 if member.isdir() else 0o444
    return member


def make(
    client: docker.DockerClient, name: str, fill: Callable[[tarfile.TarFile], None], *changes: str
) -> None:
    with tempfile.NamedTemporaryFile(suffix=".tar") as file:
        with tarfile.open(fileobj=file, mode="w") as tar:
            fill(tar)
        file.flush()
        repository, _, tag = name.partition(":")
        client.api.import_image_from_file(
            file.name, repository=repository, tag=tag, changes=changes or None
        )
