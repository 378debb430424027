"""The identity of this pod, the source of each fact, and contradictions between them. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ..advice import change, name_cluster_dns
from ..facts import SERVICE, Conflict, Facts, Known, PodFacts
from ..findings import Finding, Fix, ok, problem, unknown, warning
from ..fixes import env_from_field

__all__ = ["check_pod"]

_FIELDS = {
    "pod name": ("POD_NAME", "metadata.name"),
    "namespace": ("POD_NAMESPACE", "metadata.namespace"),
    "addresses": ("POD_IP", "status.podIP"),
}


_INDEXES = {
    "POD_INDEX": "metadata.labels['apps.kubernetes.io/pod-index']",
    "JOB_COMPLETION_INDEX": "metadata.annotations['batch.kubernetes.io/job-completion-index']",
}
"""Fields that are empty, as if the variable was not set, where a pod does not have them."""


def check_pod(facts: Facts) -> Iterator[Finding]:
    """The identity, and what prevents a lookup."""
    pod, request = facts.pod, facts.request
    if request.unusable is not None and (pod.missing is None or pod.missing[1] != request.unusable):
        yield _unusable(facts, request.unusable)
    if not pod.in_pod and pod.pod_name is None and pod.missing is None:
        yield ok("identity", "this is not a pod, so the checks of the pod itself are left out")
        return
    if pod.missing is not None:
        yield _missing(pod, *pod.missing)
    for conflict in pod.conflicts:
        yield _conflict(conflict)
    contradicted = {conflict.fact for conflict in pod.conflicts}
    for fact, known in pod.known.items():
        if fact not in contradicted:
            yield ok(
                _check(fact), _in_words(fact, known, pod), value=known.value, source=known.source
            )
    yield from _unknown_addresses(pod)


def _check(fact: str) -> str:
    return f"identity-{fact.replace(' ', '-')}"


def _in_words(fact: str, known: Known, pod: PodFacts) -> str:
    if fact == "pod name" and pod.ordinal is not None:
        return f"pod {known}: ordinal {pod.ordinal} of the StatefulSet {pod.statefulset}"
    return f"{fact} {known}"


def _unusable(facts: Facts, error: str) -> Finding:
    variable = error.partition(":")[0]
    if variable.startswith(("PEERDISCO_", "POD_")):
        return problem(
            "configuration",
            error,
            "Every command of peerdisco rejects this value, and does nothing.",
            Fix(
                f"Correct {variable} in the container's env, or remove it to use the default:",
                command=f"unset {variable}",
            ),
        )
    if "namespace" in error.partition("(")[0]:
        return problem(
            "configuration",
            error,
            "Without the namespace the service's name is not complete.",
            _name_namespace(facts),
        )
    if "cluster domain" in error.partition("(")[0]:
        return problem(
            "configuration",
            error,
            "Without the cluster domain the service's name is not complete.",
            change(
                facts.request,
                "Name the cluster domain. The kubelet's configuration has it as clusterDomain; in "
                "most clusters it is cluster.local.",
                {"--cluster-domain": "cluster.local"},
            ),
        )
    if "name server" in error.partition("(")[0]:
        return problem(
            "configuration",
            error,
            "Without a name server nothing can be looked up.",
            name_cluster_dns(facts.request, "Query the cluster's DNS."),
        )
    return problem(
        "configuration",
        error,
        "Without the name of a service only the identity can be checked.",
        Fix(
            "Name the headless service that the StatefulSet names in spec.serviceName:",
            command="kubectl get statefulsets --all-namespaces --output custom-columns="
            "NAMESPACE:.metadata.namespace,NAME:.metadata.name,SERVICE:.spec.serviceName",
        ),
        pod=facts.pod.pod_name,
    )


def _name_namespace(facts: Facts) -> Fix:
    setting = facts.request.settings.get(SERVICE)
    where = f"in {setting.source}" if setting is not None else "as the argument"
    if setting is not None and setting.by_option:
        where = "as the argument, or use --namespace"
    return Fix(
        f"Name the service as NAME.NAMESPACE {where}. The command shows the services of all "
        "namespaces:",
        command="kubectl get services --all-namespaces",
    )


def _missing(pod: PodFacts, fact: str, error: str) -> Finding:
    if fact == "configuration":
        return problem(
            "configuration",
            error,
            "Every command of peerdisco rejects this value, and does nothing.",
            Fix(
                "Correct the variable in the container's env, or remove it:",
                command=f"unset {error.partition(':')[0]}",
            ),
        )
    named = fact if fact in _FIELDS else "pod name"
    variables = [_FIELDS[named], *([_FIELDS["addresses"]] if named == "pod name" else [])]
    variables += [(name, path) for name, path in _INDEXES.items() if f"{name} is " in error]
    fix = env_from_field(
        f"Take the pod's own {named.removeprefix('pod ')} from the downward API, in the "
        "container's env:",
        **dict(variables),
    )
    if pod.conflicting:
        why = "The pod could take another pod's place, so peerdisco uses neither of the facts."
    else:
        why = "Without it peerdisco does not know which of the peers this pod is."
    return problem(_check(fact), error, why, fix)


def _conflict(conflict: Conflict) -> Finding:
    used, other = conflict.used, conflict.other
    found = f"the {conflict.fact} is {used}, but {other.source} has {other.value}"
    if conflict.fact == "cluster domain":
        return warning(
            _check(conflict.fact),
            found,
            "If the variable is wrong, DNS does not know the service.",
            Fix(
                f"Remove {used.source} from the container's env, unless the service is in another "
                f"cluster's domain; {other.source} names this one.",
                command=f"unset {used.source}",
            ),
        )
    _, path = _FIELDS[conflict.fact]
    if conflict.fact == "addresses":
        variable = used.source
        path = "status.podIPs" if variable == "POD_IPS" else path
        return problem(
            _check(conflict.fact),
            found,
            "Peers know this pod by another address, so it is never confirmed as the primary.",
            env_from_field(
                f"Take {variable} from the downward API, in the container's env:",
                **{variable: path},
            ),
        )
    return warning(
        _check(conflict.fact),
        found,
        "A service that is named without its namespace is looked up in the wrong one.",
        env_from_field(
            f"Take {used.source} from the downward API, in the container's env. Name a service in "
            "another namespace as NAME.NAMESPACE.",
            **{used.source: path},
        ),
    )


def _unknown_addresses(pod: PodFacts) -> Iterator[Finding]:
    if pod.in_pod and pod.missing is None and not pod.addresses:
        yield unknown(
            _check("addresses"),
            "the pod's own addresses are not known: neither POD_IPS, POD_IP nor the kubelet's line "
            "in /etc/hosts has one",
            "Then nothing shows whether this pod's name in DNS has this pod's address, and it is "
            "never confirmed as the primary.",
            env_from_field(
                "Take the address from the downward API, in the container's env:",
                POD_IP="status.podIP",
            ),
        )
