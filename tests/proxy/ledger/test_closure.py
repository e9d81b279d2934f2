"""A dataset whose log is in order is still false when a row is not an admitted exchange (P5)."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from proxy.errors import BundleError
from proxy.ledger.bundle import LedgerEntry
from proxy.ledger.canonical import Json, canonical
from proxy.ledger.closure import policy_digest
from proxy.ledger.entry import ExchangeEntry, JudgementEntry, KeyEntry
from proxy.ledger.example import EXAMPLE_COLUMNS, ExampleRow
from proxy.ledger.report import Report
from proxy.ledger.tables import Table, to_parquet
from proxy.ledger.verify import verify
from tests.proxy.ledger.sample import (
    AT,
    BUNDLE,
    COUNTS,
    EXPORT_KEY,
    NONCE,
    POLICY,
    TERMS_DIGEST,
    VKEY,
    Case,
    Extra,
    Log,
    audit_case,
    call_and_exchange,
    dataset_case,
    later,
    resign,
    row_of,
)

HUGE = dataset_case().contents.rows[0].to_row() | {"seq": 2**60}
VALID = "2026-11-25T00:00:00.000Z"


def check(case: Case, tmp_path: Path, now: str | None = VALID) -> Report:
    """The report on a case, written and verified."""
    return verify(case.write(tmp_path / "bundle"), VKEY, now=now)


def judgement(exchange: str) -> JudgementEntry:
    """A person's fact about an exchange."""
    return JudgementEntry(
        id="judgement-1",
        at=AT,
        actor="user:1",
        exchange=exchange,
        facts={"response.pii": False},
        reason="read it",
        nonce=NONCE,
    )


def with_exchange(
    rows: list[ExampleRow], entries: list[LedgerEntry], name: str
) -> list[ExampleRow]:
    """The rows and one more, of an exchange among these entries."""
    return [*rows, row_of(entries[1], name, 0)]


def case_of(
    outcome: str = "complete",
    *,
    is_whole: bool = True,
    verdict: str | None = "permit",
    problem: str | None = None,
    after: Callable[[Log], list[LedgerEntry]] = lambda _: [],
) -> Case:
    """A dataset with a row of an exchange of this kind, and entries after it."""
    made: list[LedgerEntry] = []

    def extra(log: Log) -> list[LedgerEntry]:
        made.extend(
            call_and_exchange(
                log, "third", outcome=outcome, is_whole=is_whole, verdict=verdict, problem=problem
            )
        )
        return [*made, *after(log)]

    return dataset_case(
        extra=extra, rows=lambda rows: with_exchange(rows, made, "third"), opened=("third",)
    )


# --- what may be in a dataset ---------------------------------------------------------------------


def _later(*actions: str) -> Extra:
    def after(log: Log) -> list[LedgerEntry]:
        return [log.append(later("third", a, f"later-{n}")) for n, a in enumerate(actions)]

    return after


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case_of, id="permitted"),
        pytest.param(lambda: case_of(verdict="review", after=_later("clear")), id="cleared"),
        pytest.param(
            lambda: case_of(verdict="review", after=_later("clear", "reverse", "clear")),
            id="cleared again",
        ),
        pytest.param(
            lambda: case_of(verdict="review", after=lambda log: [log.append(judgement("third"))]),
            id="judged",
        ),
    ],
)
def test_admitted_exchanges_may_train(case: Callable[[], Case], tmp_path: Path) -> None:
    """An exchange that the gate permits or a person cleared may be a row."""
    assert check(case(), tmp_path).findings == []


@pytest.mark.parametrize(
    ("case", "problem"),
    [
        pytest.param(lambda: case_of("client_disconnected"), "not whole", id="disconnected"),
        pytest.param(lambda: case_of("interrupted"), "not whole", id="interrupted"),
        pytest.param(lambda: case_of(is_whole=False), "not whole", id="not whole"),
        pytest.param(lambda: case_of(problem="late"), "not whole", id="with a problem"),
        pytest.param(
            lambda: case_of(
                verdict="review",
                after=lambda log: [log.append(later("third", "clear", "later", gate="request"))],
            ),
            "not admitted",
            id="cleared at another gate",
        ),
        pytest.param(lambda: case_of(verdict=None), "not admitted", id="undecided"),
        pytest.param(lambda: case_of(verdict="review"), "not admitted", id="held back"),
        pytest.param(lambda: case_of(verdict="forbid"), "not admitted", id="forbidden"),
        pytest.param(lambda: case_of(after=_later("reject")), "not admitted", id="rejected"),
        pytest.param(
            lambda: case_of(verdict="review", after=_later("clear", "reverse")),
            "not admitted",
            id="reversed",
        ),
        pytest.param(
            lambda: case_of(verdict="forbid", after=lambda log: [log.append(judgement("third"))]),
            "not admitted",
            id="forbidden and judged",
        ),
        pytest.param(
            lambda: dataset_case(is_permitted=False),
            "manifest does not permit",
            id="not in the manifest",
        ),
    ],
)
def test_other_exchanges_may_not(case: Callable[[], Case], problem: str, tmp_path: Path) -> None:
    """A row of an exchange that is not whole, or whose latest word is no, is false."""
    report = check(case(), tmp_path)
    assert report.exit_code == 1
    assert {finding.where for finding in report.findings} == {"dataset/examples.parquet"}
    assert all(problem in finding.message for finding in report.findings)


# --- what a row says ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"exchange": "nobody", "example": "nobody#0"}, "exchange that is not here"),
        ({"exchange": "call-first", "example": "call-first#0"}, "exchange that is not here"),
        ({"seq": 3}, "exchange that is not here"),
        ({"example": "first#9"}, "`example`"),
        ({"call": "call-second"}, "`call`"),
        ({"verdict": "review"}, "`verdict`"),
        ({"student": "other"}, "`student`"),
        ({"bundle": "00" * 32}, "`bundle`"),
        ({"project": "other"}, "`project`"),
        ({"route": "other"}, "`route`"),
        ({"model": "acme/small"}, "`model`"),
        ({"exchange_at": "2026-11-24T06:00:00.000Z"}, "`exchange_at`"),
        ({"answer_seal": "00" * 32}, "`answer_seal`"),
        ({"terms": ("00" * 32,)}, "rests on `terms/"),
        ({"grants": ("00" * 32,)}, "rests on `grants/"),
        ({"contributors": ("nobody",)}, "other contributors than the log has"),
        ({"messages": "[]"}, "another text than was sealed"),
        ({"tools": None}, "another text than was sealed"),
        ({"completion": '{"text":"better"}'}, "another text than was sealed"),
        ({"logprobs": "[]"}, "another text than was sealed"),
        ({"messages": "no JSON"}, "not in what was sealed"),
        ({"choice": 7, "example": "first#7"}, "no choice 7"),
    ],
)
def test_a_row_says_what_the_log_says(change: dict[str, Any], problem: str, tmp_path: Path) -> None:
    """A row sealed with a wrong label or text is false, although its root is in the log."""

    def rows(rows: list[ExampleRow]) -> list[ExampleRow]:
        return [replace(rows[0], **change), *rows[1:]]

    report = check(dataset_case(rows=rows), tmp_path)
    assert report.exit_code == 1
    assert [finding.code for finding in report.findings] == ["row"]
    assert problem in report.findings[0].message


def test_texts_compare_as_json(tmp_path: Path) -> None:
    """Another spelling of the same JSON is the same text."""

    def rows(rows: list[ExampleRow]) -> list[ExampleRow]:
        return [
            replace(row, messages=json.dumps(json.loads(row.messages), indent=2)) for row in rows
        ]

    assert check(dataset_case(rows=rows), tmp_path).findings == []


def test_an_example_stands_once(tmp_path: Path) -> None:
    """The same example twice is false."""
    report = check(dataset_case(rows=lambda rows: [*rows, rows[0]]), tmp_path)
    assert [finding.message for finding in report.findings] == ["example `first#0` stands twice"]


# --- validity -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "exit_code"),
    [
        ("2026-12-24T04:59:59.999Z", 0),
        ("2026-12-24T05:00:00.000Z", 2),
        ("2027-01-01T00:00:00.000Z", 2),
        ("soon", 2),
        ("2026-12-01T00:00:00", 2),
    ],
)
def test_past_its_date_a_dataset_cannot_be_told(now: str, exit_code: int, tmp_path: Path) -> None:
    """From `valid_until` on, or at a time that cannot be read, the dataset needs a newer word."""
    report = check(dataset_case(), tmp_path, now)
    assert report.exit_code == exit_code


def test_without_a_time_validity_is_not_covered(tmp_path: Path) -> None:
    """Whoever does not say what time it is, is told until when the dataset was valid."""
    report = check(dataset_case(), tmp_path, None)
    assert any("until 2026-12-24" in line for line in report.not_covered)


# --- the log ----------------------------------------------------------------------------------------


def _second_exchange(log: Log) -> list[LedgerEntry]:
    entry = ExchangeEntry(id="x", at=AT, actor="w", call="call-first", outcome="cut", nonce=NONCE)
    return [log.append(entry)]


def _same_id(log: Log) -> list[LedgerEntry]:
    return [
        log.append(later("first", "clear", "same")),
        log.append(later("first", "clear", "same")),
    ]


def _stray_decision(log: Log) -> list[LedgerEntry]:
    return [log.append(later("nobody", "clear", "stray"))]


def _stray_judgement(log: Log) -> list[LedgerEntry]:
    return [log.append(judgement("nobody"))]


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        (_second_exchange, "call"),
        (_same_id, "entry"),
        (_stray_decision, "exchange"),
        (_stray_judgement, "exchange"),
    ],
)
def test_entries_hang_together(extra: Extra, code: str, tmp_path: Path) -> None:
    """Each exchange has one call of its own before it; ids are unique; nothing is about nothing."""
    report = check(dataset_case(extra=extra), tmp_path)
    assert [(finding.code, finding.where) for finding in report.findings] == [
        (code, "entries.jsonl")
    ]


def test_an_exchange_without_its_call_is_noticed(tmp_path: Path) -> None:
    """Where the call of an exchange is taken out, the exchange rests on nothing."""
    path = audit_case().write(tmp_path / "bundle")
    lines = (path / "entries.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if '\\"id\\":\\"call-third' not in line]
    assert len(kept) == len(lines) - 1
    (path / "entries.jsonl").write_text("".join(kept))
    resign(path)
    assert {finding.code for finding in verify(path, VKEY).findings} == {"entries", "call"}


def test_without_pyarrow_examples_cannot_be_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where pyarrow is not installed, tables are not covered and a dataset cannot be told."""
    path = dataset_case().write(tmp_path / "bundle")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    report = verify(path, VKEY, now=VALID)
    assert (report.exit_code, report.findings[0].where) == (2, "dataset/examples.parquet")
    assert "tables: pyarrow is not installed" in report.not_covered


def test_a_manifest_of_other_lines_is_noticed(tmp_path: Path) -> None:
    """A manifest that its entry commits to but whose lines are of another kind is false."""
    case = dataset_case(manifest=b'{"exchange":"first"}\n')
    path = case.write(tmp_path / "bundle")
    (path / "dataset/manifest.jsonl").write_bytes(b'{"exchange":"first"}\n')
    resign(path)
    report = verify(path, VKEY, now=VALID)
    assert ("bundle", "dataset/manifest.jsonl:1") in {
        (finding.code, finding.where) for finding in report.findings
    }


def test_a_revoked_export_key_is_not_the_logs(tmp_path: Path) -> None:
    """An export key that a later entry revoked signs nothing."""

    def extra(log: Log) -> list[LedgerEntry]:
        entry = KeyEntry(
            id="revoked",
            at=AT,
            actor="user:1",
            action="revoke",
            role="export",
            key="export-1",
            public=EXPORT_KEY.public_pem,
            nonce=NONCE,
        )
        return [log.append(entry)]

    report = check(audit_case(extra=extra), tmp_path)
    assert [finding.code for finding in report.findings] == ["export-key"]


def test_an_empty_log_has_no_subject(tmp_path: Path) -> None:
    """A bundle without entries says nothing."""
    case = audit_case()
    report = check(
        replace(case, contents=replace(case.contents, entries=[], openings=[])), tmp_path
    )
    assert "subject" in {finding.code for finding in report.findings}


# --- damage signed again with the export key ------------------------------------------------------


def _write(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda path: (path / name).write_bytes(data)


def _about(**fields: Json) -> Callable[[Path], object]:
    def damage(path: Path) -> None:
        about = json.loads((path / "export.json").read_bytes()) | fields
        (path / "export.json").write_bytes(canonical(about))

    return damage


@pytest.mark.parametrize(
    ("damage", "code", "where"),
    [
        (_about(subject="other"), "subject", "entries.jsonl"),
        (_about(kind="audit"), "subject", "entries.jsonl"),
        (_about(query={"student": "other"}), "query", "export.json"),
        (_write(f"policies/{BUNDLE}.json", POLICY + b" "), None, ""),
        (
            _write(f"policies/{BUNDLE}.json", POLICY.replace(b"Acme", b"Other")),
            "document",
            f"policies/{BUNDLE}.json",
        ),
        (_write(f"policies/{BUNDLE}.json", b"{}"), "bundle", f"policies/{BUNDLE}.json"),
        (
            _write(f"policies/{BUNDLE}.json", POLICY.replace(b": 1", b": 1.5")),
            "bundle",
            f"policies/{BUNDLE}.json",
        ),
        (_write(f"terms/{TERMS_DIGEST}.json", b"{}"), "document", f"terms/{TERMS_DIGEST}.json"),
        (_write("tables/terms.parquet", b"PAR1"), "bundle", "tables/terms.parquet"),
        (
            _write("tables/terms.parquet", to_parquet(COUNTS)),
            "table",
            "tables/terms.parquet",
        ),
        (_write("dataset/manifest.jsonl", b""), "manifest", "dataset/manifest.jsonl"),
        (
            lambda path: (path / "dataset/examples.parquet").unlink(),
            "rows",
            "dataset/examples.parquet",
        ),
        (
            _write(
                "dataset/examples.parquet",
                to_parquet(Table(columns=EXAMPLE_COLUMNS, rows=[])),
            ),
            "rows",
            "dataset/examples.parquet",
        ),
        (
            _write(
                "dataset/examples.parquet",
                to_parquet(Table(columns=EXAMPLE_COLUMNS, rows=[HUGE])),
            ),
            "rows",
            "dataset/examples.parquet",
        ),
        (
            lambda path: (path / "openings.jsonl").unlink(),
            "row",
            "dataset/examples.parquet",
        ),
    ],
)
def test_all_that_is_committed_to_is_compared(
    damage: Callable[[Path], object], code: str | None, where: str, tmp_path: Path
) -> None:
    """Whatever an entry names is compared with what is there, although the signature fits."""
    path = dataset_case().write(tmp_path / "bundle")
    damage(path)
    resign(path)
    found = {(finding.code, finding.where) for finding in verify(path, VKEY, now=VALID).findings}
    assert found >= ({(code, where)} if code else set())
    assert bool(found) == bool(code)


def test_damaged_tables_are_not_opened(tmp_path: Path) -> None:
    """Parquet files that the signature does not vouch for are not handed to pyarrow."""
    path = dataset_case().write(tmp_path / "bundle")
    (path / "tables/terms.parquet").write_bytes(b"PAR1")
    (path / "dataset/examples.parquet").write_bytes(b"PAR1")
    codes = {(f.code, f.where) for f in verify(path, VKEY, now=VALID).findings}
    assert codes == {
        ("file-changed", "tables/terms.parquet"),
        ("file-changed", "dataset/examples.parquet"),
        ("rows", "dataset/examples.parquet"),
    }


@pytest.mark.parametrize(
    "table",
    [
        Table(columns=COUNTS.columns, rows=[{"model": "acme/large", "examples": 3}]),
        Table(columns=COUNTS.columns, rows=[{"model": "acme/large", "examples": 2**60}]),
    ],
)
def test_a_table_of_an_audits_own_is_held_to_its_root(table: Table, tmp_path: Path) -> None:
    """A table that no leaf gives is compared with the root in the `export` entry."""
    path = audit_case().write(tmp_path / "bundle")
    assert verify(path, VKEY).findings == []
    (path / "tables/counts.parquet").write_bytes(to_parquet(table))
    resign(path)
    assert [f.where for f in verify(path, VKEY).findings] == ["tables/counts.parquet"]


# --- policies ---------------------------------------------------------------------------------------


def test_a_policy_digest_is_over_the_digests_of_its_documents() -> None:
    """The digest is the sha256 of canonical JSON in which each document is its own sha256."""
    document = {
        "language": 1,
        "organisation": "Acme",
        "documents": {"a.yaml": "text"},
        "approvals": ["ab"],
        "revoked": [],
    }
    inner = sha256(b"text").hexdigest()
    expected = (
        '{"approvals":["ab"],"documents":{"a.yaml":"' + inner + '"},'
        '"language":1,"organisation":"Acme","revoked":[]}'
    )
    assert policy_digest(json.dumps(document).encode()) == sha256(expected.encode()).hexdigest()


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b'{"documents":{"a":1}}', b"[" * 10_000])
def test_other_bytes_are_no_policy_bundle(document: bytes) -> None:
    """Bytes that are not the document of a policy bundle are refused."""
    with pytest.raises(BundleError, match="no policy bundle"):
        policy_digest(document)


def test_other_numbers_of_rows_are_not_read(tmp_path: Path) -> None:
    """A file of a few bytes may hold millions of rows: more than the leaves give are refused unread."""
    path = audit_case().write(tmp_path / "audit")
    unreadable = pa.array([2**31 - 1] * 9, pa.int32()).cast(pa.date32())
    pq.write_table(pa.table({"seq": unreadable}), path / "tables/terms.parquet")
    resign(path)
    assert [finding.code for finding in verify(path, VKEY).findings] == ["table"]
