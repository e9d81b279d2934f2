"""Leaves read plainly, with the standard library alone: what a verifier needs of each kind.

`proxy.ledger.entry` says the same with pydantic for those who write; a test holds both together.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from proxy.errors import ProofError
from proxy.ledger.canonical import Json, parse_canonical

__all__ = ["SHAPES", "Leaf", "named_digests", "read_leaf", "seals_of"]

type _Shape = type | Mapping[str, _Shape] | tuple[_Shape, ...] | None

_SEAL: _Shape = {"seal": str, "size_bytes": int}
_DECISION: _Shape = {
    "gate": str,
    "verdict": str,
    "bundle": str,
    "meaning": str,
    "exchange_at": str,
    "today_at": str,
    "by": list,
    "silent": list,
    "missing": list,
    "lifted": list,
    "clauses": list,
    "terms": list,
    "grants": list,
    "duties": list,
}
_USAGE: _Shape = {"input": (int, None), "output": (int, None)}
_LISTED: dict[str, _Shape] = {"policies": list, "terms": list, "grants": list}
_COMMITS: dict[str, _Shape] = {"entries": str, "openings": str, "recipient": str, **_LISTED}

SHAPES: dict[str, dict[str, _Shape]] = {
    "open": {"origin": str, "log_key": str},
    "key": {"action": str, "role": str, "key": str, "public": (str, None)},
    "policy": {"bundle": str, "meaning": str, "files": dict, "overrides": list},
    "terms": {"digest": str, "policy": str, "source": str},
    "snapshot": {"action": str, "source": str, "text": str, "vantage": str, "taken_at": str},
    "grant": {
        "action": str,
        "subject": str,
        "name": str,
        "digest": str,
        "is_self_approved": bool,
        "reason": str,
    },
    "source": {"action": str, "source": str, "licence": str, "may_train": bool},
    "import": {
        "action": str,
        "batch": str,
        "source": str,
        "name": str,
        "origin": str,
        "licence": str,
        "evidence": list,
        "digest": str,
        "lines": int,
        "reason": str,
    },
    "call": {"key": str, "facts": dict, "request": _SEAL, "decision": _DECISION},
    "exchange": {
        "call": str,
        "outcome": str,
        "status": (int, None),
        "facts": dict,
        "usage": (_USAGE, None),
        "choices": int,
        "is_whole": bool,
        "problem": (str, None),
        "wire": (_SEAL, None),
        "answer": (_SEAL, None),
        "decision": (_DECISION, None),
    },
    "decision": {"action": str, "exchange": str, "gate": str, "clears": list, "reason": str},
    "judgement": {"exchange": str, "facts": dict, "reason": str},
    "dataset": {
        "dataset": str,
        "student": str,
        "root": str,
        "rows": int,
        "manifest": str,
        "decision_bundle": str,
        "valid_until": str,
        **_COMMITS,
    },
    "run": {"run": str, "student": str, "datasets": list, "record": str, "weights": dict},
    "release": {
        "action": str,
        "release": str,
        "student": str,
        "run": str,
        "datasets": list,
        "decision": _DECISION,
        "approval": (str, None),
        "met_by": list,
        "files": (str, None),
        "reason": str,
    },
    "export": {"export": str, "query": dict, "tables": dict, **_COMMITS},
    "status": {
        "dataset": str,
        "root": str,
        "state": str,
        "cause": (str, None),
        "affected": str,
        "count": int,
        "until": (str, None),
        "bundle": (str, None),
        "reason": str,
    },
    "erase": {
        "erasure": str,
        "ground": str,
        "exchanges": list,
        "seals": list,
        "copies": dict,
        "deleted": list,
        "runs": list,
        "gone_by": (str, None),
        "reason": str,
    },
    "hold": {"action": str, "hold": str, "scope": str, "subject": str, "reason": str},
    "admin": {"action": str, "reason": str},
}
"""The fields of each kind that a verifier reads, and their types."""

_NAMED: dict[str, tuple[str, str]] = {
    "policy": ("policies", "bundle"),
    "terms": ("terms", "digest"),
    "grant": ("grants", "digest"),
    "dataset": ("policies", "decision_bundle"),
    "status": ("policies", "bundle"),
}
"""By kind: the one document that a leaf of it names, as folder and field."""

_ALWAYS: _Shape = {"v": int, "kind": str, "id": str, "at": str, "actor": str}


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One leaf: its place, its exact bytes and what they say. Fields of `SHAPES` have their type."""

    seq: int
    data: bytes
    fields: Mapping[str, Json]

    @property
    def kind(self) -> str:
        """The kind of entry."""
        return self.text("kind")

    @property
    def id(self) -> str:
        """The entry's id."""
        return self.text("id")

    def text(self, *path: str) -> str:
        """A field that is text; a path reaches into records."""
        return str(self._at(path))

    def texts(self, *path: str) -> list[str]:
        """A field that is a list of text, or the texts of an object's values."""
        value = self._at(path)
        parts = value.values() if isinstance(value, dict) else value
        return [str(part) for part in parts] if not isinstance(parts, str | int | None) else []

    def record(self, name: str) -> dict[str, Json] | None:
        """A field that is an object, or None where there is none."""
        value = self.fields.get(name)
        return value if isinstance(value, dict) else None

    def _at(self, path: tuple[str, ...]) -> Json:
        value: Json = dict(self.fields)
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value


def read_leaf(seq: int, data: bytes) -> Leaf:
    """The leaf of these bytes.

    Raises:
        CanonicalError: the bytes are not a canonical object.
        ProofError: they are no entry (`leaf`), or one of a newer version (`newer`).
    """
    fields = parse_canonical(data)
    if not _has_shape(fields, _ALWAYS):
        raise ProofError("the leaf is no entry", help="ask who made this log", code="leaf")
    kind = str(fields["kind"])
    if fields["v"] != 1 or kind not in SHAPES:
        raise ProofError(
            f"the leaf is an entry `{kind}` of a newer version",
            help="use a newer inbond",
            code="newer",
        )
    if not _has_shape(fields, SHAPES[kind]):
        raise ProofError(
            f"the leaf is no `{kind}` entry", help="ask who made this log", code="leaf"
        )
    return Leaf(seq=seq, data=data, fields=fields)


def seals_of(leaf: Leaf) -> Iterator[str]:
    """The seals a leaf names."""
    for name in ("request", "wire", "answer"):
        if leaf.record(name) is not None:
            yield leaf.text(name, "seal")


def named_digests(leaf: Leaf) -> Iterator[tuple[str, str]]:
    """The documents a leaf names: the folder of a bundle, and the digest."""
    if leaf.record("decision") is not None:
        yield "policies", leaf.text("decision", "bundle")
        yield from (("terms", digest) for digest in leaf.texts("decision", "terms"))
        yield from (("grants", digest) for digest in leaf.texts("decision", "grants"))
    if leaf.kind in ("dataset", "export"):
        for folder in _LISTED:
            yield from ((folder, digest) for digest in leaf.texts(folder))
    folder, name = _NAMED.get(leaf.kind, ("", ""))
    if leaf.fields.get(name) is not None:
        yield folder, leaf.text(name)


def _has_shape(value: Json, shape: _Shape) -> bool:
    if shape is None:
        return value is None
    if isinstance(shape, tuple):
        return any(_has_shape(value, each) for each in shape)
    if isinstance(shape, type):
        return isinstance(value, shape) and (shape is bool or not isinstance(value, bool))
    return isinstance(value, dict) and all(
        name in value and _has_shape(value[name], part) for name, part in shape.items()
    )
