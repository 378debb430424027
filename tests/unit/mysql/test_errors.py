"""What an error asks for, and that it shows no password."""

from __future__ import annotations

import pytest

from peerdisco.mysql.errors import Action, DatabaseError, classify, errno_of


@pytest.mark.parametrize(
    ("errno", "action"),
    [
        (2002, Action.WAIT),
        (2003, Action.WAIT),
        (2005, Action.WAIT),
        (2013, Action.WAIT),
        (2026, Action.WAIT),
        (1040, Action.WAIT),
        (1053, Action.WAIT),
        (1045, Action.MEND),
        (1820, Action.MEND),
        (4151, Action.MEND),
        (1597, Action.MEND),
        (13120, Action.MEND),
        (2061, Action.MEND),
        (1205, Action.MEND),
        (3021, Action.MEND),
        (1236, Action.REFUSE),
        (13114, Action.REFUSE),
        (1593, Action.MEND),
        (13117, Action.REFUSE),
        (1064, Action.REFUSE),
    ],
)
def test_what_an_error_asks_for(errno: int, action: Action) -> None:
    assert classify(errno) is action


@pytest.mark.parametrize("errno", [1062, 1032, 1950, 1007, 1050, 1146, 1396])
def test_what_cannot_be_applied_is_refused(errno: int) -> None:
    assert classify(errno, applying=True) is Action.REFUSE


@pytest.mark.parametrize("errno", [1205, 1213])
def test_a_lock_of_somebody_else_is_tried_again(errno: int) -> None:
    assert classify(errno, applying=True) is Action.MEND


class DriverError(Exception):
    """As PyMySQL and those like it raise them."""


class ConnectorError(Exception):
    errno = 1045


@pytest.mark.parametrize(
    ("error", "errno"),
    [
        (DriverError(1045, "Access denied"), 1045),
        (ConnectorError("1045: Access denied"), 1045),
        (DriverError("no number"), None),
        (DriverError(), None),
        (ConnectionRefusedError(111, "refused"), None),
        (TimeoutError(), None),
    ],
)
def test_the_number_in_what_a_driver_raises(error: Exception, errno: int | None) -> None:
    assert errno_of(error) == errno


def test_an_error_says_where_and_what_and_why() -> None:
    error = DatabaseError.of(DriverError(1045, "Access  denied\nfor user"), "db:3306", "connecting")
    assert str(error) == "db:3306: connecting: error 1045: Access denied for user"
    assert error.access_denied
    assert not DatabaseError.of(TimeoutError(), "db", "asking").access_denied
    assert str(DatabaseError.of(TimeoutError(), "db", "asking")) == "db: asking: TimeoutError"


def test_an_error_is_not_wrapped_twice() -> None:
    error = DatabaseError("db", "asking", 1, "x")
    assert DatabaseError.of(error, "other", "doing else") is error


@pytest.mark.parametrize("password", ["hunter2", 'it\'s \\ "quoted"', "1' OR '1"])
def test_no_password_is_told(password: str) -> None:
    shown = password.replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"')
    near = f"syntax error near 'MASTER_PASSWORD = '{shown}', MASTER_USER' and {password}"
    error = DatabaseError.of(DriverError(1064, near), "db", "setting the source", [password, ""])
    assert password not in str(error)
    assert shown not in str(error)
    assert "***" in str(error)
    assert "MASTER_USER" in str(error)


@pytest.mark.parametrize(
    ("errno", "unanswered"),
    [(None, True), (2003, True), (2013, True), (1064, False), (3056, False), (13114, False)],
)
def test_what_a_server_answered_is_told_from_a_connection_that_failed(
    errno: int | None, unanswered: bool
) -> None:
    assert DatabaseError("db:3306", "asking", errno, "why").unanswered is unanswered
