"""`inbond policy propose | approve | revoke`: what takes effect once somebody else agreed."""

from pathlib import Path

import pytest

from proxy.ledger.entry import GrantEntry
from tests.proxy.workshop import Workshop


@pytest.fixture
def here(tmp_path: Path) -> Workshop:
    """A whole workspace, with a ledger."""
    return Workshop.at(tmp_path / "work")


def test_a_student_is_proposed_approved_and_revoked(here: Workshop) -> None:
    """Each step is on record with its reason, and `check` follows what the ledger says."""
    path = here.declare("rival", competes="[]")
    assert "not-approved" in here.inbond("policy", "check").stdout
    here.record("policy", "propose", path, "--reason", "counsel asked for it")
    assert here.record("policy", "approve", path, "--reason", "read it")["is_self_approved"] is True
    assert "not-approved" not in here.inbond("policy", "check").stdout
    here.record("policy", "revoke", path, "--reason", "it does compete")
    assert "not-approved" in here.inbond("policy", "check").stdout
    steps = [entry for entry in here.entries() if isinstance(entry, GrantEntry)]
    assert [(step.action, step.reason) for step in steps] == [
        ("propose", "counsel asked for it"),
        ("approve", "read it"),
        ("revoke", "it does compete"),
    ]


@pytest.mark.parametrize(
    ("verb", "file", "status", "message"),
    [
        ("approve", "policies/students/gone.yaml", 2, "does not exist"),
        ("approve", "policies/organisation/house-rules.yaml", 2, "error[no-approval]"),
        ("revoke", "policies/students/gardener.yaml", 1, "error[not-approved]"),
    ],
)
def test_what_cannot_be_approved_is_said(
    here: Workshop, verb: str, file: str, status: int, message: str
) -> None:
    """A file that is not there or needs no approval is wrong use; nothing is on record."""
    before = here.size()
    result = here.inbond("policy", verb, here.directory / file, "--reason", "x")
    assert (result.exit_code, message in result.stderr) == (status, True)
    assert here.size() == before


def test_an_approval_needs_a_reason(here: Workshop) -> None:
    """Nobody approves without saying why."""
    path = here.directory / "policies/students/gardener.yaml"
    assert here.inbond("policy", "approve", path).exit_code == 2
