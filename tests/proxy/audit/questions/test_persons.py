"""What was erased and what is under hold, from the entries that say so."""

from collections.abc import Mapping
from dataclasses import replace

from proxy.audit.evidence import Evidence
from proxy.audit.questions.persons import erased, held
from proxy.ledger.canonical import Json
from proxy.ledger.leaf import Leaf
from tests.proxy.audit.conftest import Told


def with_entries(told: Told, *entries: Mapping[str, Json]) -> Evidence:
    """The evidence with these entries and no other."""
    always = {"id": "e", "at": "2026-11-24T12:00:00.000Z", "actor": "user:1", "reason": "asked"}
    kept: dict[str, list[Leaf]] = {}
    for seq, entry in enumerate(entries):
        leaf = Leaf(seq=seq, data=b"", fields={**always, **entry})
        kept.setdefault(leaf.kind, []).append(leaf)
    return replace(told.evidence, kept=kept)


def test_an_erasure_names_copies_and_runs(told: Told) -> None:
    """What was disclosed before and what learned from it stand beside what is gone."""
    gone: dict[str, Json] = {
        "kind": "erase",
        "ground": "person",
        "exchanges": ["x"],
        "seals": ["s", "t"],
        "copies": {"d1": "the trainer"},
        "runs": ["r1"],
        "gone_by": None,
    }
    (record,) = erased(with_entries(told, gone)).records()
    assert (record["exchanges"], record["bodies"]) == (1, 2)
    assert record["copies disclosed before"] == ["the trainer (d1)"]
    assert record["runs that learned from it"] == ["r1"]
    assert record["last backup gone by"] == "not recorded"


def test_disclosed_copies_are_counted(told: Told) -> None:
    """The dataset disclosed bodies, and so did the audit."""
    assert "1 erasure" not in erased(told.evidence).says
    assert "2 datasets and audits" in erased(told.evidence).says


def test_a_lifted_hold_is_in_force_no_more(told: Told) -> None:
    """Of two holds one was lifted."""
    place: dict[str, Json] = {"kind": "hold", "action": "place", "scope": "project"}
    answer = held(
        with_entries(
            told,
            {**place, "hold": "h1", "subject": "garden"},
            {**place, "hold": "h2", "subject": "shed"},
            {
                "kind": "hold",
                "action": "lift",
                "hold": "h1",
                "scope": "project",
                "subject": "garden",
            },
        )
    )
    assert answer.says == "1 hold in force, of 2 ever placed."
    assert [record["lifted"] for record in answer.records()] == [
        "2026-11-24T12:00:00.000Z by user:1",
        "in force",
    ]
