"""The fast readers against `peerdisco.dns.wire.read`: the same, or they decline."""

from __future__ import annotations

import random

import dns.message
import dns.rrset
import pytest

from peerdisco.dns import wire
from peerdisco.dns.fast_path import (
    AddressRecords,
    labels_below,
    question_after_id,
    read_addresses,
    read_service_records,
    records_from_message,
    smallest_ttl,
)

from ...large.service import LargeService, Pod, address, statefulset
from ...vectors_reader import answers, exchanges, scenarios
from ..oracle import Mutator
from .fast_readers import fast_readers_agree

SEEDS = 12
A_SEED = 2500
SMALL, LARGE = 480, 5000


# Recordings.


@pytest.mark.parametrize("scenario", scenarios())
def test_recorded_answers_are_read(scenario: str) -> None:
    """Every positive answer of a real CoreDNS has a shape that is known."""
    for exchange in exchanges(scenario):
        done = fast_readers_agree(exchange.answer)
        message = wire.read(exchange.answer)
        if done is not None and message.answers:
            assert done, f"declined: {exchange.answer[:200].hex()}"


@pytest.mark.parametrize("seed", range(SEEDS))
def test_broken_answers_are_read_alike_or_declined(seed: int) -> None:
    mutator = Mutator(seed, tuple(answers(smallest=0, largest=SMALL)))
    counts = [fast_readers_agree(mutator.message()) for _ in range(A_SEED)]
    assert counts.count(True) > A_SEED / 50
    assert counts.count(False) > A_SEED / 50


@pytest.mark.parametrize("seed", range(100, 104))
def test_large_broken_answers_are_read_alike_or_declined(seed: int) -> None:
    mutator = Mutator(seed, tuple(answers(smallest=SMALL + 1, largest=LARGE)))
    counts = [fast_readers_agree(mutator.message()) for _ in range(300)]
    assert any(counts)


# Every byte of one answer.


def service(pods: int = 3) -> LargeService:
    return LargeService(statefulset("db", range(pods)))


def reply_of(of: LargeService, rtype: int, label: str = "", payload: int | None = None) -> bytes:
    name = wire.name_from_text(f"{label}.{of.name}" if label else of.name)
    return of.reply(wire.query(7, name, rtype, payload=payload))


@pytest.mark.parametrize("rtype", [wire.A, wire.AAAA, wire.SRV])
@pytest.mark.parametrize("payload", [None, 1232])
def test_every_change_of_a_byte_is_read_alike_or_declined(rtype: int, payload: int | None) -> None:
    pods = [Pod("db-0", (address(1), bytes(16))), Pod("db-1", (address(2), bytes(15) + b"\1"))]
    raw = reply_of(LargeService(pods), rtype, payload=payload)
    assert fast_readers_agree(raw)
    for at in range(len(raw)):
        for value in (0, 1, 2, 0x3F, 0x40, 0x80, 0xC0, 0xFF, raw[at] ^ 0x20, (raw[at] + 1) % 256):
            fast_readers_agree(raw[:at] + bytes((value,)) + raw[at + 1 :])
    for size in range(len(raw)):
        assert not fast_readers_agree(raw[:size])
    assert not fast_readers_agree(raw + b"\0")


# Shapes.


@pytest.mark.parametrize("pods", [1, 3, 800, 1500])
@pytest.mark.parametrize("label", ["", "db-0"])
def test_answers_of_any_size_are_read(pods: int, label: str) -> None:
    for rtype in (wire.A, wire.SRV):
        for payload in (None, 1232):
            assert fast_readers_agree(reply_of(service(pods), rtype, label, payload))


@pytest.mark.parametrize("ttl", [0, 1, wire.LARGEST_TTL, wire.LARGEST_TTL + 1])
@pytest.mark.parametrize("pods", [1, 2, 3])
def test_only_ttls_that_are_none_are_left_to_the_full_reader(ttl: int, pods: int) -> None:
    """For one address, for several that differ in nothing else, and for others."""
    raw = reply_of(service(pods), wire.A)
    name = wire.name_from_text(service().name)
    question = question_after_id(name, wire.A)
    head = b"\xc0\x0c\0\1\0\1"
    before, *records = raw.split(head)
    assert len(records) == pods
    for which in (range(pods), range(1)):
        changed = [
            ttl.to_bytes(4, "big") + one[4:] if number in which else one
            for number, one in enumerate(records)
        ]
        found = read_addresses(head.join([before, *changed]), question)
        assert (found is not None) is (ttl <= wire.LARGEST_TTL)
        others = [int.from_bytes(one[:4], "big") for one in changed]
        if found is not None:
            assert found.ttl == min(filter(None, others), default=0)
            assert len(found.packed) == pods
        assert fast_readers_agree(head.join([before, *changed])) is not None


def test_addresses_of_other_sizes_that_make_up_for_each_other_are_declined() -> None:
    of = service(2)
    name = wire.name_from_text(of.name)
    reply, question = reply_of(of, wire.A), question_after_id(name, wire.A)
    found = read_addresses(reply, question)
    assert found is not None
    first, second = found.packed
    moved = reply.replace(first, first[:3]).replace(second, second + b"\1")
    assert len(moved) == len(reply)
    assert read_addresses(moved, question) is None


def test_the_smallest_ttl_that_is_not_0() -> None:
    assert [smallest_ttl(ttls) for ttls in ([], [0, 0], [0, 7, 5])] == [0, 0, 5]


def test_names_below_a_cluster_are_listed_and_those_below_others_are_not() -> None:
    name = wire.name_from_text("db.svc")
    targets = [wire.name_from_text(f"{pod}.db.svc") for pod in ("a", "a.east", "a.b.east")]
    records: list[wire.Record] = [wire.Srv(name, 5, 0, 0, 3306, target) for target in targets]
    found = records_from_message(wire.Message(7, 0x8400, 0, (), records, [], [], None), name, name)
    assert list(found.ports) == targets[:2]
    assert list(found.others) == records[2:]


def test_names_of_one_letter_are_read() -> None:
    of = LargeService(tuple(Pod(name, (address(n),)) for n, name in enumerate("abc")))
    raw = reply_of(of, wire.SRV)
    name = wire.name_from_text(of.name)
    listing = read_service_records(raw, name, name)
    assert listing is not None
    assert sorted(listing.ports) == [bytes((1, ord(letter))) + name for letter in "abc"]
    assert fast_readers_agree(raw)


@pytest.mark.parametrize(
    ("name", "below"),
    [
        ("db.svc", 0), ("a.db.svc", 1), ("a.b.db.svc", 2), ("a.b.c.db.svc", 3), ("svc", 0),
        ("xdb.svc", 0), ("a.xdb.svc", 0), ("db.svc.x", 0), (".", 0), ("a.db.svd", 0),
    ],
)  # fmt: skip
def test_labels_below_a_name(name: str, below: int) -> None:
    assert labels_below(wire.name_from_text(name), wire.name_from_text("db.svc")) == below


def test_a_label_that_holds_the_name_is_not_below_it() -> None:
    suffix = wire.name_from_text("db.svc")
    assert labels_below(b"\x02a" + suffix, suffix) == 0
    assert labels_below(b"\x09" + suffix, suffix) == 0
    assert labels_below(b"\0" + suffix, suffix) == 1


def test_what_a_cut_answer_holds() -> None:
    of = service(5000)
    name = wire.name_from_text(of.name)
    listing = read_service_records(reply_of(of, wire.SRV), name, name)
    assert listing is not None
    assert listing.truncated
    assert 900 < len(listing.ports) < 1200
    found = read_addresses(reply_of(of, wire.A), question_after_id(name, wire.A))
    assert found is not None
    assert found.truncated
    assert len(found.packed) > 4000


def test_a_pod_with_several_ports_has_each() -> None:
    raw = bytearray(reply_of(LargeService(statefulset("db", range(2))), wire.SRV))
    name = wire.name_from_text(service().name)
    second = raw.index(b"\x04db-1") - 2
    raw[second : second + 2] = (9104).to_bytes(2, "big")
    raw[second + 2 : second + 7] = b"\x04db-0"
    listing = read_service_records(bytes(raw[: len(raw) - 32]), name, name)
    assert listing is None, "the glue is missing"
    raw[10:12] = b"\0\0"
    listing = read_service_records(bytes(raw[: len(raw) - 32]), name, name)
    assert listing is not None
    assert list(listing.ports.values()) == [(3306, 9104)]


def _asked(label: str) -> bytes:
    return question_after_id(wire.name_from_text(f"{label}.{service().name}"), wire.A)


def test_an_answer_to_another_question_is_declined() -> None:
    raw = reply_of(service(), wire.A, "db-0")
    assert read_addresses(raw, _asked("db-0")) is not None
    assert read_addresses(raw, _asked("db-1")) is None
    name = wire.name_from_text(service().name)
    assert read_service_records(reply_of(service(), wire.SRV), name, name) is not None
    assert read_service_records(reply_of(service(), wire.SRV, "db-0"), name, name) is None


@pytest.mark.parametrize(
    "owner", [b"\xc0\x0c", wire.name_from_text("db.default.svc.cluster.local")]
)
def test_addresses_of_others_are_left_to_the_full_reader(owner: bytes) -> None:
    """Also those of the service's own name."""
    raw = bytearray(reply_of(service(1), wire.SRV))
    glue = len(raw) - 16
    raw[glue : glue + 2] = owner
    name = wire.name_from_text(service().name)
    assert read_service_records(bytes(raw), name, name) is None
    assert fast_readers_agree(bytes(raw)) is False


@pytest.mark.parametrize("glue", [False, True])
@pytest.mark.parametrize("label", [b"", b"\0", b"\0\0", b"\x40", b"\xc0", b"\xc0\x0c", b"\4db"])
def test_a_target_with_a_broken_first_label_is_refused_by_both(label: bytes, glue: bool) -> None:
    """An empty label ends a name, so the service's name behind it does not belong to it."""
    name = wire.name_from_text(service().name)
    raw = bytearray(reply_of(LargeService(statefulset("db", range(1))), wire.SRV))
    target = raw.index(b"\x04db-0")
    end = target + 5 + len(name)
    replaced = label + name
    raw[target - 8 : target - 6] = (6 + len(replaced)).to_bytes(2, "big")
    raw[target:] = replaced + (bytes(raw[end:]) if glue else b"")
    if not glue:
        raw[10:12] = b"\0\0"
    assert read_service_records(bytes(raw), name, name) is None
    fast_readers_agree(bytes(raw))


@pytest.mark.parametrize("case", [str.upper, str.title])
def test_capital_letters_are_left_to_the_full_reader(case) -> None:  # type: ignore[no-untyped-def]
    raw = reply_of(service(), wire.SRV).replace(b"db-1", case("db-1").encode())
    assert fast_readers_agree(raw) is False


def test_addresses_whose_names_end_within_the_question_are_read() -> None:
    """As BIND writes the answer for a named port: the service's name is only a part of it."""
    service = "db.default.svc.cluster.local."
    message = dns.message.make_response(dns.message.make_query(f"_sql._tcp.{service}", "SRV"))
    for section, owner, rtype, data in (
        (message.answer, f"_sql._tcp.{service}", "SRV", f"0 1 3306 db-0.{service}"),
        (message.additional, f"db-0.{service}", "A", "10.0.0.1"),
    ):
        section.append(dns.rrset.from_text(owner, 30, "IN", rtype, data))
    raw = message.to_wire()
    assert raw.count(b"\x04db-0\xc0\x16") == 1
    name, suffix = (wire.name_from_text(text[:-1]) for text in (f"_sql._tcp.{service}", service))
    listing = read_service_records(raw, name, suffix)
    assert listing is not None
    assert dict(listing.addresses) == {b"\x04db-0" + suffix: (b"\x0a\0\0\1",)}


def test_random_bytes_are_declined() -> None:
    chance = random.Random(3)
    raw = reply_of(service(), wire.SRV)
    for _ in range(3000):
        assert fast_readers_agree(raw[:45] + chance.randbytes(chance.randrange(200))) is not True


def test_nothing_found_is_said_with_defaults() -> None:
    assert AddressRecords(()) == ((), 0, False)
