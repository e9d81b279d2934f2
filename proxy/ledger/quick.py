"""Leaves decoded quickly: what passes here is what the careful readers would say.

Nearly all leaves are plain: their text is ASCII, their numbers are small. Those are read by
the standard library's C code and shown to be canonical by encoding them again, which also shows that
no key stands twice. Whatever is not plain is left to `read_leaf`, which says what is wrong with it.
"""

import json
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

from proxy.ledger.canonical import MAX_DEPTH, MAX_INT, Json, parse_canonical
from proxy.ledger.leaf import SHAPES, Leaf, read_leaf

__all__ = ["quick_bytes", "quick_leaf", "quick_object"]

_ALWAYS: dict[str, Any] = {"v": int, "kind": str, "id": str, "at": str, "actor": str}

_ENCODE = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), check_circular=False
).encode


def _whole(digits: str) -> int:
    value = int(digits)
    if not -MAX_INT <= value <= MAX_INT:
        raise ValueError(digits)
    return value


def _refuse(text: str) -> None:
    raise ValueError(text)


_SCAN = json.JSONDecoder(parse_float=_refuse, parse_int=_whole, parse_constant=_refuse).scan_once  # type: ignore[attr-defined] # of the C decoder: what `raw_decode` calls


def quick_leaf(seq: int, data: bytes) -> Leaf:
    """The leaf of these bytes, as `read_leaf` gives it.

    Raises:
        CanonicalError: the bytes are not a canonical object.
        ProofError: they are no entry (`leaf`), or one of a newer version (`newer`).
    """
    fields = _plain(data)
    if fields is not None:
        try:
            if _ENTRY(fields) and fields["v"] == 1 and _KINDS[str(fields["kind"])](fields):
                return Leaf(seq=seq, data=data, fields=fields)
        except (KeyError, TypeError):
            pass
    return read_leaf(seq, data)


def quick_object(data: bytes) -> dict[str, Json]:
    """The object that canonical bytes hold, as `parse_canonical` gives it.

    Raises:
        CanonicalError: the bytes are no object, or not the canonical bytes of what they say.
    """
    fields = _plain(data)
    return parse_canonical(data) if fields is None else fields


def quick_bytes(row: Mapping[str, Json]) -> bytes:
    """The canonical bytes of an object whose values all come from canonical bytes."""
    return _ENCODE(row).encode()


def _plain(data: bytes) -> dict[str, Json] | None:
    """The object that plain canonical bytes hold; None where they may be anything else."""
    if not data.isascii() or data.count(b"{") + data.count(b"[") > MAX_DEPTH:
        return None
    text = data.decode("ascii")
    try:
        value, end = _SCAN(text, 0)
    except (ValueError, StopIteration, RecursionError):
        return None
    if type(value) is not dict or end != len(text) or _ENCODE(value) != text:
        return None
    return value


type _Check = Callable[[Any], bool]


def _check_of(shape: Any) -> _Check:
    """What says of a decoded value that it has a shape of `SHAPES`; a KeyError says that it has not."""
    if shape is None:
        return lambda value: value is None
    if isinstance(shape, type):
        return lambda value: type(value) is shape
    if isinstance(shape, tuple):
        checks = tuple(map(_check_of, shape))
        return lambda value: any(check(value) for check in checks)
    return _check_of_record(shape)


def _check_of_record(shape: Mapping[str, Any]) -> _Check:
    plain = {name: kind for name, kind in shape.items() if isinstance(kind, type)}
    if len(plain) == 1:  # a getter of one name gives no tuple
        plain = {}
    rest = tuple((name, _check_of(part)) for name, part in shape.items() if name not in plain)
    kinds, pick = tuple(plain.values()), itemgetter(*plain) if plain else lambda _: ()

    def check(value: Any) -> bool:
        if type(value) is not dict or tuple(map(type, pick(value))) != kinds:
            return False
        return not rest or all(part(value[name]) for name, part in rest)

    return check


_ENTRY = _check_of(_ALWAYS)
_KINDS = {kind: _check_of(shape) for kind, shape in SHAPES.items()}
