"""A DNS server that has no records: it says so for `cluster.local`, and refuses the rest.

Docker's DNS passes on what it does not know. It has no SRV records, and without this server the
name servers of the machine would get those queries, which do not know the domain either, or do not
answer at all. After "no data" for SRV, peerdisco reads the addresses and their names, which are
Docker's own.
"""

from __future__ import annotations

import socketserver

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset

ZONE = dns.name.from_text("cluster.local.")
SOA = dns.rrset.from_text(
    ZONE, 5, "IN", "SOA", "ns.dns.cluster.local. hostmaster.cluster.local. 1 7200 1800 86400 5"
)


class NoData(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        message, socket = self.request
        try:
            query = dns.message.from_wire(message)
        except dns.exception.DNSException:
            return
        reply = dns.message.make_response(query)
        if query.question and query.question[0].name.is_subdomain(ZONE):
            reply.flags |= dns.flags.AA
            reply.authority.append(SOA)
        else:
            reply.set_rcode(dns.rcode.REFUSED)
        socket.sendto(reply.to_wire(), self.client_address)


if __name__ == "__main__":
    with socketserver.UDPServer(("", 53), NoData) as server:
        server.serve_forever()
