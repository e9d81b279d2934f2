"""The language as JSON Schema 2020-12, for completion, hover help and squiggles in editors.

It is made of the shapes, the catalogue and the texts of the reference, and it is a little wider than
the loader: what needs a second look (links, gates, windows, whether a date exists) the loader says.
Editors read YAML 1.2 as it is written, so a date is text here, and so is `1_000`.
"""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from policies.facts import CATALOGUE, GATES, FactSpec, FactType, known_at
from policies.keys import DUTY_MEANINGS, KEYS, OPERATORS, SHARED
from policies.shapes import DUTIES, SHAPES

__all__ = ["dump", "schema"]

type _Json = dict[str, Any]

_KINDS = ("policy", "grant", "student", "test")
_ID = r"^[a-z0-9][a-z0-9._-]{0,99}$"
_COUNTER = r"^counter\.[a-z0-9][a-z0-9._-]{0,99}$"
_INSTANT: _Json = {
    "type": "string",
    "patternErrorMessage": "write a date such as 2026-11-24, or an instant with its time zone",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}.*(Z|[+-][0-9]{2}:?[0-9]{2}))?$",
}
_COUNT: _Json = {
    "anyOf": [
        {"type": "integer"},
        {"type": "string", "pattern": "^[-+]?[0-9]+(_[0-9]+)+$"},
    ]
}
_DATE: _Json = {"$ref": "#/$defs/date"}
_NUMBER: _Json = {"$ref": "#/$defs/number"}
_WORD: _Json = {"type": "string", "pattern": r"^[^*]+$"}
_PATTERN: _Json = {"type": "string", "pattern": r"^(\*|\*?[^*]+|[^*]+\*)$"}
_TESTS_OF: Mapping[FactType, tuple[str, ...]] = {
    FactType.TEXT: ("not",),
    FactType.CHOICE: ("not",),
    FactType.BOOL: ("not",),
    FactType.NUMBER: ("not", "above", "at_least", "below", "at_most"),
    FactType.SET: ("not", "has", "lacks"),
}
_THRESHOLDS = frozenset({"above", "at_least", "below", "at_most"})


def schema() -> dict[str, object]:
    """JSON Schema (2020-12) of a policy file of any kind."""
    kinds = {kind: _described(KEYS[kind][kind]) for kind in _KINDS}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:inbond:policy-file:1",
        "title": "A policy file of inbond",
        "description": "Rules of one party, a grant, the declaration of a student, or test cases.",
        "type": "object",
        "properties": {"inbond": {**_described(KEYS["policy"]["inbond"]), "const": 1}, **kinds},
        "required": ["inbond"],
        "anyOf": [{"required": [kind]} for kind in _KINDS],
        "allOf": [
            {"if": {"required": [kind]}, "then": {"$ref": f"#/$defs/{kind}"}} for kind in _KINDS
        ],
        "$defs": _definitions(),
    }


def dump() -> str:
    """The schema as the text of `schema.json`."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def _described(text: str) -> _Json:
    # Editors show a description as it is written, backticks included.
    return {"description": text.replace("`", "")}


def _definitions() -> _Json:
    found = {kind: _mapping(kind, shape) for kind, shape in SHAPES.items()}
    found["rule"]["oneOf"] = [{"required": [word]} for word in ("permit", "review", "forbid")]
    found["grant"]["anyOf"] = [{"required": [word]} for word in ("lifts", "permits")]
    return {
        **found,
        "started": {**found["in_force"], "required": ["from"]},
        "duties": _closed({duty: _duty(duty) for duty in DUTIES}),
        "date": _INSTANT,
        "number": _COUNT,
        "at": _at(),
        "given": _given(),
        "condition": _condition(),
        "tests": _tests(),
        **{f"test-{spec.name}": _test(spec) for spec in CATALOGUE.values()},
    }


def _mapping(kind: str, shape: type[BaseModel]) -> _Json:
    """One mapping with its keys, from its shape."""
    made = shape.model_json_schema()
    properties = {}
    for key, value in made["properties"].items():
        spec = CATALOGUE.get(f"{kind}.{key}")
        said = _written(value, made.get("$defs", {})) if spec is None else _fact_value(spec)
        properties[key] = _described(KEYS[kind][key]) | _SPECIAL.get((kind, key), said)
    return {**_closed(properties), "required": made.get("required", [])}


def _closed(properties: _Json) -> _Json:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _written(made: _Json, names: Mapping[str, _Json]) -> _Json:
    """A plain value: a list of one may be the one alone, a date is text, nothing is no value."""
    if "$ref" in made:
        bounds = {name: each for name, each in made.items() if name != "$ref"}
        return _written({**names[made["$ref"].rpartition("/")[2]], **bounds}, names)
    if "anyOf" in made:
        (inner,) = (each for each in made["anyOf"] if each != {"type": "null"})
        return _written(inner, names)
    match made.get("format"), made.get("type"):
        case "date-time", _:
            return _DATE
        case _, "array":
            return _several(_written(made["items"], names), least=made.get("minItems", 0))
        case _:
            return {name: each for name, each in made.items() if name not in ("default", "title")}


def _several(one: _Json, *, least: int = 0) -> _Json:
    return {"anyOf": [one, {"type": "array", "items": one, "minItems": least}]}


def _duty(duty: str) -> _Json:
    word: _Json = {"anyOf": [{"type": ["string", "integer"], "minLength": 1}, {"const": True}]}
    return {**_described(DUTY_MEANINGS[duty]), **_several(word, least=1)}


def _condition() -> _Json:
    any_ = {
        **_described(SHARED["any"]),
        "type": "array",
        "items": {"$ref": "#/$defs/tests"},
        "minItems": 1,
    }
    tests = _tests()
    return {**tests, "properties": {"any": any_, **tests["properties"]}}


def _tests() -> _Json:
    """A mapping of facts to what is tested."""
    counter = _tested(FactType.NUMBER, _NUMBER)
    return {
        **_closed({spec.name: _refer(f"test-{spec.name}") for spec in CATALOGUE.values()}),
        "patternProperties": {_COUNTER: {**_described("a counter of this file"), **counter}},
        "minProperties": 1,
    }


def _test(spec: FactSpec) -> _Json:
    single = _PATTERN if spec.type is FactType.TEXT else _single(spec)
    return {**_described(_hover(spec)), **_tested(spec.type, single)}


def _tested(kind: FactType, single: _Json) -> _Json:
    """A value, a list of values, or a mapping of tests."""
    listed = _several(single, least=1)
    tests = {
        word: {
            **_described(OPERATORS[word]),
            **(single if word in _THRESHOLDS else listed),
        }
        for word in _TESTS_OF[kind]
    }
    return {"anyOf": [*listed["anyOf"], {**_closed(tests), "minProperties": 1}]}


def _given() -> _Json:
    """A mapping of facts to values, with the instants of the two clocks."""
    facts = {
        spec.name: {**_described(_hover(spec)), **_fact_value(spec)} for spec in CATALOGUE.values()
    }
    return {
        **_closed({"at": {**_described(SHARED["at"]), "$ref": "#/$defs/at"}, **facts}),
        "patternProperties": {_COUNTER: {**_described("what a counter says"), **_NUMBER}},
    }


def _at() -> _Json:
    clocks = {clock: {**_described(SHARED[clock]), **_DATE} for clock in ("exchange", "today")}
    return {"anyOf": [_DATE, _closed(clocks)]}


def _fact_value(spec: FactSpec) -> _Json:
    return _several(_WORD) if spec.type is FactType.SET else _single(spec)


def _single(spec: FactSpec) -> _Json:
    """One value of a fact, or one member of a set."""
    match spec.type:
        case FactType.CHOICE:
            return {"enum": list(spec.values)}
        case FactType.BOOL:
            return {"type": "boolean"}
        case FactType.NUMBER:
            return _NUMBER
        case _:
            return _WORD


def _hover(spec: FactSpec) -> str:
    return f"{spec.doc} Known from the {spec.gate} gate on; supplied by {spec.supplied_by}."


def _refer(definition: str) -> _Json:
    return {"$ref": f"#/$defs/{definition}"}


def _by_id(definition: str) -> _Json:
    """Mappings of one kind under ids of the user's."""
    return {
        "type": "object",
        "patternProperties": {_ID: _refer(definition)},
        "additionalProperties": False,
    }


_KNOWN_FIRST = [spec.name for spec in CATALOGUE.values() if known_at(spec, GATES[0])]
_SPECIAL: Mapping[tuple[str, str], _Json] = {
    ("policy", "scope"): _refer("condition"),
    ("policy", "sources"): _by_id("source"),
    ("policy", "counters"): _by_id("counter"),
    ("policy", "rules"): {"type": "array", "items": _refer("rule")},
    ("rule", "when"): _refer("condition"),
    ("rule", "cite"): _several({"type": "string", "pattern": r"^\s*\S+\s+\S"}),
    ("rule", "duties"): _refer("duties"),
    ("rule", "in_force"): _refer("in_force"),
    ("source", "in_force"): _refer("started"),
    ("source", "archive"): _refer("archive"),
    ("counter", "per"): _several({"enum": _KNOWN_FIRST}),
    ("grant", "scope"): _refer("condition"),
    ("grant", "in_force"): _refer("started"),
    ("grant", "document"): _refer("document"),
    ("test", "given"): _refer("given"),
    ("test", "cases"): {"type": "array", "items": _refer("case"), "minItems": 1},
    ("case", "given"): _refer("given"),
    ("case", "missing"): _several(
        {"anyOf": [{"enum": [*CATALOGUE]}, {"type": "string", "pattern": _COUNTER}]}
    ),
}
"""Keys whose values the shapes leave open, or that stand for a mapping with keys of its own."""
