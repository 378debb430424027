"""Measure how long writes fail while the primary's role moves, on real servers.

    python -m tests.mysql.move_gap [--server mariadb|other-mariadb|mysql] [--moves N] [--write]

moves the role there and back between two of three pods, with a client that writes to each of the
two all the time, and the sidecars' default options. Each gap is the time from the last row that
the old primary acknowledged to the first one of the new primary; no acknowledged row may be lost.
The file with the wanted ordinal changes in all pods at once, which kubelets do not do.

--write renews the figures in docs/how-to/first-ordinal.md, and their record in recordings.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.docs.markdown import ROOT

from . import database, mariadb, mysqld
from .database import Database
from .mariadb import MariaDB, OtherMariaDB
from .mysqld import MySQL
from .pods import Bridge, network
from .waiting import until
from .writer import Writer

SERVERS = {"mariadb": MariaDB, "other-mariadb": OtherMariaDB, "mysql": MySQL}
PAGE = ROOT / "docs" / "how-to" / "first-ordinal.md"
RECORD = Path(__file__).parent / "recordings" / "move-gap.json"
BEGIN, END = "<!-- python -m tests.mysql.move_gap --write -->\n", "<!-- end -->\n"
_OLD, _NEW = 0, 1


def gaps(db: Database, file: Path, moves: int) -> list[float]:
    """The gap of each of so many moves, in seconds."""
    found, acknowledged, first = [], set[int](), 1
    old, new = db[_OLD], db[_NEW]
    for _ in range(moves):
        with Writer(old.server, first) as before, Writer(new.server, first + 5_000_000) as after:
            before.wait(50)
            file.write_text(f"{new.name[-1]}\n")
            until(lambda after=after: after.times, timeout=120, what=f"{new.name} takes writes")
            after.wait(50)
        found.append(after.times[0] - before.times[-1])
        acknowledged |= {*before.acknowledged, *after.acknowledged}
        rows = set(db.rows(new))
        assert acknowledged <= rows, f"rows are lost: {sorted(acknowledged - rows)[:9]}"
        until(lambda old=old: old.server.replicates, timeout=120, what=f"{old.name} follows")
        until(lambda old=old, rows=rows: set(db.rows(old)) >= rows, timeout=60)
        old, new, first = new, old, first + 10_000_000
    return found


def measured(kind: type[MariaDB], moves: int) -> dict[str, Any]:
    """The figures of a server of this family and version."""
    with tempfile.TemporaryDirectory(prefix="peerdisco-gap-") as name:
        place = Path(name)
        place.chmod(0o755)
        template = (
            mysqld.template(place / "bare")
            if kind is MySQL
            else mariadb.template(place / "bare", kind.program)
        )
        with network(Bridge) as where:
            image = database.image(place / "image", where, template, kind)
        with network(Bridge) as where:
            db = Database(where, image, quick=False)
            file = where.directory / "ordinal"
            file.write_text(f"{_OLD}\n")
            for member in db.members:
                member.sidecar.environment["PEERDISCO_MYSQL_PRIMARY_ORDINAL_FILE"] = str(file)
            db.start()
            db.wait()
            db.create_shop()
            db.wait_equal()
            version = str(db.primary.server.value("SELECT VERSION()")).partition("-")[0]
            found = gaps(db, file, moves)
            db.close()
    return {
        "version": version,
        "moves": len(found),
        "median": round(statistics.median(found), 1),
        "longest": round(max(found), 1),
    }


def paragraph(record: dict[str, dict[str, Any]]) -> str:
    """What the page says of the figures."""
    names = {"mariadb": "MariaDB", "other-mariadb": "MariaDB", "mysql": "MySQL"}
    rows = [
        f"| {names[name]} {one['version']} | {one['moves']} | {one['median']} s | "
        f"{one['longest']} s |\n"
        for name, one in record.items()
    ]
    head = "| server | moves | median gap | longest gap |\n|---|---|---|---|\n"
    return f"\n{head}{''.join(rows)}\n"


def write(record: dict[str, dict[str, Any]]) -> None:
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}{paragraph(record)}{END}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--server", choices=SERVERS, default="mariadb")
    parser.add_argument("--moves", type=int, default=20)
    parser.add_argument("--write", action="store_true", help="renew the page")
    given = parser.parse_args()
    began = time.monotonic()
    figures = measured(SERVERS[given.server], given.moves)
    print(json.dumps(figures), f"in {time.monotonic() - began:.0f} s")
    if given.write:
        known = json.loads(RECORD.read_text()) if RECORD.exists() else {}
        write({**known, given.server: figures})


if __name__ == "__main__":
    main()
