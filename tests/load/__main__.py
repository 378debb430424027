"""The command: ``python -m tests.load``; it renews the figures and the tables of the page."""

from __future__ import annotations

from . import figures, tables


def main() -> None:
    measured = figures.measure()
    figures.save(measured)
    tables.write(measured)
    for make in tables.TABLES.values():
        print(make(measured))


if __name__ == "__main__":
    main()
