"""What people decided on held calls, so that the same call passes when it is repeated."""

import asyncio
from collections.abc import Iterable, Mapping

from policies.facts import COUNTER_PREFIX, known_at, spec_of
from policies.model import Fact, Gate
from proxy.enforce import facts_of_leaf
from proxy.ledger.entry import DecisionEntry, JudgementEntry
from proxy.services import Clearance
from proxy.store.bodies import Absent, Opening, open_seal
from proxy.store.queries import cleared_requests, judgements_of
from proxy.store.session import Database

__all__ = ["Clearances"]


class Clearances:
    """Finds the clearance of a repeated call: the same facts and the same bytes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, facts: Mapping[str, Fact], body: bytes) -> Clearance | None:
        """The last clearance of a held call with these facts and bytes, if a person gave one.

        Without bytes no call can be told from another: an upload's come after it was decided on.
        Counters are left out of `facts`: each call has numbers of its own.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        return await asyncio.to_thread(self._find, facts, body)

    def _find(self, facts: Mapping[str, Fact], body: bytes) -> Clearance | None:
        if not body:
            return None
        project = str(facts.get("project", ""))
        with self._database.read() as connection:
            for item in reversed(cleared_requests(connection, project)):
                call = item.call.entry
                if _without_counters(facts_of_leaf(call.facts)) != facts:
                    continue
                if _is_of(open_seal(connection, call.request.seal), body):
                    said = judgements_of(connection, item.exchange)
                    return _clearance(item.clearance.entry, [one.entry for one in said])
        return None


def _without_counters(facts: Mapping[str, Fact]) -> dict[str, Fact]:
    return {name: fact for name, fact in facts.items() if not name.startswith(COUNTER_PREFIX)}


def _is_of(opening: Opening | Absent, body: bytes) -> bool:
    """Whether what was sealed are these bytes; once it is erased nobody can say so any more."""
    return isinstance(opening, Opening) and opening.data == body


def _clearance(said: DecisionEntry, judged: Iterable[JudgementEntry]) -> Clearance:
    facts = {
        name: value
        for judgement in judged
        for name, value in facts_of_leaf(judgement.facts).items()
        if _is_of_request(name)
    }
    return Clearance(entry=said.id, rules=frozenset(said.clears), facts=facts)


def _is_of_request(name: str) -> bool:
    """Whether a fact is known before there is an answer: of an answer to come nobody knows any."""
    spec = spec_of(name)
    return spec is not None and known_at(spec, Gate.REQUEST)
