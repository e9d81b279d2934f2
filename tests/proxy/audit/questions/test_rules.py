"""What was in force, what grants allowed, what was refused and overridden."""

from dataclasses import replace

from proxy.audit.questions.rules import grants, overrides, policies, refused
from proxy.ledger.canonical import Json
from proxy.ledger.leaf import Leaf
from tests.proxy.audit.conftest import Told


def test_policies_say_who_put_them_in_force(told: Told) -> None:
    """All three exchanges were decided by the first bundle."""
    records = policies(told.evidence).records()
    assert records[0]["put there by"] == "user:1"
    assert [record["exchanges decided"] for record in records] == [3, 0]


def test_papers_are_told_step_by_step(told: Told) -> None:
    """Who approves his own paper is said to."""
    records = grants(told.evidence).records()
    assert [record["step"] for record in records] == ["propose", "approve"]
    assert str(records[1]["by"]).endswith("(self)")


def test_what_was_held_back_names_its_rule(told: Told) -> None:
    """Two answers were cut short: the rule that held them stands beside them."""
    answer = refused(told.evidence)
    assert answer.says.startswith("2 of 3 exchanges")
    assert {str(record["rules"]) for record in answer.records()} == {"['house-rules/cut-short']"}


def test_overrides_name_person_and_reason(told: Told) -> None:
    """A clearance and a declaration approved by its author are overrides."""
    records = overrides(told.evidence).records()
    assert [record["what"] for record in records] == ["clear at response", "approve student"]
    assert records[0]["reason"] == "<b>whole</b> enough"


def test_a_judgement_and_a_replaced_file_are_overrides(told: Told) -> None:
    """Facts that a person supplied, and a library file replaced, are told too."""
    said = {"id": "j", "at": "2026-11-24", "actor": "user:9", "exchange": "x", "reason": "read it"}
    judged = Leaf(
        seq=1, data=b"", fields={**said, "kind": "judgement", "facts": {"request.pii": False}}
    )
    replaced = Leaf(
        seq=2, data=b"", fields={**said, "kind": "policy", "overrides": ["hosts/a.yaml"]}
    )
    kept = {"judgement": [judged], "policy": [replaced]}
    records = overrides(replace(told.evidence, kept=kept)).records()
    assert records[0]["rules or facts"] == ["request.pii=False"]
    assert records[1]["about"] == "hosts/a.yaml"


def test_releases_are_allowed_by_grants_and_let_pass_by_people(told: Told) -> None:
    """A release names the grants it rests on; an approval of one is a person's word."""
    digest = told.evidence.of("grant")[-1].text("digest")
    said: dict[str, Json] = {"kind": "release", "id": "f", "at": "2026-11-25", "actor": "user:2"}
    more: dict[str, Json] = {"student": "gardener", "run": "r1", "decision": {"grants": [digest]}}
    approval: dict[str, Json] = {"action": "approve", "clears": ["house/look"], "reason": "seen"}
    kept = {
        "grant": told.evidence.of("grant"),
        "release": [
            Leaf(seq=1, data=b"", fields=said | more | approval),
            Leaf(seq=2, data=b"", fields=said | more | {"action": "release"}),
        ],
    }
    evidence = replace(told.evidence, kept=kept)
    assert grants(evidence).records()[-1]["releases it allowed"] == ["gardener at 2026-11-25"]
    (record,) = [each for each in overrides(evidence).records() if each["about"] == "r1"]
    assert (record["what"], record["rules or facts"]) == ("approve at release", ["house/look"])
