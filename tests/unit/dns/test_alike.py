"""Replies that differ in nothing but a name and its address, and those that differ in more."""

from __future__ import annotations

import pytest

from peerdisco.dns import wire
from peerdisco.dns.alike import AlikeReplies
from peerdisco.dns.fast_path import question_after_id, read_addresses, read_service_records
from tests.large.service import LargeService, Pod, address, statefulset

PODS = statefulset("db", range(2000))
SERVICE = LargeService(PODS)
SUFFIX = wire.name_from_text(SERVICE.name)


def name_of(ordinal: int) -> bytes:
    label = f"db-{ordinal}".encode()
    return bytes((len(label),)) + label + SUFFIX


def reply_for(ordinal: int, rtype: int, service: LargeService = SERVICE) -> bytes:
    return service.reply(wire.query(ordinal, name_of(ordinal), rtype, payload=None))


def learned(rtype: int, ordinals: range) -> AlikeReplies[str]:
    """Forms of replies of this type, each with the name as its value."""
    alike: AlikeReplies[str] = AlikeReplies()
    for ordinal in ordinals:
        alike.learn(
            name_of(ordinal), reply_for(ordinal, rtype), address(1 + ordinal), f"like {ordinal}"
        )
    return alike


@pytest.mark.parametrize("rtype", [wire.A, wire.SRV])
def test_what_it_recognises_the_readers_read_in_the_same_way(rtype: int) -> None:
    alike = learned(rtype, range(1))
    alike.learn(name_of(1000), reply_for(1000, rtype), address(1001), "like 1000")
    for ordinal in range(2000):
        name, reply = name_of(ordinal), reply_for(ordinal, rtype)
        found = alike.match(name, reply)
        if 10 <= ordinal < 1000:  # names of another size
            assert found is None
            continue
        assert found == (address(1 + ordinal), "like 0" if ordinal < 10 else "like 1000")
        if rtype == wire.A:
            records = read_addresses(reply, question_after_id(name, wire.A))
            assert records is not None
            assert records.packed == (found[0],)
        else:
            listing = read_service_records(reply, name, SUFFIX)
            assert listing is not None
            assert listing.addresses == {name: (found[0],)}


@pytest.mark.parametrize("rtype", [wire.A, wire.SRV])
def test_a_reply_that_differs_in_any_other_byte_is_not_recognised(rtype: int) -> None:
    alike, reply = learned(rtype, range(1)), reply_for(5, rtype)
    assert alike.match(name_of(5), reply) is not None
    for at in range(2, len(reply) - 4):
        changed = bytearray(reply)
        changed[at] ^= 0x20
        assert alike.match(name_of(5), bytes(changed)) is None, at
    for size in range(len(reply)):
        assert alike.match(name_of(5), reply[:size]) is None
    assert alike.match(name_of(5), reply + b"\0") is None
    assert alike.match(name_of(6), reply) is None, "a reply to another question"


def test_a_name_with_another_first_label_of_the_same_size_is_not_recognised() -> None:
    """Compression pointers into it would lead elsewhere."""
    alike: AlikeReplies[str] = AlikeReplies()
    first, second = b"\2aa\1b" + SUFFIX, b"\1a\2bb" + SUFFIX
    reply = bytes(12) + first + b"\0\1\0\1" + address(1)
    alike.learn(first, reply, address(1), "")
    assert alike.match(b"\2cc\1d" + SUFFIX, reply.replace(first, b"\2cc\1d" + SUFFIX)) is not None
    assert alike.match(second, reply.replace(first, second)) is None


def test_the_forms_that_are_kept_are_bounded() -> None:
    alike: AlikeReplies[int] = AlikeReplies()
    for size in range(1, 2000):
        name = bytes((size % 60 + 1,)) + b"x" * size
        alike.learn(name, bytes(2) + name + address(1), address(1), size)
    assert len(alike._forms) <= 64
    assert alike.match(name, bytes(2) + name + address(7)) == (address(7), 1999)


async def test_replies_of_many_forms_are_read_as_they_are() -> None:
    """Other ports, two addresses, and no port, next to pods that are alike."""
    from tests.large.polling import TIMEOUT, opened

    pods = statefulset("db", range(1500))
    pods[1400] = Pod("db-1400", (address(60_000), address(60_001)))
    pods[1401] = Pod("db-1401", (address(60_002), (7).to_bytes(16, "big")))
    pods[1402] = Pod("db-1402", (address(60_003),), 5432)
    service = LargeService(pods)
    async with opened(service) as (source, _):
        for _ in range(3):
            observation = await source.observe(timeout=TIMEOUT)
            peers = {peer.name: peer for peer in observation.peers}  # type: ignore[union-attr]
            assert len(peers) == 1500
            for pod in pods:
                packed = sorted(pod.packed, key=lambda one: (len(one), one))
                assert [a.packed for a in peers[pod.label].addresses] == packed
                assert dict(peers[pod.label].ports) == {"": pod.port}
