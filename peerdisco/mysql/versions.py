"""Which server this is: the family, and its version. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from ..exceptions import ConfigurationError

__all__ = ["Flavour", "Version"]


class Flavour(Enum):
    """The two families, which speak two dialects."""

    MARIADB = "mariadb"
    MYSQL = "mysql"

    @classmethod
    def parse(cls, text: str, what: str = "flavour") -> Flavour:
        """The family of this name.

        Raises:
            ConfigurationError: There is none.
        """
        try:
            return cls(text.strip().lower())
        except ValueError:
            raise ConfigurationError(what, text, "'mariadb' or 'mysql'") from None


_NUMBER = re.compile(r"(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?", re.ASCII)
"""With limits: a search for any number of digits takes quadratic time on a long row of them."""
_LONGEST = 200
"""Characters of a version that are read and shown; real ones have fewer than 100."""

_OLDEST = {Flavour.MARIADB: (10, 5, 2), Flavour.MYSQL: (8, 0, 23)}
"""MariaDB 10.5.2 split SUPER into privileges that can be granted one by one; MySQL 8.0.23 brought
CHANGE REPLICATION SOURCE. Older ones are no longer maintained by their makers."""


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A server's version.

    Attributes:
        number: Three numbers.
        flavour: The family.
        text: As the server says it.
    """

    number: tuple[int, int, int]
    flavour: Flavour
    text: str

    @classmethod
    def parse(cls, version: str, comment: str = "") -> Version:
        """What ``VERSION()`` and ``@@version_comment`` say.

        MariaDB puts its name into one of the two, and some proxies put ``5.5.5-`` before its
        number. Forks of MySQL (Percona Server) count as MySQL.

        Raises:
            ConfigurationError: It has no version number, or is too old to be spoken to.
        """
        version, comment = version[:_LONGEST], comment[:_LONGEST]
        mariadb = "mariadb" in f"{version} {comment}".lower()
        found = _NUMBER.search(version.removeprefix("5.5.5-") if mariadb else version)
        if found is None:
            raise ConfigurationError("server version", version, "a number such as 10.11.4 or 8.4.2")
        number = (int(found[1]), int(found[2]), int(found[3] or 0))
        flavour = Flavour.MARIADB if mariadb else Flavour.MYSQL
        oldest = _OLDEST[flavour]
        if number < oldest:
            wanted = ".".join(map(str, oldest))
            raise ConfigurationError(
                "server version", version, f"{flavour.value} {wanted} or later"
            )
        return cls(number, flavour, version)

    def __str__(self) -> str:
        return f"{self.flavour.value} {self.text}"
