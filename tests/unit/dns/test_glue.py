"""Address records whose order does not matter."""

from __future__ import annotations

from peerdisco.dns.glue import Glue

MESSAGE = bytes(12)


def test_an_answer_without_address_records_is_in_no_other_order() -> None:
    glue = Glue.of(MESSAGE, 12, 12, 20)
    assert glue == Glue(12, 12)
    assert glue.like_it_in(MESSAGE) is None
