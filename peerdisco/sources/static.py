"""A static list of peers instead of a lookup: for development and tests.

``static:mysql-0=127.0.0.1:3306,mysql-1=127.0.0.1:3307`` in ``PEERDISCO_SOURCE`` or ``--source``.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from ..exceptions import ConfigurationError
from ..model import Answered, Observation, Peer, Ports
from ..names import Endpoint, ServiceName, is_label, ordinal_of, parse_endpoint

__all__ = ["Static", "parse_static"]


class Static:
    """Answers every lookup with the same peers.

    Args:
        service: The service's fully qualified name.
        peers: The peers.
    """

    def __init__(self, service: str, peers: Iterable[Peer]) -> None:
        self._service = service
        self._answer = Answered(tuple(peers))

    @property
    def service(self) -> str:
        return self._service

    async def observe(self, *, timeout: float) -> Observation:  # noqa: ARG002 - nothing to wait for
        """The peers."""
        return self._answer

    async def aclose(self) -> None:
        """Does nothing."""


def parse_static(text: str, service: ServiceName) -> Static:
    """Parse a static source.

    Args:
        text: ``NAME[=ADDRESS[:PORT]]``, separated by commas, without the leading ``static:``. A
            name that occurs twice has two addresses.
        service: The service of the pods.

    Raises:
        ConfigurationError: The text does not have this form.
    """
    expected = "static:NAME=IP[:PORT],..., such as 'static:mysql-0=127.0.0.1:3306'"
    endpoints: dict[str, list[Endpoint]] = {}
    for item in text.split(","):
        name, equals, address = item.strip().lower().partition("=")
        if not is_label(name) or (equals and not address):
            raise ConfigurationError("source", f"static:{text}", expected)
        found = endpoints.setdefault(name, [])
        if address:
            found.append(parse_endpoint(address, f"source: {name}", default_port=0))
    return Static(service.fqdn, [_peer(name, found, service) for name, found in endpoints.items()])


def _peer(name: str, endpoints: list[Endpoint], service: ServiceName) -> Peer:
    addresses = {ip_address(endpoint.address) for endpoint in endpoints}
    statefulset, ordinal = ordinal_of(name, addresses) or (None, None)
    return Peer(
        name=name,
        ordinal=ordinal,
        statefulset=statefulset,
        hostname=f"{name}.{service.fqdn}",
        addresses=tuple(sorted(addresses, key=lambda address: (address.version, int(address)))),
        ports=Ports.of_numbers(endpoint.port for endpoint in endpoints),
    )
