"""What is written into SQL: literals that end where they should, and hosts that are names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerdisco.exceptions import ConfigurationError
from peerdisco.mysql.literals import host_name, literal


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("", "''"),
        ("plain", "'plain'"),
        ("it's", r"'it\'s'"),
        ('"quoted"', r"'\"quoted\"'"),
        ("back\\slash", r"'back\\slash'"),
        ("\\'", r"'\\\''"),
        ("a\nb\rc\0d\x1ae", r"'a\nb\rc\0d\Ze'"),
        ("'; DROP TABLE users; --", r"'\'; DROP TABLE users; --'"),
        ("%s %(x)s {} $1 ?", "'%s %(x)s {} $1 ?'"),
        ("päss🔑", "'päss🔑'"),
    ],
)
def test_a_literal(text: str, written: str) -> None:
    assert literal(text) == written


ESCAPED = {"0": "\0", "n": "\n", "r": "\r", "Z": "\x1a", "'": "'", '"': '"', "\\": "\\"}


def read(written: str) -> tuple[str, str]:
    """A literal as a server reads it, and what follows it."""
    assert written[0] == "'"
    value, position = "", 1
    while written[position] != "'":
        if written[position] == "\\":
            position += 1
            value += ESCAPED[written[position]]
        else:
            value += written[position]
        position += 1
    return value, written[position + 1 :]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_server_reads_what_was_meant_and_nothing_after_it(text: str) -> None:
    assert read(literal(text)) == (text, "")


def test_what_is_no_text_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        literal("secret\ud800")
    assert str(caught.value) == "a value for SQL: got 'a lone surrogate', expected text"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("mysql-0.mysql", "mysql-0.mysql"),
        ("MySQL-0.mysql.default.svc.cluster.local.", "mysql-0.mysql.default.svc.cluster.local"),
        ("localhost", "localhost"),
        (
            "10-244-0-3.mysql.default.svc.cluster.local",
            "10-244-0-3.mysql.default.svc.cluster.local",
        ),
    ],
)
def test_a_host_is_a_dns_name(text: str, name: str) -> None:
    assert host_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "10.244.0.3",
        "fd00::1",
        "1.2.3.4.5",
        "my_sql",
        "mysql 0",
        "mysql-0'",
        "mysql-0\n",
        "-mysql",
        "a..b",
        "x" * 64,
        ".".join(["x" * 63] * 4),
        "mysql-0.mysql:3306",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"source host: got .* a DNS name"):
        host_name(text)
