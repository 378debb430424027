"""The same StatefulSet in containers: other images, another network, and another DNS on the way."""

from __future__ import annotations

import pymysql
import pytest
from pymysql.constants import ER

from tests.mysql.waiting import until

from .pods import Pod

DOCKERS_OWN = "127.0.0.11"
"""Docker's DNS, which answers for containers, and asks ours about the cluster."""

pytestmark = pytest.mark.timeout(240)  # an engine, its images and eleven containers


def test_three_pods_become_a_database_and_follow_their_primary_to_its_new_address(
    pods: list[Pod],
) -> None:
    for pod in pods:
        pod.publish()
        pod.start()
    primary, *replicas = pods
    primary.wait_for("primary")
    for replica in replicas:
        replica.wait_for("replica")
    primary.sql("CREATE DATABASE shop", "CREATE TABLE shop.orders (n INT PRIMARY KEY)")
    primary.sql("INSERT INTO shop.orders VALUES (1)")
    wait_for_orders(pods, 1)

    primary.move()
    primary.publish()
    primary.start()
    primary.wait_for("primary")
    primary.sql("INSERT INTO shop.orders VALUES (2)")
    wait_for_orders(pods, 1, 2)

    for pod in pods:
        assert pod.nameservers() == [DOCKERS_OWN]
        assert not [one for one in pod.secrets() if one in pod.logs()]


def wait_for_orders(pods: list[Pod], *numbers: int) -> None:
    """Wait until every server holds these rows, and no other."""
    for pod in pods:
        until(lambda pod=pod: orders(pod) == list(numbers), what=f"{pod.name} has {numbers}")


def orders(pod: Pod) -> list[int]:
    try:
        return [row["n"] for row in pod.sql("SELECT n FROM shop.orders ORDER BY n")]
    except pymysql.err.MySQLError as error:
        if error.args[0] not in (ER.BAD_DB_ERROR, ER.NO_SUCH_TABLE):
            raise
        return []
