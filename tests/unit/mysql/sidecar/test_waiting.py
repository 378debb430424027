"""A sidecar that waits for hours, on a clock that is moved."""

from __future__ import annotations

import asyncio

import pytest

from peerdisco import Discovery
from peerdisco.mysql.errors import DatabaseError
from peerdisco.mysql.setup import Account
from peerdisco.mysql.sidecar.peers import Connection
from peerdisco.mysql.sidecar.report import State
from peerdisco.mysql.sidecar.sidecar import Sidecar, SidecarOptions
from peerdisco.names import Endpoint
from peerdisco.testing import peers
from tests.unit.mysql.sidecar.test_sidecar import FIRST, Pods

from ..servers import Server, ServerError

DAY = 86_400.0
HOURS = 4 * 3600.0
INTERVAL = 20.0


def account() -> Account:
    return Account("local", "secret")


@pytest.mark.timeout(300)
async def test_hours_without_a_server_and_then_it_is_there() -> None:
    pods = Pods(0)
    pods.servers[FIRST] = ServerError(2003, "Connection refused")
    async with Discovery(
        source=pods.source, clock=pods.clock, identity=pods.identity, interval=INTERVAL
    ) as disco:
        options = SidecarOptions(account, account, expected=3, interval=INTERVAL)
        sidecar = Sidecar(disco, pods.identity, pods.connect, options, clock=pods.clock)
        running = asyncio.create_task(sidecar.run())
        try:
            await pods.clock.advance(HOURS)
            assert not running.done()
            assert sidecar.report.state is State.NO_SERVER
            assert HOURS / INTERVAL <= sidecar.passes <= HOURS / INTERVAL + 20
            assert pods.clock.now() - sidecar.last_pass_at <= INTERVAL

            pods.servers[FIRST] = Server(server_id=100)
            await pods.clock.advance(
                2 * INTERVAL, until=lambda: sidecar.report.state is State.PRIMARY
            )
            assert sidecar.report.state is State.PRIMARY
        finally:
            running.cancel()
            await asyncio.wait({running})


async def test_a_change_ends_the_pause() -> None:
    pods = Pods(1)
    async with Discovery(source=pods.source, clock=pods.clock, identity=pods.identity) as disco:
        options = SidecarOptions(account, account, interval=DAY, retry_interval=DAY)
        sidecar = Sidecar(disco, pods.identity, pods.connect, options, clock=pods.clock)
        running = asyncio.create_task(sidecar.run())
        try:
            await pods.clock.advance(10)
            lookups = sidecar.passes
            assert pods.clock.now() == 10
            pods.source.then(peers(ordinals=4))
            await pods.clock.advance(60, until=lambda: sidecar.passes > lookups)
            assert sidecar.passes > lookups
        finally:
            running.cancel()
            await asyncio.wait({running})


async def test_the_account_of_the_peers_logs_in_again_and_again() -> None:
    """FLUSH PRIVILEGES makes a server forget who may log in without sending the password."""

    class Counting(Pods):
        logins = 0
        full = False

        async def connect(self, where: Endpoint | None, account: Account) -> Connection:
            if where is not None and where.address == FIRST:
                self.logins += 1
                if self.full and self.logins > 1:
                    raise DatabaseError(FIRST, "connecting", 1040, "Too many connections")
            return await super().connect(where, account)

    for full in (False, True):
        pods = Counting(0)
        pods.full = full
        async with Discovery(
            source=pods.source, clock=pods.clock, identity=pods.identity, interval=INTERVAL
        ) as disco:
            options = SidecarOptions(account, account, expected=3, interval=INTERVAL)
            sidecar = Sidecar(disco, pods.identity, pods.connect, options, clock=pods.clock)
            running = asyncio.create_task(sidecar.run())
            try:
                await pods.clock.advance(600)
                assert sidecar.report.state is State.PRIMARY
                # A login that fails is repeated sooner.
                assert (pods.logins > 11) if full else (8 <= pods.logins <= 11)
            finally:
                running.cancel()
                await asyncio.wait({running})
