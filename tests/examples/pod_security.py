"""The Pod Security Standard ``restricted``, as Kubernetes publishes it.

https://kubernetes.io/docs/concepts/security/pod-security-standards/ has each rule with its fields
and their allowed values; `violations` has them in the same order. Fields of Windows are left out,
because a pod that sets `hostProcess` needs the fields of the host's namespaces too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Spec = dict[str, Any]

VOLUMES = {
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim"),
    *("projected", "secret"),
}
SYSCTLS = {
    *(
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_unprivileged_port_start",
    ),
    *("net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports"),
    *("net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl"),
    "net.ipv4.tcp_keepalive_probes",
}
SELINUX_TYPES = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
SECCOMP = {"RuntimeDefault", "Localhost"}


def violations(pod: Spec) -> list[str]:
    """Why a namespace with ``restricted`` rejects a pod; empty if it takes it."""
    return [*_of_pod(pod), *(f"{c['name']}: {why}" for c in _all(pod) for why in _of(c, pod))]


def _all(pod: Spec) -> list[Spec]:
    kinds = ("initContainers", "containers", "ephemeralContainers")
    return [container for kind in kinds for container in pod.get(kind) or ()]


def _of_pod(pod: Spec) -> Iterator[str]:
    for namespace in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(namespace):
            yield namespace
    for volume in pod.get("volumes") or ():
        kinds = volume.keys() - {"name"}
        if not kinds <= VOLUMES:
            yield f"volume {volume['name']}: {', '.join(kinds)}"
    for sysctl in pod.get("securityContext", {}).get("sysctls") or ():
        if sysctl["name"] not in SYSCTLS:
            yield f"sysctl {sysctl['name']}"
    yield from _of_context(pod.get("securityContext") or {})


def _of_context(context: Spec) -> Iterator[str]:
    """The rules for a pod's context and for that of a container."""
    selinux = context.get("seLinuxOptions") or {}
    if selinux.get("type", "") not in SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
        yield "seLinuxOptions"
    if (context.get("appArmorProfile") or {}).get("type") == "Unconfined":
        yield "appArmorProfile"
    if (context.get("seccompProfile") or {}).get("type", "RuntimeDefault") not in SECCOMP:
        yield "seccompProfile"
    if context.get("runAsNonRoot") is False:
        yield "runAsNonRoot"
    if context.get("runAsUser") == 0:
        yield "runAsUser"


def _of(container: Spec, pod: Spec) -> Iterator[str]:
    context, around = container.get("securityContext") or {}, pod.get("securityContext") or {}
    yield from _of_context(context)
    if context.get("privileged"):
        yield "privileged"
    if context.get("procMount", "Default") != "Default":
        yield "procMount"
    if context.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    if not (context.get("runAsNonRoot") or around.get("runAsNonRoot")):
        yield "runAsNonRoot"
    if not (context.get("seccompProfile") or around.get("seccompProfile")):
        yield "seccompProfile"
    capabilities = context.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or ()):
        yield "capabilities.drop"
    if not set(capabilities.get("add") or ()) <= {"NET_BIND_SERVICE"}:
        yield "capabilities.add"
    if any(port.get("hostPort") for port in container.get("ports") or ()):
        yield "hostPort"
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(name) or {}
        if any((probe.get(kind) or {}).get("host") for kind in ("httpGet", "tcpSocket")):
            yield f"{name}: host"
