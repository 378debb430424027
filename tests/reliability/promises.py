"""The promises of ``docs/explanation/promises.md``, and the tests that hold each."""

from __future__ import annotations

__all__ = ["PROMISES"]

PROMISES = {
    "A failure is never a departure.": (
        "tests/simulation/test_guarantees.py::test_nobody_leaves_who_stays",
        "tests/watching/test_long_outage.py::test_a_day_of_servfail",
        "tests/unit/dns/test_evidence.py::test_what_a_reply_proves",
        "tests/contract/test_headless_dns.py",
        "tests/scenarios/test_promises.py",
    ),
    "No flapping.": (
        "tests/simulation/test_guarantees.py::test_guarantees_hold_whatever_happens",
        "tests/scenarios/test_scenarios.py::test_machine",
        "tests/simulation/test_guarantees.py::test_bounds_are_those_that_are_promised",
    ),
    "Complete, or marked incomplete.": (
        "tests/contract/test_headless_dns.py",
        "tests/watching/test_published.py",
        "tests/watching/test_unconfirmed.py",
        "tests/large",
    ),
    "Ordinal 0 is a name, not a lock.": (
        "tests/unit/primary/test_verdicts.py",
        "tests/unit/primary/test_recorded_verdicts.py::test_the_verdicts_are_as_recorded",
        "tests/mysql/test_refusals.py",
    ),
    "Nothing hidden.": (
        "tests/cancellation",
        "tests/watching/test_forks.py",
        "tests/watching/test_failed_source.py",
    ),
    "Untrusted names stay data.": (
        "tests/fuzz/test_fuzz.py::test_inputs_are_read_or_refused_as_documented",
        "tests/unit/dns/test_hostile_servers.py",
        "tests/unit/mysql/test_impostor.py",
    ),
    "A status means one thing.": ("tests/cli/test_streams.py::test_the_status_of_every_command",),
}
