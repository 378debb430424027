"""The pause between two attempts, for any number of failures."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from peerdisco.membership.machine import Membership
from peerdisco.membership.schedule import Schedule
from peerdisco.timing.backoff import Backoff

HUGE = (2**31 - 1, 2**63, 10**400)
counts = st.one_of(st.integers(1, 1_000_000), st.sampled_from(HUGE))
seconds = st.floats(1e-6, 1e9)
factors = st.floats(1.0, 2.0, exclude_min=True)


def test_it_grows_by_its_factor_up_to_its_limit() -> None:
    assert [Backoff(1, 10).after(n) for n in range(1, 7)] == [1, 2, 4, 8, 10, 10]
    assert [Backoff(2, 10, 1.5).after(n) for n in range(1, 7)] == [2, 3, 4.5, 6.75, 10, 10]


def test_a_first_pause_above_the_limit_is_the_limit() -> None:
    assert Backoff(60, 8).after(1) == 8


@settings(derandomize=True, deadline=None, max_examples=500)
@given(first=seconds, limit=seconds, factor=factors, failures=counts)
@example(first=1.0, limit=8.0, factor=2.0, failures=1024)
@example(first=1.0, limit=8.0, factor=2.0, failures=1025)
@example(first=1.0, limit=8.0, factor=1.5, failures=1751)
@example(first=5e-324, limit=1e308, factor=2.0, failures=10**400)
@example(first=1e308, limit=1e308, factor=2.0, failures=10**400)
def test_it_is_bounded_and_never_shrinks(
    first: float, limit: float, factor: float, failures: int
) -> None:
    backoff = Backoff(first, limit, factor)
    assert min(first, limit) <= backoff.after(failures) <= limit
    assert backoff.after(failures) <= backoff.after(failures + 1)


@pytest.mark.parametrize("factor", [1.5, 2.0])
@pytest.mark.parametrize("failures", [10_000, 1_000_000, *HUGE])
def test_after_many_failures_it_is_the_limit(factor: float, failures: int) -> None:
    assert Backoff(0.001, 30, factor).after(failures) == 30


@pytest.mark.parametrize("failures", [1024, 1025, 1026, 1_000_000, *HUGE])
@pytest.mark.parametrize("interval", [0.001, 2.0, 1e9])
def test_the_schedule_takes_any_number_of_failures(failures: int, interval: float) -> None:
    machine = Membership()
    machine.failures = failures
    assert Schedule(interval).wait(machine, 0.0, 0.5) == 8.0
