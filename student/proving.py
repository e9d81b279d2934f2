"""Datasets whose every proof holds, and whether they may be learned from: by whom, and today.

Nothing of a dataset is read for learning before all of it was verified under a key from elsewhere.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from proxy.errors import ProxyError
from proxy.ledger.bundle import MANIFEST, LedgerEntry, read_bundle
from proxy.ledger.entry import DatasetEntry, parse_entry
from proxy.ledger.example import ExampleRow, ManifestLine, read_manifest
from proxy.ledger.report import Report
from proxy.ledger.status import DatasetStatus
from proxy.ledger.verify import verify
from student.config import Source
from student.declared import declaration_in, read_declaration, refuse_other_declaration
from student.errors import IntakeError
from student.standing import read_standing, refuse_expired, refuse_taken_back

__all__ = ["Proven", "fit", "prove"]

_LISTED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """A dataset of which every proof held; whether it may be learned from is not said yet."""

    source: Source
    seq: int
    """Of its entry."""
    entry: DatasetEntry
    rows: tuple[ExampleRow, ...]
    left_out: Mapping[str, int]
    """Exchanges that the dataset's gate considered and left out, by verdict and rules, or by reason."""
    refused: frozenset[str]
    """The exchanges that its gate held back or excluded."""
    declaration: str | None
    """The text that declares its student in the policies it was decided under."""


@dataclass(frozen=True, slots=True)
class _Standing:
    path: Path
    said: DatasetStatus


def prove(sources: Sequence[Source], student: str | None) -> tuple[Proven, ...]:
    """Every dataset, proven under its own key and built for one student.

    `student` None takes the student that the first was built for.

    Raises:
        IntakeError: a proof does not hold, or a dataset is another student's, given twice, or none, or
            one holds what a later one of the same log left out.
    """
    proven: list[Proven] = []
    for source in sources:
        expected = student if student is not None or not proven else proven[0].entry.student
        proven.append(_prove(source, expected))
    _refuse_twice(proven)
    _refuse_overtaken(proven)
    return tuple(proven)


def fit(
    proven: Sequence[Proven],
    *,
    now: datetime,
    statuses: Iterable[Path] = (),
    declaration: Path | None = None,
) -> tuple[DatasetStatus | None, ...]:
    """Refuse what may not be learned from today; the newest status of each dataset, or None.

    Raises:
        IntakeError: a dataset is past its date, withdrawn, revoked, empty, or built for the student
            as it was declared otherwise; or a status is not proven.
    """
    standings = _standings(statuses, proven)
    today = None if declaration is None else read_declaration(declaration)
    for each in proven:
        _refuse_unfit(each, standings.get(each.entry.root), now)
        if today is not None and declaration is not None:
            refuse_other_declaration(
                today, each.declaration, student=each.entry.student,
                dataset=each.source.path, where=declaration,
            )  # fmt: skip
    found = [standings.get(each.entry.root) for each in proven]
    return tuple(None if each is None else each.said for each in found)


def _prove(source: Source, student: str | None) -> Proven:
    """Verify all of a dataset, and only then read what the trainer needs of it."""
    path = source.path
    try:
        _refuse_unproven(verify(path, source.vkey), path)
        with read_bundle(path) as bundle:
            sealed = bundle.entries()[-1]
            entry = _dataset_entry(sealed, path)
            manifest = read_manifest(bundle.read(MANIFEST))
            _refuse_foreign(entry, student, path)
            return Proven(
                source=source,
                seq=sealed.seq,
                entry=entry,
                rows=bundle.examples(),
                left_out=_left_out(manifest),
                refused=frozenset(one.exchange for one in manifest if one.verdict != "permit"),
                declaration=declaration_in(
                    bundle.read(f"policies/{entry.decision_bundle}.json"), entry.student
                ),
            )
    except ProxyError as error:
        raise IntakeError(
            f"the dataset is not opened: {error.message}",
            help=error.help,
            where=error.where or str(path),
            code=error.code,
        ) from error


def _left_out(lines: Iterable[ManifestLine]) -> dict[str, int]:
    """How many exchanges the dataset's gate left out, by reason, the most first."""
    counts = Counter(
        line.reason or f"{line.verdict} by {', '.join(line.by) or 'nothing that permits'}"
        for line in lines
        if line.verdict != "permit" or line.reason
    )
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _standings(statuses: Iterable[Path], proven: Sequence[Proven]) -> dict[str, _Standing]:
    """The newest status of each dataset, by its root; every file must be of one of them."""
    found: dict[str, _Standing] = {}
    for path in statuses:
        refused: list[IntakeError] = []
        for each in proven:
            try:
                said = read_standing(path, each.source.vkey, each.seq, each.entry)
            except IntakeError as error:
                refused.append(error)
                continue
            before = found.get(said.root)
            if before is None or before.said.seq < said.seq:
                found[said.root] = _Standing(path, said)
            break
        else:
            raise refused[0]
    return found


def _refuse_unfit(proven: Proven, standing: _Standing | None, now: datetime) -> None:
    path = proven.source.path
    if standing is not None:
        refuse_taken_back(standing.said, proven.rows, standing.path)
    refuse_expired(proven.entry, None if standing is None else standing.said, now, path)
    if not proven.rows:
        raise IntakeError(
            "the dataset is empty",
            help="ask `inbond dataset show` why nothing was admitted, and build it again",
            where=str(path),
            code="empty-dataset",
        )


def _refuse_twice(proven: Sequence[Proven]) -> None:
    seen: dict[str, Path] = {}
    for each in proven:
        before = seen.setdefault(each.entry.root, each.source.path)
        if before is not each.source.path:
            raise IntakeError(
                f"the dataset `{each.entry.dataset}` is given twice",
                help="name it once; `--weight` says how often its examples are learned",
                where=str(each.source.path),
                code="dataset-twice",
            )


def _refuse_overtaken(proven: Sequence[Proven]) -> None:
    """Refuse what was admitted once and refused since: a later dataset at hand says so."""
    for each in proven:
        for later in proven:
            if later.seq <= each.seq or _log_of(later) != _log_of(each):
                continue
            lost = [row.example for row in each.rows if row.exchange in later.refused]
            if lost:
                raise IntakeError(
                    f"`{later.entry.dataset}`, which is newer, left out {len(lost)} of the "
                    f"{len(each.rows)} examples: {', '.join(lost[:_LISTED])}"
                    + (f" and {len(lost) - _LISTED} more" if len(lost) > _LISTED else ""),
                    help="build this dataset again: what may not be learned from today is left out",
                    where=str(each.source.path),
                    code="overtaken",
                )


def _log_of(proven: Proven) -> str:
    """The name of its log, which a new key keeps."""
    return proven.source.vkey.partition("+")[0]


def _refuse_unproven(report: Report, path: Path) -> None:
    if report.exit_code == 0:
        return
    first, *others = report.findings
    more = f" (and {len(others)} more)" if others else ""
    raise IntakeError(
        f"the dataset is not proven: {first.message}{more}",
        help="get it again from who built it; `inbond audit verify` lists everything that is wrong",
        where=first.where or str(path),
        code="unproven-dataset",
    )


def _dataset_entry(sealed: LedgerEntry, path: Path) -> DatasetEntry:
    # INVARIANT: `verify` has shown that the subject of a dataset is its last entry.
    entry = parse_entry(sealed.leaf)
    if not isinstance(entry, DatasetEntry):
        raise IntakeError(
            "this bundle is an audit: a student learns from datasets only",
            help="build one with `inbond dataset build`",
            where=str(path),
            code="no-dataset",
        )
    return entry


def _refuse_foreign(entry: DatasetEntry, student: str | None, path: Path) -> None:
    if student is not None and student != entry.student:
        raise IntakeError(
            f"the dataset was built for student `{entry.student}`, not for `{student}`",
            help=f"build one for `{student}`: what a student may learn depends on what it is for",
            where=str(path),
            code="other-student",
        )
