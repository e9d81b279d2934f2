"""Evidence counts together what is alike, and loses nothing."""

from proxy.audit.evidence import Mention, Tally, gather, merge_into
from proxy.audit.operators import operators
from proxy.ledger.leaf import Leaf
from tests.proxy.audit.conftest import Told


def test_every_exchange_is_counted_once(told: Told) -> None:
    """Three exchanges, of which the two in different projects stay apart."""
    assert sum(tally.count for tally in told.evidence.exchanges.values()) == 3
    assert {alike.project for alike in told.evidence.exchanges} == {"garden", "=shed"}
    assert told.evidence.size == len(list(told.holding.leaves()))


def test_a_call_without_its_end_is_under_way(told: Told) -> None:
    """A call whose exchange is not here is counted as what it is."""
    leaves = [leaf for leaf in told.holding.leaves() if leaf.kind == "call"]
    found = gather(told.holding, leaves, [], operators())
    assert {alike.outcome for alike in found.exchanges} == {"under way"}


def test_an_exchange_without_its_call_is_left_out(told: Told) -> None:
    """Half a pair cannot be counted."""
    leaves: list[Leaf] = [leaf for leaf in told.holding.leaves() if leaf.kind == "exchange"]
    assert gather(told.holding, leaves, [], {}).exchanges == {}


def test_tallies_keep_the_first_and_the_last() -> None:
    """However they are merged, first and last are those of all."""
    early, late = Mention("a", "2026-01", 1), Mention("b", "2026-02", 2)
    found: dict[str, Tally] = {}
    merge_into(found, "x", Tally(late, late, 1, 3, 4, 1))
    merge_into(found, "x", Tally(early, early, 2, 1, 1, 0))
    assert found["x"] == Tally(early, late, 3, 4, 5, 1)
    found["x"].add(Mention("c", "2025", 0))
    assert (found["x"].first.id, found["x"].last.id) == ("c", "b")
