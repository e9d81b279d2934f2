"""Policies as linked values: what the loader gives and the engine reads. No behaviour.

A condition is in disjunctive form already: it holds when every test of at least one alternative
holds. The scope of a policy is part of the condition of each of its rules.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

__all__ = [
    "AsOf",
    "Case",
    "Cite",
    "Condition",
    "Count",
    "Counter",
    "Duty",
    "Effect",
    "Fact",
    "Gate",
    "Grant",
    "Layer",
    "Op",
    "Place",
    "Policy",
    "Rule",
    "Source",
    "Student",
    "Suite",
    "Test",
    "Window",
]

type Fact = str | int | bool | frozenset[str]
type AsOf = Literal["both", "exchange", "today"]
type Count = Literal["requests", "tokens_in", "tokens_out", "distinct_prompts"]
type Op = Literal["is", "has", "lacks", "above", "at_least", "below", "at_most"]


class Gate(StrEnum):
    """Where a decision is made."""

    REQUEST = "request"
    RESPONSE = "response"
    DATASET = "dataset"
    RELEASE = "release"


class Effect(StrEnum):
    """What a rule says, and the verdict of a decision; forbid > review > permit."""

    PERMIT = "permit"
    REVIEW = "review"
    FORBID = "forbid"


class Layer(StrEnum):
    """Who must speak: host and model always, router when there is one; organisation restricts."""

    HOST = "host"
    ROUTER = "router"
    MODEL = "model"
    ORGANISATION = "organisation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """`[start, until)` in UTC; None is open."""

    start: datetime | None = None
    until: datetime | None = None

    def holds(self, at: datetime) -> bool:
        """Whether an instant lies inside."""
        return (self.start is None or at >= self.start) and (self.until is None or at < self.until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """One test on one fact.

    `values` holds patterns for text (one `*`, at an end), literals for choices and booleans, one
    number for thresholds, members for sets. `is` holds when any value matches; `has` when the set
    contains any of them; `lacks` when it contains none. `negated` turns the result around (strong
    Kleene: not unknown is unknown).
    """

    __test__ = False

    fact: str
    op: Op
    values: tuple[str | int | bool, ...]
    negated: bool = False
    where: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Alternatives of tests; `((),)` always holds."""

    alternatives: tuple[tuple[Test, ...], ...] = ((),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One published text. `digest` is the sha256 (hex) of `record`, canonical JSON of the fields."""

    id: str
    record: str
    digest: str
    title: str
    url: str
    confidence: Literal["read-primary", "read-secondary", "memory-unverified"]
    review_by: datetime | None
    in_force: Window
    where: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Cite:
    """A clause of a source; `source` is the id in the same file."""

    source: str
    clause: str
    digest: str
    """The digest of the cited source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """What comes with a permit: a kind of the closed list and its value."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule; `id` is `policy/rule`. `when` includes the policy's scope.

    `in_force` is the rule's own window. The rule stands at an instant when that window holds and,
    where it cites sources, at least one cited source is in force then.
    """

    id: str
    policy: str
    party: str
    layers: frozenset[Layer]
    effect: Effect
    gates: frozenset[Gate]
    when: Condition
    because: str
    cites: tuple[Cite, ...] = ()
    sources: tuple[Source, ...] = ()
    scope: Condition = Condition()
    """The policy's scope alone: where its party speaks, and so where a grant of it may permit."""
    fix: str = ""
    duties: tuple[Duty, ...] = ()
    is_shadow: bool = False
    as_of: AsOf = "both"
    in_force: Window = Window()
    where: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """What a policy counts: the fact `counter.NAME` of the calls in its scope.

    Calls that agree in every fact of `per` are counted together; without any, all are. The number
    is that of the last `within` before the call.
    """

    name: str
    """Unique in a bundle."""
    policy: str
    count: Count
    per: tuple[str, ...]
    within: timedelta
    scope: Condition
    """The policy's scope: only calls in it are counted."""
    where: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One policy file: the rules of one party for one scope."""

    id: str
    layers: frozenset[Layer]
    party: str
    owner: str
    reviewed: datetime
    scope: Condition
    sources: Mapping[str, Source]
    rules: tuple[Rule, ...]
    counters: Mapping[str, Counter] = field(default_factory=dict)
    """By name."""
    as_of: AsOf
    where: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A negotiated exception of one party. Only an approved grant takes effect."""

    id: str
    digest: str
    """sha256 (hex) of the file's bytes: what an approval names."""
    party: str
    lifts: frozenset[str]
    """Full rule ids."""
    permits: frozenset[Gate]
    layers: frozenset[Layer]
    """The layers the party speaks for: what `permits` ends the silence of."""
    scope: Condition
    in_force: Window
    as_of: AsOf
    owner: str
    because: str
    is_approved: bool
    is_revoked: bool = False
    where: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Student:
    """A use declaration. `facts` are the `student.*` facts it declares."""

    id: str
    digest: str
    """sha256 (hex) of the file's bytes: what an approval of `competes_with` names."""
    owner: str
    facts: Mapping[str, Fact]
    """Without `student.competes_with` until that judgement is approved (absent is unknown)."""
    declared_competes_with: frozenset[str] | None
    where: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test case: facts in, verdict out; None asserts nothing about that part."""

    name: str
    gate: Gate
    facts: Mapping[str, Fact]
    exchange_at: datetime
    today_at: datetime
    expect: Effect
    by: frozenset[str] | None = None
    silent: frozenset[Layer] | None = None
    missing: frozenset[str] | None = None
    lifted: frozenset[str] | None = None
    duties: frozenset[str] | None = None
    where: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One `test:` file."""

    id: str
    cases: tuple[Case, ...] = field(default=())
    where: Place
