"""Build a dataset: choose admitted exchanges, decide again today, seal what a student may learn.

An exchange gives rows only if the response gate admitted it (or a person cleared it since) and the
dataset gate permits it on both clocks: as of the call with the facts stamped then, and today with
the dataset's student. The stricter verdict wins (design §2), and the strictest of all exchanges that
contributed (`proxy.admission`).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import batched
from pathlib import Path

from policies.bundle import Bundle
from policies.model import Student
from proxy.admission import Admission, Judged, judge_all
from proxy.clock import new_id, new_nonce, stamp
from proxy.errors import DatasetError
from proxy.examples import answer_of, examples_of
from proxy.ledger.bundle import LedgerEntry, Opening, entries_digest, openings_digest
from proxy.ledger.entry import DatasetEntry, DecisionRecord, Entry
from proxy.ledger.example import ExampleRow, ManifestLine, manifest_bytes, rows_root
from proxy.notary import Draft, Notary
from proxy.route import Registry
from proxy.selection import close_over
from proxy.store.bodies import Absent, open_all
from proxy.store.bodies import Opening as StoredOpening
from proxy.store.queries import candidates, head, sources
from proxy.store.records import Candidate, StoredEntry
from proxy.store.session import Database

__all__ = ["Chosen", "Sealed", "choose", "seal_dataset", "valid_until"]

_VALID = timedelta(days=30)
"""The longest that a dataset is valid without a newer status (design §8)."""
_BATCH = 200
"""Bodies that are read and opened at a time."""
_DECLARED = "student.competes_with"


@dataclass(slots=True, kw_only=True)
class Chosen:
    """What a build chose, and what it left out and why."""

    student: Student
    bundle: Bundle
    at: datetime
    size: int
    """Of the log that was decided on."""
    rows: list[ExampleRow] = field(default_factory=list)
    manifest: list[ManifestLine] = field(default_factory=list)
    taken: list[Candidate] = field(default_factory=list)
    openings: list[Opening] = field(default_factory=list)
    records: list[DecisionRecord] = field(default_factory=list)
    """The dataset gate's decisions on what was taken."""

    def left_out(self) -> dict[str, int]:
        """How many exchanges gave no row, by reason."""
        return dict(Counter(line.reason for line in self.manifest if line.reason))

    def missing(self) -> list[str]:
        """The facts for want of which exchanges were held back, sorted."""
        return sorted({fact for line in self.manifest for fact in line.missing})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A dataset on disk and on record."""

    dataset: str
    path: Path
    root: str
    rows: int
    valid_until: str


def choose(  # noqa: PLR0913 - two of them narrow the choice
    database: Database,
    bundle: Bundle,
    registry: Registry,
    student: Student,
    *,
    project: str | None,
    at: datetime,
    source: str | None = None,
) -> Chosen:
    """The exchanges that this student may learn from today.

    With a project those of that project only; with a source those made from it, or imported as it.

    Raises:
        LedgerError: the ledger cannot be read, or a stored body is not what was sealed.
    """
    with database.read() as connection:
        chosen = Chosen(student=student, bundle=bundle, at=at, size=head(connection).size)
        admission = Admission(connection, bundle, student, at)
        considered = candidates(connection, project=project)
        if source is not None:
            names = {item.entry.id for item in sources(connection) if item.entry.source == source}
            considered = (one for one in considered if names & {*one.call.entry.sources})
        decided = map(admission.with_family, judge_all(bundle, considered, student, at))
        for some in batched(decided, _BATCH):
            seals = {answer_of(one.candidate).seal for one in some if not one.reason}
            found = open_all(connection, seals)
            for judged in some:
                reason = judged.reason or _learn(chosen, judged, found, registry)
                chosen.manifest.append(_line(judged, reason))
    return chosen


def _learn(
    chosen: Chosen,
    judged: Judged,
    found: Mapping[str, StoredOpening | Absent],
    registry: Registry,
) -> str:
    """Add what an admitted exchange teaches; gives the reason where it teaches nothing."""
    opening = found[answer_of(judged.candidate).seal]
    if isinstance(opening, Absent):
        return opening.value
    return _take(chosen, judged, Opening(salt=opening.salt, body=opening.data), registry)


def _take(chosen: Chosen, judged: Judged, opening: Opening, registry: Registry) -> str:
    """Add what an exchange teaches; gives the reason where it teaches nothing."""
    record, candidate = judged.record(chosen.bundle), judged.candidate
    if not judged.is_masked(record):
        return "not-redacted"
    found = examples_of(
        candidate,
        opening.body,
        record,
        student=chosen.student.id,
        registry=registry,
        contributors=judged.family.ids,
    )
    if found.rows:
        chosen.rows += found.rows
        chosen.taken.append(candidate)
        chosen.openings.append(opening)
        chosen.records.append(record)
    return found.reason


def _line(judged: Judged, reason: str) -> ManifestLine:
    return ManifestLine(
        exchange=judged.candidate.exchange.entry.id,
        seq=judged.candidate.exchange.seq,
        verdict=judged.verdict.value,
        by=judged.by,
        missing=judged.missing,
        reason=reason,
        contributors=judged.family.ids,
    )


def seal_dataset(
    chosen: Chosen, notary: Notary, folder: Path, *, actor: str, recipient: str
) -> Sealed:
    """Put a dataset on record and write its bundle; the path is `folder/DATASET`.

    Raises:
        DatasetError: nothing was chosen; nothing is on record then.
        LedgerError: the ledger cannot be written or signed, or somebody decided something meanwhile.
        BundleError: the bundle cannot be written.
    """
    if not chosen.rows:
        raise _empty(chosen)
    with notary.log.database.read() as connection:
        picked: list[StoredEntry[Entry]] = []
        for taken in chosen.taken:
            picked += [taken.call, taken.exchange, *taken.decisions, *taken.judgements]
        named = [digest for record in chosen.records for digest in _digests(record)]
        entries = close_over(connection, picked, named)
    entry = _entry(chosen, entries, actor=actor, recipient=recipient)
    path = folder / entry.dataset
    notary.issue(entry, _draft(chosen, entries), path)
    return Sealed(
        dataset=entry.dataset,
        path=path,
        root=entry.root,
        rows=entry.rows,
        valid_until=entry.valid_until,
    )


def _digests(record: DecisionRecord) -> tuple[str, ...]:
    return (record.bundle, *record.terms, *record.grants)


def _entry(
    chosen: Chosen, entries: list[LedgerEntry], *, actor: str, recipient: str
) -> DatasetEntry:
    dataset = new_id()
    terms = {digest for record in chosen.records for digest in record.terms}
    grants = {digest for record in chosen.records for digest in record.grants}
    return DatasetEntry(
        id=dataset,
        at=stamp(chosen.at),
        actor=actor,
        dataset=dataset,
        student=chosen.student.id,
        root=rows_root(row.to_row() for row in chosen.rows),
        rows=len(chosen.rows),
        manifest=sha256(manifest_bytes(chosen.manifest)).hexdigest(),
        entries=entries_digest(item.leaf for item in entries),
        openings=openings_digest(opening.seal for opening in chosen.openings),
        policies=[chosen.bundle.digest],
        terms=sorted(terms),
        grants=sorted(grants),
        decision_bundle=chosen.bundle.digest,
        valid_until=stamp(valid_until(chosen.bundle, chosen.at, terms, grants)),
        recipient=recipient,
        nonce=new_nonce(),
    )


def _draft(chosen: Chosen, entries: list[LedgerEntry]) -> Draft:
    return Draft(
        entries=entries,
        openings=chosen.openings,
        rows=chosen.rows,
        manifest=chosen.manifest,
        about={"considered": len(chosen.manifest), "left_out": dict(chosen.left_out())},
        decided_at_size=chosen.size,
    )


def valid_until(bundle: Bundle, at: datetime, terms: set[str], grants: set[str]) -> datetime:
    """The earliest of a used grant's end, a cited source's review date and 30 days from `at`."""
    sources = [bundle.sources[digest].review_by for digest in terms]
    ends = [
        grant.in_force.until
        for grant in bundle.grants
        if grant.digest in grants
        and grant.as_of != "exchange"  # those hold for what was asked then
    ]
    return min([at + _VALID, *(end for end in [*sources, *ends] if end is not None)])


def _empty(chosen: Chosen) -> DatasetError:
    """Why nothing may be learned, and what to do about it."""
    student = chosen.student
    counted = ", ".join(f"{count} {reason}" for reason, count in chosen.left_out().items())
    why = f"of {len(chosen.manifest)} considered, {counted}" if counted else "there are none"
    missing = chosen.missing()
    if missing:
        why += f"; not known: {', '.join(f'`{fact}`' for fact in missing)}"
    fix = "see `inbond review list` for what waits, and `inbond policy check` for what is permitted"
    if _DECLARED in missing and student.declared_competes_with is not None:
        fix = (
            f"have somebody approve what it competes with: `inbond policy approve "
            f"policies/{student.where.file} --reason …`"
        )
    elif _DECLARED in missing:
        fix = f"declare `competes_with` in `policies/{student.where.file}`, and have it approved"
    return DatasetError(
        f"no exchange may be learned from by `{student.id}` today: {why}",
        help=fix,
        code="empty-dataset",
    )
