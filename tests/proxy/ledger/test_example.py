"""Rows and manifests of a dataset: flat, typed, and the same bytes for the same content."""

import json
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import BundleError
from proxy.ledger.canonical import Json, canonical
from proxy.ledger.example import (
    EXAMPLE_COLUMNS,
    ExampleRow,
    ManifestLine,
    manifest_bytes,
    read_manifest,
    rows_root,
    texts_of,
)
from proxy.ledger.merkle import EMPTY_ROOT, leaf_hash, node_hash
from proxy.ledger.tables import Column
from tests.proxy.ledger.sample import dataset_case, reading

ROW = dataset_case().contents.rows[0]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
ROWS = st.builds(
    ExampleRow,
    **{
        name: {
            Column.TEXT: TEXT,
            Column.INTEGER: st.integers(0, 9),
            Column.OPTIONAL_TEXT: TEXT | st.none(),
            Column.LIST: TEXTS,
        }[column]
        for name, column in EXAMPLE_COLUMNS.items()
    },
)
LINES = st.builds(
    ManifestLine,
    exchange=TEXT,
    seq=st.integers(0, 9),
    verdict=TEXT,
    by=TEXTS,
    missing=TEXTS,
    reason=TEXT,
)


@given(row=ROWS)
def test_rows_round_trip(row: ExampleRow) -> None:
    """A row's flat dict holds that row."""
    assert ExampleRow.from_row(row.to_row()) == row


def test_columns_are_the_fields() -> None:
    """Every field of a row is a column, in order."""
    assert list(EXAMPLE_COLUMNS) == [field.name for field in fields(ExampleRow)]
    assert list(ROW.to_row()) == list(EXAMPLE_COLUMNS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"more": 1}, "column `more`"),
        ({"seq": "1"}, "column `seq`"),
        ({"seq": True}, "column `seq`"),
        ({"seq": None}, "column `seq`"),
        ({"model": None}, "column `model`"),
        ({"tools": 1}, "column `tools`"),
        ({"by": "a"}, "column `by`"),
        ({"by": [1]}, "column `by`"),
        ({"by": None}, "column `by`"),
    ],
)
def test_other_rows_are_refused(change: dict[str, Json], message: str) -> None:
    """A row with a column too much or a value of another type is refused by the column's name."""
    with pytest.raises(BundleError, match=message):
        ExampleRow.from_row(ROW.to_row() | change)


def test_a_row_without_a_column_is_refused() -> None:
    """A row that lacks a column is refused by the column's name."""
    row = ROW.to_row()
    del row["licence"]
    with pytest.raises(BundleError, match="column `licence` is absent"):
        ExampleRow.from_row(row)


def test_the_root_is_over_canonical_rows_in_order() -> None:
    """The root of two rows is the RFC 9162 hash over their canonical JSON; of none, the empty one."""
    first, second = ROW.to_row(), replace(ROW, choice=1).to_row()
    leaves = [leaf_hash(canonical(row)) for row in (first, second)]
    assert rows_root([first, second]) == node_hash(*leaves).hex()
    assert rows_root([second, first]) != rows_root([first, second])
    assert rows_root([]) == EMPTY_ROOT.hex()


def test_texts_are_parts_of_the_reading() -> None:
    """Messages, tools, completion and log-probabilities are those of the choice that is named."""
    document = json.loads(reading("hello"))
    for choice in (0, 1):
        texts, part = texts_of(reading("hello"), choice), document["answer"]["choices"][choice]
        assert json.loads(texts.messages) == document["request"]["messages"]
        assert json.loads(texts.tools or "") == document["request"]["tools"]
        keys = ("text", "reasoning", "tool_calls")
        assert json.loads(texts.completion) == {key: part[key] for key in keys}
        assert (texts.logprobs is None) == (part["logprobs"] is None)
    assert texts_of(reading("hello"), 1).logprobs == '[{"logprob":-0.25}]'


def test_how_tokens_were_chosen_is_part_of_a_text() -> None:
    """Temperature, format and what bends the choice are those asked; what is not said is null."""
    document = json.loads(reading("hello"))
    document["request"] |= {"wire_format": "openai.chat", "temperature": 0.5, "bent_by": ["top_p"]}
    document["request"].pop("wants_logprobs", None)
    assert json.loads(texts_of(json.dumps(document).encode(), 0).sampling) == {
        "wire_format": "openai.chat",
        "temperature": 0.5,
        "wants_logprobs": None,
        "bent_by": ["top_p"],
    }


def test_absent_tools_stay_absent() -> None:
    """A request without tools has none, not the text `null`."""
    document = json.loads(reading("hello"))
    document["request"]["tools"] = None
    assert texts_of(json.dumps(document).encode(), 0).tools is None


def test_half_a_surrogate_pair_can_be_carried() -> None:
    """Text with half a surrogate pair stays escaped, so that a row can be hashed and stored."""
    texts = texts_of(reading("\ud83d"), 0)
    assert "\\ud83d" in texts.completion
    canonical({"completion": texts.completion})
    assert "é" in texts_of(reading("é"), 0).completion


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"request":{},"answer":{"choices":[]}}', b"[" * 100_000, b"\xff"],
)
def test_other_bytes_are_no_reading(data: bytes) -> None:
    """Bytes that are no reading, or one without the choice, give no text."""
    with pytest.raises(BundleError, match="no choice 0"):
        texts_of(data, 0)


def test_another_spelling_is_the_same_text() -> None:
    """Normalised, two spellings of the same JSON are equal, and `true` is not 1."""
    texts = ROW.texts
    spaced = replace(texts, messages=json.dumps(json.loads(texts.messages), indent=1))
    assert spaced != texts
    assert spaced.normalised() == texts.normalised()
    assert replace(texts, tools="1").normalised() != replace(texts, tools="true").normalised()
    with pytest.raises(BundleError, match="not JSON"):
        replace(texts, tools="x").normalised()


@given(lines=st.lists(LINES, max_size=3))
def test_manifests_round_trip(lines: list[ManifestLine]) -> None:
    """A manifest's bytes hold its lines."""
    assert read_manifest(manifest_bytes(lines)) == tuple(lines)


@pytest.mark.parametrize(
    "line", [{"exchange": "a"}, {"seq": "1"}, {"by": "x"}, {"more": 1}, {"reason": None}]
)
def test_other_lines_are_no_manifest(line: dict[str, Json]) -> None:
    """A line with a field absent, too much or of another type is refused by its number."""
    good = json.loads(manifest_bytes([ManifestLine(exchange="a", seq=1, verdict="permit")]))
    bad = {"exchange": "a"} if line == {"exchange": "a"} else good | line
    with pytest.raises(BundleError, match="no line of a manifest") as caught:
        read_manifest(canonical(good) + b"\n" + canonical(bad) + b"\n")
    assert caught.value.where == "dataset/manifest.jsonl:2"


def test_a_manifest_is_canonical() -> None:
    """A line that is not canonical JSON is refused."""
    with pytest.raises(BundleError):
        read_manifest(b'{"seq": 1}\n')
