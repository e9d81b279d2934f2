"""A ledger and the bundle made of it answer the same."""

import pytest

from proxy.audit.evidence import gather
from proxy.audit.holding import BundleHolding, LedgerHolding
from proxy.audit.operators import operators
from proxy.audit.questions import QUESTIONS
from proxy.cli.openledger import open_ledger
from proxy.ledger.bundle import read_bundle
from tests.proxy.audit.conftest import Told


@pytest.mark.parametrize("name", ["examples", "changed-terms", "terms-at", "refused", "overrides"])
def test_ledger_and_bundle_agree(told: Told, name: str) -> None:
    """Whatever is asked of both, the rows are equal."""
    asked = next(each for each in QUESTIONS if each.name == name)
    settings = told.shop.settings
    with open_ledger(settings) as ledger, ledger.database.read() as connection:
        holding = LedgerHolding(connection, ledger.database, settings.datasets_directory)
        assert holding.absent == ()
        found = gather(holding, holding.leaves(), holding.examples(), operators())
        assert asked.answer(found).records() == asked.answer(told.evidence).records()


def test_a_dataset_is_asked_as_well(told: Told) -> None:
    """A sealed dataset gives its examples without anybody's word on them."""
    path = told.shop.settings.datasets_directory / told.dataset
    with read_bundle(path) as bundle:
        rows = list(BundleHolding(bundle).examples())
    assert [row["dataset"] for row in rows] == [told.dataset] * 2
    assert all(row["approved_by"] == [] for row in rows)


def test_a_document_that_is_not_here_is_none(told: Told) -> None:
    """A digest that nobody stored gives nothing."""
    assert told.holding.document("terms", "0" * 64) is None
    digest = next(iter(told.evidence.examples)).terms[0]
    assert b"title" in (told.holding.document("terms", digest) or b"")
