"""Telling the two families apart, and what is too old."""

from __future__ import annotations

import pytest

from peerdisco.exceptions import ConfigurationError
from peerdisco.mysql.versions import Flavour, Version


@pytest.mark.parametrize(
    ("version", "comment", "flavour", "number"),
    [
        ("10.11.19-MariaDB-0+deb12u1-log", "Debian 12", Flavour.MARIADB, (10, 11, 19)),
        ("11.4.2-MariaDB-ubu2404", "mariadb.org binary distribution", Flavour.MARIADB, (11, 4, 2)),
        ("5.5.5-10.6.7-MariaDB", "", Flavour.MARIADB, (10, 6, 7)),
        ("10.6.7", "MariaDB Server", Flavour.MARIADB, (10, 6, 7)),
        ("8.4.3", "MySQL Community Server - GPL", Flavour.MYSQL, (8, 4, 3)),
        ("9.7.4-2", "(Debian)", Flavour.MYSQL, (9, 7, 4)),
        ("8.0.36-28", "Percona Server (GPL)", Flavour.MYSQL, (8, 0, 36)),
        ("9.0", "", Flavour.MYSQL, (9, 0, 0)),
        ("8.0.23", "", Flavour.MYSQL, (8, 0, 23)),
        ("10.5.2-MariaDB", "", Flavour.MARIADB, (10, 5, 2)),
    ],
)
def test_versions(
    version: str, comment: str, flavour: Flavour, number: tuple[int, int, int]
) -> None:
    found = Version.parse(version, comment)
    assert (found.flavour, found.number, found.text) == (flavour, number, version)
    assert str(found) == f"{flavour.value} {version}"


@pytest.mark.parametrize(
    ("version", "oldest"),
    [
        ("5.7.44", "mysql 8.0.23"),
        ("8.0.22", "mysql 8.0.23"),
        ("10.4.33-MariaDB", "mariadb 10.5.2"),
    ],
)
def test_what_is_too_old_is_refused(version: str, oldest: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Version.parse(version)
    assert str(caught.value) == f"server version: got {version!r}, expected {oldest} or later"


def test_a_version_of_any_length_is_read_at_once() -> None:
    """A server may send 4 MiB; a search whose time grows with its square would take days."""
    with pytest.raises(ConfigurationError) as caught:
        Version.parse("9" * 4_000_000)
    assert len(str(caught.value)) < 400
    assert Version.parse("8.4.3" + "x" * 4_000_000).number == (8, 4, 3)


@pytest.mark.parametrize(
    "version", ["", "eight", "MariaDB", "\u0661\u0660.\u0661\u0661", "9" * 5000]
)
def test_what_is_no_version_is_refused(version: str) -> None:
    with pytest.raises(ConfigurationError, match="server version"):
        Version.parse(version)


def test_flavours_by_name() -> None:
    assert Flavour.parse(" MariaDB ") is Flavour.MARIADB
    with pytest.raises(ConfigurationError, match="flavour: got 'oracle', expected 'mariadb' or"):
        Flavour.parse("oracle")
