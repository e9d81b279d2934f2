"""Counters: which calls they count and in which group, which calls need their number, how near it is."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from policies.bundle import Bundle, bundle_of
from policies.counters import KEY_BYTES, Counters, Group, meaning_with, nearness
from policies.decision import Moment
from policies.engine import decide
from policies.model import Fact, Gate
from tests.policies.acme import DOCUMENTS, HOST, HOUSE, ORGANISATION, approved

NOW = datetime(2026, 11, 24, tzinfo=UTC)
FACTS: Mapping[str, Fact] = {
    "route": "acme-api",
    "account.id": "main",
    "project": "support",
    "operation": "chat",
    "model.id": "acme-1",
    "student.purpose": "classifier",
    "student.competes_with": frozenset({"Acme", "Other"}),
    "request.max_tokens": 100,
}
HEAD = HOUSE[: HOUSE.index("counters:")]


def house(text: str) -> Bundle:
    """The bundle of house rules with this rest, beside the host's."""
    return approved(
        {"organisation/house-rules.yaml": HEAD + text, "library/hosts/acme-api.yaml": HOST}
    )


def counting(per: str = "[route]", scope: str = "", rule: str = "") -> Bundle:
    """House rules with one counter of these groups and this scope, and one rule that tests it."""
    return house(
        f"{f'scope: {scope}' if scope else ''}\n"
        f"counters:\n  calls: {{count: requests, per: {per}, within: 24h}}\n"
        "rules:\n  - id: many\n    because: Many calls look like extraction.\n"
        + (rule or "    forbid: request\n    when: {counter.calls: {above: 10}}\n")
    )


BY_TWO = counting(per="[route, project]")
SOME = counting(
    rule=(
        "    forbid: request\n"
        "    when: {counter.calls: {above: 10}, student.purpose: {not: eval}, project: support}\n"
    )
)


def only_group(bundle: Bundle, facts: Mapping[str, Fact] = FACTS) -> Group:
    """The one group of a call."""
    (group,) = Counters(bundle).groups(facts)
    return group


def test_nothing_is_counted_without_counters() -> None:
    """A bundle without counters counts no call and asks for no number."""
    counters = Counters(bundle_of({}, organisation=ORGANISATION))
    assert counters.groups(FACTS) == ()
    assert counters.tested(FACTS) == frozenset()


def test_a_counter_counts_the_calls_of_its_scope() -> None:
    """A call in the scope is counted, one outside is not, and one that may be in it is."""
    bundle = counting(scope="{project: support}")
    group = only_group(bundle)
    assert (group.counter, group.fact, len(group.key)) == (
        bundle.counters[0],
        "counter.calls",
        KEY_BYTES,
    )
    unknown = {name: value for name, value in FACTS.items() if name != "project"}
    assert Counters(bundle).groups({**FACTS, "project": "other"}) == ()
    assert only_group(bundle, unknown).key == group.key


def test_a_call_whose_group_is_unknown_has_no_number() -> None:
    """Without a fact of `per`, or with one of a wrong type, there is no group and the rule is open."""
    bundle = counting(per="[route, account.id]")
    known = {**FACTS, "student.competes_with": frozenset[str]()}
    unknown = {name: value for name, value in known.items() if name != "account.id"}
    counters = Counters(bundle)
    assert counters.groups(unknown) == ()
    assert counters.groups({**FACTS, "account.id": 5}) == ()
    assert counters.tested(unknown) == {"calls"}
    said = decide(bundle, Gate.REQUEST, Moment(at=NOW, facts=unknown))
    assert (said.verdict, [missing.fact for missing in said.missing]) == (
        "review",
        ["counter.calls"],
    )


@pytest.mark.parametrize("per", ["[]", "[route]", "[student.competes_with, request.max_tokens]"])
def test_a_key_is_the_same_for_the_same_group(per: str) -> None:
    """A group's key depends on the facts of `per` alone, sets included, and on no order of them."""
    bundle = counting(per=per)
    turned = dict(reversed(list(FACTS.items())))
    turned["student.competes_with"] = frozenset(["Other", "Acme"])
    assert only_group(bundle).key == only_group(bundle, {**turned, "project": "x"}).key


VALUES = st.one_of(st.text(min_size=1, max_size=4), st.integers(0, 5), st.booleans())


@given(left=st.tuples(VALUES, VALUES), right=st.tuples(VALUES, VALUES))
def test_two_groups_never_share_a_key(left: tuple[Fact, Fact], right: tuple[Fact, Fact]) -> None:
    """Keys are equal exactly where all facts of `per` are, whatever their texts hold."""
    bundle = BY_TWO

    def key(values: tuple[Fact, Fact]) -> bytes | None:
        facts = dict(zip(("route", "project"), values, strict=True))
        return next((group.key for group in Counters(bundle).groups(facts)), None)

    are_texts = all(isinstance(value, str) for value in (*left, *right))
    if are_texts:
        assert (key(left) == key(right)) is (left == right)
    else:
        assert None in (key(left), key(right))


def test_however_many_groups_there_are_each_keeps_its_key() -> None:
    """What is remembered of groups is bounded, and forgetting one changes nothing."""
    counters = Counters(BY_TWO)

    def key(project: str) -> bytes:
        (group,) = counters.groups({**FACTS, "project": project})
        return group.key

    first = key("p0")
    assert len({key(f"p{n}") for n in range(5_000)}) == 5_000
    assert key("p0") == first


def test_a_key_outlives_an_edit_of_the_window_or_the_scope() -> None:
    """A changed window or scope keeps what was counted; another name or count begins anew."""
    first = counting()
    key = only_group(first).key
    (counter,) = first.counters
    longer = replace(first, counters=(replace(counter, within=counter.within * 2),))
    assert only_group(longer).key == key
    assert only_group(counting(scope="{project: support}")).key == key
    renamed = replace(first, counters=(replace(counter, name="others"),))
    tokens = replace(first, counters=(replace(counter, count="tokens_in"),))
    assert len({key, only_group(renamed).key, only_group(tokens).key}) == 3


def test_groups_come_by_name() -> None:
    """The groups of a call are in the order of the names of their counters."""
    bundle = house(
        "counters:\n"
        "  b: {count: tokens_out, per: [project], within: 30d}\n"
        "  a: {count: requests, per: [], within: 1h}\n"
        "  c: {count: distinct_prompts, per: [router], within: 1h}\n"
        "rules: []\n"
    )
    assert [group.counter.name for group in Counters(bundle).groups(FACTS)] == ["a", "b"]


@pytest.mark.parametrize(
    ("rule", "facts", "is_tested"),
    [
        ("forbid: request\n    when: {counter.calls: {above: 1}, project: support}", {}, True),
        ("forbid: request\n    when: {counter.calls: {above: 1}, project: other}", {}, False),
        ("forbid: request\n    when: {counter.calls: {above: 1}, request.pii: true}", {}, True),
        ("forbid: request\n    when: {counter.calls: {above: 1}, request.pii: true}",
         {"request.pii": False}, False),
        ("forbid: request\n    when: {project: support}", {}, False),
        ("forbid: request\n    when: {any: [{counter.calls: {above: 1}, project: other}, {project: support}]}", {}, False),
        ("forbid: request\n    mode: shadow\n    when: {counter.calls: {above: 1}}", {}, True),
        ("forbid: training\n    when: {counter.calls: {above: 1}}", {}, True),
        ("forbid: training\n    when: {counter.calls: {above: 1}, project: other}", {}, False),
        ("forbid: training\n    when: {counter.calls: {above: 1}, model.id: acme-2}", {}, True),
        ("forbid: dataset\n    when: {counter.calls: {above: 1}, student.purpose: serve}", {}, True),
        ("forbid: [request, dataset]\n    when: {counter.calls: {above: 1}, student.purpose: serve}", {}, True),
        ("forbid: request\n    when: {counter.calls: {above: 1}, student.purpose: serve}", {}, False),
    ],
)  # fmt: skip
def test_a_number_is_asked_for_where_a_rule_may_read_it(
    rule: str, facts: Mapping[str, Fact], *, is_tested: bool
) -> None:
    """A rule asks for a number where the rest of it may hold, at its own gate or a later one."""
    counters = Counters(counting(rule=f"    {rule}\n"))
    assert counters.tested({**FACTS, **facts}) == (frozenset({"calls"} if is_tested else ()))


def test_a_grant_asks_for_the_number_its_scope_tests() -> None:
    """A grant whose scope tests a counter needs the number wherever the grant may count."""
    grant = (
        "inbond: 1\ngrant: few\nparty: Acme\nlifts: acme-api/no-competing-models\n"
        "scope: {counter.calls: {below: 5}, project: support}\nin_force: {from: 2026-01-01}\n"
        "owner: a@example.org\nbecause: A few calls are allowed.\n"
    )
    idle = "    forbid: request\n    when: {project: nobody, counter.calls: {above: 1}}\n"
    bundle = counting(rule=idle)
    documents = {**bundle.documents, "grants/few.yaml": grant}
    counters = Counters(approved(documents))
    assert Counters(bundle).tested(FACTS) == frozenset()
    assert counters.tested(FACTS) == {"calls"}
    assert counters.tested({**FACTS, "project": "other"}) == frozenset()


@given(
    purpose=st.sampled_from(["eval", "serve", "classifier", None]),
    project=st.sampled_from(["support", "other", None]),
    value=st.integers(0, 20),
)
def test_a_call_that_asks_for_no_number_is_decided_without_it(
    purpose: str | None, project: str | None, value: int
) -> None:
    """Where no number is asked for, no number changes what is said at any gate."""
    pairs = {"student.purpose": purpose, "project": project}
    said: dict[str, Fact] = {name: fact for name, fact in pairs.items() if fact is not None}
    facts = {**{n: f for n, f in FACTS.items() if n not in pairs}, **said}
    assume("calls" not in Counters(SOME).tested(facts))
    for gate in Gate:
        bare, full = (
            decide(SOME, gate, Moment(at=NOW, facts=each))
            for each in (facts, {**facts, "counter.calls": value})
        )
        assert bare == full


def test_nearness_names_every_limit_the_nearest_first() -> None:
    """Each limit of each rule is named once, with what is left until the test turns."""
    bundle = counting(
        rule=(
            "    forbid: request\n    when: {counter.calls: {above: 10}}\n"
            "  - id: soon\n    review: request\n    because: It comes near.\n"
            "    when: {any: [{counter.calls: {at_least: 8}, project: a}, "
            "{counter.calls: {at_least: 8}, project: b}]}\n"
            "  - id: few\n    forbid: training\n    because: Too few to learn from.\n"
            "    when: {counter.calls: {below: 5}}\n"
            "  - id: fewer\n    forbid: training\n    because: Too few to learn from.\n"
            "    when: {counter.calls: {at_most: 5}}\n"
        )
    )
    near = nearness(bundle, {"counter.calls": 5})
    assert [(each.rule, each.limit, each.left) for each in near] == [
        ("house-rules/few", 5, 0),
        ("house-rules/fewer", 5, 1),
        ("house-rules/soon", 8, 3),
        ("house-rules/many", 10, 6),
    ]
    assert {(each.counter, each.value) for each in near} == {("calls", 5)}
    assert [each.left for each in nearness(bundle, {"counter.calls": 11})] == [0, 0, 0, 0]
    assert nearness(bundle, FACTS) == ()


@given(value=st.integers(0, 12), step=st.integers(1, 12))
def test_nothing_changes_before_the_nearest_limit(value: int, step: int) -> None:
    """As long as fewer are added than are left, the policies say the same; at that many they do not."""
    near = nearness(SOME, {"counter.calls": value})[0]
    facts = {**FACTS, "counter.calls": value}
    later = {**FACTS, "counter.calls": value + step}
    before, after = (decide(SOME, Gate.REQUEST, Moment(at=NOW, facts=f)) for f in (facts, later))
    assert (before == after) is (step < near.left or near.left == 0)


def test_without_counters_the_meaning_is_that_of_rules_and_grants() -> None:
    """A bundle that counts nothing means what its rules and grants mean."""
    assert meaning_with([], "m") == "m"
    assert meaning_with(approved(DOCUMENTS).counters, "m") != "m"
