"""What a process can see of the pod it runs in: the environment and the kubelet's files.

`PodReading` is the one place that reads the machine; everything that follows from a
`PodEnvironment` is pure. `ResolvConfFile` reads the name servers again when they change.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..exceptions import IdentityError
from ..names import Endpoint, cluster_of_search_domains
from .files import Background, NotAFileError, read_text
from .hosts_file import OwnLine, from_kubelet, host_network, own_line
from .resolv_conf import ResolvConf, parse_resolv_conf

__all__ = [
    "FIRST_PATIENCE",
    "HOSTS",
    "NAMESPACE_FILE",
    "PATIENCE",
    "RESOLV_CONF",
    "PodEnvironment",
    "PodReading",
    "ResolvConfFile",
    "read_pod_environment",
    "wait_for_pod_environment",
]

_log = logging.getLogger(__name__)

RESOLV_CONF = "/etc/resolv.conf"
HOSTS = "/etc/hosts"
NAMESPACE_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

FIRST_PATIENCE = 1.0
"""Seconds that the first reading of the files may take."""
PATIENCE = 0.02
"""Seconds that a reading may hold the event loop."""
_READ_AGAIN = 0.01
"""Seconds between two checks whether the files are read."""


@dataclass(frozen=True, slots=True)
class PodEnvironment:
    """The facts about the pod that a process can read.

    Attributes:
        environ: The environment variables.
        hostname: The kernel's host name, unchanged.
        resolv_conf: ``/etc/resolv.conf``; empty if there is none.
        hosts: The lines of ``/etc/hosts``; empty if there is none.
        service_account_namespace: The namespace in the service account's volume; None without one.
    """

    environ: Mapping[str, str] = field(default_factory=dict)
    hostname: str = ""
    resolv_conf: ResolvConf = ResolvConf()  # noqa: RUF009 - immutable
    hosts: tuple[str, ...] = ()
    service_account_namespace: str | None = None

    def variable(self, name: str) -> str | None:
        """A variable's value; None if it is not set or, as Kubernetes may leave it, empty."""
        return self.environ.get(name, "").strip() or None

    @property
    def cluster(self) -> tuple[str, str] | None:
        """The namespace and the cluster domain; None unless both are known.

        They come from the search list or, as ``dnsPolicy: None`` may set a list of other domains,
        from the kubelet's line in ``/etc/hosts``.
        """
        listed = cluster_of_search_domains(self.resolv_conf.search)
        if listed is not None or self.own_line is None or self.own_line.service is None:
            return listed
        service = self.own_line.service
        if service.namespace is None or service.cluster_domain is None:
            return None
        return service.namespace, service.cluster_domain

    @property
    def own_line(self) -> OwnLine | None:
        """The kubelet's line for this pod in ``/etc/hosts``; None without one."""
        return own_line(self.hosts)

    @property
    def host_network(self) -> bool:
        """Whether the pod shares its node's network, so that its host name is the node's."""
        return host_network(self.hosts)

    @property
    def in_pod(self) -> bool:
        """Whether any fact shows that this is a pod of a cluster."""
        return (
            "KUBERNETES_SERVICE_HOST" in self.environ
            or self.service_account_namespace is not None
            or self.cluster is not None
            or from_kubelet(self.hosts)
        )


class PodReading:
    """One reading of the machine, on a thread of its own, because a mount may hang.

    A file counts as empty if it is missing, unreadable or not a regular file, or if it could not
    be read when `result` is called.

    Args:
        environ: The variables; None for those of this process.
        resolv_conf: The path of resolv.conf.
        hosts: The path of the table of hosts.
        namespace_file: The path of the service account's namespace.
        patience: Seconds that callers wait for the files at most.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str] | None = None,
        resolv_conf: str = RESOLV_CONF,
        hosts: str = HOSTS,
        namespace_file: str = NAMESPACE_FILE,
        patience: float = FIRST_PATIENCE,
    ) -> None:
        self._patience = patience
        self._environ = dict(os.environ if environ is None else environ)
        self._paths = (namespace_file, resolv_conf, hosts)
        self._texts: dict[str, str] = {}
        self._reading = Background(self._read)
        self._reading.run(0)
        self._began = time.monotonic()

    def _read(self) -> None:
        for path in dict.fromkeys(self._paths):
            self._texts[path] = _read(path)

    @property
    def variables(self) -> PodEnvironment:
        """The environment variables, without what is in files."""
        return PodEnvironment(environ=self._environ)

    @property
    def _left(self) -> float:
        """Seconds that callers still wait for the files."""
        return max(self._began + self._patience - time.monotonic(), 0.0)

    def wait(self) -> bool:
        """Wait for the files; in an event loop, no longer than it may be held.

        Returns:
            Whether `result` has what there is to know.
        """
        if self._reading.wait(min(PATIENCE, self._left)):
            return True
        if not _in_event_loop():
            self._reading.wait(self._left)
            return True
        return not self._left

    async def ready(self) -> None:
        """Wait for the files without holding the event loop."""
        import asyncio  # noqa: PLC0415 - loaded where this runs, and not needed at start-up

        while not self._reading.wait(0) and self._left:  # noqa: ASYNC110 - a thread ends, no task
            await asyncio.sleep(_READ_AGAIN)

    def check(self, advice: str) -> None:
        """Wait for the files; raise IdentityError with this advice if what they say is not known.

        That can happen in an event loop only.
        """
        if not self.wait():
            unread = [path for path in self._paths if path not in self._texts]
            raise IdentityError(
                "environment of this pod",
                (f"{', '.join(unread)}: not read within {PATIENCE * 1000:g} ms",),
                f"a mount may hang, and must not hold the event loop: {advice}",
            )

    def result(self) -> PodEnvironment:
        """What is known by now."""
        if unread := ", ".join(path for path in self._paths if path not in self._texts):
            seconds = round(time.monotonic() - self._began, 1)
            _log.warning("cannot read within %g s, taken as empty: %s", seconds, unread)
        namespace, resolv_conf, hosts = (self._texts.get(path, "") for path in self._paths)
        return PodEnvironment(
            environ=self._environ,
            hostname=socket.gethostname(),
            resolv_conf=parse_resolv_conf(resolv_conf),
            hosts=_lines(hosts),
            service_account_namespace=namespace.strip() or None,
        )


def read_pod_environment(
    *,
    environ: Mapping[str, str] | None = None,
    resolv_conf: str = RESOLV_CONF,
    hosts: str = HOSTS,
    namespace_file: str = NAMESPACE_FILE,
) -> PodEnvironment:
    """Read the machine once, within a second; see `PodReading`.

    Raises:
        IdentityError: In an event loop, the files were not read within 20 ms; there, use
            `wait_for_pod_environment`.
    """
    reading = PodReading(
        environ=environ, resolv_conf=resolv_conf, hosts=hosts, namespace_file=namespace_file
    )
    reading.check("use await asyncio.to_thread(peerdisco.local_identity)")
    return reading.result()


async def wait_for_pod_environment() -> PodEnvironment:
    """Read the machine once, within a second, without holding the event loop."""
    reading = PodReading()
    await reading.ready()
    return reading.result()


def _read(path: str) -> str:
    try:
        return read_text(path)
    except NotAFileError:
        _log.warning("%s is not a regular file, taken as empty", path)
    except OSError:
        pass
    return ""


def _in_event_loop() -> bool:
    import asyncio  # noqa: PLC0415 - not at start-up: nearly always the files are read at once

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _lines(text: str) -> tuple[str, ...]:
    """The lines of a file, split only at newlines, as in the C library."""
    return tuple(text.removesuffix("\n").split("\n")) if text else ()


class ResolvConfFile:
    """The name servers of a resolv.conf, read again whenever the file changes.

    The event loop does not wait for the file: if it cannot be read at once, for instance because
    its mount hangs, the last known name servers are used until it can.

    Args:
        path: The file.
        known: The name servers that it had a moment ago; empty if it was not read yet.
    """

    def __init__(self, path: str = RESOLV_CONF, *, known: tuple[Endpoint, ...] = ()) -> None:
        self._path = path
        self._version: tuple[int, int, int] | None = None
        self._nameservers = known
        self._reading = Background(self._read_again)

    def nameservers(self) -> tuple[Endpoint, ...]:
        """The current name servers; while the file has none, the last known ones."""
        self._reading.run(PATIENCE)
        return self._nameservers

    def _read_again(self) -> None:
        try:
            stat = os.stat(self._path)  # noqa: PTH116 - no pathlib at start-up
        except OSError:
            return
        version = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        if version != self._version:
            conf = parse_resolv_conf(_read(self._path))
            for value in conf.invalid:
                _log.warning(
                    "%s: name server %r is not an IP address and is ignored", self._path, value
                )
            if conf.unread:
                _log.warning(
                    "%s is too long: its last %d characters are ignored", self._path, conf.unread
                )
            self._nameservers = conf.nameservers or self._nameservers
            self._version = version
