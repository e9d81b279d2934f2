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
    """A run's files are the approved ones once it is released; an approval alone releases nothing."""

    def run(name: str, digest: str) -> Leaf:
        fields: dict[str, Json] = {"kind": "run", "id": name, "at": "2026-11-24", "actor": "user:1"}
        made: dict[str, Json] = {"student": "s", "datasets": [], "weights": {"w": digest * 64}}
        return Leaf(seq=1, data=b"", fields={**fields, "run": name, **made})

    def freed(action: str, name: str) -> Leaf:
        fields: dict[str, Json] = {"kind": "release", "id": name, "action": action, "run": name}
        return Leaf(seq=2, data=b"", fields={**fields, "at": "2026-11-25", "actor": "user:2"})

    kept = {
        "run": [run("r1", "a"), run("r2", "b")],
        "release": [freed("release", "r1"), freed("approve", "r2")],
    }
    records = weights(replace(told.evidence, kept=kept)).records()
    assert [record["released"] for record in records] == ["2026-11-25 by user:2", "no"]


def test_a_receipt_is_offered_for_one_exchange(told: Told) -> None:
    """Asked of a whole log, the answer says how; it lists no million of lines."""
    assert receipt(told.evidence).rows == ()
    alike = next(iter(told.evidence.exchanges))
    one = replace(told.evidence, exchanges={alike: told.evidence.exchanges[alike]})
    assert "inbond audit prove" in str(receipt(one).records()[0]["command"])
