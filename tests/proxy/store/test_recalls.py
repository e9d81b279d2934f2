"""Questions about what is to be erased, what is held, and what was said of datasets."""

import pytest

from proxy.clock import new_id, new_nonce, stamp, utc_now
from proxy.ledger.bundle import openings_digest
from proxy.ledger.canonical import canonical
from proxy.ledger.entry import (
    BatchRecord,
    CallEntry,
    DatasetEntry,
    ExchangeEntry,
    HoldEntry,
    LineRecord,
    StatusEntry,
)
from proxy.store.log import Document, Pending
from proxy.store.recalls import (
    Asked,
    asked_for,
    batch_carriers,
    disclosed_seals,
    disclosures,
    erased_exchanges,
    erasures,
    exchanges_of_seals,
    held_salts,
    holds,
    last_status,
    recorded,
)
from tests.proxy.store.ledgers import DIGEST, Ledger, call, exchange
from tests.proxy.store.test_views import dataset_entry, taken_back


def ended(ledger: Ledger, **of_call: object) -> tuple[str, str]:
    """A call that has ended: its id and that of its exchange."""
    made = call(**of_call)  # type: ignore[arg-type] # tests name the fields
    end = exchange(made.entry.id)
    ledger.log.append([made, end])
    return made.entry.id, end.entry.id


def asked(ledger: Ledger, **by: object) -> list[str]:
    """The calls that are meant."""
    with ledger.database.read() as connection:
        found = asked_for(connection, Asked(**by))  # type: ignore[arg-type] # tests name the fields
        return [each.call.entry.id for each in found]


def test_exchanges_are_found_by_either_id(ledger: Ledger) -> None:
    """An id of a call or of its exchange finds both; one that is under way has no end yet."""
    (one, end), (two, _) = ended(ledger), ended(ledger)
    open_call = call()
    ledger.log.append([open_call])
    assert asked(ledger, exchanges=[end, two]) == [one, two]
    assert asked(ledger, exchanges=[]) == []
    with ledger.database.read() as connection:
        (found,) = recorded(connection, [open_call.entry.id, "nobody"])
    assert found.exchange is None


def test_filters_hold_together(ledger: Ledger) -> None:
    """Only calls of which everything that is given holds are meant, in the order of the log."""
    calls = [ended(ledger)[0] for _ in range(3)]
    assert asked(ledger) == calls
    with ledger.database.read() as connection:
        first = next(iter(asked_for(connection, Asked()))).call.entry
    here = {"key": first.key, "project": first.facts["project"], "routes": [first.facts["route"]]}
    assert asked(ledger, **here) == calls
    for name, other in (("key", "key:other"), ("project", "other"), ("routes", ["other"])):
        assert asked(ledger, **{**here, name: other}) == []
    assert asked(ledger, before=first.at) == []
    assert asked(ledger, before="9999") == calls


def test_pages_go_on_where_they_ended(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """More calls than a page holds come once each."""
    monkeypatch.setattr("proxy.store.recalls._PAGE", 2)
    calls = [ended(ledger)[0] for _ in range(5)]
    assert asked(ledger) == calls
    assert asked(ledger, exchanges=calls) == calls


def test_a_line_of_a_batch_is_in_other_bodies_too(ledger: Ledger) -> None:
    """The call that made the batch holds it, and the upload of the file that the batch was made of."""
    upload, create, other = call(), call(), call()
    line = call(line=LineRecord(create=create.entry.id, custom=DIGEST))
    ledger.log.append([upload, create, other, line])
    said = {
        upload.entry.id: BatchRecord(input="file-1"),
        other.entry.id: BatchRecord(input="file-2"),
        create.entry.id: BatchRecord(batch="b1", state="open", input="file-1"),
    }
    ledger.log.append([exchange(id_, batch=batch) for id_, batch in said.items()])
    with ledger.database.read() as connection:
        found = batch_carriers(connection, [line.entry.id, upload.entry.id])
    assert found == {line.entry.id: (create.entry.id, upload.entry.id)}


def test_what_was_erased_is_known(ledger: Ledger) -> None:
    """Each erased exchange is known with the first place that says so, whatever its seals still open."""
    _, end = ended(ledger)
    first, second = taken_back(end)[0], taken_back(end)[0]
    (place, _) = ledger.log.append([first, second])
    with ledger.database.read() as connection:
        assert erased_exchanges(connection) == {end: place}
        assert [item.entry.id for item in erasures(connection)] == [
            first.entry.id,
            second.entry.id,
        ]
        assert held_salts(connection, [DIGEST]) == frozenset()


def test_a_lifted_hold_is_in_force_no_more(ledger: Ledger) -> None:
    """Holds are those that were placed and not lifted, with the reason they were placed for."""
    _, end = ended(ledger)
    erase, place, lift, status = taken_back(end)
    ledger.log.append([erase, place])
    with ledger.database.read() as connection:
        assert [item.entry for item in holds(connection)] == [place.entry]
    assert isinstance(place.entry, HoldEntry)
    ledger.log.append([lift, status])
    with ledger.database.read() as connection:
        assert holds(connection) == ()


def test_the_last_word_on_a_dataset_counts(ledger: Ledger) -> None:
    """The last status is found, and the last of one state."""
    withdrawn = taken_back("unused")[3]
    good = StatusEntry(
        id=new_id(),
        at=stamp(utc_now()),
        actor="u",
        dataset="d1",
        root=DIGEST,
        state="good",
        affected=DIGEST,
        count=0,
        nonce=new_nonce(),
    )
    ledger.log.append([withdrawn, Pending(good)])
    with ledger.database.read() as connection:
        last = last_status(connection, "d1")
        before = last_status(connection, "d1", state="withdrawn")
        assert last_status(connection, "d2") is None
    assert last is not None
    assert before is not None
    assert (last.entry.id, before.entry.id) == (good.id, withdrawn.entry.id)


def test_what_a_dataset_opened_is_known_by_its_list(ledger: Ledger) -> None:
    """The list that its entry commits to names the seals; one that was not kept is said to be so."""
    one, end = ended(ledger)
    with ledger.database.read() as connection:
        (found,) = recorded(connection, [one])
    assert isinstance(found.call.entry, CallEntry)
    assert found.exchange is not None
    assert isinstance(found.exchange.entry, ExchangeEntry)
    answer = found.exchange.entry.answer
    seals = [DIGEST] if answer is None else [answer.seal]
    content = canonical(seals)
    listed, unlisted = dataset_entry("d1"), dataset_entry("d2")
    assert isinstance(listed.entry, DatasetEntry)
    entry = listed.entry.model_copy(update={"openings": openings_digest(seals)})
    document = Document(digest=entry.openings, kind="seals", content=content)
    ledger.log.append([Pending(entry, documents=(document,)), unlisted])
    with ledger.database.read() as connection:
        first, second = (item.entry for item in disclosures(connection))
        assert disclosed_seals(connection, first) == frozenset(seals)
        assert disclosed_seals(connection, second) is None
        wanted = {} if answer is None else {answer.seal: end}
        assert exchanges_of_seals(connection, seals) == wanted
