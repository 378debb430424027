"""The names of PTR records, against dnspython."""

from __future__ import annotations

from ipaddress import ip_address

import dns.reversename
import pytest

from peerdisco.dns import wire


@pytest.mark.parametrize("address", ["10.244.0.3", "255.0.1.9", "fd00:10:244::1f", "::1"])
def test_a_reverse_name_is_that_of_the_address(address: str) -> None:
    expected = dns.reversename.from_address(address).to_wire()
    assert wire.reverse_name(ip_address(address).packed) == expected
