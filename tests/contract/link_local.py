"""Asks a name server at a link-local address; run in a network namespace that has it.

``python -m tests.contract.link_local``: fe80::53 is an address of the interface lo.
"""

from __future__ import annotations

import asyncio

from peerdisco.dns import wire
from peerdisco.model import Outcome
from peerdisco.names import Endpoint, parse_nameserver
from peerdisco.pod.resolv_conf import parse_resolv_conf
from tests.unit.scripted import addresses, says, serving, soon

from .resolvers import KINDS, NAME

ADDRESS = "fe80::53%lo"


async def main() -> None:
    (endpoint,) = parse_resolv_conf(f"nameserver {ADDRESS}\n").nameservers
    assert endpoint == parse_nameserver(ADDRESS) == Endpoint(ADDRESS, 53)
    async with serving() as serve:
        server = await serve(says("10.0.0.1"), host=ADDRESS)
        for kind in KINDS:
            for text in (
                f"[{ADDRESS}]:{server.endpoint.port}",
                f"[fe80::53%1]:{server.endpoint.port}",
            ):
                for tcp in (False, True):
                    asking = kind.open(parse_nameserver(text))
                    reply = await asking.ask(NAME, wire.A, deadline=soon(), tcp=tcp)
                    await asking.aclose()
                    assert addresses(reply) == ["10.0.0.1"], (kind.name, text, tcp)
                    assert server.transports[-1] == ("tcp" if tcp else "udp")
        for wrong, problem in (
            ("fe80::53%nowhere", "there is no interface nowhere"),
            (f"fe80::53%{2**40}", "there is no interface"),
            ("fe80::53%" + "9" * 5000, "there is no interface"),
            ("fe80::53", "needs an interface: fe80::53%eth0"),
        ):
            asking = KINDS[0].open(parse_nameserver(wrong))
            reply = await asking.ask(NAME, wire.A, deadline=soon())
            await asking.aclose()
            assert reply.outcome is Outcome.UNREACHABLE
            assert problem in reply.attempt.detail, reply.attempt
    print("answered")


if __name__ == "__main__":
    asyncio.run(main())
