"""The two errors that the values themselves need; `peerdisco.exceptions` lists them all."""

from __future__ import annotations

from typing import Any

__all__ = ["ConfigurationError", "DiscoveryError"]


class DiscoveryError(Exception):
    """The base class of the errors that this package raises."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> Any:
        """For pydantic: an instance; in JSON its message, which is read back as the base class."""
        from pydantic_core import core_schema as schemas  # noqa: PLC0415 - pydantic calls this

        text = schemas.str_schema()
        return schemas.json_or_python_schema(
            json_schema=schemas.no_info_after_validator_function(DiscoveryError, text),
            python_schema=schemas.is_instance_schema(cls),
            serialization=schemas.plain_serializer_function_ser_schema(
                str, return_schema=text, when_used="json"
            ),
        )


class ConfigurationError(DiscoveryError, ValueError):
    """An argument, an option or an environment variable has an invalid value.

    Attributes:
        what: The name of the argument, option or variable (``service``, ``PEERDISCO_NAMESERVERS``).
        given: The invalid value.
        expected: A description of valid values.
    """

    def __init__(self, what: str, given: object, expected: str) -> None:
        super().__init__(what, given, expected)
        self.what = what
        self.given = given
        self.expected = expected

    def __str__(self) -> str:
        return f"{self.what}: got {self.given!r}, expected {self.expected}"
