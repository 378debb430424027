"""``is-primary``: yes only where a script may trust it."""

from __future__ import annotations

import pytest

from peerdisco.testing import ClusterDNS, StatefulSet

from .command import peerdisco

PRIMARY = {"POD_NAME": "mysql-0", "POD_IP": "10.244.0.3"}
WORDS = "mysql-0 is the primary, and DNS names its address (10.244.0.3)"


@pytest.mark.parametrize(
    ("args", "variables", "status", "said"),
    [
        ([], PRIMARY, 0, ""),
        (["-v"], PRIMARY, 0, WORDS),
        ([], {"POD_NAME": "mysql-0", "POD_IPS": "10.244.0.3,fd00::3"}, 0, ""),
        ([], {"POD_NAME": "mysql-1"}, 1, ""),
        (["-v"], {"POD_NAME": "mysql-1"}, 1, "mysql-1 is not mysql-0"),
        (["--ordinal", "1"], {"POD_NAME": "mysql-1", "POD_IP": "10.244.0.4"}, 0, ""),
        (["--ordinal", "1"], PRIMARY, 1, ""),
        (["--statefulset", "other"], PRIMARY, 1, ""),
        ([], {**PRIMARY, "PEERDISCO_STATEFULSET": "other"}, 1, ""),
        ([], {**PRIMARY, "PEERDISCO_STATEFULSET": " mysql "}, 0, ""),
        ([], {**PRIMARY, "PEERDISCO_STATEFULSET": "My_SQL"}, 2, "PEERDISCO_STATEFULSET"),
        ([], {"POD_NAME": "mysql-0", "POD_IP": "10.0.0.1"}, 2, "the record is old, or another pod"),
        ([], {"POD_NAME": "mysql-0", "POD_IP": "fd00::3"}, 2, "the record is old, or another pod"),
        ([], {"POD_NAME": "mysql-0"}, 2, "the addresses of mysql-0 are not known: set POD_IP"),
        ([], {"POD_NAME": "other-0", "POD_IP": "10.0.0.1"}, 2, "does not list other-0"),
        ([], {}, 2, "POD_NAME"),
        ([], {"POD_NAME": "web-7d9f6c5b8-x2x4z"}, 1, ""),
    ],
)
def test_is_primary(
    env: dict[str, str], args: list[str], variables: dict[str, str], status: int, said: str
) -> None:
    done = peerdisco("is-primary", "my-database", *args, env={**env, **variables})
    assert (done.status, done.out) == (status, "")
    assert said in done.err
    assert bool(done.err) is bool(said)
    assert "Traceback" not in done.err
    if status == 2:
        assert done.complaint


def test_it_cannot_tell_during_an_outage(dns: ClusterDNS, env: dict[str, str]) -> None:
    dns.fail("servfail")
    done = peerdisco("is-primary", "my-database", env={**env, **PRIMARY})
    assert done.status == 2
    assert "SERVFAIL" in done.complaint
    # Whoever has another ordinal is not the primary, whatever DNS says.
    done = peerdisco("is-primary", "my-database", env={**env, "POD_NAME": "mysql-2"})
    assert (done.status, done.err) == (1, "")


def test_it_cannot_tell_without_the_service(env: dict[str, str]) -> None:
    done = peerdisco("is-primary", "absent", env={**env, **PRIMARY})
    assert done.status == 2
    assert "NXDOMAIN" in done.complaint


def test_it_cannot_tell_from_a_list_that_may_be_incomplete(
    dns: ClusterDNS, env: dict[str, str]
) -> None:
    pods = dns.statefulset("big", service="big", replicas=100)
    me = {"POD_NAME": "big-0", "POD_IP": str(pods.pod(0).addresses[0])}
    assert peerdisco("is-primary", "big", env={**env, **me}).status == 0
    with dns.fail("refused", transport="tcp"):
        done = peerdisco("is-primary", "big", env={**env, **me})
    assert done.status == 2
    assert "unknown: the list may lack pods" in done.complaint


def test_it_cannot_tell_while_another_pod_has_this_name_too(
    dns: ClusterDNS, env: dict[str, str]
) -> None:
    pods: StatefulSet = dns.statefulset("db", service="twice", replicas=1)
    own = pods.pod(0).addresses[0]
    me = {"POD_NAME": "db-0", "POD_IP": str(own)}
    assert peerdisco("is-primary", "twice", env={**env, **me}).status == 0
    dns.endpoint("twice", hostname="db-0", addresses=["10.244.7.7"])
    done = peerdisco("is-primary", "twice", env={**env, **me})
    assert done.status == 2
    assert f"DNS says {own}, 10.244.7.7 for db-0.twice." in done.complaint


def test_a_pod_of_another_namespace_is_named_as_such(dns: ClusterDNS, env: dict[str, str]) -> None:
    dns.statefulset("mysql", service="my-database", namespace="other", replicas=1)
    done = peerdisco("is-primary", "my-database.other", env={**env, **PRIMARY})
    assert done.status == 2
    assert (
        "the primary is mysql-0.my-database.other.svc.cluster.local, this pod is mysql-0 in "
        "namespace default"
    ) in done.complaint


def test_the_same_ordinal_of_another_statefulset_is_none_of_this_pod(
    dns: ClusterDNS, env: dict[str, str]
) -> None:
    green = dns.statefulset("green", service="my-database", replicas=1)
    green.set_ready(0, False)
    me = {"POD_NAME": "green-0", "POD_IP": "10.244.0.6"}
    done = peerdisco("is-primary", "my-database", env={**env, **me})
    assert done.status == 2
    assert "does not list green-0" in done.complaint
    green.set_ready(0, True)
    assert peerdisco("is-primary", "my-database", env={**env, **me}).status == 0


def test_a_probe_loads_no_more_than_it_needs(env: dict[str, str]) -> None:
    def loaded(variables: dict[str, str]) -> set[str]:
        timing = {**env, **variables, "PYTHONPROFILEIMPORTTIME": "1"}
        done = peerdisco("is-primary", "my-database", env=timing)
        return {line.rpartition("|")[2].strip() for line in done.err.splitlines()}

    yes, no = loaded(PRIMARY), loaded({"POD_NAME": "mysql-1"})
    assert "peerdisco.primary.verdicts" in yes
    assert not {"peerdisco.primary.verdicts", "peerdisco.dns.resolver", "asyncio"} & no
    assert not {"peerdisco.discovery", "peerdisco.hooks", "dns", "tenacity"} & yes
