"""Every small change to the rules of a bundle: a rule gone, a condition gone, a threshold moved.

What no test case can tell is left out: rules in shadow mode, which count for nothing that a case
asserts; rules whose windows never meet those of their sources; and changes after which a condition
means what it meant, such as the loss of a test that the scope implies.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from policies.bundle import Bundle
from policies.containment import lies_in
from policies.facts import FactType, spec_of
from policies.model import Condition, Op, Place, Policy, Rule, Test
from policies.redundancy import is_ever_in_force

__all__ = ["Alteration", "alterations_of"]

type _Tests = tuple[Test, ...]
type _Altered = tuple[_Tests | None, ...]
"""Alternatives after a change, each in its place; None where one is gone."""

_STEPPED: frozenset[Op] = frozenset({"above", "at_least", "below", "at_most"})
_ABOVE_IS_OUTSIDE: frozenset[Op] = frozenset({"above", "at_most"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Alteration:
    """One change to the conditions of one rule, or to the scope of a policy."""

    rule: str
    """The rule's id; the policy's where its scope changes."""
    says: str
    """What changed, as in "without `student.release: internal`"."""
    where: Place
    hint: str
    """Which case would notice."""
    alternatives: Mapping[str, _Altered]
    """The alternatives of each rule that changes, by id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Edit:
    """One change to a list of alternatives."""

    says: str
    where: Place
    hint: str
    apply: Callable[[int, _Tests], _Tests | None]
    """What becomes of the alternative at a place."""


def alterations_of(bundle: Bundle) -> Iterator[Alteration]:
    """The changes to a bundle that a test case could notice, policy by policy."""
    by_policy: dict[str, list[Rule]] = {}
    for rule in bundle.rules:
        if not rule.is_shadow and is_ever_in_force(rule):
            by_policy.setdefault(rule.policy, []).append(rule)
    for policy in bundle.policies:
        rules = by_policy.get(policy.id, [])
        yield from _of_scope(policy, rules)
        for rule in rules:
            yield from _of_rule(rule)


def _of_rule(rule: Rule) -> Iterator[Alteration]:
    yield Alteration(
        rule=rule.id,
        says="without the rule",
        where=rule.where,
        hint=f"add a case that the rule decides, with `by: [{rule.id}]`",
        alternatives={rule.id: (None,) * len(rule.when.alternatives)},
    )
    scopes, own = _parts(rule)
    for edit in _edits(own, rule.where):
        edited = [edit.apply(at, tests) for at, tests in enumerate(own)]
        altered = tuple(
            None if tests is None else scope + tests for scope, tests in product(scopes, edited)
        )
        if not _means_the_same(rule.when, altered):
            yield Alteration(
                rule=rule.id,
                says=edit.says,
                where=edit.where,
                hint=edit.hint,
                alternatives={rule.id: altered},
            )


def _of_scope(policy: Policy, rules: Sequence[Rule]) -> Iterator[Alteration]:
    """Changes to the scope of all rules at once."""
    scope = policy.scope.alternatives
    for edit in _edits(scope, policy.where):
        edited = [edit.apply(at, tests) for at, tests in enumerate(scope)]
        found = {}
        for rule in rules:
            _, own = _parts(rule)
            altered = tuple(
                None if tests is None else tests + more for tests, more in product(edited, own)
            )
            if not _means_the_same(rule.when, altered):
                found[rule.id] = altered
        if found:
            yield Alteration(
                rule=policy.id,
                says=f"{edit.says} in the scope",
                where=edit.where,
                hint=edit.hint,
                alternatives=found,
            )


def _parts(rule: Rule) -> tuple[tuple[_Tests, ...], tuple[_Tests, ...]]:
    """The alternatives of a rule's scope and of its own condition; the rule has each pair of them."""
    scopes, whole = rule.scope.alternatives, rule.when.alternatives
    own = whole[: len(whole) // len(scopes)]
    return scopes, tuple(tests[len(scopes[0]) :] for tests in own)


def _means_the_same(before: Condition, altered: _Altered) -> bool:
    after = Condition(alternatives=tuple(tests for tests in altered if tests is not None))
    return lies_in(after, before) and lies_in(before, after)


def _edits(alternatives: Sequence[_Tests], where: Place) -> Iterator[_Edit]:
    """Every loss of a test, of an alternative or of all of them, and every step of a threshold."""
    shared = [test for test in alternatives[0] if all(test in tests for tests in alternatives)]
    for test in shared:
        yield _without(test)
    if len(alternatives) > 1:
        yield from _of_any(alternatives, shared, where)
    for test in dict.fromkeys(test for tests in alternatives for test in tests):
        if test.op in _STEPPED:
            yield _moved(test, 1)
            yield _moved(test, -1)


def _of_any(
    alternatives: Sequence[_Tests], shared: Sequence[Test], where: Place
) -> Iterator[_Edit]:
    """The loss of a whole `any`, of one of its items, and of a test among several of an item."""
    yield _Edit(
        says="without `any`",
        where=where,
        hint="add a case where nothing under `any` holds and all else does",
        apply=lambda _, tests: tuple(test for test in tests if test in shared),
    )
    for place, tests in enumerate(alternatives):
        item = [test for test in tests if test not in shared]
        if not item:
            continue
        yield _Edit(
            says=f"without {_written(item)} under `any`",
            where=item[0].where,
            hint=f"add a case where {_all(map(_passing, item))} and nothing else under `any` holds",
            apply=_all_but(place),
        )
        if len(item) > 1:
            yield from map(_without, item)


def _all_but(place: int) -> Callable[[int, _Tests], _Tests | None]:
    return lambda at, tests: None if at == place else tests


def _without(test: Test) -> _Edit:
    return _Edit(
        says=f"without {_written([test])}",
        where=test.where,
        hint=f"add a case where {_failing(test)} and all else that is asked holds",
        apply=lambda _, tests: tuple(each for each in tests if each != test),
    )


def _moved(test: Test, step: int) -> _Edit:
    """A threshold moved by one: the number that it now answers otherwise for is the case to add."""
    limit = int(test.values[0])
    moved = replace(test, values=(limit + step,))
    is_outside = (test.op in _ABOVE_IS_OUTSIDE) is (step > 0)
    telling = limit + step if is_outside else limit
    return _Edit(
        says=f"`{test.op}: {limit}` moved to {limit + step}",
        where=test.where,
        hint=f"add a case where `{test.fact}` is {telling} and all else that is asked holds",
        apply=lambda _, tests: tuple(moved if each == test else each for each in tests),
    )


def _written(tests: Iterable[Test]) -> str:
    """Tests as a policy writes them."""
    return _all(f"`{test.fact}: {_asked(test)}`" for test in tests)


def _asked(test: Test) -> str:
    values = [_value(value) for value in test.values]
    asked = values[0] if len(values) == 1 else f"[{', '.join(values)}]"
    word = "not" if test.negated else "" if test.op == "is" else test.op
    return f"{{{word}: {asked}}}" if word else asked


def _value(value: str | int | bool) -> str:  # noqa: FBT001 - a value of a fact
    return str(value).lower() if isinstance(value, bool) else str(value)


def _passing(test: Test) -> str:
    """Facts that pass a test, in words."""
    return _words(test, passes=True)


def _failing(test: Test) -> str:
    """Known facts that fail a test, in words."""
    return _words(test, passes=False)


def _words(test: Test, *, passes: bool) -> str:
    values = " or ".join(f"`{_value(value)}`" for value in test.values)
    is_plain = passes is not test.negated
    spec = spec_of(test.fact)
    match test.op:
        case "has" | "lacks":
            word = "has" if is_plain is (test.op == "has") else "lacks"
        case "is" if spec is not None and spec.type is FactType.BOOL:
            is_true = test.values[0] is True
            return f"`{test.fact}` is `{_value(is_true is is_plain)}`"
        case "is":
            word = "is" if is_plain else "is not"
        case _:
            limit = test.op.replace("_", " ")
            word = f"is {limit}" if is_plain else f"is not {limit}"
    return f"`{test.fact}` {word} {values}"


def _all(parts: Iterable[str]) -> str:
    return " and ".join(parts)
