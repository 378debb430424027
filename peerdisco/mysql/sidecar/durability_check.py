"""Semi-synchronous replication on the pod's own server, and the settings that durability needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..dialects import Step
from ..durability import Durability, DurabilityFacts, status_query, variables_query
from ..ensure import do_steps
from ..errors import DatabaseError
from ..facts import Executor, ServerFacts
from .report import Problem, ProblemCode

__all__ = ["DurabilityCheck"]


class DurabilityCheck:
    """Reads the settings of the pod's own server, and has its commits wait where they have to.

    Args:
        name: What to call the pod's own server in an error.
        wanted: When transactions are to be acknowledged; None for what the server's own
            configuration says.
    """

    def __init__(self, name: str, wanted: Durability | None) -> None:
        self._name = name
        self._wanted = wanted
        self.facts: DurabilityFacts | None = None
        """What was read last; None before that."""

    async def read(self, server: Executor, own: ServerFacts) -> None:
        """Read the settings.

        Raises:
            DatabaseError: The server did not answer.
        """
        variables = await self._ask(server, variables_query(own.flavour))
        status = await self._ask(server, status_query(own.flavour))
        self.facts = DurabilityFacts.of(own.flavour, variables, status)

    async def _ask(self, server: Executor, sql: str) -> Mapping[str, str]:
        try:
            rows: Sequence[Mapping[str, object]] = await server.execute(sql)
        except Exception as error:
            raise DatabaseError.of(error, self._name, "asking for its durability") from error
        return {str(row["Variable_name"]).lower(): str(row["Value"]) for row in rows}

    @property
    def _is_wanted(self) -> bool:
        facts = self.facts
        if self._wanted is not None:
            return self._wanted is Durability.SEMI_SYNC
        return facts is not None and facts.configured

    @property
    def refusal(self) -> str | None:
        """Why the server must not be opened; None if nothing speaks against it."""
        facts = self.facts
        if not self._is_wanted or facts is None or (facts.supported and facts.configured):
            return None
        return (
            "semi-synchronous replication is wanted, and the server is not configured for it: "
            "'peerdisco mysql-setup config --durability semi-sync' prints the configuration"
        )

    @property
    def before_open(self) -> tuple[Step, ...]:
        """The steps after which the server may be opened: its commits wait from then on."""
        if self.facts is None:
            return ()
        if not self.before_epoch and (self.facts.waits or not self._is_wanted):
            return ()
        return self._enabling(self.facts)

    @staticmethod
    def _enabling(facts: DurabilityFacts) -> tuple[Step, ...]:
        return (Step("enabling semi-synchronous replication", facts.set_waiting(True)),)

    @property
    def before_epoch(self) -> tuple[Step, ...]:
        """The steps after which a closed server may begin an epoch without waiting for a replica.

        None may come before it is open: after a reset of the log, each needs a copy. Clients write
        nothing meanwhile, and a replica that has what they write later has the epoch, too. Where a
        commit waits already, it must not be taken for acknowledged.
        """
        if self.facts is None or not self.facts.waits or self.facts.waiting:
            return ()
        doing = "beginning an epoch without waiting for a replica"
        return (Step(doing, self.facts.set_waiting(False)),)

    async def correct(self, server: Executor, own: ServerFacts) -> tuple[str, ...]:
        """Correct the waiting of a server that is in its role already; what was done.

        Raises:
            DatabaseError: The statement was refused, or the server did not answer.
        """
        steps: tuple[Step, ...] = ()
        if not self._is_wanted or self.facts is None:
            return ()
        if own.status is not None and self.facts.waits:
            # It would wait for acknowledgements of what it applies, and nobody replicates from it.
            doing = "disabling the waiting of a replica"
            steps = (Step(doing, self.facts.set_waiting(False)),)
        elif own.status is None and not own.read_only and not (self.facts.waits or self.refusal):
            steps = self._enabling(self.facts)
        done = await do_steps(server, self._name, steps)
        if done:
            await self.read(server, own)
        return done

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is weaker than it should be."""
        if self.facts is None:
            return ()
        weak = [Problem(ProblemCode.DURABILITY, text) for text in self.facts.weaknesses()]
        if self.refusal is not None:
            weak.append(Problem(ProblemCode.DURABILITY, self.refusal))
        short = [Problem(ProblemCode.SEMI_SYNC, text) for text in self.facts.shortfalls()]
        return (*weak, *short)
