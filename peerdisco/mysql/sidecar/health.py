"""One small HTTP port: whether the sidecar is alive, whether the server is ready, and metrics.

The standard library's server, on a thread of its own, so that it answers while the event loop is
busy, and says so when the loop has stopped moving.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ...exceptions import ConfigurationError
from ...names import Endpoint, parse_seconds
from .report import ProblemCode, Role, State
from .sidecar import Sidecar

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ["HealthServer"]

STUCK_AFTER = 30.0
"""Seconds without a finished pass after which the sidecar counts as stuck. A pass queries a few
servers at the same time and gives up on each within seconds."""

_STOPPED_FOR = 2.0
"""Seconds without a turn of the server's own thread, which has two a second, that show that the
whole process did not run."""

_REQUEST_TIMEOUT = 5.0


class HealthServer:
    """Serves ``/healthz``, ``/readyz`` and ``/metrics`` for as long as its block lasts.

    Args:
        sidecar: The sidecar that it reports on.
        listen: Where; port 0 for any that is free.
        now: The time of the sidecar's clock, from any thread.
        max_lag: How many seconds a replica may be behind and still be ready.

    Raises:
        ConfigurationError: It cannot listen there, or the lag is no number of seconds.
    """

    def __init__(
        self, sidecar: Sidecar, listen: Endpoint, now: Callable[[], float], max_lag: float
    ) -> None:
        self._sidecar = sidecar
        self._now = now
        self._max_lag = parse_seconds(max_lag, "max_lag", zero=True)
        health = self

        class Handler(_Handler):
            def answer(self, path: str) -> tuple[HTTPStatus, str, bytes] | None:
                return health.answer(path)

        server = _ServerV6 if ":" in listen.address else _Server
        try:
            self._server = server((listen.address, listen.port), Handler)
        except OSError as error:
            raise ConfigurationError(
                "--listen", str(listen), f"an address to listen on ({error.strerror})"
            ) from None
        self._server.daemon_threads = True
        self._beat_at = time.monotonic()
        self._resumed_at = float("-inf")
        self._server.service_actions = self._beat  # type: ignore[method-assign]
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="peerdisco health", daemon=True
        )
        self.listening = Endpoint(listen.address, self._server.server_address[1])
        """Where it listens."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _beat(self) -> None:
        """Notice, several times a second, that this thread did not run: the process was stopped.

        What the sidecar could not do meanwhile says nothing of it.
        """
        beat = time.monotonic()
        if beat - self._beat_at > _STOPPED_FOR:
            self._resumed_at = self._now()
        self._beat_at = beat

    def answer(self, path: str) -> tuple[HTTPStatus, str, bytes] | None:
        """Status, content type and body for a path; None for one that there is not."""
        if path == "/healthz":
            self._beat()
            quiet = self._now() - max(self._sidecar.last_pass_at, self._resumed_at)
            alive = quiet < STUCK_AFTER
            status = HTTPStatus.OK if alive else HTTPStatus.SERVICE_UNAVAILABLE
            text = "ok" if alive else f"no pass has ended for {quiet:.0f} s"
            return status, "text/plain; charset=utf-8", f"{text}\n".encode()
        if path == "/readyz":
            report = self._sidecar.report
            ready = report.ready(self._max_lag)
            status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
            body = json.dumps(report.as_json(self._max_lag), indent=2)
            return status, "application/json", f"{body}\n".encode()
        if path == "/metrics":
            return HTTPStatus.OK, *self._metrics()
        return None

    def _metrics(self) -> tuple[str, bytes]:
        # Imported by the first scrape.
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry  # noqa: PLC0415
        from prometheus_client import generate_latest as render  # noqa: PLC0415

        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collector(self._sidecar, self._max_lag))
        return CONTENT_TYPE_LATEST, render(registry)


class _Collector:
    """The sidecar's report as metrics, as it is when they are asked for."""

    def __init__(self, sidecar: Sidecar, max_lag: float) -> None:
        self._sidecar = sidecar
        self._max_lag = max_lag

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import (  # noqa: PLC0415 - see HealthServer
            CounterMetricFamily,
            GaugeMetricFamily,
            InfoMetricFamily,
        )

        sidecar, report = self._sidecar, self._sidecar.report
        states = GaugeMetricFamily(
            "peerdisco_mysql_state", "1 for the state that was found last.", labels=["state"]
        )
        for state in State:
            states.add_metric([state.value], float(report.state is state))
        yield states
        roles = GaugeMetricFamily(
            "peerdisco_mysql_role", "1 for what the ordinal makes this pod.", labels=["role"]
        )
        for role in Role:
            roles.add_metric([role.value], float(report.role is role))
        yield roles
        yield GaugeMetricFamily(
            "peerdisco_mysql_ready",
            "Whether clients may use the server.",
            float(report.ready(self._max_lag)),
        )
        problems = GaugeMetricFamily(
            "peerdisco_mysql_problem",
            "1 for what an operator should correct although the server is in its role.",
            labels=["code"],
        )
        found = {problem.code for problem in report.problems}
        for code in ProblemCode:
            problems.add_metric([code.value], float(code in found))
        yield problems
        if report.lag is not None:
            yield GaugeMetricFamily(
                "peerdisco_mysql_replication_lag_seconds",
                "How far the replica is behind; absent where it cannot tell.",
                float(report.lag),
            )
        if report.facts is not None:
            cluster = report.facts.cluster
            yield InfoMetricFamily(
                "peerdisco_mysql_server",
                "The server in this pod.",
                {
                    "flavour": report.facts.flavour.value,
                    "version": report.facts.version.text,
                    "cluster": cluster.id if cluster is not None else "",
                },
            )
        yield CounterMetricFamily(
            "peerdisco_mysql_lookups",
            "Lookups of the server and its peers that have ended.",
            float(sidecar.passes),
        )
        yield CounterMetricFamily(
            "peerdisco_mysql_nudges",
            "Times that the receiver was made to reconnect.",
            float(sidecar.nudges),
        )


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    server_version = "peerdisco"
    sys_version = ""
    timeout = _REQUEST_TIMEOUT

    def answer(self, path: str) -> tuple[HTTPStatus, str, bytes] | None:
        """What there is at a path."""
        raise NotImplementedError

    def do_GET(self) -> None:
        self._send(body=True)

    def do_HEAD(self) -> None:
        self._send(body=False)

    def _send(self, *, body: bool) -> None:
        found = self.answer(self.path.partition("?")[0])
        if found is None:
            self.send_error(HTTPStatus.NOT_FOUND, "there is /healthz, /readyz and /metrics")
            return
        status, kind, text = found
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if body:
            self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Log nothing: probes come every few seconds."""


class _Server(ThreadingHTTPServer):
    """A server that prints no traceback about a client that has gone."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _ServerV6(_Server):
    """The same on an IPv6 address."""

    address_family = socket.AF_INET6
