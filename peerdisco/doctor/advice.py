"""Advice to change a setting, at the place where its present value comes from. Pure.

An option wins over a variable, and a variable over what is detected. So to set a variable changes
nothing where an option gives the value, and an option in one command leaves the variable as it is
for every other command of the container.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .facts import SERVICE, VARIABLES, Request
from .findings import Fix
from .fixes import doctor, env_lines

__all__ = ["change", "name_cluster_dns", "use_servers"]

_SHOW_CLUSTER_DNS = (
    "kubectl get service kube-dns --namespace kube-system --output jsonpath='{.spec.clusterIP}'"
)


_ENV = "the container's env"


@dataclass(frozen=True, slots=True)
class _Step:
    """The change of one setting.

    Attributes:
        name: The setting.
        values: Its new values; empty to leave it to its default.
        given: Whether it has a value now.
        option: Whether to change it in the command.
        variable: Whether to change it in the container's env.
    """

    name: str
    values: tuple[str, ...]
    given: bool
    option: bool
    variable: bool

    def __str__(self) -> str:
        option = "the argument SERVICE" if self.name == SERVICE else self.name
        variable = VARIABLES[self.name]
        if not self.values:
            ways = (f"leave {option} out of the command", f"remove {variable} from {_ENV}")
            return " and ".join(self._chosen(ways))
        verbs = ("change", "change") if self.given else ("use", "set")
        ways = (f"{verbs[0]} {option} in the command", f"{verbs[1]} {variable} in {_ENV}")
        return ", or ".join(self._chosen(ways))

    def _chosen(self, ways: tuple[str, str]) -> list[str]:
        return [
            way for way, wanted in zip(ways, (self.option, self.variable), strict=True) if wanted
        ]


def change(request: Request, text: str, changes: Mapping[str, str | Sequence[str] | None]) -> Fix:
    """Give settings other values.

    Args:
        request: What was examined, with the present values and their sources.
        text: What to do, in sentences, or the beginning of one.
        changes: The settings, by the names of their options or `SERVICE`, with their new value or
            values; None to leave a setting to its default.
    """
    wanted = {name: _values(value) for name, value in changes.items()}
    steps = _steps(request, wanted)
    env = {
        VARIABLES[step.name]: ",".join(step.values)
        for step in steps
        if step.variable and step.values
    }
    lines = [f"unset {VARIABLES[s.name]}" for s in steps if s.variable and not s.values]
    names = wanted.pop(SERVICE, ())
    lines.append(doctor(request, names[0] if names else _present(request, wanted), wanted))
    words = [*map(str, steps)]
    if SERVICE in changes and "--namespace" in request.settings:
        words.append("leave --namespace out of the command")
    step = ", and ".join(words)
    if text.endswith("."):
        step = step[:1].upper() + step[1:]
    return Fix(
        f"{text} {step}:",
        command="\n".join(lines),
        yaml=env_lines(env),
    )


def _present(request: Request, wanted: Mapping[str, tuple[str, ...]]) -> str | None:
    """The service as the next command names it; None if a variable or the pod's files do."""
    service = request.service
    if service is not None:
        return (
            f"{service.name}.{service.namespace}" if "--cluster-domain" in wanted else str(service)
        )
    setting = request.settings.get(SERVICE)
    return setting.values[0] if setting is not None and setting.by_option else None


def _values(value: str | Sequence[str] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())


def _steps(request: Request, wanted: Mapping[str, tuple[str, ...]]) -> list[_Step]:
    """The settings that change; one that has no value yet goes where the others come from."""
    differing = {name: new for name, new in wanted.items() if new != request.values(name)}
    by_option = {request.settings[name].by_option for name in wanted if name in request.settings}
    found = []
    for name, new in differing.items():
        setting = request.settings.get(name)
        if setting is None:
            option, variable = by_option != {False}, True not in by_option
        else:
            option = setting.by_option
            variable = not option or (setting.shadows and not new)
        found.append(_Step(name, new, setting is not None, option, variable))
    return found


def use_servers(request: Request, servers: Sequence[str]) -> Fix:
    """Query only these servers."""
    if "--nameserver" in request.settings:
        return change(
            request,
            "Query only the name servers that serve the cluster.",
            {"--nameserver": servers},
        )
    return Fix(
        "Remove the other name servers from the pod's dnsConfig, or from the node's resolv.conf "
        "if the pod has dnsPolicy: Default. Until then let peerdisco query only those that serve "
        "the cluster, in the container's env:",
        yaml=env_lines({VARIABLES["--nameserver"]: ",".join(servers)}),
    )


def name_cluster_dns(request: Request, text: str, after: str = "") -> Fix:
    """The command that shows the address of the cluster's DNS, and where to name it.

    Args:
        request: What was examined.
        text: What to do, in sentences.
        after: What follows.
    """
    setting = request.settings.get("--nameserver")
    if setting is None:
        where = "give it as --nameserver, or set PEERDISCO_NAMESERVERS in the container's env"
    elif setting.by_option:
        where = "give it as --nameserver in the command"
    else:
        where = "set PEERDISCO_NAMESERVERS in the container's env to it"
    tail = f" {after}" if after else ""
    return Fix(f"{text} The command shows its address; {where}.{tail}", command=_SHOW_CLUSTER_DNS)
