"""BIND 9 on loopback: a real name server, loaded from zone files and changed by RFC 2136 updates.

`serving` runs one ``named`` in a directory of the caller's, at a port of its own::

    service = HeadlessService()
    with serving(service.zones(range(3)), tmp_path) as server:
        server.update(add=service.records([3]), remove=service.records([0]))

Everything here blocks; an update takes some milliseconds.
"""

from __future__ import annotations

import base64
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.tsig
import dns.update
import pytest

from peerdisco.names import Endpoint

from .processes import PATIENCE, running

NAMED = shutil.which("named", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")

Record = tuple[str, str, str]
"""Owner, fully qualified; type; data as a zone file has it."""


def require_named() -> None:
    """Skip the test where there is no BIND."""
    if NAMED is None:
        pytest.skip("needs named of BIND 9: apt-get install bind9")


@dataclass(frozen=True)
class HeadlessService:
    """The records of a headless service and of the pods behind it, as CoreDNS has them.

    BIND keeps the records of one name and type in 64 KiB: some 1,200 SRV records, or 10,000
    addresses. It refuses a zone file with more ("ran out of space"). It writes the targets of SRV
    without compression, so that some 1,000 fill a message over TCP, and of a record set that does
    not fit it sends nothing but TC.

    Attributes:
        service: The service's name.
        namespace: Its namespace, which is a zone.
        statefulset: What the pods are called before their ordinals.
        port: The one port; None for a service without ports, which has no SRV records.
        port_name: Its name, which makes ``_name._tcp`` records too.
        dual_stack: Whether the pods have IPv6 addresses too.
        ttl: Of every record.
    """

    service: str = "my-database"
    namespace: str = "default"
    statefulset: str = "db"
    port: int | None = 3306
    port_name: str | None = None
    dual_stack: bool = False
    ttl: int = 5

    @property
    def zone(self) -> str:
        return f"{self.namespace}.svc.cluster.local."

    @property
    def fqdn(self) -> str:
        return f"{self.service}.{self.zone}"

    def hostname(self, ordinal: int) -> str:
        return f"{self.statefulset}-{ordinal}.{self.fqdn}"

    def addresses(self, ordinal: int) -> list[IPv4Address | IPv6Address]:
        found: list[IPv4Address | IPv6Address] = [IPv4Address("10.244.0.10") + ordinal]
        if self.dual_stack:
            found.append(IPv6Address("fd00:10:244::a") + ordinal)
        return found

    def records(self, ordinals: Iterable[int]) -> Iterator[Record]:
        """What these pods add to the zones."""
        for ordinal in ordinals:
            host = self.hostname(ordinal)
            for address in self.addresses(ordinal):
                rtype = "A" if address.version == 4 else "AAAA"
                yield host, rtype, str(address)
                yield self.fqdn, rtype, str(address)
                yield f"{address.reverse_pointer}.", "PTR", host
            if self.port is not None:
                yield self.fqdn, "SRV", f"0 50 {self.port} {host}"
                if self.port_name is not None:
                    yield f"_{self.port_name}._tcp.{self.fqdn}", "SRV", f"0 50 {self.port} {host}"

    def zones(self, ordinals: Iterable[int]) -> dict[str, str]:
        """The zone files, by the zones' names, for a service with these pods."""
        found = {self.zone: [], "244.10.in-addr.arpa.": []}
        if self.dual_stack:
            found[_IPV6_REVERSE] = []
        for owner, rtype, data in self.records(ordinals):
            zone = _zone_of(owner, found)
            found[zone].append(f"{owner} {self.ttl} IN {rtype} {data}")
        return {
            zone: "\n".join([_apex(zone, self.ttl), *lines, ""]) for zone, lines in found.items()
        }


_IPV6_REVERSE = "4.4.2.0.0.1.0.0.0.0.d.f.ip6.arpa."


def _apex(zone: str, ttl: int) -> str:
    return (
        f"{zone} {ttl} IN SOA ns.dns.{zone} hostmaster.{zone} 1 7200 1800 86400 {ttl}\n"
        f"{zone} {ttl} IN NS ns.dns.{zone}\n"
        f"ns.dns.{zone} {ttl} IN A 127.0.0.1"
    )


def _zone_of(owner: str, zones: Iterable[str]) -> str:
    """The zone a name is in; the names are fully qualified."""
    return next(zone for zone in zones if f".{owner}".endswith(f".{zone}"))


class Bind:
    """A ``named`` that runs.

    Attributes:
        endpoint: Where it listens, on UDP and TCP.
        pid: Its process.
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int, zones: Sequence[str]) -> None:
        self.endpoint = Endpoint("127.0.0.1", port)
        self.pid = process.pid
        self._zones = zones

    @property
    def port(self) -> int:
        return self.endpoint.port

    def update(
        self, *, add: Iterable[Record] = (), remove: Iterable[Record] = (), ttl: int = 5
    ) -> None:
        """Change records at once, zone by zone; each zone's changes are seen together.

        Raises:
            AssertionError: The server does not take the change.
        """
        changes: dict[str, dns.update.UpdateMessage] = {}
        for records, adding in ((remove, False), (add, True)):
            for owner, rtype, data in records:
                zone = _zone_of(owner, self._zones)
                if zone not in changes:
                    changes[zone] = dns.update.UpdateMessage(
                        zone, keyring=_KEYRING, keyalgorithm=dns.tsig.HMAC_SHA256
                    )
                if adding:
                    changes[zone].add(owner, ttl, rtype, data)
                else:
                    changes[zone].delete(owner, rtype, data)
        for change in changes.values():
            said = dns.query.tcp(change, self.endpoint.address, PATIENCE, self.port)
            assert said.rcode() == dns.rcode.NOERROR, dns.rcode.to_text(said.rcode())


_SECRET = secrets.token_bytes(32)
_KEY = dns.tsig.Key("update.", _SECRET, dns.tsig.HMAC_SHA256)
_KEYRING = {_KEY.name: _KEY}


@contextmanager
def serving(
    zones: Mapping[str, str],
    directory: Path,
    *,
    broken: Iterable[str] = (),
    port: int | None = None,
) -> Iterator[Bind]:
    """Run a server with these zones, and end it.

    Args:
        zones: Zone files by the zones' names.
        directory: Where it keeps its files; empty.
        broken: Zones that it cannot load, and answers with SERVFAIL.
        port: Where it listens; None for one that is free.
    """
    assert NAMED is not None, "see require_named"
    for number, text in enumerate(zones.values()):
        (directory / f"{number}.zone").write_text(text)
    log = directory / "named.log"
    for _ in range(5):
        taken = free_port() if port is None else port
        (directory / "named.conf").write_text(_configuration(taken, zones, directory, broken))
        command = [NAMED, "-g", "-n", "1", "-c", directory / "named.conf"]
        with running(command, log) as process:
            if _started(process, log, len(zones)):
                yield Bind(process, taken, list(zones))
                return
    raise AssertionError(f"named does not start: {log.read_text(errors='replace')[-2000:]}")


def _started(process: subprocess.Popen[bytes], log: Path, zones: int) -> bool:
    """Whether it serves: it has loaded its zones, and got its port on both transports.

    Raises:
        AssertionError: It does not load a zone.
    """
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        said = log.read_text(errors="replace")
        if said.endswith(" running\n"):
            loaded = sum(": loaded serial " in line for line in said.splitlines()) - _OWN_ZONES
            assert loaded == zones, f"named does not load a zone: {said[-2000:]}"
            return "address in use" not in said
        time.sleep(0.01)
    return False


_OWN_ZONES = 1
"""That of the keys it manages, which it makes itself."""


def free_port() -> int:
    """A port that is free on both transports; until named takes it, somebody else may."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind(("127.0.0.1", 0))
            port: int = tcp.getsockname()[1]
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _configuration(
    port: int, zones: Mapping[str, str], directory: Path, broken: Iterable[str]
) -> str:
    blocks = [
        f"""
        key "update" {{ algorithm hmac-sha256; secret "{base64.b64encode(_SECRET).decode()}"; }};
        controls {{ }};
        options {{
            directory "{directory}";
            listen-on port {port} {{ 127.0.0.1; }};
            listen-on-v6 {{ none; }};
            pid-file none;
            session-keyfile none;
            recursion no;
            empty-zones-enable no;
            dnssec-validation no;
            notify no;
            minimal-responses no-auth;
            edns-udp-size 1232;
            max-udp-size 1232;
            tcp-clients 1000;
            max-records-per-type 0;
        }};
        """
    ]
    for number, zone in enumerate(zones):
        blocks.append(
            f'zone "{zone}" {{ type primary; file "{number}.zone"; '
            f"allow-update {{ key update; }}; }};\n"
        )
    blocks.extend(f'zone "{zone}" {{ type primary; file "none.zone"; }};\n' for zone in broken)
    return "".join(blocks)
