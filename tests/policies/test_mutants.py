"""The mutation score is what compiling and testing each altered bundle anew would give."""

import random
from dataclasses import replace

import pytest

from policies.alterations import Alteration, alterations_of
from policies.bundle import Bundle, load_bundle
from policies.conditions import both
from policies.decision import Decision, Moment
from policies.engine import compile_rules, decide
from policies.model import Case, Condition, Layer, Place, Policy, Suite
from policies.mutants import Mutation, mutate
from policies.testing import run_suites
from tests.policies import acme, drawn
from tests.policies.strategies import day

SUITE = "library/hosts/acme-api.test.yaml"
SURVIVORS = """\
library/hosts/acme-api.yaml:8:3 acme-api
  without `route: acme-api` in the scope
  add a case where `route` is not `acme-api` and all else that is asked holds
organisation/house-rules.yaml:10:9 house-rules/mass-querying
  without the rule
  add a case that the rule decides, with `by: [house-rules/mass-querying]`
organisation/house-rules.yaml:13:25 house-rules/mass-querying
  without `counter.per-day: {above: 50000}`
  add a case where `counter.per-day` is not above `50000` and all else that is asked holds
organisation/house-rules.yaml:14:25 house-rules/mass-querying
  without `student.purpose: {not: eval}`
  add a case where `student.purpose` is `eval` and all else that is asked holds
organisation/house-rules.yaml:13:25 house-rules/mass-querying
  `above: 50000` moved to 50001
  add a case where `counter.per-day` is 50001 and all else that is asked holds
organisation/house-rules.yaml:13:25 house-rules/mass-querying
  `above: 50000` moved to 49999
  add a case where `counter.per-day` is 50000 and all else that is asked holds
"""
HOUSE_CASES = """\
inbond: 1
test: house
given:
  route: acme-api
  student.purpose: distil-narrow
  student.competes_with: []
  at: 2026-07-01
cases:
  - name: one call too many
    gate: request
    given: {counter.per-day: 50_001}
    expect: forbid
    by: house-rules/mass-querying
  - name: the last call
    gate: request
    given: {counter.per-day: 50_000}
    expect: permit
  - name: an evaluation may ask on
    gate: request
    given: {counter.per-day: 50_001, student.purpose: eval}
    expect: permit
"""
ELSEWHERE = """\
inbond: 1
test: elsewhere
cases:
  - name: another contract
    gate: dataset
    given: {route: other, student.competes_with: [], student.task: generate, at: 2026-07-01}
    expect: forbid
"""


def altered(bundle: Bundle, alteration: Alteration) -> Bundle:
    """The bundle with an alteration, compiled anew; a rule that is gone stands at no gate."""
    rules = []
    for rule in bundle.rules:
        alternatives = alteration.alternatives.get(rule.id, rule.when.alternatives)
        kept = tuple(tests for tests in alternatives if tests is not None)
        when = Condition(alternatives=kept)
        rules.append(replace(rule, when=when, gates=rule.gates if kept else frozenset()))
    matrix = compile_rules(rules, bundle.grants)
    return replace(bundle, rules=tuple(rules), matrix=matrix)


def survivors_anew(bundle: Bundle) -> set[tuple[str, str, str]]:
    """What survives when each altered bundle is compiled and all cases are decided again."""
    failing = {result.where for result in run_suites(bundle).failures}
    return {
        (alteration.rule, alteration.says, str(alteration.where))
        for alteration in alterations_of(bundle)
        if {result.where for result in run_suites(altered(bundle, alteration)).failures} <= failing
    }


def named(mutation: Mutation) -> set[tuple[str, str, str]]:
    """The survivors, without their hints."""
    return {(each.rule, each.change, str(each.where)) for each in mutation.survivors}


def law_with_cases(seed: int) -> Bundle:
    """Rules in one scope with grants, and cases that say some of what is decided of them."""
    rng = random.Random(seed)
    law = drawn.law(seed)
    scope = law.rules[0].scope
    rules = tuple(
        replace(
            rule,
            scope=scope,
            when=both(scope, rule.when),
            where=Place(file="organisation/x.yaml", line=n + 1, column=1),
        )
        for n, rule in enumerate(law.rules)
    )
    policy = Policy(
        id="p",
        layers=frozenset({Layer.ORGANISATION}),
        party="Us",
        owner="us@example.org",
        reviewed=day(0),
        scope=scope,
        sources={},
        rules=rules,
        as_of="both",
        where=Place(file="organisation/x.yaml", line=100, column=1),
    )
    bundle = replace(
        acme.approved(acme.DOCUMENTS),
        policies=(policy,),
        rules=rules,
        grants=law.grants,
        matrix=compile_rules(rules, law.grants),
    )
    cases = []
    for n, asked in enumerate(drawn.questions(seed, 12)):
        now = replace(asked.exchange, at=(asked.today or asked.exchange).at)
        said = decide(bundle, asked.gate, asked.exchange, now)
        cases.append(case_of(said, asked.exchange, n, rng))
    where = Place(file="tests/x.yaml", line=1, column=1)
    return replace(bundle, suites=(Suite(id="x", cases=tuple(cases), where=where),))


def case_of(said: Decision, moment: Moment, n: int, rng: random.Random) -> Case:
    """A case that asserts the verdict and some parts of a decision."""

    def some[T](part: frozenset[T]) -> frozenset[T] | None:
        return part if rng.random() < 0.5 else None

    return Case(
        name=f"case {n}",
        gate=said.gate,
        facts=moment.facts,
        exchange_at=said.exchange_at,
        today_at=said.today_at,
        expect=said.verdict,
        by=some(frozenset(said.by)),
        silent=some(frozenset(said.silent)),
        missing=some(frozenset(missing.fact for missing in said.missing)),
        lifted=some(frozenset(hit.rule for hit in said.hits if hit.lifted_by is not None)),
        duties=some(frozenset(duty.kind for duty in said.duties)),
        where=Place(file="tests/x.yaml", line=n + 2, column=1),
    )


@pytest.mark.parametrize("seed", range(40))
def test_masks_tell_what_compiling_anew_tells(seed: int) -> None:
    """The survivors are those of deciding every case under every altered bundle."""
    bundle = law_with_cases(seed)
    assert named(mutate(bundle)) == survivors_anew(bundle)


@pytest.mark.parametrize("seed", range(40))
def test_the_loss_of_a_rule_that_a_case_names_is_noticed(seed: int) -> None:
    """Whatever else a case says, `by` with a rule's id fails without the rule."""
    bundle = law_with_cases(seed)
    ids = {name for case in bundle.suites[0].cases for name in case.by or ()}
    lost = {each.rule for each in mutate(bundle).survivors if each.change == "without the rule"}
    assert not ids & lost


def test_the_shipped_library_is_judged_as_if_compiled_anew() -> None:
    """Real rules and real cases, a sample of their alterations."""
    bundle = load_bundle(None, organisation="Example Org")
    failing = {result.where for result in run_suites(bundle).failures}
    survivors = named(mutate(bundle))
    for alteration in random.Random(0).sample(list(alterations_of(bundle)), 8):
        name = (alteration.rule, alteration.says, str(alteration.where))
        fails = {result.where for result in run_suites(altered(bundle, alteration)).failures}
        assert (fails <= failing) is (name in survivors), name


def test_survivors_say_what_changed_where_and_which_case_to_add() -> None:
    """The terms are tested but for their scope; the house rule is not tested at all."""
    mutation = mutate(acme.approved(acme.DOCUMENTS))
    told = "".join(
        f"{each.where} {each.rule}\n  {each.change}\n  {each.hint}\n" for each in mutation.survivors
    )
    assert told == SURVIVORS
    assert (mutation.total, round(mutation.score, 3)) == (13, 0.538)


def test_the_cases_that_hints_ask_for_kill_every_mutant() -> None:
    """With them nothing survives; a suite of the workspace sees the organisation's rules."""
    more = {"tests/house.yaml": HOUSE_CASES, "library/hosts/other.test.yaml": ELSEWHERE}
    mutation = mutate(acme.approved({**acme.DOCUMENTS, **more}))
    assert (mutation.survivors, mutation.score) == ((), 1.0)


def test_a_case_that_is_reached_is_asked_to_say_more() -> None:
    """Where a case would fail if it asserted a part, that is the hint: no new case is needed."""
    silent = acme.SUITE.replace("    by: acme-api/not-competing\n    duties: display\n", "")
    silent = silent.replace("    silent: [host, model]\n", "")
    bundle = acme.approved({**acme.DOCUMENTS, SUITE: silent})
    hints = {each.change: each.hint for each in mutate(bundle).survivors}
    assert hints["without `student.competes_with: {lacks: Acme}`"] == (
        f"say `silent: [host, model]` in the case `a competing student may not`, {SUITE}:11:11"
    )


def test_a_case_that_fails_notices_nothing() -> None:
    """Only what passes now can fail for another law."""
    wrong = acme.SUITE.replace("expect: forbid", "expect: review")
    fewer = mutate(acme.approved({**acme.DOCUMENTS, SUITE: wrong}))
    assert len(fewer.survivors) > len(mutate(acme.approved(acme.DOCUMENTS)).survivors)


def test_without_cases_all_survives_and_without_rules_nothing_is_missed() -> None:
    """The score is the share of mutants noticed; of none, all are."""
    untested = {path: text for path, text in acme.DOCUMENTS.items() if path != SUITE}
    mutation = mutate(acme.approved(untested))
    assert (len(mutation.survivors), mutation.score) == (mutation.total, 0.0)
    assert mutate(acme.approved({})) == Mutation(total=0, survivors=())
    assert mutate(acme.approved({})).score == 1.0


def test_an_overridden_rule_of_the_library_is_not_judged_by_the_librarys_cases() -> None:
    """They speak of the text that ships; the workspace's own must be tested in the workspace."""
    override = {"hosts/acme-api.yaml": f"# Ours.\n{acme.HOST}"}
    mutation = mutate(acme.approved({**acme.DOCUMENTS, **override}))
    lost = {each.rule for each in mutation.survivors if each.change == "without the rule"}
    assert "acme-api/not-competing" in lost
