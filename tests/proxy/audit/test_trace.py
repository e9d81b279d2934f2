"""Lineage is walked both ways from whatever is named."""

from dataclasses import replace

import pytest

from proxy.audit.trace import Kind, trace, trace_text
from proxy.errors import ProxyError
from proxy.ledger.canonical import Json
from proxy.ledger.leaf import Leaf
from tests.proxy.audit.conftest import Told


@pytest.mark.parametrize(
    "word", ["gardener", "self-hosted", "student:gardener", "apache-2.0 5cd28"]
)
def test_both_ways_lead_to_terms_and_student(told: Told, word: str) -> None:
    """From a student up to the terms, from terms down to the student."""
    terms = next(node for node in trace(told.evidence).nodes if node.kind is Kind.TERMS)
    found = trace(told.evidence, terms.id if word.startswith("apache") else word)
    text = trace_text(found)
    assert "student:\n" in text
    assert "terms:\n" in text
    assert f"→ dataset {told.dataset}: 2" in text
    assert text.count("» ") == 1


def test_an_unknown_name_is_an_error(told: Told) -> None:
    """A misspelt student is offered the nearest."""
    with pytest.raises(ProxyError, match="nothing here is called `gardner`") as caught:
        trace(told.evidence, "gardner")
    assert caught.value.help == "did you mean `gardener`?"


def test_what_did_not_go_through_is_left_out(told: Told) -> None:
    """A trace of a dataset counts its examples, and the contract's exchanges beside them."""
    found = trace(told.evidence, told.dataset)
    assert {node.kind for node in found.nodes} == set(Kind) - {Kind.RUN, Kind.RELEASE, Kind.GRANT}
    assert sum(found.exchanges.values()) == 6


def test_a_release_stands_between_run_and_student(told: Told) -> None:
    """A released run leads to its release, and that to its student; an ancestor's run does, too."""
    (dataset,) = told.evidence.of("dataset")

    def entry(kind: str, run: str, **said: Json) -> Leaf:
        fields: dict[str, Json] = {"kind": kind, "id": run, "at": "2026-11-25", "run": run}
        return Leaf(seq=1_000, data=b"", fields=fields | {"student": "gardener"} | said)

    roots: list[Json] = [dataset.text("root")]
    kept = {
        **told.evidence.kept,
        "run": [entry("run", name, datasets=roots) for name in ("r0", "r1", "r2")],
        "release": [
            entry("release", "r2", action="approve"),
            entry("release", "r1", action="release", name="Gardener-1", ancestors=["r0"]),
        ],
    }
    everything = replace(told.evidence, kept=kept)
    text = trace_text(trace(everything, "r0"))
    assert "→ release Gardener-1 on 2026-11-25: 2" in text
    assert "release:\n  Gardener-1 on 2026-11-25\n      → student gardener: " in text
    assert "→ student gardener: 2" in trace_text(trace(everything, "r2"))
    assert "» Gardener-1 on 2026-11-25" in trace_text(trace(everything, "release:r1"))
