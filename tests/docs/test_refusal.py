"""The refusal that the README shows is one that the sidecar says."""

from __future__ import annotations

import re
from dataclasses import replace

from peerdisco.mysql.decisions import judge_primary
from peerdisco.mysql.facts import ClusterRow
from tests.docs.markdown import ROOT
from tests.unit.mysql.servers import facts
from tests.unit.primary.test_verdicts import me, seen


def test_the_readme_shows_what_the_sidecar_says() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^peerdisco: (refused: .*)$", readme, re.MULTILINE)
    (cluster,) = re.findall(r"the cluster ([-0-9a-f]{36})", shown)
    identity = replace(me("mysql-0", "10.0.0.1"), statefulset="mysql")
    verdict = judge_primary(
        facts(),
        {"mysql-1": facts(cluster=ClusterRow(cluster, from_blank=True))},
        seen("mysql-0=10.0.0.1", "mysql-1=10.0.0.2", identity=identity),
        identity,
        first_start=True,
    )
    assert str(verdict) == shown
