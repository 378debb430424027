"""The options for logs and metrics of the commands that run on."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..exceptions import ConfigurationError
from ..names import parse_endpoint
from .progress import print_waiting

if TYPE_CHECKING:
    from ..observability.events import Observer

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")
METRICS_PORT = 9101

_SILENT = logging.CRITICAL + 1
_DISCOVERY = "peerdisco.discovery"


def add_telemetry(parser: argparse.ArgumentParser) -> None:
    """The options ``--log-level``, ``--log-format`` and ``--metrics-listen``."""
    group = parser.add_argument_group("logs and metrics")
    add_logs(group)
    group.add_argument(
        "--metrics-listen",
        metavar="IP[:PORT]",
        help="serve metrics for Prometheus at /metrics on this address (default port: "
        f"{METRICS_PORT}); needs peerdisco[prometheus]",
    )


def add_logs(group: argparse._ArgumentGroup) -> None:
    """The options ``--log-level`` and ``--log-format``."""
    group.add_argument(
        "--log-level",
        choices=LEVELS,
        help="log to stderr: outages (warning), changes and recoveries (info), or every lookup "
        "(debug); by default the log has no lines for them",
    )
    group.add_argument(
        "--log-format",
        choices=FORMATS,
        help="the format of the log: text, or json with one object per line; "
        "alone it implies --log-level info",
    )


def logs(args: argparse.Namespace) -> bool:
    """Whether the options configure the log."""
    return bool(getattr(args, "log_level", None) or getattr(args, "log_format", None))


def waiting_log(args: argparse.Namespace) -> Callable[[str], object]:
    """Writes what a command waits for: to the configured log, else as a line of its own."""
    if not logs(args):
        return print_waiting
    return lambda line: logging.getLogger("peerdisco.cli").info("waiting: %s", line)


@contextmanager
def telemetry(args: argparse.Namespace) -> Iterator[list[Observer]]:
    """Write the log and serve the metrics that the options describe.

    Yields:
        The observers of the watcher and its hooks.

    Raises:
        ConfigurationError: The metrics cannot be served.
    """
    listen = getattr(args, "metrics_listen", None)
    with _logging(args):
        if listen is None:
            yield []
            return
        with _metrics(listen) as observer:
            yield [observer]


@contextmanager
def _logging(args: argparse.Namespace) -> Iterator[None]:
    """The log on stderr; without its options, the commands report in lines of their own."""
    if not logs(args):
        logger = logging.getLogger(_DISCOVERY)
        before = logger.level
        logger.setLevel(_SILENT)
        try:
            yield
        finally:
            logger.setLevel(before)
        return
    logger = logging.getLogger("peerdisco")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if args.log_format == "json" else _Text())
    before, propagates = logger.level, logger.propagate
    logger.setLevel((args.log_level or "info").upper())
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        logger.propagate = propagates


@contextmanager
def _metrics(listen: str) -> Iterator[Observer]:
    address = parse_endpoint(listen, "--metrics-listen", default_port=METRICS_PORT)
    try:
        from prometheus_client import start_http_server  # noqa: PLC0415 - an optional package

        from ..observability.prometheus import PrometheusObserver  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(
            "--metrics-listen", listen, f"pip install 'peerdisco[prometheus]' ({error})"
        ) from None
    try:
        server, thread = start_http_server(address.port, address.address)
    except OSError as error:
        raise ConfigurationError(
            "--metrics-listen", listen, f"an address to listen on ({error.strerror})"
        ) from None
    try:
        yield PrometheusObserver()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


_OF_RECORDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""The attributes of every record, which are no facts of the event."""


class _Json(logging.Formatter):
    """One JSON object per line: time, level, logger, message, and the facts of the event."""

    def format(self, record: logging.LogRecord) -> str:
        import json  # noqa: PLC0415 - only this format needs it

        facts = {key: value for key, value in vars(record).items() if key not in _OF_RECORDS}
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **facts,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class _Text(logging.Formatter):
    """The time, the level and the message on one line."""

    def format(self, record: logging.LogRecord) -> str:
        text = f"{_time(record)} {record.levelname} {record.name}: {record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def _time(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
