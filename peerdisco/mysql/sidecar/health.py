"""The sidecar's HTTP port: whether the sidecar is alive, whether the server is ready, and metrics.

A new page is a method that returns a `Response`, and a line in `HealthServer.__init__`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from http import HTTPStatus
from types import TracebackType
from typing import Self

from ...exceptions import ConfigurationError
from ...names import Endpoint, parse_seconds
from .http_server import HttpServer, Request, Response
from .metrics import rendered
from .report import MAX_STALENESS, State
from .sidecar import Sidecar

__all__ = ["HealthServer"]

STUCK_AFTER = 30.0
"""Seconds without a finished pass after which the sidecar counts as stuck. A pass queries a few
servers at the same time and gives up on each within seconds."""

_STOPPED_FOR = 2.0
"""Seconds without a turn of the server's own thread, which has two a second, that show that the
whole process did not run."""


class HealthServer:
    """Serves ``/``, ``/healthz``, ``/readyz``, ``/primary`` and ``/metrics`` while its block lasts.

    ``/`` is a page for people; see `status_page`. ``/primary`` is for proxies: 200 if the server is
    the primary and ready, else 404.

    Args:
        sidecar: The sidecar that it reports on.
        listen: Where; port 0 for any that is free.
        now: The time of the sidecar's clock, from any thread.
        max_lag: How many seconds a replica may be behind and still be ready.
        max_staleness: How many seconds old the data of a replica may be while its primary does not
            answer, and it still be ready.

    Raises:
        ConfigurationError: It cannot listen there, or one of the limits is no number of seconds.
    """

    def __init__(
        self,
        sidecar: Sidecar,
        listen: Endpoint,
        now: Callable[[], float],
        max_lag: float,
        max_staleness: float = MAX_STALENESS,
    ) -> None:
        self._sidecar = sidecar
        self._now = now
        self._limits = (
            parse_seconds(max_lag, "max_lag", zero=True),
            parse_seconds(max_staleness, "max_staleness", zero=True),
        )
        self._beat_at = time.monotonic()
        self._resumed_at = float("-inf")
        routes = {
            "/": self._status,
            "/healthz": self._health,
            "/readyz": self._readiness,
            "/primary": self._primary,
            "/metrics": self._metrics,
        }
        try:
            self._server = HttpServer(listen, routes, self._beat)
        except OSError as error:
            raise ConfigurationError(
                "--listen", str(listen), f"an address to listen on ({error.strerror})"
            ) from None
        self.listening = self._server.listening
        """Where it listens."""

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.__exit__(kind, error, traceback)

    def _beat(self) -> None:
        """Notice, several times a second, that this thread did not run: the process was stopped.

        What the sidecar could not do meanwhile says nothing of it.
        """
        beat = time.monotonic()
        if beat - self._beat_at > _STOPPED_FOR:
            self._resumed_at = self._now()
        self._beat_at = beat

    def _health(self, _request: Request) -> Response:
        self._beat()
        quiet = self._now() - max(self._sidecar.last_pass_at, self._resumed_at)
        if quiet < STUCK_AFTER:
            return Response(b"ok\n")
        text = f"no pass has ended for {quiet:.0f} s\n"
        return Response(text.encode(), status=HTTPStatus.SERVICE_UNAVAILABLE)

    def _readiness(self, _request: Request) -> Response:
        report = self._sidecar.report
        body = json.dumps(report.as_json(*self._limits), indent=2)
        ready = report.ready(*self._limits)
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return Response(f"{body}\n".encode(), "application/json", status)

    def _primary(self, _request: Request) -> Response:
        report = self._sidecar.report
        if report.state is State.PRIMARY and report.ready(*self._limits):
            return Response(b"primary\n")
        return Response(f"{report.state.value}\n".encode(), status=HTTPStatus.NOT_FOUND)

    def _status(self, _request: Request) -> Response:
        from .status_page import render  # noqa: PLC0415 - for people, who seldom open it

        sidecar = self._sidecar
        page = render(
            sidecar.report.as_json(*self._limits),
            pod=sidecar.pod_name,
            snapshot=sidecar.membership,
            history=sidecar.history.entries,
            at=sidecar.clock.utcnow(),
        )
        return Response(page.encode(), "text/html; charset=utf-8")

    def _metrics(self, _request: Request) -> Response:
        content_type, body = rendered(self._sidecar, *self._limits)
        return Response(body, content_type)
