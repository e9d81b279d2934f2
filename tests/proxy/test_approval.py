"""Papers that two people must agree on: who may do what, and what cannot be done twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.approval import Paper, approve, propose, read_paper, revoke
from proxy.errors import LedgerError, SettingsError
from proxy.ledger.entry import GrantEntry
from proxy.store.log import Log
from proxy.store.queries import approvals, documents
from tests.proxy.store.ledgers import open_ledger
from tests.proxy.workshop import Workshop

PAPER = Paper(subject="grant", name="letter", content=b"grant: letter\n")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """An empty log."""
    ledger = open_ledger(tmp_path)
    yield ledger.log
    ledger.database.close()


def approved(log: Log) -> bool:
    """Whether the paper takes effect."""
    with log.database.read() as connection:
        return PAPER.digest in approvals(connection).approved


def steps(log: Log) -> list[GrantEntry]:
    """What is on record."""
    from proxy.store.queries import entries

    with log.database.read() as connection:
        found = [item.entry for item in entries(connection)]
    return [entry for entry in found if isinstance(entry, GrantEntry)]


def test_two_people_agree(log: Log) -> None:
    """One proposes, another approves, and only then it takes effect; the text is kept."""
    propose(log, PAPER, actor="user:1", reason="got it")
    assert not approved(log)
    assert approve(log, PAPER, actor="user:2", reason="read it") is False
    assert approved(log)
    assert [step.is_self_approved for step in steps(log)] == [False, False]
    with log.database.read() as connection:
        assert documents(connection, [PAPER.digest])[PAPER.digest].content == PAPER.content


@pytest.mark.parametrize("is_proposed", [False, True])
def test_one_person_approves_himself_on_record(log: Log, *, is_proposed: bool) -> None:
    """A one-person installation may approve its own paper; the ledger says that it did."""
    if is_proposed:
        propose(log, PAPER, actor="user:1", reason="got it")
    assert approve(log, PAPER, actor="user:1", reason="read it") is True
    assert [(step.action, step.is_self_approved) for step in steps(log)] == [
        ("propose", False),
        ("approve", True),
    ]


def test_what_stands_is_not_said_again(log: Log) -> None:
    """A paper is proposed once and approved once."""
    propose(log, PAPER, actor="user:1", reason="x")
    with pytest.raises(LedgerError, match="the grant `letter` in this form was proposed already"):
        propose(log, PAPER, actor="user:2", reason="x")
    approve(log, PAPER, actor="user:2", reason="x")
    with pytest.raises(LedgerError, match="was approved already"):
        approve(log, PAPER, actor="user:3", reason="x")
    assert len(steps(log)) == 2


def test_a_revoked_paper_never_comes_back(log: Log) -> None:
    """A revocation ends these bytes for good, and only what was approved can be revoked."""
    with pytest.raises(LedgerError, match="in this form is not approved"):
        revoke(log, PAPER, actor="user:1", reason="x")
    approve(log, PAPER, actor="user:1", reason="x")
    revoke(log, PAPER, actor="user:1", reason="x")
    assert not approved(log)
    with pytest.raises(LedgerError, match="was revoked already"):
        approve(log, PAPER, actor="user:1", reason="x")
    with pytest.raises(LedgerError, match="is not approved"):
        revoke(log, PAPER, actor="user:1", reason="x")


@pytest.mark.parametrize(
    ("folder", "subject"),
    [("grants", "grant"), ("students", "student"), ("hosts", "override"), ("models", "override")],
)
def test_the_folder_says_what_a_paper_is(tmp_path: Path, folder: str, subject: str) -> None:
    """A file of `policies/` is a grant, a student or an override by its folder."""
    path = tmp_path / "policies" / folder / "x.yaml"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x: 1\n")
    paper = read_paper(path, tmp_path)
    assert (paper.subject, paper.name, paper.content) == (subject, "x", b"x: 1\n")


@pytest.mark.parametrize(
    "name",
    ["policies/organisation/x.yaml", "elsewhere/grants/x.yaml", "policies/hosts/x.test.yaml",
     "policies/grants/x.txt"],
)  # fmt: skip
def test_an_approval_of_nothing_is_refused(tmp_path: Path, name: str) -> None:
    """A file that no approval lets take effect is not put on record as if one did."""
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.touch()
    with pytest.raises(SettingsError, match="is nothing that an approval lets take effect"):
        read_paper(path, tmp_path)


def test_a_paper_that_is_not_there_is_said(tmp_path: Path) -> None:
    """A file that cannot be read is an error with its path."""
    path = tmp_path / "policies/grants/x.yaml"
    path.parent.mkdir(parents=True)
    with pytest.raises(SettingsError, match="cannot be read: no such file"):
        read_paper(path, tmp_path)


def test_the_digest_is_the_one_that_policies_ask_for(tmp_path: Path) -> None:
    """What is approved is what the policy bundle looks up: the declaration takes effect."""
    here = Workshop.at(tmp_path / "work")
    path = here.declare("rival", competes="[]")
    here.approve(path)
    checked = here.inbond("policy", "check", "--json")
    assert "not-approved" not in checked.stdout
