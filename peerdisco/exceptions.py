"""Every error that the package raises, and nothing else.

Each error has its facts as attributes, and a message of one line: what failed, what was expected,
what to do.

```text
DiscoveryError
├── ConfigurationError   (also a ValueError)    an invalid argument or option
├── IdentityError                               this pod's identity is unknown
│   └── IdentityConflict                        two facts about this pod contradict each other
├── ServiceNotFound                             the answer was NXDOMAIN
├── ResolverUnavailable                         no name server sent a usable answer
│   ├── ResolveTimeout   (also a TimeoutError)  no answer within the timeout
│   ├── StaleAnswer                             a cache served an expired answer
│   └── UnusableAnswer                          no record names a pod of the service
│       └── NotHeadless                         the service has a cluster IP or is an alias
├── IncompleteAnswer                            the list may be incomplete
├── PeerNotListed        (also a KeyError)      snapshot[name]: no peer has this name
├── AmbiguousPrimary                            several StatefulSets, and none is selected
├── NotReady             (also a TimeoutError)  the required peers were not listed in time
├── SourceFailed                                a source raised an unexpected error
├── WatcherError         (also a RuntimeError)  a Discovery is not running
├── HookFailed           (in peerdisco.hooks)   the command of a hook failed
└── DatabaseError        (in peerdisco.mysql)   a server rejected a statement or is unreachable
```
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from .model import (
    AmbiguousPrimary,
    Attempt,
    ConfigurationError,
    DiscoveryError,
    IncompleteAnswer,
    PeerNotListed,
    Snapshot,
)
from .wording.lists import listed
from .wording.members import count_in_words

__all__ = [
    "AmbiguousPrimary",
    "ConfigurationError",
    "DiscoveryError",
    "IdentityConflict",
    "IdentityError",
    "IncompleteAnswer",
    "NotHeadless",
    "NotReady",
    "PeerNotListed",
    "ResolveTimeout",
    "ResolverUnavailable",
    "ServiceNotFound",
    "SourceFailed",
    "StaleAnswer",
    "UnusableAnswer",
    "WatcherError",
]


class IdentityError(DiscoveryError):
    """A required fact about this pod is unknown.

    Attributes:
        missing: The fact: ``pod name``, ``namespace``, ``cluster domain`` or ``service``.
        checked: The places that were checked, and what they contain.
        advice: How to provide it.
    """

    def __init__(self, missing: str, checked: tuple[str, ...], advice: str) -> None:
        super().__init__(missing, checked, advice)
        self.missing = missing
        self.checked = checked
        self.advice = advice

    def __str__(self) -> str:
        return (
            f"cannot determine the {self.missing} (checked: {'; '.join(self.checked)}); "
            f"{self.advice}"
        )


class IdentityConflict(IdentityError):
    """Two facts about this pod contradict each other, so neither is used.

    Attributes:
        missing: What they are about: ``pod name`` or ``ordinal``.
        checked: Each of the facts.
        advice: How to make them agree.
    """

    def __str__(self) -> str:
        statements = ", and ".join(self.checked)
        return f"conflicting values for the {self.missing}: {statements}; {self.advice}"


class ServiceNotFound(DiscoveryError):
    """A name server answered NXDOMAIN for the service.

    DNS sends the same answer for a service that does not exist and for one without ready pods
    (Kubernetes DNS specification 2.4.1), so this is an answer and not a failure: ``snapshot`` is
    the empty membership.

    Attributes:
        service: The service's fully qualified name.
        attempt: The exchange with the name server; None if the source does not use DNS.
        snapshot: The empty membership.
    """

    def __init__(self, service: str, attempt: Attempt | None, snapshot: Snapshot) -> None:
        super().__init__(service, attempt, snapshot)
        self.service = service
        self.attempt = attempt
        self.snapshot = snapshot

    @property
    def port_name(self) -> str | None:
        """The port name in the query (``_NAME._PROTOCOL.SERVICE``); None if it has none."""
        if self.attempt is None or not self.attempt.name.startswith("_"):
            return None
        return self.attempt.name.partition(".")[0][1:]

    def __str__(self) -> str:
        answer = "NXDOMAIN" if self.attempt is None else str(self.attempt)
        port = f", it has no port named {self.port_name!r}" if self.port_name else ""
        return (
            f"{self.service}: {answer}: there is no such service{port}, or none of its pods "
            "is ready; check the name and the namespace, or list pods before they are ready with "
            "publishNotReadyAddresses: true in the headless service"
        )


class ResolverUnavailable(DiscoveryError):
    """No name server sent a usable answer; the membership is unknown.

    Attributes:
        name: The name in the query.
        attempts: Every exchange with a name server, in order.
    """

    def __init__(self, name: str, attempts: tuple[Attempt, ...]) -> None:
        super().__init__(name, attempts)
        self.name = name
        self.attempts = attempts

    @property
    def replied(self) -> bool:
        """Whether a name server sent a reply, such as SERVFAIL or REFUSED."""
        return any(attempt.outcome.replied for attempt in self.attempts)

    def __str__(self) -> str:
        return f"{self.name}: no name server answered{self._tried()}; {self._advice()}"

    def _tried(self) -> str:
        if not self.attempts:
            return ""
        last = {(a.server, a.transport, a.outcome): a for a in self.attempts}
        more = f" after {len(self.attempts)} attempts" if len(self.attempts) > len(last) else ""
        return f"{more}: " + ", ".join(str(attempt) for attempt in last.values())

    def _advice(self) -> str:
        if self.attempts and all(a.outcome.name == "FOREIGN" for a in self.attempts):
            return (
                "check the cluster domain (--cluster-domain or PEERDISCO_CLUSTER_DOMAIN), and "
                "use only name servers that serve it (--nameserver or PEERDISCO_NAMESERVERS, or "
                "dnsConfig in the pod)"
            )
        return (
            "check that the cluster DNS runs and is reachable from this pod "
            "(--nameserver IP[:PORT] or PEERDISCO_NAMESERVERS chooses another)"
        )


class ResolveTimeout(ResolverUnavailable, TimeoutError):
    """No name server answered within the timeout; the membership is unknown.

    Attributes:
        timeout: The timeout, in seconds.
    """

    def __init__(self, name: str, attempts: tuple[Attempt, ...], timeout: float) -> None:
        super().__init__(name, attempts)
        self.args = (name, attempts, timeout)
        self.timeout = timeout

    def __str__(self) -> str:
        return (
            f"{self.name}: no answer within {self.timeout:g} s{self._tried()}; {self._advice()}, "
            "or increase the timeout (--timeout)"
        )


class StaleAnswer(ResolverUnavailable):
    """A cache served an expired answer, because it cannot reach its upstream.

    Such an answer has TTL 0 (RFC 8767, 4; CoreDNS and dnsmasq), while the zone's TTL is larger.
    It is a failed lookup: the membership is unknown.

    Attributes:
        seconds: Seconds for which every answer has been served stale.
    """

    def __init__(self, name: str, attempts: tuple[Attempt, ...], seconds: float) -> None:
        super().__init__(name, attempts)
        self.args = (name, attempts, seconds)
        self.seconds = seconds

    @property
    def replied(self) -> bool:
        """False: the cache replied, but the cluster DNS behind it did not."""
        return False

    def __str__(self) -> str:
        return (
            f"{self.name}: the name server has served stale answers (TTL 0) for "
            f"{self.seconds:.0f} s{self._tried()}; check that the cache reaches the cluster "
            "DNS (--nameserver IP[:PORT] or PEERDISCO_NAMESERVERS chooses another)"
        )


class UnusableAnswer(ResolverUnavailable):
    """DNS sent records, but none of them names a pod of the service.

    This does not mean that there are no pods: the membership is unknown.

    Attributes:
        records: The name in each record, and the reason why it is not a peer.
    """

    def __init__(
        self,
        name: str,
        attempts: tuple[Attempt, ...],
        records: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(name, attempts)
        self.args = (name, attempts, records)
        self.records = records

    def __str__(self) -> str:
        example = more = ""
        if self.records:
            example = f"; {self.records[0][0]}: {self.records[0][1]}"
        if len(self.records) > 1:
            more = f", and {len(self.records) - 1} more records"
        return (
            f"{self.name}: DNS answered, but no record names a pod behind this service{example}"
            f"{more}; check the service's name, namespace and domain"
        )


class NotHeadless(UnusableAnswer):
    """The service is not headless: it has a cluster IP, or it is an alias.

    Attributes:
        alias: The target, if the service is an alias (``ExternalName``, or a CNAME record); else
            None.
        cluster_ip: The service's own addresses; empty if it is an alias, or they are unknown.
    """

    def __init__(
        self,
        name: str,
        attempts: tuple[Attempt, ...],
        alias: str | None = None,
        cluster_ip: tuple[IPv4Address | IPv6Address, ...] = (),
    ) -> None:
        super().__init__(name, attempts)
        self.args = (name, attempts, alias, cluster_ip)
        self.alias = alias
        self.cluster_ip = cluster_ip

    def __str__(self) -> str:
        if self.alias is not None:
            return (
                f"{self.name} is not a headless service but an alias (CNAME or ExternalName) of "
                f"{self.alias}, and DNS lists no pods under it: use the name of the headless "
                "service itself"
            )
        address = "a cluster IP"
        if self.cluster_ip:
            address = f"the cluster IP {listed(map(str, self.cluster_ip))}"
        return (
            f"{self.name} is not headless: it has {address}, and DNS does not list its pods: "
            "use the name of a service with clusterIP: None"
        )


class NotReady(DiscoveryError, TimeoutError):
    """The required peers were not listed within the timeout.

    ``__cause__`` is the error of the last lookup, if it failed.

    Attributes:
        required: The requirement, in words.
        timeout: The timeout, in seconds.
        snapshot: The membership at the end; None if no lookup has succeeded.
        unlisted: The name of this pod, if it was required and is not listed; else None.
    """

    def __init__(
        self,
        required: str,
        timeout: float,
        snapshot: Snapshot | None,
        unlisted: str | None = None,
    ) -> None:
        super().__init__(required, timeout, snapshot, unlisted)
        self.required = required
        self.timeout = timeout
        self.snapshot = snapshot
        self.unlisted = unlisted

    def __str__(self) -> str:
        if self.snapshot is None:
            seen = "no lookup succeeded"
        else:
            seen = f"saw {count_in_words(self.snapshot)}"
            if self.unlisted is not None:
                seen += f"; this pod, {self.unlisted}, is not listed"
        return f"timed out after {self.timeout:g} s: needed {self.required}, {seen}"


class SourceFailed(DiscoveryError):
    """A source raised an error instead of returning an observation.

    A source whose own task or future is cancelled raises `asyncio.CancelledError` although the
    lookup itself was not cancelled. For a `Discovery` that is an ordinary failed lookup;
    ``__cause__`` is the error.

    Attributes:
        service: The service's fully qualified name.
        error: The error, as ``repr`` shows it.
    """

    def __init__(self, service: str, error: str) -> None:
        super().__init__(service, error)
        self.service = service
        self.error = error

    def __str__(self) -> str:
        return (
            f"{self.service}: the source raised {self.error}, expected it to return an "
            "observation; fix the source"
        )


class WatcherError(DiscoveryError, RuntimeError):
    """A `Discovery` that is not running was used: before its start, after its end, or in a fork.

    After a failure, ``__cause__`` is the error that ended the lookups: a bug in the source, or the
    cancellation of the lookup task by other code.

    Attributes:
        problem: What is wrong.
        advice: What to do instead.
    """

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(problem, advice)
        self.problem = problem
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.problem}: {self.advice}"
