"""Real sealed datasets, small: every leaf, seal and signature as an installation makes them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from proxy.ledger.bundle import (
    BundleContents,
    LedgerEntry,
    Opening,
    entries_digest,
    openings_digest,
    read_bundle,
    write_bundle,
)
from proxy.ledger.canonical import canonical
from proxy.ledger.checkpoint import Checkpoint, LogKey, sign_checkpoint
from proxy.ledger.closure import policy_digest
from proxy.ledger.entry import (
    CallEntry,
    DatasetEntry,
    DecisionEntry,
    DecisionRecord,
    Entry,
    ExchangeEntry,
    ExportEntry,
    KeyEntry,
    OpenEntry,
    PolicyEntry,
    SealRecord,
    StatusEntry,
    TermsEntry,
)
from proxy.ledger.envelope import ExportKey
from proxy.ledger.example import ExampleRow, ManifestLine, manifest_bytes, rows_root, texts_of
from proxy.ledger.merkle import leaf_hash, leaf_reader, root_of
from proxy.ledger.notice import notice_bytes
from proxy.ledger.seal import seal_record
from proxy.ledger.status import STATUS, Affected, affected_bytes, affected_list
from student.config import Source
from student.intake import Admitted, open_dataset

__all__ = [
    "DECLARATION",
    "LESSONS",
    "NOW",
    "STUDENT",
    "Lesson",
    "Sealed",
    "admit",
    "issue_status",
    "seal_audit",
    "seal_dataset",
]

type Json = bool | int | float | str | list[Json] | dict[str, Json] | None

STUDENT = "summary-writer"
DECLARATION = f"inbond: 1\nstudent: {STUDENT}\npurpose: distil-narrow\n"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
VALID_UNTIL = "2026-12-24T00:00:00.000Z"
_AT = "2026-11-20T08:00:00.000Z"
_NONCE = "00" * 16
_ORIGIN = "ledger.example/demo"
_KEY = LogKey.generate(_ORIGIN, sha256(b"log").digest())
_SIGN = ExportKey.generate(sha256(b"export").digest())
_POLICY = json.dumps(
    {
        "language": 1,
        "organisation": None,
        "documents": {"acme.yaml": "policy: acme", "students/writer.yaml": DECLARATION},
        "approvals": [],
        "revoked": [],
    }
).encode()
_BUNDLE = policy_digest(_POLICY)
_TERMS = canonical({"id": "acme-terms", "title": "Terms of Acme"})
_SOURCE = sha256(_TERMS).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One exchange: a conversation, and each choice of the answer."""

    prompt: Sequence[tuple[str, str]] = (("user", "Say something."),)
    answers: Sequence[str] = ("Something.",)
    finish: str = "stop"
    tools: Json = None
    tool_calls: Sequence[tuple[str, str]] = ()
    """Name and arguments of each call in every choice."""
    has_images: bool = False
    reasoning: str = ""
    logprobs: Sequence[Json] = ()
    """Of each choice; none came where there are fewer."""
    asked: dict[str, Json] = field(default_factory=dict)
    """What the request said beside its messages and tools."""
    model: str = "acme-large"
    clauses: tuple[str, ...] = ("acme-api/own-use acme-terms 4.1",)
    verdict: str = "permit"
    """Of the response gate."""
    decided: str = "permit"
    """Of the dataset's gate: what it does not permit is left out."""
    is_reversed: bool = False
    """A person took back later that it was admitted."""

    def reading(self) -> bytes:
        """What the recorder stores and seals of the exchange."""
        calls: Json = [
            {"id": f"c{at}", "name": name, "arguments": arguments}
            for at, (name, arguments) in enumerate(self.tool_calls)
        ]
        choices: Json = [
            {
                "index": at,
                "text": text,
                "reasoning": self.reasoning,
                "tool_calls": calls,
                "logprobs": self.logprobs[at] if at < len(self.logprobs) else None,
            }
            for at, text in enumerate(self.answers)
        ]
        return json.dumps(
            {
                "request": {"messages": [self._turn(*turn) for turn in self.prompt],
                            "tools": self.tools, **self.asked},
                "answer": {"choices": choices},
            }
        ).encode()  # fmt: skip

    def _turn(self, role: str, text: str) -> Json:
        return {
            "role": role,
            "text": text,
            "tool_calls": [],
            "tool_call_id": "c0" if role == "tool" else None,
            "name": "look_up" if role == "tool" else None,
            "has_other_parts": self.has_images,
        }


LESSONS = tuple(
    Lesson(prompt=(("user", f"What colour is {thing}?"),), answers=(f"It is {colour}.",))
    for thing, colour in (
        ("grass", "green"),
        ("snow", "white"),
        ("coal", "black"),
        ("a lemon", "yellow"),
        ("the sky", "blue"),
        ("a brick", "red"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A dataset on disk, and the key that shows it."""

    path: Path
    vkey: str

    @property
    def source(self) -> Source:
        """As a run names it."""
        return Source(path=self.path, vkey=self.vkey)


@dataclass(slots=True)
class _Log:
    """Entries as they are appended."""

    prefix: str = "0193"
    entries: list[LedgerEntry] = field(default_factory=list)

    def append(self, entry: Entry) -> int:
        seq = len(self.entries)
        self.entries.append(LedgerEntry(seq, canonical(entry.model_dump())))
        return seq

    def stamp(self) -> dict[str, Any]:
        return {"id": f"{self.prefix}-{len(self.entries):04d}", "at": _AT, "actor": "inbond"}


def seal_dataset(
    path: Path,
    lessons: Sequence[Lesson] = LESSONS,
    *,
    valid_until: str = VALID_UNTIL,
    name: str = "colours",
    prefix: str = "0193",
    student: str = STUDENT,
    is_forged: bool = False,
) -> Sealed:
    """A dataset bundle of these lessons for a student, signed and whole.

    `prefix` begins the ids of its entries; with `is_forged` its tiles prove another log.
    """
    log = _Log(prefix)
    _begin(log)
    openings, rows, manifest = [], [], []
    for number, lesson in enumerate(lessons):
        reading = lesson.reading()
        opening = Opening(salt=sha256(f"salt {number}".encode()).digest(), body=reading)
        exchange, seq = _exchange(log, lesson, opening)
        manifest.append(ManifestLine(exchange=exchange.id, seq=seq, verdict=lesson.decided))
        if lesson.decided != "permit":
            continue
        openings.append(opening)
        rows += [
            replace(_row(lesson, exchange, seq, choice, reading), student=student)
            for choice in range(len(lesson.answers))
        ]
        if lesson.is_reversed:
            log.append(
                DecisionEntry(
                    **log.stamp(), action="reverse", exchange=exchange.id, gate="response",
                    reason="it was cleared by mistake", nonce=_NONCE,
                )
            )  # fmt: skip
    subject = DatasetEntry(
        **log.stamp(),
        dataset=name,
        student=student,
        root=rows_root(row.to_row() for row in rows),
        rows=len(rows),
        manifest=sha256(manifest_bytes(manifest)).hexdigest(),
        entries=entries_digest(entry.leaf for entry in log.entries),
        openings=openings_digest(opening.seal for opening in openings),
        policies=[_BUNDLE],
        terms=[_SOURCE],
        grants=[],
        decision_bundle=_BUNDLE,
        valid_until=valid_until,
        recipient="team:students",
        nonce=_NONCE,
    )
    forged = leaf_reader([leaf_hash(b"%d" % at) for at in range(len(log.entries) + 1)])
    return _write(
        path, log, subject, kind="dataset", openings=openings, rows=rows, manifest=manifest,
        **({"read": forged} if is_forged else {}),
    )  # fmt: skip


def seal_audit(path: Path) -> Sealed:
    """An audit bundle, sound, of a log without exchanges."""
    log = _Log()
    _begin(log)
    subject = ExportEntry(
        **log.stamp(),
        export="audit-1",
        query={},
        entries=entries_digest(entry.leaf for entry in log.entries),
        openings=openings_digest(()),
        tables={},
        policies=[_BUNDLE],
        terms=[_SOURCE],
        grants=[],
        recipient="auditor",
        nonce=_NONCE,
    )
    return _write(path, log, subject, kind="audit")


def issue_status(
    sealed: Sealed,
    path: Path,
    affected: Sequence[Affected] = (),
    *,
    seq: int | None = None,
    **said: Any,
) -> Path:
    """A status file of a dataset, as its log would sign it later; `seq` puts it elsewhere."""
    with read_bundle(sealed.path) as bundle:
        leaves = [entry.leaf for entry in bundle.entries()]
    subject = json.loads(leaves[-1])
    entry = StatusEntry.model_validate(
        {
            "id": "0193-9999",
            "at": "2026-12-01T08:00:00.000Z",
            "actor": "inbond",
            "dataset": subject["dataset"],
            "root": subject["root"],
            "state": "good",
            "affected": sha256(affected_bytes(affected)).hexdigest(),
            "count": len(affected),
            "nonce": _NONCE,
            **said,
        }
    )
    place = len(leaves) if seq is None else seq
    leaves += [b"{}"] * (place - len(leaves))  # what else was appended meanwhile
    leaves.insert(place, canonical(entry.model_dump()))
    hashes = [leaf_hash(leaf) for leaf in leaves]
    head = Checkpoint(origin=_ORIGIN, size=len(hashes), root=root_of(hashes))
    data = notice_bytes(
        STATUS,
        [LedgerEntry(place, leaves[place])],
        checkpoint=sign_checkpoint(head, _KEY),
        read=leaf_reader(hashes),
        about={"affected": affected_list(affected)},
    )
    path.write_bytes(data)
    return path


def admit(path: Path, lessons: Sequence[Lesson] = LESSONS) -> Admitted:
    """The proven examples of these lessons, by way of a dataset at `path`."""
    sealed = seal_dataset(path, lessons)
    return open_dataset(sealed.path, sealed.vkey, student=STUDENT, now=NOW)


def _write(path: Path, log: _Log, subject: DatasetEntry | ExportEntry, **contents: Any) -> Sealed:
    log.append(subject)
    hashes = [leaf_hash(entry.leaf) for entry in log.entries]
    head = Checkpoint(origin=_ORIGIN, size=len(hashes), root=root_of(hashes))
    vkey = _KEY.verifier.to_text()
    write_bundle(
        path,
        BundleContents(
            subject=subject.id,
            checkpoint=sign_checkpoint(head, _KEY),
            log_key=vkey,
            entries=log.entries,
            policies={_BUNDLE: _POLICY},
            terms={_SOURCE: _TERMS},
            **{"read": leaf_reader(hashes)} | contents,
        ),
        _SIGN,
    )
    return Sealed(path=path, vkey=vkey)


def _begin(log: _Log) -> None:
    vkey = _KEY.verifier.to_text()
    log.append(OpenEntry(**log.stamp(), origin=_ORIGIN, log_key=vkey, nonce=_NONCE))
    log.append(
        KeyEntry(
            **log.stamp(), action="create", role="export", key="export-1",
            public=_SIGN.public_pem, nonce=_NONCE,
        )
    )  # fmt: skip
    log.append(
        PolicyEntry(
            **log.stamp(),
            bundle=_BUNDLE,
            meaning=_BUNDLE,
            files={"acme.yaml": _BUNDLE},
            nonce=_NONCE,
        )
    )
    log.append(
        TermsEntry(
            **log.stamp(), digest=_SOURCE, policy="acme-api", source="acme-terms", nonce=_NONCE
        )
    )


def _exchange(log: _Log, lesson: Lesson, opening: Opening) -> tuple[ExchangeEntry, int]:
    def decision(gate: str, verdict: str = "permit") -> DecisionRecord:
        return DecisionRecord.model_validate(
            {"gate": gate, "verdict": verdict, "bundle": _BUNDLE, "meaning": _BUNDLE,
             "exchange_at": _AT, "today_at": _AT, "clauses": list(lesson.clauses),
             "terms": [_SOURCE]}
        )  # fmt: skip

    call = CallEntry(
        **log.stamp(),
        key="key:demo",
        worker="w1",
        student=STUDENT,
        facts={"project": "demo", "route": "acme"},
        request=SealRecord(seal="0" * 64, size_bytes=1),
        decision=decision("request"),
    )
    log.append(call)
    exchange = ExchangeEntry(
        **log.stamp(),
        call=call.id,
        outcome="complete",
        status=200,
        facts={"model.id": lesson.model},
        choices=len(lesson.answers),
        is_whole=True,
        answer=seal_record(opening.salt, opening.body),
        decision=decision("response", lesson.verdict),
        nonce=_NONCE,
    )
    return exchange, log.append(exchange)


def _row(
    lesson: Lesson, exchange: ExchangeEntry, seq: int, choice: int, reading: bytes
) -> ExampleRow:
    texts = texts_of(reading, choice)
    assert exchange.answer is not None
    return ExampleRow(
        example=f"{exchange.id}#{choice}",
        exchange=exchange.id,
        call=exchange.call,
        choice=choice,
        seq=seq,
        project="demo",
        student=STUDENT,
        provider="acme",
        route="acme",
        model=lesson.model,
        licence="Apache-2.0",
        finish=lesson.finish,
        messages=texts.messages,
        tools=texts.tools,
        completion=texts.completion,
        logprobs=texts.logprobs,
        sampling=texts.sampling,
        clauses=lesson.clauses,
        terms=(_SOURCE,),
        duties=("notice: Built with Acme",),
        bundle=_BUNDLE,
        exchange_at=_AT,
        decided_at=_AT,
        answer_seal=exchange.answer.seal,
    )
