"""What may be learned of imports, as leaves say it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.ledger.canonical import Json
from proxy.ledger.imported import IMPORTED, Imports, import_problem
from proxy.ledger.leaf import Leaf

ACTIONS = st.lists(st.sampled_from(["admit", "confirm", "withdraw"]), max_size=4)
ORIGINS = st.sampled_from(["own", "open", "licensed", "teacher"])


def said(id_: str, action: str, *, origin: str = "open", papers: int = 1, batch: str = "b") -> Leaf:
    """The leaf of an `import` entry."""
    fields: dict[str, Json] = {
        "kind": "import",
        "id": id_,
        "action": action,
        "batch": batch,
        "origin": origin,
        "evidence": [*["00" * 32] * papers],
    }
    return Leaf(seq=0, data=b"", fields=fields)


def call(imported: str | None, route: str = IMPORTED) -> Leaf:
    """The leaf of a call."""
    fields: dict[str, Json] = {"kind": "call", "id": "c", "facts": {"route": route}}
    return Leaf(seq=0, data=b"", fields=fields | ({"imported": imported} if imported else {}))


@given(origin=ORIGINS, papers=st.integers(0, 2), actions=ACTIONS)
def test_nothing_passes_without_evidence_or_after_a_withdrawal(
    origin: str, papers: int, actions: list[str]
) -> None:
    """An import passes only if admitted on evidence, never taken back, and vouched for if need be."""
    passes = not import_problem(origin, ["paper"] * papers, actions)
    is_vouched = origin != "teacher" or "confirm" in actions
    assert passes == (
        bool(papers) and "admit" in actions and "withdraw" not in actions and is_vouched
    )


@given(origin=ORIGINS, papers=st.integers(0, 2), actions=ACTIONS)
def test_a_withdrawal_never_loosens(origin: str, papers: int, actions: list[str]) -> None:
    """What may not be learned from may not either once it is withdrawn."""
    assert import_problem(origin, ["paper"] * papers, [*actions, "withdraw"])


@pytest.mark.parametrize(
    ("leaves", "slug"),
    [
        ([said("b", "admit")], ""),
        ([], "import-unknown"),
        ([said("b", "confirm")], "import-unknown"),
        ([said("other", "admit")], "import-unknown"),
        ([said("b", "admit", papers=0)], "no-evidence"),
        ([said("b", "admit"), said("d", "withdraw")], "import-withdrawn"),
        ([said("b", "admit", origin="teacher")], "not-confirmed"),
        ([said("b", "admit", origin="teacher"), said("d", "confirm")], ""),
        ([said("b", "admit"), said("d", "withdraw", batch="e")], ""),
    ],
)
def test_leaves_say_whether_an_import_may_be_learned_from(leaves: list[Leaf], slug: str) -> None:
    """The words on the import that the call names count, and no others."""
    found = Imports(leaves).problem(call("b"))
    assert found == (f"is of an import that may not be learned from ({slug})" if slug else "")


def test_what_came_through_the_proxy_needs_no_import() -> None:
    """A call of a client passes; one on the route of imports that names none does not."""
    imports = Imports([])
    assert imports.problem(call(None, "openai-api")) == ""
    assert "import-unknown" in imports.problem(call(None))


def test_the_origin_is_a_claim() -> None:
    """A verifier says how many examples rest on what the recorder says of their origin."""
    imports = Imports([said("b", "admit")])
    assert imports.claims([call(None, "openai-api")]) == []
    (claim,) = imports.claims([call("b"), call("b"), call(None, "openai-api")])
    assert claim.startswith("where 2 imported examples come from")
