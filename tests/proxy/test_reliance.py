"""Who is on record that nobody speaks for, and how much rests on a grant."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from policies.bundle import bundle_of
from policies.model import Layer
from proxy.ledger.entry import CallEntry, ExchangeEntry, FactValue
from proxy.reliance import Unspoken, resting, unspoken
from tests.policies.acme import DOCUMENTS, HOST, ORGANISATION, approved
from tests.proxy.store.ledgers import Ledger, call, exchange, open_ledger

AT = datetime(2026, 11, 24, tzinfo=UTC)
HOST_PATH = "library/hosts/acme-api.yaml"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    opened = open_ledger(tmp_path)
    yield opened
    opened.database.close()


def answer(ledger: Ledger, route: str, answered: Mapping[str, FactValue], **said: object) -> None:
    """Put an exchange on record: its contract, what the answer tells, and more of its decision."""
    begun = call()
    ended = exchange(begun.entry.id)
    assert isinstance(begun.entry, CallEntry)
    assert isinstance(ended.entry, ExchangeEntry)
    assert ended.entry.decision is not None
    asked = {**begun.entry.facts, "route": route}
    told = {"facts": answered, "decision": ended.entry.decision.model_copy(update=said)}
    ledger.log.append(
        [
            replace(begun, entry=begun.entry.model_copy(update={"facts": asked})),
            replace(ended, entry=ended.entry.model_copy(update=told)),
        ]
    )


def test_whom_nobody_speaks_for_is_named(ledger: Ledger) -> None:
    """Hosts and models by name with the number of their answers; those spoken for are left out."""
    answer(ledger, "acme-api", {"model.id": "acme-1"})
    for model in ("rival-1", "rival-1", "rival-2"):
        answer(ledger, "rival-api", {"model.id": model})
    assert unspoken(ledger.database, approved(DOCUMENTS), AT) == (
        Unspoken(layer=Layer.HOST, name="rival-api", exchanges=3),
        Unspoken(layer=Layer.MODEL, name="rival-1", exchanges=2),
        Unspoken(layer=Layer.MODEL, name="rival-2", exchanges=1),
    )


def test_a_model_that_nobody_knows_is_none_that_is_silent(ledger: Ledger) -> None:
    """An unknown model may yet be declared; its host is silent all the same."""
    answer(ledger, "rival-api", {})
    assert [each.layer for each in unspoken(ledger.database, approved(DOCUMENTS), AT)] == [
        Layer.HOST
    ]


@pytest.mark.parametrize(
    "change",
    [
        ("    permit: training\n", "    permit: training\n    mode: shadow\n"),
        ("in_force: {from: 2026-01-01}", "in_force: {from: 2026-12-01}"),
    ],
)
def test_what_does_not_count_today_does_not_speak(ledger: Ledger, change: tuple[str, str]) -> None:
    """A rule in shadow and terms that are not in force yet end no silence; forbidding never does."""
    answer(ledger, "acme-api", {"model.id": "acme-1"})
    documents = {HOST_PATH: HOST.replace(*change)}
    bundle = bundle_of(documents, organisation=ORGANISATION)
    assert [each.name for each in unspoken(ledger.database, bundle, AT)] == ["acme-api", "acme-1"]


def test_what_rests_on_a_grant_is_counted(ledger: Ledger) -> None:
    """Admitted examples whose decision names the grant; none where no grant is asked about."""
    bundle = approved(DOCUMENTS)
    (grant,) = bundle.grants
    answer(ledger, "acme-api", {}, grants=[grant.digest])
    answer(ledger, "acme-api", {}, grants=[grant.digest, "ab" * 32])
    answer(ledger, "acme-api", {}, grants=["cd" * 32])
    answer(ledger, "acme-api", {}, grants=[grant.digest], verdict="forbid")
    assert resting(ledger.database, [grant]) == {"acme-letter": 2}
    assert resting(ledger.database, []) == {}
