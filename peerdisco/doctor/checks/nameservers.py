"""Each name server over UDP and TCP: reachable, fast, for this zone, with EDNS. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...dns import wire
from ...model import Outcome
from ..advice import change, name_cluster_dns, use_servers
from ..facts import SERVICE, Exchange, Facts, Request, ServerFacts
from ..findings import Finding, Fix, ok, problem, unknown, warning
from ..fixes import SHOW_COREFILE, allow_dns, dns_policy

__all__ = ["SLOW", "check_nameservers"]

SLOW = 0.2
"""Seconds for a reply that are too many: DNS within a cluster takes some milliseconds."""

_PODS = "kubectl get pods --namespace kube-system --selector k8s-app=kube-dns --output wide"
_DNS_PORTS = (
    "kubectl get service kube-dns --namespace kube-system --output jsonpath='{.spec.ports}'"
)
_LOGS = "kubectl logs --namespace kube-system --selector k8s-app=kube-dns --tail 50"


def check_nameservers(facts: Facts) -> Iterator[Finding]:
    """Each name server, over each transport."""
    servers = facts.dns.servers
    if facts.request.fixed_list:
        yield ok("nameservers", "the source is a fixed list of peers: DNS is not queried")
        return
    for server in servers:
        yield from _reachable(server, facts)
        if server.udp.outcome.replied:
            yield from _speed(server)
            yield _edns(server, facts)
        elif server.plain.outcome.replied:
            yield _edns_dropped(server, facts)
        if server.replied:
            yield _recursion(server)
    if servers:
        yield from _zone(facts)


def _reachable(server: ServerFacts, facts: Facts) -> Iterator[Finding]:
    """Whether the server replies over each transport, and without an error."""
    if not server.replied:
        yield _silent(server, facts)
        return
    udp, tcp = server.udp, server.tcp
    if not (udp.outcome.replied or server.plain.outcome.replied):
        yield _no_udp(server)
    elif udp.outcome in _ERRORS and not server.plain.usable:
        yield _error(server, udp)
    elif udp.outcome is Outcome.MALFORMED:
        yield _malformed(server, udp, facts)
    elif not (udp.usable or server.plain.usable) and tcp.usable:
        yield _udp_fails(server)
    else:
        yield ok(
            "nameserver-udp",
            f"{server.name} replies over UDP in {_milliseconds(udp)}",
            server=server.name,
            milliseconds=_rounded(udp),
            bytes=udp.size,
            truncated=udp.truncated,
        )
    if not tcp.outcome.replied:
        yield _no_tcp(server)
    elif not tcp.usable and (udp.usable or server.plain.usable):
        yield _tcp_fails(server)
    else:
        yield ok(
            "nameserver-tcp",
            f"{server.name} replies over TCP in {_milliseconds(tcp)}",
            server=server.name,
            milliseconds=_rounded(tcp),
            bytes=tcp.size,
            truncated=tcp.truncated,
        )


_ERRORS = (Outcome.SERVFAIL, Outcome.ERROR)


def _silent(server: ServerFacts, facts: Facts) -> Finding:
    others = [other.name for other in facts.dns.servers if other.replied]
    what = server.udp.detail or "no reply in time"
    found = f"{server.name} does not answer over UDP or TCP: {what}"
    if others:
        return warning(
            "nameserver-udp",
            found,
            "Lookups wait for it, and then query the next server.",
            use_servers(facts.request, others),
            server=server.name,
        )
    if server.udp.outcome is Outcome.UNREACHABLE:
        return problem(
            "nameserver-udp",
            found,
            "Nothing can be looked up, so nothing is known about the pods.",
            name_cluster_dns(
                facts.request,
                "Nothing answers at this address. Query the cluster's DNS instead.",
            ),
            server=server.name,
        )
    return problem(
        "nameserver-udp",
        found,
        "Nothing can be looked up, so nothing is known about the pods.",
        _allow_or_start(),
        server=server.name,
    )


def _allow_or_start() -> Fix:
    allow = allow_dns(("UDP", "TCP"))
    return Fix(
        f"Check that the cluster's DNS runs. {allow.text}",
        command=f"{_PODS}\n{allow.command}",
        yaml=allow.yaml,
    )


def _no_udp(server: ServerFacts) -> Finding:
    return problem(
        "nameserver-udp",
        f"{server.name} answers over TCP, but not over UDP: {server.udp.detail or 'no reply'}",
        "Each lookup waits for UDP first, and programs that use only UDP fail.",
        allow_dns(("UDP", "TCP")),
        server=server.name,
    )


def _no_tcp(server: ServerFacts) -> Finding:
    detail = server.tcp.detail or "no reply in time"
    allow = allow_dns(("UDP", "TCP"))
    if "refused" in detail:
        allow = Fix(
            "Nothing accepts connections at this address. The Service of the cluster's DNS needs "
            "port 53 for TCP as well as for UDP; the first command shows its ports. If they are "
            f"there, something on the way refuses them. {allow.text}",
            command=f"{_DNS_PORTS}\n{allow.command}",
            yaml=allow.yaml,
        )
    return _without_tcp(server, f"answers over UDP, but not over TCP: {detail}", allow)


def _tcp_fails(server: ServerFacts) -> Finding:
    found = f"answers over UDP, but fails over TCP: {server.tcp}"
    return _without_tcp(server, found, _same_answer("TCP", "UDP"))


def _udp_fails(server: ServerFacts) -> Finding:
    return problem(
        "nameserver-udp",
        f"{server.name} answers over TCP, but fails over UDP: {server.udp}",
        "Lookups ask over UDP first, and take the answer over UDP for the server's.",
        _same_answer("UDP", "TCP"),
        server=server.name,
    )


def _same_answer(wrong: str, right: str) -> Fix:
    return Fix(
        f"Let the server answer the same over {wrong} as over {right}: look for a rule for {wrong} "
        "alone in its configuration, and for a proxy or another server that gets these queries. "
        "The commands show the Corefile and the pods of the cluster's DNS:",
        command=f"{SHOW_COREFILE}\n{_PODS}",
    )


def _without_tcp(server: ServerFacts, found: str, fix: Fix) -> Finding:
    needed = server.udp.truncated
    why = (
        "The answer does not fit into a datagram, so without TCP the list of pods stays incomplete."
        if needed
        else "As soon as the answer no longer fits into a datagram, the list of pods is incomplete."
    )
    make = problem if needed else warning
    return make("nameserver-tcp", f"{server.name} {found}", why, fix, server=server.name)


def _error(server: ServerFacts, exchange: Exchange) -> Finding:
    return problem(
        "nameserver-udp",
        f"{server.name}: {exchange}",
        "The server cannot resolve the name. CoreDNS sends SERVFAIL until it has read the services "
        "from the Kubernetes API, and a cache does while the cluster's DNS is unreachable.",
        Fix(
            "Restore the connection of the cluster's DNS to the Kubernetes API; its log has the "
            "reason. Do not restart it while the API is unreachable: replicas that still answer "
            "would fail too.",
            command=f"{_PODS}\n{_LOGS}",
        ),
        server=server.name,
    )


def _malformed(server: ServerFacts, exchange: Exchange, facts: Facts) -> Finding:
    return problem(
        "nameserver-udp",
        f"{server.name}: a reply that is not a DNS message: {exchange.detail}",
        "Something else listens at this address, or changes DNS messages on the way.",
        name_cluster_dns(facts.request, "Query the cluster's DNS itself."),
        server=server.name,
    )


def _speed(server: ServerFacts) -> Iterator[Finding]:
    times = [e.seconds for e in (server.udp, *server.samples) if e.outcome.replied]
    least = min(times)  # others wait for a busy client, too
    if least >= SLOW:
        yield warning(
            "nameserver-latency",
            f"{server.name} takes {least * 1000:.0f} ms or more for each of {len(times)} queries",
            "A lookup in a cluster takes some milliseconds. The server is overloaded or far away, "
            "and lookups may time out.",
            Fix(
                "Run more replicas of the cluster's DNS, or NodeLocal DNSCache on each node; poll "
                "less often, with a longer --interval or, where none is given, PEERDISCO_INTERVAL. "
                "This shows whether it is short of CPU time:",
                command="kubectl top pods --namespace kube-system --selector k8s-app=kube-dns",
            ),
            server=server.name,
            milliseconds=round(least * 1000, 1),
        )


def _edns(server: ServerFacts, facts: Facts) -> Finding:
    message = server.udp.message
    if message is not None and message.edns_payload is not None:
        return ok(
            "nameserver-edns",
            f"{server.name} supports EDNS: replies over UDP of up to "
            f"{min(message.edns_payload, wire.EDNS_PAYLOAD)} bytes",
            server=server.name,
            payload=message.edns_payload,
        )
    refused = f"rejects EDNS ({server.udp.detail or server.udp.outcome.value})"
    does = refused if server.udp.outcome in _ERRORS and server.plain.usable else "does not use EDNS"
    return warning(
        "nameserver-edns",
        f"{server.name} {does}: replies over UDP have at most 512 bytes",
        "Some six pods fit into 512 bytes; with more of them each lookup needs TCP.",
        name_cluster_dns(
            facts.request,
            "Query the cluster's DNS itself, without a proxy between that removes EDNS.",
            "Nothing has to be done while TCP works and is fast enough.",
        ),
        server=server.name,
        payload=None,
    )


def _edns_dropped(server: ServerFacts, facts: Facts) -> Finding:
    return problem(
        "nameserver-edns",
        f"{server.name} answers queries without EDNS, and does not answer those with it",
        "Something on the path drops messages with EDNS, so the first lookup waits for seconds.",
        name_cluster_dns(
            facts.request,
            "Find the firewall or proxy between this pod and the server, and let it pass UDP "
            "messages of up to 1,232 bytes with an OPT record (RFC 6891, 6.2.2). Or query the "
            "cluster's DNS itself.",
        ),
        server=server.name,
    )


def _recursion(server: ServerFacts) -> Finding:
    message = server.root.message
    offered = message is not None and message.recursion_available
    resolves = server.root.outcome is Outcome.ANSWER or offered
    resolving = "also resolves" if resolves else "does not resolve"
    return ok(
        "nameserver-recursion",
        f"{server.name} {resolving} names outside the cluster, which peerdisco does not need",
        server=server.name,
        recursion_available=offered,
    )


def _zone(facts: Facts) -> Iterator[Finding]:
    """Whether each server serves the zone of the cluster."""
    zone, servers = facts.request.zone, facts.dns.servers
    if zone is None:
        return
    text = wire.name_to_text(zone)
    verdicts = {server.name: server.serves(zone) for server in servers if server.replied}
    serving = [name for name, serves in verdicts.items() if serves]
    for name, serves in verdicts.items():
        if serves:
            yield ok("nameserver-zone", f"{name} serves {text}", server=name, zone=text)
        elif serves is None:
            yield unknown(
                "nameserver-zone",
                f"nothing shows whether {name} serves {text}",
                "A server outside the cluster denies every name of the cluster.",
                server=name,
                zone=text,
            )
        elif serving:
            yield warning(
                "nameserver-zone",
                f"{name} does not serve {text} ({_evidence(servers, name)}), and other servers do",
                "Programs that ask this server get the answer that the service does not exist. "
                "peerdisco recognises such answers and queries the next server.",
                use_servers(facts.request, serving),
                server=name,
                zone=text,
            )
        else:
            yield _outside(facts, name, text)


def _outside(facts: Facts, name: str, zone: str) -> Finding:
    return problem(
        "nameserver-zone",
        f"{name} does not serve {zone} ({_evidence(facts.dns.servers, name)})",
        "It knows no service of the cluster, so its answers say nothing about the pods.",
        _find_zone(facts, zone),
        server=name,
        zone=zone,
    )


def _find_zone(facts: Facts, zone: str) -> Fix:
    """The right domain if the pod's files show another one, else the right name server."""
    pod, request = facts.pod, facts.request
    searched = _searched_domain(pod.resolv_conf.search)
    if searched is not None and searched != zone:
        return change(
            request,
            f"The pod's search list has {searched}: use that domain.",
            _other_domain(request, searched),
        )
    if searched is None and pod.in_pod and "--nameserver" not in request.settings:
        return dns_policy(host_network=pod.host_network)
    return name_cluster_dns(
        request,
        "Query a name server of the cluster.",
        "If that is this one, the cluster's own domain is another (--cluster-domain): the "
        "kubelet's configuration has it as clusterDomain.",
    )


def _other_domain(request: Request, domain: str) -> dict[str, str]:
    """The settings with another domain: that of the full name of a service, or the domain's own."""
    service = request.service
    changes = {"--cluster-domain": domain} if "--cluster-domain" in request.settings else {}
    if service is not None and any(name.count(".") > 2 for name in request.values(SERVICE)):
        changes[SERVICE] = f"{service.name}.{service.namespace}.svc.{domain}"
    return changes or {"--cluster-domain": domain}


def _searched_domain(search: Sequence[str]) -> str | None:
    return next((d.removeprefix("svc.") for d in search if d.startswith("svc.")), None)


def _evidence(servers: Sequence[ServerFacts], name: str) -> str:
    server = next(server for server in servers if server.name == name)
    absent = server.absent
    soa = absent.message.soa if absent.message else None
    if soa is not None:
        owner = wire.name_to_text(soa.owner)
        return f"{absent.outcome.value} of the zone {owner!r}"
    return absent.outcome.value


def _milliseconds(exchange: Exchange) -> str:
    return f"{exchange.seconds * 1000:.1f} ms"


def _rounded(exchange: Exchange) -> float:
    return round(exchange.seconds * 1000, 1)
