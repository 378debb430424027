"""An answer that says the same is recognised without reading it; any other is read."""

from __future__ import annotations

import random
import struct
import sys
from collections.abc import Iterable

import pytest

from peerdisco.dns import fast_path, wire
from peerdisco.dns.fast_path import ServiceRecords, Services
from peerdisco.dns.glue import Glue
from peerdisco.sources import usual_answer
from peerdisco.sources.usual_answer import UsualAnswer

SERVICE = wire.name_from_text("db.default.svc.cluster.local")
ROUNDS = 3000

Records = list[tuple[int, bytes]]
"""The ordinal of a pod, and one of its addresses."""


def pods(count: int) -> Records:
    return [(number, bytes((10, 0, number >> 8, number & 255))) for number in range(count)]


def label(number: int) -> bytes:
    text = f"db-{number}".encode()
    return bytes((len(text),)) + text


def message(
    listed: Iterable[int], glue: Records, *, form: str = "whole", ttl: int = 5, opt: bool = True
) -> bytes:
    """An SRV answer, whose address records have their owners in one of three forms."""
    listed = list(listed)
    body = SERVICE + b"\0\x21\0\1"
    at: dict[int, int] = {}
    for number in listed:
        target = label(number) + SERVICE
        record = struct.pack("!HHHIHHHH", 0xC00C, 33, 1, ttl, 6 + len(target), 0, 10, 3306)
        at[number] = 12 + len(body) + len(record)
        body += record + target
    for number, packed in glue:
        owner = {
            "whole": label(number) + SERVICE,
            "label": label(number) + b"\xc0\x0c",
            "pointer": struct.pack("!H", 0xC000 | at[number]),
        }[form]
        rtype = 1 if len(packed) == 4 else 28
        body += owner + struct.pack("!HHIH", rtype, 1, ttl, len(packed)) + packed
    body += bytes.fromhex("00002904d0000000000000") if opt else b""
    counts = (1, len(listed), 0, len(glue) + opt)
    return struct.pack("!HH4H", 7, 0x8580, *counts) + body


def reads(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The answers that are read from now on."""
    read: list[bytes] = []

    def noted(
        reply: bytes, services: Services, suffix: bytes
    ) -> tuple[ServiceRecords, Glue] | None:
        read.append(reply)
        return fast_path.read_with_glue(reply, services, suffix)

    monkeypatch.setattr(usual_answer, "read_with_glue", noted)
    return read


@pytest.mark.parametrize("form", ["whole", "label", "pointer"])
@pytest.mark.parametrize("count", [2, 3, 11, 101])
@pytest.mark.parametrize("opt", [True, False])
def test_shuffled_addresses_are_not_read_again(
    form: str, count: int, opt: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, glue = UsualAnswer(SERVICE, SERVICE), pods(count)
    first = usual(message(range(count), glue, form=form, opt=opt))
    read = reads(monkeypatch)
    shuffle = random.Random(count).shuffle
    for _ in range(20):
        shuffle(glue)
        again = usual(message(range(count), glue, form=form, opt=opt))
        assert again is not None
        assert first is not None
        assert again.ports is first.ports
        assert again.addresses is first.addresses
    assert read == []


def test_the_names_are_not_read_again_when_an_address_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual, glue = UsualAnswer(SERVICE, SERVICE), pods(11)
    first = usual(message(range(11), glue))
    monkeypatch.setattr(usual_answer, "read_services", None)
    moved = [*glue[:-1], (10, b"\x0a\x63\0\1")]
    found = usual(message(range(11), moved[::-1]))
    assert first is not None
    assert found is not None
    assert found.ports is first.ports
    assert found.addresses == {**first.addresses, label(10) + SERVICE: (b"\x0a\x63\0\1",)}


def test_a_record_twice_in_place_of_another_is_read() -> None:
    usual, glue = UsualAnswer(SERVICE, SERVICE), pods(3)
    for order in (glue, glue[::-1]):
        usual(message(range(3), order))
    found = usual(message(range(3), [glue[0], glue[0], glue[2]]))
    assert found is not None
    assert label(1) + SERVICE not in found.addresses


@pytest.mark.parametrize("form", ["whole", "label", "pointer"])
def test_a_pod_with_two_addresses_of_a_family_has_both(form: str) -> None:
    second = b"\x0a\x63\0\1"
    found = UsualAnswer(SERVICE, SERVICE)(message(range(3), [*pods(3), (0, second)], form=form))
    assert found is not None
    assert set(found.addresses[label(0) + SERVICE]) == {pods(1)[0][1], second}


def test_nothing_is_kept_of_a_truncated_answer() -> None:
    """It has 64 KiB, and the next one has other records."""
    raw = bytearray(message(range(11), pods(11)))
    raw[2] |= 2
    usual = UsualAnswer(SERVICE, SERVICE)
    found = usual(bytes(raw))
    assert found is not None
    assert found.truncated
    count = sys.getrefcount(found)
    del usual
    assert sys.getrefcount(found) == count


def test_swapped_addresses_are_read() -> None:
    usual, glue = UsualAnswer(SERVICE, SERVICE), pods(3)
    for order in (glue, glue[::-1]):
        usual(message(range(3), order))
    swapped = [(0, glue[1][1]), (1, glue[0][1]), glue[2]]
    found = usual(message(range(3), swapped))
    assert found is not None
    assert found.addresses[label(0) + SERVICE] == (glue[1][1],)


def test_another_ttl_is_read() -> None:
    usual, glue = UsualAnswer(SERVICE, SERVICE), pods(3)
    for order in (glue, glue[::-1]):
        usual(message(range(3), order))
    found = usual(message(range(3), glue, ttl=4))
    assert found is not None
    assert found.ttl == 4


def same(found: ServiceRecords | None) -> object:
    """What an answer says; the addresses of a pod have no order."""
    if found is None:
        return None
    addresses = {name: sorted(packed) for name, packed in found.addresses.items()}
    return dict(found.ports), addresses, found.ttl, found.truncated


@pytest.mark.parametrize("seed", range(4))
def test_what_came_before_never_changes_what_an_answer_says(seed: int) -> None:
    """Against a reader that has read nothing before; most answers are broken in some byte."""
    chance = random.Random(seed)
    usual = UsualAnswer(SERVICE, SERVICE)
    count, form, alike = 3, "whole", 0
    glue = pods(3)
    for _ in range(ROUNDS):
        if chance.random() < 0.02:
            count, form = chance.randint(1, 12), chance.choice(["whole", "label", "pointer"])
            glue = pods(count)
            glue += [(n, bytes(15) + bytes((n,))) for n in range(count) if chance.random() < 0.3]
            glue += [(n, packed) for n, packed in glue[:2] if chance.random() < 0.1]
        chance.shuffle(glue)
        raw = bytearray(message(range(count), glue, form=form))
        if chance.random() < 0.6:
            raw[chance.randrange(2, len(raw))] = chance.choice((0, 1, 4, 12, 0xC0, raw[-20]))
        reply = bytes(raw)
        found = same(usual(reply))
        assert found == same(UsualAnswer(SERVICE, SERVICE)(reply)), reply.hex()
        alike += found is not None
    assert alike > ROUNDS / 5
