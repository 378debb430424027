"""What is particular to asking through c-ares; the rest is `tests/contract`."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest

import peerdisco
from peerdisco import sync
from peerdisco.cli import main
from peerdisco.dns import wire
from peerdisco.dns.aiodns_resolver import AiodnsResolver
from peerdisco.exceptions import ConfigurationError
from peerdisco.model import Outcome
from peerdisco.pod.environment import PodEnvironment
from peerdisco.pod.resolv_conf import parse_resolv_conf
from peerdisco.sources.options import LookupOptions
from peerdisco.sources.query import ServiceQuery
from peerdisco.testing import ClusterDNS

from ..scripted import Asked, InBatches, Serve, has_ipv6, says, silent

NAME = wire.name_from_text("db.shop.svc.cluster.local")


def soon(seconds: float = 30.0) -> float:
    return asyncio.get_running_loop().time() + seconds


# What the machine's resolv.conf says; RES_OPTIONS is its line of options.


async def test_the_machines_patience_rules(serve: Serve) -> None:
    first, second = await serve(silent), await serve(says("10.0.0.1"))
    servers = [str(server.endpoint) for server in (first, second)]
    conf = parse_resolv_conf("options timeout:3 attempts:1\n")
    options = LookupOptions(
        service="db.shop.svc.cluster.local", nameservers=servers, resolver="aiodns"
    )
    query = options.plan(PodEnvironment(resolv_conf=conf)).target
    assert isinstance(query, ServiceQuery)
    asking = query.make_resolver(query.nameservers)
    reply = await asking.ask(NAME, wire.A, deadline=soon(30))
    assert reply.outcome is Outcome.ANSWER
    assert reply.attempts[0].seconds > 2.5  # c-ares's own patience is 2 s


async def test_the_machines_rotation_does_not_rule(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RES_OPTIONS", "rotate")
    servers = [await serve(says("10.0.0.1")) for _ in range(2)]
    asking = AiodnsResolver([server.endpoint for server in servers])
    for _ in range(20):
        await asking.ask(NAME, wire.A, deadline=soon())
    assert [len(server.asked) for server in servers] == [20, 0]


async def test_the_machines_attempts_do_not_end_the_asking(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RES_OPTIONS", "attempts:1")

    def third_time(asked: Asked) -> None:
        if len(server.asked) == 3:
            asked.answer("10.0.0.1")

    server = await serve(third_time)
    asking = AiodnsResolver([server.endpoint], patience=0.25)
    reply = await asking.ask(NAME, wire.A, deadline=soon())
    assert reply.outcome is Outcome.ANSWER


async def test_a_failure_names_every_server(serve: Serve) -> None:
    servers = [await serve(says(rcode="REFUSED")) for _ in range(2)]
    asking = AiodnsResolver([server.endpoint for server in servers])
    reply = await asking.ask(NAME, wire.A, deadline=soon())
    assert {attempt.server for attempt in reply.attempts} == {str(s.endpoint) for s in servers}


@pytest.mark.parametrize("after", [0, 1, 64])
async def test_a_question_that_fails_at_once_is_unreachable(
    after: int, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """c-ares then raises an error of its own, instead of giving it to the future."""
    import aiodns
    import pycares

    real, sent = aiodns.DNSResolver.query_dns, 0

    def query_dns(cares: aiodns.DNSResolver, host: str, kind: str) -> Any:
        nonlocal sent
        sent += 1
        if sent > after:
            raise pycares.AresError(pycares.errno.ARES_ECONNREFUSED, "Could not contact servers")
        return real(cares, host, kind)

    monkeypatch.setattr(aiodns.DNSResolver, "query_dns", query_dns)
    server = await serve(silent if after else says("10.0.0.1"))
    asking = AiodnsResolver([server.endpoint])
    replies = await asking.ask_many([(NAME, wire.A)] * 80, deadline=soon(1), tcp=True)
    assert [reply.outcome for reply in replies] == [Outcome.UNREACHABLE] * 80
    await asking.aclose()


async def test_at_most_so_many_questions_are_out_at_a_time(serve: Serve) -> None:
    script = InBatches(3)
    server = await serve(script)
    asking = AiodnsResolver([server.endpoint], patience=10)
    replies = await asking.ask_many([(NAME, wire.A)] * 12, deadline=soon(), at_once=3)
    assert [reply.outcome for reply in replies] == [Outcome.ANSWER] * 12
    assert script.most == 3


# Choosing it.


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> ClusterDNS:
    """A service of three, to be queried from this process."""
    server = ClusterDNS()
    server.statefulset("mysql", service="db")
    return server


WRONG = "got 'unbound', expected 'builtin' or 'aiodns'"


async def test_it_is_chosen_by_an_argument(dns: ClusterDNS) -> None:
    async with dns:
        servers = [dns.nameserver]
        for name in ("builtin", "aiodns"):
            snapshot = await peerdisco.discover(
                "db.default.svc.cluster.local", nameservers=servers, resolver=name
            )
            assert [str(peer) for peer in snapshot] == ["mysql-0", "mysql-1", "mysql-2"]
        with pytest.raises(ConfigurationError, match=f"^resolver: {WRONG}$"):
            await peerdisco.discover("db.x.svc.y", nameservers=servers, resolver="unbound")
        with pytest.raises(ConfigurationError, match=f"^resolver: {WRONG}$"):
            peerdisco.Discovery("db.x.svc.y", nameservers=servers, resolver="unbound")


async def test_a_watcher_that_chose_it_sees_what_happens(dns: ClusterDNS) -> None:
    async with (
        dns,
        peerdisco.Discovery(
            "db.default.svc.cluster.local",
            nameservers=[dns.nameserver],
            resolver="aiodns",
            interval=0.05,
            min_interval=0.02,
        ) as disco,
    ):
        await disco.wait(3, timeout=30)
        dns.statefulset("other", service="db", replicas=2)
        assert len(await disco.wait(5, timeout=30)) == 5


def test_it_is_chosen_for_code_that_blocks(
    dns: ClusterDNS, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dns:
        for name, value in dns.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PEERDISCO_RESOLVER", "aiodns")
        assert len(sync.discover("db")) == 3
        with sync.Discovery("db", resolver="aiodns") as disco:
            assert len(disco.wait(3, timeout=30)) == 3
        monkeypatch.setenv("PEERDISCO_RESOLVER", "unbound")
        with pytest.raises(ConfigurationError, match=f"^PEERDISCO_RESOLVER: {WRONG}$"):
            sync.discover("db")
        assert len(sync.discover("db", resolver="builtin")) == 3


@pytest.mark.parametrize("command", ["peers", "primary"])
def test_it_is_chosen_by_an_option(
    dns: ClusterDNS,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    with dns:
        for name, value in dns.environment.items():
            monkeypatch.setenv(name, value)
        assert main([command, "db", "--resolver", "aiodns"]) == 0
        assert "mysql-0" in capsys.readouterr().out
        assert main([command, "db", "--resolver", "unbound"]) == 2
        assert capsys.readouterr().err == f"peerdisco: resolver: {WRONG}\n"


async def test_it_has_no_place_beside_a_list(dns: ClusterDNS) -> None:
    with pytest.raises(ConfigurationError, match="expected no resolver with a static source"):
        await peerdisco.discover("db.x.svc.y", source="static:db-0=10.0.0.1", resolver="aiodns")


WITHOUT = """
import sys
{setup}
import peerdisco
try:
    peerdisco.sync.discover("db.default.svc.cluster.local", nameservers=["127.0.0.1"],
                            resolver="aiodns", timeout=1)
except peerdisco.ConfigurationError as error:
    print(error)
"""
MISSING = {
    "missing": ("sys.modules['aiodns'] = None", "aiodns"),
    "too old": (
        "import pycares; pycares.__version__ = '5.1.0'",
        "(pycares 5.1.0 is older than 5.2.1)",
    ),
}


@pytest.mark.parametrize("case", MISSING)
def test_without_the_package_the_error_says_what_to_install(case: str) -> None:
    setup, why = MISSING[case]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(setup=setup)],
        check=True,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.stdout.startswith(
        "resolver: got 'aiodns', expected 'builtin', or the package installed: "
        "pip install 'peerdisco[aiodns]' ("
    )
    assert why in done.stdout
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


@pytest.mark.skipif(
    not has_ipv6(),
    reason="this machine has no IPv6 loopback: sysctl net.ipv6.conf.lo.disable_ipv6=0",
)
async def test_name_servers_on_ipv6_are_asked(dns: ClusterDNS) -> None:
    async with ClusterDNS(dns.cluster, host="::1") as server:
        snapshot = await peerdisco.discover(
            "db.default.svc.cluster.local", nameservers=[server.nameserver], resolver="aiodns"
        )
        assert len(snapshot) == 3
