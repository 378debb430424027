"""The fast readers against `peerdisco.dns.wire.read`: the same, or they decline."""

from __future__ import annotations

import random
import struct

import pytest

from peerdisco.dns import wire
from peerdisco.dns.fast_path import (
    Found,
    ServiceRecords,
    question_after_id,
    read_addresses,
    read_service_records,
    records_from_message,
)

from ...large.service import LargeService, Pod, address, statefulset
from ...vectors_reader import answers, exchanges, scenarios
from ..oracle import Mutator

SEEDS = 12
A_SEED = 2500
SMALL, LARGE = 480, 5000


def question_of(message: bytes) -> wire.Question | None:
    """The question in a message, however broken the rest is; None if its name is none to ask."""
    try:
        end = message.index(b"\0", 12) + 1
        rtype, rclass = struct.unpack_from("!HH", message, end)
        name = message[12:end].lower()
        if wire.name_from_text(wire.name_to_text(name)) != name:
            return None
    except (ValueError, IndexError, struct.error):
        return None
    return wire.Question(name, rtype, rclass)


def service_of(name: bytes) -> bytes:
    """The service's name within its own, a pod's or a port's, in the grammar of Kubernetes."""
    labels = wire.name_to_text(name).split(".")
    at = labels.index("svc") - 2 if "svc" in labels[2:] else 0
    return wire.name_from_text(".".join(labels[at:]))


def read(message: bytes) -> wire.Message | None:
    try:
        return wire.read(message)
    except wire.MalformedMessage:
        return None


def same_listing(found: ServiceRecords, message: wire.Message, name: bytes, suffix: bytes) -> bool:
    expected = records_from_message(message, name, suffix)
    return (
        dict(found.ports) == dict(expected.ports)
        and list(found.ports) == list(expected.ports)
        and dict(found.addresses) == dict(expected.addresses)
        and (found.ttl, found.truncated) == (expected.ttl, expected.truncated)
    )


def compare(raw: bytes) -> bool | None:
    """Whether a fast reader read it, with the same result; None for other messages."""
    asked = question_of(raw)
    if len(raw) < 12 or asked is None:
        return None
    message = read(raw)
    if asked.type == wire.SRV:
        name = asked.name
        suffix = service_of(name)
        listing = read_service_records(raw, name, suffix)
        if listing is None:
            return False
        assert message is not None, f"wire.read refuses {raw.hex()}"
        assert same_listing(listing, message, name, suffix), raw.hex()
    elif asked.type in (wire.A, wire.AAAA):
        found = read_addresses(raw, question_after_id(asked.name, asked.type))
        if found is None:
            return False
        assert message is not None, f"wire.read refuses {raw.hex()}"
        records = [r for r in message.answers if isinstance(r, wire.Address)]
        assert len(records) == len(message.answers)
        assert {r.owner for r in records} == {asked.name}
        assert found.packed == tuple(r.packed for r in records)
        assert found.ttl == min((r.ttl for r in records if r.ttl), default=0)
        assert found.truncated == message.truncated
    else:
        return None
    assert message.questions == (asked,)
    assert message.response
    assert message.rcode == wire.NOERROR
    return True


# Recordings.


@pytest.mark.parametrize("scenario", scenarios())
def test_recorded_answers_are_read(scenario: str) -> None:
    """Every positive answer of a real CoreDNS has a shape that is known."""
    for exchange in exchanges(scenario):
        done = compare(exchange.answer)
        message = wire.read(exchange.answer)
        if done is not None and message.answers:
            assert done, f"declined: {exchange.answer[:200].hex()}"


@pytest.mark.parametrize("seed", range(SEEDS))
def test_broken_answers_are_read_alike_or_declined(seed: int) -> None:
    mutator = Mutator(seed, tuple(answers(smallest=0, largest=SMALL)))
    counts = [compare(mutator.message()) for _ in range(A_SEED)]
    assert counts.count(True) > A_SEED / 50
    assert counts.count(False) > A_SEED / 50


@pytest.mark.parametrize("seed", range(100, 104))
def test_large_broken_answers_are_read_alike_or_declined(seed: int) -> None:
    mutator = Mutator(seed, tuple(answers(smallest=SMALL + 1, largest=LARGE)))
    counts = [compare(mutator.message()) for _ in range(300)]
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
    assert compare(raw)
    for at in range(len(raw)):
        for value in (0, 1, 2, 0x3F, 0x40, 0x80, 0xC0, 0xFF, raw[at] ^ 0x20, (raw[at] + 1) % 256):
            compare(raw[:at] + bytes((value,)) + raw[at + 1 :])
    for size in range(len(raw)):
        assert not compare(raw[:size])
    assert not compare(raw + b"\0")


# Shapes.


@pytest.mark.parametrize("pods", [1, 3, 800, 1500])
@pytest.mark.parametrize("label", ["", "db-0"])
def test_answers_of_any_size_are_read(pods: int, label: str) -> None:
    for rtype in (wire.A, wire.SRV):
        for payload in (None, 1232):
            assert compare(reply_of(service(pods), rtype, label, payload))


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


def test_an_answer_is_kept_without_its_id() -> None:
    raw = reply_of(service(), wire.A, "db-0")
    found = read_addresses(raw, _asked("db-0"))
    assert found is not None
    assert found.reply == raw[2:]


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
    assert compare(bytes(raw)) is False


@pytest.mark.parametrize("case", [str.upper, str.title])
def test_capital_letters_are_left_to_the_full_reader(case) -> None:  # type: ignore[no-untyped-def]
    raw = reply_of(service(), wire.SRV).replace(b"db-1", case("db-1").encode())
    assert compare(raw) is False


def test_random_bytes_are_declined() -> None:
    chance = random.Random(3)
    raw = reply_of(service(), wire.SRV)
    for _ in range(3000):
        assert compare(raw[:45] + chance.randbytes(chance.randrange(200))) is not True


def test_nothing_found_is_said_with_defaults() -> None:
    assert Found(()) == ((), 0, False, b"")
