"""A cluster with a pod in which ``doctor`` runs, and in which the suggested fixes can be followed.

The DNS is a real server on loopback. The pod's manifest becomes its environment as the kubelet
makes it. `World.follow` does literally what a fix says: the lines of its command, and its YAML.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import dns.message
import dns.rcode
import dns.rrset
import yaml

from peerdisco import cli
from peerdisco.cli.commands.doctor import diagnose, exit_status
from peerdisco.doctor.dns_facts import Timing
from peerdisco.doctor.facts import Facts
from peerdisco.doctor.findings import Finding, Fix, Status
from peerdisco.names import Endpoint, parse_nameserver
from peerdisco.pod.environment import PodEnvironment
from peerdisco.pod.resolv_conf import parse_resolv_conf
from peerdisco.testing import ClusterDNS, StatefulSet
from peerdisco.testing.answers import reply_to
from peerdisco.testing.cluster import Cluster
from peerdisco.testing.faults import Transport
from peerdisco.testing.responder import Reaction, Responder
from peerdisco.testing.state import ServicePort

QUICK = Timing(timeout=1.0, burst=3, later=1, pause=0.0)
CLUSTER_DNS = "10.96.0.10"
NODE_DNS = "203.0.113.53"
READ_ONLY = {"get", "logs", "top"}
"""What kubectl does without changing anything."""


class Server(ClusterDNS):
    """The cluster's DNS, with services that are not headless, and with middleboxes before it."""

    def __init__(self, cluster: Cluster | None = None, **options: Any) -> None:
        super().__init__(cluster, **options)
        self.not_headless: dict[str, tuple[str, str]] = {}
        """Names of services, and what they are: a type of record and its value."""
        self.edns = "passed"
        """``passed``, ``removed`` from both messages, ``rejected``, or ``dropped``."""
        self.stray: str | None = None
        """The target of one more SRV record in each answer."""
        self.without: set[str] = set()
        """Types of records that a filter leaves out of answers."""
        self.behind: list[Responder] = []
        """Replicas that answer in turn, in place of this one."""
        self._turn = 0

    def _react(self, wire: bytes, transport: Transport) -> Reaction:
        query = dns.message.from_wire(wire)
        if query.edns >= 0 and self.edns == "dropped" and transport == "udp":
            return Reaction(None)
        if query.edns >= 0 and self.edns == "rejected":
            error = reply_to(query)
            error.use_edns(False)
            error.set_rcode(dns.rcode.FORMERR)
            return Reaction(error.to_wire())
        if query.edns >= 0 and self.edns == "removed":
            query.use_edns(False)
            wire = query.to_wire()
        if query.question[0].rdtype.name in self.without:
            return Reaction(self._no_data(reply_to(query)).to_wire())
        special = self._special(query)
        if special is not None:
            return Reaction(special.to_wire())
        if self.behind:
            self._turn += 1
            return self.behind[self._turn % len(self.behind)].react(wire, transport, 0.0)
        reaction = super()._react(wire, transport)
        return reaction if self.stray is None else self._with_stray(reaction)

    def _with_stray(self, reaction: Reaction) -> Reaction:
        assert reaction.reply is not None
        reply = dns.message.from_wire(reaction.reply)
        if reply.answer and reply.answer[0].rdtype.name == "SRV":
            text = f"0 1 3306 {self.stray}"
            reply.answer.append(dns.rrset.from_text(reply.answer[0].name, 5, "IN", "SRV", text))
        return Reaction(reply.to_wire())

    def _special(self, query: dns.message.Message) -> dns.message.Message | None:
        (question,) = query.question
        name = str(question.name).lower().removesuffix(".")
        kind, value = self.not_headless.get(name.partition(".")[0], ("", ""))
        labels = name.split(".")
        if not kind or len(labels) != 5 or labels[2] != "svc":
            return None
        reply = reply_to(query)
        asked = question.rdtype.name
        if kind == "A" and asked == "SRV":
            reply.answer = [dns.rrset.from_text(f"{name}.", 5, "IN", "SRV", f"0 100 3306 {name}.")]
        elif (kind == "A" and asked == "A") or (kind == "CNAME" and asked in ("A", "AAAA")):
            reply.answer = [dns.rrset.from_text(f"{name}.", 5, "IN", kind, value)]
        else:
            self._no_data(reply)
        return reply

    @staticmethod
    def _no_data(reply: dns.message.Message) -> dns.message.Message:
        soa = "ns.dns.cluster.local. hostmaster.cluster.local. 1700000000 7200 1800 86400 5"
        reply.authority = [dns.rrset.from_text("cluster.local.", 5, "IN", "SOA", soa)]
        return reply


class World:
    """A cluster and a pod.

    Attributes:
        dns: The cluster's DNS.
        servers: The addresses in resolv.conf, and the server behind each.
        pod: The pod's spec, as far as it matters: ``env``, ``dnsPolicy`` and so on. A variable with
            a path from the downward API is a mapping.
        fields: The fields of the downward API.
        hostname: The kernel's host name.
        governing: ``spec.serviceName`` of the StatefulSet; None for a pod without a subdomain.
        node_resolv_conf: The node's resolv.conf.
        now: The machine's time; None for the real one.
        blocked: Ends whatever blocks a protocol on the way to the DNS.
        dual_stack: Makes services list both families, which ``ipFamilyPolicy`` asks for.
        words: The arguments of the next ``peerdisco doctor``, as a fix said.
        printed: What the commands of the fixes printed.
    """

    def __init__(self, dns: Server, mysql: StatefulSet) -> None:
        self.dns = dns
        self.mysql = mysql
        self.servers: dict[str, str] = {CLUSTER_DNS: dns.nameserver}
        self.pod: dict[str, Any] = {
            "env": {
                "KUBERNETES_SERVICE_HOST": "10.96.0.1",
                "POD_NAME": {"fieldPath": "metadata.name"},
                "POD_NAMESPACE": {"fieldPath": "metadata.namespace"},
                "POD_IP": {"fieldPath": "status.podIP"},
            },
            "dnsPolicy": "ClusterFirst",
        }
        self.fields = {
            "metadata.name": "mysql-0",
            "metadata.namespace": "default",
            "status.podIP": str(mysql.pod(0).addresses[0]),
        }
        self.hostname = "mysql-0"
        self.governing: str | None = "my-database"
        self.node_resolv_conf = f"nameserver {NODE_DNS}\nsearch example.com\n"
        self.now: float | None = None
        self.blocked: dict[str, Callable[[], object]] = {}
        self.dual_stack: Callable[[], object] = lambda: None
        self.words: list[str] = []
        self.printed: list[str] = []
        self.facts: Facts | None = None

    # --- the pod as the kubelet makes it

    def environment(self) -> PodEnvironment:
        conf = parse_resolv_conf(self.resolv_conf())
        servers = [
            parse_nameserver(self.servers[server.address])
            if server.address in self.servers
            else Endpoint(server.address, server.port)
            for server in conf.nameservers
        ]
        return PodEnvironment(
            environ=self.variables(),
            hostname=self.hostname,
            resolv_conf=replace(conf, nameservers=tuple(servers)),
            hosts=tuple(self.hosts().splitlines()),
        )

    def variables(self) -> dict[str, str]:
        return {
            name: self.fields[value["fieldPath"]] if isinstance(value, dict) else value
            for name, value in self.pod["env"].items()
        }

    def resolv_conf(self) -> str:
        """As pkg/kubelet/network/dns/dns.go."""
        policy, host = self.pod["dnsPolicy"], self.pod.get("hostNetwork")
        config = self.pod.get("dnsConfig", {})
        cluster = policy == "ClusterFirstWithHostNet" or (policy == "ClusterFirst" and not host)
        if cluster:
            space = self.fields["metadata.namespace"]
            servers = [CLUSTER_DNS]
            search = [f"{space}.svc.cluster.local", "svc.cluster.local", "cluster.local"]
            options = {"ndots": "5"}
        elif policy == "None":
            servers, search, options = [], [], {}
        else:
            node = self.node_resolv_conf.splitlines()
            servers = [line.split()[1] for line in node if line.startswith("nameserver")]
            search = [w for line in node if line.startswith("search") for w in line.split()[1:]]
            options = {}
        servers += config.get("nameservers", [])
        search += config.get("searches", [])
        options |= {option["name"]: option["value"] for option in config.get("options", [])}
        lines = [f"nameserver {server}" for server in servers]
        lines += [f"search {' '.join(search)}"] if search else []
        lines += [f"options {name}:{value}" for name, value in options.items()]
        return "".join(f"{line}\n" for line in lines)

    def hosts(self) -> str:
        if self.pod.get("hostNetwork"):
            return "# Kubernetes-managed hosts file (host network).\n127.0.0.1\tlocalhost\n"
        name, space = self.fields["metadata.name"], self.fields["metadata.namespace"]
        fqdn = f"{name}.{self.governing}.{space}.svc.cluster.local\t" if self.governing else ""
        address = self.mysql.pod(0).addresses[0]
        return f"# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n{address}\t{fqdn}{name}\n"

    # --- the command

    async def doctor(self, *words: str, pause: float = 0.0) -> tuple[Finding, ...]:
        """The findings of the command with these arguments."""
        args = cli._parser(["doctor"]).parse_args(["doctor", "--timeout", "1.5", *words])
        timing = replace(QUICK, pause=pause)
        self.facts, findings = await diagnose(args, self.environment(), timing, self.now)
        for finding in findings:
            assert (finding.status is Status.OK) == (not finding.why), finding
            if finding.status in (Status.PROBLEM, Status.WARNING):
                assert finding.fix is not None, finding
            json.dumps(dict(finding.facts))
        return findings

    # --- following a fix

    def follow(self, fix: Fix) -> None:
        """Do what it says."""
        missing = False
        for line in fix.command.splitlines():
            missing = self._run(shlex.split(line)) or missing
        if fix.yaml:
            self._apply(yaml.safe_load(fix.yaml), missing)

    def _run(self, words: list[str]) -> bool:
        """Run one command; whether it answered NotFound."""
        match words:
            case ["peerdisco", "doctor", *rest]:
                self.words = rest
            case ["unset", variable]:
                self.pod["env"].pop(variable, None)
            case ["timedatectl", "set-ntp", "true"]:
                self.now = None
            case ["kubectl", "patch", "service", name, "--namespace", space, "--type", "merge",
                  "--patch", patch]:  # fmt: skip
                return not self._patch(name, space, json.loads(patch)["spec"])
            case ["kubectl", "get", "statefulsets", *_]:
                self.printed.append(f"mysql {self.governing}")
            case ["kubectl", "get", "service", "kube-dns", *_]:
                self.printed.append(CLUSTER_DNS)
            case ["kubectl", verb, *_] if verb in READ_ONLY:
                pass
            case _:
                raise AssertionError(f"a fix says {words}")
        return False

    def _patch(self, name: str, namespace: str, spec: dict[str, Any]) -> bool:
        cluster = self.dns.cluster
        service = cluster._services.get((namespace, name))
        if service is None:
            return False
        if "publishNotReadyAddresses" in spec:
            service = replace(service, publish_not_ready_addresses=spec["publishNotReadyAddresses"])
        if "ports" in spec:
            ports = tuple(ServicePort(p["name"], p["port"]) for p in spec["ports"])
            service = replace(service, ports=ports)
        with cluster.changing():
            cluster._services[namespace, name] = service
        if spec.get("ipFamilyPolicy") == "PreferDualStack":
            self.dual_stack()
        return True

    def _apply(self, part: dict[str, Any], missing: bool) -> None:
        if part.get("kind") == "Service":
            if missing or part["metadata"]["name"] in self.dns.not_headless:
                self._create(part)
            return
        for variable in part.pop("env", []):
            source = variable.get("valueFrom")
            self.pod["env"][variable["name"]] = (
                {"fieldPath": source["fieldRef"]["fieldPath"]} if source else variable["value"]
            )
        for rule in part.pop("egress", []):
            for port in rule["ports"]:
                assert port["port"] == 53
                self.blocked.pop(port["protocol"], lambda: None)()
        self.pod |= part

    def _create(self, manifest: dict[str, Any]) -> None:
        spec, meta = manifest["spec"], manifest["metadata"]
        assert spec["clusterIP"] == "None"
        self.dns.not_headless.pop(meta["name"], None)
        ports = {port["name"]: port["port"] for port in spec["ports"]}
        publish = spec["publishNotReadyAddresses"]
        self.dns.service(meta["name"], meta["namespace"], ports, publish)
        self.dns.cluster.put_behind(meta["name"], meta["namespace"], self.mysql)


def one(findings: Iterable[Finding], check: str, status: Status) -> Finding:
    """The first finding of this check with this status."""
    found = [finding for finding in findings if finding.check == check]
    matching = [finding for finding in found if finding.status is status]
    assert matching, found or [f.check for f in findings]
    return matching[0]


def wrong(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.status is not Status.OK]


def status_of(findings: tuple[Finding, ...]) -> int:
    return exit_status(findings)


def later(seconds: float) -> float:
    """A time that is this far from the present."""
    return time.time() + seconds


def address(text: str) -> Any:
    return ip_address(text)
