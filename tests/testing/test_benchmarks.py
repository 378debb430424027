"""What the benchmarks measure against: their server, and the floor."""

from __future__ import annotations

from collections.abc import AsyncIterator
from ipaddress import IPv4Address
from pathlib import Path

import dns.flags
import dns.message
import pytest
import pytest_asyncio

from peerdisco.names import Endpoint
from tests import bind
from tests.benchmarks import floor
from tests.benchmarks.contenders import Found, peerdisco
from tests.benchmarks.server import VARIANTS, Answers, Cluster, listening
from tests.benchmarks.services import SIZES, Service, moving, zones


@pytest.fixture(scope="module")
def answers() -> Answers:
    return Answers(Cluster())


@pytest_asyncio.fixture
async def server(answers: Answers) -> AsyncIterator[Endpoint]:
    async with listening(answers, "127.0.0.1", 0) as port:
        yield Endpoint("127.0.0.1", port)


def all_of(service: Service) -> dict[str, list[str]]:
    first = IPv4Address("10.244.0.10")
    return {service.hostname(number): [str(first + number)] for number in range(service.pods)}


async def lookup(server: Endpoint, service: Service) -> dict[str, list[str]]:
    bare = await floor.Bare.connect(server)
    found = await floor.Floor(bare, service).lookup()
    bare.transport.abort()
    return found


def ask(answers: Answers, service: Service) -> bytes:
    query = dns.message.make_query(f"{service.fqdn}.", "SRV", use_edns=0, payload=1232)
    return answers.reply(query.to_wire(), "tcp")


@pytest.mark.parametrize(("pods", "cut"), [(3, False), (100, False), (1000, True)])
def test_an_answer_is_cut_where_coredns_cuts_it(answers: Answers, pods: int, cut: bool) -> None:
    service = Service(pods)
    message = ask(answers, service)
    assert bool(dns.message.from_wire(message).flags & dns.flags.TC) is cut
    found = floor.read(message)
    assert set(found) == {service.hostname(ordinal) for ordinal in range(pods)}
    assert ([] in found.values()) is cut


def test_the_answers_to_one_question_differ_in_their_order_alone(answers: Answers) -> None:
    messages = [ask(answers, Service(100)) for _ in range(VARIANTS)]
    assert len(set(messages)) == VARIANTS
    first, *others = [floor.read(message) for message in messages]
    assert all(found == first for found in others)


def test_a_moving_service_has_other_addresses_each_time(answers: Answers) -> None:
    service = moving(3)
    seen = [floor.read(ask(answers, service)) for _ in range(VARIANTS)]
    for name in seen[0]:
        assert len({found[name][0] for found in seen}) == VARIANTS


@pytest.mark.parametrize("pods", [3, 1000])
async def test_the_floor_finds_every_pod(server: Endpoint, pods: int) -> None:
    assert await lookup(server, Service(pods)) == all_of(Service(pods))


@pytest.mark.parametrize("pods", [3, 20])
async def test_the_floor_finds_every_pod_from_bind(tmp_path: Path, pods: int) -> None:
    bind.require_named()
    service = Service(pods)
    with bind.serving(zones([service]), tmp_path) as server:
        assert await lookup(server.endpoint, service) == all_of(service)


async def test_a_contender_tells_what_it_has_found(server: Endpoint) -> None:
    async with peerdisco(Service(100), server) as lookup:
        assert await lookup() == Found(100, 100, complete=True)


def test_an_address_leads_to_the_pods_that_have_it(answers: Answers) -> None:
    query = dns.message.make_query("12.0.244.10.in-addr.arpa.", "PTR")
    reply = dns.message.from_wire(answers.reply(query.to_wire(), "udp"))
    names = {str(record.target) for rrset in reply.answer for record in rrset}
    assert names == {f"{Service(pods).hostname(2)}." for pods in SIZES}


def test_questions_and_bytes_are_counted() -> None:
    answers = Answers(Cluster())
    message = ask(answers, Service(3))
    assert answers.bytes_out == len(message)
    assert answers.counts().startswith('{"questions": 1, "bytes_in": ')
    assert answers.counts().startswith('{"questions": 0, "bytes_in": 0, ')
