"""The pods behind the service: StatefulSets, ordinals, the primary, and this pod. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from ...model import Answered, Peer
from ...names import ServiceName
from ..advice import change
from ..facts import Facts
from ..findings import Finding, Fix, ok, problem, unknown, warning
from ..fixes import doctor, in_namespace, publish_not_ready, show_statefulsets
from ..suggestions import closest

__all__ = ["check_members"]

_MOST_SHOWN = 5


def check_members(facts: Facts) -> Iterator[Finding]:
    """StatefulSets, ordinals, the primary, addresses, and this pod."""
    service, peers = facts.request.service, facts.peers
    if service is None or facts.request.fixed_list:
        return
    if peers:
        yield from _statefulset(facts, service, peers)
        chosen = _chosen(facts, peers)
        if chosen:
            yield from _ordinals(service, chosen)
            yield from _primary(facts, service, chosen)
        yield from _addresses(peers)
        yield from _families(facts, service, peers)
    yield from _own_pod(facts, service, peers)


def _statefulsets(peers: Sequence[Peer]) -> tuple[str, ...]:
    return tuple(sorted({peer.statefulset for peer in peers if peer.statefulset is not None}))


def _chosen(facts: Facts, peers: Sequence[Peer]) -> list[Peer]:
    """The pods whose ordinals count; empty if several StatefulSets could be meant."""
    names = _statefulsets(peers)
    own = facts.request.statefulset or facts.pod.statefulset
    if own not in names:
        own = names[0] if len(names) == 1 and facts.request.statefulset is None else None
    return [peer for peer in peers if own is not None and peer.statefulset == own]


def _statefulset(facts: Facts, service: ServiceName, peers: Sequence[Peer]) -> Iterator[Finding]:
    names, given = _statefulsets(peers), facts.request.statefulset
    listed = ", ".join(names) or "none"
    if given is not None and given not in names:
        meant = closest(given, names) or names
        fix = change(
            facts.request,
            "Use the name of a StatefulSet that has pods behind this service."
            if meant
            else "No StatefulSet has pods behind this service.",
            {"--statefulset": meant[:1]},
        )
        hint = f"; did you mean {', '.join(meant)}?" if meant else ""
        yield problem(
            "statefulset",
            f"no pod of the StatefulSet {given!r} is listed (listed: {listed}){hint}",
            "With this name no peers are listed, and there is no primary.",
            fix,
            given=given,
            statefulsets=list(names),
        )
    elif len(names) > 1 and given is None and facts.pod.statefulset not in names:
        yield problem(
            "statefulset",
            f"{service} lists the pods of several StatefulSets: {listed}",
            "Each of them has its own ordinal 0, so the primary is ambiguous.",
            change(facts.request, "Choose one of them.", {"--statefulset": names[0]}),
            statefulsets=list(names),
        )
    elif len(names) > 1:
        chosen = given or facts.pod.statefulset
        yield ok(
            "statefulset",
            f"{service} lists the pods of {listed}; the ordinals of {chosen} count",
            statefulsets=list(names),
        )
    elif names:
        yield ok(
            "statefulset", f"the pods belong to the StatefulSet {listed}", statefulsets=list(names)
        )


def _ordinals(service: ServiceName, peers: Sequence[Peer]) -> Iterator[Finding]:
    """Holes among the ordinals: a scale-down leaves none."""
    there = {peer.ordinal for peer in peers if peer.ordinal is not None}
    missing = [n for n in range(min(there), max(there)) if n not in there]
    if not missing:
        return
    name = peers[0].statefulset
    shown = ", ".join(f"{name}-{number}" for number in missing[:_MOST_SHOWN])
    more = f" and {len(missing) - _MOST_SHOWN} more" if len(missing) > _MOST_SHOWN else ""
    publish = publish_not_ready(service)
    yield warning(
        "ordinals",
        f"not listed, although pods with larger ordinals are: {shown}{more}",
        "A scale-down removes the largest ordinals first. These pods are not running, or not "
        "ready.",
        Fix(
            f"The first command shows the state of the pods. If they run and are not ready, and "
            f"peers have to find them then: {publish.text[0].lower()}{publish.text[1:]}",
            command=f"kubectl get pods{in_namespace(service)} --output wide\n" + publish.command,
        ),
        missing=missing[:_MOST_SHOWN],
    )


def _primary(facts: Facts, service: ServiceName, peers: Sequence[Peer]) -> Iterator[Finding]:
    wanted = facts.request.ordinal
    primary = next((peer for peer in peers if peer.ordinal == wanted), None)
    if primary is not None:
        yield ok(
            "primary", f"the primary is {primary.name} (ordinal {wanted})", primary=primary.name
        )
        return
    lowest = min(peer.ordinal for peer in peers if peer.ordinal is not None)
    yield warning(
        "primary",
        f"no pod with ordinal {wanted} is listed; the lowest is {lowest}",
        "No other pod takes the primary's place.",
        Fix(
            f"If spec.ordinals.start of the StatefulSet is {lowest}, use --ordinal {lowest} with "
            "each command. Otherwise the primary is not running or not ready: the second command "
            "shows its state.",
            command=doctor(facts.request, service, {"--ordinal": str(lowest)})
            + f"\nkubectl get pods{in_namespace(service)} --output wide",
        ),
        primary=None,
        lowest=lowest,
    )


def _addresses(peers: Sequence[Peer]) -> Iterator[Finding]:
    """Pods that share an address, or have several of one family."""
    holders = Counter(address for peer in peers for address in peer.addresses)
    shared = [str(address) for address, count in holders.items() if count > 1]
    several = [p.name for p in peers if len({a.version for a in p.addresses}) < len(p.addresses)]
    if shared:
        names = [p.name for p in peers if any(str(a) in shared for a in p.addresses)]
        yield warning(
            "addresses",
            f"{', '.join(names[:_MOST_SHOWN])} have one address: {', '.join(shared[:_MOST_SHOWN])}",
            "Pods with hostNetwork on one node share its address, so a connection may reach the "
            "wrong one; a port that two of them use can be bound only once.",
            Fix(
                "Put the pods on different nodes: required anti-affinity in the pod's spec, with "
                "your labels. A pod that finds no node then stays pending.",
                yaml="affinity:\n  podAntiAffinity:\n"
                "    requiredDuringSchedulingIgnoredDuringExecution:\n"
                "    - topologyKey: kubernetes.io/hostname\n"
                "      labelSelector: {matchLabels: {app: my-database}}",
            ),
            shared=shared[:_MOST_SHOWN],
        )
    elif several:
        yield warning(
            "addresses",
            f"{', '.join(several[:_MOST_SHOWN])} has several addresses of one family",
            "While a pod is replaced, its old and its new address are listed for a moment. If it "
            "stays so, two pods use one name.",
            Fix(
                "Run this again after a minute. If it stays so, look for a second pod or endpoint "
                "of this name; each line of the output is one:",
                command="kubectl get endpointslices --all-namespaces --output wide",
            ),
            pods=several[:_MOST_SHOWN],
        )
    else:
        yield ok("addresses", "each listed pod has its own address", pods=len(peers))


_FAMILIES = {4: "IPv4", 6: "IPv6"}


def _families(facts: Facts, service: ServiceName, peers: Sequence[Peer]) -> Iterator[Finding]:
    """Pods of two families of which some, or all, are listed with one alone."""
    families = {peer.name: {a.version for a in peer.addresses} for peer in peers if peer.addresses}
    listed: set[int] = set().union(*families.values())
    own = {address.version for address in facts.pod.addresses}
    lacking = {name: listed - versions for name, versions in families.items() if listed - versions}
    if lacking:
        shown = ", ".join(
            f"{name} has no {_FAMILIES[min(missing)]} address"
            for name, missing in [*lacking.items()][:_MOST_SHOWN]
        )
        yield warning(
            "address-families",
            f"{shown}, and others behind {service} do",
            "A pod gets its addresses when it is created, so one that is older than the cluster's "
            "second family has one address. Who connects over that family does not reach it.",
            Fix(
                "The first command shows the addresses of each pod, and the second the families of "
                "the service. A pod without an address of a family gets one when it is created "
                "again: let a rolling update of the StatefulSet do so, one pod at a time, each "
                "after the one before is ready and has caught up.",
                command=f"kubectl get pods{in_namespace(service)} --output "
                "custom-columns=NAME:.metadata.name,IPS:.status.podIPs[*].ip\n"
                f"kubectl get service {service.name}{in_namespace(service)} "
                "--output jsonpath='{.spec.ipFamilies}'",
            ),
            lacking=[*lacking][:_MOST_SHOWN],
        )
    elif listed and own - listed and _belongs(facts, service, peers):
        missing = _FAMILIES[min(own - listed)]
        yield warning(
            "address-families",
            f"{service} lists no {missing} addresses, and this pod has one",
            f"A service has one family unless its ipFamilyPolicy says otherwise. Clients that use "
            f"{missing} alone reach no pod through it.",
            Fix(
                "If clients need both families, let the service have them. Its present addresses "
                "stay. If they do not, nothing has to be done.",
                command=f"kubectl patch service {service.name}{in_namespace(service)} --type merge "
                """--patch '{"spec":{"ipFamilyPolicy":"PreferDualStack"}}'""",
            ),
            missing=missing,
        )


def _own_pod(facts: Facts, service: ServiceName, peers: Sequence[Peer]) -> Iterator[Finding]:
    """Whether this pod is listed, and under its own address."""
    pod, dns = facts.pod, facts.dns
    if pod.pod_name is None or dns.lookup is None:
        return
    if not isinstance(dns.lookup.observation, Answered):
        return
    if not _belongs(facts, service, peers):
        yield ok("own-pod", f"{pod.pod_name} is not one of the pods behind {service}")
        return
    own = next((peer for peer in peers if peer.name == pod.pod_name), None)
    if own is None:
        yield _not_listed(facts, service)
        return
    known = set(pod.addresses)
    addresses = set(own.addresses)
    if not known or not addresses:
        yield unknown(
            "own-pod",
            f"{own.name} is listed, but its addresses cannot be compared",
            "Another pod may have this pod's name.",
            None,
        )
    elif known & addresses:
        yield ok(
            "own-pod",
            f"{own.name} is listed with its own address",
            addresses=sorted(map(str, addresses)),
        )
    else:
        yield _elsewhere(own, facts)


def _belongs(facts: Facts, service: ServiceName, peers: Sequence[Peer]) -> bool:
    """Whether this pod is expected behind the service."""
    pod = facts.pod
    if any(name.partition(".")[2] == service.fqdn for name in facts.dns.own_names or ()):
        return True
    if pod.governing is not None:
        return pod.governing == service.fqdn
    if pod.statefulset is None:
        return False  # a client, which may name the service in PEERDISCO_SERVICE
    own = pod.known.get("service")
    if own is not None and own.value == service.name:
        return True
    return any(peer.statefulset == pod.statefulset for peer in peers if peer.statefulset)


def _not_listed(facts: Facts, service: ServiceName) -> Finding:
    dashed = [n for n in facts.dns.own_names or () if n.partition(".")[2] == service.fqdn]
    name = facts.pod.pod_name
    if dashed:
        return problem(
            "own-pod",
            f"{service} lists this pod as {dashed[0].partition('.')[0]}, not as {name}",
            "Peers do not find this pod by its name.",
            Fix(
                "Use the service that the StatefulSet names in spec.serviceName:",
                command=show_statefulsets(service),
            ),
        )
    publish = publish_not_ready(service)
    return problem(
        "own-pod",
        f"{service} does not list this pod, {name}",
        "The pod is not ready, or too new, or the service does not select it. A pod that waits "
        "until it is listed, before it becomes ready, waits forever.",
        Fix(
            f"{publish.text} If it is not listed a minute later, compare the pod's labels with "
            "the service's selector, which the second command shows.",
            command=f"{publish.command}\nkubectl get service {service.name} --namespace "
            f"{service.namespace} --output jsonpath='{{.spec.selector}}'",
        ),
    )


def _elsewhere(own: Peer, facts: Facts) -> Finding:
    listed = ", ".join(map(str, own.addresses))
    mine = ", ".join(map(str, facts.pod.addresses))
    return problem(
        "own-pod",
        f"DNS has {listed} for {own.name}, and this pod has {mine}",
        "The record is older than the pod, or another pod has this name, on a node that is cut "
        "off. This pod must not act as the primary until it is clear.",
        Fix(
            "Run this again when the TTL has passed. If it stays so, find the other pod before "
            "anything writes; do not delete a pod by force, which makes two of one name.",
            command=f"kubectl get pods --all-namespaces --output wide "
            f"--field-selector metadata.name={own.name}",
        ),
        listed=[str(address) for address in own.addresses],
        own=[str(address) for address in facts.pod.addresses],
    )
