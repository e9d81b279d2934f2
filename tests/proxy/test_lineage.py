"""The ledger's word on who contributed to what: the same that a verifier finds among leaves."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proxy.ledger.contributors import Family, Kinship
from proxy.ledger.entry import CallEntry, ExchangeEntry, exchange_of
from proxy.ledger.leaf import read_leaf
from proxy.lineage import Lineage, children_of
from proxy.selection import every_entry
from proxy.sources import Declared, declare, withdraw
from proxy.store.log import Log
from tests.proxy.store.ledgers import Ledger, call, exchange, later, open_ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    opened = open_ledger(tmp_path)
    yield opened
    opened.database.close()


def put(ledger: Ledger, *, route: str = "acme-api", is_ended: bool = True, **said: Any) -> str:
    """A call and its end on record; gives the exchange's id."""
    asked = call()
    assert isinstance(asked.entry, CallEntry)
    named: dict[str, Any] = {key: said.pop(key, []) for key in ("parents", "sources")}
    facts = {**asked.entry.facts, "route": route}
    entry = asked.entry.model_copy(update={**named, "facts": facts})
    id_ = exchange_of(entry.id)
    ledger.log.append([replace(asked, entry=entry)])
    if is_ended:
        ended = exchange(entry.id, outcome=said.pop("outcome", "complete"))
        assert isinstance(ended.entry, ExchangeEntry)
        ledger.log.append(
            [replace(ended, entry=ended.entry.model_copy(update={"id": id_, **said}))]
        )
    return id_


def family(ledger: Ledger, exchange: str) -> Family:
    """What the ledger says; a verifier of all its leaves says the same."""
    with ledger.database.read() as connection:
        found = Lineage(connection).of(exchange)
        leaves = [read_leaf(item.seq, item.leaf) for item in every_entry(connection)]
    leaf = next(leaf for leaf in leaves if leaf.id == exchange)
    assert Kinship(leaves).of(leaf) == found
    return found


def source(log: Log, *, may_train: bool = True) -> str:
    """A source on record."""
    said = Declared(name="tickets", licence="MIT", may_train=may_train, duties=["attribution=Us"])
    return declare(log, said, actor="user:1", reason="ours").id


def test_parents_of_parents_count(ledger: Ledger) -> None:
    """The family holds grandparents and their sources."""
    tickets = source(ledger.log)
    one = put(ledger, sources=[tickets])
    two = put(ledger, parents=[one])
    three = put(ledger, parents=[two, one])
    expected = Family(exchanges=tuple(sorted([one, two])), sources=(tickets,))
    assert family(ledger, three) == expected
    assert family(ledger, put(ledger)) == Family()


def test_the_provider_says_what_an_answer_goes_on_from(ledger: Ledger) -> None:
    """The response id leads to the exchange of the same contract, and to no other."""
    one = put(ledger, response_id="resp_1")
    put(ledger, response_id="resp_1", route="other-api")
    two = put(ledger, continues="resp_1", response_id="resp_2")
    three = put(ledger, continues="resp_2")
    assert family(ledger, three).exchanges == tuple(sorted([one, two]))
    lost = put(ledger, continues="resp_9")
    assert family(ledger, lost).exchanges == (f"{lost}:continues",)


def test_a_circle_ends(ledger: Ledger) -> None:
    """Whatever leaves say, the walk ends."""
    one = put(ledger, response_id="resp_1", continues="resp_1")
    assert family(ledger, one) == Family()


def test_only_complete_exchanges_are_candidates(ledger: Ledger) -> None:
    """What is under way, was cut or is not on record cannot be decided on."""
    whole, cut = put(ledger), put(ledger, outcome="cut")
    under_way = put(ledger, is_ended=False)
    ledger.log.append([later(whole, "clear")])
    with ledger.database.read() as connection:
        lineage = Lineage(connection)
        found = lineage.candidate(whole)
        assert found is not None
        assert (found.exchange.entry.id, len(found.decisions)) == (whole, 1)
        assert [lineage.candidate(name) for name in (cut, under_way, "nobody")] == [None] * 3
        relative = lineage.relative(whole)
        assert relative is not None
        assert [item.entry.kind for item in relative.entries] == ["call", "exchange", "decision"]
        started = lineage.relative(under_way)
        assert started is not None
        assert [item.entry.kind for item in started.entries] == ["call"]


def test_a_source_is_usable_while_its_last_word_allows_it(ledger: Ledger) -> None:
    """Both the entry that a call names and the last word count."""

    def usable(*names: str) -> list[bool]:
        with ledger.database.read() as connection:
            return [Lineage(connection).is_usable(name) for name in names]

    closed = source(ledger.log, may_train=False)
    opened = source(ledger.log)
    assert usable(closed, opened, "nobody") == [False, True, False]
    withdraw(ledger.log, "tickets", actor="user:1", reason="a customer objected")
    assert usable(opened) == [False]
    with ledger.database.read() as connection:
        lineage = Lineage(connection)
        assert lineage.duties(opened) == ["attribution: Us"]
        assert lineage.duties("nobody") == []


def test_children_are_reached_through_all_generations(ledger: Ledger) -> None:
    """By the parents that calls name and by answers that the provider holds; strangers are not."""
    first = put(ledger, response_id="r1")
    second = put(ledger, parents=[first])
    third = put(ledger, parents=[second])
    continued = put(ledger, continues="r1")
    stranger = put(ledger, continues="r1", route="other-api")
    with ledger.database.read() as connection:
        assert children_of(connection, [first]) == {second, third, continued}
        assert children_of(connection, [second]) == {third}
        assert children_of(connection, [third, stranger]) == frozenset()
