"""Lineage: which exchanges and sources contributed to an exchange, as the ledger has them.

Parents are those that the call names, and where a provider holds the conversation the answer that
it goes on from; theirs count too. A verifier finds the same among the leaves of a bundle
(`proxy.ledger.contributors`).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from proxy.ledger.contributors import Family, call_of, reach
from proxy.ledger.entry import CallEntry, Entry, ExchangeEntry, SourceEntry, exchange_of
from proxy.ledger.imported import import_problem
from proxy.store.queries import (
    decisions_of,
    entries,
    exchange_with_call,
    imports,
    judgements_of,
    sources,
)
from proxy.store.records import Candidate, RecordedExchange, StoredEntry
from proxy.store.session import Reading

__all__ = ["Lineage", "Relative", "children_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Relative:
    """An exchange that contributed to another, with all that was said about it."""

    recorded: RecordedExchange
    said: tuple[StoredEntry[Entry], ...]

    @property
    def entries(self) -> tuple[StoredEntry[Entry], ...]:
        """What a bundle must hold of it."""
        call, end = self.recorded.call, self.recorded.exchange
        found: list[StoredEntry[Entry]] = [StoredEntry(call.seq, call.leaf, call.entry)]
        if end is not None:
            found.append(StoredEntry(end.seq, end.leaf, end.entry))
        return (*found, *self.said)


class Lineage:
    """Reads who contributed to what through one connection, each exchange once."""

    def __init__(self, connection: Reading) -> None:
        self._connection = connection
        self._relatives: dict[str, Relative | None] = {}
        self._answers: dict[str, list[str]] | None = None
        self._sources: dict[str, StoredEntry[SourceEntry]] | None = None
        self._imports: Mapping[str, str] | None = None

    def of(self, exchange: str) -> Family:
        """All that contributed to an exchange; what is not on record is named as well."""
        found = reach(exchange, self._parents)
        calls = [
            each.recorded.call.entry for each in map(self.relative, {exchange, *found}) if each
        ]
        named = {source for call in calls for source in call.sources}
        return Family(exchanges=tuple(sorted(found)), sources=tuple(sorted(named)))

    def relative(self, exchange: str) -> Relative | None:
        """One exchange; None where it is not on record."""
        if exchange not in self._relatives:
            self._relatives[exchange] = self._read(exchange)
        return self._relatives[exchange]

    def candidate(self, exchange: str) -> Candidate | None:
        """An exchange as a dataset considers it; None where it is not complete and whole."""
        found = self.relative(exchange)
        if found is None or found.recorded.exchange is None:
            return None
        end = found.recorded.exchange
        if end.entry.outcome != "complete" or not end.entry.is_whole:
            return None
        return Candidate(
            call=found.recorded.call,
            exchange=end,
            decisions=decisions_of(self._connection, end.entry.id),
            judgements=judgements_of(self._connection, end.entry.id),
        )

    def continued(self) -> Iterator[str]:
        """The exchanges that go on from an answer that the provider holds."""
        return (end.id for end in self._every_exchange() if end.continues is not None)

    def is_usable(self, source: str) -> bool:
        """Whether what a `source` entry says, and the last word on the same source, allow learning."""
        known = self._known_sources()
        then = known.get(source)
        if then is None:
            return False
        last = [each.entry for each in known.values() if each.entry.source == then.entry.source][-1]
        return then.entry.may_train and last.may_train and last.action == "declare"

    def duties(self, source: str) -> list[str]:
        """The duties that a source comes with."""
        found = self._known_sources().get(source)
        return [] if found is None else found.entry.duties

    def import_problem(self, batch: str) -> str:
        """Why nothing of an import may be learned today: a slug, empty where it may."""
        if self._imports is None:
            said = [item.entry for item in imports(self._connection)]
            self._imports = {
                each.batch: import_problem(
                    each.origin,
                    each.evidence,
                    [one.action for one in said if one.batch == each.batch],
                )
                for each in said
            }
        return self._imports.get(batch, "import-unknown")

    def _known_sources(self) -> dict[str, StoredEntry[SourceEntry]]:
        if self._sources is None:
            self._sources = {item.entry.id: item for item in sources(self._connection)}
        return self._sources

    def _read(self, exchange: str) -> Relative | None:
        recorded = _recorded(self._connection, exchange)
        if recorded is None:
            return None
        said: list[StoredEntry[Entry]] = []
        if recorded.exchange is not None:
            id_ = recorded.exchange.entry.id
            decisions = decisions_of(self._connection, id_)
            judgements = judgements_of(self._connection, id_)
            said += [StoredEntry(one.seq, one.leaf, one.entry) for one in decisions]
            said += [StoredEntry(one.seq, one.leaf, one.entry) for one in judgements]
        return Relative(recorded=recorded, said=tuple(said))

    def _parents(self, exchange: str) -> list[str]:
        found = self.relative(exchange)
        if found is None:
            return []
        call, end = found.recorded.call.entry, found.recorded.exchange
        named = list(call.parents)
        if end is not None and end.entry.continues is not None:
            before = self._answers_of(call, end.entry.continues)
            named += before or [f"{exchange}:continues"]
        return named

    def _answers_of(self, call: CallEntry, response: str) -> list[str]:
        """The exchanges of the same contract whose answer has a provider's id."""
        if self._answers is None:
            self._answers = {}
            for entry in self._every_exchange():
                if entry.response_id is not None:
                    self._answers.setdefault(entry.response_id, []).append(entry.id)
        route = call.facts.get("route")
        named = self._answers.get(response, [])
        return [
            id_
            for id_, found in ((id_, self.relative(id_)) for id_ in named)
            if found is not None and found.recorded.call.entry.facts.get("route") == route
        ]

    def _every_exchange(self) -> Iterator[ExchangeEntry]:
        after = -1
        while page := entries(self._connection, after=after, kind="exchange"):
            for item in page:
                if isinstance(item.entry, ExchangeEntry):
                    yield item.entry
            after = page[-1].seq


def children_of(connection: Reading, exchanges: Collection[str]) -> frozenset[str]:
    """The exchanges that were made from these, theirs too; the log is read through.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    made_from: dict[str, list[str]] = {}
    lineage = Lineage(connection)
    after = -1
    while page := entries(connection, after=after, kind="call"):
        for item in page:
            if isinstance(item.entry, CallEntry):
                for parent in item.entry.parents:
                    made_from.setdefault(parent, []).append(exchange_of(item.entry.id))
        after = page[-1].seq
    for end in lineage.continued():
        for parent in lineage.of(end).exchanges:
            made_from.setdefault(parent, []).append(end)
    return frozenset(_reach_down(exchanges, made_from)) - frozenset(exchanges)


def _reach_down(roots: Iterable[str], made_from: Mapping[str, Iterable[str]]) -> set[str]:
    """All that is reached from these by what was made from each."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        for child in made_from.get(waiting.pop(), ()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


def _recorded(connection: Reading, exchange: str) -> RecordedExchange | None:
    """An exchange, also one that is under way: of that there is the call alone."""
    found = exchange_with_call(connection, exchange)
    return exchange_with_call(connection, call_of(exchange)) if found is None else found
