"""Measure how long writes fail while the primary's role moves, on real servers.

    python -m tests.mysql.move_gap [--server mariadb|other-mariadb|mysql] [--times N] [--write]

moves the role there and back between two of three pods, with a client that writes to each of the
two all the time, and the sidecars' default options. Each gap is the time from the last row that
the old primary acknowledged to the first one of the new primary; no acknowledged row may be lost.
The file with the wanted ordinal changes in all pods at once, which kubelets do not do.

--write renews the figures in docs/how-to/first-ordinal.md, and their record in recordings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.docs.markdown import ROOT

from .database import Database
from .gaps import RECORDINGS, SERVERS, Figures, median, name_of, replicating
from .waiting import until
from .writer import Writer

FIGURES = Figures(
    page=ROOT / "docs" / "how-to" / "first-ordinal.md",
    module="tests.mysql.move_gap",
    record=RECORDINGS / "move-gap.json",
    columns={
        "server": "{server}",
        "moves": "{moves}",
        "median gap": "{median} s",
        "longest gap": "{longest} s",
    },
)
FILE = "PEERDISCO_MYSQL_PRIMARY_ORDINAL_FILE"
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


def measured(server: str, moves: int) -> dict[str, Any]:
    """The figures of a server of this family and version."""
    with replicating(SERVERS[server], {FILE: f"{_OLD}\n"}) as db:
        found = gaps(db, Path(db.primary.sidecar.environment[FILE]), moves)
        return {
            "server": name_of(db),
            "moves": len(found),
            "median": median(found),
            "longest": round(max(found), 1),
        }


if __name__ == "__main__":
    FIGURES.main(__doc__, tuple(SERVERS), measured)
