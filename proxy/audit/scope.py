"""What an audit is about: some of the log's exchanges, and all that belongs to them."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from proxy.ledger.canonical import Json
from proxy.ledger.contributors import call_of
from proxy.ledger.leaf import Leaf, named_digests

__all__ = ["Chosen", "Scope", "choose"]

_ALWAYS = frozenset({"open", "key", "grant", "source", "import"})
"""Kinds of which every entry is in every audit: few, and each may take back an earlier one."""

_NARROWING = ("student", "dataset", "project", "provider", "since", "until", "exchange")
_DOCUMENTS = frozenset({"policy", "terms"})
_DATASETS = frozenset({"dataset", "run", "release", "status", "export", "erase", "hold"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What an audit is about: all that is given must hold; without anything, the whole log."""

    student: str | None = None
    """Only what this student's datasets took."""
    dataset: str | None = None
    """Only what this dataset took."""
    project: str | None = None
    provider: str | None = None
    routes: frozenset[str] = frozenset()
    """The contracts of the provider: what a `call` entry names."""
    since: str | None = None
    """Only calls of this ledger stamp or later."""
    until: str | None = None
    """Only calls before this ledger stamp."""
    exchange: str | None = None
    """Only this exchange, by its id or that of its call."""
    is_metadata_only: bool = False

    @property
    def named(self) -> dict[str, str]:
        """What narrows the scope, by name."""
        given = {name: getattr(self, name) for name in _NARROWING}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def is_whole(self) -> bool:
        """Whether the scope is the whole log."""
        return not self.named

    @property
    def query(self) -> dict[str, str]:
        """The scope as the `export` entry commits to it."""
        found = {"scope": ", ".join(self.named) or "whole log", **self.named}
        if self.provider is not None:
            found["routes"] = ", ".join(sorted(self.routes))
        return found | {"bodies": "none" if self.is_metadata_only else "examples"}

    def admits_call(self, call: Leaf) -> bool:
        """Whether a call is of the project, the provider and the time asked for."""
        facts = call.record("facts") or {}
        at = call.text("at")
        return (
            (self.project is None or facts.get("project") == self.project)
            and (self.provider is None or facts.get("route") in self.routes)
            and (self.since is None or at >= self.since)
            and (self.until is None or at < self.until)
            and self.exchange in (None, call.id, call_of(call.id))
        )

    def admits_dataset(self, dataset: Leaf) -> bool:
        """Whether a dataset is the one asked for, or of the student asked for."""
        return (self.student is None or dataset.text("student") == self.student) and (
            self.dataset is None or self.dataset in (dataset.id, dataset.text("dataset"))
        )

    def admits_example(self, row: Mapping[str, Json]) -> bool:
        """Whether an example is of the student and the dataset asked for."""
        return self.student in (None, row["student"]) and self.dataset in (None, row["dataset"])


@dataclass(slots=True, kw_only=True)
class Chosen:
    """Which entries a scope holds, by their places in the log."""

    seqs: set[int] = field(default_factory=set)
    exchanges: set[str] = field(default_factory=set)
    datasets: set[str] = field(default_factory=set)
    """Ids and roots of datasets, and ids of the runs that learned from them."""
    named: set[tuple[str, str]] = field(default_factory=set)
    """The documents that its entries name: folder and digest."""

    def add(self, leaf: Leaf) -> None:
        """Choose an entry, and the documents that it names."""
        self.seqs.add(leaf.seq)
        self.named.update(named_digests(leaf))

    def has_example(self, row: Mapping[str, Json]) -> bool:
        """Whether an example is one of a chosen dataset and of a chosen exchange."""
        return row["dataset"] in self.datasets and row["exchange"] in self.exchanges

    def __contains__(self, leaf: Leaf) -> bool:
        """Whether an entry was chosen."""
        return leaf.seq in self.seqs


type Relatives = Callable[[str], Iterable[Leaf]]
"""The entries of all that contributed to an exchange."""


def choose(
    scope: Scope,
    leaves: Iterable[Leaf],
    examples: Iterable[Mapping[str, Json]],
    relatives: Relatives | None = None,
) -> Chosen:
    """The entries of a scope among leaves in the order of the log, with all that they name.

    `examples` are all that datasets took: rows of `tables/examples.parquet`.
    """
    taken: dict[str, set[str]] = {}
    for row in examples:
        if scope.admits_example(row):
            taken.setdefault(str(row["dataset"]), set()).add(str(row["exchange"]))
    chooser = _Chooser(scope, taken)
    for leaf in leaves:
        chooser.consider(leaf)
    return chooser.settle(relatives)


class _Chooser:
    """Considers entries one after the other; those named by later ones are settled at the end."""

    def __init__(self, scope: Scope, taken: Mapping[str, Collection[str]]) -> None:
        self._scope = scope
        self._taken = taken
        self._learned = {name for names in taken.values() for name in names}
        self._is_of_datasets = scope.student is not None or scope.dataset is not None
        self._chosen = Chosen()
        self._descended: set[str] = set()
        self._held: set[str] = set()
        """What holds may be named after: the projects, contracts and students of chosen calls."""
        self._documents: list[Leaf] = []
        self._datasets: list[Leaf] = []

    def consider(self, leaf: Leaf) -> None:
        """Choose an entry, pass over it, or keep it until the end."""
        kind = leaf.kind
        if kind in _DOCUMENTS:
            self._documents.append(leaf)
        elif kind in _DATASETS:
            self._datasets.append(leaf)
        elif self._belongs(kind, leaf):
            self._chosen.add(leaf)

    def settle(self, relatives: Relatives | None) -> Chosen:
        """All that was chosen, closed."""
        for leaf in self._datasets:
            self._settle_dataset(leaf)
        for exchange in sorted(self._descended) if relatives else ():
            for leaf in relatives(exchange) if relatives else ():
                self._chosen.add(leaf)
        for leaf in self._documents:
            if self._chosen.named.intersection(named_digests(leaf)):
                self._chosen.add(leaf)
        return self._chosen

    def _belongs(self, kind: str, leaf: Leaf) -> bool:
        exchanges = self._chosen.exchanges
        match kind:
            case "call":
                return self._takes_call(leaf)
            case "exchange":
                if leaf.id in exchanges and leaf.fields.get("continues") is not None:
                    self._descended.add(leaf.id)
                return leaf.id in exchanges
            case "decision" | "judgement":
                return leaf.text("exchange") in exchanges
            case _:
                return kind in _ALWAYS

    def _takes_call(self, leaf: Leaf) -> bool:
        exchange = call_of(leaf.id)
        is_taken = not self._is_of_datasets or exchange in self._learned
        if not is_taken or not self._scope.admits_call(leaf):
            return False
        self._chosen.exchanges.add(exchange)
        facts = leaf.record("facts") or {}
        self._held |= {
            str(facts.get("project")),
            str(facts.get("route")),
            str(leaf.fields["student"]),
        }
        if leaf.texts("parents"):
            self._descended.add(exchange)
        return True

    def _settle_dataset(self, leaf: Leaf) -> None:
        """Choose a dataset in scope, and the runs, states, erasures and holds that are about it."""
        chosen = self._chosen
        if leaf.kind == "dataset":
            took = chosen.exchanges.intersection(self._taken.get(leaf.text("dataset"), ()))
            if self._scope.admits_dataset(leaf) and (took or self._is_of_datasets):
                chosen.datasets |= {leaf.id, leaf.text("dataset"), leaf.text("root")}
                chosen.add(leaf)
        elif leaf.kind == "run" and chosen.datasets.intersection(leaf.texts("datasets")):
            chosen.datasets |= {leaf.id, leaf.text("run")}
            chosen.add(leaf)
        elif self._is_wide_hold(leaf) or not (chosen.datasets | chosen.exchanges).isdisjoint(
            _subjects(leaf)
        ):
            chosen.add(leaf)

    def _is_wide_hold(self, leaf: Leaf) -> bool:
        """Whether a hold covers more than one exchange or dataset, and may cover a chosen one."""
        # A provider's name may be of several contracts: only registries know which.
        is_wide = leaf.kind == "hold" and leaf.text("scope") not in ("exchange", "dataset")
        return is_wide and (
            leaf.text("scope") in ("everything", "provider") or leaf.text("subject") in self._held
        )


def _subjects(leaf: Leaf) -> Iterator[str]:
    """What a release, a status, an erasure or a hold is about."""
    for name in ("run", "dataset", "root", "subject"):
        yield leaf.text(name)
    for name in ("exchanges", "runs", "datasets", "deleted"):
        yield from leaf.texts(name)
    yield from leaf.record("copies") or ()
