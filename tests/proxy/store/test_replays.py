"""Exchanges as they are replayed: in log order, page by page, with what people said."""

import json

from proxy.clock import stamp, utc_now
from proxy.store.replays import Ended, ended, ended_after
from tests.proxy.store.ledgers import Ledger, call, exchange, judgement, later, refused


def test_each_exchange_comes_once_with_both_leaves(ledger: Ledger) -> None:
    """Complete and refused ones, in the order they ended; a call under way is left out."""
    first, second, third = call(), call(), call()
    ends = [exchange(second.entry.id), exchange(first.entry.id, outcome="cut", verdict=None)]
    ledger.log.append([first, second, third])
    ledger.log.append(ends)
    ledger.log.append(refused(verdict="forbid"))
    with ledger.database.read() as connection:
        found = list(ended(connection))
    assert [one.exchange for one in found[:2]] == [end.entry.id for end in ends]
    assert [one.is_complete for one in found] == [True, False, False]
    assert json.loads(found[0].call)["id"] == second.entry.id
    assert json.loads(found[0].end)["id"] == ends[0].entry.id
    assert [one.at for one in found[:2]] == [second.entry.at, first.entry.at]


def test_pages_follow_each_other(ledger: Ledger) -> None:
    """Pages of one give what one page of all gives."""
    for _ in range(3):
        begun = call()
        ledger.log.append([begun, exchange(begun.entry.id)])
    with ledger.database.read() as connection:
        whole = ended_after(connection)
        after = -1
        pages: list[Ended] = []
        while page := ended_after(connection, after=after, limit=1):
            pages += page
            after = page[-1].seq
        assert tuple(pages) == whole
        assert ended_after(connection, after=after) == ()


def test_what_people_said_comes_with_its_exchange(ledger: Ledger) -> None:
    """Decisions and judgements, oldest first, those taken back included; others have none."""
    begun, other = call(), call()
    end = exchange(begun.entry.id, verdict="review")
    ledger.log.append([begun, end, other, exchange(other.entry.id)])
    said = [judgement(end.entry.id), later(end.entry.id, "clear"), later(end.entry.id, "reverse")]
    ledger.log.append(said)
    with ledger.database.read() as connection:
        one, two = ended(connection)
    assert [json.loads(leaf)["id"] for leaf in one.said] == [each.entry.id for each in said]
    assert two.said == ()


def test_only_calls_since_a_stamp(ledger: Ledger) -> None:
    """The call's own instant counts, the stamp itself included."""
    old, new = call(at="2026-01-01T00:00:00.000Z"), call(at="2026-03-01T00:00:00.000Z")
    ledger.log.append([old, new, exchange(old.entry.id), exchange(new.entry.id)])
    with ledger.database.read() as connection:
        found = list(ended(connection, since="2026-03-01T00:00:00.000Z"))
        assert [json.loads(one.call)["id"] for one in found] == [new.entry.id]
        assert list(ended(connection, since=stamp(utc_now()))) == []
