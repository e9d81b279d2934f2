"""A small real log and the bundles made of it: entries, seals, policies, terms, a grant."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from proxy.ledger.bundle import (
    BundleContents,
    LedgerEntry,
    Opening,
    entries_digest,
    openings_digest,
    write_bundle,
)
from proxy.ledger.canonical import Json, canonical
from proxy.ledger.checkpoint import Checkpoint, LogKey, sign_checkpoint
from proxy.ledger.closure import policy_digest
from proxy.ledger.entry import (
    AdminEntry,
    CallEntry,
    DatasetEntry,
    DecisionEntry,
    DecisionRecord,
    Entry,
    ExchangeEntry,
    ExportEntry,
    GrantEntry,
    JudgementEntry,
    KeyEntry,
    OpenEntry,
    PolicyEntry,
    TermsEntry,
    UsageRecord,
)
from proxy.ledger.envelope import SIGNATURE, ExportKey, sign_files
from proxy.ledger.example import ExampleRow, ManifestLine, manifest_bytes, rows_root, texts_of
from proxy.ledger.merkle import Frontier, leaf_hash, leaf_reader
from proxy.ledger.seal import seal_record
from proxy.ledger.tables import Column, Table

ORIGIN = "ledger.acme.example"
LOG_KEY = LogKey.generate(ORIGIN, bytes(32))
VKEY = LOG_KEY.verifier.to_text()
EXPORT_KEY = ExportKey.generate(bytes(range(32)))
THIEF_KEY = ExportKey.generate(bytes(range(1, 33)))
AT = "2026-11-24T05:00:00.000Z"
NONCE = "00" * 16

TEXTS = {"library/hosts/acme-api.yaml": "inbond: 1\npolicy: acme-api\n"}
POLICY = json.dumps(
    {
        "language": 1,
        "organisation": "Acme",
        "documents": TEXTS,
        "approvals": [],
        "revoked": [],
    }
).encode()
BUNDLE = policy_digest(POLICY)
TERMS = canonical({"title": "Commercial terms", "url": "https://acme.example/terms"})
TERMS_DIGEST = sha256(TERMS).hexdigest()
GRANT = b"grant: acme-2026\n"
GRANT_DIGEST = sha256(GRANT).hexdigest()

QUERY = {"student": "router"}


def salt_of(name: str) -> bytes:
    """The salt of one body of the sample."""
    return sha256(name.encode()).digest()


def reading(text: str) -> bytes:
    """What the answer seal of an exchange holds: two choices, the second with log-probabilities."""
    choice: dict[str, Json] = {"text": text, "reasoning": "", "tool_calls": [], "logprobs": None}
    document = {
        "v": 1,
        "request": {
            "messages": [{"role": "user", "text": f"say {text}", "tool_calls": []}],
            "tools": [{"name": "look"}],
            "temperature": 0.5,
        },
        "answer": {
            "choices": [
                {"index": 0, **choice},
                {"index": 1, **choice, "text": text.upper(), "logprobs": [{"logprob": -0.25}]},
            ],
            "usage": {"raw": {"total": 3}},
        },
    }
    return json.dumps(document, sort_keys=True).encode()


def decision(gate: str, verdict: str) -> DecisionRecord:
    """A decision under the sample's policy."""
    return DecisionRecord.model_validate(
        {
            "gate": gate,
            "verdict": verdict,
            "bundle": BUNDLE,
            "meaning": "ab" * 32,
            "exchange_at": AT,
            "today_at": AT,
            "by": ["acme-api/outputs-are-yours"],
            "clauses": ["acme-api/outputs-are-yours terms-2026 4.2"],
            "terms": [TERMS_DIGEST],
            "grants": [GRANT_DIGEST],
            "duties": ["notice: Acme"],
        }
    )


class Log:
    """Entries in order, and the tree over them."""

    def __init__(self) -> None:
        self.leaves: list[bytes] = []

    def append(self, entry: Entry) -> LedgerEntry:
        """Add an entry; gives its place and leaf."""
        leaf = canonical(entry.model_dump(mode="json"))
        self.leaves.append(leaf)
        return LedgerEntry(len(self.leaves) - 1, leaf)

    @property
    def hashes(self) -> list[bytes]:
        """The leaf hashes."""
        return [leaf_hash(leaf) for leaf in self.leaves]

    def checkpoint(self, size: int | None = None, key: LogKey = LOG_KEY) -> str:
        """A signed checkpoint of the first `size` leaves, by default of all."""
        hashes = self.hashes[:size]
        root = Frontier().extend(hashes).root()
        return sign_checkpoint(Checkpoint(origin=ORIGIN, size=len(hashes), root=root), key)

    def fill(self, count: int) -> None:
        """Add entries that no bundle includes."""
        for number in range(count):
            name = f"filler-{len(self.leaves)}-{number}"
            self.append(AdminEntry(id=name, at=AT, actor="inbond", action="tick", nonce=NONCE))


def call_and_exchange(
    log: Log,
    name: str,
    *,
    outcome: str = "complete",
    is_whole: bool = True,
    verdict: str | None = "permit",
    problem: str | None = None,
    parents: Sequence[str] = (),
    sources: Sequence[str] = (),
    answered: tuple[str | None, str | None] = (None, None),
) -> list[LedgerEntry]:
    """A call and how it ended; `answered` is the answer's id and that of the one it goes on from."""
    call = CallEntry(
        id=f"call-{name}",
        at=AT,
        actor="key:1",
        key="key:1",
        worker="worker-1",
        facts={
            "project": "support",
            "route": "acme-api",
            "model.asked": "large",
            "model.id": "acme/asked",
        },
        request=seal_record(salt_of(f"request-{name}"), b"{}"),
        decision=decision("request", "permit"),
        parents=list(parents),
        sources=list(sources),
    )
    exchange = ExchangeEntry.model_validate(
        {
            "id": name,
            "at": AT,
            "actor": "worker-1",
            "call": call.id,
            "outcome": outcome,
            "status": 200,
            "facts": {} if outcome == "interrupted" else {"model.id": "acme/large"},
            "problem": problem,
            "usage": UsageRecord(input=1, output=2),
            "response_id": answered[0],
            "continues": answered[1],
            "choices": 2,
            "is_whole": is_whole,
            "answer": seal_record(salt_of(name), reading(name)),
            "wire": seal_record(salt_of(f"wire-{name}"), b"data: {}\n\n"),
            "decision": None if verdict is None else decision("response", verdict),
            "nonce": NONCE,
        }
    )
    return [log.append(call), log.append(exchange)]


def later(exchange: str, action: str, name: str, gate: str = "response") -> DecisionEntry:
    """A later decision on an exchange."""
    return DecisionEntry.model_validate(
        {
            "id": name,
            "at": AT,
            "actor": "user:1",
            "action": action,
            "exchange": exchange,
            "gate": gate,
            "clears": ["acme/second-look"],
            "reason": "read it",
            "nonce": NONCE,
        }
    )


def row_of(entry: LedgerEntry, exchange: str, choice: int) -> ExampleRow:
    """The example of one choice of an exchange of the sample."""
    texts = texts_of(reading(exchange), choice)
    return ExampleRow(
        example=f"{exchange}#{choice}",
        exchange=exchange,
        call=f"call-{exchange}",
        choice=choice,
        seq=entry.seq,
        project="support",
        student="router",
        provider="acme",
        route="acme-api",
        model="acme/large",
        licence="proprietary",
        finish="stop",
        messages=texts.messages,
        tools=texts.tools,
        completion=texts.completion,
        logprobs=texts.logprobs,
        sampling=texts.sampling,
        terms=(TERMS_DIGEST,),
        grants=(GRANT_DIGEST,),
        bundle=BUNDLE,
        exchange_at=AT,
        decided_at=AT,
        answer_seal=seal_record(salt_of(exchange), reading(exchange)).seal,
    )


@dataclass(frozen=True, kw_only=True)
class Case:
    """A bundle ready to be written, and the log it is from."""

    log: Log
    contents: BundleContents

    def write(self, target: Path) -> Path:
        """Write the bundle; gives its path."""
        write_bundle(target, self.contents, EXPORT_KEY)
        return target


def _common(log: Log) -> list[LedgerEntry]:
    entries = [
        log.append(
            OpenEntry(id="open", at=AT, actor="inbond", origin=ORIGIN, log_key=VKEY, nonce=NONCE)
        )
    ]
    key = KeyEntry(
        id="key-export",
        at=AT,
        actor="user:1",
        action="create",
        role="export",
        key="export-1",
        public=EXPORT_KEY.public_pem,
        nonce=NONCE,
    )
    entries.append(log.append(key))
    files = {path: sha256(text.encode()).hexdigest() for path, text in TEXTS.items()}
    policy = PolicyEntry(
        id="policy-1",
        at=AT,
        actor="user:1",
        bundle=BUNDLE,
        meaning="ab" * 32,
        files=files,
        nonce=NONCE,
    )
    entries.append(log.append(policy))
    terms = TermsEntry(
        id="terms-1",
        at=AT,
        actor="user:1",
        digest=TERMS_DIGEST,
        policy="acme-api",
        source="terms-2026",
        nonce=NONCE,
    )
    entries.append(log.append(terms))
    grant = GrantEntry(
        id="grant-1",
        at=AT,
        actor="user:2",
        action="approve",
        subject="grant",
        name="acme-2026",
        digest=GRANT_DIGEST,
        nonce=NONCE,
    )
    entries.append(log.append(grant))
    return entries


def opening(name: str) -> Opening:
    """The opening of an exchange's answer."""
    return Opening(salt=salt_of(name), body=reading(name))


def _contents(
    log: Log, entries: Sequence[LedgerEntry], subject: str, **more: Any
) -> BundleContents:
    contents = BundleContents(
        kind="audit",
        subject=subject,
        checkpoint=log.checkpoint(),
        log_key=VKEY,
        read=leaf_reader(log.hashes),
        entries=entries,
        policies={BUNDLE: POLICY},
        terms={TERMS_DIGEST: TERMS},
        grants={GRANT_DIGEST: GRANT},
        older=(100, 256, 290),
        files={"attestations/svr.dsse.json": b"{}"},
    )
    return replace(contents, **more)


type Extra = Callable[[Log], list[LedgerEntry]]


def dataset_case(
    *,
    extra: Extra = lambda _: [],
    rows: Callable[[list[ExampleRow]], list[ExampleRow]] = lambda rows: rows,
    is_permitted: bool = True,
    opened: Sequence[str] = (),
    manifest: bytes | None = None,
) -> Case:
    """A dataset of three examples: one exchange permitted, one cleared by a person.

    `extra` adds entries before the dataset's own; `rows` changes the rows before they are sealed;
    `opened` names more exchanges whose answers are opened; `manifest` is committed to instead.
    """
    log = Log()
    entries = _common(log)
    log.fill(270)
    entries += call_and_exchange(log, "first")
    log.fill(3)
    entries += call_and_exchange(log, "second", verdict="review")
    entries.append(log.append(later("second", "clear", "decision-1")))
    entries += extra(log)
    at = {json.loads(entry.leaf)["id"]: entry for entry in entries}
    examples = rows(
        [
            row_of(at["first"], "first", 0),
            row_of(at["first"], "first", 1),
            row_of(at["second"], "second", 0),
        ]
    )
    verdict = "permit" if is_permitted else "forbid"
    lines = [
        ManifestLine(exchange=name, seq=entry.seq, verdict=verdict)
        for name, entry in at.items()
        if json.loads(entry.leaf)["kind"] == "exchange"
    ]
    lines.append(ManifestLine(exchange="left-out", seq=277, verdict="forbid", by=("acme/no",)))
    openings = [opening(name) for name in ("first", "second", *opened)]
    subject = DatasetEntry(
        id="dataset-1",
        at=AT,
        actor="user:1",
        dataset="support-2026-11",
        student="router",
        root=rows_root(row.to_row() for row in examples),
        rows=len(examples),
        manifest=sha256(manifest or manifest_bytes(lines)).hexdigest(),
        entries=entries_digest(entry.leaf for entry in entries),
        openings=openings_digest(each.seal for each in openings),
        policies=[BUNDLE],
        terms=[TERMS_DIGEST],
        grants=[GRANT_DIGEST],
        decision_bundle=BUNDLE,
        valid_until="2026-12-24T05:00:00.000Z",
        recipient="trainer",
        nonce=NONCE,
    )
    entries.append(log.append(subject))
    log.fill(20)
    contents = _contents(
        log,
        entries,
        "dataset-1",
        kind="dataset",
        openings=openings,
        rows=examples,
        manifest=lines,
    )
    return Case(log=log, contents=contents)


COUNTS = Table(
    columns={"model": Column.TEXT, "examples": Column.INTEGER},
    rows=[{"model": "acme/large", "examples": 2}],
)


def audit_case(*, extra: Extra = lambda _: []) -> Case:
    """An audit of three exchanges, one of them interrupted, with one table of its own."""
    log = Log()
    entries = _common(log)
    log.fill(270)
    entries += call_and_exchange(log, "first")
    entries += call_and_exchange(log, "second", verdict="review")
    entries += call_and_exchange(log, "third", outcome="interrupted", is_whole=False, verdict=None)
    judgement = JudgementEntry(
        id="judgement-1",
        at=AT,
        actor="user:1",
        exchange="second",
        facts={"response.pii": False},
        reason="read it",
        nonce=NONCE,
    )
    entries.append(log.append(judgement))
    entries.append(log.append(later("second", "reject", "decision-1")))
    entries += extra(log)
    openings = [opening("first")]
    subject = ExportEntry(
        id="export-1",
        at=AT,
        actor="user:1",
        export="audit-2026-11",
        query=QUERY,
        entries=entries_digest(entry.leaf for entry in entries),
        openings=openings_digest(each.seal for each in openings),
        tables={"counts": rows_root(COUNTS.rows)},
        policies=[BUNDLE],
        terms=[TERMS_DIGEST],
        grants=[GRANT_DIGEST],
        recipient="auditor",
        nonce=NONCE,
    )
    entries.append(log.append(subject))
    contents = _contents(
        log,
        entries,
        "export-1",
        openings=openings,
        tables={"counts": COUNTS},
        about={"query": dict(QUERY)},
    )
    return Case(log=log, contents=contents)


def resign(bundle: Path, key: ExportKey = EXPORT_KEY) -> None:
    """Sign a changed bundle again, as the holder of the export key can."""
    (bundle / SIGNATURE).unlink(missing_ok=True)
    digests = {
        path.relative_to(bundle).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in sorted(bundle.rglob("*"))
        if path.is_file()
    }
    (bundle / SIGNATURE).write_bytes(sign_files("changed", digests, key))
