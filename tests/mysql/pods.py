"""Pods: each with its own name, addresses, resolv.conf and hosts file, and a network between them.

Two networks. `Bridge` is what a cluster has: every pod has a network namespace of its own, and can
be cut off without a packet. `Loopback` has one network namespace with nothing but loopback in it,
of which every pod has an address, and is always made as an ordinary user makes it. Both work in a
user namespace, so neither needs root, and neither is connected to anything outside.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .dns import NetworkDNS
from .namespaces import Maker, Namespace, Process, best_user, ordinary_user, refusal

PORT = 3306

RESOLV_CONF = """\
nameserver {dns}
search default.svc.cluster.local svc.cluster.local cluster.local
options ndots:5
"""
HOSTS = """\
# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
{address}\t{fqdn}\t{name}
"""
NSSWITCH = "hosts: files dns\n"
"""Else a name server of this machine could be asked, over a socket that crosses namespaces."""


class Network:
    """Pods that can reach each other, and their DNS.

    Args:
        maker: Whose the namespaces are.
        directory: For the pods' files; its path has to be short, for the sockets in it.
        service: The headless service that governs the pods.
    """

    first: str
    """The addresses but for their last number; that of the DNS is 1."""

    def __init__(self, maker: Maker, directory: Path, service: str) -> None:
        self.maker = maker
        self.directory = directory
        user = ["--user", "--map-root-user"] if maker.user_namespace else []
        self._enter_user = ["--user", "--preserve-credentials"] if maker.user_namespace else []
        self.hub = Namespace(
            [*maker.before, "unshare", *user, "--mount", "--net"],
            self.setup(),
            [*self._enter_user, "--mount", "--net"],
            maker.before,
            forks=False,
        )
        self._pods: list[Pod] = []
        self._numbers = itertools.count(10)
        try:
            self.dns = NetworkDNS(self.hub.enter, f"{self.first}.1", service, PORT)
        except BaseException:
            self.hub.close()
            raise

    def setup(self) -> list[str]:
        """Shell commands that make the network."""
        raise NotImplementedError

    def pod(self, name: str, *, publish: bool = True) -> Pod:
        """Start a pod, with nothing in it.

        Args:
            name: Its host name; another pod may have it too.
            publish: Whether the DNS gives its address for its name at once.
        """
        number = next(self._numbers)
        pod = self.make(name, f"{self.first}.{number}", number)
        self._pods.append(pod)
        if publish:
            self.dns.publish(name, pod.address)
        return pod

    def make(self, name: str, address: str, number: int) -> Pod:
        raise NotImplementedError

    def hold(self, name: str, address: str, number: int, *kinds: str) -> Namespace:
        """The namespaces of a pod."""
        etc = self.directory / f"etc-{number}"
        etc.mkdir()
        files = {
            "resolv.conf": RESOLV_CONF.format(dns=self.dns.address),
            "hosts": HOSTS.format(address=address, fqdn=self.dns.fqdn(name), name=name),
            "nsswitch.conf": NSSWITCH,
        }
        for file, text in files.items():
            (etc / file).write_text(text)
        mounts = [f"mount --bind {etc / file} /etc/{file}" for file in files]
        own = ["--mount", "--uts", "--pid", *kinds]
        return Namespace(
            [*self.hub.enter, "unshare", *own, "--fork"],
            [*mounts, f"hostname {name}", "ip link set lo up" if kinds else ":"],
            [*self._enter_user, *own, *([] if kinds else ["--net"])],
            self.maker.before,
            forks=True,
        )

    def own(self, path: Path) -> None:
        """Give a file, and all below it, to the pods' user."""
        if self.maker.uid != os.getuid():
            for one in (path, *path.rglob("*")):
                os.chown(one, self.maker.uid, self.maker.uid, follow_symlinks=False)

    def close(self) -> None:
        for pod in self._pods:
            pod.close()
        self.dns.close()
        self.hub.close()


class Pod:
    """A pod. It has run since it was made; what runs in it is started with `popen`.

    Attributes:
        name: Its host name.
        address: Its address.
        bind: The address for servers in it that are to be reached.
    """

    def __init__(self, network: Network, namespace: Namespace, name: str, address: str) -> None:
        self.network = network
        self.name = name
        self.address = address
        self.bind = "0.0.0.0"
        self._namespace = namespace
        self._helper: Process | None = None
        self._lock = threading.Lock()

    def run(self, *command: str, timeout: float = 20) -> str:
        """Run a command in it that has to succeed; what it printed."""
        return self._namespace.run(*command, timeout=timeout)

    def popen(
        self, *command: str, env: Mapping[str, str] | None = None, stdin: int = subprocess.DEVNULL
    ) -> Process:
        """Start a command in it, with its output and its complaints in pipes."""
        return self._namespace.popen(command, env, stdin=stdin)

    def ask(self, line: str, *command: str) -> str:
        """Send a line to a command that answers each with a line; it is started once."""
        with self._lock:
            if self._helper is None or not self._helper.alive:
                self._helper = self._namespace.popen(command, stdin=subprocess.PIPE)
            answer = _asked(self._helper.popen, line)
        if not answer:
            raise RuntimeError(f"{self.name}: {line}: the command has ended")
        return answer

    def quietly(self, *command: str, log: Path) -> Process:
        """Start a command in it that writes into a file."""
        with log.open("a") as file:
            return self._namespace.popen(command, None, file, file)

    def cut(self) -> None:
        """Let no packet leave or enter any more: nobody is informed."""
        raise NotImplementedError

    def restore(self) -> None:
        """Let packets pass again."""
        raise NotImplementedError

    def close(self) -> None:
        """Take it away, and kill what runs in it."""
        self._namespace.close()


def _asked(helper: subprocess.Popen[str], line: str) -> str:
    """The line that a process answers with; empty if it has ended."""
    assert helper.stdin is not None
    assert helper.stdout is not None
    try:
        helper.stdin.write(f"{line}\n")
        helper.stdin.flush()
    except BrokenPipeError:
        return ""
    return helper.stdout.readline()


class Bridge(Network):
    """A bridge in a hub, and for each pod a network namespace with a cable to it."""

    first = "198.18.0"

    @staticmethod
    def probe() -> list[str]:
        """Shell commands that fail where such a network cannot be made."""
        return [
            "ip link add br0 type bridge",
            "ip link add v0 type veth peer name v1",
            "unshare --pid --uts --mount --net --fork true",
        ]

    def setup(self) -> list[str]:
        # Without an address of its own a bridge has the lowest of its ports', another one when pods
        # come and go, and for most of a minute the others go on sending to the one that was.
        return [
            "ip link add br0 address 02:00:00:00:00:01 type bridge",
            f"ip address add {self.first}.1/24 dev br0",
            "ip link set br0 up",
            "ip link set lo up",
        ]

    def make(self, name: str, address: str, number: int) -> Pod:
        namespace = self.hold(name, address, number, "--net")
        pod = _BridgedPod(self, namespace, name, address)
        pod.cable = f"v{number}"
        peer = f"peer name eth0 netns {namespace.pid}".split()
        self.hub.run("ip", "link", "add", pod.cable, "type", "veth", *peer)
        self.hub.run("ip", "link", "set", pod.cable, "master", "br0", "up")
        pod.run("sh", "-c", f"ip address add {address}/24 dev eth0 && ip link set eth0 up")
        return pod


class _BridgedPod(Pod):
    cable: str

    def cut(self) -> None:
        self._plug("down")

    def restore(self) -> None:
        self._plug("up")

    def _plug(self, state: str) -> None:
        self.network.hub.run("ip", "link", "set", self.cable, state)


class Loopback(Network):
    """Loopback alone, of which each pod has an address."""

    first = "127.0.10"

    @staticmethod
    def probe() -> list[str]:
        """Shell commands that fail where such a network cannot be made."""
        return ["ip link set lo up", "unshare --pid --uts --mount --fork true"]

    def setup(self) -> list[str]:
        return ["ip link set lo up"]

    def make(self, name: str, address: str, number: int) -> Pod:
        pod = Pod(self, self.hold(name, address, number), name, address)
        pod.bind = address
        return pod


def missing(kind: type[Bridge | Loopback]) -> str | None:
    """Why such a network cannot be had here, to be the reason of a skip; None if it can."""
    for command, package in (("ip", "iproute2"), ("unshare", "util-linux")):
        if shutil.which(command) is None:
            return f"{command} is not installed: apt-get install {package}"
    found = refusal(maker_of(kind), *kind.probe())
    return None if found is None else f"this machine {found}"


def maker_of(kind: type[Network]) -> Maker:
    return best_user() if kind is Bridge else ordinary_user()


@contextmanager
def network(kind: type[Bridge | Loopback], service: str = "mysql") -> Iterator[Network]:
    """A network that is gone after the block, with all that ran in it."""
    maker = maker_of(kind)
    with tempfile.TemporaryDirectory(prefix="peerdisco-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        directory.chmod(0o755)
        made = kind(maker, directory, service)
        try:
            yield made
        finally:
            made.close()
