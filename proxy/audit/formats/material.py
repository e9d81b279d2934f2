"""What formats are made from: datasets, runs, teachers and grants of an audit, without any text."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

import yaml

from proxy.audit.evidence import Evidence, Learned, Tally
from proxy.audit.holding import LEARNED
from proxy.ledger.canonical import Json
from proxy.ledger.described import Described, Teacher
from proxy.ledger.leaf import Leaf

__all__ = ["EXAMPLES", "Grant", "Material"]

EXAMPLES = "tables/examples.parquet"
"""The table that formats describe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A grant that examples rest on."""

    name: str
    digest: str
    until: str | None
    """When it ends, as RFC 3339 time; None where its text does not say, or is not at hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """The evidence of an audit, its `export` entry, and the digests of its files."""

    evidence: Evidence
    about: Mapping[str, Json]
    """What `export.json` says."""
    digests: Mapping[str, str]
    """sha256 in hex of files of the bundle, by path."""

    @property
    def id(self) -> str:
        """The id of the `export` entry."""
        return str(self.about["subject"])

    @property
    def at(self) -> str:
        """When the audit was made: a ledger stamp."""
        return str(self.about["at"])

    @property
    def origin(self) -> str:
        """The name of the log."""
        return str(self.about["origin"])

    @property
    def datasets(self) -> list[Leaf]:
        """The entries of datasets, in the order of the log."""
        return self.evidence.of("dataset")

    @property
    def runs(self) -> list[Leaf]:
        """The entries of training runs, in the order of the log."""
        return self.evidence.of("run")

    def learned(self, dataset: str | None = None) -> list[tuple[Learned, Tally]]:
        """The examples that are alike, of one dataset or of all, in an order of their own."""
        return sorted(
            (
                (key, tally)
                for key, tally in self.evidence.examples.items()
                if dataset in (None, key.dataset)
            ),
            key=lambda pair: (pair[0].dataset, pair[1].first.seq, repr(pair[0])),
        )

    def teachers(self, dataset: str | None = None) -> dict[Teacher, int]:
        """How many examples are of each teacher, sorted by teacher."""
        found: dict[Teacher, int] = {}
        for key, tally in self.learned(dataset):
            teacher = Teacher(provider=key.provider, model=key.model, licence=key.licence)
            found[teacher] = found.get(teacher, 0) + tally.count
        return dict(sorted(found.items()))

    def datasets_of(self, run: Leaf) -> list[Leaf]:
        """The datasets that a run learned from, of those in the audit."""
        roots = run.fields.get("datasets")
        wanted = set(map(str, roots)) if isinstance(roots, list) else set()
        return [leaf for leaf in self.datasets if leaf.text("root") in wanted]

    def weights(self, run: Leaf) -> dict[str, str]:
        """The weights that a run made: sha256 in hex by file, sorted."""
        return {name: str(digest) for name, digest in sorted((run.record("weights") or {}).items())}

    def state(self, dataset: Leaf) -> str | None:
        """What the last status of a dataset says; None where there is none."""
        said = [
            leaf.text("state")
            for leaf in self.evidence.of("status")
            if leaf.text("dataset") == dataset.text("dataset")
        ]
        return said[-1] if said else None

    def grants(self, dataset: str | None = None) -> list[Grant]:
        """The grants that examples rest on, sorted by name and digest."""
        names = {leaf.text("digest"): leaf.text("name") for leaf in self.evidence.of("grant")}
        wanted = {digest for key, _ in self.learned(dataset) for digest in key.grants}
        found = [
            Grant(name=names.get(digest, digest), digest=digest, until=self._until(digest))
            for digest in wanted
        ]
        return sorted(found, key=lambda grant: (grant.name, grant.digest))

    def described(self) -> Described:
        """The table of examples of this audit."""
        learned = [key for key, _ in self.learned()]
        until = [leaf.text("valid_until") for leaf in self.datasets]
        return Described(
            name=f"audit-{self.id}",
            at=self.at,
            subject=self.id,
            students=tuple(sorted({key.student for key in learned})),
            teachers=self.teachers(),
            clauses=tuple(sorted({clause for key in learned for clause in key.clauses})),
            duties=tuple(sorted({duty for key in learned for duty in key.duties})),
            valid_until=min(until, default=None),
            path=EXAMPLES,
            sha256=self.digests[EXAMPLES],
            columns=LEARNED,
        )

    def _until(self, digest: str) -> str | None:
        data = self.evidence.holding.document("grants", digest)
        try:
            found = yaml.load(data, yaml.CSafeLoader) if data else None
        except (yaml.YAMLError, ValueError):
            return None
        window = found.get("in_force") if isinstance(found, dict) else None
        until = window.get("until") if isinstance(window, dict) else None
        match until:
            case datetime():
                return until.isoformat() if until.tzinfo else f"{until.isoformat()}Z"
            case date():
                return f"{until.isoformat()}T00:00:00Z"
            case _:
                return None
