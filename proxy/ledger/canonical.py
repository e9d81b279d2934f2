"""RFC 8785 bytes of plain values, in the subset where Python's own encoder is already canonical.

ASCII keys (so that sorting by code point is sorting by UTF-16 unit), no floats, integers below
2^53 in size, text without lone surrogates.
"""

import json

from proxy.errors import CanonicalError

__all__ = ["MAX_DEPTH", "MAX_INT", "Json", "canonical", "parse_canonical"]

type Json = bool | int | str | list[Json] | dict[str, Json] | None

MAX_INT = 2**53 - 1
"""The largest integer every JSON reader keeps exactly (RFC 8785 §3.2.2.3, RFC 7493 §2.2)."""

MAX_DEPTH = 64
"""How deep objects and lists may nest: far below any reader's recursion limit."""

_PLAIN = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), check_circular=False
)

_HELP = "keep to text, true, false, null, whole numbers below 2^53, lists and objects"


def canonical(value: object) -> bytes:
    """The canonical UTF-8 bytes of a plain value (RFC 8785 §3.2).

    Tuples count as lists.

    Raises:
        CanonicalError: the value has no canonical form; `where` is the path to the part that has none.
    """
    is_checked = not _is_sound(value, MAX_DEPTH)
    if is_checked:
        _check(value, MAX_DEPTH)
    text = _PLAIN.encode(value)
    if not (is_checked or text.isascii()):
        _check(value, MAX_DEPTH)
    return text.encode()


def parse_canonical(leaf: bytes) -> dict[str, Json]:
    """The object that canonical bytes hold.

    Raises:
        CanonicalError: the bytes are no object, or not the canonical bytes of what they say.
    """
    try:
        value = json.loads(leaf.decode(), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise CanonicalError("these bytes are not JSON", help=_HELP) from error
    if not isinstance(value, dict):
        raise CanonicalError("these bytes are not a JSON object", help=_HELP)
    if canonical(value) != leaf:
        raise CanonicalError(
            "this JSON is not in its canonical form",
            help="sort the keys, leave out blanks and needless escapes (RFC 8785)",
        )
    return value


def _without_duplicates(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        name = next(name for name in names if names.count(name) > 1)
        raise CanonicalError(f"key `{name}` stands twice", help="keep one of them")
    return value


def _is_sound(value: object, depth: int) -> bool:
    """Whether a value is plain, provided that all its text is ASCII: its encoding shows that at once.

    This runs on every append: it says no of whatever is rare, and `_check` says what is wrong.
    """
    if type(value) is dict:
        parts = value.values()
        is_nested = depth > 0 and {str}.issuperset(map(type, value))
    elif type(value) is list:
        parts = value  # type: ignore[assignment] # either is read once
        is_nested = depth > 0
    else:
        return type(value) is int and -MAX_INT <= value <= MAX_INT
    if not is_nested:
        return False
    for part in parts:
        kind = type(part)
        if kind is str or kind is bool or part is None:
            continue
        if not _is_sound(part, depth - 1):
            return False
    return True


def _check(value: object, depth: int) -> None:
    if isinstance(value, str):
        if not value.isascii():
            _check_text(value)
    elif isinstance(value, int):
        if not -MAX_INT <= value <= MAX_INT:
            raise CanonicalError("a whole number is not below 2^53", help="write it as text")
    elif isinstance(value, dict | list | tuple):
        _check_parts(value, depth - 1)
    elif value is not None:
        raise CanonicalError("this is not a plain value", help=_HELP)


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise CanonicalError(
            "text holds half a surrogate pair", help="drop the half pair"
        ) from error


def _check_parts(
    value: dict[object, object] | list[object] | tuple[object, ...], depth: int
) -> None:
    if depth < 0:
        raise CanonicalError(f"values nest deeper than {MAX_DEPTH}", help="flatten them")
    is_object = isinstance(value, dict)
    for name, part in value.items() if isinstance(value, dict) else enumerate(value):
        if is_object and not (isinstance(name, str) and name.isascii()):
            raise CanonicalError(f"key `{name!r}` is not ASCII text", help="rename the key")
        try:
            _check(part, depth)
        except CanonicalError as error:
            # Paths are spelled only when something is wrong.
            error.where = f"/{name}{error.where}"
            raise
