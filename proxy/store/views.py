"""The views: what each leaf says in the tables that can be dropped and rebuilt."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import assert_never

from sqlalchemy import bindparam, delete, update

from proxy.ledger.entry import (
    CallEntry,
    DatasetEntry,
    DecisionEntry,
    Entry,
    EraseEntry,
    ExchangeEntry,
    GrantEntry,
    HoldEntry,
    JudgementEntry,
    KeyEntry,
    RunEntry,
    StatusEntry,
)
from proxy.store.fixed import Fixed, Insert, Target
from proxy.store.queries import entries
from proxy.store.session import Database
from proxy.store.tables import (
    VIEWS,
    ApprovalRow,
    BatchWordRow,
    CallRow,
    DatasetRow,
    DecisionRow,
    ErasedRow,
    ExchangeRow,
    HoldRow,
    JudgementRow,
    KeyRow,
    LineRow,
    Row,
    RunRow,
    StatusRow,
)

__all__ = ["Change", "apply_changes", "changes", "rebuild_views"]

_PAGE = 1_000

type Value = str | int | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A row to insert; with `key`, one to update by that column, or to insert if there is none."""

    view: type[Row]
    values: Mapping[str, Value]
    key: str | None = None


def changes(seq: int, entry: Entry) -> tuple[Change, ...]:
    """What one entry changes in the views."""
    match entry:
        case CallEntry():
            return (_call(seq, entry), *_line(entry))
        case ExchangeEntry():
            return (_exchange(seq, entry), *_words(seq, entry))
        case DecisionEntry():
            return _decision(seq, entry)
        case JudgementEntry():
            return _judgement(seq, entry)
        case KeyEntry() | GrantEntry():
            return (_key(entry) if isinstance(entry, KeyEntry) else _approval(entry),)
        case DatasetEntry() | RunEntry() | StatusEntry():
            return (_product(seq, entry),)
        case EraseEntry() | HoldEntry():
            return _kept(seq, entry)
        case _:
            return ()


_INSERTS = {view: Insert(view) for view in VIEWS}
"""A change that is an insert names every column of its view."""

_UPDATES: dict[tuple[type[Row], str, tuple[str, ...]], Fixed] = {}
"""By view, key and columns: the changes that there are make a handful."""


def apply_changes(target: Target, made: Iterable[Change]) -> None:
    """Write changes to the views: first all new rows, many at a time, then the updates in order."""
    rows: dict[type[Row], list[Mapping[str, Value]]] = defaultdict(list)
    updates: list[Change] = []
    for change in made:
        if change.key is None:
            rows[change.view].append(change.values)
        else:
            updates.append(change)
    for view in VIEWS:
        if view in rows:
            _INSERTS[view].run(target, rows[view])
    for change in updates:
        _update(target, change)


def rebuild_views(database: Database) -> None:
    """Empty the views and fill them again from the leaves.

    Raises:
        LedgerError: a leaf cannot be read, or the database cannot be written; nothing was.
    """
    with database.write() as connection:
        for view in reversed(VIEWS):
            connection.execute(delete(view))
        after = -1
        while page := entries(connection, after=after, limit=_PAGE):
            made = (change for one in page for change in changes(one.seq, one.entry))
            apply_changes(connection, made)
            after = page[-1].seq


def _update(target: Target, change: Change) -> None:
    key = change.key or ""
    shape = (change.view, key, tuple(change.values))
    fixed = _UPDATES.get(shape)
    if fixed is None:
        columns = change.view.__table__.c
        clause = update(change.view).where(columns[key] == bindparam("of"))
        fixed = _UPDATES[shape] = Fixed(clause, tuple(change.values))
    if not fixed.run(target, {**change.values, "of": change.values[key]}).rowcount:
        empty = dict.fromkeys(change.view.__table__.columns.keys())
        _INSERTS[change.view].run(target, [{**empty, **change.values}])


def _text(facts: Mapping[str, object], name: str) -> str | None:
    value = facts.get(name)
    return value if isinstance(value, str) else None


def _call(seq: int, entry: CallEntry) -> Change:
    return Change(
        view=CallRow,
        values={
            "seq": seq,
            "id": entry.id,
            "at": entry.at,
            "worker": entry.worker,
            "key": entry.key,
            "project": _text(entry.facts, "project"),
            "route": _text(entry.facts, "route"),
            "model_id": _text(entry.facts, "model.id"),
            "verdict": entry.decision.verdict,
            "request_seal": entry.request.seal,
        },
    )


def _line(entry: CallEntry) -> tuple[Change, ...]:
    if entry.line is None:
        return ()
    row: dict[str, Value] = {
        "call": entry.id,
        "create_call": entry.line.create,
        "custom": entry.line.custom,
    }
    return (Change(view=LineRow, values=row),)


def _words(seq: int, entry: ExchangeEntry) -> tuple[Change, ...]:
    said = entry.batch
    if said is None:
        return ()
    named = {("batch", said.batch), ("input", said.input), ("read", said.read)}
    named |= {("output", name) for name in said.outputs}
    rows: list[dict[str, Value]] = [
        {
            "seq": seq,
            "kind": kind,
            "name": name,
            "call": entry.call,
            "batch": said.batch,
            "state": said.state,
        }
        for kind, name in sorted(named, key=str)
        if name is not None
    ]
    return tuple(Change(view=BatchWordRow, values=row) for row in rows)


def _exchange(seq: int, entry: ExchangeEntry) -> Change:
    return Change(
        view=ExchangeRow,
        values={
            "seq": seq,
            "id": entry.id,
            "call": entry.call,
            "at": entry.at,
            "outcome": entry.outcome,
            "verdict": entry.decision.verdict if entry.decision else None,
            "is_whole": entry.is_whole,
            "model_id": _text(entry.facts, "model.id"),
            "answer_seal": entry.answer.seal if entry.answer else None,
            "wire_seal": entry.wire.seal if entry.wire else None,
            "is_settled": False,
        },
    )


def _decision(seq: int, entry: DecisionEntry) -> tuple[Change, ...]:
    row: dict[str, Value] = {
        "seq": seq,
        "id": entry.id,
        "at": entry.at,
        "exchange": entry.exchange,
        "gate": entry.gate,
        "action": entry.action,
    }
    settled = _settlement(entry.exchange, is_settled=entry.action != "reverse")
    return (Change(view=DecisionRow, values=row), settled)


def _judgement(seq: int, entry: JudgementEntry) -> tuple[Change, ...]:
    row: dict[str, Value] = {
        "seq": seq,
        "id": entry.id,
        "at": entry.at,
        "exchange": entry.exchange,
    }
    settled = _settlement(entry.exchange, is_settled=True)
    return (Change(view=JudgementRow, values=row), settled)


def _settlement(exchange: str, *, is_settled: bool) -> Change:
    values: dict[str, Value] = {"id": exchange, "is_settled": is_settled}
    return Change(view=ExchangeRow, values=values, key="id")


def _key(entry: KeyEntry) -> Change:
    if entry.action == "revoke":
        return Change(view=KeyRow, values={"key": entry.key, "is_revoked": True}, key="key")
    return Change(
        view=KeyRow,
        values={
            "key": entry.key,
            "role": entry.role,
            "digest": entry.digest,
            "public": entry.public,
            "project": entry.project,
            "student": entry.student,
            "at": entry.at,
            "is_revoked": False,
        },
    )


def _product(seq: int, entry: DatasetEntry | RunEntry | StatusEntry) -> Change:
    if isinstance(entry, StatusEntry):
        said: dict[str, Value] = {"seq": seq, "dataset": entry.dataset, "state": entry.state}
        return Change(view=StatusRow, values=said)
    values: dict[str, Value] = {"seq": seq, "student": entry.student}
    if isinstance(entry, RunEntry):
        return Change(view=RunRow, values=values | {"run": entry.run})
    names = {"dataset": entry.dataset, "root": entry.root}
    return Change(view=DatasetRow, values=values | names)


def _kept(seq: int, entry: EraseEntry | HoldEntry) -> tuple[Change, ...]:
    """What is kept no more, or must be kept."""
    if isinstance(entry, EraseEntry):
        return tuple(
            Change(view=ErasedRow, values={"seq": seq, "exchange": exchange})
            for exchange in dict.fromkeys(entry.exchanges)
        )
    values: dict[str, Value] = {
        "hold": entry.hold,
        "seq": seq,
        "scope": entry.scope,
        "subject": entry.subject,
        "is_lifted": entry.action == "lift",
    }
    return (Change(view=HoldRow, values=values, key="hold"),)


def _approval(entry: GrantEntry) -> Change:
    values: dict[str, Value] = {
        "digest": entry.digest,
        "subject": entry.subject,
        "name": entry.name,
    }
    match entry.action:
        case "propose":
            step = {"state": "proposed", "proposed_by": entry.actor, "proposed_at": entry.at}
        case "approve":
            step = {"state": "approved", "approved_by": entry.actor, "approved_at": entry.at}
        case "revoke":
            step = {"state": "revoked", "revoked_by": entry.actor, "revoked_at": entry.at}
        case _:
            assert_never(entry.action)
    return Change(view=ApprovalRow, values=values | step, key="digest")
