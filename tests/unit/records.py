"""A name server that answers with whatever records a test gives it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from .scripted import Asked, Script

Records = Mapping[tuple[str, str], Sequence[str]]
"""What to answer: by name (with its final dot) and record type the lines of the answer, as in a
zone file. A line that begins with ``+`` goes into the additional section."""


def serves(records: Records, *, ttl: int = 5, nxdomain: bool = True) -> Script:
    """Answers with these; any other name does not exist, another type of a name has no data."""

    def script(asked: Asked) -> None:
        question = dns.message.from_wire(asked.raw)
        name = question.question[0].name.to_text().lower()
        rtype = dns.rdatatype.to_text(question.question[0].rdtype)
        reply = dns.message.make_response(question)
        reply.flags |= dns.flags.AA
        for line in records.get((name, rtype), ()):
            owner, kind, *data = line.removeprefix("+").split()
            section = reply.additional if line.startswith("+") else reply.answer
            section.append(dns.rrset.from_text(owner, ttl, "IN", kind, " ".join(data)))
        if not reply.answer:
            if nxdomain and name not in {known for known, _ in records}:
                reply.set_rcode(dns.rcode.NXDOMAIN)
            zone = ".".join(name.split(".")[-3:])
            soa = f"ns.dns.{zone} hostmaster.{zone} 1 2 3 4 5"
            reply.authority.append(dns.rrset.from_text(zone, 5, "IN", "SOA", soa))
        asked.send(reply.to_wire(max_size=65535))

    return script
