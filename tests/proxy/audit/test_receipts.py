"""A receipt verifies alone; what it discloses goes on record."""

import shutil
from pathlib import Path

import pytest
import time_machine

from proxy.audit.receipts import Proven, prove
from proxy.cli.openledger import notary_of, open_ledger
from proxy.errors import BundleError, LedgerError
from proxy.ledger.entry import ExportEntry
from proxy.ledger.receipt import verify_receipt
from tests.proxy.audit.conftest import Told
from tests.proxy.workshop import NOW, Workshop


@pytest.fixture
def shop(told: Told, tmp_path: Path) -> Workshop:
    """A copy of the workspace, to be written to."""
    return Workshop(directory=Path(shutil.copytree(told.shop.directory, tmp_path / "work")))


def make(shop: Workshop, name: str, recipient: str | None = None) -> Proven:
    """A receipt beside the workspace."""
    with time_machine.travel(NOW, tick=True), open_ledger(shop.settings) as ledger:
        target = shop.directory.parent / "x.tlog-proof"
        return prove(notary_of(ledger), name, target, actor="user:1", recipient=recipient)


def test_a_receipt_discloses_nothing_unless_asked(told: Told, shop: Workshop) -> None:
    """The entry of an example is proven, and its text is not in it."""
    before = shop.size()
    made = make(shop, f"{told.exchanges[0]}#0")
    report = verify_receipt(made.path.read_text(), shop.key)
    assert (report.exit_code, made.openings, shop.size()) == (0, 0, before)


def test_a_disclosure_goes_on_record(told: Told, shop: Workshop) -> None:
    """With a recipient the text is opened, and an `export` entry says to whom (P8)."""
    made = make(shop, told.exchanges[0], "a court")
    report = verify_receipt(made.path.read_text(), shop.key)
    assert any("bodies are the ones that were sealed" in line for line in report.proven)
    entry = shop.entries()[-1]
    assert isinstance(entry, ExportEntry)
    assert (entry.recipient, entry.query["exchange"]) == ("a court", told.exchanges[0])


def test_what_cannot_be_made_leaves_nothing(told: Told, shop: Workshop) -> None:
    """An unknown exchange and a taken path are errors, and nothing is on record."""
    before = shop.size()
    with pytest.raises(LedgerError, match="there is no exchange `none`"):
        make(shop, "none")
    (shop.directory.parent / "x.tlog-proof").touch()
    with pytest.raises(BundleError, match="there is something at this path already"):
        make(shop, told.exchanges[0], "a court")
    assert shop.size() == before
