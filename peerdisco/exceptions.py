"""Every error that the package raises, and nothing else.

Every error keeps its facts as attributes and words itself in ``__str__`` as one
line: what was tried, what came back, what to do.

```text
DiscoveryError
├── ConfigurationError   (also a ValueError)    you erred: a name or an option
├── IdentityError                               who this pod is cannot be told
│   └── IdentityConflict                        two facts about this pod contradict each other
├── ServiceNotFound                             DNS says that the name does not exist
├── ResolverUnavailable                         no name server gave a usable answer
│   ├── ResolveTimeout   (also a TimeoutError)  the time was up before one did
│   ├── StaleAnswer                             the only answers were served stale
│   └── UnusableAnswer                          none of the records names a pod of the service
│       └── NotHeadless                         the service has a cluster IP, or is an alias
├── IncompleteAnswer                            the list may lack pods
├── AmbiguousPrimary                            several pods have the ordinal
├── NotReady             (also a TimeoutError)  the required peers did not come in time
├── SourceFailed                                a lookup ended with an error that is no answer
├── WatcherError         (also a RuntimeError)  a Discovery is not running here, or not any more
├── HookFailed           (in peerdisco.hooks)   a command that was run on change failed
└── DatabaseError        (in peerdisco.mysql)   a server refused a statement, or did not answer
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
    "ResolveTimeout",
    "ResolverUnavailable",
    "ServiceNotFound",
    "SourceFailed",
    "StaleAnswer",
    "UnusableAnswer",
    "WatcherError",
]


class IdentityError(DiscoveryError):
    """A fact about this pod is needed and nothing on the machine tells it.

    Attributes:
        missing: The fact: ``pod name``, ``namespace``, ``cluster domain`` or ``service``.
        looked_at: Where it was looked for, and what was found there.
        advice: How to supply it.
    """

    def __init__(self, missing: str, looked_at: tuple[str, ...], advice: str) -> None:
        super().__init__(missing, looked_at, advice)
        self.missing = missing
        self.looked_at = looked_at
        self.advice = advice

    def __str__(self) -> str:
        return (
            f"the {self.missing} is not known (looked at: {'; '.join(self.looked_at)}); "
            f"{self.advice}"
        )


class IdentityConflict(IdentityError):
    """Two facts about this pod contradict each other, so that neither can be believed.

    Attributes:
        missing: The fact that they are about: ``pod name`` or ``ordinal``.
        looked_at: What each of them says.
        advice: How to make them agree.
    """

    def __str__(self) -> str:
        statements = ", and ".join(self.looked_at)
        return f"the {self.missing} is contradictory: {statements}; {self.advice}"


class ServiceNotFound(DiscoveryError):
    """A name server answered NXDOMAIN for the service.

    DNS answers the same for a service that does not exist and for one of which no pod is ready
    (Kubernetes DNS specification 2.4.1), so this is an answer and not a failure: ``snapshot``
    holds it, with no peers in it.

    Attributes:
        service: The fully qualified name that was asked for.
        attempt: The exchange that gave the answer.
        snapshot: The empty membership, as it was answered.
    """

    def __init__(self, service: str, attempt: Attempt | None, snapshot: Snapshot) -> None:
        super().__init__(service, attempt, snapshot)
        self.service = service
        self.attempt = attempt
        self.snapshot = snapshot

    @property
    def port_name(self) -> str | None:
        """The port name that was asked for (``_NAME._PROTOCOL.SERVICE``); None if none was."""
        if self.attempt is None or not self.attempt.name.startswith("_"):
            return None
        return self.attempt.name.partition(".")[0][1:]

    def __str__(self) -> str:
        told = "NXDOMAIN" if self.attempt is None else str(self.attempt)
        port = f", it has no port named {self.port_name!r}" if self.port_name else ""
        return (
            f"{self.service}: {told}: there is no such service{port}, or none of its pods "
            "is ready; check the name and the namespace, or list pods before they are ready with "
            "publishNotReadyAddresses: true in the headless service"
        )


class ResolverUnavailable(DiscoveryError):
    """No name server gave an answer that can be used; the membership is not known.

    Attributes:
        name: The name that was asked for.
        attempts: Every exchange that was tried, in order.
    """

    def __init__(self, name: str, attempts: tuple[Attempt, ...]) -> None:
        super().__init__(name, attempts)
        self.name = name
        self.attempts = attempts

    @property
    def replied(self) -> bool:
        """Whether a name server sent anything, SERVFAIL or REFUSED for instance."""
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
                "check the cluster's domain (--cluster-domain or PEERDISCO_CLUSTER_DOMAIN), and "
                "name only servers that serve it (--nameserver or PEERDISCO_NAMESERVERS, or "
                "dnsConfig in the pod)"
            )
        return (
            "check that the cluster DNS runs and is reachable from here "
            "(--nameserver IP[:PORT] or PEERDISCO_NAMESERVERS chooses another)"
        )


class ResolveTimeout(ResolverUnavailable, TimeoutError):
    """The time was up before a name server answered; the membership is not known.

    Attributes:
        timeout: The time that was given, in seconds.
    """

    def __init__(self, name: str, attempts: tuple[Attempt, ...], timeout: float) -> None:
        super().__init__(name, attempts)
        self.args = (name, attempts, timeout)
        self.timeout = timeout

    def __str__(self) -> str:
        return (
            f"{self.name}: no answer within {self.timeout:g} s{self._tried()}; {self._advice()}, "
            "or give it longer (--timeout)"
        )


class StaleAnswer(ResolverUnavailable):
    """A cache served an expired answer, because it cannot reach its upstream.

    Such an answer has TTL 0 (RFC 8767, 4, and what CoreDNS and dnsmasq do), while the zone's TTL is
    known to be larger. It is a failed lookup: the membership is not known.

    Attributes:
        seconds: For how long every answer has been served stale.
    """

    def __init__(self, name: str, attempts: tuple[Attempt, ...], seconds: float) -> None:
        super().__init__(name, attempts)
        self.args = (name, attempts, seconds)
        self.seconds = seconds

    @property
    def replied(self) -> bool:
        """False: the cache replied, and the cluster DNS behind it did not."""
        return False

    def __str__(self) -> str:
        return (
            f"{self.name}: the name server serves stale answers, with TTL 0, for "
            f"{self.seconds:.0f} s by now{self._tried()}; check that the cache reaches the cluster "
            "DNS (--nameserver IP[:PORT] or PEERDISCO_NAMESERVERS chooses another)"
        )


class UnusableAnswer(ResolverUnavailable):
    """DNS answered with records of which none names a pod behind the service.

    That is not the answer that there are no pods: the membership is not known.

    Attributes:
        records: The name that each record is about, and the reason why it is not a peer.
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
    """The service is not a headless one: it has a cluster IP, or it is an alias.

    Attributes:
        alias: The name that the service is an alias of (``ExternalName``, or a CNAME record);
            None if it is none.
        cluster_ip: The service's own addresses; empty if it is an alias, or they are not known.
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
                f"{self.alias}, and DNS lists no pods under it: give the name of the headless "
                "service itself"
            )
        address = "a cluster IP"
        if self.cluster_ip:
            address = f"the cluster IP {listed(map(str, self.cluster_ip))}"
        return (
            f"{self.name} is not headless: it has {address}, and DNS does not list its pods: "
            "give the name of a service with clusterIP: None"
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
    """A source ended a lookup with an error instead of an observation.

    A source that was cancelled from within, by a task or a future of its own, ends in
    `asyncio.CancelledError` although nobody cancelled the lookup. For a `Discovery` that is a
    failed lookup like any other; ``__cause__`` is the error.

    Attributes:
        service: The fully qualified name that was looked up.
        error: The error, as ``repr`` shows it.
    """

    def __init__(self, service: str, error: str) -> None:
        super().__init__(service, error)
        self.service = service
        self.error = error

    def __str__(self) -> str:
        return (
            f"{self.service}: the source ended the lookup with {self.error}, expected an "
            "observation; mend the source"
        )


class WatcherError(DiscoveryError, RuntimeError):
    """A `Discovery` was used where it does not run: before its start, after its end, in a fork.

    After a failure ``__cause__`` is the error that ended the lookups: an error of the source that
    is a bug, or the cancellation of their task by code that does not own it.

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
