"""What policies mean, as one digest: edits of comments, layout and file names do not change it."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from policies.model import Cite, Condition, Duty, Grant, Rule, Test, Window

__all__ = ["canonical", "meaning_of", "sha256_of"]

# Where a thing stands, and the digest of a grant's file, comments included, are no meaning. The
# sources of a rule are in the digests of its citations.
_IMMATERIAL: Mapping[type, frozenset[str]] = {
    Grant: frozenset({"digest", "where"}),
    Rule: frozenset({"sources", "where"}),
}
_MATERIAL: Mapping[type, tuple[str, ...]] = {
    kind: tuple(
        each.name
        for each in fields(kind)
        if each.name not in _IMMATERIAL.get(kind, frozenset({"where"}))
    )
    for kind in (Cite, Condition, Duty, Grant, Rule, Test, Window)
}


def meaning_of(rules: Iterable[Rule], grants: Iterable[Grant]) -> str:
    """sha256 (hex) of rules and grants, in the order given."""
    # Piece by piece, not in one call of the encoder: where policies are loaded beside calls under way,
    # nothing else runs during such a call.
    said = (",".join(canonical(_plain(each)) for each in group) for group in (grants, rules))
    text = '{{"grants":[{}],"rules":[{}]}}'.format(*said)
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_of(value: object) -> str:
    """sha256 (hex) of the canonical JSON of a value."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def canonical(value: object) -> str:
    """Canonical JSON (RFC 8785) of a value without floats whose keys are ASCII."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> object:
    match value:
        case str() | int() | None:
            return value
        case tuple():
            return [_plain(each) for each in value]
        case frozenset():
            return sorted(value)
        case datetime():
            return value.isoformat()
        case _:
            return {name: _plain(getattr(value, name)) for name in _MATERIAL[type(value)]}
