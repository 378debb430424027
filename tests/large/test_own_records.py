"""The pods' own SRV records, which save the second question for each pod's port."""

from __future__ import annotations

import pytest

from peerdisco.dns import wire

from .polling import TIMEOUT, opened
from .service import LargeService, Pod, address, statefulset
from .test_enumeration import check


class WithoutGlue(LargeService):
    """A service whose pods' own SRV records are ``bare``, without addresses, or there are none."""

    own = "bare"

    def _find(self, name: bytes, rtype: int) -> tuple[int, list[bytes], list[bytes]]:
        rcode, answers, glue = super()._find(name, rtype)
        if rtype == wire.SRV and name != wire.name_from_text(self.name):
            answers, glue = [] if self.own == "none" else answers, []
        return rcode, answers, glue


@pytest.mark.parametrize("pods", [1500, 2000, 5000])
async def test_one_question_finds_the_port_and_the_address_of_a_pod(pods: int) -> None:
    """The SRV record of its own name; the ports of those that are listed are known."""
    service = LargeService(statefulset("db", range(pods)))
    async with opened(service) as (source, _):
        check(await source.observe(timeout=TIMEOUT), service)
        assert sum(service.asked.values()) <= pods + 60


@pytest.mark.parametrize("family", ["both", "IPv6"])
async def test_pods_of_two_families_are_found_by_their_own_records(family: str) -> None:
    pods = [
        Pod(
            f"db-{n}",
            (*([address(n + 1)] if family == "both" else []), (n + 1).to_bytes(16, "big")),
        )
        for n in range(2000)
    ]
    service = LargeService(pods)
    async with opened(service) as (source, _):
        for _ in range(2):
            check(await source.observe(timeout=TIMEOUT), service)


@pytest.mark.parametrize("own", ["bare", "none"])
async def test_addresses_are_queried_where_the_own_records_do_not_have_them(own: str) -> None:
    """As of a server without such records, or without an additional section."""
    service = WithoutGlue(statefulset("db", range(2000)))
    service.own = own
    async with opened(service) as (source, _):
        check(await source.observe(timeout=TIMEOUT), service)
        assert service.asked[wire.A] >= 2000
        assert sum(service.asked.values()) <= 3000


async def test_a_pod_whose_own_record_lacks_a_family_is_asked_for_both() -> None:
    """Its additional section had no room, for instance."""

    class Lacking(LargeService):
        def _find(self, name: bytes, rtype: int) -> tuple[int, list[bytes], list[bytes]]:
            rcode, answers, glue = super()._find(name, rtype)
            if rtype == wire.SRV and name != wire.name_from_text(self.name) and name[6:7] == b"7":
                glue = glue[:1]
            return rcode, answers, glue

    service = Lacking(
        [Pod(f"db-{n}", (address(n + 1), (n + 1).to_bytes(16, "big"))) for n in range(2000)]
    )
    async with opened(service) as (source, _):
        check(await source.observe(timeout=TIMEOUT), service)
