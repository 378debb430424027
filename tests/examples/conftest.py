from __future__ import annotations

from tests.docs.conftest import cluster, environ_restored, environment, mysql
from tests.mysql.conftest import bridge, image, loopback, template

__all__ = [
    "bridge",
    "cluster",
    "environ_restored",
    "environment",
    "image",
    "loopback",
    "mysql",
    "template",
]
