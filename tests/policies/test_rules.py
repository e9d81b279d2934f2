"""One policy file: what it gives, and what is wrong beyond its shape."""

from datetime import timedelta

import pytest

from policies.diagnostics import Findings, PolicyError
from policies.model import Policy
from policies.rules import read_policy
from policies.source import parse
from tests.policies.acme import HOST, HOUSE, ORGANISATION


def read(text: str) -> Policy:
    """The policy of a text."""
    findings = Findings()
    root = parse("a.yaml", text, findings)
    assert root is not None
    policy = read_policy(root, ORGANISATION, findings)
    findings.stop()
    assert policy is not None
    return policy


def codes(text: str, old: str, new: str) -> list[str]:
    """The codes of the errors after one replacement."""
    assert old in text
    with pytest.raises(PolicyError) as caught:
        read(text.replace(old, new, 1))
    return [each.code for each in caught.value.diagnostics]


@pytest.mark.parametrize(
    ("text", "old", "new", "code"),
    [
        (HOST, "inbond: 1", "inbond: 2", "bad-value"),
        (HOST, "[host, model]", "[host, organisation]", "bad-layer"),
        (HOUSE, "party: Example Org", "party: Other", "wrong-party"),
        (HOUSE, "per: [route, account.id]", "per: [route, response.tokens]", "too-early"),
        (HOUSE, "per: [route, account.id]", "per: rout", "unknown-fact"),
        (HOUSE, "per: [route, account.id]", "per: counter.per-day", "unknown-fact"),
        (HOUSE, "counter.per-day: {above", "counter.per-dya: {above", "unknown-fact"),
        (HOUSE, "within: 24h", "within: 367d", "bad-value"),
        (HOUSE, "within: 24h", "within: 8785h", "bad-value"),
        (HOUSE, "within: 24h", "within: 24w", "bad-value"),
        (HOUSE, "count: requests", "count: prompts", "bad-value"),
        (HOUSE, "rules:\n", "scope: {counter.per-day: {above: 1}}\nrules:\n", "bad-scope"),
        (HOUSE, "rules:\n", "scope: {model.served: m}\nrules:\n", "bad-scope"),
        (HOST, "  route: acme-api", "  region: eu", "bad-scope"),
        (HOST, "  route: acme-api", "  any: [{region: eu}]", "bad-scope"),
        (HOST, "in_force: {from: 2026-01-01}", "in_force: {until: 2026-01-01}", "missing-key"),
        (HOST, "{from: 2026-01-01}", "{from: 2026-01-01, until: 2026-01-01}", "bad-window"),
        (HOST, "id: no-competing-models", "id: not-competing", "duplicate-id"),
        (HOST, "    permit: training\n", "", "effect"),
        (HOST, "    permit: training\n", "    permit: training\n    forbid: request\n", "effect"),
        (HOST, "cite: terms 4.2", "cite: [terms 4.2, term 3]", "unknown-source"),
        (HOST, "cite: terms 4.2", "cite: 'terms '", "no-clause"),
        (HOST, "read-primary", "memory-unverified", "unread-source"),
        (HOST, "    fix:", "    duties: {display: x}\n    fix:", "bad-duty"),
        (HOST, "{display: Built with Acme}", "{display: false}", "bad-value"),
        (HOST, "{display: Built with Acme}", "{display: {a: b}}", "bad-value"),
        (HOST, "    fix:", "    in_force: {from: 2026-02-01, until: 2026-01-01}\n    fix:", "bad-window"),
    ],
)  # fmt: skip
def test_a_mistake_is_found_once(text: str, old: str, new: str, code: str) -> None:
    """Each mistake beyond the shape has its code."""
    assert codes(text, old, new) == [code]


def test_duties_may_be_several() -> None:
    """A list of values is as many duties; `true` and numbers are kept as written."""
    text = HOST.replace(
        "{display: Built with Acme}", "{redact: [pii, secret], ai_disclosure: true}"
    )
    (rule,) = [each for each in read(text).rules if each.duties]
    assert [(duty.kind, duty.value) for duty in rule.duties] == [
        ("redact", "pii"),
        ("redact", "secret"),
        ("ai_disclosure", "true"),
    ]


def test_several_sources_are_kept_once_each() -> None:
    """Two clauses of one source are two citations and one source."""
    rule = read(HOST.replace("cite: terms 4.2", "cite: [terms 4.2, terms 4.3]")).rules[0]
    assert [cite.clause for cite in rule.cites] == ["4.2", "4.3"]
    assert len(rule.sources) == 1


def test_one_first_hand_source_is_enough() -> None:
    """A permit stands on one source that was read, whatever else it cites."""
    second = HOST.replace("rules:\n", "  report:\n    title: R\n    url: https://a.example\n"
                          "    confidence: read-secondary\n    in_force: {from: 2026-01-01}\nrules:\n")  # fmt: skip
    rule = read(second.replace("cite: terms 4.2", "cite: [report 1, terms 4.2]")).rules[0]
    assert [cite.source for cite in rule.cites] == ["report", "terms"]


def test_own_rules_may_scope_on_any_fact_of_the_request() -> None:
    """House rules need no source, and their scope may name a project."""
    policy = read(HOUSE.replace("rules:\n", "scope: {project: p}\nrules:\n"))
    assert policy.scope.alternatives[0][0].fact == "project"
    assert policy.sources == {}


def test_a_counter_says_what_it_counts_and_where_it_stands() -> None:
    """A counter has its name, what is counted, per which facts, how far back, and its file's scope."""
    text = HOUSE.replace("rules:\n", "scope: {project: p}\nrules:\n")
    policy = read(text)
    counter = policy.counters["per-day"]
    assert (counter.name, counter.policy) == ("per-day", "house-rules")
    assert (counter.count, counter.per) == ("requests", ("route", "account.id"))
    assert counter.within == timedelta(hours=24)
    assert counter.scope == policy.scope
    assert str(counter.where) == "a.yaml:8:3"
    assert read(HOST).counters == {}


@pytest.mark.parametrize(
    ("written", "hours"), [("1h", 1), ("8784h", 8784), ("1d", 24), ("366d", 8784)]
)
def test_a_counter_looks_back_hours_or_days(written: str, hours: int) -> None:
    """`within` is a whole number of hours or days, at most a leap year."""
    counter = read(HOUSE.replace("within: 24h", f"within: {written}")).counters["per-day"]
    assert counter.within == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("written", "per"), [("route", ("route",)), ("[]", ()), ("[route]", ("route",))]
)
def test_a_counter_may_count_all_calls_together(written: str, per: tuple[str, ...]) -> None:
    """`per` is one fact or several, and an empty list counts the whole scope as one."""
    counter = read(HOUSE.replace("[route, account.id]", written)).counters["per-day"]
    assert counter.per == per
