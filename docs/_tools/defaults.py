"""Default values in the API reference: the number in place of the constant's name.

``timeout: float = TIMEOUT`` becomes ``timeout: float = 5.0``. Names of functions stay.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

_CONSTANT = r"_?[A-Z][A-Z0-9_.]*"


def with_values(function: Callable[..., Any], signature: str) -> str:
    """A signature with the values of the constants that are its defaults.

    Args:
        function: The function or the class.
        signature: Its signature as text, with the names of the constants.
    """
    for name, value in _defaults(function).items():
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            pattern = rf"(?<![\w*]){name}(?:: [^=]+?)? ?= ?(?P<constant>{_CONSTANT})(?![\w.])"
            found = re.search(pattern, signature)
            if found is not None:
                start, end = found.span("constant")
                signature = f"{signature[:start]}{value!r}{signature[end:]}"
    return signature


def _defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """The default values by parameter: autodoc puts the names of constants into the signature."""
    plain = inspect.unwrap(function.__init__ if inspect.isclass(function) else function)  # type: ignore[misc]
    code = getattr(plain, "__code__", None)
    if code is None:
        return {}
    values = plain.__defaults__ or ()
    names = code.co_varnames[: code.co_argcount]
    return dict(zip(names[len(names) - len(values) :], values, strict=True)) | (
        plain.__kwdefaults__ or {}
    )
