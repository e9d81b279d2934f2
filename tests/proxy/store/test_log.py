"""What the log promises of an append."""

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select

from proxy.clock import new_id
from proxy.errors import CanonicalError, ForkError, LedgerBusy, LedgerError
from proxy.ledger.canonical import canonical, parse_canonical
from proxy.ledger.closure import policy_digest
from proxy.ledger.entry import MAX_LEAF_BYTES, AdminEntry, parse_entry
from proxy.ledger.merkle import (
    consistency_proof,
    leaf_hash,
    root_of,
    verify_consistency,
)
from proxy.store.log import Document, Log, Pending, leaf_of
from proxy.store.queries import documents, entries, node_reader
from proxy.store.session import STORAGE, open_database
from proxy.store.tables import BodyRow, CallRow, EntryRow, SaltRow, SubtreeRow
from tests.proxy.store.ledgers import (
    URL,
    Ledger,
    admin,
    call,
    exchange,
    judgement,
    open_ledger,
    refused,
)


def _hashes(ledger: Ledger) -> list[bytes]:
    with ledger.database.read() as connection:
        leaves = connection.execute(select(EntryRow.leaf).order_by(EntryRow.seq)).scalars()
        return [leaf_hash(leaf) for leaf in leaves]


def test_a_batch_is_stored_in_order_with_its_bodies(ledger: Ledger) -> None:
    """Entries get consecutive places, and their bodies and salts stand beside them."""
    first = call()
    end = exchange(first.entry.id)
    assert ledger.log.append([first, end]) == [0, 1]
    assert ledger.log.append([admin()]) == [2]
    with ledger.database.read() as connection:
        stored = entries(connection)
        salts = set(connection.execute(select(SaltRow.seal)).scalars())
        bodies = set(connection.execute(select(BodyRow.seal)).scalars())
    assert [item.entry for item in stored[:2]] == [first.entry, end.entry]
    assert salts == bodies == {first.bodies[0].seal, end.bodies[0].seal}


@settings(max_examples=8, deadline=None)
@given(sizes=st.lists(st.integers(0, 300), min_size=1, max_size=5))
def test_the_root_is_that_of_the_leaves_whatever_the_batches(sizes: Sequence[int]) -> None:
    """However entries are batched, root and finished subtrees are those of RFC 9162 over the leaves."""
    with TemporaryDirectory() as folder:
        ledger = open_ledger(Path(folder))
        older = []
        for size in sizes:
            ledger.log.append([admin() for _ in range(size)])
            older.append((ledger.log.size, ledger.log.root()))
        hashes = _hashes(ledger)
        assert (len(hashes), root_of(hashes)) == (sum(sizes), ledger.log.root())
        with ledger.database.read() as connection:
            read = node_reader(connection)
            for size, root in older:
                proof = consistency_proof(size, len(hashes), read)
                verify_consistency(size, root, len(hashes), ledger.log.root(), proof)
            subtrees = connection.execute(select(SubtreeRow).order_by(SubtreeRow.idx)).all()
        assert [(row.level, row.hash) for row in subtrees] == [
            (1, root_of(hashes[at : at + 256])) for at in range(0, len(hashes) // 256 * 256, 256)
        ]
        ledger.database.close()


def test_threads_may_append_at_once(ledger: Ledger) -> None:
    """Writers in three threads lose nothing, double nothing and get the place of each entry."""
    places: dict[str, int] = {}

    def write() -> None:
        for _ in range(15):
            batch = [admin(), admin()]
            seqs = ledger.log.append(batch)
            places.update((x.entry.id, seq) for x, seq in zip(batch, seqs, strict=True))

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with ledger.database.read() as connection:
        found = {stored.entry.id: stored.seq for stored in entries(connection)}
    assert found == places
    assert sorted(places.values()) == list(range(90))
    assert ledger.log.root() == root_of(_hashes(ledger))


def test_an_append_tried_twice_is_one_entry(ledger: Ledger) -> None:
    """A retried append gives the old places and stores nothing again, bodies included."""
    first, second = call(), admin()
    places = ledger.log.append([first, second])
    root = ledger.log.root()
    assert ledger.log.append([second, first]) == [places[1], places[0]]
    assert ledger.log.append([first, third := admin(), third]) == [0, 2, 2]
    assert ledger.log.size == 3
    assert ledger.log.root() != root


def test_another_entry_of_a_known_id_is_refused(ledger: Ledger) -> None:
    """An id names one leaf for ever: other content under it is refused and stores nothing."""
    first = admin("one")
    ledger.log.append([first])
    with pytest.raises(LedgerError, match=f"entry `{first.entry.id}` is in the log with other"):
        ledger.log.append([admin(), admin("two", id_=first.entry.id)])
    assert ledger.log.size == 1


def test_a_call_ends_once(ledger: Ledger) -> None:
    """A second exchange of a call is refused, in the same batch or later."""
    first = call()
    ledger.log.append([first, exchange(first.entry.id)])
    with pytest.raises(LedgerError, match=f"call `{first.entry.id}` has ended already"):
        ledger.log.append([exchange(first.entry.id)])
    second = call()
    with pytest.raises(LedgerError, match="has ended already"):
        ledger.log.append([second, exchange(second.entry.id), exchange(second.entry.id)])
    assert ledger.log.size == 2


def test_only_a_known_call_ends(ledger: Ledger) -> None:
    """An exchange of a call that the log does not hold is refused."""
    with pytest.raises(LedgerError, match="the log holds no call `nothing` that could end"):
        ledger.log.append([admin(), exchange("nothing")])
    assert ledger.log.size == 0


def test_the_database_itself_forbids_a_second_exchange(ledger: Ledger) -> None:
    """The rule of one exchange per call is an index of the database, not only a check of ours."""
    first = call()
    ledger.log.append([first, exchange(first.entry.id)])
    with pytest.raises(LedgerError, match=r"unique constraint failed: exchange\.call"):  # noqa: SIM117 - the block under test is the inner one
        with ledger.database.write() as connection:
            connection.exec_driver_sql(
                "INSERT INTO exchange SELECT 9, 'x', call, at, outcome, verdict, is_whole, model_id,"
                " answer_seal, wire_seal, is_settled FROM exchange"
            )


def test_a_leaf_has_a_largest_size(ledger: Ledger) -> None:
    """A leaf above 65,535 bytes is refused before anything is written."""
    entry = admin("x" * (MAX_LEAF_BYTES + 1))
    with pytest.raises(LedgerError, match="a leaf holds 65535"):
        ledger.log.append([entry])
    assert ledger.log.size == 0


def test_a_leaf_is_canonical_with_its_defaults() -> None:
    """A leaf is canonical JSON that states every field, those at their default included."""
    entry = admin().entry
    data = parse_canonical(leaf_of(entry))
    assert data == entry.model_dump()
    assert {"v", "kind", "reason"} < data.keys()


@pytest.mark.parametrize(
    "pending",
    [call(), exchange(new_id()), refused(verdict="forbid")[1], admin(), judgement(new_id())],
    ids=lambda pending: pending.entry.kind,
)
def test_a_leaf_says_all_that_its_entry_says(pending: Pending) -> None:
    """A leaf is what pydantic makes of the entry, records in it included, in canonical form."""
    assert leaf_of(pending.entry) == canonical(pending.entry.model_dump(mode="json"))
    assert parse_entry(leaf_of(pending.entry)) == pending.entry


def test_what_has_no_canonical_form_is_refused(ledger: Ledger) -> None:
    """Half a surrogate pair has no canonical bytes, so the entry is refused."""
    pending = admin()
    broken = pending.entry.model_copy(update={"actor": "user:\ud800"})
    assert isinstance(broken, AdminEntry)
    with pytest.raises(CanonicalError):
        ledger.log.append([Pending(broken)])


def test_documents_are_named_by_their_content(ledger: Ledger) -> None:
    """A document is stored once under its sha256, and one under another name is refused."""
    digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    hello = Document(digest=digest, kind="terms", content=b"hello")
    ledger.log.append([Pending(admin().entry, documents=(hello,))])
    ledger.log.append([Pending(admin().entry, documents=(hello, hello))])
    with ledger.database.read() as connection:
        held = documents(connection, [digest, "0" * 64])
    assert {name: document.content for name, document in held.items()} == {digest: b"hello"}
    wrong = Document(digest="0" * 64, kind="terms", content=b"hello")
    with pytest.raises(LedgerError, match="does not have this digest"):
        ledger.log.append([Pending(admin().entry, documents=(wrong,))])


def test_a_policy_bundle_is_named_by_its_own_digest(ledger: Ledger) -> None:
    """A policy bundle's document stands under the bundle's digest, and other bytes are refused."""
    content = (
        b'{"approvals":[],"documents":{"hosts/a.yaml":"x"},"language":1,"organisation":"A",'
        b'"revoked":[]}'
    )
    bundle = Document(digest=policy_digest(content), kind="policy", content=content)
    ledger.log.append([Pending(admin().entry, documents=(bundle,))])
    for other in (content.replace(b'"x"', b'"y"'), b"hello"):
        wrong = Document(digest=bundle.digest, kind="policy", content=other)
        with pytest.raises(LedgerError, match="does not have this digest"):
            ledger.log.append([Pending(admin().entry, documents=(wrong,))])


def test_time_may_go_back(ledger: Ledger) -> None:
    """The order of the log is the order of appends, whatever the clock said."""
    stamps = ["2026-11-24T05:00:00.000Z", "2026-11-23T05:00:00.000Z", "2026-11-24T04:59:59.999Z"]
    for at in stamps:
        ledger.log.append([admin(at=at)])
    with ledger.database.read() as connection:
        assert [stored.entry.at for stored in entries(connection)] == stamps


def test_an_unchecked_log_does_not_append(tmp_path: Path) -> None:
    """Before the signer has shown the database to extend its last checkpoint, nothing is appended."""
    database = open_database(URL, directory=tmp_path)
    log = Log(database, tmp_path / "ledger.lock")
    with pytest.raises(ForkError, match="was not checked against its last checkpoint"):
        log.append([admin()])
    log.trust()
    assert log.append([admin()]) == [0]
    database.close()


def test_a_database_that_shrinks_under_us_is_refused(ledger: Ledger) -> None:
    """A database put in our place while we run, with fewer entries, is refused."""
    ledger.log.append([admin(), admin()])
    frontier = ledger.log.frontier()
    with ledger.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM entry")
        connection.exec_driver_sql("UPDATE log SET size = 0, frontier = zeroblob(8)")
    with pytest.raises(ForkError, match="holds 0 entries, and held 2 a moment ago"):
        ledger.log.append([admin()])
    assert frontier.size == 2


def test_a_lock_held_by_another_process_ends_in_busy(tmp_path: Path, ledger: Ledger) -> None:
    """A writer that cannot have the lock in time gets `LedgerBusy`, and succeeds afterwards."""
    impatient = Log(ledger.database, tmp_path / "ledger.lock", timeout_s=0.05)
    impatient.trust()
    with ledger.log.exclusive(), pytest.raises(LedgerBusy, match=r"has held the ledger's lock for"):
        impatient.append([admin()])
    assert impatient.append([admin()]) == [0]


def test_a_database_held_by_another_program_ends_in_busy(tmp_path: Path) -> None:
    """A program that keeps the database locked makes an append fail as busy, and lose nothing."""
    ledger = open_ledger(tmp_path, busy_timeout_s=0.05)
    other = sqlite3.connect(tmp_path / "inbond.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerBusy, match="another program has held the ledger's database"):
        ledger.log.append([admin()])
    other.execute("ROLLBACK")
    other.close()
    assert ledger.log.append([admin()]) == [0]
    ledger.database.close()


def test_a_full_disk_loses_nothing_and_is_recovered_from(ledger: Ledger) -> None:
    """When the disk is full the append fails with advice, and succeeds once there is room."""
    ledger.log.append([admin()])
    limit = [40]

    @event.listens_for(ledger.database.engine, "checkout")
    def _limit(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count={limit[0]}")

    written = 1
    with pytest.raises(LedgerError, match="disk that holds the ledger is full") as caught:  # noqa: PT012 - which append meets the limit depends on the page size
        while True:
            ledger.log.append([admin("x" * 9_000)])
            written += 1
    assert (caught.value.code, "free some space" in caught.value.help) == (STORAGE, True)
    assert ledger.log.size == written
    limit[0] = 1_000_000
    assert ledger.log.append([admin()]) == [written]
    assert ledger.log.root() == root_of(_hashes(ledger))


def test_a_disk_that_turns_read_only_is_told(ledger: Ledger) -> None:
    """A database that cannot be written any more gives an error that says what to do."""
    only = [1]

    @event.listens_for(ledger.database.engine, "checkout")
    def _forbid(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute(f"PRAGMA query_only={only[0]}")

    with pytest.raises(LedgerError, match="database is read-only") as caught:
        ledger.log.append([admin()])
    assert caught.value.where.endswith("inbond.db")
    only[0] = 0
    assert ledger.log.append([admin()]) == [0]


def test_an_append_costs_few_statements(ledger: Ledger) -> None:
    """A batch of calls and their exchanges takes a few statements for each table, none to look up."""
    seen: list[str] = []

    @event.listens_for(ledger.database.engine, "checkout")
    def _listen(connection: sqlite3.Connection, *_: object) -> None:
        connection.set_trace_callback(seen.append)

    for count, most in ((1, 9), (16, 9), (20, 9 + 5)):
        seen.clear()
        calls = [call() for _ in range(count)]
        ledger.log.append([*calls, *(exchange(one.entry.id) for one in calls)])
        assert len(seen) <= most
        assert [each.split()[0] for each in seen].count("SELECT") == 1
    with ledger.database.read() as connection:
        assert len(connection.execute(select(CallRow.seq)).all()) == 37


def test_a_batch_that_is_known_in_part_is_appended_in_part(ledger: Ledger) -> None:
    """Tried again with more, a batch adds what is new: bodies, calls and documents stand once."""
    first = call()
    ledger.log.append([first])
    second = call()
    end = exchange(first.entry.id)
    assert ledger.log.append([first, second, end]) == [0, 1, 2]
    assert ledger.log.append([first, second, end]) == [0, 1, 2]
    assert ledger.log.root() == root_of(_hashes(ledger))
