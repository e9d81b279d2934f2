"""Each question and its answer."""

from collections.abc import Iterable

import pytest
from sqlalchemy import event

from proxy.clock import new_id, new_nonce, stamp, utc_now
from proxy.errors import LedgerError
from proxy.ledger.entry import PolicyEntry
from proxy.store import queries
from proxy.store.log import Pending
from proxy.store.records import Candidate, ReviewItem
from tests.proxy.store.ledgers import (
    DIGEST,
    Ledger,
    admin,
    call,
    exchange,
    grant_entry,
    judgement,
    key_entry,
    later,
    refused,
)
from tests.proxy.store.test_views import dataset_entry, run_entry


def _pairs(ledger: Ledger, count: int, *, project: str = "p1", key: str = "k1") -> list[str]:
    """Complete exchanges; gives their ids."""
    ids: list[str] = []
    for _ in range(count):
        first = call(project=project, key=key)
        end = exchange(first.entry.id)
        ledger.log.append([first, end])
        ids.append(end.entry.id)
    return ids


def _ids(items: Iterable[Candidate] | Iterable[ReviewItem]) -> list[str]:
    return [item.exchange.entry.id for item in items]


def test_entries_are_paged_in_order(ledger: Ledger) -> None:
    """Pages follow each other without gap or overlap; a kind can be picked."""
    items = [admin(), call(), admin(), admin()]
    ledger.log.append(items)
    with ledger.database.read() as connection:
        first = queries.entries(connection, limit=3)
        rest = queries.entries(connection, after=first[-1].seq)
        assert [one.entry for one in (*first, *rest)] == [item.entry for item in items]
        assert [one.seq for one in queries.entries(connection, kind="call")] == [1]
        assert [one.seq for one in queries.entries_at(connection, [3, 1, 9, 1])] == [1, 3]


def test_an_entry_is_found_by_its_id(ledger: Ledger) -> None:
    """The id of an entry finds it; another id finds nothing."""
    item = admin()
    ledger.log.append([item])
    with ledger.database.read() as connection:
        found = queries.entry_by_id(connection, item.entry.id)
        assert found is not None
        assert (found.seq, found.entry) == (0, item.entry)
        assert queries.entry_by_id(connection, "nothing") is None


def test_an_exchange_comes_with_its_call(ledger: Ledger) -> None:
    """Either id finds both; a call under way has no exchange; an unknown id finds nothing."""
    first, under_way = call(), call()
    end = exchange(first.entry.id)
    ledger.log.append([first, end, under_way])
    with ledger.database.read() as connection:
        for id_ in (first.entry.id, end.entry.id):
            found = queries.exchange_with_call(connection, id_)
            assert found is not None
            assert found.exchange is not None
            assert (found.call.entry, found.exchange.entry) == (first.entry, end.entry)
        found = queries.exchange_with_call(connection, under_way.entry.id)
        assert found is not None
        assert found.exchange is None
        assert queries.exchange_with_call(connection, "nothing") is None


def test_what_waits_for_a_person_is_listed(ledger: Ledger) -> None:
    """Held answers and held calls wait; permitted, forbidden and settled ones do not."""
    held_call, held_end = refused(verdict="review")
    first, second = call(), call()
    held_answer = exchange(first.entry.id, verdict="review")
    settled = exchange(second.entry.id, verdict="review")
    ledger.log.append([held_call, held_end, first, held_answer, second, settled])
    ledger.log.append([*refused(verdict="forbid"), later(settled.entry.id, "clear")])
    _pairs(ledger, 1)
    with ledger.database.read() as connection:
        items = queries.review_items(connection)
        assert [(item.gate, item.exchange.entry.id) for item in items] == [
            ("request", held_end.entry.id),
            ("response", held_answer.entry.id),
        ]
        assert items[0].call.entry == held_call.entry
        assert _ids(queries.review_items(connection, after=items[0].seq)) == [held_answer.entry.id]
        assert _ids(queries.review_items(connection, limit=1)) == [held_end.entry.id]
        assert queries.review_item(connection, held_end.entry.id) == items[0]
        assert queries.review_item(connection, settled.entry.id) is None


def test_client_keys_are_found_by_digest(ledger: Ledger) -> None:
    """A key's sha256 finds what it stamps, revoked or not; keys of other roles are not clients'."""
    ledger.log.append([key_entry("create", "k1"), key_entry("create", "k2", digest="cd" * 32)])
    ledger.log.append([key_entry("revoke", "k2")])
    with ledger.database.read() as connection:
        found = queries.client_key(connection, DIGEST)
        assert found is not None
        assert (found.key, found.project, found.student, found.is_revoked) == (
            "k1",
            "p1",
            "s1",
            False,
        )
        assert [key.is_revoked for key in queries.client_keys(connection)] == [False, True]
        assert queries.client_key(connection, "0" * 64) is None


def test_approvals_are_the_last_state_of_each(ledger: Ledger) -> None:
    """Approved and revoked digests are told apart; what is only proposed is neither."""
    one, two, three = ("1" * 64, "2" * 64, "3" * 64)
    ledger.log.append([grant_entry("propose", digest) for digest in (one, two, three)])
    ledger.log.append([grant_entry("approve", digest) for digest in (two, three)])
    ledger.log.append([grant_entry("revoke", three)])
    with ledger.database.read() as connection:
        found = queries.approvals(connection)
        assert (found.approved, found.revoked) == (frozenset({two}), frozenset({three}))
        states = [(item.digest, item.state) for item in queries.approval_list(connection)]
    assert states == [(one, "proposed"), (two, "approved"), (three, "revoked")]


def test_candidates_are_complete_and_whole(ledger: Ledger) -> None:
    """Only complete, whole exchanges are candidates, in log order, by project and stamped student."""
    ledger.log.append(
        [key_entry("create", "k1"), key_entry("create", "k2", student="s2", digest="cd" * 32)]
    )
    mine = _pairs(ledger, 2)
    theirs = _pairs(ledger, 1, project="p2", key="k2")
    first = call()
    ledger.log.append([first, exchange(first.entry.id, outcome="cut"), *refused(verdict="forbid")])
    unread = call()
    ledger.log.append([unread, exchange(unread.entry.id, is_read=False)])
    with ledger.database.read() as connection:
        assert _ids(queries.candidates(connection)) == [*mine, *theirs]
        assert _ids(queries.candidates(connection, project="p2")) == theirs
        assert _ids(queries.candidates(connection, student="s1")) == mine
        assert _ids(queries.candidates(connection, student="s2", project="p1")) == []
        page = queries.candidates_after(connection, limit=2)
        assert _ids(queries.candidates_after(connection, after=page[-1].seq)) == theirs


def test_a_candidate_brings_what_was_said(ledger: Ledger) -> None:
    """Decisions and judgements about an exchange come with it, oldest first, and stand alone too."""
    one, two = _pairs(ledger, 2)
    said = [later(one, "clear"), judgement(one), later(one, "reverse")]
    ledger.log.append(said)
    with ledger.database.read() as connection:
        first, second = queries.candidates(connection)
        assert [item.entry for item in first.decisions] == [said[0].entry, said[2].entry]
        assert [item.entry for item in first.judgements] == [said[1].entry]
        assert (second.decisions, second.judgements) == ((), ())
        assert queries.decisions_of(connection, one) == first.decisions
        assert queries.judgements_of(connection, one) == first.judgements
        assert queries.decisions_of(connection, two) == ()


def test_candidates_cost_few_statements(ledger: Ledger) -> None:
    """A page of candidates takes the same few statements whatever its length."""
    for one in _pairs(ledger, 12):
        ledger.log.append([later(one, "clear"), judgement(one)])
    seen: list[str] = []
    event.listen(
        ledger.database.engine,
        "before_cursor_execute",
        lambda _c, _cur, statement, *_: seen.append(statement),
    )
    with ledger.database.read() as connection:
        assert len(list(queries.candidates(connection))) == 12
    assert len(seen) <= 6


def test_cleared_requests_are_those_last_cleared(ledger: Ledger) -> None:
    """A held call that was cleared counts for its project, until the clearance is reversed."""
    (one, one_end), (two, two_end) = (refused(verdict="review") for _ in range(2))
    other, other_end = refused(verdict="review", project="p2")
    ledger.log.append([one, one_end, two, two_end, other, other_end])
    ends = (one_end, two_end, other_end)
    ledger.log.append([later(end.entry.id, "clear", "request") for end in ends])
    ledger.log.append([later(two_end.entry.id, "reverse", "request")])
    with ledger.database.read() as connection:
        (found,) = queries.cleared_requests(connection, "p1")
    assert (found.call.entry, found.exchange) == (one.entry, one_end.entry.id)
    assert found.clearance.entry.action == "clear"


def test_datasets_and_runs_are_listed(ledger: Ledger) -> None:
    """Datasets and runs come oldest first; runs can be asked by student."""
    ledger.log.append([dataset_entry("d1"), run_entry("r1"), run_entry("r2", "s2")])
    ledger.log.append([dataset_entry("d2")])
    with ledger.database.read() as connection:
        assert [one.entry.dataset for one in queries.datasets(connection)] == ["d1", "d2"]
        assert [one.entry.run for one in queries.runs(connection)] == ["r1", "r2"]
        assert [one.entry.run for one in queries.runs(connection, student="s2")] == ["r2"]


def test_the_latest_policy_is_found(ledger: Ledger) -> None:
    """The policy bundle in force is the last one recorded; before the first there is none."""
    with ledger.database.read() as connection:
        assert queries.latest_policy(connection) is None
    for digest in ("1" * 64, "2" * 64):
        entry = PolicyEntry(
            id=new_id(),
            at=stamp(utc_now()),
            actor="inbond",
            bundle=digest,
            meaning=digest,
            files={},
            nonce=new_nonce(),
        )
        ledger.log.append([Pending(entry), admin()])
    with ledger.database.read() as connection:
        found = queries.latest_policy(connection)
    assert found is not None
    assert found.entry.bundle == "2" * 64


def test_counts_add_up(ledger: Ledger) -> None:
    """The counts are those of the entries appended."""
    _pairs(ledger, 3)
    ledger.log.append([call(), *refused(verdict="review"), *refused(verdict="forbid")])
    ledger.signer.sign()
    ledger.log.append([admin()])
    with ledger.database.read() as connection:
        found = queries.counts(connection)
        note = queries.last_checkpoint(connection)
        assert note is not None
        assert queries.checkpoint_at(connection, note.size) == note
        assert queries.checkpoint_at(connection, 1) is None
    assert (found.entries, found.calls, found.under_way) == (12, 6, 1)
    assert found.exchanges == {"complete": 3, "refused": 2}
    assert (found.verdicts, found.waiting, found.checkpoint) == ({"permit": 3}, 1, 11)


def test_hashes_that_are_not_there_are_told(ledger: Ledger) -> None:
    """Asking for hashes beyond the log is an error, never a shorter list."""
    ledger.log.append([admin()])
    with ledger.database.read() as connection:
        read = queries.node_reader(connection)
        with pytest.raises(LedgerError, match="lacks hashes 0 to 1 of level 0"):
            read(0, 0, 2)
        with pytest.raises(LedgerError, match="of level 1"):
            read(1, 0, 1)


def test_a_damaged_leaf_is_told(ledger: Ledger) -> None:
    """A leaf that cannot be read, or that a view takes for another kind, is an error with advice."""
    first = call()
    ledger.log.append([first, admin()])
    with ledger.database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE entry SET leaf = (SELECT leaf FROM entry WHERE seq = 1) WHERE seq = 0"
        )
    with (
        ledger.database.read() as connection,
        pytest.raises(LedgerError, match="entry 0 is not what the views say"),
    ):
        queries.exchange_with_call(connection, first.entry.id)
    with ledger.database.write() as connection:
        connection.exec_driver_sql("UPDATE entry SET leaf = x'7b' WHERE seq = 0")
    with (
        ledger.database.read() as connection,
        pytest.raises(LedgerError, match="entry 0 cannot be read"),
    ):
        queries.entries(connection)
