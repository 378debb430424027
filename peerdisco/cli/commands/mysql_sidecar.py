"""``peerdisco mysql-sidecar``: keep the server in this pod the primary or a replica."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ...exceptions import ConfigurationError, IdentityError
from ...names import parse_endpoint
from ...wording.foreign import escaped
from ..exit_status import OK, Ended
from ..mysql_accounts import (
    account_of,
    add_account,
    add_source_trust,
    add_trust,
    required,
    source_trust_of,
    trust_of,
)
from ..mysql_options import PORT, add_replicas, port_of, replicas_of
from ..options import add_service, port, seconds
from ..progress import SAID_AGAIN, print_line, progress
from ..signals import run_until_signal
from ..telemetry import add_logs, logs
from ..watching import add_polling, open_discovery

if TYPE_CHECKING:
    from ...model import Identity
    from ...mysql.durability import Durability
    from ...mysql.setup import Account
    from ...mysql.sidecar.peers import Connect
    from ...mysql.sidecar.report import Report
    from ...names import Endpoint

SUMMARY = "keep the MySQL or MariaDB server in this pod the primary or a replica"
DESCRIPTION = """\
Runs beside a server in each pod of a StatefulSet. In the pod of ordinal 0 (or of --ordinal) it
opens the server for writes, after it has checked that the name belongs to this pod and that the
data belong to the cluster. In the other pods it keeps the server read-only and replicating from
ordinal 0, by its name. When the primary comes back with another address, replicas reconnect at
once. If an action could lose data, the sidecar refuses it and reports why. There is no failover:
while ordinal 0 is absent there is no primary.

An empty ordinal 0 creates a new database only if no peer holds data, and either all --replicas pods
answer that they are empty too, or --first-start is given.

/healthz reports whether the sidecar makes progress, /readyz whether clients may use the server
(role, state, lag and verdict in JSON), /metrics the same for Prometheus, / the same for people."""
EPILOG = """\
exit status:
  0  ended by a signal; the server keeps its state
  2  a usage error

It reports each change of its state in a line on stderr. 'peerdisco mysql-setup' prints the
configuration and the accounts that it needs. Install it with: pip install 'peerdisco[mysql]'

example:
  peerdisco mysql-sidecar my-database --replicas 3 --password-file /run/secrets/local \\
    --replication-password-file /run/secrets/replication
"""
_ORDINAL_FILE_VARIABLE = "PEERDISCO_MYSQL_PRIMARY_ORDINAL_FILE"
_DURABILITY_VARIABLE = "PEERDISCO_MYSQL_DURABILITY"
LISTEN_PORT = 8080
MAX_LAG = 30.0
MAX_STALENESS = 3600.0
HEARTBEAT = 1.0
INTERVAL = 1.0
"""Seconds between two lookups, so that replicas follow a new address of the primary within two."""


def configure(parser: argparse.ArgumentParser) -> None:
    add_service(parser)
    server = parser.add_argument_group("the server in this pod")
    server.add_argument(
        "--host",
        metavar="IP",
        help="its address (default: PEERDISCO_MYSQL_HOST, else 127.0.0.1). Prefer it to the "
        "socket, where the official images run a temporary server during initialisation",
    )
    server.add_argument(
        "--port",
        metavar="N",
        type=port,
        help=f"its port, and the port of peers for which DNS has none (default: "
        f"PEERDISCO_MYSQL_PORT, else {PORT})",
    )
    server.add_argument(
        "--socket", metavar="PATH", help="its Unix socket instead (default: PEERDISCO_MYSQL_SOCKET)"
    )
    add_account(server, "", "its account for the sidecar")
    peers = parser.add_argument_group("the peers' servers")
    add_account(peers, "replication", "the account for replication and probes")
    add_trust(peers)
    add_source_trust(peers)
    start = parser.add_argument_group("the first start")
    add_replicas(start)
    start.add_argument(
        "--first-start",
        action="store_true",
        default=None,
        help="this is the first start, even if peers do not answer "
        "(default: PEERDISCO_MYSQL_FIRST_START=1)",
    )
    parser.add_argument_group("the primary").add_argument(
        "--primary-ordinal-file",
        metavar="FILE",
        help="a file with the ordinal of the primary, instead of --ordinal; when it changes, the "
        "role moves to that pod as soon as it has everything "
        f"(default: {_ORDINAL_FILE_VARIABLE})",
    )
    parser.add_argument_group("durability").add_argument(
        "--durability",
        choices=("asynchronous", "semi-sync"),
        help="when the primary acknowledges a transaction; semi-sync refuses to open a server that "
        f"is not configured for it (default: {_DURABILITY_VARIABLE}, else what the server's "
        "configuration says)",
    )
    health = parser.add_argument_group("health")
    health.add_argument(
        "--listen",
        metavar="[IP:]PORT",
        help=f"the address of /healthz, /readyz and /metrics; port 0 for any free port "
        f"(default: PEERDISCO_MYSQL_LISTEN, else {LISTEN_PORT})",
    )
    health.add_argument(
        "--max-lag",
        metavar="SECONDS",
        type=seconds,
        default=MAX_LAG,
        help="the largest lag of a replica that is ready (default: %(default)g)",
    )
    health.add_argument(
        "--max-staleness",
        metavar="SECONDS",
        type=seconds,
        default=MAX_STALENESS,
        help="how old the data of a ready replica may be while the primary does not answer "
        "(default: %(default)g)",
    )
    health.add_argument(
        "--heartbeat",
        metavar="SECONDS",
        type=seconds,
        default=HEARTBEAT,
        help="how often the open primary renews the row from which the lag of the replicas follows "
        "(default: %(default)g)",
    )
    maintenance = parser.add_argument_group("maintenance")
    maintenance.add_argument(
        "--pause-file",
        metavar="PATH",
        help="while this file exists, only observe and report, and change nothing "
        "(default: PEERDISCO_MYSQL_PAUSE_FILE)",
    )
    add_polling(parser, INTERVAL)
    add_logs(parser.add_argument_group("log"))


def run(args: argparse.Namespace) -> int:
    with contextlib.suppress(Ended):
        run_until_signal(_run(args))
    return OK


async def _run(args: argparse.Namespace) -> None:
    from ...mysql.sidecar.health import HealthServer  # noqa: PLC0415 - not needed for --help
    from ...mysql.sidecar.sidecar import Sidecar, SidecarOptions  # noqa: PLC0415

    me = await _identity(args)
    args.statefulset = me.statefulset
    if args.interval is None and not os.environ.get("PEERDISCO_INTERVAL"):
        args.interval = INTERVAL
    ordinal_file = args.primary_ordinal_file or os.environ.get(_ORDINAL_FILE_VARIABLE)
    pause_file = args.pause_file or os.environ.get("PEERDISCO_MYSQL_PAUSE_FILE")
    options = SidecarOptions(
        local=required(account_of(args, ""), ""),
        # A password of the peers' account that cannot be used is reported, and ends nothing.
        replication=required(account_of(args, "replication", check=False), "replication"),
        port=port_of(args),
        expected=replicas_of(args),
        first_start=_first_start(args),
        durability=_durability(args),
        trust=source_trust_of(args),
        pause_file=Path(pause_file) if pause_file else None,
        heartbeat=args.heartbeat,
        primary_ordinal_file=Path(ordinal_file) if ordinal_file else None,
    )
    listen = _listen(args.listen)
    connect = _connect(args, options.port, me)
    report = _log if logs(args) else _print
    async with open_discovery(args, timeout=args.timeout, identity=me) as disco:
        sidecar = Sidecar(
            disco, me, connect, options, first_ordinal=args.ordinal, on_report=_reporter(report)
        )
        limits = (args.max_lag, args.max_staleness)
        with HealthServer(sidecar, listen, sidecar.clock.now, *limits) as health:
            report(logging.INFO, f"listening on {health.listening}")
            words = _start_in_words(lambda: sidecar.report)
            async with progress(
                words, log=lambda line: report(logging.INFO, f"still starting: {line}")
            ):
                await sidecar.run()


async def _identity(args: argparse.Namespace) -> Identity:
    from ...pod.environment import wait_for_pod_environment  # noqa: PLC0415 - not for --help
    from ...pod.identity import local_identity  # noqa: PLC0415 - not needed for --help

    me = local_identity(
        service=args.service,
        namespace=args.namespace,
        cluster_domain=args.cluster_domain,
        pod_environment=await wait_for_pod_environment(),
    )
    if me.ordinal is None:
        raise IdentityError(
            "ordinal", (f"the pod's name, {me.pod_name}",), "run it in a pod of a StatefulSet"
        )
    if args.statefulset not in (None, me.statefulset):
        raise ConfigurationError(
            "--statefulset", args.statefulset, f"this pod's own, {me.statefulset}"
        )
    return me


def _connect(args: argparse.Namespace, default_port: int, me: Identity) -> Connect:
    from ...mysql.aiomysql import Connection, connect  # noqa: PLC0415 - not needed for --help

    socket = args.socket or os.environ.get("PEERDISCO_MYSQL_SOCKET") or None
    host = args.host or os.environ.get("PEERDISCO_MYSQL_HOST") or "127.0.0.1"
    what = "--host" if args.host else "PEERDISCO_MYSQL_HOST"
    own = parse_endpoint(host, what, default_port=default_port)
    trust = trust_of(args)
    own_addresses = {str(address) for address in me.addresses}

    async def to(where: Endpoint | None, account: Account) -> Connection:
        if where is None:
            return await connect(
                account,
                host=own.address,
                port=own.port,
                socket=socket,
                own_server=True,
                tls_if_required=True,
            )
        return await connect(
            account,
            host=where.address,
            port=where.port,
            own_server=where.address in own_addresses,
            server_public_key=trust.server_public_key,
            tls=trust.tls,
            tls_server_name=trust.tls_server_name,
        )

    return to


def _durability(args: argparse.Namespace) -> Durability | None:
    from ...mysql.durability import Durability  # noqa: PLC0415 - not needed for --help

    text = args.durability or os.environ.get(_DURABILITY_VARIABLE)
    if not text:
        return None
    try:
        return Durability(text)
    except ValueError:
        expected = "asynchronous or semi-sync"
        raise ConfigurationError(_DURABILITY_VARIABLE, text, expected) from None


def _first_start(args: argparse.Namespace) -> bool:
    if args.first_start is not None:
        return bool(args.first_start)
    text = os.environ.get("PEERDISCO_MYSQL_FIRST_START", "")
    if text not in ("", "0", "1"):
        raise ConfigurationError("PEERDISCO_MYSQL_FIRST_START", text, "1, 0, or nothing")
    return text == "1"


def _listen(given: str | None) -> Endpoint:
    from ...names import Endpoint  # noqa: PLC0415 - not needed for --help

    text = given or os.environ.get("PEERDISCO_MYSQL_LISTEN") or str(LISTEN_PORT)
    what = "--listen" if given else "PEERDISCO_MYSQL_LISTEN"
    host, _, number = text.rpartition(":")
    if number == "0":
        # parse_endpoint refuses port 0, because it is valid only for listening.
        return Endpoint(parse_endpoint(host or "0.0.0.0", what, default_port=1).address, 0)  # noqa: S104
    return parse_endpoint(f"{host or '0.0.0.0'}:{number}", what, default_port=LISTEN_PORT)  # noqa: S104


def _reporter(write: Callable[[int, str], None]) -> Callable[[Report], None]:
    """Writes each report, and each problem when it appears and when it is over."""
    known: set[tuple[str, str | None]] = set()

    def report_state(report: Report) -> None:
        done = f" (done: {', '.join(report.done)})" if report.done else ""
        paused = " (paused)" if report.paused else ""
        level = logging.ERROR if report.state.value in _SERIOUS else logging.INFO
        write(level, f"{report.state.value}: {_one_line(report.reason)}{done}{paused}")
        now = {(problem.code.value, problem.peer) for problem in report.problems}
        for problem in report.problems:
            if (problem.code.value, problem.peer) not in known:
                text = f"warning ({problem.code.value}): {_one_line(problem.detail)}"
                write(logging.WARNING, text)
        for code, peer in sorted(known - now, key=str):
            write(logging.INFO, f"resolved ({code}){f': {peer}' if peer else ''}")
        known.clear()
        known.update(now)

    return report_state


def _start_in_words(read: Callable[[], Report]) -> Callable[[float], str | None]:
    """What the start waits for, until the server has its role or an operator has to act.

    Args:
        read: Returns the newest report.
    """

    def words(seconds: float) -> str | None:
        report = read()
        if report.state.value == "starting":
            return f"this pod's server and the peers are read, {seconds:.0f} s"
        if report.state.value in _STARTED:
            return None
        if seconds < SAID_AGAIN:
            return ""  # its first line has just been written
        return f"{report.state.value}: {_one_line(report.reason)}, {seconds:.0f} s"

    return words


def _one_line(text: str) -> str:
    return escaped(" ".join(text.split()))


_SERIOUS = ("refused", "fenced", "failed", "access-denied")
"""The states in which an operator has to act."""

_STARTED = ("primary", "replica", "refused", "fenced")
"""The states in which the start waits for nothing."""


def _print(_level: int, line: str) -> None:
    print_line(line)


def _log(level: int, line: str) -> None:
    logging.getLogger("peerdisco.mysql").log(level, "%s", line)
