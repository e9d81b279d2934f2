"""What a dataset is worth today: good, revoked by today's policies, or withdrawn for good."""

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import delete

import proxy.withdrawal
from proxy.cli.openledger import Ledger, notary_of, open_ledger
from proxy.clock import utc_now
from proxy.errors import LedgerError
from proxy.inforce import put_in_force, workspace_bundle
from proxy.ledger.status import Affected, read_status
from proxy.store.tables import DocumentRow
from proxy.withdrawal import (
    Checked,
    Issued,
    Registrar,
    Withdrawal,
    check_again,
    dataset_named,
    write_privately,
)
from tests.proxy.workshop import NOW, Asked, Said, Workshop

STRICTER = """
  - id: nothing-green
    forbid: training
    when: {project: garden}
    because: The garden teaches nobody any more.
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A workspace with a dataset of two answers."""
    with time_machine.travel(NOW, tick=True):
        made = Workshop.at(tmp_path_factory.mktemp("prepared") / "work")
        made.calls = made.ask(Asked(), Asked(said=(Said(text="blue"),)))
        made.record("dataset", "build", "--student", "gardener")
        return made


@pytest.fixture
def here(prepared: Workshop, tmp_path: Path) -> Iterator[Workshop]:
    """A copy of it for one test, a week later."""
    shutil.copytree(prepared.directory, tmp_path / "work")
    with time_machine.travel(NOW + timedelta(days=7), tick=True):
        yield Workshop(directory=tmp_path / "work", calls=prepared.calls)


def name_of(here: Workshop) -> str:
    """The id of the workspace's only dataset."""
    return str(here.record("dataset", "list")["dataset"])


def issue(here: Workshop, ledger: Ledger) -> Issued:
    """The status of the dataset today."""
    bundle = workspace_bundle(here.settings, ledger.database)
    put_in_force(ledger.log, bundle, "user:1")
    registrar = Registrar(
        notary=notary_of(ledger),
        bundle=bundle,
        datasets=here.settings.datasets_directory,
        at=utc_now(),
        actor="user:1",
    )
    with ledger.database.read() as connection:
        entry = dataset_named(connection, name_of(here))
    return registrar.issue(entry, here.directory / "status.json")


def forbid(here: Workshop) -> None:
    """Make the house rules stricter."""
    rules = here.directory / "policies/organisation/house-rules.yaml"
    head, mark, tail = rules.read_text().partition("\n# Switch on")
    rules.write_text(f"{head}{STRICTER}{mark}{tail}")


def withdraw(here: Workshop, ledger: Ledger, *affected: Affected) -> None:
    """Mark the dataset withdrawn."""
    with ledger.database.read() as connection:
        made = Withdrawal(
            dataset=dataset_named(connection, name_of(here)),
            affected=affected,
            cause="exchange",
            reason="recalled",
        )
        pending = made.pending(connection, at="2026-11-30T00:00:00.000Z", actor="user:1")
    ledger.log.append([pending])


def test_a_good_dataset_gets_a_later_date(here: Workshop) -> None:
    """Every row is permitted today: the signed status says so, and until when."""
    with open_ledger(here.settings) as ledger:
        issued = issue(here, ledger)
    found = read_status(issued.path.read_bytes(), here.key)
    assert (found.state, found.affected, found.cause) == ("good", (), None)
    assert found.until is not None
    assert found.until.startswith("2026-12-31T")
    assert issued.path.stat().st_mode & 0o777 == 0o600


def test_nothing_good_is_said_of_what_is_withdrawn_meanwhile(
    here: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An erasure that ends while rows are decided on again leaves no good status after it."""
    with open_ledger(here.settings) as ledger:

        def slow(*given: object) -> Checked:
            checked = check_again(*given)  # type: ignore[arg-type] # as they were given
            withdraw(here, ledger, Affected(here.calls[0], "erased"))
            return checked

        monkeypatch.setattr(proxy.withdrawal, "check_again", slow)
        with pytest.raises(LedgerError, match="was withdrawn while"):
            issue(here, ledger)
        assert not (here.directory / "status.json").exists()
        assert issue(here, ledger).entry.state == "withdrawn"


def test_rows_that_today_refuses_revoke_it(here: Workshop) -> None:
    """Stricter policies name each row they refuse; once they are mended it is good again."""
    rules = here.directory / "policies/organisation/house-rules.yaml"
    before = rules.read_text()
    forbid(here)
    with open_ledger(here.settings) as ledger:
        issued = issue(here, ledger)
    found = read_status(issued.path.read_bytes(), here.key)
    assert (found.state, found.cause, found.until) == ("revoked", "policy", None)
    assert found.affected == tuple(sorted(Affected(call, "excluded") for call in here.calls))
    rules.write_text(before)
    with open_ledger(here.settings) as ledger:
        assert issue(here, ledger).entry.state == "good"


def test_withdrawn_stays_withdrawn_with_every_reason(here: Workshop) -> None:
    """Whatever policies say later, the status names all exchanges because of which it was withdrawn."""
    first, second = here.calls
    with open_ledger(here.settings) as ledger:
        withdraw(here, ledger, Affected(first, "erased"))
        withdraw(here, ledger, Affected(second, "recalled"))
        size = ledger.log.size
        issued = issue(here, ledger)
        assert ledger.log.size == size
    found = read_status(issued.path.read_bytes(), here.key)
    assert (found.state, found.cause) == ("withdrawn", "exchange")
    assert found.affected == (Affected(first, "erased"), Affected(second, "recalled"))


def test_what_a_dataset_holds_must_be_known(here: Workshop) -> None:
    """Without its list and its bundle nobody can decide on its rows: nothing is signed."""
    with open_ledger(here.settings) as ledger:
        with ledger.database.write() as connection:
            connection.execute(delete(DocumentRow).where(DocumentRow.kind == "seals"))
        assert issue(here, ledger).entry.state == "good"  # the bundle says it as well
        shutil.rmtree(here.settings.datasets_directory / name_of(here))
        with pytest.raises(LedgerError, match="nothing here says what dataset") as caught:
            issue(here, ledger)
        assert "put its bundle back" in caught.value.help


def test_a_student_that_is_gone_may_learn_nothing(here: Workshop) -> None:
    """Rows of a student whom the policies declare no more are affected, all of them."""
    (here.directory / "policies/students/gardener.yaml").unlink()
    with open_ledger(here.settings) as ledger:
        bundle = workspace_bundle(here.settings, ledger.database)
        with ledger.database.read() as connection:
            entry = dataset_named(connection, name_of(here))
            checked = check_again(
                connection, bundle, entry, here.settings.datasets_directory, utc_now()
            )
    assert {each.reason for each in checked.affected} == {"student-undeclared"}
    assert len(checked.affected) == 2


def test_the_command_says_it_and_ends_with_it(here: Workshop) -> None:
    """`dataset status` writes the file beside the bundle; it ends with 1 where all is not good."""
    name = name_of(here)
    good = here.record("dataset", "status", name)
    assert (good["state"], good["file"]) == (
        "good",
        str(here.settings.datasets_directory / f"{name}.status.json"),
    )
    forbid(here)
    result = here.inbond("dataset", "status", name, "--out", here.directory / "s", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["affected"] == dict.fromkeys(here.calls, "excluded")
    unknown = here.inbond("dataset", "status", name[:-1] + "x")
    assert f"did you mean `{name}`" in unknown.stderr


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """The error names the file and what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="cannot be written") as caught:
        write_privately(tmp_path / "file" / "status.json", b"")
    assert caught.value.code == "not-writable"
