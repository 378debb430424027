"""The errors: their classes, attributes and messages."""

from __future__ import annotations

import copy
import inspect
import pickle
from ipaddress import ip_address
from typing import Any

import pytest

from peerdisco import exceptions
from peerdisco.exceptions import (
    AmbiguousPrimary,
    ConfigurationError,
    DiscoveryError,
    IdentityConflict,
    IdentityError,
    IncompleteAnswer,
    NotHeadless,
    NotReady,
    PeerNotListed,
    ResolverUnavailable,
    ResolveTimeout,
    ServiceNotFound,
    SourceFailed,
    StaleAnswer,
    UnusableAnswer,
    WatcherError,
)
from peerdisco.model import Attempt, Outcome, Peer, Snapshot

SERVICE = "db.shop.svc.cluster.local"
NXDOMAIN = Attempt("10.96.0.10:53", "udp", f"{SERVICE}.", "SRV", Outcome.NXDOMAIN, 0.002)
NO_PORT = Attempt("10.96.0.10:53", "udp", f"_mysql._tcp.{SERVICE}.", "SRV", Outcome.NXDOMAIN, 0.002)
SERVFAIL = Attempt("10.96.0.10:53", "udp", f"{SERVICE}.", "SRV", Outcome.SERVFAIL, 0.002)
SILENCE = Attempt("10.96.0.11:53", "udp", f"{SERVICE}.", "SRV", Outcome.TIMEOUT, 1.0)
PEERS = tuple(Peer(f"{name}-0", 0, name, f"{name}-0.{SERVICE}") for name in ("blue", "green"))
STALE = Attempt("169.254.20.10:53", "udp", f"{SERVICE}.", "SRV", Outcome.NXDOMAIN, 0.001)
SNAPSHOT = Snapshot(SERVICE, PEERS, incomplete_reason="truncated")

ERRORS: list[tuple[DiscoveryError, dict[str, Any], list[str]]] = [
    (
        ConfigurationError("PEERDISCO_NAMESERVERS", "dns\nhere", "an IP address"),
        {"what": "PEERDISCO_NAMESERVERS", "given": "dns\nhere", "expected": "an IP address"},
        ["PEERDISCO_NAMESERVERS", r"'dns\nhere'", "expected an IP address"],
    ),
    (
        IdentityError("namespace", ("POD_NAMESPACE", "/etc/resolv.conf"), "set POD_NAMESPACE"),
        {
            "missing": "namespace",
            "checked": ("POD_NAMESPACE", "/etc/resolv.conf"),
            "advice": "set POD_NAMESPACE",
        },
        [
            "cannot determine the namespace (checked: ",
            "POD_NAMESPACE; /etc/resolv.conf",
            "set POD_NAMESPACE",
        ],
    ),
    (
        IdentityConflict("ordinal", ("the name is 'mysql-3'", "POD_INDEX is 0"), "set both"),
        {
            "missing": "ordinal",
            "checked": ("the name is 'mysql-3'", "POD_INDEX is 0"),
            "advice": "set both",
        },
        ["conflicting values for the ordinal", "'mysql-3', and POD_INDEX is 0", "set both"],
    ),
    (
        PeerNotListed("db-7", Snapshot(SERVICE)),
        {"name": "db-7", "snapshot": Snapshot(SERVICE), "candidates": ()},
        [SERVICE, "db-7 is not known", "no lookup has been answered yet"],
    ),
    (
        ServiceNotFound(SERVICE, NXDOMAIN, Snapshot(SERVICE)),
        {
            "service": SERVICE,
            "attempt": NXDOMAIN,
            "snapshot": Snapshot(SERVICE),
            "port_name": None,
        },
        [SERVICE, "NXDOMAIN", "10.96.0.10:53", "none of its pods is ready", "publishNotReady"],
    ),
    (
        ServiceNotFound(SERVICE, NO_PORT, Snapshot(SERVICE)),
        {
            "service": SERVICE,
            "attempt": NO_PORT,
            "snapshot": Snapshot(SERVICE),
            "port_name": "mysql",
        },
        [SERVICE, "NXDOMAIN", "no port named 'mysql'"],
    ),
    (
        ServiceNotFound(SERVICE, None, Snapshot(SERVICE)),
        {"service": SERVICE, "attempt": None, "snapshot": Snapshot(SERVICE), "port_name": None},
        [SERVICE, "NXDOMAIN"],
    ),
    (
        ResolverUnavailable(SERVICE, (SERVFAIL, SILENCE)),
        {"name": SERVICE, "attempts": (SERVFAIL, SILENCE)},
        [
            SERVICE,
            "SERVFAIL from 10.96.0.10:53",
            "timeout from 10.96.0.11:53",
            "PEERDISCO_NAMESERVERS",
        ],
    ),
    (
        ResolverUnavailable(SERVICE, ()),
        {"name": SERVICE, "attempts": ()},
        [SERVICE, "no name server answered"],
    ),
    (
        StaleAnswer(SERVICE, (STALE,), 17.2),
        {"name": SERVICE, "attempts": (STALE,), "seconds": 17.2},
        [SERVICE, "stale", "TTL 0", "17 s", "169.254.20.10:53", "--nameserver"],
    ),
    (
        ResolveTimeout(SERVICE, (SILENCE, SILENCE, SILENCE), 5.0),
        {"name": SERVICE, "attempts": (SILENCE, SILENCE, SILENCE), "timeout": 5.0},
        [SERVICE, "within 5 s", "after 3 attempts", "10.96.0.11:53", "--timeout"],
    ),
    (
        UnusableAnswer(SERVICE, (SERVFAIL,), (("a.example", "why"), ("b.example", "because"))),
        {"name": SERVICE, "records": (("a.example", "why"), ("b.example", "because"))},
        [SERVICE, "a.example: why", "and 1 more", "namespace"],
    ),
    (
        UnusableAnswer(SERVICE, (SERVFAIL,)),
        {"name": SERVICE, "attempts": (SERVFAIL,), "records": ()},
        [SERVICE, "no record names a pod behind this service; check"],
    ),
    (
        NotHeadless(SERVICE, (SERVFAIL,), None, (ip_address("10.96.0.9"),)),
        {"attempts": (SERVFAIL,), "alias": None, "cluster_ip": (ip_address("10.96.0.9"),)},
        [SERVICE, "is not headless", "the cluster IP 10.96.0.9,", "clusterIP: None"],
    ),
    (
        NotHeadless(SERVICE, ()),
        {"alias": None, "cluster_ip": ()},
        [SERVICE, "it has a cluster IP,"],
    ),
    (
        NotHeadless(SERVICE, (), "db.example.com"),
        {"alias": "db.example.com", "cluster_ip": ()},
        [SERVICE, "not a headless service", "of db.example.com"],
    ),
    (
        IncompleteAnswer(SERVICE, "the answer was truncated", SNAPSHOT),
        {"service": SERVICE, "reason": "the answer was truncated", "snapshot": SNAPSHOT},
        [SERVICE, "may be incomplete", "the answer was truncated"],
    ),
    (
        AmbiguousPrimary(0, PEERS, ("blue", "green")),
        {"ordinal": 0, "candidates": PEERS, "statefulsets": ("blue", "green")},
        ["ordinal 0 is ambiguous", "blue-0, green-0", "blue, green", "PEERDISCO_STATEFULSET"],
    ),
    (
        AmbiguousPrimary(3, (), ("blue", "green")),
        {"ordinal": 3, "candidates": (), "statefulsets": ("blue", "green")},
        ["ordinal 3", "no pod has it at the moment", "--statefulset"],
    ),
    (
        NotReady("3 peers", 60.0, SNAPSHOT),
        {"required": "3 peers", "timeout": 60.0, "snapshot": SNAPSHOT},
        ["timed out after 60 s: needed 3 peers", "blue-0, green-0"],
    ),
    (
        NotReady("3 peers", 0.25, None),
        {"required": "3 peers", "timeout": 0.25, "snapshot": None},
        ["timed out after 0.25 s", "no lookup succeeded"],
    ),
    (
        NotReady("a quorum of 5", 1.0, Snapshot(SERVICE)),
        {"required": "a quorum of 5", "timeout": 1.0, "snapshot": Snapshot(SERVICE)},
        ["a quorum of 5", "saw none"],
    ),
    (
        SourceFailed(SERVICE, "CancelledError()"),
        {"service": SERVICE, "error": "CancelledError()"},
        [SERVICE, "CancelledError()", "expected it to return an observation"],
    ),
    (
        WatcherError("the watcher is not running", "use 'with'"),
        {"problem": "the watcher is not running", "advice": "use 'with'"},
        ["the watcher is not running: use 'with'"],
    ),
]
IDS = [f"{type(error).__name__}-{n}" for n, (error, _, _) in enumerate(ERRORS)]


@pytest.mark.parametrize(("error", "facts", "words"), ERRORS, ids=IDS)
def test_an_error_has_its_facts_as_attributes(
    error: DiscoveryError, facts: dict[str, Any], words: list[str]
) -> None:
    assert {name: getattr(error, name) for name in facts} == facts


@pytest.mark.parametrize(("error", "facts", "words"), ERRORS, ids=IDS)
def test_the_message_of_an_error_is_one_line(
    error: DiscoveryError, facts: dict[str, Any], words: list[str]
) -> None:
    text = str(error)
    assert text.splitlines() == [text]
    for word in words:
        assert word in text


@pytest.mark.parametrize(("error", "facts", "words"), ERRORS, ids=IDS)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_survives_pickling(
    error: DiscoveryError, facts: dict[str, Any], words: list[str], protocol: int
) -> None:
    again = pickle.loads(pickle.dumps(error, protocol))
    assert type(again) is type(error)
    assert {name: getattr(again, name) for name in facts} == facts
    assert str(again) == str(error)


@pytest.mark.parametrize(("error", "facts", "words"), ERRORS, ids=IDS)
def test_an_error_survives_copies(
    error: DiscoveryError, facts: dict[str, Any], words: list[str]
) -> None:
    for again in (copy.copy(error), copy.deepcopy(error)):
        assert {name: getattr(again, name) for name in facts} == facts


@pytest.mark.parametrize(("error", "facts", "words"), ERRORS, ids=IDS)
def test_the_repr_of_an_error_names_its_class(
    error: DiscoveryError, facts: dict[str, Any], words: list[str]
) -> None:
    assert repr(error).startswith(type(error).__name__ + "(")


def test_every_error_is_tested_here() -> None:
    public = {getattr(exceptions, name) for name in exceptions.__all__}
    assert public == {type(error) for error, _, _ in ERRORS} | {DiscoveryError}
    defined = {
        value
        for _, value in inspect.getmembers(exceptions, inspect.isclass)
        if issubclass(value, DiscoveryError)
    }
    assert public == defined


TREE = {
    ConfigurationError: (DiscoveryError, ValueError),
    IdentityError: (DiscoveryError,),
    IdentityConflict: (IdentityError,),
    ServiceNotFound: (DiscoveryError,),
    ResolverUnavailable: (DiscoveryError,),
    ResolveTimeout: (ResolverUnavailable, TimeoutError),
    UnusableAnswer: (ResolverUnavailable,),
    NotHeadless: (UnusableAnswer,),
    IncompleteAnswer: (DiscoveryError,),
    AmbiguousPrimary: (DiscoveryError,),
    PeerNotListed: (DiscoveryError, KeyError),
    NotReady: (DiscoveryError, TimeoutError),
}


@pytest.mark.parametrize(("error", "bases"), TREE.items(), ids=str)
def test_the_tree_of_errors(error: type[DiscoveryError], bases: tuple[type, ...]) -> None:
    assert error.__bases__ == bases


def test_the_base_is_a_plain_exception() -> None:
    assert DiscoveryError.__bases__ == (Exception,)


def test_a_timeout_is_caught_as_a_timeout() -> None:
    with pytest.raises(TimeoutError):
        raise ResolveTimeout(SERVICE, (), 1.0)
    with pytest.raises(TimeoutError):
        raise NotReady("3 peers", 1.0, None)
    with pytest.raises(ValueError, match="x: got"):
        raise ConfigurationError("x", "y", "z")


def test_the_message_has_the_last_attempt_on_each_server() -> None:
    error = ResolverUnavailable(SERVICE, (SERVFAIL, SILENCE, SERVFAIL, SILENCE))
    assert str(error).count("10.96.0.10:53") == 1
    assert str(error).count("10.96.0.11:53") == 1
    assert "after 4 attempts" in str(error)
