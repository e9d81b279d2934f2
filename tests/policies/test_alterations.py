"""Which changes to a bundle are tried, how they are told, and which are none."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from policies.alterations import Alteration, alterations_of
from policies.bundle import bundle_of
from policies.model import Condition
from tests.policies.built import is_

HEAD = """\
inbond: 1
policy: house
layer: organisation
party: Us
owner: us@example.org
reviewed: 2026-01-01
"""
RULE = """\
  - id: one
    forbid: request
    because: We say so.
"""


def policy(when: str, *, scope: str = "", rule: str = RULE) -> list[Alteration]:
    """The changes to a policy of one rule with a condition, each line indented as it must be."""
    scope = f"scope: {scope}\n" if scope else ""
    lines = "".join(f"      {line}\n" for line in when.splitlines())
    condition = f"    when:\n{lines}" if lines else ""
    text = f"{HEAD}{scope}rules:\n{rule}{condition}"
    return list(alterations_of(bundle_of({"organisation/house.yaml": text}, organisation="Us")))


def told(alterations: Iterable[Alteration]) -> list[str]:
    """What changed, deletion left out."""
    return [each.says for each in alterations if each.says != "without the rule"]


def test_a_rule_that_always_holds_can_only_go() -> None:
    """Without a condition there is nothing to drop but the rule."""
    (only,) = policy("")
    assert (only.rule, only.says, only.alternatives) == (
        "house/one",
        "without the rule",
        {"house/one": (None,)},
    )
    assert only.hint == "add a case that the rule decides, with `by: [house/one]`"
    assert str(only.where) == "organisation/house.yaml:8:9"


@pytest.mark.parametrize(
    ("test", "says", "hint"),
    [
        ("project: x", "`project: x`", "`project` is not `x`"),
        ("project: [x, y*]", "`project: [x, y*]`", "`project` is not `x` or `y*`"),
        ("project: {not: x}", "`project: {not: x}`", "`project` is `x`"),
        ("request.pii: true", "`request.pii: true`", "`request.pii` is `false`"),
        ("request.pii: {not: true}", "`request.pii: {not: true}`", "`request.pii` is `true`"),
        (
            "student.competes_with: {has: A}",
            "`student.competes_with: {has: A}`",
            "`student.competes_with` lacks `A`",
        ),
        (
            "student.competes_with: {lacks: [A, B]}",
            "`student.competes_with: {lacks: [A, B]}`",
            "`student.competes_with` has `A` or `B`",
        ),
        (
            "org.revenue_usd: {at_most: 5}",
            "`org.revenue_usd: {at_most: 5}`",
            "`org.revenue_usd` is not at most `5`",
        ),
    ],
)
def test_a_lost_test_is_told_as_written_with_facts_that_fail_it(
    test: str, says: str, hint: str
) -> None:
    """The hint names a known value of the fact for which the law would be another."""
    change = policy(test)[1]
    assert change.says == f"without {says}"
    assert change.hint == f"add a case where {hint} and all else that is asked holds"
    assert change.alternatives == {"house/one": ((),)}


@pytest.mark.parametrize(
    ("op", "up", "down"),
    [("above", 6, 5), ("at_least", 5, 4), ("below", 5, 4), ("at_most", 6, 5)],
)
def test_a_threshold_moves_both_ways(op: str, up: int, down: int) -> None:
    """The hint names the one number that is answered otherwise."""
    _, _, *moved = policy(f"response.tokens: {{{op}: 5}}", rule=RULE.replace("request", "response"))
    assert [each.says for each in moved] == [f"`{op}: 5` moved to 6", f"`{op}: 5` moved to 4"]
    assert [each.hint for each in moved] == [
        f"add a case where `response.tokens` is {number} and all else that is asked holds"
        for number in (up, down)
    ]


def test_an_any_goes_as_a_whole_and_in_parts() -> None:
    """Each shared test, the whole `any`, each of its items, and each of several tests of an item."""
    changes = policy("project: x\nany:\n  - region: a\n  - {account.id: b, operation: chat}")
    assert told(changes) == [
        "without `project: x`",
        "without `any`",
        "without `region: a` under `any`",
        "without `account.id: b` and `operation: chat` under `any`",
        "without `account.id: b`",
        "without `operation: chat`",
    ]
    by_name = {each.says: each.alternatives["house/one"] for each in changes}
    sizes = {says: [None if t is None else len(t) for t in a] for says, a in by_name.items()}
    assert sizes["without `project: x`"] == [1, 2]
    assert sizes["without `any`"] == [1, 1]
    assert sizes["without `region: a` under `any`"] == [None, 3]
    assert sizes["without `account.id: b`"] == [2, 2]
    hints = {each.says: each.hint for each in changes}
    assert hints["without `any`"] == "add a case where nothing under `any` holds and all else does"
    assert hints["without `region: a` under `any`"] == (
        "add a case where `region` is `a` and nothing else under `any` holds"
    )


def test_a_scope_changes_for_all_rules_of_its_policy() -> None:
    """It is told once, under the policy's id, and its rules keep their own conditions."""
    rules = RULE + "    when: {region: a}\n" + RULE.replace("one", "two")
    changes = policy("", scope="{route: x}", rule=rules)
    (change,) = [each for each in changes if each.rule == "house"]
    assert change.says == "without `route: x` in the scope"
    assert {rule: [len(t or ()) for t in a] for rule, a in change.alternatives.items()} == {
        "house/one": [1],
        "house/two": [0],
    }
    assert len(changes) == 4


def test_each_pair_of_a_scopes_and_a_rules_alternatives_is_changed() -> None:
    """A test lost under `when` is lost for every alternative of the scope."""
    changes = policy("region: a", scope="{any: [{route: x}, {route: y}]}")
    (change,) = [each for each in changes if each.says == "without `region: a`"]
    asked = [[test.fact for test in tests or ()] for tests in change.alternatives["house/one"]]
    assert asked == [["route"], ["route"]]


@pytest.mark.parametrize(
    ("when", "scope"),
    [
        ("route: x*", "{route: xy}"),
        ("any:\n  - region: a\n  - {region: [a, b], project: x}\n  - region: [a, b]", ""),
    ],
)
def test_a_change_of_no_meaning_is_none(when: str, scope: str) -> None:
    """What the scope implies, and what another alternative covers, can be lost unnoticed."""
    lost = told(policy(when, scope=scope))
    assert "without `route: x*`" not in lost
    assert "without `region: a` under `any`" not in lost
    assert "without `project: x`" not in lost


def test_a_scope_that_every_rule_repeats_can_go() -> None:
    """Neither the scope nor the rule's own test means anything without the other gone."""
    assert told(policy("route: x", scope="{route: x}")) == []


def test_an_item_that_repeats_what_is_asked_anyway_is_no_item() -> None:
    """An alternative without a test of its own has nothing to lose."""
    test = is_("region", "a")
    bundle = bundle_of({"organisation/house.yaml": f"{HEAD}rules:\n{RULE}"}, organisation="Us")
    when = Condition(alternatives=((test,), (test, is_("project", "x"))))
    rules = (replace(bundle.rules[0], when=when),)
    assert told(alterations_of(replace(bundle, rules=rules))) == ["without `region: a`"]


def test_what_no_case_can_tell_is_not_changed() -> None:
    """A rule in shadow mode counts for nothing that a case may assert."""
    assert policy("region: a", rule=RULE + "    mode: shadow\n", scope="{route: x}") == []


def test_a_rule_that_never_stands_is_not_changed() -> None:
    """Its own window ends before its only source begins."""
    text = """\
inbond: 1
policy: acme
layer: [host, model]
party: Acme
owner: us@example.org
reviewed: 2026-01-01
scope: {route: acme}
sources:
  terms:
    title: Terms
    url: https://acme.example/terms
    confidence: read-primary
    read: 2026-01-01
    review_by: 2027-01-01
    in_force: {from: 2026-06-01}
rules:
  - id: early
    forbid: training
    because: It was so.
    cite: terms 1
    in_force: {until: 2026-05-01}
"""
    bundle = bundle_of({"hosts/acme.yaml": text}, organisation="Us")
    assert list(alterations_of(bundle)) == []
