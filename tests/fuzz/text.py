"""The pod's files and variables, names, and arguments: text that people and the kubelet write."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import ip_address

from peerdisco import cli, names
from peerdisco.cli import peer_finder
from peerdisco.cli.exit_status import WRONG
from peerdisco.exceptions import DiscoveryError
from peerdisco.pod.environment import PodEnvironment
from peerdisco.pod.hosts_file import own_line
from peerdisco.pod.identity import local_identity
from peerdisco.pod.resolv_conf import parse_resolv_conf
from peerdisco.pod.settings import find_nameservers

from .target import Target

RESOLV_CONF = b"""\
search shop.svc.cluster.local svc.cluster.local cluster.local
nameserver 10.96.0.10
nameserver fd00::a%eth0
options ndots:5 use-vc
"""
HOSTS = b"""\
# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
10.244.0.3\tmysql-0.my-database.shop.svc.cluster.local\tmysql-0
fd00::3\tmysql-0.my-database.shop.svc.cluster.local\tmysql-0

# Entries added by HostAliases.
10.0.0.9\tbackup
"""
NODE_HOSTS = HOSTS.replace(b"file.", b"file (host network).")
ENVIRONMENT = b"""\
POD_NAME=mysql-0
POD_NAMESPACE=shop
PEERDISCO_NAMESPACE=shop
POD_IPS=10.244.0.3,fd00::3
POD_INDEX=0
PEERDISCO_SERVICE=my-database
PEERDISCO_CLUSTER_DOMAIN=cluster.local
PEERDISCO_NAMESERVERS=10.96.0.10:53,[fd00::a]:53
KUBERNETES_SERVICE_HOST=10.96.0.1
"""
JOB = b"POD_NAME=work-3-x7k2p\nJOB_COMPLETION_INDEX=3\nPOD_NAMESPACE=shop\n"


def as_text(data: bytes) -> str:
    """The text as Python reads files and arguments: what is not UTF-8 is kept."""
    return data.decode("utf-8", "surrogateescape")


def accepted(read: Callable[[], object]) -> bool:
    """Whether it was read; False if it was refused with an error of the project, on one line."""
    try:
        read()
    except DiscoveryError as error:
        refusal = str(error)
    else:
        return True
    assert refusal.isprintable(), f"not one printable line: {refusal!r}"
    return False


def read_resolv_conf(data: bytes) -> bool:
    conf = parse_resolv_conf(as_text(data))
    assert len(conf.nameservers) <= 3
    for server in conf.nameservers:
        ip_address(server.address)
    return bool(conf.nameservers or conf.search)


def read_hosts(data: bytes) -> bool:
    lines = tuple(as_text(data).split("\n"))
    return accepted(lambda: own_line(lines)) and own_line(lines) is not None


def pod_of(data: bytes) -> PodEnvironment:
    """A pod of which the three parts of the input are the variables, resolv.conf and hosts."""
    variables, conf, hosts = (*as_text(data).split("\f", 2), "", "")[:3]
    pairs = [line.partition("=") for line in variables.split("\n") if "=" in line]
    return PodEnvironment(
        environ={name: value for name, _, value in pairs},
        hostname={name: value for name, _, value in pairs}.get("HOSTNAME", "mysql-0"),
        resolv_conf=parse_resolv_conf(conf),
        hosts=tuple(hosts.split("\n")),
        service_account_namespace=None,
    )


def read_environment(data: bytes) -> bool:
    pod = pod_of(data)
    found = accepted(lambda: local_identity(pod_environment=pod))
    accepted(lambda: find_nameservers((), pod))
    return found


NAME_READERS: tuple[Callable[[str], object], ...] = (
    names.parse_pod_name,
    names.ordinal_of,
    names.address_with_dashes,
    names.is_pod_name,
    names.is_label,
    names.parse_service,
    names.parse_namespace,
    names.parse_port_name,
    names.parse_protocol,
    names.parse_domain,
    names.parse_nameserver,
    lambda text: names.parse_seconds(text, "interval", text=True),
    lambda text: names.parse_endpoint(text, "address", default_port=3306),
)


def read_name(data: bytes) -> bool:
    text = as_text(data)
    read = [accepted(partial(reader, text)) for reader in NAME_READERS]  # each of them
    return any(read)


COMMANDS = tuple(
    line.encode().replace(b" ", b"\n")
    for line in (
        "peers my-database --namespace shop --statefulset mysql -o json --timeout 5",
        "primary my-database --ordinal 1 --port-name mysql --protocol tcp -o hostnames",
        "is-primary my-database --ordinal 1",
        "whoami -o json",
        "wait my-database --required 3 --timeout 0.5",
        "watch my-database --interval 2 --leave-after 5 -o json",
        "run my-database --on-change=/bin/true --on-start=/bin/true --grace 3 --stdin json",
        "mysql-sidecar my-database --port 3306 --socket /run/mysqld.sock --replicas 3",
        "mysql-setup accounts --flavour mysql",
        "mysql-setup config --flavour mariadb",
        "simulate --replicas 5",
    )
)


def read_arguments(data: bytes) -> bool:
    """Parse a command line of ``peerdisco``, without running it."""
    arguments = as_text(data).split("\n")
    commands = arguments[:1] if arguments[0] in cli._COMMANDS else cli._COMMANDS
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli._parser(commands).parse_args(arguments)
        except SystemExit as end:
            status = end.code
        else:
            return True
    assert status in (0, WRONG), f"status {status}"
    return status == 0


PEER_FINDER = (
    b"-on-start=/on-start.sh\n-service=galera\n-ns=shop\n-domain=cluster.local",
    b"-on-change\n/on-change.sh\n--service\ngalera\n-v=2\n-address-type=DNS",
    b"-service=x\n-on-change=y\n-dns-suffix=svc.cluster.local\n-logtostderr",
)


def read_peer_finder(data: bytes) -> bool:
    """Read the flags of ``peer-finder``, and translate them."""
    try:
        given, _ = peer_finder.parse_flags(as_text(data).split("\n"))
        if given is not None:
            peer_finder.run_call(given, lambda _: None)
    except peer_finder._UsageError:
        return False
    return True


@contextlib.contextmanager
def in_a_bare_environment() -> Iterator[None]:
    """Without variables, so that nothing but the input decides."""
    saved = dict(os.environ)
    os.environ.clear()
    os.environ["PATH"] = saved.get("PATH", "")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(saved)


def names_corpus() -> tuple[bytes, ...]:
    return (
        *(b"mysql-0", b"db-2147483647", b"10-244-0-3", b"fd00--3", b"my-database"),
        *(b"my-database.shop.svc.cluster.local", b"db.shop", b"_mysql._tcp.db.shop.svc.x"),
        *(b"10.96.0.10:53", b"[fd00::a]:53", b"fd00::a", b"mysql", b"sctp", b"1.5", b"30"),
        *(b"db.shop.svc.clusterset.local.", b"east.db.shop.svc.clusterset.local", b"8080"),
    )


RESOLV_CONFS = Target(
    "resolv-conf",
    lambda: (RESOLV_CONF, b"nameserver 127.0.0.53\ndomain corp.example\n"),
    read_resolv_conf,
    (b"nameserver ", b"search ", b"domain ", b"options ", b"use-vc", b"\\# ", b";"),
)
HOSTS_FILES = Target("hosts", lambda: (HOSTS, NODE_HOSTS), read_hosts, (b"localhost", b"svc"))
ENVIRONMENTS = Target(
    "environment",
    lambda: (
        b"\f".join((ENVIRONMENT, RESOLV_CONF, HOSTS)),
        b"\f".join((JOB, RESOLV_CONF, b"")),
        b"\f".join((b"HOSTNAME=mysql-0\n", RESOLV_CONF, NODE_HOSTS)),
    ),
    read_environment,
    (b"POD_NAME=", b"POD_IP=", b"POD_INDEX=", b"HOSTNAME=", b"svc", b"\f"),
)
NAMES = Target("names", names_corpus, read_name, (b"svc", b"_tcp", b"[", b"]", b"cluster.local"))
ARGUMENTS = Target(
    "arguments",
    lambda: COMMANDS,
    read_arguments,
    (b"--", b"--timeout", b"--interval", b"-o"),
    largest=1 << 12,  # argparse takes longer for thousands of them, which nobody else can give
)
PEER_FINDER_FLAGS = Target(
    "peer-finder", lambda: PEER_FINDER, read_peer_finder, (b"-", b"--", b"-v=", b"-selector=")
)
TARGETS = (RESOLV_CONFS, HOSTS_FILES, ENVIRONMENTS, NAMES, ARGUMENTS, PEER_FINDER_FLAGS)
