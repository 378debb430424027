"""The answers themselves: caches, replicas that disagree, sizes, the API, the clock. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from ...dns import wire
from ...exceptions import StaleAnswer
from ...membership.caching import Caching
from ...membership.rules import ConfirmationRules
from ...model import Failed, Peer
from ...names import ServiceName
from ..facts import LONG_TTL, Exchange, Facts, ServerFacts, caching_of
from ..findings import Finding, Fix, ok, problem, unknown, warning
from ..fixes import SHOW_COREFILE

__all__ = ["check_answers", "compressed_size"]

_POLLS = 10
"""Polls of a watcher after which it knows whether TTLs count down."""

NEAR_LIMIT = 0.9
LARGEST_MESSAGE = 65535
CLOCK_TOLERANCE = 60
"""Seconds by which this machine's clock may be behind the newest change in DNS."""

_FIRST_TIME, _LAST_TIME = 1_400_000_000, 4_000_000_000
"""SOA serials between these are taken for seconds since 1970, as CoreDNS and kube-dns set them."""


def check_answers(facts: Facts) -> Iterator[Finding]:
    """Caches, replicas, sizes, the API and the clock."""
    if facts.request.fixed_list:
        return
    for server in facts.serving:
        if server.samples:
            yield _cache(server, facts)
    yield from _served_stale(facts)
    yield from _agreement(facts)
    yield from _size(facts)
    yield ok("kubernetes-api", "not used: peerdisco queries DNS alone and needs no RBAC rule")
    yield from _clock(facts)


def _ttls(server: ServerFacts) -> list[tuple[float, int]]:
    """When each sample was answered, and its TTL."""
    found = [(sample.at, sample.ttl) for sample in server.samples]
    return [(at, ttl) for at, ttl in found if ttl is not None]


def _cache(server: ServerFacts, facts: Facts) -> Finding:
    ttls = _ttls(server)
    if not ttls:
        return ok(
            "cache", f"{server.name} has no records of the service, so no TTL", server=server.name
        )
    caching = caching_of(server.samples)
    largest = max(ttl for _, ttl in ttls)
    if not any(ttl for _, ttl in ttls):
        return ok("cache", f"{server.name} sends TTL 0", server=server.name, ttl=0, cached=None)
    constant = caching.uncached > 0 and not caching.counts_down
    hold = _hold(caching, ConfirmationRules(interval=facts.interval))
    kind = (
        "which counts down: a cache is in between"
        if caching.counts_down
        else "which does not count down: no cache was seen"
        if constant
        else "and too few answers came while it lasts to show whether there is a cache"
    )
    found = f"{server.name} sends a TTL of up to {largest} s, {kind}"
    values = {
        "server": server.name,
        "ttl": largest,
        "hold": round(hold, 1),
        "cached": caching.counts_down or (False if constant else None),
    }
    if largest <= LONG_TTL or caching.none_seen:
        return ok(
            "cache", f"{found}; a departure is confirmed after {hold:.0f} s or more", **values
        )
    return warning(
        "cache",
        found,
        f"A cache may hide a change for {largest} s, and a departure is confirmed only after "
        f"{hold:.0f} s.",
        Fix(
            "Shorten the TTL of the cluster's zone, and do not cache it, as kubeadm sets it up "
            "since 1.32. In the Corefile of the ConfigMap coredns in kube-system, keep the other "
            "lines, and let these two plugins have:\n"
            "kubernetes cluster.local in-addr.arpa ip6.arpa {\n    ttl 30\n}\n"
            "cache 30 {\n    disable success cluster.local\n    disable denial cluster.local\n}\n"
            "The command shows the Corefile of today:",
            command=SHOW_COREFILE,
        ),
        **values,
    )


def _hold(caching: Caching, rules: ConfirmationRules) -> float:
    """Seconds after which a watcher that has polled for a while confirms a departure."""
    if caching.counts_down or not caching.uncached:
        return caching.hold(rules)
    polls = Caching()
    for number in range(_POLLS):
        polls = polls.after(caching.largest, number * rules.interval)
    return polls.hold(rules)


def _served_stale(facts: Facts) -> Iterator[Finding]:
    """Answers with TTL 0, after a larger one or from the start."""
    fix = Fix(
        "Let the cache reach the cluster's DNS: check that its pods run. If the zone is "
        "configured with ttl 0, set it to 5 or more; the second command shows that.",
        command="kubectl get pods --namespace kube-system --selector k8s-app=kube-dns --output wide"
        f"\n{SHOW_COREFILE}",
    )
    why = "A cache that cannot reach its upstream serves old answers with TTL 0: not evidence."
    mixed = [s.name for s in facts.serving if len({ttl == 0 for _, ttl in _ttls(s)}) > 1]
    lookup = facts.dns.lookup
    observation = lookup.observation if lookup is not None else None
    if isinstance(observation, Failed) and isinstance(observation.error, StaleAnswer):
        yield problem("served-stale", str(observation.error), why, fix)
    elif mixed:
        yield warning(
            "served-stale",
            f"{', '.join(mixed)} sends TTL 0 in some answers and a larger one in others",
            why,
            fix,
            servers=mixed,
        )
    elif lookup is not None and lookup.may_be_stale:
        yield warning("served-stale", "every answer has TTL 0", why, fix, servers=[])


def _listing(exchange: Exchange) -> frozenset[tuple[bytes, ...]] | None:
    """What an answer lists; None if it is truncated or not an answer."""
    message = exchange.message
    if message is None or message.truncated or not exchange.usable:
        return None
    found: set[tuple[bytes, ...]] = set()
    for record in (*message.answers, *message.additional):
        if type(record) is wire.Srv:
            found.add((b"SRV", record.target, b"%d" % record.port))
        elif type(record) is wire.Address:
            found.add((b"A", record.owner, record.packed))
    return frozenset(found)


def _listings(server: ServerFacts) -> list[frozenset[tuple[bytes, ...]]]:
    found = [_listing(sample) for sample in server.samples]
    return [listing for listing in found if listing is not None]


def _agreement(facts: Facts) -> Iterator[Finding]:
    """Whether the servers, and the replicas behind each of them, list the same pods."""
    servers = {server.name: _listings(server) for server in facts.serving}
    servers = {name: listings for name, listings in servers.items() if listings}
    for name, listings in servers.items():
        if _alternates(listings):
            yield _disagree(f"{name} gives different lists of pods in turn", [name])
            return
    last = {name: listings[-1] for name, listings in servers.items()}
    if len(set(last.values())) > 1 and all(len(set(many)) == 1 for many in servers.values()):
        counts = ", ".join(f"{name}: {_count(listing)}" for name, listing in last.items())
        yield _disagree(f"the name servers list different pods ({counts})", list(last))
    elif not servers and any(server.samples for server in facts.serving):
        yield unknown(
            "replicas-agree",
            "the lists of the name servers are not compared, because the answers are truncated",
            "Replicas that disagree would not be noticed here.",
        )
    elif servers:
        total = sum(map(len, servers.values()))
        changed = any(len(set(many)) > 1 for many in servers.values())
        what = "the list changed once during" if changed else "the same list of pods in"
        yield ok(
            "replicas-agree",
            f"{what} {total} queries to {_servers(len(servers))}",
            queries=total,
            servers=len(servers),
        )


def _servers(count: int) -> str:
    return "1 name server" if count == 1 else f"{count} name servers"


def _alternates(listings: Sequence[frozenset[tuple[bytes, ...]]]) -> bool:
    """Whether a list came back after another one: a change of the pods does not come back."""
    turns = [new for old, new in zip((None, *listings), listings, strict=False) if new != old]
    return len(set(turns)) < len(turns)


def _count(listing: frozenset[tuple[bytes, ...]]) -> str:
    names = {entry[1] for entry in listing if entry[0] == b"SRV"} or listing
    return "1 pod" if len(names) == 1 else f"{len(names)} pods"


def _disagree(found: str, servers: list[str]) -> Finding:
    return warning(
        "replicas-agree",
        found,
        "One replica of the cluster's DNS is behind, such as one that has lost the Kubernetes API "
        "and answers with old data. peerdisco confirms departures over several answers, and other "
        "programs see pods leave and return.",
        Fix(
            "Find the replica that is behind, and delete only that pod; its Deployment creates it "
            "again. The log of one that has lost the API names the API. Do not delete the others.",
            command="kubectl get pods --namespace kube-system --selector k8s-app=kube-dns "
            "--output wide\n"
            "kubectl logs --namespace kube-system --selector k8s-app=kube-dns --prefix --tail 20",
        ),
        servers=servers,
    )


def compressed_size(service: ServiceName, peers: Sequence[Peer]) -> int:
    """Bytes of the smallest SRV answer with the addresses of these peers, with EDNS.

    A target is not compressed (RFC 2782); its addresses point to it.
    """
    size = 12 + len(wire.name_from_text(service.fqdn)) + 4 + 11
    for peer in peers:
        target = len(wire.name_from_text(peer.hostname))
        size += (18 + target) * max(1, len(peer.ports))
        size += sum(16 if address.version == 4 else 28 for address in peer.addresses)
    return size


def _size(facts: Facts) -> Iterator[Finding]:
    service, peers = facts.request.service, facts.peers
    if service is None or not any(peer.ports for peer in peers):
        return
    size = compressed_size(service, peers)
    each = max(1, (size - compressed_size(service, ())) // len(peers))
    fits = (LARGEST_MESSAGE - size) // each
    values = {
        "bytes": size,
        "per_pod": each,
        "udp_limit": wire.EDNS_PAYLOAD,
        "tcp_limit": LARGEST_MESSAGE,
    }
    counted = "1 pod" if len(peers) == 1 else f"{len(peers)} pods"
    found = f"the answer for {counted} has about {size:,} bytes"
    if size > LARGEST_MESSAGE * NEAR_LIMIT:
        yield warning(
            "answer-size",
            f"{found} of at most {LARGEST_MESSAGE:,}",
            "An answer that does not fit into one message is truncated also over TCP. peerdisco "
            "then asks for the pods one by one, and other programs see a part of them.",
            Fix(
                "Nothing has to be done for peerdisco, as long as TCP works. If the service has "
                "several ports, --port-name makes the answer smaller.",
            ),
            **values,
        )
    elif size > wire.EDNS_PAYLOAD:
        yield ok(
            "answer-size",
            f"{found}: more than the {wire.EDNS_PAYLOAD:,} of UDP, so lookups "
            f"use TCP, which has room for {fits:,} more pods",
            **values,
        )
    else:
        room = (wire.EDNS_PAYLOAD - size) // each
        yield ok(
            "answer-size",
            f"{found}: UDP has room for {room} more pods up to "
            f"{wire.EDNS_PAYLOAD:,} bytes, TCP for {fits:,} up to {LARGEST_MESSAGE:,}",
            **values,
        )


def _clock(facts: Facts) -> Iterator[Finding]:
    """This machine's clock, against the time of the newest change in DNS."""
    serials = [
        soa.serial
        for server in facts.serving
        for exchange in (server.absent, server.udp)
        if exchange.message is not None and (soa := exchange.message.soa) is not None
    ]
    times = [serial for serial in serials if _FIRST_TIME < serial < _LAST_TIME]
    if not facts.serving:
        return
    if not times:
        yield unknown(
            "clock",
            "the name servers give no time to compare this machine's clock with",
            "Times in logs may be wrong. Nothing else depends on the clock.",
        )
        return
    behind = max(times) - facts.now
    when = datetime.fromtimestamp(max(times), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if behind > CLOCK_TOLERANCE:
        yield warning(
            "clock",
            f"this machine's clock is at least {behind:,.0f} s behind: DNS changed at {when}",
            "Times in logs and reports are wrong, and TLS certificates may count as not yet valid.",
            Fix(
                "Synchronise the clock of the pod's node, where time cannot be set from within a "
                "pod. On the node:",
                command="timedatectl set-ntp true",
            ),
            behind=round(behind),
        )
    else:
        yield ok(
            "clock",
            f"this machine's clock is not behind the newest change in DNS ({when})",
            behind=0,
        )
