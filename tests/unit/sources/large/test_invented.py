"""Pods that share their addresses with so many others that a wildcard record made them up."""

from __future__ import annotations

import tracemalloc

from peerdisco.sources.large.invented import MOST_AT_ONE_ADDRESS, InventedPods

WILDCARD = (b"\x0a\0\0\1", b"\x0a\0\0\2")


def name(number: int) -> bytes:
    return b"\x07db-%04d\0" % number


def test_as_many_as_run_on_a_node_may_share_an_address() -> None:
    invented = InventedPods()
    pods = {name(n): WILDCARD for n in range(MOST_AT_ONE_ADDRESS)}
    for pod, addresses in pods.items():
        invented.add(pod, addresses)
        invented.add(pod, addresses)
    assert invented.without(pods) is None


def test_more_are_left_out_in_any_order_of_their_addresses_and_no_others() -> None:
    invented = InventedPods()
    found = {name(n): WILDCARD[:: 1 if n % 2 else -1] for n in range(MOST_AT_ONE_ADDRESS + 1)}
    for pod, addresses in found.items():
        invented.add(pod, addresses)
    invented.add(name(8000), WILDCARD[:1])
    kept = {name(8000): WILDCARD[:1], name(9000): WILDCARD}
    assert invented.without(found | kept) == kept


def test_thousands_of_pods_with_an_address_each_take_little_memory() -> None:
    pods = {name(n): (n.to_bytes(4, "big"),) for n in range(5000)}
    tracemalloc.start()
    try:
        invented = InventedPods()
        for pod, addresses in pods.items():
            invented.add(pod, addresses)
        assert tracemalloc.get_traced_memory()[0] < 100 * len(pods)
    finally:
        tracemalloc.stop()
    assert invented.without(pods) is None
