"""``/etc/resolv.conf``: name servers, search list, options. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address

from ...names import Endpoint, cluster_of_search_domains
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
    if not conf.nameservers:
        yield _no_nameserver(facts)
        return
    listed = [str(server) for server in conf.nameservers]
    wrong = list(_nameservers(conf, listed, host_network=facts.pod.host_network))
    yield from wrong or [
        ok("resolv-conf-nameservers", f"{_FILE} names {', '.join(listed)}", nameservers=listed)
    ]
    yield _search_list(facts)
    yield from _search_limits(conf)
    yield _ndots(conf)


def _no_nameserver(facts: Facts) -> Finding:
    found = f"{_FILE} names no name server"
    fix = dns_policy(host_network=facts.pod.host_network)
    setting = facts.request.settings.get("--nameserver")
    if setting is None:
        return problem(
            "resolv-conf-nameservers", found, "Without one nothing can be looked up.", fix
        )
    return warning(
        "resolv-conf-nameservers",
        f"{found}; peerdisco queries those of {setting.source}",
        "Other programs in this pod, and peerdisco without that setting, look up nothing.",
        fix,
    )


def _nameservers(conf: ResolvConf, listed: list[str], *, host_network: bool) -> Iterator[Finding]:
    """Servers that are not, or cannot be, queried."""
    policy = dns_policy(host_network=host_network).yaml
    fix = Fix(
        "Let the pod use the cluster's DNS alone, in the pod's spec. With another dnsPolicy, "
        "correct dnsConfig there, or the node's resolv.conf.",
        yaml=f"{policy}\ndnsConfig:\n  nameservers: []",
    )
    names = f"{_FILE} names {', '.join(listed)}"
    if conf.invalid:
        values = ", ".join(map(repr, conf.invalid))
        yield warning(
            "resolv-conf-nameservers",
            f"{names}; {values} is not an IP address and is ignored",
            "A server that was meant to be queried is not.",
            fix,
            nameservers=listed,
            invalid=list(conf.invalid),
        )
    if conf.unused:
        unused = [str(server) for server in conf.unused]
        yield warning(
            "resolv-conf-nameservers",
            f"{names}, and {', '.join(unused)}, which no resolver uses",
            "The C library and peerdisco use the first three name servers.",
            fix,
            nameservers=listed,
            unused=unused,
        )
    unreachable = [server.address for server in conf.nameservers if _lacks_zone(server)]
    if unreachable:
        make = problem if len(unreachable) == len(conf.nameservers) else warning
        yield make(
            "resolv-conf-nameservers",
            f"{names}; {', '.join(unreachable)} is a link-local address without its interface",
            "Each link has addresses of this kind (RFC 4007), so nothing can be sent to it without "
            "the name of the interface.",
            fix,
            nameservers=listed,
            link_local=unreachable,
        )


def _lacks_zone(server: Endpoint) -> bool:
    """Whether it is a link-local IPv6 address without ``%INTERFACE``."""
    address = ip_address(server.address)
    return isinstance(address, IPv6Address) and address.is_link_local and address.scope_id is None


_SEARCHED, _LINE = 6, 255
"""Domains that glibc uses before 2.26 (``MAXDNSRCH``); characters of a line that musl ignores."""
_MOST_SEARCHED, _MOST_SEARCHED_LENGTH = 32, 2048
"""The limits of the kubelet (``MaxDNSSearchPaths`` and ``MaxDNSSearchListChars``)."""
_LONGEST_DOMAIN = 64
"""Characters of a domain that the kubelet may have left out."""


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


def _search_limits(conf: ResolvConf) -> Iterator[Finding]:
    """Lists that a part of the programs ignores, or that the kubelet has shortened."""
    count, length = len(conf.search), len(" ".join(conf.search))
    if count <= _SEARCHED and len("search ") + length < _LINE:
        return
    full = count >= _MOST_SEARCHED or length > _MOST_SEARCHED_LENGTH - _LONGEST_DOMAIN
    cut = ", and the kubelet may have left out more" if full else ""
    yield warning(
        "resolv-conf-search",
        f"the search list has {count} domains in {length} characters{cut}",
        f"musl (Alpine) ignores a line of {_LINE} characters or more, so that short names do not "
        f"resolve. glibc before 2.26 uses the first {_SEARCHED} domains, and the kubelet writes at "
        f"most {_MOST_SEARCHED}. peerdisco asks for fully qualified names.",
        Fix(
            "Leave the domains out that programs of this pod do not need, in the pod's spec. "
            "Without any of its own, the pod still has those of the cluster and of the node:",
            yaml="dnsConfig:\n  searches: []",
        ),
        domains=count,
        characters=length,
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
