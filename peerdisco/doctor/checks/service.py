"""The service: whether it exists, is headless, governs the pods, and has the ports. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ...dns import wire
from ...exceptions import NotHeadless, UnusableAnswer
from ...model import Answered, Empty, Failed, Outcome, Peer
from ...names import ServiceName, address_with_dashes
from ...sources.leftovers import Leftovers
from ...sources.peer_factory import PeerFactory
from ..advice import change
from ..facts import SERVICE, Facts, NamedPort, Request
from ..findings import Finding, Fix, ok, problem, unknown, warning
from ..fixes import (
    SHOW_COREFILE,
    headless_manifest,
    in_namespace,
    publish_not_ready,
    show_endpoints,
    show_statefulsets,
)
from ..suggestions import closest

__all__ = ["check_service"]


def check_service(facts: Facts) -> Iterator[Finding]:
    """Whether the service is the one that peerdisco needs."""
    service, lookup = facts.request.service, facts.dns.lookup
    if service is None or facts.request.fixed_list:
        return
    if lookup is None:
        yield unknown(
            "service-exists",
            f"{service} was not looked up",
            "Nothing is known about its pods; the finding above has the reason.",
        )
        return
    observation = lookup.observation
    match observation:
        case Answered(peers=peers) if peers:
            yield ok(
                "service-exists",
                f"{service} ({facts.request.service_source}) has {_pods(len(peers))}",
                service=service.fqdn,
                pods=len(peers),
            )
            yield from _complete(facts, observation)
            yield from _others(facts, service)
            yield _governs(facts, service, peers)
            yield _ports(service, peers)
            yield from _address_records(facts, service)
            yield from _reverse(facts)
            for port in facts.dns.named_ports:
                yield _port_name(facts.request, service, port)
        case Answered(incomplete_reason=str(reason)):
            yield _nameless(service, reason)
        case Answered() | Empty():
            yield _absent(facts, service)
        case Failed(error=NotHeadless() as error):
            yield _not_headless(facts, service, error)
        case Failed(error=UnusableAnswer() as error):
            yield problem(
                "service-headless",
                str(error),
                "Records that name no pod of this service say nothing about its pods.",
                Fix(
                    "Check the service's name, namespace and domain, and that only name servers "
                    "of the cluster are queried:",
                    command=show_endpoints(service),
                ),
            )
        case _:
            yield unknown(
                "service-exists",
                str(observation.error),
                "A failed lookup says nothing about the pods: no pod has left because of it.",
                Fix("Fix the name servers first; the findings above say how.")
                if facts.dns.servers
                else None,
            )


def _pods(count: int) -> str:
    return "1 pod" if count == 1 else f"{count} pods"


def _absent(facts: Facts, service: ServiceName) -> Finding:
    found = f"{service}: DNS says that it does not exist, or that none of its pods is ready"
    why = "DNS gives the same answer for both, and lists no peers."
    others = facts.dns.services
    if others:
        meant = others[0].removesuffix(f".svc.{service.cluster_domain}")
        return problem(
            "service-exists",
            f"{found}; did you mean {', '.join(others)}?",
            why,
            _meant(facts, service, others[0], meant),
            service=service.fqdn,
            candidates=list(others),
        )
    if service.namespace is None:
        return problem("service-exists", found, why, Fix(f"Check the name {service}."))
    publish = publish_not_ready(service)
    return problem(
        "service-exists",
        found,
        f"{why} Pods that wait for each other before they become ready wait forever.",
        Fix(
            "The first command shows which service each StatefulSet names in spec.serviceName: if "
            f"it is another one, use that. If it is this one: {publish.text[0].lower()}"
            f"{publish.text[1:]} If the second command answers NotFound, create the service with "
            "this manifest and the labels of your pods. If pods are ready, its selector matches "
            "none of them, or it has no selector: the last two commands show that, and spec of the "
            "manifest what it needs.",
            command=f"{show_statefulsets(service)}\n{publish.command}\n{show_endpoints(service)}",
            yaml=headless_manifest(service),
        ),
        service=service.fqdn,
        candidates=[],
    )


def _meant(facts: Facts, service: ServiceName, other: str, name: str) -> Fix:
    fix = change(facts.request, f"If {other} is meant, give that name.", {SERVICE: name})
    if service.namespace is None:
        return fix
    return replace(
        fix,
        text=f"{fix.text[:-1]}. If {service} is meant, the last commands show whether it exists, "
        "its selector, and which pods are ready:",
        command=f"{fix.command}\n{show_endpoints(service)}",
    )


def _not_headless(facts: Facts, service: ServiceName, error: NotHeadless) -> Finding:
    if error.alias is not None:
        return problem(
            "service-headless",
            f"{service} is an alias (ExternalName or CNAME) of {error.alias}",
            "DNS lists no pods under an alias.",
            _behind_alias(facts, service, error.alias),
            service=service.fqdn,
            alias=error.alias,
        )
    addresses = ", ".join(map(str, error.cluster_ip)) or "a cluster IP"
    found = f"{service} is not headless: it has the cluster IP {addresses}"
    if not error.cluster_ip:
        found = f"{service} is not headless: it has a cluster IP"
    why = "DNS returns the address of the service and lists no pods."
    governing = facts.pod.governing
    if governing is not None and governing != service.fqdn:
        return problem(
            "service-headless",
            f"{found}; the governing service of this pod is {governing}",
            why,
            change(facts.request, "Use the governing service.", {SERVICE: _short(governing)}),
            service=service.fqdn,
            cluster_ip=[str(address) for address in error.cluster_ip],
        )
    headless = ServiceName(
        service.fqdn.replace(service.name, f"{service.name}-pods", 1),
        f"{service.name}-pods",
        service.namespace,
        service.cluster_domain,
    )
    return problem(
        "service-headless",
        found,
        why,
        Fix(
            "Use the headless service that the StatefulSet names in spec.serviceName; the first "
            "command shows it. If there is none, create one beside this service, which stays for "
            "its clients, with the labels of your pods as selector. Only a StatefulSet that names "
            "it in spec.serviceName gives its pods names in it.",
            command=f"{show_statefulsets(service)}\n"
            f"kubectl get service {service.name}{in_namespace(service)} --output "
            "jsonpath='{.spec.selector}'",
            yaml=headless_manifest(headless),
        ),
        service=service.fqdn,
        cluster_ip=[str(address) for address in error.cluster_ip],
    )


def _behind_alias(facts: Facts, service: ServiceName, target: str) -> Fix:
    """The service that an alias of the cluster means, else the governing one."""
    if target.endswith(f".svc.{service.cluster_domain}") and target != service.fqdn:
        return change(
            facts.request, f"Use the name of the service itself, {target}.", {SERVICE: target}
        )
    governing = facts.pod.governing
    if governing is not None and governing != service.fqdn:
        return change(
            facts.request,
            f"No pods are listed as {target}. Use the governing service of this pod.",
            {SERVICE: _short(governing)},
        )
    if service.namespace is None:
        return Fix(f"Use the name of a headless service of the cluster; {target} is none.")
    return Fix(
        f"No pods are listed as {target}. Use the headless service that the StatefulSet names in "
        "spec.serviceName:",
        command=show_statefulsets(service),
    )


def _short(fqdn: str) -> str:
    """``NAME.NAMESPACE`` of a service of the cluster."""
    return ".".join(fqdn.split(".")[:2])


def _complete(facts: Facts, observed: Answered) -> Iterator[Finding]:
    reason = observed.incomplete_reason
    if reason is None or (facts.dns.nameless and not observed.peers):
        return
    yield problem(
        "list-complete",
        f"the list of {_pods(len(observed.peers))} may be incomplete: {reason}",
        "A pod that is not in the list may exist, so no count of pods can be relied on.",
        Fix(
            "Allow DNS over TCP, give the service a named port and use --port-name, or see the "
            "page about large services; the other findings say which of them is missing."
        ),
        reason=reason,
    )


def _others(facts: Facts, service: ServiceName) -> Iterator[Finding]:
    """Records of the answer that name no pod of this service."""
    name = wire.name_from_text(service.fqdn)
    factory = PeerFactory(service.fqdn, clusters=service.spans_clusters)
    for server in facts.serving:
        leftovers = Leftovers(service.fqdn, name)
        message = server.tcp.message or server.udp.message
        for record in message.answers if message is not None else ():
            if type(record) is not wire.Srv or record.owner != name:
                leftovers.add_record(record, name)
            elif factory.label(record.target) is None:
                leftovers.add_target(record.target)
        if leftovers:
            example, reason = next(iter(leftovers.found.items()))
            yield warning(
                "other-records",
                f"{server.name}: {len(leftovers.found)} records of {service} name no pod of it, "
                f"such as {example}: {reason}",
                "peerdisco ignores them, and other programs may connect there.",
                Fix(
                    "Remove what adds them: a rewrite or template plugin in the Corefile, or an "
                    "endpoint that was written by hand.",
                    command=f"{SHOW_COREFILE}\n{show_endpoints(service)}",
                ),
                server=server.name,
                records=len(leftovers.found),
            )


def _governs(facts: Facts, service: ServiceName, peers: tuple[Peer, ...]) -> Finding:
    dashed = [peer.name for peer in peers if address_with_dashes(peer.name) in peer.addresses]
    if not dashed:
        return ok("governing-service", f"{service} gives its pods names: {peers[0].name}")
    found = f"{service} lists {len(dashed)} of {len(peers)} pods by address: {dashed[0]}"
    why = (
        "Only the governing service, which the StatefulSet names in spec.serviceName, gives the "
        "pods their names. Without names there are no ordinals and no primary."
    )
    governing = facts.pod.governing
    if governing is not None and governing != service.fqdn:
        return problem(
            "governing-service",
            f"{found}; the governing service of this pod is {governing}",
            why,
            change(facts.request, "Use the governing service.", {SERVICE: _short(governing)}),
            dashed=len(dashed),
            governing=governing,
        )
    return problem(
        "governing-service",
        found,
        why,
        Fix(
            "Use the service in the column SERVICE; create it if it does not exist. Pods of a "
            "Deployment have no ordinals behind any service.",
            command=show_statefulsets(service),
        ),
        dashed=len(dashed),
        governing=None,
    )


def _ports(service: ServiceName, peers: tuple[Peer, ...]) -> Finding:
    numbers = sorted({number for peer in peers for number in peer.ports.values()})
    if numbers:
        return ok(
            "service-ports", f"{service} has ports: {', '.join(map(str, numbers))}", ports=numbers
        )
    return warning(
        "service-ports",
        f"{service} has no ports, so DNS has no SRV records of it",
        "The ports of the peers are not known, and each lookup needs a query for the name of "
        "every address.",
        _declare_port(service),
        ports=[],
    )


def _declare_port(service: ServiceName) -> Fix:
    return Fix(
        "Declare the port on which the pods listen; for a database on port 3306:",
        command=f"kubectl patch service {service.name}{in_namespace(service)} "
        """--type merge --patch '{"spec":{"ports":[{"name":"db","port":3306}]}}'""",
    )


def _nameless(service: ServiceName, reason: str) -> Finding:
    """A service whose addresses are listed, and whose pods are not known by name."""
    fix = _declare_port(service)
    return problem(
        "reverse-names",
        f"{service} has addresses, but no pod is known by name: {reason}",
        "For a service without ports, the names come from PTR records, which need the reverse "
        "zones.",
        Fix(
            f"{fix.text} Then the names are in SRV records. Or let CoreDNS serve the reverse "
            "zones: add in-addr.arpa and ip6.arpa to the line of its kubernetes plugin.",
            command=fix.command,
        ),
        reason=reason,
    )


def _address_records(facts: Facts, service: ServiceName) -> Iterator[Finding]:
    """The service's A and AAAA records, which other programs use."""
    for server in facts.serving:
        v4, v6 = server.addresses
        outcomes = (v4.outcome, v6.outcome)
        values = {"server": server.name, "a": v4.outcome.value, "aaaa": v6.outcome.value}
        if Outcome.NXDOMAIN in outcomes:
            yield _denied(server.name, service, outcomes, values)
        elif all(exchange.usable for exchange in (v4, v6)):
            counts = [len(e.message.answers) if e.message else 0 for e in (v4, v6)]
            more = ", truncated over UDP" if v4.truncated or v6.truncated else ""
            found = (
                f"{server.name} has {counts[0]} A and {counts[1]} AAAA records of {service}{more}"
            )
            if any(counts) or more or not any(peer.addresses for peer in facts.peers):
                yield ok("address-records", found, **values)
            else:
                yield _filtered(found, values)
        else:
            yield unknown(
                "address-records",
                f"{server.name}: {v6 if v4.usable else v4}",
                "Programs that resolve the service's name with getaddrinfo wait or fail. peerdisco "
                "uses SRV records.",
                None,
                **values,
            )


def _filtered(found: str, values: dict[str, str]) -> Finding:
    return warning(
        "address-records",
        f"{found}, although its pods have addresses",
        "Programs that resolve the service's name do not find it. peerdisco uses SRV records.",
        Fix(
            "Remove the rule that answers these queries without data, such as a template or filter "
            "plugin, from the Corefile or from the proxy before it. The command shows the "
            "Corefile:",
            command=SHOW_COREFILE,
        ),
        **values,
    )


def _denied(
    server: str, service: ServiceName, outcomes: tuple[Outcome, Outcome], values: dict[str, str]
) -> Finding:
    """NXDOMAIN for a name that has SRV records, so that it exists (RFC 8020)."""
    denied = [
        rtype
        for rtype, outcome in zip(("A", "AAAA"), outcomes, strict=True)
        if outcome is Outcome.NXDOMAIN
    ]
    listed = " and ".join(denied)
    effect = (
        "Programs that resolve the service's name do not find it. peerdisco uses SRV records."
        if Outcome.ANSWER not in outcomes
        else "With NXDOMAIN, programs that use musl (Alpine) do not find the name at all."
    )
    return warning(
        "address-records",
        f"{server} answers NXDOMAIN for {listed} {service}, which has other records",
        f"A name that exists has no data for a type without records. {effect}",
        Fix(
            "Remove the rule that answers NXDOMAIN, such as a template plugin with rcode NXDOMAIN "
            f"for {listed}, from the Corefile or from the proxy before it; rcode NOERROR is right. "
            "The command shows the Corefile:",
            command=SHOW_COREFILE,
        ),
        **values,
    )


def _reverse(facts: Facts) -> Iterator[Finding]:
    dns = facts.dns
    if not dns.reversed_:
        return
    if not dns.nameless:
        yield ok(
            "reverse-names",
            f"DNS has the names of {dns.reversed_} listed addresses (PTR)",
            addresses=dns.reversed_,
        )
        return
    has_ports = any(peer.ports for peer in facts.peers)
    found = (
        f"DNS has no names (PTR) for {len(dns.nameless)} of {dns.reversed_} listed addresses: "
        f"{', '.join(dns.nameless)}"
    )
    fix = Fix(
        "Let the kubernetes plugin of CoreDNS serve the reverse zones, as kubeadm sets it up: in "
        "the Corefile of the ConfigMap coredns in kube-system, extend the line of the plugin to:\n"
        "kubernetes cluster.local in-addr.arpa ip6.arpa {\n"
        "Or give the service a port, so that peerdisco needs no PTR records."
    )
    if has_ports:
        yield ok(
            "reverse-names",
            f"{found}; not needed, because the service has ports",
            addresses=dns.reversed_,
        )
        return
    yield problem(
        "reverse-names",
        found,
        "For a service without ports, names come from there.",
        fix,
        addresses=dns.reversed_,
    )


def _port_name(request: Request, service: ServiceName, port: NamedPort) -> Finding:
    name = f"{port.name!r} ({request.protocol})"
    observed, candidates = port.lookup.observation, port.candidates
    if isinstance(observed, Answered) and observed.peers:
        return ok(
            "port-name", f"{_pods(len(observed.peers))} with the port {name}", port_name=port.name
        )
    if isinstance(observed, Failed) and not candidates:
        return unknown(
            "port-name",
            f"the port {name} could not be looked up: {observed.error}",
            "Nothing is known about the pods with this port.",
        )
    listed = ", ".join(f"{name} ({kind})" for name, kind in candidates)
    meant = f"; did you mean {listed}?" if candidates else ""
    return problem(
        "port-name",
        f"no pod of {service} has a port {name}{meant}",
        "The lookup with this port lists no peers.",
        _other_port(request, service, port),
        port_name=port.name,
        candidates=[list(pair) for pair in candidates],
    )


def _other_port(request: Request, service: ServiceName, port: NamedPort) -> Fix:
    """A port that answers, in the place of one that does not."""
    others = [name for name in request.port_names if name != port.name]
    unused = {name: kind for name, kind in reversed(port.candidates) if name not in others}
    if not unused:
        return _no_port(request, service, port)
    name = (closest(port.name, unused) or [*reversed(unused)])[0]
    text = "Use a port that the service has."
    names = [name if given == port.name else given for given in request.port_names]
    if others and unused[name] != request.protocol:
        text = f"Look up the port over {unused[name]} on its own; all names share one protocol."
        names = [name]
    protocol = None if unused[name] == "tcp" else unused[name]
    return change(request, text, {"--port-name": names, "--protocol": protocol})


def _no_port(request: Request, service: ServiceName, port: NamedPort) -> Fix:
    others = [name for name in request.port_names if name != port.name]
    fix = change(
        request,
        "Use a name from spec.ports of the service, which the first command shows, or",
        {"--port-name": others, **({} if others else {"--protocol": None})},
    )
    shown = (
        f"kubectl get service {service.name}{in_namespace(service)} "
        "--output jsonpath='{.spec.ports[*].name}'"
    )
    return replace(fix, command=f"{shown}\n{fix.command}")
