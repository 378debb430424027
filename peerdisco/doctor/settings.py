"""The settings of a lookup: their values, and whether an option or a variable gives them."""

from __future__ import annotations

from ..pod.environment import PodEnvironment
from ..sources.options import LookupOptions
from .facts import SERVICE, VARIABLES, Setting

__all__ = ["find_settings"]

_LISTS = frozenset({"--nameserver", "--port-name"})
"""Several values: an option that is repeated, a variable with commas."""


def find_settings(options: LookupOptions, pod: PodEnvironment) -> dict[str, Setting]:
    """The settings that are given."""
    given = {
        SERVICE: (options.service,),
        "--namespace": (options.namespace or None,),
        "--nameserver": tuple(options.nameservers),
        "--cluster-domain": (options.cluster_domain or None,),
        "--resolver": (options.resolver or None,),
        "--statefulset": (options.statefulset or None,),
        "--cluster": (options.cluster or None,),
        "--port-name": _port_names(options),
        "--protocol": (options.protocol,),
    }
    found = {}
    for name, values in given.items():
        chosen = tuple(value for value in values if value is not None)
        variable = VARIABLES.get(name)
        text = pod.variable(variable) if variable is not None else None
        if chosen:
            source = "the argument" if name == SERVICE else name
            found[name] = Setting(chosen, source, shadows=text is not None)
        elif variable is not None and text is not None:
            found[name] = Setting(_split(name, text), variable)
    return found


def _port_names(options: LookupOptions) -> tuple[str, ...]:
    names = options.port_name or ()
    return (names,) if isinstance(names, str) else tuple(names)


def _split(name: str, text: str) -> tuple[str, ...]:
    parts = text.split(",") if name in _LISTS else [text]
    return tuple(part.strip() for part in parts)
