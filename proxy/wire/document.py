"""JSON of outsiders, read strictly: what is read here can be judged, stored and written again.

Stricter than RFC 8259 where two readers could differ: no key twice, no `NaN`, no number beyond a
double, no lone surrogate, no deep nesting. `null` counts as absent everywhere.
"""

import json
import re
from collections.abc import Iterator

from proxy.errors import WireError
from proxy.exchange import Json

__all__ = [
    "MAX_DEPTH",
    "Object",
    "compact",
    "count",
    "flag",
    "integer",
    "number",
    "object_",
    "objects",
    "read_object",
    "text",
    "whole",
    "word",
]

MAX_DEPTH = 100
"""Nesting that is read: far above any provider's, far below any recursion limit."""

_MAX_COUNT = 2**53 - 1  # what the ledger's canonical JSON can hold
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

type Object = dict[str, Json]


def _unique(pairs: list[tuple[str, Json]]) -> Object:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise WireError(
            f"key {_quoted(twice)} is given twice",
            code="duplicate-key",
            help="give each key once: readers differ in which of two values they take",
        )
    return found


def _finite(literal: str) -> float:
    value = float(literal)
    if value in {float("inf"), float("-inf")}:
        raise WireError(f"number `{literal[:40]}` is out of range", code="malformed-json")
    return value


def _no_constant(literal: str) -> Json:
    raise WireError(f"`{literal}` is not JSON", code="malformed-json")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_constant
)


def read_object(data: bytes | str, *, of: str) -> Object:
    """The JSON object a text holds; `of` says what it is, for messages.

    Raises:
        WireError: `not-utf-8`, `malformed-json`, `duplicate-key`, `lone-surrogate`, `too-deep` or
            `wrong-type` (it is no object).
    """
    literal = data if isinstance(data, str) else _decoded(data, of)
    try:
        value: Json = _DECODER.decode(literal)
    except RecursionError as error:
        raise _too_deep(of) from error
    except ValueError as error:
        raise WireError(
            f"{of} is not JSON: {_reason(error)}",
            code="malformed-json",
            help="send one whole JSON object",
        ) from error
    if literal.count("[") + literal.count("{") > MAX_DEPTH:
        _check_depth(value, of)
    if "\\u" in literal and _SURROGATE.search(literal):
        _check_surrogates(value, of)
    if not isinstance(value, dict):
        raise _wrong("$", "an object", value)
    return value


def _decoded(data: bytes, of: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise WireError(
            f"{of} is not UTF-8 at byte {error.start}",
            code="not-utf-8",
            help="JSON between systems is UTF-8 (RFC 8259 §8.1)",
        ) from error


def _reason(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg.lower().removesuffix(' at')} at character {error.pos}"
    return "a number has too many digits"


def _too_deep(of: str) -> WireError:
    return WireError(
        f"{of} is nested deeper than {MAX_DEPTH} levels",
        code="too-deep",
        help="flatten the value: nothing that deep is read",
    )


def _check_depth(value: Json, of: str) -> None:
    level: list[Json] = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return
    raise _too_deep(of)


def _children(value: Json) -> Iterator[Json]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _check_surrogates(value: Json, of: str) -> None:
    try:
        compact(value).encode()
    except UnicodeEncodeError as error:
        raise WireError(
            f"{of} holds half of a surrogate pair, which no UTF-8 text can hold",
            code="lone-surrogate",
            help=r"write the character itself, or both halves of `\ud83d\ude00`",
        ) from error


def compact(value: Json) -> str:
    """The value as JSON text without spaces, keys in the order given."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def text(doc: Object, key: str, at: str = "$") -> str | None:
    """The text under a key; `at` is the JSON path of the object.

    Raises:
        WireError: `wrong-type`, as for every reader of a field below.
    """
    value = doc.get(key)
    if value is None or isinstance(value, str):
        return value
    raise _wrong(f"{at}.{key}", "text", value)


def word(doc: Object, key: str) -> str | None:
    """The text under a key, for comparing; None for whatever else stands there."""
    value = doc.get(key)
    return value if isinstance(value, str) else None


def integer(doc: Object, key: str, at: str = "$") -> int | None:
    """The integer under a key."""
    value = doc.get(key)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise _wrong(f"{at}.{key}", "an integer", value)


def count(doc: Object, key: str, at: str = "$") -> int | None:
    """The count under a key: an integer from 0 to 2^53 - 1."""
    value = integer(doc, key, at)
    if value is None or 0 <= value <= _MAX_COUNT:
        return value
    raise _wrong(f"{at}.{key}", "a count from 0 to 2^53 - 1", value)


def whole(doc: Object, key: str, at: str = "$") -> int | None:
    """The count under a key, where a host may write it as a number with a fraction of zero."""
    value = doc.get(key)
    if isinstance(value, float) and value.is_integer() and 0 <= value <= _MAX_COUNT:
        return int(value)
    return count(doc, key, at)


def number(doc: Object, key: str, at: str = "$") -> float | None:
    """The number under a key."""
    value = doc.get(key)
    if value is None or isinstance(value, float):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(f"{at}.{key}", "a number", value)
    if abs(value) > _MAX_COUNT:
        raise _wrong(f"{at}.{key}", "a number of at most 2^53 - 1", value)
    return float(value)


def flag(doc: Object, key: str, at: str = "$") -> bool:
    """The truth value under a key; absent is false."""
    value = doc.get(key)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise _wrong(f"{at}.{key}", "true or false", value)


def object_(doc: Object, key: str, at: str = "$") -> Object | None:
    """The object under a key."""
    value = doc.get(key)
    if value is None or isinstance(value, dict):
        return value
    raise _wrong(f"{at}.{key}", "an object", value)


def objects(doc: Object, key: str, at: str = "$") -> list[Object]:
    """The list of objects under a key; absent is empty."""
    value = doc.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _wrong(f"{at}.{key}", "a list", value)
    found: list[Object] = []
    for position, item in enumerate(value):
        if not isinstance(item, dict):
            raise _wrong(f"{at}.{key}[{position}]", "an object", item)
        found.append(item)
    return found


def _wrong(where: str, wanted: str, value: Json) -> WireError:
    shown = compact(value)
    return WireError(
        f"`{where}` should be {wanted}, not {_quoted(shown)}",
        code="wrong-type",
        where=where,
        help=f"give {wanted} there, or leave the key out",
    )


def _quoted(literal: str) -> str:
    shown = literal if len(literal) <= 40 else f"{literal[:40]}…"
    return f"`{' '.join(shown.split())}`".encode(errors="replace").decode()
