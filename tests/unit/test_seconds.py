"""Every number of seconds that a user can give: what is none is refused where it is given."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

import peerdisco
import peerdisco.sync
from peerdisco.cli import main
from peerdisco.hooks import CommandHook, HookRunner
from peerdisco.membership.rules import ConfirmationRules
from peerdisco.membership.schedule import Schedule
from peerdisco.mysql.aiomysql import connect
from peerdisco.mysql.setup import Account
from peerdisco.mysql.sidecar.health import HealthServer
from peerdisco.mysql.sidecar.sidecar import SidecarOptions
from peerdisco.names import MAX_SECONDS, Endpoint, parse_seconds
from peerdisco.testing import ClusterDNS, ManualClock, ScriptedSource, failure, peers
from peerdisco.testing import no_data as no_data_
from peerdisco.testing import nxdomain as nxdomain_

NEVER_RIGHT = {
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
    "negative": -1.0,
    "just below zero": -5e-324,
    "1e308": 1e308,
    "above the limit": math.nextafter(MAX_SECONDS, math.inf),
    "a huge integer": 10**5000,
    "True": True,
    "False": False,
    "text": "5",
    "bytes": b"5",
    "a list": [5],
    "a complex number": 5j,
    "Decimal": Decimal(5),
}


def source() -> ScriptedSource:
    return ScriptedSource("db", [peers("mysql", 1)])


async def waiting(**options: Any) -> None:
    async with peerdisco.Discovery(source=source()) as disco:
        await disco.wait(1, **options)


def blocking_wait(**options: Any) -> None:
    with peerdisco.sync.Discovery(source=source()) as disco:
        disco.wait(1, **options)


def runner(**options: Any) -> HookRunner:
    return HookRunner(peerdisco.Discovery(source=source()), on_change=print, **options)


def account() -> Account:
    return Account("user", "password")


async def advance(seconds: Any) -> None:
    await ManualClock().advance(seconds)


async def probing(timeout: Any) -> None:
    await peerdisco.probe_peers([], _no_probe, timeout=timeout)


async def _no_probe(peer: peerdisco.Peer) -> peerdisco.Probe:
    raise AssertionError(peer)


async def connecting(timeout: Any) -> None:
    await connect(account(), timeout=timeout)


def serving(max_lag: Any) -> None:
    HealthServer(None, Endpoint("127.0.0.1", 0), float, max_lag)  # type: ignore[arg-type]


ABOVE_ZERO: dict[str, Callable[[Any], Any]] = {
    "discover(timeout)": lambda s: peerdisco.discover(source=source(), timeout=s),
    "Discovery(timeout)": lambda s: peerdisco.Discovery(source=source(), timeout=s),
    "Discovery(interval)": lambda s: peerdisco.Discovery(source=source(), interval=s),
    "Discovery(min_interval)": lambda s: peerdisco.Discovery(source=source(), min_interval=s),
    "Discovery(leave_after)": lambda s: peerdisco.Discovery(source=source(), leave_after=s),
    "sync.discover(timeout)": lambda s: peerdisco.sync.discover(source=source(), timeout=s),
    "sync.Discovery(timeout)": lambda s: peerdisco.sync.Discovery(source=source(), timeout=s),
    "CommandHook(timeout)": lambda s: CommandHook(["true"], timeout=s),
    "CommandHook(grace)": lambda s: CommandHook(["true"], grace=s),
    "CommandHook.parse(timeout)": lambda s: CommandHook.parse("true", timeout=s),
    "CommandHook.parse(grace)": lambda s: CommandHook.parse("true", grace=s),
    "HookRunner(backoff)": lambda s: runner(backoff=s),
    "HookRunner(max_backoff)": lambda s: runner(max_backoff=s),
    "probe_peers(timeout)": probing,
    "aiomysql.connect(timeout)": connecting,
    "SidecarOptions(interval)": lambda s: SidecarOptions(account, account, interval=s),
    "SidecarOptions(retry_interval)": lambda s: SidecarOptions(account, account, retry_interval=s),
    "SidecarOptions(probe_timeout)": lambda s: SidecarOptions(account, account, probe_timeout=s),
    "ConfirmationRules(interval)": lambda s: ConfirmationRules(interval=s),
    "ConfirmationRules(leave_after)": lambda s: ConfirmationRules(leave_after=s),
    "Schedule(interval)": lambda s: Schedule(interval=s),
    "Schedule(min_interval)": lambda s: Schedule(min_interval=s),
    "Schedule(max_backoff)": lambda s: Schedule(max_backoff=s),
    "ClusterDNS(idle_timeout)": lambda s: ClusterDNS(idle_timeout=s),
}

FROM_ZERO: dict[str, Callable[[Any], Any]] = {
    "Discovery.wait(timeout)": lambda s: waiting(timeout=s),
    "Discovery.wait(stable_for)": lambda s: waiting(stable_for=s),
    "sync.Discovery.wait(timeout)": lambda s: blocking_wait(timeout=s),
    "sync.Discovery.wait(stable_for)": lambda s: blocking_wait(stable_for=s),
    "HealthServer(max_lag)": serving,
    "ManualClock.advance": advance,
    "ClusterDNS.delay": lambda s: ClusterDNS().delay(s),
    "peers(ttl)": lambda s: peers(ttl=s),
    "nxdomain(ttl)": lambda s: nxdomain_(ttl=s),
    "no_data(ttl)": lambda s: no_data_(ttl=s),
    "failure(seconds)": lambda s: failure(seconds=s),
}


def call(use: Callable[[Any], Any], seconds: Any) -> None:
    result = use(seconds)
    if inspect.isawaitable(result):
        asyncio.run(_awaited(result))


async def _awaited(work: Any) -> None:
    async with asyncio.timeout(20):
        await work


@pytest.mark.parametrize("seconds", NEVER_RIGHT.values(), ids=NEVER_RIGHT)
@pytest.mark.parametrize("name", [*ABOVE_ZERO, *FROM_ZERO])
def test_what_is_no_number_of_seconds_is_refused(name: str, seconds: Any) -> None:
    with pytest.raises(peerdisco.ConfigurationError, match="expected a number of seconds") as error:
        call({**ABOVE_ZERO, **FROM_ZERO}[name], seconds)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("use", ABOVE_ZERO.values(), ids=ABOVE_ZERO)
def test_zero_is_refused_where_it_means_nothing(use: Callable[[Any], Any]) -> None:
    with pytest.raises(peerdisco.ConfigurationError, match="expected a number of seconds above 0"):
        call(use, 0)


@pytest.mark.parametrize(
    "name",
    [
        "discover(timeout)",
        "Discovery.wait(timeout)",
        "sync.Discovery.wait(timeout)",
        "probe_peers(timeout)",
        "ManualClock.advance",
    ],
)
def test_the_longest_time_is_taken(name: str) -> None:
    """Nothing overflows: no timer, no lock, no date."""
    call({**ABOVE_ZERO, **FROM_ZERO}[name], MAX_SECONDS)


def test_every_parameter_of_seconds_is_in_the_table() -> None:
    """A new one of the API's own classes and functions has to be added above."""
    times = {"timeout", "stable_for", "interval", "min_interval", "leave_after", "grace"}
    times |= {
        "backoff",
        "max_backoff",
        "retry_interval",
        "probe_timeout",
        "max_lag",
        "idle_timeout",
    }
    uses: list[tuple[str, Any]] = [
        ("discover", peerdisco.discover),
        ("Discovery", peerdisco.Discovery),
        ("Discovery.wait", peerdisco.Discovery.wait),
        ("sync.Discovery.wait", peerdisco.sync.Discovery.wait),
        ("CommandHook", CommandHook),
        ("CommandHook.parse", CommandHook.parse),
        ("HookRunner", HookRunner),
        ("probe_peers", peerdisco.probe_peers),
        ("aiomysql.connect", connect),
        ("SidecarOptions", SidecarOptions),
        ("HealthServer", HealthServer),
        ("ConfirmationRules", ConfirmationRules),
        ("Schedule", Schedule),
        ("ClusterDNS", ClusterDNS),
    ]
    known = {*ABOVE_ZERO, *FROM_ZERO}
    for name, use in uses:
        for parameter in inspect.signature(use).parameters:
            if parameter in times:
                assert f"{name}({parameter})" in known


@pytest.mark.parametrize("seconds", [1, 0.5, 5e-324, MAX_SECONDS, 10**9, Fraction(1, 2)], ids=repr)
def test_numbers_of_any_kind(seconds: Any) -> None:
    assert parse_seconds(seconds, "timeout") == seconds


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "Infinity", "1e309", "-1", "0", "x", ""])
def test_text_of_a_variable(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(peerdisco.ConfigurationError, match="expected a number of seconds above 0"):
        parse_seconds(text, "PEERDISCO_INTERVAL", text=True)
    if text:
        monkeypatch.setenv("PEERDISCO_INTERVAL", text)
        with pytest.raises(peerdisco.ConfigurationError, match="PEERDISCO_INTERVAL"):
            peerdisco.Discovery(source=source())


OPTIONS = [
    ("peers", "--timeout"),
    ("primary", "--timeout"),
    ("wait", "--timeout"),
    ("wait", "--stable-for"),
    ("wait", "--interval"),
    ("watch", "--timeout"),
    ("watch", "--interval"),
    ("watch", "--leave-after"),
    ("run", "--timeout"),
    ("run", "--interval"),
    ("run", "--hook-timeout"),
    ("mysql-sidecar", "--timeout"),
    ("mysql-sidecar", "--max-lag"),
    ("simulate", "--seconds"),
    ("simulate", "--speed"),
]


@pytest.mark.parametrize("text", ["nan", "inf", "1e308", "-1"])
@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_text_of_an_option(
    command: str, option: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, f"{option}={text}"]) == 2
    assert f"got '{text}', expected a number of seconds" in capsys.readouterr().err
