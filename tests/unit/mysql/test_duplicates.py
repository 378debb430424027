"""Servers with the identity of another one: the right one is blamed."""

from __future__ import annotations

import pytest

from peerdisco.mysql.duplicates import duplicates

from .servers import MARIADB, MYSQL, ORIGIN, facts


def mariadb(*ids: int) -> dict[int, str]:
    """What is found for servers of the ordinals from 0 on; ordinal 0 is the primary."""
    servers = {n: facts(MARIADB, server_id=one, origin=str(one)) for n, one in enumerate(ids)}
    return dict(duplicates(0, servers))


def test_each_server_has_its_own() -> None:
    assert mariadb(100, 101, 102) == {}
    assert mariadb(7, 1000, 3) == {}
    assert dict(duplicates(1, {1: facts(MYSQL)})) == {}


@pytest.mark.parametrize(
    ("ids", "wrong", "other"),
    [
        ((100, 101, 101), 2, 1),
        ((100, 102, 102), 1, 2),
        ((100, 100, 102), 1, 0),
        ((100, 101, 102, 101), 3, 1),
        ((500, 502, 502), 1, 2),
        ((100, 107, 107), 2, 1),
    ],
)
def test_the_pod_whose_number_is_not_that_of_its_ordinal(
    ids: tuple[int, ...], wrong: int, other: int
) -> None:
    ((ordinal, text),) = mariadb(*ids).items()
    assert ordinal == wrong
    assert f"ordinal {wrong} has the server_id of that of ordinal {other}, {ids[wrong]}" in text
    assert "auto.cnf" not in text


def test_volumes_with_one_uuid_are_both_named() -> None:
    servers = {
        0: facts(MYSQL, server_id=100),
        1: facts(MYSQL, server_id=101, origin=ORIGIN),
        2: facts(MYSQL, server_id=102, origin=ORIGIN),
    }
    ((ordinal, text),) = duplicates(0, servers)
    assert ordinal == 2
    assert "ordinals 1 and 2" in text
    assert ORIGIN in text
    assert "auto.cnf" in text
    assert "empty" not in text
    servers[0] = facts(MYSQL, server_id=100, origin=ORIGIN)
    assert sorted(dict(duplicates(0, servers))) == [1, 2]
