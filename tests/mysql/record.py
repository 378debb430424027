"""Record what a real MariaDB or MySQL says, for tests that have none.

    python -m tests.mysql.record [--server PROGRAM] [--part rows|privileges] [DIRECTORY]

starts two servers of PROGRAM (a mariadbd or mysqld; default: the mariadbd on PATH) on loopback,
brings about each situation, and writes DIRECTORY/FLAVOUR-VERSION.json and the flavour's part of
DIRECTORY/privileges.json (default: the recordings beside this file). The dump programs are those
on PATH. Run as root it runs the servers as the account `mysql`.
"""

from __future__ import annotations

import argparse
import inspect
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.mysql.accounts import TRIALS
from tests.mysql.daemon import Daemon, flavour_of, initialise, version_number
from tests.mysql.situations import SITUATIONS, Pair
from tests.mysql.statements import outcomes
from tests.mysql.trials import rows

RECORDINGS = Path(__file__).parent / "recordings"
VARIABLES = {
    "mariadb": (
        "version_comment", "server_id", "read_only", "log_bin", "gtid_strict_mode",
        "gtid_domain_id", "gtid_binlog_pos", "gtid_binlog_state", "gtid_slave_pos",
        "gtid_current_pos", "hostname", "port", "report_host", "skip_name_resolve",
        "slave_net_timeout",
    ),
    "mysql": (
        "version_comment", "server_id", "server_uuid", "read_only", "super_read_only", "log_bin",
        "gtid_mode", "enforce_gtid_consistency", "gtid_owned", "gtid_executed", "gtid_purged",
        "hostname", "port", "report_host", "skip_name_resolve", "replica_net_timeout",
    ),
}  # fmt: skip
LEAST = {
    "mariadb": ("REPLICA MONITOR", "REPLICATION SLAVE ADMIN", "READ_ONLY ADMIN"),
    "mysql": ("REPLICATION CLIENT", "REPLICATION_SLAVE_ADMIN", "SYSTEM_VARIABLES_ADMIN"),
}


@contextmanager
def two(program: str) -> Iterator[Pair]:
    """Two servers that know nothing of each other."""
    place = Path(tempfile.mkdtemp(prefix="peerdisco-record-"))
    place.chmod(0o755)  # the servers' account must get through
    initialise(program, place / "template")
    servers = [
        Daemon(program, place / name, number, place / "template")
        for name, number in (("source", 100), ("replica", 101))
    ]
    try:
        for server in servers:
            server.start()
        yield Pair(*servers)
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(place)


def record_rows(pair: Pair) -> dict[str, Any]:
    """What SELECT and SHOW give, each row as a driver gives it."""
    flavour = pair.replica.flavour
    status = {}
    variables = {}
    columns = ", ".join(f"@@{name}" for name in VARIABLES[flavour])
    for situation in SITUATIONS[flavour]:
        print(f"{flavour}: {situation.__name__}", file=sys.stderr)
        pair.reset()
        situation(pair)
        name = situation.__name__.replace("_", "-")
        told = inspect.getdoc(situation) or ""
        status[name] = {"situation": told.replace("\n", " "), "rows": pair.status()}
        if name in {"not-a-replica", "replicating"}:
            for server, role in ((pair.source, "source"), (pair.replica, "replica")):
                with server.connect() as root:
                    variables[f"{name}, {role}"] = rows(root, f"SELECT VERSION(), {columns}")
    pair.reset()
    with pair.replica.connect() as root:
        rows(root, "CREATE DATABASE `shop-2`")
        rows(root, "CREATE DATABASE peerdisco")
        databases = rows(root, "SHOW DATABASES")
        rows(root, "CREATE USER 'least'@'%' IDENTIFIED BY 'least'")
        rows(root, f"GRANT {', '.join(LEAST[flavour])} ON *.* TO 'least'@'%'")
        users = {
            "root": rows(root, "SELECT * FROM information_schema.USER_PRIVILEGES"),
        }
    with pair.replica.connect("least", "least") as least:
        users["least"] = rows(least, "SELECT * FROM information_schema.USER_PRIVILEGES")
        least_sees = rows(least, "SHOW DATABASES")
    pair.reset()
    return {
        "variables": variables,
        "replica_status": status,
        "databases": {"root": databases, "least": least_sees},
        "user_privileges": users,
        "statements": outcomes(pair.replica),
    }


def record_privileges(pair: Pair) -> dict[str, Any]:
    """The least privileges of each account, by trial."""
    if pair.replica.flavour == "mysql":
        for server in (pair.source, pair.replica):
            with server.connect() as root:
                rows(root, "INSTALL PLUGIN clone SONAME 'mysql_clone.so'")
    found = {}
    for trial in TRIALS[pair.replica.flavour]:
        print(f"{pair.replica.flavour}: {trial.account}", file=sys.stderr)
        found[trial.account.removeprefix("trial_")] = trial.minimise(pair.source, pair.replica)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--server", default=shutil.which("mariadbd"), help="mariadbd or mysqld")
    parser.add_argument("--part", choices=("rows", "privileges"), help="only this one")
    parser.add_argument("directory", nargs="?", type=Path, default=RECORDINGS)
    given = parser.parse_args()
    if given.server is None or (flavour := flavour_of(given.server)) is None:
        parser.error(f"no server program: {given.server}")
    with two(given.server) as pair:
        with pair.source.connect() as root:
            version = str(rows(root, "SELECT VERSION() AS version")[0]["version"])
        number = ".".join(map(str, version_number(version)))
        if given.part != "privileges":
            write(given.directory / f"{flavour}-{number}.json", record_rows(pair))
        if given.part != "rows":
            path = given.directory / "privileges.json"
            known = json.loads(path.read_text()) if path.exists() else {}
            known[flavour] = {"version": version, **record_privileges(pair)}
            write(path, known)


def write(path: Path, what: dict[str, Any]) -> None:
    """As JSON; a value that JSON cannot tell from another is an error, so that types are kept."""
    path.write_text(json.dumps(what, indent=1, ensure_ascii=False) + "\n")
    print(f"written: {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
