"""``/etc/resolv.conf``: name servers, search list, options. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ...names import cluster_of_search_domains
from ...pod.resolv_conf import ResolvConf
from ..facts import Facts
from ..findings import Finding, Fix, ok, problem, warning
from ..fixes import dns_policy

__all__ = ["check_resolv_conf"]

_FILE = "/etc/resolv.conf"
_LEAST_NDOTS = 2
"""With fewer, ``mysql-0.my-database`` is first tried outside the cluster."""


def check_resolv_conf(facts: Facts) -> Iterator[Finding]:
    """The file of a pod; outside one it says nothing about the cluster."""
    if not facts.pod.in_pod:
        return
    conf = facts.pod.resolv_conf
    yield _nameservers(conf, host_network=facts.pod.host_network)
    if not conf.nameservers:
        return
    yield _search_list(facts)
    yield _ndots(conf)


def _nameservers(conf: ResolvConf, *, host_network: bool) -> Finding:
    listed = ", ".join(str(server) for server in conf.nameservers)
    if not conf.nameservers:
        return problem(
            "resolv-conf-nameservers",
            f"{_FILE} names no name server",
            "Without one nothing can be looked up.",
            dns_policy(host_network=host_network),
        )
    policy = dns_policy(host_network=host_network).yaml
    fix = Fix(
        "Let the pod use the cluster's DNS alone, in the pod's spec. With another dnsPolicy, "
        "correct dnsConfig there, or the node's resolv.conf.",
        yaml=f"{policy}\ndnsConfig:\n  nameservers: []",
    )
    if conf.invalid:
        values = ", ".join(map(repr, conf.invalid))
        return warning(
            "resolv-conf-nameservers",
            f"{_FILE} names {listed}; {values} is not an IP address and is ignored",
            "A server that was meant to be queried is not.",
            fix,
            nameservers=listed.split(", "),
            invalid=list(conf.invalid),
        )
    if conf.unused:
        unused = ", ".join(str(server) for server in conf.unused)
        return warning(
            "resolv-conf-nameservers",
            f"{_FILE} names {listed}, and {unused}, which no resolver uses",
            "The C library and peerdisco use the first three name servers.",
            fix,
            nameservers=listed.split(", "),
            unused=unused.split(", "),
        )
    return ok("resolv-conf-nameservers", f"{_FILE} names {listed}", nameservers=listed.split(", "))


def _search_list(facts: Facts) -> Finding:
    conf = facts.pod.resolv_conf
    cluster = cluster_of_search_domains(conf.search)
    shown = " ".join(conf.search) or "nothing"
    if cluster is not None:
        return ok(
            "resolv-conf-search",
            f"{_FILE} searches {shown}: namespace {cluster[0]}, cluster domain {cluster[1]}",
            search=list(conf.search),
        )
    policy = dns_policy(host_network=facts.pod.host_network)
    return warning(
        "resolv-conf-search",
        f"{_FILE} searches {shown}, which is not the search list of a cluster",
        "The pod does not have dnsPolicy: ClusterFirst, so short names such as mysql-0.my-database "
        "do not resolve, and the name servers may be the node's.",
        Fix(policy.text, yaml=policy.yaml),
        search=list(conf.search),
    )


def _ndots(conf: ResolvConf) -> Finding:
    if conf.ndots >= _LEAST_NDOTS:
        return ok(
            "resolv-conf-ndots",
            f"ndots is {conf.ndots}; peerdisco asks for fully qualified names, which ignore it",
            ndots=conf.ndots,
        )
    return warning(
        "resolv-conf-ndots",
        f"ndots is {conf.ndots}; Kubernetes sets 5",
        "Other programs try mysql-0.my-database outside the cluster first, and with musl nowhere "
        "else. peerdisco asks for fully qualified names, which ignore it.",
        Fix(
            "Set it in the pod's spec, or end names with a dot:",
            yaml='dnsConfig:\n  options:\n  - name: ndots\n    value: "5"',
        ),
        ndots=conf.ndots,
    )
