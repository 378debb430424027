"""The fast readers of `peerdisco.dns.fast_path`, held against `peerdisco.dns.wire.read`."""

from __future__ import annotations

import struct

from peerdisco.dns import wire
from peerdisco.dns.fast_path import (
    ServiceRecords,
    question_after_id,
    read_addresses,
    read_service_records,
    records_from_message,
)


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


def fast_readers_agree(raw: bytes) -> bool | None:
    """Whether a fast reader read it; None for messages that it does not read at all.

    Raises:
        AssertionError: It read something else than the full reader.
    """
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
