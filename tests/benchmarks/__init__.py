"""Measurements, side by side; ``make bench`` runs them.

- ``test_*.py``: one question each; what is measured goes to pytest-benchmark, with its table's
  name.
- ``contenders.py``, ``floor.py``: the contenders, and what all are measured against.
- ``turns.py``: lets the contenders take turns, and measures them.
- ``services.py``, ``server.py``, ``many.py``: the services, and the servers that serve them.
- ``watcher.py``, ``clock.py``: a watcher in a process of its own, and time that need not pass.
- ``network.py``: a network of the run's own, without which `getaddrinfo` cannot take part.
- ``golang.py``, ``peer_finder.py``: contenders in Go, where there is a toolchain or a binary.
- ``report.py``: the tables, and where they are written.
- ``where.py``: a profile of one contender.
- ``where_memory.py``, ``measured_imports.py``: what the imports of idle commands take.
"""
