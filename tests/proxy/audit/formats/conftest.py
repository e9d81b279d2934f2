"""What formats are made from: a dataset on a grant, a run that learned from it, hostile names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from proxy.audit.evidence import Evidence, gather
from proxy.audit.formats.material import EXAMPLES, Material
from proxy.audit.holding import LEARNED
from proxy.ledger.canonical import Json, canonical
from proxy.ledger.entry import DatasetEntry, GrantEntry, RunEntry, StatusEntry
from proxy.ledger.leaf import Leaf, read_leaf
from proxy.ledger.tables import Column

AT = "2026-11-24T05:00:00.123Z"
GRANT = "c" * 64
ROOT = "a" * 64
WEIGHTS = "b" * 64
HOSTILE = "<script>| `x`\n# y"
"""A model's name that would be more than a name in HTML and Markdown."""
_IDS = [f"01a20d6d-601c-7e3a-85a0-7e3a34e0b80{number}" for number in range(10)]
DATASET, RUN, EXPORT = _IDS[1], _IDS[2], _IDS[5]


@dataclass(slots=True, kw_only=True)
class Shelf:
    """Documents at hand, by digest."""

    documents: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def absent(self) -> tuple[str, ...]:
        """No dataset is absent."""
        return ()

    def leaves(self) -> Iterator[Leaf]:
        """Entries are given apart."""
        yield from ()

    def examples(self) -> Iterator[Mapping[str, Json]]:
        """Examples are given apart."""
        yield from ()

    def document(self, folder: str, digest: str) -> bytes | None:
        """A document at hand."""
        del folder
        return self.documents.get(digest)


def row(number: int, **given: Json) -> dict[str, Json]:
    """A row of `tables/examples.parquet`."""
    empty: dict[Column, Json] = {Column.TEXT: "x", Column.INTEGER: number, Column.LIST: []}
    cells = {name: empty.get(kind) for name, kind in LEARNED.items()}
    named: dict[str, Json] = {
        "dataset": DATASET,
        "student": "gardener",
        "provider": "acme",
        "model": "large",
        "licence": "Apache-2.0",
        "clauses": ["acme/rule terms 4.2"],
        "exchange_at": AT,
    }
    return cells | named | given


def _leaves() -> list[Leaf]:
    entries = [
        GrantEntry(
            id=_IDS[0],
            action="approve",
            subject="grant",
            name="deal",
            digest=GRANT,
            at=AT,
            actor="inbond",
            nonce="n",
        ),
        DatasetEntry(
            id=DATASET,
            dataset=DATASET,
            student="gardener",
            root=ROOT,
            rows=3,
            manifest="d" * 64,
            entries="d" * 64,
            openings="d" * 64,
            policies=[],
            terms=[],
            grants=[GRANT],
            decision_bundle="e" * 64,
            valid_until="2026-12-24T05:00:00.000Z",
            recipient="Jo Example",
            at=AT,
            actor="inbond",
            nonce="n",
        ),
        RunEntry(
            id=RUN,
            run="run-1",
            student="gardener",
            datasets=[ROOT],
            record="f" * 64,
            weights={"model.safetensors": WEIGHTS},
            base="base/model",
            steps=3,
            at=AT,
            actor="inbond",
            nonce="n",
        ),
        StatusEntry(
            id=_IDS[3],
            dataset=DATASET,
            root=ROOT,
            state="revoked",
            cause="terms",
            affected="d" * 64,
            count=1,
            reason="Jo Example asked",
            at=AT,
            actor="inbond",
            nonce="n",
        ),
    ]
    return [
        read_leaf(seq, canonical(entry.model_dump(mode="json")))
        for seq, entry in enumerate(entries)
    ]


def material_of(evidence: Evidence) -> Material:
    """The material of an audit made for somebody."""
    about: dict[str, Json] = {
        "subject": EXPORT,
        "at": AT,
        "origin": "inbond/example",
        "recipient": "Jo Example",
    }
    return Material(evidence=evidence, about=about, digests={EXAMPLES: "9" * 64})


@pytest.fixture
def material() -> Material:
    """Three examples of two teachers, one of them on a grant until the end of the year."""
    shelf = Shelf(documents={GRANT: b"in_force: {from: 2026-01-01, until: 2026-12-31}\n"})
    rows = [row(1), row(2, grants=[GRANT]), row(3, model=HOSTILE, licence="")]
    return material_of(gather(shelf, _leaves(), rows, {}))


@pytest.fixture
def nothing() -> Material:
    """An audit without datasets and runs."""
    return material_of(gather(Shelf(), [], [], {}))
