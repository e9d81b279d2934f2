"""Claims on strict JSON: what is read is unambiguous, and every refusal says where."""

import json
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import WireError
from proxy.exchange import Json
from proxy.wire import document
from proxy.wire.document import MAX_DEPTH, compact, read_object, word

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(doc=st.dictionaries(st.text(), VALUES))
def test_objects_round_trip(doc: dict[str, Json]) -> None:
    """Any JSON object is read as it is, escaped or not, from bytes or text."""
    assert read_object(compact(doc).encode(), of="it") == doc
    assert read_object(json.dumps(doc), of="it") == doc


@given(data=st.binary(max_size=60))
def test_any_bytes_give_an_object_or_a_wire_error(data: bytes) -> None:
    """Any bytes at all are an object or an error of the wire."""
    with suppress(WireError):
        assert isinstance(read_object(data, of="it"), dict)


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        (b"", "malformed-json", "it is not JSON: expecting value at character 0"),
        (b'{"a":1', "malformed-json", "it is not JSON: expecting ',' delimiter at character 6"),
        (b"{} {}", "malformed-json", "it is not JSON: extra data at character 3"),
        (b'{"a":"\x01"}', "malformed-json", "it is not JSON: invalid control character at character 6"),
        (b'{"a":NaN}', "malformed-json", "`NaN` is not JSON"),
        (b'{"a":-1e999}', "malformed-json", "number `-1e999` is out of range"),
        (b'{"a":' + b"9" * 5000 + b"}", "malformed-json", "it is not JSON: a number has too many digits"),
        (b'{"a":"\xff"}', "not-utf-8", "it is not UTF-8 at byte 6"),
        (b"\xef\xbb\xbf{}", "malformed-json", "it is not JSON: expecting value at character 0"),
        (b'{"a":{"b":1,"b":2}}', "duplicate-key", "key `b` is given twice"),
        (b'{"a":"\\ud83d"}', "lone-surrogate", "it holds half of a surrogate pair, which no UTF-8 text can hold"),
        (b'{"\\uDC00":1}', "lone-surrogate", "it holds half of a surrogate pair, which no UTF-8 text can hold"),
        (b"[1]", "wrong-type", "`$` should be an object, not `[1]`"),
        (b'"x"', "wrong-type", '`$` should be an object, not `"x"`'),
    ],
)  # fmt: skip
def test_refusals_say_what_is_wrong(data: bytes, code: str, message: str) -> None:
    """Each kind of text that two readers could take differently is refused by name."""
    with pytest.raises(WireError) as caught:
        read_object(data, of="it")
    assert (caught.value.code, caught.value.message) == (code, message)


def test_surrogate_pairs_are_characters() -> None:
    """Both halves of an escaped pair are one character."""
    assert read_object(rb'{"a":"\ud83d\udc4b"}', of="it") == {"a": "👋"}


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 5_000, 200_000])
@pytest.mark.parametrize(("start", "end"), [("[", "]"), ('{"a":', "}")])
def test_deep_nesting_is_refused(depth: int, start: str, end: str) -> None:
    """Nesting beyond the limit is refused, and never ends in an error of the interpreter."""
    inner = "1" if end == "}" else ""
    data = '{"a":' + start * depth + inner + end * depth + "}"
    with pytest.raises(WireError) as caught:
        read_object(data, of="it")
    assert caught.value.code == "too-deep"


def test_many_brackets_are_not_deep() -> None:
    """Wide documents are read however many brackets they have, and nesting up to the limit is."""
    many: list[Json] = [[1]] * 500
    wide: dict[str, Json] = {"a": many}
    deep = '{"a":' * MAX_DEPTH + "1" + "}" * MAX_DEPTH
    assert read_object(compact(wide), of="it") == wide
    assert read_object(deep, of="it")


type Getter = Callable[[document.Object, str], object]


@pytest.mark.parametrize(
    ("getter", "value"),
    [
        (document.text, "x"),
        (document.integer, -3),
        (document.count, 0),
        (document.count, 2**53 - 1),
        (document.number, 1.5),
        (document.number, 2),
        (document.flag, True),
        (document.object_, {"b": 1}),
        (document.objects, [{"b": 1}, {}]),
    ],
)
def test_fields_of_the_right_kind(getter: Getter, value: Json) -> None:
    """A field of the right kind is given as it stands."""
    assert getter({"a": value}, "a") == value


@pytest.mark.parametrize(
    ("getter", "absent"),
    [
        (document.text, None),
        (document.integer, None),
        (document.count, None),
        (document.number, None),
        (document.flag, False),
        (document.object_, None),
        (document.objects, []),
    ],
)
def test_null_is_absent(getter: Getter, absent: object) -> None:
    """A key that is missing and one that is null say the same."""
    assert getter({}, "a") == absent
    assert getter({"a": None}, "a") == absent


@pytest.mark.parametrize(
    ("getter", "value", "message"),
    [
        (document.text, 1, "`$.a` should be text, not `1`"),
        (document.text, ["x" * 50], '`$.a` should be text, not `["' + "x" * 38 + "…`"),
        (document.integer, True, "`$.a` should be an integer, not `true`"),
        (document.integer, 1.0, "`$.a` should be an integer, not `1.0`"),
        (document.count, -1, "`$.a` should be a count from 0 to 2^53 - 1, not `-1`"),
        (document.count, 2**53, "`$.a` should be a count from 0 to 2^53 - 1, not `9007199254740992`"),
        (document.number, "1", '`$.a` should be a number, not `"1"`'),
        (document.number, False, "`$.a` should be a number, not `false`"),
        (document.number, 2**53, "`$.a` should be a number of at most 2^53 - 1, not `9007199254740992`"),
        (document.flag, 0, "`$.a` should be true or false, not `0`"),
        (document.object_, [], "`$.a` should be an object, not `[]`"),
        (document.objects, {}, "`$.a` should be a list, not `{}`"),
        (document.objects, [{}, 2], "`$.a[1]` should be an object, not `2`"),
    ],
)  # fmt: skip
def test_fields_of_another_kind(getter: Getter, value: Json, message: str) -> None:
    """A field of another kind is refused with its JSON path and what was there."""
    with pytest.raises(WireError) as caught:
        getter({"a": value}, "a")
    assert (caught.value.code, caught.value.message) == ("wrong-type", message)
    assert caught.value.where.startswith("$.a")
    assert caught.value.help


@pytest.mark.parametrize("value", [None, 1, True, {}, [], {"a": 1}])
def test_a_word_is_text_or_nothing(value: Json) -> None:
    """What is compared with known words may be of any type, and is then none of them."""
    assert word({"kind": "text"}, "kind") == "text"
    assert word({"kind": value}, "kind") is None
    assert word({}, "kind") is None
