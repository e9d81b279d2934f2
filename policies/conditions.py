"""Tests on facts: read, checked against the catalogue, and brought into alternatives."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from types import MappingProxyType

from policies.diagnostics import Findings, Span, nearest, quoted
from policies.facts import (
    CATALOGUE,
    COUNTER_PREFIX,
    GATES,
    FactSpec,
    FactType,
    known_at,
    spec_of,
)
from policies.model import Condition, Fact, Gate, Op, Test
from policies.nodes import Fields, Items, Leaf, Node, Scalar

__all__ = ["ALWAYS", "MAX_ALTERNATIVES", "Reader", "both"]

MAX_ALTERNATIVES = 1000
"""The most alternatives one condition may have."""

ALWAYS = Condition()
"""The condition that always holds."""

type _Keys = Mapping[str, Span]

_ANY = "any"
_EMPTY = "empty text"
_NEST = "a list or mapping"
_NOTHING = "nothing"
_THRESHOLDS: Mapping[str, Op] = MappingProxyType(
    {"above": "above", "at_least": "at_least", "below": "below", "at_most": "at_most"}
)
_OPERATORS: Mapping[FactType, Mapping[str, Op]] = MappingProxyType(
    {
        FactType.NUMBER: _THRESHOLDS,
        FactType.SET: MappingProxyType({"has": "has", "lacks": "lacks"}),
    }
)
_WHAT_IT_TAKES: Mapping[FactType, str] = MappingProxyType(
    {
        FactType.TEXT: "text",
        FactType.CHOICE: "one of its values",
        FactType.BOOL: "`true` or `false`",
        FactType.NUMBER: "a whole number",
        FactType.SET: "a name or a list of names",
    }
)


def both(left: Condition, right: Condition) -> Condition:
    """The condition that holds where both do."""
    return Condition(
        alternatives=tuple(a + b for a, b in product(left.alternatives, right.alternatives))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads conditions and values of facts; `counters` are the names its file may test."""

    findings: Findings
    counters: Collection[str] = ()

    def condition(
        self, node: Node | None, gates: Iterable[Gate] = (), key: str = "when"
    ) -> Condition:
        """A `when` or `scope`: it holds where every test and one alternative of `any` holds.

        Each fact must be known at each of the gates.
        """
        if node is None:
            return ALWAYS
        if not isinstance(node, Fields) or not node.values:
            self.findings.error(
                "bad-test",
                f"`{key}` is not a list of tests on facts",
                node.span,
                f"write `fact: value` lines, or leave `{key}` out where there is no condition",
            )
            return ALWAYS
        gates = tuple(gates)
        tests = self._tests(node, gates)
        inner = node.values.get(_ANY)
        if inner is None:
            return Condition(alternatives=(tests,))
        alternatives = self._any(inner, gates)
        return Condition(alternatives=tuple(tests + each for each in alternatives))

    def join(self, scope: Condition, when: Condition, span: Span) -> Condition:
        """Both conditions as one, unless that has too many alternatives."""
        if len(scope.alternatives) * len(when.alternatives) > MAX_ALTERNATIVES:
            self.findings.error(
                "bad-test",
                f"a condition has more than {MAX_ALTERNATIVES} alternatives",
                span,
                "write several rules",
            )
            return when
        return both(scope, when)

    def facts(self, fields: Fields, skip: Collection[str] = ()) -> dict[str, Fact]:
        """A mapping of facts to values, as a test case gives them."""
        found: dict[str, Fact] = {}
        for name, node in fields.values.items():
            spec = None if name in skip else self._spec(name, fields.keys)
            value = None if spec is None else self.value(spec, node)
            if value is not None:
                found[name] = value
        return found

    def name(self, name: str, span: Span) -> bool:
        """Whether a fact of this name exists; a finding where not."""
        return self._spec(name, {name: span}) is not None

    def value(self, spec: FactSpec, node: Node) -> Fact | None:
        """The value of one fact; None, and a finding, where it is not of its type."""
        if spec.type is FactType.SET:
            leaves = self._leaves(spec, node)
            members = [self._member(spec, leaf) for leaf in leaves or ()]
            if leaves is None or None in members:
                return None
            return frozenset(str(member) for member in members)
        if isinstance(node, Leaf):
            value = self._member(spec, node)
            if isinstance(value, str) and spec.type is FactType.TEXT and "*" in value:
                self._bad(node.span, f"{quoted(value)} is a pattern, not a value", "write it out")
                return None
            return value
        self._bad(node.span, *self._wants(spec, _NEST))
        return None

    def _spec(self, name: str, keys: _Keys) -> FactSpec | None:
        spec = spec_of(name)
        if (
            name.startswith(COUNTER_PREFIX)
            and name.removeprefix(COUNTER_PREFIX) not in self.counters
        ):
            spec = None
        if spec is None:
            known = [*CATALOGUE, *(COUNTER_PREFIX + counter for counter in self.counters)]
            self.findings.error(
                "unknown-fact",
                f"{quoted(name)} is not a fact",
                keys[name],
                nearest(name, known) or "`inbond policy facts` lists all there are",
            )
        return spec

    def _any(self, node: Node, gates: tuple[Gate, ...]) -> tuple[tuple[Test, ...], ...]:
        help_ = "write a list under `any`, each item with `fact: value` lines"
        if not isinstance(node, Items) or not node.items:
            self.findings.error("bad-test", "`any` is not a list of alternatives", node.span, help_)
            return ((),)
        found = []
        for item in node.items:
            if not isinstance(item, Fields) or not item.values:
                self.findings.error(
                    "bad-test", "an alternative is not a list of tests on facts", item.span, help_
                )
            elif _ANY in item.values:
                self.findings.error(
                    "bad-test", "`any` stands inside `any`", item.keys[_ANY], "write several rules"
                )
            else:
                found.append(self._tests(item, gates))
        return tuple(found)

    def _tests(self, fields: Fields, gates: tuple[Gate, ...]) -> tuple[Test, ...]:
        found: list[Test] = []
        for name, node in fields.values.items():
            if name == _ANY:
                continue
            spec = self._spec(name, fields.keys)
            if spec is not None:
                self._check_gates(spec, gates, fields.keys)
                found += self._ops(spec, node, fields.keys)
        return tuple(found)

    def _check_gates(self, spec: FactSpec, gates: tuple[Gate, ...], keys: _Keys) -> None:
        for gate in gates if spec.gate is not GATES[0] else ():
            if not known_at(spec, gate):
                self.findings.error(
                    "too-early",
                    f"`{spec.name}` is not known at the {gate} gate; "
                    f"it is first known at the {spec.gate} gate",
                    keys[spec.name],
                    f"leave `{gate}` out of this rule, or write a second rule without this test",
                )

    def _ops(self, spec: FactSpec, node: Node, keys: _Keys) -> list[Test]:
        """The tests on one fact: a bare value or list, or a mapping of operators."""
        plain: Op = "has" if spec.type is FactType.SET else "is"
        if not isinstance(node, Fields):
            return self._test(spec, plain, node, keys[spec.name])
        if not node.values:
            self.findings.error(
                "bad-test", f"`{spec.name}` is not tested", keys[spec.name], self._usable(spec)
            )
        found: list[Test] = []
        operators = _OPERATORS.get(spec.type, {})
        for word, inner in node.values.items():
            at = node.keys[word]
            op = operators.get(word)
            if word == "not":
                found += self._test(spec, plain, inner, at, negated=True)
            elif op is not None:
                found += self._test(spec, op, inner, at)
            else:
                self.findings.error(
                    "bad-test",
                    f"a {spec.type} cannot be tested with {quoted(word)}",
                    at,
                    self._usable(spec),
                )
        return found

    def _usable(self, spec: FactSpec) -> str:
        words = [*_OPERATORS.get(spec.type, {})] or ["a bare value or list", "not"]
        return f"use: {', '.join(words)}"

    def _test(
        self, spec: FactSpec, op: Op, node: Node, span: Span, *, negated: bool = False
    ) -> list[Test]:
        if op in _THRESHOLDS and not isinstance(node, Leaf):
            return self._no_test(node.span, *self._wants(spec, _NEST))
        leaves = self._leaves(spec, node)
        if leaves is None:
            return []
        if not leaves:
            return self._no_test(
                node.span, "an empty list never matches", "name at least one value"
            )
        values = [self._member(spec, leaf) for leaf in leaves]
        if spec.type is FactType.TEXT:
            self._check_patterns(leaves)
        if None in values:
            return []
        kept = tuple(value for value in values if value is not None)
        return [Test(fact=spec.name, op=op, values=kept, negated=negated, where=span.place)]

    def _leaves(self, spec: FactSpec, node: Node) -> list[Leaf] | None:
        nodes = node.items if isinstance(node, Items) else (node,)
        leaves = [each for each in nodes if isinstance(each, Leaf)]
        for each in nodes:
            if not isinstance(each, Leaf):
                self._bad(each.span, *self._wants(spec, _NEST))
        return leaves if len(leaves) == len(nodes) else None

    def _member(self, spec: FactSpec, leaf: Leaf) -> str | int | bool | None:
        """One value of a fact, or one member of a set."""
        value = leaf.value
        match spec.type:
            case FactType.BOOL if isinstance(value, bool):
                return value
            case FactType.NUMBER if isinstance(value, int) and not isinstance(value, bool):
                return value
            case FactType.CHOICE if isinstance(value, str):
                return self._choice(spec, value, leaf.span)
            case FactType.TEXT | FactType.SET if isinstance(value, str) and value:
                if spec.type is FactType.SET and "*" in value:
                    self._bad(
                        leaf.span,
                        f"{quoted(value)} is a pattern, and sets have none",
                        "write it out",
                    )
                    return None
                return value
            case _:
                message, hint = self._wants(spec, _described(leaf.value))
                self._bad(leaf.span, message, hint)
                return None

    def _choice(self, spec: FactSpec, value: str, span: Span) -> str | None:
        if value in spec.values:
            return value
        hint = nearest(value, spec.values) or f"use one of: {', '.join(spec.values)}"
        self._bad(span, f"{quoted(value)} is not a value of `{spec.name}`", hint)
        return None

    def _check_patterns(self, leaves: list[Leaf]) -> None:
        for leaf in leaves:
            stars = leaf.raw.count("*")
            if stars > 1 or (
                stars == 1 and not (leaf.raw.startswith("*") or leaf.raw.endswith("*"))
            ):
                self.findings.error(
                    "pattern",
                    f"{quoted(leaf.raw)} is not a pattern",
                    leaf.span,
                    "one `*` may stand at the start or at the end",
                )

    def _wants(self, spec: FactSpec, found: str) -> tuple[str, str]:
        message = f"`{spec.name}` takes {_WHAT_IT_TAKES[spec.type]}, not {found}"
        if found in (_NOTHING, _EMPTY):
            return message, "write a value, or leave the fact out"
        if found == _NEST:
            return message, "write the value alone; where several may stand, a list of values"
        match spec.type:
            case FactType.CHOICE:
                return message, f"use one of: {', '.join(spec.values)}"
            case FactType.TEXT | FactType.SET:
                return message, "put text in quotes"
            case FactType.BOOL:
                return message, "write `true` or `false`, without quotes"
            case _:
                return message, "write a number such as `50_000`"

    def _bad(self, span: Span, message: str, hint: str) -> None:
        self.findings.error("bad-value", message, span, hint)

    def _no_test(self, span: Span, message: str, hint: str) -> list[Test]:
        self._bad(span, message, hint)
        return []


def _described(value: Scalar) -> str:
    match value:
        case None:
            return _NOTHING
        case bool():
            return "`true` or `false`"
        case int():
            return "a number"
        case datetime():
            return "a date"
        case _:
            return "text" if value else _EMPTY
