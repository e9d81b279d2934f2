"""Open a dataset, verify every proof, or refuse to start (promise P6). There is no way around it.

Needs a directory and a public key: neither database nor network.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import InitVar, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, final

from proxy.ledger.example import ExampleRow
from proxy.ledger.status import DatasetStatus
from student.config import Source
from student.errors import IntakeError
from student.proving import Proven, fit, prove

__all__ = [
    "Admitted",
    "AdmittedExample",
    "Teaching",
    "ToolCall",
    "Turn",
    "open_dataset",
    "open_datasets",
    "teachings",
]

type Json = bool | int | float | str | list[Json] | dict[str, Json] | None

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
    logprobs: str | None
    """The provider's own, as JSON text; None where none came."""
    sampling: str
    """How tokens were chosen, as JSON text: see `ExampleTexts`."""
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
    terms: tuple[str, ...]
    """sha256 (hex) of every source of terms that its decisions rest on."""
    grants: tuple[str, ...]
    declaration: str | None
    """The text that declares the student in its policies."""
    left_out: Mapping[str, int]
    """Exchanges that its gate considered and left out, by verdict and rules, or by reason."""
    vkey: str
    """The key that was pinned."""
    examples: tuple[AdmittedExample, ...]
    status: DatasetStatus | None = None
    """The signed status that was given with it: a good one."""


def open_dataset(
    path: Path, vkey: str, *, student: str | None, now: datetime, status: Path | None = None
) -> Admitted:
    """A dataset of which every proof holds under the pinned key, for this student, at this time.

    As `open_datasets` opens several.

    Raises:
        IntakeError: a proof does not hold, or the dataset is another student's, past its date,
            withdrawn, empty, or no dataset; `where` says which part.
    """
    (admitted,) = open_datasets(
        [Source(path=path, vkey=vkey)],
        student=student,
        now=now,
        statuses=() if status is None else (status,),
    )
    return admitted


def open_datasets(
    sources: Sequence[Source],
    *,
    student: str | None,
    now: datetime,
    statuses: Sequence[Path] = (),
    declaration: Path | None = None,
) -> tuple[Admitted, ...]:
    """Datasets to learn from, each proven under its own key, all for one student.

    `student` None takes the student that the first dataset was built for. `statuses` are files that
    `inbond dataset status` issued since: past a dataset's date one must be there and be good.
    `declaration` is the student as declared today: it must be the one each dataset was built for.

    Raises:
        IntakeError: a proof does not hold, or a dataset is another student's, past its date,
            withdrawn, empty, given twice, or no dataset; `where` says which part.
    """
    proven = prove(sources, student)
    standings = fit(proven, now=now, statuses=statuses, declaration=declaration)
    return tuple(
        _admitted(each, standing) for each, standing in zip(proven, standings, strict=True)
    )


def teachings(admitted: Iterable[Admitted]) -> tuple[Teaching, ...]:
    """Who taught what under which clause, the most examples first.

    An example that several datasets hold counts once.
    """
    examples = {
        each.example: each for dataset in reversed([*admitted]) for each in dataset.examples
    }
    counts = Counter(
        (e.provider, e.model, e.licence, e.clauses, e.grants, e.duties) for e in examples.values()
    )
    rows = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(
        Teaching(
            provider=provider, model=model, licence=licence, clauses=clauses, grants=grants,
            duties=duties, examples=count,
        )
        for (provider, model, licence, clauses, grants, duties), count in rows
    )  # fmt: skip


def _admitted(proven: Proven, standing: DatasetStatus | None) -> Admitted:
    entry = proven.entry
    return Admitted(
        root=entry.root,
        dataset=entry.dataset,
        student=entry.student,
        valid_until=entry.valid_until,
        policy_bundle=entry.decision_bundle,
        terms=tuple(entry.terms),
        grants=tuple(entry.grants),
        declaration=proven.declaration,
        left_out=proven.left_out,
        vkey=proven.source.vkey.strip(),
        examples=tuple(_admit(row) for row in proven.rows),
        status=standing,
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
        logprobs=row.logprobs,
        sampling=row.sampling,
        warrant=_WARRANT,
    )


def _turn(message: dict[str, Any]) -> Turn:
    return Turn(**{**message, "tool_calls": _tool_calls(message["tool_calls"])})


def _tool_calls(calls: Iterable[dict[str, Any]]) -> tuple[ToolCall, ...]:
    return tuple(ToolCall(**call) for call in calls)
