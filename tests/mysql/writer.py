"""A client that writes all the time, and knows which of its rows were acknowledged."""

from __future__ import annotations

import threading
import time
from typing import Self

import pymysql

from .mariadb import MariaDB, connected
from .waiting import until

_PAUSE = 0.002
"""Seconds between two rows: a client that leaves something of the machine to the others."""


class Writer:
    """Writes the numbers from 1 on into ``shop.orders``, as an account without other rights.

    What fails is not written again: a row may be there without having been acknowledged, and
    never the other way round. ``with Writer(server) as writer:`` writes during the block.

    Attributes:
        times: When each of them was acknowledged, in seconds of ``time.monotonic()``.

    Args:
        server: The server that it goes on asking, whether it is there or not.
        first: The first number.
        pause: Seconds between two rows.
        patience: Seconds after an error.
    """

    def __init__(
        self, server: MariaDB, first: int = 1, *, pause: float = _PAUSE, patience: float = 0.005
    ) -> None:
        self.acknowledged: list[int] = []
        self.times: list[float] = []
        self.refusals: list[str] = []
        self._server = server
        self._next = first
        self._pause = pause
        self._patience = patience
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._write, name="writer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join()

    def stop(self) -> None:
        """Write no further row, and do not wait for the end of the current one."""
        self._stopped.set()

    def wait(self, rows: int = 20) -> None:
        """Wait until so many more rows are acknowledged."""
        wanted = len(self.acknowledged) + rows
        until(lambda: len(self.acknowledged) >= wanted, what=f"{rows} more rows are written")

    def _write(self) -> None:
        while not self._stopped.is_set():
            try:
                with connected(self._server.socket, user="shop") as cursor:
                    self._insert(cursor)
            except (pymysql.err.MySQLError, OSError) as error:
                self.refusals.append(str(error))
                time.sleep(self._patience)  # what is not there is not asked all the time

    def _insert(self, cursor: pymysql.cursors.Cursor) -> None:
        while not self._stopped.is_set():
            number, self._next = self._next, self._next + 1
            cursor.execute("INSERT INTO shop.orders VALUES (%s)", (number,))
            self.times.append(time.monotonic())
            self.acknowledged.append(number)
            time.sleep(self._pause)
