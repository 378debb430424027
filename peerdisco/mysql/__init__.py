"""MySQL and MariaDB replication from a StatefulSet's ordinals, without losing data.

The primary is ordinal 0 and nobody else; replicas follow it by its name. Nothing here needs a
particular driver: a server is anything with ``async execute(sql) -> rows`` (`Executor`);
`peerdisco.mysql.aiomysql` adapts one.

`read_facts` asks a server what it is; `judge_primary` and `judge_replica` decide over such facts
what it may become, and `ensure_primary` and `ensure_replica` make it that. The command
``peerdisco mysql-sidecar`` does all of it, for as long as the pod runs.
"""

from __future__ import annotations

from .decisions import Unanswered, judge_primary, judge_replica, probe_of
from .dialects import ReplicationSource, SourceTrust
from .ensure import Ensured, ensure_account, ensure_closed, ensure_primary, ensure_replica, nudge
from .errors import Action, DatabaseError, classify
from .facts import ClusterRow, Executor, ServerFacts, read_facts
from .history import Epoch, Heartbeat, History
from .literals import literal
from .positions import Position
from .reasons import ServerReasonCode
from .setup import Account, accounts_sql, render_config, server_id
from .status import Receiver, ReplicaStatus
from .versions import Flavour, Version

__all__ = [
    "Account",
    "Action",
    "ClusterRow",
    "DatabaseError",
    "Ensured",
    "Epoch",
    "Executor",
    "Flavour",
    "Heartbeat",
    "History",
    "Position",
    "Receiver",
    "ReplicaStatus",
    "ReplicationSource",
    "ServerFacts",
    "ServerReasonCode",
    "SourceTrust",
    "Unanswered",
    "Version",
    "accounts_sql",
    "classify",
    "ensure_account",
    "ensure_closed",
    "ensure_primary",
    "ensure_replica",
    "judge_primary",
    "judge_replica",
    "literal",
    "nudge",
    "probe_of",
    "read_facts",
    "render_config",
    "server_id",
]
