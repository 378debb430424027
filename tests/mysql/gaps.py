"""What the measurements of write gaps share: a database as users run it, and a table of figures."""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import database, mariadb, mysqld
from .database import Database
from .mariadb import MariaDB, OtherMariaDB
from .mysqld import MySQL
from .pods import Bridge, network

SERVERS = {"mariadb": MariaDB, "other-mariadb": OtherMariaDB, "mysql": MySQL}
NAMES = {"mariadb": "MariaDB", "mysql": "MySQL"}
END = "<!-- end -->\n"
RECORDINGS = Path(__file__).parent / "recordings"


@contextmanager
def replicating(kind: type[MariaDB], files: Mapping[str, str]) -> Iterator[Database]:
    """Three pods of this family and version that replicate, with the sidecars' default options.

    Args:
        kind: The servers.
        files: By the variable of the sidecars that names it, the content of a file.
    """
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
            for variable, content in files.items():
                file = where.directory / variable.lower()
                file.write_text(content)
                for member in db.members:
                    member.sidecar.environment[variable] = str(file)
            db.start()
            db.wait()
            db.create_shop()
            db.wait_equal()
            yield db
            db.close()


def name_of(db: Database) -> str:
    """The family and version of the servers."""
    version = str(db.primary.server.value("SELECT VERSION()")).partition("-")[0]
    return f"{NAMES[db.image.server.flavour]} {version}"


def median(measured: Sequence[float]) -> float:
    return round(statistics.median(measured), 1)


@dataclass(frozen=True)
class Figures:
    """A table on a page, made of a record.

    Attributes:
        page: The page.
        module: The command that measures.
        record: The file with the figures of each kind of server.
        columns: The head of each column, and what it has of a figure of the record.
    """

    page: Path
    module: str
    record: Path
    columns: Mapping[str, str]

    @property
    def begin(self) -> str:
        return f"<!-- python -m {self.module} --write -->\n"

    @property
    def known(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = (
            json.loads(self.record.read_text()) if self.record.exists() else {}
        )
        return found

    @property
    def block(self) -> str:
        """What the page has to contain."""
        heads = " | ".join(self.columns)
        rows = [
            f"| {' | '.join(form.format(**one) for form in self.columns.values())} |\n"
            for one in self.known.values()
        ]
        rule = "---|" * len(self.columns)
        return f"{self.begin}\n| {heads} |\n|{rule}\n{''.join(rows)}\n{END}"

    def write(self, key: str, figures: dict[str, Any]) -> None:
        """Renew the figures of one kind of server."""
        self.record.write_text(json.dumps({**self.known, key: figures}, indent=1) + "\n")
        before, _, rest = self.page.read_text().partition(self.begin)
        _, _, after = rest.partition(END)
        self.page.write_text(f"{before}{self.block}{after}")

    def main(
        self,
        doc: str | None,
        servers: Sequence[str],
        measured: Callable[[str, int], dict[str, Any]],
    ) -> None:
        """The command: measure one kind of server so many times."""
        parser = argparse.ArgumentParser(
            description=doc, formatter_class=argparse.RawTextHelpFormatter
        )
        parser.add_argument("--server", choices=servers, default=servers[0])
        parser.add_argument("--times", type=int, default=10)
        parser.add_argument("--write", action="store_true", help="renew the page")
        given = parser.parse_args()
        began = time.monotonic()
        figures = measured(given.server, given.times)
        print(json.dumps(figures), f"in {time.monotonic() - began:.0f} s")
        if given.write:
            self.write(given.server, figures)
