"""The fixes that several checks suggest. Pure.

Following one of them literally must be safe: none deletes anything, and each says whom it affects.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence

from ..names import ServiceName
from .facts import Request
from .findings import Fix

__all__ = [
    "SHOW_COREFILE",
    "allow_dns",
    "dns_policy",
    "doctor",
    "env_from_field",
    "env_lines",
    "headless_manifest",
    "in_namespace",
    "publish_not_ready",
    "show_endpoints",
    "show_statefulsets",
]


SHOW_COREFILE = (
    "kubectl get configmap coredns --namespace kube-system --output jsonpath='{.data.Corefile}'"
)


def doctor(
    request: Request,
    service: str | ServiceName | None,
    changes: Mapping[str, str | Sequence[str] | None] | None = None,
) -> str:
    """The command that examines another service, or with other options.

    Args:
        request: What was examined; its other options stay.
        service: The service; None for the one of the container.
        changes: Options with their new value or values; None to leave an option out.
    """
    options = dict(request.options)
    for option, value in (changes or {}).items():
        options[option] = (value,) if isinstance(value, str) else tuple(value or ())
    words = [
        word for option, values in options.items() for value in values for word in (option, value)
    ]
    named = [] if service is None else [str(service)]
    return shlex.join(["peerdisco", "doctor", *named, *words])


def env_from_field(text: str, **fields: str) -> Fix:
    """Variables from the downward API.

    Args:
        text: What to do, in words.
        fields: The names of the variables and the fields of the pod, such as ``metadata.name``.
    """
    lines = ["env:"]
    for variable, path in fields.items():
        lines += [
            f"- name: {variable}",
            "  valueFrom:",
            "    fieldRef:",
            f"      fieldPath: {path}",
        ]
    return Fix(text, yaml="\n".join(lines))


def env_lines(values: Mapping[str, str]) -> str:
    """Variables in the container's ``env``; empty without any."""
    lines = []
    for variable, value in values.items():
        quoted = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        lines += [f"- name: {variable}", f"  value: {quoted}"]
    return "\n".join(["env:", *lines]) if lines else ""


def dns_policy(*, host_network: bool) -> Fix:
    """The cluster's DNS for the pod."""
    policy = "ClusterFirstWithHostNet" if host_network else "ClusterFirst"
    why = ", because the pod uses hostNetwork" if host_network else ""
    return Fix(
        f"Let the pod use the cluster's DNS, in the pod's spec{why}:", yaml=f"dnsPolicy: {policy}"
    )


def allow_dns(protocols: Iterable[str]) -> Fix:
    """A NetworkPolicy's rule for DNS."""
    lines = ["egress:", "- ports:"]
    for protocol in protocols:
        lines += ["  - port: 53", f"    protocol: {protocol}"]
    return Fix(
        "Allow DNS over UDP and TCP to port 53 on the way. If a NetworkPolicy restricts the egress "
        "of this pod (its policyTypes have Egress), add this rule beside its others. Do not add it "
        "to a policy without Egress, which would then allow nothing but DNS.",
        command="kubectl get networkpolicies --all-namespaces --output wide",
        yaml="\n".join(lines),
    )


def publish_not_ready(service: ServiceName) -> Fix:
    """List pods before they are ready."""
    return Fix(
        "List pods before they are ready. Clients that connect through this headless service then "
        "get pods that are not ready, too; give those a service of their own.",
        command=(
            f"kubectl patch service {service.name}{in_namespace(service)} --type merge "
            """--patch '{"spec":{"publishNotReadyAddresses":true}}'"""
        ),
    )


def show_endpoints(service: ServiceName) -> str:
    """Commands that show the service and its endpoints."""
    return (
        f"kubectl get service {service.name}{in_namespace(service)} --output wide\n"
        f"kubectl get endpointslices{in_namespace(service)} "
        f"--selector kubernetes.io/service-name={service.name} --output wide"
    )


def show_statefulsets(service: ServiceName) -> str:
    """The command that shows the governing service of each StatefulSet."""
    return (
        f"kubectl get statefulsets{in_namespace(service)} --output "
        "custom-columns=NAME:.metadata.name,SERVICE:.spec.serviceName"
    )


def headless_manifest(service: ServiceName) -> str:
    """The manifest of a headless service for a StatefulSet's pods."""
    lines = [
        "apiVersion: v1",
        "kind: Service",
        "metadata:",
        f"  name: {service.name}",
        *([f"  namespace: {service.namespace}"] if service.namespace else []),
        "spec:",
        "  clusterIP: None",
        "  publishNotReadyAddresses: true",
        f"  selector: {{app: {service.name}}}  # the labels of your pods",
        "  ports:",
        "  - name: db  # a name, and the port on which your pods listen",
        "    port: 3306",
    ]
    return "\n".join(lines)


def in_namespace(service: ServiceName) -> str:
    """The option of kubectl; empty for a name outside a cluster."""
    return f" --namespace {service.namespace}" if service.namespace else ""
