"""Conditions as alternatives of tests, and what is said where they are wrong."""

import pytest

from policies.conditions import ALWAYS, MAX_ALTERNATIVES, Reader, both
from policies.diagnostics import Findings, Span
from policies.facts import CATALOGUE
from policies.model import Condition, Fact, Gate
from policies.source import parse

type Shown = list[list[tuple[str, str, tuple[object, ...], bool]]]

HERE = Span("a", 1, 1, 1, "")


def read(text: str, *gates: Gate) -> tuple[Condition, Findings]:
    """The condition under `when` of a text, and the findings on it."""
    findings = Findings()
    root = parse("a.yaml", text, findings)
    assert root is not None
    reader = Reader(findings=findings, counters=("day",))
    return reader.condition(root.values["when"], gates), findings


def shown(text: str) -> Shown:
    """A sound condition as plain values."""
    condition, findings = read(f"when: {text}")
    findings.stop()
    return [
        [(test.fact, test.op, test.values, test.negated) for test in tests]
        for tests in condition.alternatives
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{route: a}", ("route", "is", ("a",), False)),
        ("{route: [a, b*, '*c', '*']}", ("route", "is", ("a", "b*", "*c", "*"), False)),
        ("{route: {not: a}}", ("route", "is", ("a",), True)),
        ("{student.task: {not: [rank, embed]}}", ("student.task", "is", ("rank", "embed"), True)),
        ("{model.substituted: true}", ("model.substituted", "is", (True,), False)),
        ("{response.tokens: 5}", ("response.tokens", "is", (5,), False)),
        ("{counter.day: {above: 1_000}}", ("counter.day", "above", (1000,), False)),
        ("{student.competes_with: A}", ("student.competes_with", "has", ("A",), False)),
        ("{student.competes_with: {not: A}}", ("student.competes_with", "has", ("A",), True)),
        (
            "{student.competes_with: {lacks: [A, B]}}",
            ("student.competes_with", "lacks", ("A", "B"), False),
        ),
    ],
)
def test_each_form_of_a_test(text: str, expected: tuple[object, ...]) -> None:
    """A bare value or list, `not`, a threshold and membership each give one test."""
    assert shown(text) == [[expected]]


def test_operators_in_one_mapping_all_hold() -> None:
    """Several operators on one fact are one alternative of several tests."""
    assert shown("{response.tokens: {at_least: 1, below: 9, at_most: 8, not: 5}}") == [
        [
            ("response.tokens", "at_least", (1,), False),
            ("response.tokens", "below", (9,), False),
            ("response.tokens", "at_most", (8,), False),
            ("response.tokens", "is", (5,), True),
        ]
    ]


def test_any_gives_alternatives_beside_what_must_hold() -> None:
    """Each item of `any` is an alternative, and the tests beside it hold in each."""
    found = shown("{route: a, any: [{region: eu}, {region: us, router: r}]}")
    assert [[test[0] for test in tests] for tests in found] == [
        ["route", "region"],
        ["route", "region", "router"],
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{nothing: 1}", "unknown-fact"),
        ("{counter.week: {above: 1}}", "unknown-fact"),
        ("{route: 1}", "bad-value"),
        ("{route: true}", "bad-value"),
        ("{route: 2026-01-01}", "bad-value"),
        ("{route: }", "bad-value"),
        ("{route: ''}", "bad-value"),
        ("{route: []}", "bad-value"),
        ("{route: [[a]]}", "bad-value"),
        ("{route: [{a: 1}]}", "bad-value"),
        ("{route: a*b}", "pattern"),
        ("{route: '*a*'}", "pattern"),
        ("{route: {}}", "bad-test"),
        ("{route: {above: 1}}", "bad-test"),
        ("{route: {not: {not: a}}}", "bad-value"),
        ("{student.task: rnak}", "bad-value"),
        ("{student.task: zzz}", "bad-value"),
        ("{student.commercial: maybe}", "bad-value"),
        ("{response.tokens: {above: [1]}}", "bad-value"),
        ("{response.tokens: {above: x}}", "bad-value"),
        ("{response.tokens: {above: true}}", "bad-value"),
        ("{response.tokens: {has: 1}}", "bad-test"),
        ("{student.competes_with: {includes: A}}", "bad-test"),
        ("{student.competes_with: A*}", "bad-value"),
        ("{any: {route: a}}", "bad-test"),
        ("{any: []}", "bad-test"),
        ("{any: [{}]}", "bad-test"),
        ("{any: [a]}", "bad-test"),
        ("{any: [{any: [{route: a}]}]}", "bad-test"),
        ("{}", "bad-test"),
        ("", "bad-test"),
        ("[a]", "bad-test"),
    ],
)
def test_a_wrong_condition_has_one_finding(text: str, code: str) -> None:
    """Each mistake is found once, with its code."""
    _, findings = read(f"when: {text}")
    assert findings.count == 1
    with pytest.raises(Exception, match=rf"error\[{code}\]"):
        findings.stop()


def test_a_fact_must_be_known_at_each_gate() -> None:
    """A test on the answer is too early at the request gate and fine at the others."""
    text = "when: {response.tokens: 1}"
    assert read(text, Gate.RESPONSE, Gate.DATASET)[1].count == 0
    assert read(text, Gate.REQUEST, Gate.RESPONSE)[1].count == 1


def test_no_condition_always_holds() -> None:
    """Where nothing is written the condition always holds."""
    reader = Reader(findings=Findings())
    assert reader.condition(None) == ALWAYS
    assert both(ALWAYS, ALWAYS) == ALWAYS


def test_scope_and_condition_both_hold() -> None:
    """Joining gives every pair of alternatives, and no more than the limit."""
    two, _ = read("when: {any: [{route: a}, {route: b}]}")
    findings = Findings()
    reader = Reader(findings=findings)
    assert len(reader.join(two, two, HERE).alternatives) == 4
    many = Condition(alternatives=two.alternatives * MAX_ALTERNATIVES)
    assert reader.join(two, many, HERE) == many
    assert findings.count == 1


@pytest.mark.parametrize(
    ("name", "written", "expected"),
    [
        ("route", "a", "a"),
        ("student.task", "rank", "rank"),
        ("student.commercial", "false", False),
        ("student.monthly_users", "12_000", 12000),
        ("student.competes_with", "[]", frozenset()),
        ("student.competes_with", "A", frozenset({"A"})),
        ("student.competes_with", "[A, B]", frozenset({"A", "B"})),
        ("route", "[a]", None),
        ("route", "a*", None),
        ("student.competes_with", "[[A]]", None),
        ("student.competes_with", "[1]", None),
        ("student.commercial", "no", None),
    ],
)
def test_values_of_facts(name: str, written: str, expected: Fact | None) -> None:
    """A value has the type of its fact; where not there is one finding and no value."""
    findings = Findings()
    root = parse("a.yaml", f"a: {written}", findings)
    assert root is not None
    assert Reader(findings=findings).value(CATALOGUE[name], root.values["a"]) == expected
    assert findings.count == (expected is None)


def test_a_mapping_of_facts() -> None:
    """Known facts are read, named keys are skipped, and unknown names are found."""
    findings = Findings()
    root = parse("a.yaml", "{route: a, at: 1, nope: 2, student.task: 3}", findings)
    assert root is not None
    reader = Reader(findings=findings)
    assert reader.facts(root, skip=("at",)) == {"route": "a"}
    assert findings.count == 2
    assert not reader.name("nope", HERE)
    assert reader.name("route", HERE)
