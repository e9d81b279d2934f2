"""One ledger for the tests of questions: two examples, one of them cleared, and an answer held back."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import time_machine

from proxy.audit.evidence import Evidence, gather
from proxy.audit.holding import BundleHolding
from proxy.audit.operators import operators
from proxy.ledger.bundle import read_bundle
from tests.proxy.workshop import NOW, Asked, Said, Workshop


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A workspace, an audit of it, and what is in the audit."""

    shop: Workshop
    path: Path
    holding: BundleHolding
    evidence: Evidence
    exchanges: list[str]
    """Learned from, cleared and learned from, held back."""
    dataset: str


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Not to be written to."""
    folder = tmp_path_factory.mktemp("told")
    with time_machine.travel(NOW, tick=True):
        shop = Workshop.at(folder / "work")
        exchanges = shop.ask(
            Asked(said=(Said(text="It is <script>green</script>."),)),
            Asked(said=(Said(finish="length"),), project="=shed"),
            Asked(said=(Said(text="unseen", finish="length"),)),
        )
        shop.record("review", "clear", exchanges[1], "--reason", "<b>whole</b> enough")
        shop.approve(shop.declare("gardener", competes="[]"))
        dataset = str(shop.record("dataset", "build", "--student", "gardener")["dataset"])
        shop.record("audit", "export", folder / "audit")
    # Outside of the travel: a session is long, and other tests have their own time.
    with read_bundle(folder / "audit") as bundle:
        holding = BundleHolding(bundle)
        evidence = gather(holding, holding.leaves(), holding.examples(), operators())
        yield Told(
            shop=shop,
            path=folder / "audit",
            holding=holding,
            evidence=evidence,
            exchanges=exchanges,
            dataset=dataset,
        )
