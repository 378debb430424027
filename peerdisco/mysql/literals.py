"""Values written into SQL: every name and every password goes through one function. Pure.

The escapes are those of both families with backslash escapes on, which the statements of this
package see to themselves (`SESSION`); the characters are those that
https://dev.mysql.com/doc/refman/8.4/en/string-literals.html lists.
"""

from __future__ import annotations

from ipaddress import ip_address

from ..exceptions import ConfigurationError
from ..names import is_label

__all__ = ["SESSION", "host_name", "literal"]

SESSION = (
    "SET SESSION sql_mode = 'TRADITIONAL', lock_wait_timeout = 5, sql_safe_updates = 0, "
    "completion_type = 'NO_CHAIN'"
)
"""Has statements mean what they are taken to mean, whatever the server's configuration: backslashes
in `literal`, an UPDATE of the only row, and a COMMIT that neither begins a transaction nor ends the
connection. And read-only waits for seconds behind somebody's statement and not, as by default, for
a day."""

_ESCAPES = str.maketrans(
    {
        "\0": "\\0",
        "\n": "\\n",
        "\r": "\\r",
        "\x1a": "\\Z",
        "'": "\\'",
        '"': '\\"',
        "\\": "\\\\",
    }
)

_LONGEST_HOST = 253


def is_unicode(text: str) -> bool:
    """Whether a text can be written in UTF-8: the environment may hold bytes that are none."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def literal(text: str) -> str:
    """A string literal in SQL, quotes included, for a connection that speaks utf8mb4.

    Raises:
        ConfigurationError: The text cannot be written in UTF-8.
    """
    if not is_unicode(text):
        # The value itself may be a password, and is not shown.
        raise ConfigurationError("a value for SQL", "a lone surrogate", "text")
    return f"'{text.translate(_ESCAPES)}'"


def host_name(text: str) -> str:
    """A host to replicate from, checked: a DNS name and no address.

    A pod's address changes with each restart, and another pod may get the old one.

    Returns:
        The name in lower case without a trailing dot.

    Raises:
        ConfigurationError: It is no DNS name.
    """
    name = text.lower().removesuffix(".")
    expected = "a DNS name such as mysql-0.my-database.default.svc.cluster.local, and no address"
    if len(name) > _LONGEST_HOST or not all(is_label(label) for label in name.split(".")):
        raise ConfigurationError("source host", text, expected)
    try:
        ip_address(name)
    except ValueError:
        pass
    else:
        raise ConfigurationError("source host", text, expected)
    if name.rpartition(".")[2].isdigit():
        raise ConfigurationError("source host", text, expected)
    return name
