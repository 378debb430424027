"""What real servers said, as `record.py` wrote it down.

status = recorded("mysql").replica_status["primary-down"]
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORDINGS = Path(__file__).parent / "recordings"
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Recorded:
    """One server's recording.

    Attributes:
        variables: One row for each of "SITUATION, source" and "SITUATION, replica".
        replica_status: The rows of SHOW REPLICA STATUS, by situation.
        databases: The rows of SHOW DATABASES, by account.
        user_privileges: Those of information_schema.USER_PRIVILEGES, by account.
        statements: Each with `as`, `sql` and `rows` or `errno` and `text`, in their order.
    """

    flavour: str
    version: str
    variables: dict[str, Row]
    replica_status: dict[str, tuple[Row, ...]]
    databases: dict[str, tuple[Row, ...]]
    user_privileges: dict[str, tuple[Row, ...]]
    statements: tuple[Row, ...]

    def takes(self, sql: str) -> bool:
        """Whether a statement that begins so ever worked."""
        said = [one for one in self.statements if one["sql"].startswith(sql)]
        if not said:
            raise KeyError(sql)
        return any("errno" not in one for one in said)

    def errno(self, sql: str, *, user: str = "root") -> int | None:
        """Of the first statement that begins so; None where it worked."""
        for statement in self.statements:
            if statement["as"] == user and statement["sql"].startswith(sql):
                errno: int | None = statement.get("errno")
                return errno
        raise KeyError(sql)


def recorded(flavour: str) -> Recorded:
    """The recording of a "mariadb" or of a "mysql"."""
    (path,) = RECORDINGS.glob(f"{flavour}-*.json")
    document = json.loads(path.read_text())
    return Recorded(
        flavour=flavour,
        version=path.stem.removeprefix(f"{flavour}-"),
        variables={name: rows[0] for name, rows in document["variables"].items()},
        replica_status={
            name: tuple(one["rows"]) for name, one in document["replica_status"].items()
        },
        databases={name: tuple(rows) for name, rows in document["databases"].items()},
        user_privileges={name: tuple(rows) for name, rows in document["user_privileges"].items()},
        statements=tuple(document["statements"]),
    )


def grants(flavour: str, account: str) -> tuple[str, ...]:
    """The least privileges of an account, each as "SELECT ON peerdisco.*"."""
    document = json.loads((RECORDINGS / "privileges.json").read_text())
    return tuple(document[flavour][account]["grants"])
