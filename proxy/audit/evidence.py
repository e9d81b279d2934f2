"""What questions are answered from, gathered in one pass over the entries.

Exchanges that are alike are counted together, so that a million of them fit in the memory; all other
entries are kept as they are.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from proxy.audit.holding import Holding
from proxy.ledger.canonical import Json
from proxy.ledger.leaf import Leaf

__all__ = ["Alike", "Evidence", "Learned", "Mention", "Tally", "Word", "gather", "merge_into"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What a gate said: its decision without the times."""

    verdict: str
    bundle: str
    by: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    clauses: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    grants: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike:
    """What exchanges that are counted together have in common."""

    day: str
    """Of the call, UTC: `2026-11-24`."""
    route: str
    provider: str
    asked: str
    model: str
    """That answered; empty where the answer does not say."""
    project: str
    student: str
    key: str
    outcome: str
    """`under way` for a call without an exchange."""
    request: Word | None
    response: Word | None
    is_imported: bool = False
    """Whether it did not come through the proxy."""


@dataclass(frozen=True, slots=True)
class Mention:
    """One exchange: its id, when it was called, and the place of its entry."""

    id: str
    at: str
    seq: int


@dataclass(slots=True)
class Tally:
    """How many there are, and the first and last of them."""

    first: Mention
    last: Mention
    count: int = 0
    input: int = 0
    output: int = 0
    silent_usage: int = 0
    """Answers that did not say how many tokens they took."""

    def add(self, mention: Mention) -> None:
        """Count one."""
        self.count += 1
        if mention.at < self.first.at:
            self.first = mention
        if mention.at >= self.last.at:
            self.last = mention

    def merge(self, other: "Tally") -> None:
        """Count all that another has."""
        self.count += other.count
        self.input += other.input
        self.output += other.output
        self.silent_usage += other.silent_usage
        self.first = min(self.first, other.first, key=lambda mention: mention.at)
        self.last = max(self.last, other.last, key=lambda mention: mention.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What examples that are counted together have in common."""

    dataset: str
    student: str
    provider: str
    route: str
    model: str
    licence: str
    project: str
    clauses: tuple[str, ...]
    terms: tuple[str, ...]
    grants: tuple[str, ...]
    duties: tuple[str, ...]
    approved_by: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Evidence:
    """All that a question may rest on."""

    holding: Holding
    size: int = 0
    """Entries gathered."""
    kept: dict[str, list[Leaf]] = field(default_factory=lambda: defaultdict(list))
    """Entries by kind, but for calls and exchanges."""
    exchanges: dict[Alike, Tally] = field(default_factory=dict)
    examples: dict[Learned, Tally] = field(default_factory=dict)
    providers: Mapping[str, str] = field(default_factory=dict)
    """Who operates each contract."""
    _calls: dict[str, Leaf] = field(default_factory=dict)
    _words: dict[tuple[object, ...], Word] = field(default_factory=dict)

    def of(self, *kinds: str) -> list[Leaf]:
        """The entries of these kinds, in the order of the log."""
        found = [leaf for kind in kinds for leaf in self.kept.get(kind, ())]
        return sorted(found, key=lambda leaf: leaf.seq)

    def take(self, leaf: Leaf) -> None:
        """Take note of the next entry."""
        self.size += 1
        kind = leaf.kind
        if kind == "call":
            self._calls[leaf.id] = leaf
        elif kind == "exchange":
            call = self._calls.pop(leaf.text("call"), None)
            if call is not None:
                self._count(call, leaf)
        else:
            self.kept[kind].append(leaf)

    def learn(self, row: Mapping[str, Json]) -> None:
        """Take note of an example: a row of `tables/examples.parquet`."""
        key = Learned(
            dataset=str(row["dataset"]),
            student=str(row["student"]),
            provider=str(row["provider"]),
            route=str(row["route"]),
            model=str(row["model"]),
            licence=str(row["licence"]),
            project=str(row["project"]),
            clauses=_texts(row["clauses"]),
            terms=_texts(row["terms"]),
            grants=_texts(row["grants"]),
            duties=_texts(row["duties"]),
            approved_by=_texts(row["approved_by"]),
        )
        mention = Mention(str(row["exchange"]), str(row["exchange_at"]), int(str(row["seq"])))
        self.examples.setdefault(key, Tally(mention, mention)).add(mention)

    def close(self) -> "Evidence":
        """Count the calls that are still under way."""
        for call in self._calls.values():
            self._count(call, None)
        self._calls.clear()
        return self

    def _count(self, call: Leaf, end: Leaf | None) -> None:
        facts = call.record("facts") or {}
        answered = (end.record("facts") if end else None) or {}
        route = str(facts.get("route", ""))
        at = call.text("at")
        key = Alike(
            day=at[:10],
            route=route,
            provider=self.providers.get(route, route),
            asked=str(facts.get("model.asked", "")),
            model=str(answered.get("model.id", "")),
            project=str(facts.get("project", "")),
            student=str(call.fields.get("student") or ""),
            key=call.text("key"),
            outcome=end.text("outcome") if end else "under way",
            request=self._word(call),
            response=self._word(end),
            is_imported=call.fields.get("imported") is not None,
        )
        mention = Mention(end.id if end else call.id, at, (end or call).seq)
        tally = self.exchanges.setdefault(key, Tally(mention, mention))
        tally.add(mention)
        usage = (end.record("usage") if end else None) or {}
        tokens = usage.get("input"), usage.get("output")
        tally.input += tokens[0] if isinstance(tokens[0], int) else 0
        tally.output += tokens[1] if isinstance(tokens[1], int) else 0
        tally.silent_usage += tokens == (None, None)

    def _word(self, leaf: Leaf | None) -> Word | None:
        record = leaf.record("decision") if leaf else None
        if record is None:
            return None
        parts = {name: _texts(record.get(name)) for name in _SAID}
        key = (record["verdict"], record["bundle"], *parts.values())
        if key not in self._words:
            self._words[key] = Word(
                verdict=str(record["verdict"]), bundle=str(record["bundle"]), **parts
            )
        return self._words[key]


_SAID = ("by", "silent", "missing", "clauses", "terms", "grants")


def merge_into[K](found: dict[K, Tally], key: K, tally: Tally) -> None:
    """Count a tally under a key."""
    into = found.setdefault(key, Tally(tally.first, tally.last))
    into.merge(tally)


def gather(
    holding: Holding,
    leaves: Iterable[Leaf],
    examples: Iterable[Mapping[str, Json]],
    providers: Mapping[str, str],
) -> Evidence:
    """The evidence that entries and examples give."""
    found = Evidence(holding=holding, providers=providers)
    for leaf in leaves:
        found.take(leaf)
    for row in examples:
        found.learn(row)
    return found.close()


def _texts(value: Json) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()
