"""A scope holds what was asked for, and all that it names."""

import pytest

from proxy.audit.scope import Scope, choose
from proxy.ledger.canonical import canonical
from proxy.ledger.leaf import named_digests, read_leaf
from tests.proxy.audit.conftest import Told


def kinds(told: Told, scope: Scope) -> list[str]:
    """The kinds of calls, exchanges, datasets and words that a scope holds, in the log's order."""
    chosen = choose(scope, told.holding.leaves(), told.holding.examples())
    few = {"call", "exchange", "decision", "dataset", "export"}
    return [leaf.kind for leaf in told.holding.leaves() if leaf in chosen and leaf.kind in few]


PAIR = ["call", "exchange"]


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (Scope(student="gardener"), [*PAIR, *PAIR, "decision", "dataset"]),
        (Scope(project="=shed"), [*PAIR, "decision", "dataset"]),
        (Scope(project="garden", student="gardener"), [*PAIR, "dataset"]),
        (Scope(provider="openai", routes=frozenset({"openai-api"})), []),
        (Scope(until="2026-11-24T00:00:00.000Z"), []),
        (Scope(since="2026-11-25T00:00:00.000Z"), []),
        (Scope(dataset="other"), []),
        (Scope(student="other"), []),
    ],
)
def test_a_scope_holds_what_was_asked_for(told: Told, scope: Scope, expected: list[str]) -> None:
    """Exchanges that fit, what was said of them, and the datasets that took them."""
    assert kinds(told, scope) == expected


@pytest.mark.parametrize("project", ["garden", "=shed"])
def test_every_document_named_was_brought_in(told: Told, project: str) -> None:
    """Of each policy bundle and text of terms named, the entry that recorded it is in the scope."""
    chosen = choose(Scope(project=project), told.holding.leaves(), told.holding.examples())
    brought = {
        found
        for leaf in told.holding.leaves()
        if leaf in chosen and leaf.kind in ("policy", "terms", "grant")
        for found in named_digests(leaf)
    }
    assert chosen.named <= brought


@pytest.mark.parametrize(
    ("hold", "is_in"),
    [
        (("everything", ""), True),
        (("provider", "openai"), True),
        (("project", "garden"), True),
        (("student", "gardener"), True),
        (("project", "=shed"), False),
        (("exchange", "another"), False),
    ],
)
def test_a_hold_on_what_was_chosen_is_chosen(
    told: Told, hold: tuple[str, str], *, is_in: bool
) -> None:
    """A narrow audit does not say that nothing is held; what is held elsewhere is not its matter."""
    said = {"scope": hold[0], "subject": hold[1]} | {"action": "place", "hold": "h", "reason": "r"}
    who = {"v": 1, "kind": "hold", "id": "h", "at": "2026-11-24T12:00:00.000Z", "actor": "u"}
    placed = read_leaf(10_000, canonical({**who, **said}))
    leaves = [*told.holding.leaves(), placed]
    assert (placed in choose(Scope(project="garden"), leaves, told.holding.examples())) is is_in


def test_the_query_says_all_that_narrows() -> None:
    """The entry of an export commits to the whole question, contracts included."""
    scope = Scope(provider="openai", routes=frozenset({"b", "a"}), since="2026", project="p")
    assert scope.query == {
        "scope": "project, provider, since",
        "project": "p",
        "provider": "openai",
        "since": "2026",
        "routes": "a, b",
        "bodies": "examples",
    }
    assert Scope(is_metadata_only=True).query == {"scope": "whole log", "bodies": "none"}
