"""After an erasure nothing in the workspace holds what was said, and every proof still holds."""

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import insert, select

import proxy.erasure
from proxy.cli.erase import eraser_of
from proxy.cli.openledger import Ledger, open_ledger
from proxy.erasure import RECEIPT, Erased, Eraser, Request
from proxy.errors import LedgerError, ProofError
from proxy.hold import place
from proxy.ledger.entry import EraseEntry, StatusEntry
from proxy.ledger.notice import read_notice
from proxy.ledger.verify import verify
from proxy.registry import registry_of
from proxy.searching import Needle
from proxy.store.recalls import Asked as Wanted
from proxy.store.tables import BodyRow, SaltRow
from tests.proxy.workshop import NOW, Asked, Said, Workshop

CANARY = "Zürich-canary-7141"
ANSWER = "It is chartreuse-canary-2718."
TEXTS = (CANARY.encode(), json.dumps(CANARY)[1:-1].encode(), ANSWER.encode())


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A workspace with two answers, the first of a person who will ask to be forgotten."""
    with time_machine.travel(NOW, tick=True):
        made = Workshop.at(tmp_path_factory.mktemp("prepared") / "work")
        made.calls = made.ask(Asked(prompt=CANARY, said=(Said(text=ANSWER),)), Asked())
        return made


@pytest.fixture
def here(prepared: Workshop, tmp_path: Path) -> Iterator[Workshop]:
    """A copy of it for one test, an hour later."""
    shutil.copytree(prepared.directory, tmp_path / "work")
    with time_machine.travel(NOW + timedelta(hours=1), tick=True):
        yield Workshop(directory=tmp_path / "work", calls=prepared.calls)


@pytest.fixture
def ledger(here: Workshop) -> Iterator[Ledger]:
    """The ledger of the workspace."""
    with open_ledger(here.settings) as opened:
        yield opened


def request(*exchanges: str, **more: object) -> Request:
    """A person's request to erase exchanges."""
    said = {"ground": "person", "reason": "ticket 7"} | more
    return Request(asked=Wanted(exchanges=exchanges), **said)  # type: ignore[arg-type] # tests name the fields


def erase(eraser: Eraser, wanted: Request) -> Erased:
    """Plan and carry out."""
    return eraser.carry_out(eraser.plan(wanted), wanted)


def found_in(folder: Path) -> list[Path]:
    """The files below a folder that hold a text of the person."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if any(text in path.read_bytes() for text in TEXTS)]


def salts_of(ledger: Ledger) -> dict[str, bytes]:
    """What opens each seal."""
    with ledger.database.read() as connection:
        return {row[0]: row[1] for row in connection.execute(select(SaltRow.seal, SaltRow.salt))}


def blobs_of(ledger: Ledger) -> dict[str, bytes]:
    """The stored bodies."""
    with ledger.database.read() as connection:
        return {row[0]: row[1] for row in connection.execute(select(BodyRow.seal, BodyRow.blob))}


def test_no_file_of_the_workspace_holds_a_byte_of_it(here: Workshop, ledger: Ledger) -> None:
    """Neither text nor salt nor encrypted body is left in database, log, bundles or temporary files.

    A copy that was given away still verifies alone, and so does the ledger.
    """
    here.record("dataset", "build", "--student", "gardener")
    (dataset,) = here.settings.datasets_directory.iterdir()
    given_away = here.directory.parent / "given-away"
    shutil.copytree(dataset, given_away)
    shutil.copytree(dataset, here.directory / "elsewhere" / "second-copy")
    assert found_in(here.directory)
    salts, blobs = salts_of(ledger), blobs_of(ledger)
    done = erase(eraser_of(here.settings, ledger), request(here.calls[0]))
    gone = salts.keys() - salts_of(ledger).keys()
    assert len(gone) == done.salts == 3
    secrets = [salts[seal] for seal in gone] + [blobs[s] for s in gone & blobs.keys()]
    files = [path.read_bytes() for path in here.directory.rglob("*") if path.is_file()]
    assert not any(secret in data for secret in secrets for data in files)
    assert found_in(here.directory) == []
    assert not dataset.exists()
    assert verify(given_away, here.key).exit_code == 0
    assert here.inbond("ledger", "verify").exit_code == 0
    assert here.record("ledger", "verify")["erased"] == len(gone)


def test_the_next_build_leaves_it_out(here: Workshop, ledger: Ledger) -> None:
    """What was erased is in no later dataset, and the later dataset verifies."""
    erase(eraser_of(here.settings, ledger), request(here.calls[0]))
    made = here.record("dataset", "build", "--student", "gardener")
    assert (made["rows"], made["left_out"]) == (1, {"erased": 1})
    assert verify(Path(str(made["path"])), here.key).exit_code == 0


def test_copies_recipients_and_roots_are_on_record(here: Workshop, ledger: Ledger) -> None:
    """The entry names the datasets that hold it with their recipients; their roots are withdrawn."""
    made = here.record("dataset", "build", "--student", "gardener", "--recipient", "lab")
    done = erase(eraser_of(here.settings, ledger), request(here.calls[0], reference="T-7"))
    erased, marked = here.entries()[-2:]
    assert isinstance(erased, EraseEntry)
    assert (erased.copies, erased.deleted) == ({made["dataset"]: "lab"}, [made["dataset"]])
    assert (erased.exchanges, len(erased.seals), erased.reference) == ([here.calls[0]], 3, "T-7")
    assert isinstance(marked, StatusEntry)
    assert (marked.root, marked.state, marked.count) == (made["root"], "withdrawn", 1)
    assert done.withdrawn == (made["dataset"],)


def test_a_receipt_is_proven_by_the_pinned_key(here: Workshop, ledger: Ledger) -> None:
    """It holds the entry with its proof, says when the last backup is gone, and what is not covered."""
    settings = here.settings.model_copy(
        update={"retention": here.settings.retention.model_copy(update={"backup_days": 30})}
    )
    done = erase(eraser_of(settings, ledger), request(here.calls[0]))
    data = done.receipt.read_bytes()
    notice = read_notice(data, here.key, kind=RECEIPT)
    assert notice.leaves[0].texts("exchanges") == [here.calls[0]]
    assert done.gone_by is not None
    assert done.gone_by.startswith("2026-12-24T13:00")
    assert done.gone_by in str(notice.about["backups"])
    assert notice.about["not_covered"]
    with pytest.raises(ProofError):
        read_notice(data.replace(b"ticket 7", b"ticket 8"), here.key, kind=RECEIPT)


def test_a_hold_beats_an_erasure(here: Workshop, ledger: Ledger) -> None:
    """The refusal names the hold and why; what is not held can be erased apart from it."""
    eraser = eraser_of(here.settings, ledger)
    registry = registry_of(here.settings)
    hold = place(
        ledger.log, "exchange", here.calls[0], registry=registry, actor="user:1", reason="court"
    )
    with pytest.raises(LedgerError, match=rf"under hold `{hold.hold}` \(exchange .*: court\)"):
        erase(eraser, request(*here.calls))
    assert len(salts_of(ledger)) == 6
    assert erase(eraser, request(*here.calls, except_held=True)).exchanges == 1
    with pytest.raises(LedgerError, match="nothing to erase: 1 held, 1 erased before"):
        erase(eraser, request(*here.calls, except_held=True))


def test_what_came_since_the_plan_makes_it_void(here: Workshop, ledger: Ledger) -> None:
    """A hold that counsel placed, or a dataset that was built, while somebody thought about it."""
    eraser = eraser_of(here.settings, ledger)
    wanted = request(here.calls[0])
    plan = eraser.plan(wanted)
    here.record("dataset", "build", "--student", "gardener")
    with pytest.raises(LedgerError, match="somebody put a `dataset` on record while"):
        eraser.carry_out(plan, wanted)
    plan = eraser.plan(wanted)
    registry = registry_of(here.settings)
    place(ledger.log, "everything", "", registry=registry, actor="user:1", reason="court")
    with pytest.raises(LedgerError, match="somebody put a `hold` on record while"):
        eraser.carry_out(plan, wanted)
    assert len(salts_of(ledger)) == 6
    assert not any(isinstance(entry, EraseEntry) for entry in here.entries())


def test_an_audit_that_does_not_hold_it_stays(here: Workshop, ledger: Ledger) -> None:
    """What an audit disclosed is known, whether or not there is a copy of it: no other is touched."""
    here.record("dataset", "build", "--student", "gardener")
    erase(eraser_of(here.settings, ledger), request(here.calls[0]))
    here.record("dataset", "build", "--student", "gardener")
    (untold,) = here.ask(Asked())
    here.record("audit", "export", here.directory / "audit")
    done = erase(eraser_of(here.settings, ledger), request(untold))
    assert (done.deleted, (here.directory / "audit").is_dir()) == ((), True)
    done = erase(eraser_of(here.settings, ledger), request(here.calls[1]))
    assert here.directory / "audit" in done.deleted


def test_receipts_that_disclose_it_go_too(here: Workshop, ledger: Ledger) -> None:
    """Whatever a receipt's file is called; one without texts stays, and an audit is not touched."""
    for name, more in (("open", ("--open",)), ("closed", ())):
        here.record("audit", "prove", here.calls[0], *more, "--out", here.directory / name)
    done = erase(eraser_of(here.settings, ledger), request(here.calls[0]))
    assert done.deleted == (here.directory / "open",)
    assert (here.directory / "closed").exists()
    assert found_in(here.directory) == []


def test_half_a_bundle_that_a_crash_left_goes_too(here: Workshop, ledger: Ledger) -> None:
    """What was being written when the machine stopped holds texts, and no entry names its folder."""
    here.record("dataset", "build", "--student", "gardener")
    (dataset,) = here.settings.datasets_directory.iterdir()
    half = dataset.with_name(".half.partial")
    shutil.copytree(dataset, half)
    (half / "export.json").unlink()
    erase(eraser_of(here.settings, ledger), request(here.calls[0]))
    assert found_in(here.directory) == []


def test_a_restored_backup_is_found_and_erased_again(here: Workshop, ledger: Ledger) -> None:
    """Salts that come back are a finding of `ledger verify`, until the erasure is finished again."""
    salts, blobs = salts_of(ledger), blobs_of(ledger)
    eraser = eraser_of(here.settings, ledger)
    done = erase(eraser, request(here.calls[0]))
    done.receipt.unlink()
    gone = salts.keys() - salts_of(ledger).keys()
    with ledger.database.write() as connection:
        connection.execute(insert(SaltRow), [{"seal": s, "salt": salts[s]} for s in gone])
        back = [{"seal": s, "blob": blobs[s]} for s in gone & blobs.keys()]
        connection.execute(insert(BodyRow), back)
    result = here.inbond("ledger", "verify", "--json")
    assert result.exit_code == 1
    assert {json.loads(line)["code"] for line in result.stdout.splitlines()} == {"erased-body"}
    assert eraser.finish() == 3
    assert done.receipt.exists()
    assert here.inbond("ledger", "verify").exit_code == 0


def test_a_text_finds_its_person(here: Workshop, ledger: Ledger) -> None:
    """By an exact text that they supply, however the body spells it, their exchanges are found."""
    eraser = eraser_of(here.settings, ledger)
    plan = eraser.plan(
        Request(asked=Wanted(), ground="person", reason="r", needle=Needle.of(f" {CANARY}\n"))
    )
    assert plan.exchanges == (here.calls[0],)


def test_what_was_made_from_it_goes_too_if_asked(here: Workshop, ledger: Ledger) -> None:
    """Exchanges that name it as their parent are listed, and erased with it where that is wanted."""
    (child,) = here.ask(Asked(headers=(("x-inbond-parent", here.calls[0]),)))
    eraser = eraser_of(here.settings, ledger)
    assert eraser.plan(request(here.calls[0])).radius.descendants == (child,)
    plan = eraser.plan(request(here.calls[0], with_descendants=True))
    assert set(plan.exchanges) == {here.calls[0], child}


def test_a_large_erasure_has_parts(
    here: Workshop, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More exchanges than a leaf has room for are several entries and one receipt."""
    monkeypatch.setattr(proxy.erasure, "_EXCHANGES_A_PART", 1)
    done = erase(eraser_of(here.settings, ledger), request(*here.calls))
    parts = [entry for entry in here.entries() if isinstance(entry, EraseEntry)]
    assert [part.erasure for part in parts] == [done.erasure] * 2
    assert sorted(e for part in parts for e in part.exchanges) == sorted(here.calls)
    leaves = read_notice(done.receipt.read_bytes(), here.key, kind=RECEIPT).leaves
    assert [leaf.id for leaf in leaves] == [part.id for part in parts]


def test_only_what_is_on_record_is_erased(here: Workshop, ledger: Ledger) -> None:
    """An exchange that nobody knows, and an empty reason, stop everything."""
    eraser = eraser_of(here.settings, ledger)
    with pytest.raises(LedgerError, match="no exchange `nobody` is on record"):
        eraser.plan(request(here.calls[0], "nobody"))
    with pytest.raises(LedgerError, match="the reason is empty"):
        eraser.plan(request(here.calls[0], reason=" "))
