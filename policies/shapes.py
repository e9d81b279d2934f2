"""The keys of each kind of policy file, and what is said where a file has others.

pydantic checks plain values; its findings are translated and put back at their places. What a
condition says (`when`, `scope`, `given`) is checked by `policies.conditions` instead.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from policies.diagnostics import Findings, nearest, quoted
from policies.nodes import Fields, Items, Leaf, Node

__all__ = [
    "DUTIES",
    "GATE_WORDS",
    "SHAPES",
    "GrantShape",
    "PolicyShape",
    "RuleShape",
    "SourceShape",
    "StudentShape",
    "SuiteShape",
    "WindowShape",
    "read_shape",
]


def _listed(value: object) -> object:
    """One value as a list of one: where several may stand, one may stand alone."""
    return value if isinstance(value, list) else [value]


def _said(value: object) -> object:
    """What stands after a key that is written: not nothing."""
    if value is None:
        raise PydanticCustomError("nothing", "nothing")
    return value


def _number(value: object) -> object:
    """A number as such: to pydantic `true` is the literal 1 as well."""
    if isinstance(value, bool):
        raise PydanticCustomError("literal_error", "literal", {"expected": "1"})
    return value


def _alone(value: object) -> object:
    """A value that is no list and no mapping."""
    if isinstance(value, list | dict):
        raise PydanticCustomError("scalar_type", "scalar")
    return _said(value)


type _Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")]
type _FullId = Annotated[str, Field(pattern=r"^[a-z0-9._-]{1,100}/[a-z0-9._-]{1,100}$")]
type _Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
type _Text = Annotated[str, Field(min_length=1)]
type _Several[T] = Annotated[list[T], BeforeValidator(_listed)]
type _Optional[T] = Annotated[T | None, BeforeValidator(_said)]
type _Version = Annotated[Literal[1], BeforeValidator(_number)]
type _Word = Annotated[Any, BeforeValidator(_alone)]
type _GateWord = Literal["request", "response", "dataset", "release", "training"]
type _LayerWord = Literal["host", "router", "model", "organisation"]
type _AsOf = Literal["both", "exchange", "today"]
type _Duty = Literal[
    "ai_disclosure",
    "attribution",
    "aup_flowdown",
    "breach_notification",
    "delete_on_notice",
    "display",
    "licence_copy",
    "licence_passthrough",
    "modified_files_notice",
    "name_prefix",
    "notice_file",
    "public_statement",
    "redact",
    "remote_restriction",
    "use_limits",
    "vendor_notice",
]

DUTIES: tuple[str, ...] = _Duty.__value__.__args__
"""The closed list of what may come with a permit."""

GATE_WORDS: Mapping[str, tuple[str, ...]] = {
    "request": ("request",),
    "response": ("response",),
    "dataset": ("dataset",),
    "release": ("release",),
    "training": ("response", "dataset"),
}
"""The gates that a word of a rule stands for."""


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class WindowShape(_Shape):
    """`in_force`: from an instant on, until another."""

    start: _Optional[datetime] = Field(default=None, alias="from")
    until: _Optional[datetime] = None


class _Archive(_Shape):
    repository: _Text
    path: _Text
    commit: _Text


class SourceShape(_Shape):
    """One published text."""

    title: _Text
    url: Annotated[str, Field(pattern=r"^https?://\S+$")]
    confidence: Literal["read-primary", "read-secondary", "memory-unverified"]
    read: _Optional[datetime] = None
    review_by: _Optional[datetime] = None
    in_force: WindowShape
    archive: _Optional[_Archive] = None
    sha256: _Optional[_Digest] = None


class _Counter(_Shape):
    count: Literal["requests", "tokens_in", "tokens_out", "distinct_prompts"]
    per: _Several[_Text]
    within: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,3}[hd]$")]


class RuleShape(_Shape):
    """One rule; `when` is left to the reader of conditions."""

    id: _Id
    permit: Annotated[_Several[_GateWord], Field(min_length=1)] = []
    review: Annotated[_Several[_GateWord], Field(min_length=1)] = []
    forbid: Annotated[_Several[_GateWord], Field(min_length=1)] = []
    when: Any = None
    because: _Text
    cite: _Several[_Text] = []
    fix: str = ""
    duties: dict[_Duty, _Several[_Word]] = {}
    mode: _Optional[Literal["shadow"]] = None
    in_force: WindowShape = WindowShape()


class _File(_Shape):
    inbond: _Version
    owner: _Text


class PolicyShape(_File):
    """A `policy` file."""

    policy: _Id
    layer: Annotated[_Several[_LayerWord], Field(min_length=1)]
    party: _Text
    reviewed: datetime
    scope: Any = None
    sources: dict[_Id, SourceShape] = {}
    counters: dict[_Id, _Counter] = {}
    as_of: _AsOf = "both"
    rules: list[RuleShape]


class _Paper(_Shape):
    title: _Text
    sha256: _Optional[_Digest] = None
    url: str = ""


class GrantShape(_File):
    """A `grant` file."""

    grant: _Id
    party: _Text
    lifts: _Several[_FullId] = []
    permits: _Several[_GateWord] = []
    scope: Any = None
    in_force: WindowShape
    as_of: _AsOf = "both"
    document: _Optional[_Paper] = None
    because: _Text


class StudentShape(_File):
    """A `student` file; the values of its facts are left to the reader of conditions."""

    student: _Id
    purpose: Any
    task: Any = None
    competes_with: Any = None
    base: Any = None
    base_licence: Any = None
    host: Any = None
    release: Any = None
    commercial: Any = None
    monthly_users: Any = None
    jurisdiction: Any = None
    data_subjects: Any = None
    name: Any = None


class _CaseShape(_Shape):
    name: _Text
    gate: Literal["request", "response", "dataset", "release"]
    given: Any = None
    expect: Literal["permit", "review", "forbid"]
    by: _Optional[_Several[_FullId]] = None
    silent: _Optional[_Several[_LayerWord]] = None
    missing: _Optional[_Several[_Text]] = None
    lifted: _Optional[_Several[_FullId]] = None
    duties: _Optional[_Several[_Duty]] = None


class SuiteShape(_Shape):
    """A `test` file; `given` is left to the reader of conditions."""

    inbond: _Version
    test: _Id
    given: Any = None
    cases: Annotated[list[_CaseShape], Field(min_length=1)]


def read_shape[T: BaseModel](shape: type[T], root: Fields, findings: Findings) -> T | None:
    """A file's plain values in their shape; None, and findings at their places, where they do not fit."""
    try:
        return shape.model_validate(_plain(root))
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_context=True, include_input=False):
            _explain(shape, root, detail, findings)
        return None


def _plain(node: Node) -> Any:
    match node:
        case Leaf():
            return node.value
        case Items():
            return [_plain(item) for item in node.items]
        case _:
            return {name: _plain(value) for name, value in node.values.items()}


def _locate(root: Fields, steps: Iterable[str | int]) -> tuple[Node, str]:
    """The deepest node on pydantic's path, and the key it stands under.

    The index of a value that stands alone is skipped.
    """
    node: Node = root
    name = ""
    for step in steps:
        if isinstance(node, Fields) and step in node.values:
            name = str(step)
            node = node.values[name]
        elif isinstance(node, Items) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
    return node, name


def _explain(
    shape: type[BaseModel], root: Fields, detail: ErrorDetails, findings: Findings
) -> None:
    steps = detail["loc"]
    context = detail.get("ctx", {})
    if detail["type"] == "extra_forbidden":
        _unknown_key(
            _locate(root, steps[:-1])[0], str(steps[-1]), _keys_at(shape, steps[:-1]), findings
        )
    elif steps[-1] == "[key]":
        kind = _PATTERNS.get(context.get("pattern", "")), str(steps[-3])
        _wrong_key(_locate(root, steps[:-2])[0], str(steps[-2]), kind, findings)
    elif detail["type"] == "missing":
        _missing_key(
            _locate(root, steps[:-1])[0], str(steps[-1]), _keys_at(shape, steps[:-1]), findings
        )
    else:
        node, name = _locate(root, steps)
        code, message, hint = _wrong_value(detail["type"], context, node, name)
        findings.error(code, message, node.span, hint)


def _unknown_key(node: Node, name: str, valid: list[str], findings: Findings) -> None:
    assert isinstance(node, Fields)  # noqa: S101 - only a mapping has keys too many
    findings.error(
        "unknown-key",
        f"{quoted(name)} is not a key here",
        node.keys[name],
        nearest(name, valid) or f"the keys here are: {', '.join(valid)}",
    )


def _wrong_key(node: Node, name: str, kind: tuple[str | None, str], findings: Findings) -> None:
    assert isinstance(node, Fields)  # noqa: S101 - only a mapping has keys
    hint, parent = kind
    findings.error(
        "unknown-key",
        f"{quoted(name)} is not a key of {quoted(parent)}",
        node.keys[name],
        hint or nearest(name, DUTIES) or f"use one of: {', '.join(DUTIES)}",
    )


def _missing_key(node: Node, name: str, valid: list[str], findings: Findings) -> None:
    written = node.values.keys() if isinstance(node, Fields) else ()
    # A misspelt key is reported as such, and not as missing besides.
    if not any(nearest(key, valid) == nearest(name, valid) for key in written):
        findings.error("missing-key", f"{quoted(name)} is missing", node.span, "add it")


def _keys_at(shape: type[BaseModel], steps: Iterable[str | int]) -> list[str]:
    """The keys of the shape that stands at a path."""
    found: type[BaseModel] = shape
    for step in steps:
        found = _INSIDE.get((found.__name__, str(step)), found)
    return sorted(field.alias or name for name, field in found.model_fields.items())


_INSIDE: Mapping[tuple[str, str], type[BaseModel]] = {
    ("PolicyShape", "rules"): RuleShape,
    ("PolicyShape", "sources"): SourceShape,
    ("PolicyShape", "counters"): _Counter,
    ("RuleShape", "in_force"): WindowShape,
    ("SourceShape", "in_force"): WindowShape,
    ("SourceShape", "archive"): _Archive,
    ("GrantShape", "in_force"): WindowShape,
    ("GrantShape", "document"): _Paper,
    ("SuiteShape", "cases"): _CaseShape,
}
SHAPES: Mapping[str, type[BaseModel]] = {
    "policy": PolicyShape,
    "rule": RuleShape,
    "source": SourceShape,
    "archive": _Archive,
    "counter": _Counter,
    "in_force": WindowShape,
    "grant": GrantShape,
    "document": _Paper,
    "student": StudentShape,
    "test": SuiteShape,
    "case": _CaseShape,
}
"""The shape of each kind of file, and of each mapping inside one."""

_TYPES: Mapping[str, tuple[str, str]] = {
    "datetime_type": ("a date", "write it as `2026-11-24`"),
    "dict_type": ("a mapping", "write `key: value` lines under it"),
    "list_type": ("a list", "write each item on a line of its own, after `- `"),
    "model_type": ("a mapping", "write `key: value` lines under it"),
    "string_type": ("text", "put it in quotes"),
}
_PATTERNS: Mapping[str, str] = {
    r"^[a-z0-9][a-z0-9._-]{0,99}$": "use lower-case letters, digits, `.`, `_` and `-`",
    r"^[a-z0-9._-]{1,100}/[a-z0-9._-]{1,100}$": "write a full rule id: `policy/rule`",
    r"^[0-9a-f]{64}$": "write a sha256 as 64 lower-case hex digits",
    r"^https?://\S+$": "write an address that starts with `https://`",
    r"^[1-9][0-9]{0,3}[hd]$": "write a length of time such as `24h` or `30d`",
}


def _wrong_value(
    kind: str, context: Mapping[str, Any], node: Node, name: str
) -> tuple[str, str, str]:
    """Code, message and help for a value that pydantic refuses."""
    shown = quoted(node.raw) if isinstance(node, Leaf) else "this"
    empty = "bad-value", f"{quoted(name)} is empty", "write a value, or leave the key out"
    if kind == "scalar_type":
        return "bad-value", f"{quoted(name)} takes text or `true`", "write it as one line of text"
    if kind in _TYPES:
        takes, hint = _TYPES[kind]
        if kind == "string_type" and not (isinstance(node, Leaf) and node.raw):
            hint = "write it as one line of text"
        return "wrong-type", f"{quoted(name)} takes {takes}", hint
    if isinstance(node, Leaf) and not node.raw:
        return empty
    if kind == "literal_error":
        valid = [
            word.strip("' ") for word in str(context["expected"]).replace(" or ", ",").split(",")
        ]
        near = nearest(node.raw, valid) if isinstance(node, Leaf) else ""
        return (
            "bad-value",
            f"{shown} is not a value of {quoted(name)}",
            near or f"use one of: {', '.join(valid)}",
        )
    if kind == "string_pattern_mismatch":
        return (
            "bad-value",
            f"{shown} is not a value of {quoted(name)}",
            _PATTERNS[context["pattern"]],
        )
    return empty
