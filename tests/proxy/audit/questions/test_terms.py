"""What rests on which text of terms."""

from dataclasses import replace

from proxy.audit.questions.terms import changed_terms, terms_at
from proxy.ledger.leaf import Leaf
from tests.proxy.audit.conftest import Told


def test_each_text_says_what_rests_on_it(told: Told) -> None:
    """Exchanges, examples, datasets and students stand beside the text they rest on."""
    records = changed_terms(told.evidence).records()
    assert records
    assert all(record["recorded anew"] == "no" for record in records)
    assert {record["examples"] for record in records} == {2}
    assert all(record["datasets"] == [told.dataset] for record in records)


def test_a_text_recorded_anew_is_told(told: Told) -> None:
    """When a source is recorded again, the older text names its successor."""
    terms = told.evidence.of("terms")
    used = next(iter(told.evidence.examples)).terms[0]
    old = next(leaf for leaf in terms if leaf.text("digest") == used)
    new = Leaf(seq=10**6, data=b"", fields={**old.fields, "digest": "f" * 64, "at": "2027-01-02T"})
    kept = {**told.evidence.kept, "terms": [*terms, new]}
    records = changed_terms(replace(told.evidence, kept=kept)).records()
    assert [record["recorded anew"] for record in records].count("2027-01-02") == 1


def test_a_call_says_which_clauses_and_texts_decided(told: Told) -> None:
    """At both gates the clauses stand beside the titles of their texts."""
    records = terms_at(told.evidence).records()
    assert {record["gate"] for record in records} == {"request", "response"}
    assert any("Apache License 2.0" in str(record["texts"]) for record in records)
