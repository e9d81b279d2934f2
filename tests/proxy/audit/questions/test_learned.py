"""What was learned: examples, weights, receipts."""

from dataclasses import replace

from proxy.audit.questions.learned import examples, receipt, weights
from proxy.ledger.canonical import Json
from proxy.ledger.leaf import Leaf
from tests.proxy.audit.conftest import Told


def test_examples_name_clause_terms_and_approver(told: Told) -> None:
    """Each group of examples says on whose word it is in its dataset."""
    records = examples(told.evidence).records()
    assert sum(int(str(record["examples"])) for record in records) == 2
    assert all(record["clauses relied on"] and record["terms"] for record in records)
    assert any("clearance: user:" in str(record["approved by"]) for record in records)


def test_weights_are_those_of_runs_and_releases(told: Told) -> None:
    """A file of weights is approved by the release that names it, and by none otherwise."""
    run: dict[str, Json] = {
        "kind": "run",
        "id": "r",
        "at": "2026-11-24",
        "actor": "user:1",
        "run": "r1",
    }
    made: dict[str, Json] = run | {
        "student": "s",
        "datasets": [],
        "weights": {"w": "a" * 64, "x": "b" * 64},
    }
    freed: dict[str, Json] = {
        "kind": "release",
        "id": "f",
        "at": "2026-11-25",
        "actor": "user:2",
        "run": "",
    }
    released: dict[str, Json] = freed | {"weights": {"w": "a" * 64}}
    kept = {
        "run": [Leaf(seq=1, data=b"", fields=made)],
        "release": [Leaf(seq=2, data=b"", fields=released)],
    }
    records = weights(replace(told.evidence, kept=kept)).records()
    assert [record["released"] for record in records] == ["2026-11-25 by user:2", "no"]


def test_a_receipt_is_offered_for_one_exchange(told: Told) -> None:
    """Asked of a whole log, the answer says how; it lists no million of lines."""
    assert receipt(told.evidence).rows == ()
    alike = next(iter(told.evidence.exchanges))
    one = replace(told.evidence, exchanges={alike: told.evidence.exchanges[alike]})
    assert "inbond audit prove" in str(receipt(one).records()[0]["command"])
