"""Texts in JSON and their paths; places of them masked, and nothing else changed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.exchange import Json
from proxy.masking import Place, Span, masked, masked_text, texts_in

_JSON: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=10,
)


def test_every_text_has_its_path() -> None:
    """Paths name keys and positions, as refusals show them; keys themselves are no texts."""
    doc: Json = {"model": "m", "messages": [{"content": "hi", "n": 1}, {"content": ["a", None]}]}
    assert list(texts_in(doc)) == [
        Place("$.model", "m"),
        Place("$.messages[0].content", "hi"),
        Place("$.messages[1].content[0]", "a"),
    ]


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ((), "call me at 555"),
        ((Span(11, 14, "pii"),), "call me at [pii]"),
        ((Span(5, 7, "pii"), Span(0, 4, "secret")), "[secret] [pii] at 555"),
        ((Span(0, 7, "pii"), Span(5, 10, "secret")), "[pii] 555"),
        ((Span(0, 14, "pii"), Span(5, 7, "secret")), "[pii]"),
    ],
)
def test_spans_read_as_their_kind(spans: tuple[Span, ...], expected: str) -> None:
    """Each span is one mark; spans that overlap are one, and nothing of them is left."""
    assert masked_text("call me at 555", spans) == expected


@given(doc=_JSON)
def test_nothing_else_changes(doc: Json) -> None:
    """Without spans a document stays as it is, whatever it holds."""
    assert masked(doc, {}) == doc


@given(doc=_JSON)
def test_no_masked_text_is_left(doc: Json) -> None:
    """A text that is masked whole stands nowhere in what is left, and its paths stay."""
    places = list(texts_in(doc))
    spans = {place.text: (Span(0, len(place.text), "x"),) for place in places if place.text}
    left = masked(doc, spans)
    assert [place.path for place in texts_in(left)] == [place.path for place in places]
    assert {place.text for place in texts_in(left)} <= {"[x]", ""}
    json.dumps(left)
