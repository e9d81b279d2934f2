"""Leaves read plainly say what the entries say that were written."""

from typing import get_args

import pytest

from proxy.errors import CanonicalError, ProofError
from proxy.ledger import entry as entries
from proxy.ledger.canonical import Json, canonical, parse_canonical
from proxy.ledger.leaf import SHAPES, Leaf, named_digests, read_leaf, seals_of
from tests.proxy.ledger.sample import (
    BUNDLE,
    GRANT_DIGEST,
    TERMS_DIGEST,
    audit_case,
    dataset_case,
)

ENTRIES = [*audit_case().contents.entries, *dataset_case().contents.entries]
LEAVES = {leaf.id: leaf for leaf in (read_leaf(entry.seq, entry.leaf) for entry in ENTRIES)}


def changed(name: str, **fields: Json) -> bytes:
    """A leaf of the sample with other fields."""
    return canonical(dict(LEAVES[name].fields) | fields)


def test_every_kind_of_entry_can_be_read() -> None:
    """The kinds read plainly are those of the closed union, and no field but theirs is read."""
    union = get_args(get_args(entries.Entry.__value__)[0])
    models = {get_args(model.model_fields["kind"].annotation)[0]: model for model in union}
    assert models.keys() == SHAPES.keys()
    for kind, shape in SHAPES.items():
        assert shape.keys() <= models[kind].model_fields.keys(), kind


def test_leaves_say_what_was_written() -> None:
    """A leaf gives its kind, id, texts and records."""
    leaf = LEAVES["first"]
    assert (leaf.kind, leaf.id) == ("exchange", "first")
    assert leaf.text("decision", "verdict") == "permit"
    assert leaf.texts("decision", "terms") == [TERMS_DIGEST]
    assert leaf.record("answer") is not None
    assert leaf.record("id") is None


def test_what_is_not_there_is_empty() -> None:
    """Asking for a field that is not there gives nothing that could be taken for a value."""
    leaf = LEAVES["open"]
    assert leaf.text("decision", "verdict") == "None"
    assert leaf.texts("decision", "terms") == []
    assert leaf.texts("id") == []
    assert leaf.record("decision") is None


def test_seals_are_those_of_bodies() -> None:
    """A call names the seal of its request; an exchange those of wire and answer."""
    assert list(seals_of(LEAVES["call-first"])) == [LEAVES["call-first"].text("request", "seal")]
    assert len(list(seals_of(LEAVES["first"]))) == 2
    assert list(seals_of(LEAVES["open"])) == []


@pytest.mark.parametrize(
    ("name", "documents"),
    [
        ("open", set()),
        ("policy-1", {("policies", BUNDLE)}),
        ("terms-1", {("terms", TERMS_DIGEST)}),
        ("grant-1", {("grants", GRANT_DIGEST)}),
        ("third", set()),
        *(
            (
                name,
                {("policies", BUNDLE), ("terms", TERMS_DIGEST), ("grants", GRANT_DIGEST)},
            )
            for name in ("call-first", "first", "dataset-1", "export-1")
        ),
    ],
)
def test_named_documents_are_found(name: str, documents: set[tuple[str, str]]) -> None:
    """Every digest of a policy bundle, source or grant that a leaf names is found."""
    assert set(named_digests(LEAVES[name])) == documents


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"{}", "leaf"),
        (canonical({"v": 1, "kind": 1, "id": "a", "at": "", "actor": ""}), "leaf"),
        (changed("open", v=True), "leaf"),
        (changed("open", v=2), "newer"),
        (changed("open", kind="other"), "newer"),
        (changed("open", origin=1), "leaf"),
        (changed("first", is_whole=1), "leaf"),
        (changed("first", choices=False), "leaf"),
        (changed("first", answer={"seal": "a"}), "leaf"),
        (changed("first", usage=[]), "leaf"),
        (changed("call-first", facts=None), "leaf"),
        (changed("call-first", decision=None), "leaf"),
    ],
)
def test_other_leaves_are_refused(data: bytes, code: str) -> None:
    """A leaf that lacks a field or has one of another type is refused; a newer one is told apart."""
    with pytest.raises(ProofError) as caught:
        read_leaf(0, data)
    assert caught.value.code == code


def test_a_leaf_is_canonical() -> None:
    """Bytes that are not canonical are refused."""
    with pytest.raises(CanonicalError):
        read_leaf(0, b"{} ")


def test_more_fields_are_let_pass() -> None:
    """A field that this version does not read does not hinder."""
    leaf = read_leaf(7, changed("open", more=1))
    assert leaf == Leaf(seq=7, data=leaf.data, fields=parse_canonical(leaf.data))
