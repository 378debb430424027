"""Values that another party has chosen: read within bounds, or refused."""

from __future__ import annotations

from decimal import Decimal

import pytest

from peerdisco.mysql.status import ReplicaStatus
from peerdisco.mysql.values import number, text

from .servers import MARIADB, SOURCE_HOST, Server


@pytest.mark.parametrize(
    ("value", "found"),
    [(7, 7), ("7", 7), (b"7", 7), (True, 1), (Decimal(7), 7), ("-1", -1), (2**64 - 1, 2**64 - 1)],
)
def test_numbers(value: object, found: int) -> None:
    assert number(value) == found


@pytest.mark.parametrize(
    "value",
    [
        *(Decimal("1E+1000000"), Decimal("Infinity"), Decimal("NaN"), Decimal("1.5")),
        *(float("inf"), float("nan"), 1.5, 1e300, "1e3", "1_0", " 1", "1\n", "+1", "0x1"),
        *("\u0661", "9" * 21, "9" * 4300, "9" * 5000, int("9" * 4300), None, "", b"", b"\xff", []),
    ],
)
def test_what_is_no_number_of_a_server_is_refused(value: object) -> None:
    """`int(Decimal("1E+1000000"))` takes minutes, and 4301 digits cannot be written."""
    with pytest.raises(ValueError, match="no number of a server") as error:
        number(value)
    assert len(str(error.value)) < 500


def test_text() -> None:
    assert [text(value) for value in (None, b"a\xff", "b", 3)] == ["", "a\ufffd", "b", "3"]


def test_the_words_of_a_peers_status_are_escaped_and_shortened() -> None:
    row = Server(MARIADB)._row(SOURCE_HOST, 3306, "repl")
    words = "\x1b[2J\r\n" + "A" * 100_000
    row |= {"Master_Host": words, "Master_User": words, "Last_IO_Error": words}
    row |= {"Last_SQL_Error": words}
    found = ReplicaStatus.of_row(row)
    for value in (found.source_host, found.source_user, found.receiver_error, found.applier_error):
        assert value.isprintable()
        assert len(value) <= 500
        assert value.startswith("\\x1b[2J AAA")
