"""Entries are a closed union: what was written is read, and nothing else is an entry."""

import json
from typing import get_args
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from proxy.ledger.canonical import canonical
from proxy.ledger.entry import (
    MAX_LEAF_BYTES,
    CallEntry,
    Entry,
    SealRecord,
    exchange_of,
    parse_entry,
)
from tests.proxy.ledger.sample import audit_case, dataset_case

ENTRIES = [*audit_case().contents.entries, *dataset_case().contents.entries]
UNION = get_args(get_args(Entry.__value__)[0])
CALL = json.loads(ENTRIES[5].leaf)


@pytest.mark.parametrize("leaf", [entry.leaf for entry in ENTRIES])
def test_leaves_round_trip(leaf: bytes) -> None:
    """A leaf read as an entry and written again is the same bytes, within the size of a leaf."""
    assert canonical(parse_entry(leaf).model_dump(mode="json")) == leaf
    assert len(leaf) <= MAX_LEAF_BYTES


def test_kinds_are_told_apart_by_name() -> None:
    """Each model of the union has a kind of its own and the fields every entry has."""
    kinds = [get_args(model.model_fields["kind"].annotation)[0] for model in UNION]
    assert len(set(kinds)) == len(kinds) == len(UNION)
    for model in UNION:
        assert {"v", "kind", "id", "at", "actor"} <= model.model_fields.keys()


def test_every_leaf_has_something_random() -> None:
    """Each kind has a nonce, or a seal, whose salt is random: no leaf can be guessed."""
    for model in UNION:
        assert "nonce" in model.model_fields or model is CallEntry


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"kind": "other"},
        {"more": 1},
        {"id": 1},
        {"facts": {"a": 1.5}},
        {"facts": {"a": None}},
        {"facts": {"a": {"b": "c"}}},
        {"request": {"seal": "AB" * 32, "size_bytes": 1}},
        {"request": {"seal": "ab" * 31, "size_bytes": 1}},
        {"request": {"seal": "ab" * 32, "size_bytes": "1"}},
        {"decision": CALL["decision"] | {"verdict": "maybe"}},
        {"decision": CALL["decision"] | {"terms": ["x"]}},
        {"decision": None},
    ],
)
def test_other_leaves_are_no_entries(change: dict[str, object]) -> None:
    """A field too much, of another type or outside its closed set makes a leaf no entry."""
    assert parse_entry(canonical(CALL)).kind == "call"
    with pytest.raises(ValidationError):
        parse_entry(json.dumps(CALL | change).encode())


OPTIONAL = {
    "v",
    "kind",
    "cleared_by",
    "student",
    "host",
    "line",
    "parents",
    "retry_of",
    "sources",
} | {"imported"}


@pytest.mark.parametrize("name", sorted(CALL.keys() - OPTIONAL))
def test_a_call_needs_its_fields(name: str) -> None:
    """A call without one of its fields is no entry."""
    with pytest.raises(ValidationError):
        parse_entry(canonical({key: value for key, value in CALL.items() if key != name}))


@given(data=st.binary())
def test_any_bytes_are_refused(data: bytes) -> None:
    """Bytes that are no entry are refused."""
    with pytest.raises(ValidationError):
        parse_entry(data)


def test_entries_do_not_change() -> None:
    """An entry's fields cannot be set."""
    record = SealRecord(seal="ab" * 32, size_bytes=1)
    with pytest.raises(ValidationError):
        record.size_bytes = 2  # type: ignore[misc]  # that is the claim


@given(call=st.uuids(version=4))
def test_an_exchange_has_an_id_of_its_own(call: UUID) -> None:
    """The id of a call's exchange follows from the call's, differs from it, and leads back."""
    exchange = exchange_of(str(call))
    assert exchange != str(call)
    assert exchange_of(exchange) == str(call)


def test_other_text_is_no_call() -> None:
    """Text that is no UUID has no exchange."""
    with pytest.raises(ValueError, match="badly formed"):
        exchange_of("call")
