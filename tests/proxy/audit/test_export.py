"""An audit shows what was learned, under which clause and on whose word, and verifies alone."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import time_machine

import proxy.audit.export
from proxy.audit.export import Exported, export_audit
from proxy.audit.scope import Scope
from proxy.cli.openledger import notary_of, open_ledger
from proxy.errors import BundleError, DatasetError, LedgerError
from proxy.ledger.bundle import read_bundle
from proxy.ledger.entry import ExchangeEntry, ExportEntry
from proxy.ledger.tables import from_parquet
from proxy.ledger.verify import verify
from tests.proxy.workshop import NOW, Asked, Said, Workshop

SECRET_TEXT = "It is chartreuse."


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Workshop]:
    """A workspace with a dataset of two examples, one of them cleared, and an answer held back."""
    with time_machine.travel(NOW, tick=True):
        made = Workshop.at(tmp_path / "work")
        _, cleared, _ = made.ask(
            Asked(said=(Said(text=SECRET_TEXT),)),
            Asked(said=(Said(finish="length"),)),
            Asked(said=(Said(text="unseen", finish="length"),)),
        )
        made.record("review", "clear", cleared, "--reason", "it is whole enough")
        made.record("dataset", "build", "--student", "gardener")
        yield made


def export(here: Workshop, name: str = "audit", **scope: str | bool) -> Exported:
    """An audit beside the workspace."""
    with open_ledger(here.settings) as ledger:
        return export_audit(
            Scope(**scope),  # type: ignore[arg-type] # tests name the fields
            notary_of(ledger),
            datasets=here.settings.datasets_directory,
            target=here.directory.parent / name,
            actor="user:1",
            recipient="auditor",
        )


def table(path: Path, name: str) -> list[dict[str, object]]:
    """The rows of a table of an audit."""
    with read_bundle(path) as bundle:
        return from_parquet(bundle.read(f"tables/{name}.parquet"))


def test_the_whole_log_verifies(here: Workshop) -> None:
    """Every entry is in an audit of the whole log, refused and held answers included."""
    before = here.size()
    made = export(here)
    report = verify(made.path, here.key)
    assert (report.exit_code, made.entries) == (0, before + 1)
    assert len(table(made.path, "exchanges")) == 3


def test_each_example_names_clause_and_approver(here: Workshop) -> None:
    """Dataset, clause, terms and the person on whose word it is in stand beside each example."""
    rows = table(export(here, student="gardener").path, "examples")
    assert all(row["clauses"] and row["terms"] and row["dataset"] for row in rows)
    approved = [row["approved_by"] for row in rows]
    assert approved[0] == []
    assert isinstance(approved[1], list)
    assert str(approved[1][0]).startswith("clearance: user:")


def test_the_students_declaration_has_an_approver(here: Workshop) -> None:
    """Where somebody approved what the student competes with, the example says who."""
    here.approve(here.declare("gardener", competes="[]"))
    here.record("dataset", "build", "--student", "gardener")
    rows = table(export(here).path, "examples")
    assert any("student gardener: user:" in str(row["approved_by"]) for row in rows[2:])


def test_a_students_audit_holds_what_it_learned_and_no_more(here: Workshop) -> None:
    """The held answer is in no dataset, so it is in the audit of no student, and its text nowhere."""
    made = export(here, student="gardener")
    assert verify(made.path, here.key).exit_code == 0
    assert len(table(made.path, "exchanges")) == made.examples == 2
    with read_bundle(made.path) as bundle:
        assert SECRET_TEXT in "".join(o.body.decode() for o in bundle.openings().values())
        assert not any(b"unseen" in opening.body for opening in bundle.openings().values())


def test_metadata_discloses_no_text(here: Workshop) -> None:
    """Without bodies the audit verifies all the same, and no file holds a text."""
    made = export(here, is_metadata_only=True)
    assert verify(made.path, here.key).exit_code == 0
    assert made.openings == 0
    assert not any(
        SECRET_TEXT.encode() in path.read_bytes() for path in made.path.rglob("*") if path.is_file()
    )


def test_the_entry_says_what_was_disclosed_and_to_whom(here: Workshop) -> None:
    """The ledger keeps query, recipient and the root of each table."""
    made = export(here, student="gardener")
    entry = here.entries()[-1]
    assert isinstance(entry, ExportEntry)
    assert entry.query == {"scope": "student", "student": "gardener", "bodies": "examples"}
    assert (entry.recipient, entry.export, set(entry.tables)) == (
        "auditor",
        made.export,
        {"decisions", "examples", "exchanges", "grants", "policies", "terms"},
    )


def test_what_is_erased_meanwhile_makes_no_audit(
    here: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An audit that was written before an erasure came is not put on record, and none of it stays."""
    size = here.size()

    def entry(scope: Scope, draft: object, **who: str) -> ExportEntry:
        erase(here)
        return made(scope, draft, **who)  # type: ignore[arg-type] # as they were given

    made = proxy.audit.export._entry
    monkeypatch.setattr(proxy.audit.export, "_entry", entry)
    with pytest.raises(LedgerError, match="somebody put a `erase` on record"):
        export(here)
    assert {e.kind for e in here.entries()[size:]} == {"erase", "status"}
    assert not list(here.directory.parent.glob("*audit*"))


def test_an_erasure_while_the_last_file_is_written_takes_it_back(
    here: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An erasure names the audit that is on record, and no copy of it appears afterwards."""

    def last(kind: str) -> str:
        erase(here)
        return f"how to check an {kind}"

    monkeypatch.setattr(proxy.audit.export, "guide", last)
    with pytest.raises(LedgerError, match="erased while it was written"):
        export(here)
    assert not list(here.directory.parent.glob("*audit*"))


def erase(here: Workshop) -> None:
    """Erase the first exchange that the dataset took."""
    (dataset, *_) = [e for e in here.entries() if isinstance(e, ExchangeEntry)]
    here.record("erase", dataset.id, "--reason", "r", "--yes")


def test_an_older_audit_stays_in_a_newer_one(here: Workshop) -> None:
    """An audit can be made of a log that has audits, and verifies against the older checkpoint."""
    first = export(here, "first")
    second = export(here, "second")
    report = verify(second.path, here.key, checkpoints=[first.checkpoint])
    assert report.exit_code == 0
    assert "rewriting by the key's holder" not in report.not_covered


def test_a_dataset_that_was_moved_away_is_said_to_be_absent(here: Workshop) -> None:
    """Examples that cannot be listed are not left out in silence."""
    (dataset,) = here.settings.datasets_directory.iterdir()
    shutil.rmtree(dataset)
    made = export(here)
    assert made.absent == (dataset.name,)
    with read_bundle(made.path) as bundle:
        assert bundle.about()["absent_datasets"] == [dataset.name]
    assert verify(made.path, here.key).exit_code == 0


def test_a_dataset_that_was_changed_is_not_exported(here: Workshop) -> None:
    """Rows that are not those on record make no audit, and nothing is put on record."""
    (dataset,) = here.settings.datasets_directory.iterdir()
    here.ask(Asked(said=(Said(text="other"),)))
    other = Path(str(here.record("dataset", "build", "--student", "gardener")["path"]))
    shutil.rmtree(dataset)
    other.rename(dataset)
    before = here.size()
    with pytest.raises(BundleError, match="is not the one on record"):
        export(here)
    assert here.size() == before


def test_a_student_without_a_dataset_is_an_error(here: Workshop) -> None:
    """A misspelt student is offered the nearest one."""
    with pytest.raises(DatasetError, match="no dataset was sealed") as caught:
        export(here, student="gardner")
    assert caught.value.help == "did you mean `gardener`?"


def test_a_taken_target_is_refused_before_anything_is_on_record(here: Workshop) -> None:
    """Where something lies already, no entry is appended."""
    before = here.size()
    (here.directory.parent / "audit").mkdir()
    with pytest.raises(BundleError, match="there is something at this path already"):
        export(here)
    assert here.size() == before


def test_no_credential_is_in_an_audit(here: Workshop) -> None:
    """`export.json` and the entries name no key of a client but its id (P4)."""
    made = export(here)
    about = json.loads((made.path / "export.json").read_text())
    assert about["kind"] == "audit"
    assert b"ib_" not in (made.path / "entries.jsonl").read_bytes()
