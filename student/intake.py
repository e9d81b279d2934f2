"""Open a dataset, verify every proof, or refuse to start (promise P6). There is no way around it.

Needs a directory and a public key: neither database nor network.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import InitVar, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, final

from proxy.errors import ProxyError
from proxy.ledger.bundle import LedgerEntry, read_bundle
from proxy.ledger.entry import DatasetEntry, parse_entry
from proxy.ledger.example import ExampleRow
from proxy.ledger.report import Report
from proxy.ledger.status import DatasetStatus, read_status
from proxy.ledger.verify import verify
from student.errors import IntakeError

__all__ = ["Admitted", "AdmittedExample", "Teaching", "ToolCall", "Turn", "open_dataset"]

type Json = bool | int | float | str | list[Json] | dict[str, Json] | None

_LISTED = 20
"""Examples that a message names; the status file has them all."""

_WARRANT = object()  # only this module holds it: who has it has verified a dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One call of a client-side tool; `arguments` is the raw text."""

    id: str | None
    name: str | None
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message of a prompt or of an answer, as a chat template can render it."""

    role: str
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    has_other_parts: bool = False


@final
@dataclass(frozen=True, slots=True)
class AdmittedExample:
    """One answer that a proven dataset admits: the only thing the trainer learns from.

    Only `open_dataset` can make one, after every proof held.
    """

    example: str
    exchange: str
    choice: int
    provider: str
    model: str
    licence: str
    clauses: tuple[str, ...]
    grants: tuple[str, ...]
    duties: tuple[str, ...]
    finish: str
    prompt: tuple[Turn, ...]
    answer: Turn
    reasoning: str
    tools: Json
    warrant: InitVar[object]

    def __post_init__(self, warrant: object) -> None:
        if warrant is not _WARRANT:
            raise IntakeError(
                "an example was made without a proven dataset",
                help="examples come from `open_dataset` alone",
                code="unproven-example",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Teaching:
    """Who taught how much, under which clauses and with which duties."""

    provider: str
    model: str
    licence: str
    clauses: tuple[str, ...]
    grants: tuple[str, ...]
    duties: tuple[str, ...]
    examples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A proven dataset."""

    root: str
    """sha256 (hex) over the canonical rows."""
    dataset: str
    student: str
    valid_until: str
    policy_bundle: str
    vkey: str
    """The key that was pinned."""
    examples: tuple[AdmittedExample, ...]
    status: DatasetStatus | None = None
    """The signed status that was given with it: a good one."""

    def teachings(self) -> tuple[Teaching, ...]:
        """Who taught what under which clause, the most examples first."""
        counts = Counter(
            (e.provider, e.model, e.licence, e.clauses, e.grants, e.duties) for e in self.examples
        )
        rows = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return tuple(
            Teaching(
                provider=provider, model=model, licence=licence, clauses=clauses, grants=grants,
                duties=duties, examples=examples,
            )
            for (provider, model, licence, clauses, grants, duties), examples in rows
        )  # fmt: skip


def open_dataset(
    path: Path, vkey: str, *, student: str | None, now: datetime, status: Path | None = None
) -> Admitted:
    """A dataset of which every proof holds under the pinned key, for this student, at this time.

    `student` None takes the student that the dataset was built for. `status` is a file that
    `inbond dataset status` issued since: past the dataset's date it must be there and be good.

    Raises:
        IntakeError: a proof does not hold, or the dataset is another student's, past its date,
            withdrawn, empty, or no dataset; `where` says which part.
    """
    try:
        report = verify(path, vkey)
        _refuse_unproven(report, path)
        with read_bundle(path) as bundle:
            sealed = bundle.entries()[-1]
            entry = _dataset_entry(sealed, path)
            _refuse_foreign(entry, student, path)
            rows = bundle.examples()
        said = None if status is None else _status(status, vkey, sealed, entry)
        if said is not None and said.state != "good":
            raise _taken_back(said, rows, status or path)
        _refuse_expired(entry, said, now, path)
    except ProxyError as error:
        raise IntakeError(
            f"the dataset is not opened: {error.message}",
            help=error.help,
            where=error.where or str(path),
            code=error.code,
        ) from error
    if not rows:
        raise IntakeError(
            "the dataset is empty",
            help="ask `inbond dataset show` why nothing was admitted, and build it again",
            where=str(path),
            code="empty-dataset",
        )
    return Admitted(
        root=entry.root,
        dataset=entry.dataset,
        student=entry.student,
        valid_until=entry.valid_until,
        policy_bundle=entry.decision_bundle,
        vkey=vkey.strip(),
        examples=tuple(_admit(row) for row in rows),
        status=said,
    )


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


def _status(path: Path, vkey: str, sealed: LedgerEntry, entry: DatasetEntry) -> DatasetStatus:
    """What a status file says of this dataset, once it holds under the pinned key."""
    try:
        said = read_status(path.read_bytes(), vkey)
    except OSError as error:
        raise _bad_status(
            f"cannot be read: {(error.strerror or 'unknown').lower()}", path
        ) from error
    except ProxyError as error:
        raise _bad_status(f"is not proven: {error.message}", path) from error
    if (said.dataset, said.root) != (entry.dataset, entry.root):
        raise _bad_status(f"is of the dataset `{said.dataset}`, not of `{entry.dataset}`", path)
    if said.seq <= sealed.seq:
        raise _bad_status("is older than the dataset", path)
    return said


def _bad_status(what: str, path: Path) -> IntakeError:
    return IntakeError(
        f"the status file {what}",
        help="get another with `inbond dataset status`, from who built the dataset",
        where=str(path),
        code="status-unproven",
    )


def _taken_back(said: DatasetStatus, rows: Sequence[ExampleRow], where: Path) -> IntakeError:
    """Why nothing is learned from a dataset that was taken back, with the examples because of which."""
    reasons = {each.exchange: each.reason for each in said.affected}
    lines: list[str] = []
    for row in rows:
        names = (row.exchange, *row.contributors)
        why = next((reasons[name] for name in names if name in reasons), None)
        if why is not None:
            lines.append(f"`{row.example}` ({why})")
    more = f" and {len(lines) - _LISTED} more" if len(lines) > _LISTED else ""
    listed = f": {', '.join(lines[:_LISTED])}{more}" if lines else ""
    because = f" because of `{said.cause}`" if said.cause else ""
    return IntakeError(
        f"the dataset was {said.state} on {said.at}{because}; "
        f"affected are {len(lines)} of its {len(rows)} examples{listed}",
        help="build a dataset again: what may not be learned from is left out",
        where=str(where),
        code=f"dataset-{said.state}",
    )


def _refuse_expired(
    entry: DatasetEntry, said: DatasetStatus | None, now: datetime, path: Path
) -> None:
    """Past the dataset's date only a good status that lasts lets it be opened.

    The newer word counts also where it says less: a grant may have been cut short since.
    """
    until = entry.valid_until if said is None or said.until is None else said.until
    if now < datetime.fromisoformat(until):
        return
    raise IntakeError(
        f"the dataset was valid until {until}",
        help=f"run `inbond dataset status {entry.dataset}` where it was built, and give the file "
        "with `--status FILE`; or build it again",
        where=str(path),
        code="dataset-expired",
    )


def _refuse_foreign(entry: DatasetEntry, student: str | None, path: Path) -> None:
    if student is not None and student != entry.student:
        raise IntakeError(
            f"the dataset was built for student `{entry.student}`, not for `{student}`",
            help=f"build one for `{student}`: what a student may learn depends on what it is for",
            where=str(path),
            code="other-student",
        )


def _admit(row: ExampleRow) -> AdmittedExample:
    completion = json.loads(row.completion)
    return AdmittedExample(
        example=row.example,
        exchange=row.exchange,
        choice=row.choice,
        provider=row.provider,
        model=row.model,
        licence=row.licence,
        clauses=row.clauses,
        grants=row.grants,
        duties=row.duties,
        finish=row.finish,
        prompt=tuple(_turn(message) for message in json.loads(row.messages)),
        answer=Turn(
            role="assistant",
            text=completion["text"],
            tool_calls=_tool_calls(completion["tool_calls"]),
        ),
        reasoning=completion["reasoning"],
        tools=None if row.tools is None else json.loads(row.tools),
        warrant=_WARRANT,
    )


def _turn(message: dict[str, Any]) -> Turn:
    return Turn(**{**message, "tool_calls": _tool_calls(message["tool_calls"])})


def _tool_calls(calls: Iterable[dict[str, Any]]) -> tuple[ToolCall, ...]:
    return tuple(ToolCall(**call) for call in calls)
