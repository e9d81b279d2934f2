"""What calls say they were made from: found on record, or refused with what to do."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import time_machine

from proxy.cli.openledger import open_ledger
from proxy.clock import new_id
from proxy.contributors import (
    ContributorError,
    Contributors,
    ContributorsOnRecord,
    names_any,
    none_on_record,
)
from proxy.exchange import Headers
from proxy.ledger.entry import CallEntry, ExchangeEntry, exchange_of
from tests.proxy.store.ledgers import call
from tests.proxy.workshop import NOW, Asked, Workshop

PARENT = "X-Inbond-Parent"
SOURCE = "x-inbond-source"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Workshop]:
    """A workspace on the day of the tests."""
    with time_machine.travel(NOW, tick=True):
        yield Workshop.at(tmp_path / "work")


def find(here: Workshop, *headers: tuple[str, str]) -> Contributors:
    """What headers name in the ledger of a workspace."""
    with open_ledger(here.settings) as ledger:
        return asyncio.run(ContributorsOnRecord(ledger.database)(headers))


def add(here: Workshop, name: str) -> str:
    """The entry of a source declared now."""
    words = ("source", "add", name, "--licence", "MIT", "--may-train", "--reason", "ours")
    return str(here.record(*words)["entry"])


def test_exchanges_are_named_by_their_id_or_their_calls(here: Workshop) -> None:
    """Headers may repeat and list; each exchange stands once, by its own id, in order."""
    one, two = here.ask(Asked(), Asked())
    found = find(here, (PARENT, f"{one.upper()}, {two}"), (PARENT.lower(), exchange_of(one)))
    assert found == Contributors(parents=(one, two))


def test_an_exchange_under_way_may_be_a_parent(here: Workshop) -> None:
    """A client that reads a stream knows its exchange before it has ended."""
    under_way = call()
    with open_ledger(here.settings) as ledger:
        ledger.log.append([under_way])
    exchange = exchange_of(under_way.entry.id)
    assert find(here, (PARENT, exchange)).parents == (exchange,)


def test_a_source_is_its_last_declaration(here: Workshop) -> None:
    """The name stands for the entry that is in force when the call is made."""
    first = add(here, "tickets")
    assert find(here, (SOURCE, "tickets")).sources == (first,)
    second = add(here, "tickets")
    assert find(here, (SOURCE, "tickets")).sources == (second,)
    here.record("source", "withdraw", "tickets", "--reason", "a customer objected")
    with pytest.raises(ContributorError, match="`tickets` was withdrawn") as caught:
        find(here, (SOURCE, "tickets"))
    assert "inbond source add" in caught.value.help


@pytest.mark.parametrize(
    ("header", "value", "code", "message", "fix"),
    [
        (PARENT, "", "bad-contributor", "has an empty place", "x-inbond-exchange"),
        (PARENT, "a,", "bad-contributor", "has an empty place", "x-inbond-exchange"),
        (PARENT, "r1", "bad-contributor", "no id of an exchange", "x-inbond-exchange"),
        (PARENT, "1" * 36, "bad-contributor", "no id of an exchange", "x-inbond-exchange"),
        (
            PARENT,
            "01a20de8-85b2-7dee-b87c-c0591d4f15bb",
            "unknown-contributor",
            "an exchange of this name",
            "x-inbond-exchange",
        ),
        (SOURCE, "ticket", "unknown-contributor", "`ticket`", "did you mean `tickets`?"),
        (SOURCE, "zz\x1b[2J", "unknown-contributor", "`…`", "inbond source add"),
        (SOURCE, ",".join(map(str, range(129))), "too-many-contributors", "names 129", "parents"),
    ],
)
def test_what_cannot_be_found_is_refused(
    here: Workshop, header: str, value: str, code: str, message: str, fix: str
) -> None:
    """A malformed, unknown or endless list is an error that says what to do."""
    add(here, "tickets")
    with pytest.raises(ContributorError, match=message) as caught:
        find(here, (header, value))
    assert caught.value.code == code
    assert fix in caught.value.help


def test_other_headers_name_nothing() -> None:
    """Only the two headers count, whatever their case."""
    assert not names_any((("X-Inbond-Key", "ib_x"), ("x-parent", "1")))
    assert names_any(((PARENT, ""),))
    assert asyncio.run(none_on_record((("x-parent", "1"),))) == Contributors()


@pytest.mark.parametrize("headers", [((PARENT, "r1"),), ((SOURCE, "tickets"),)])
def test_without_a_ledger_nothing_is_found(headers: Headers) -> None:
    """Where nobody can look, naming a contributor is an error: it is never passed over."""
    with pytest.raises(ContributorError, match="is not on record"):
        asyncio.run(none_on_record(headers))


def test_the_call_keeps_what_it_was_made_from(here: Workshop) -> None:
    """The `call` entry names parents and sources, and the ids of their entries."""
    (one,) = here.ask(Asked())
    source = add(here, "tickets")
    here.ask(Asked(headers=((PARENT, one), (SOURCE, "tickets"))))
    calls = [entry for entry in here.entries() if isinstance(entry, CallEntry)]
    assert [(call.parents, call.sources) for call in calls] == [([], []), ([one], [source])]


def test_a_call_with_an_unknown_parent_is_refused_on_record(here: Workshop) -> None:
    """Nothing is sent: the exchange says refused with 400, and its call names nobody."""
    here.ask(Asked(headers=((PARENT, new_id()),)))
    call, exchange = here.entries()[-2:]
    assert isinstance(call, CallEntry)
    assert isinstance(exchange, ExchangeEntry)
    assert (exchange.outcome, exchange.status) == ("refused", 400)
    assert (exchange.problem, call.parents) == ("unknown-contributor", [])
