"""What one reply proves. Pure.

Records prove themselves. A negative answer (no such name, no such records) is proof only from a
server that serves the zone of the cluster: any other server gives a negative answer for every name
that it does not know. The SOA record of a negative answer names its zone (RFC 2308).
"""

from __future__ import annotations

from ..model import Outcome
from . import wire

__all__ = ["RECORDS", "USABLE", "is_within", "judge", "shows_nothing", "shows_zone"]

USABLE = frozenset({Outcome.ANSWER, Outcome.NO_DATA, Outcome.NXDOMAIN})
"""The outcomes that say something about the question."""

_RCODES = {
    wire.SERVFAIL: Outcome.SERVFAIL,
    wire.REFUSED: Outcome.REFUSED,
}
_RCODE_NAMES = {
    wire.FORMERR: "FORMERR",
    wire.NOTIMP: "NOTIMP",
    6: "YXDOMAIN",
    9: "NOTAUTH",
    wire.BADVERS: "BADVERS",
}
RECORDS: dict[int, type[wire.Record]] = {
    wire.A: wire.Address,
    wire.AAAA: wire.Address,
    wire.SRV: wire.Srv,
    wire.PTR: wire.Pointer,
    wire.SOA: wire.Soa,
}
"""The kind of record that answers a question of each type."""
_NS = 2


def judge(
    message: wire.Message, name: bytes, rtype: int, zone: bytes | None, trusted: bool
) -> tuple[Outcome, str]:
    """The outcome of a question, and its detail.

    Args:
        message: The reply to it.
        name: The name in the question, in wire form.
        rtype: The record type in the question.
        zone: The zone of the cluster; None where it is not known, and every negative answer counts
            that is no referral.
        trusted: Whether a negative answer of this server counts without an SOA record.
    """
    if message.rcode not in (wire.NOERROR, wire.NXDOMAIN):
        outcome = _RCODES.get(message.rcode, Outcome.ERROR)
        if outcome is not Outcome.ERROR:
            return outcome, ""
        return outcome, _RCODE_NAMES.get(message.rcode, f"RCODE{message.rcode}")
    wanted = RECORDS.get(rtype, wire.Opaque)
    found = message.rcode == wire.NOERROR and any(type(r) is wanted for r in message.answers)
    if found or message.truncated:
        return Outcome.ANSWER, ""
    outcome = Outcome.NO_DATA if message.rcode == wire.NOERROR else Outcome.NXDOMAIN
    if any(type(r) is wire.Alias and r.owner == name for r in message.answers):
        return outcome, ""  # the server has the name: what it is an alias of is another question
    owner = next((record.owner for record in message.authority if type(record) is wire.Soa), None)
    if owner is None and outcome is Outcome.NO_DATA and not message.answers:
        referred = any(_is_type(record, _NS) for record in message.authority)
        if referred:
            return Outcome.LAME, "the server refers to others"
        if not message.authoritative and not message.recursion_available:
            return Outcome.LAME, "the server neither serves the zone nor resolves for clients"
    if zone is None:
        return outcome, ""
    if owner is not None and is_within(name, zone):
        if is_within(owner, zone):
            return outcome, ""
        of, not_of = wire.name_to_text(owner), wire.name_to_text(zone)
        return Outcome.FOREIGN, f"{outcome.value} of the zone {of!r}, not of {not_of!r}"
    if trusted:
        return outcome, ""
    return Outcome.FOREIGN, f"{outcome.value}, and {shows_nothing(zone)}"


def shows_nothing(zone: bytes) -> str:
    """Why the negative answer of a server that is not trusted does not count."""
    return f"nothing shows that the server serves {wire.name_to_text(zone)!r}"


def shows_zone(message: wire.Message, zone: bytes | None) -> bool:
    """Whether this answer shows that its server serves the zone.

    It does where it names a pod or a service in the zone, or the zone itself as its own. An address
    shows nothing: there are servers that give one for every name.
    """
    if zone is None:
        return False
    for record in message.answers:
        if isinstance(record, wire.Srv | wire.Pointer) and is_within(record.target, zone):
            return True
    records = (*message.answers, *message.authority)
    return any(type(r) is wire.Soa and is_within(r.owner, zone) for r in records)


def is_within(name: bytes, zone: bytes) -> bool:
    """Whether a name in wire form is that of the zone, or below it."""
    if not name.endswith(zone):
        return False
    position, end = 0, len(name) - len(zone)
    while position < end:
        position += 1 + name[position]
    return position == end


def _is_type(record: wire.Record, rtype: int) -> bool:
    return type(record) is wire.Opaque and record.type == rtype
