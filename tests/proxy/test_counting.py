"""What counts of a call, decisions that hang on a number, and the tokens of an exchange."""

import hmac
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from policies.bundle import Bundle, bundle_of
from policies.decision import Decision, Moment
from policies.engine import decide
from policies.model import Fact, Gate
from proxy.counting import Counted, Counting, Settling, Used, used_in
from proxy.exchange import Answer, Choice, Exchange, Message, Request, ToolCall, Usage
from proxy.store.counters import Tallies
from proxy.store.log import Pending
from tests.proxy.store.ledgers import Ledger, call, open_ledger

NOW = datetime(2026, 11, 24, 5, tzinfo=UTC)
SECRET = bytes(range(32))
HOUSE = """\
inbond: 1
policy: house
layer: organisation
party: Example Org
owner: governance@example.org
reviewed: 2026-01-01
scope: {route: acme-api}
counters:
  calls: {count: requests, per: [route], within: 24h}
  prompts: {count: distinct_prompts, per: [project], within: 24h}
  drawn: {count: tokens_out, per: [project], within: 30d}
rules:
  - id: few-calls
    forbid: request
    when: {counter.calls: {above: 5}, student.purpose: {not: eval}}
    because: Many calls look like extraction.
  - id: few-tokens
    review: request
    when: {counter.drawn: {above: 1_000}, project: support}
    because: Somebody should know why.
"""
FACTS: Mapping[str, Fact] = {
    "route": "acme-api",
    "project": "other",
    "student.purpose": "classifier",
}


@cache
def bundle() -> Bundle:
    """House rules with a counter of each kind."""
    return bundle_of({"organisation/house.yaml": HOUSE}, organisation="Example Org")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger, closed after the test."""
    opened = open_ledger(tmp_path)
    yield opened
    opened.database.close()


def counted(body: bytes = b"ask", facts: Mapping[str, Fact] = FACTS) -> Counted:
    """What counts of a call."""
    found = Counting(bundle(), SECRET).of(facts, NOW, body)
    assert found is not None
    return found


def names(found: Counted) -> tuple[list[str], list[str]]:
    """The counters that count a call, and those whose number is asked for."""
    groups, asked = found.step.groups, found.asked.groups
    return [each.counter.name for each in groups], [each.counter.name for each in asked]


def test_nothing_counts_where_no_scope_may_match() -> None:
    """A call outside every scope, or without counters in force, is not counted."""
    assert Counting(bundle(), SECRET).of({**FACTS, "route": "else"}, NOW, b"") is None
    empty = bundle_of({}, organisation="Example Org")
    assert Counting(empty, SECRET).of(FACTS, NOW, b"") is None


@pytest.mark.parametrize(
    ("facts", "asked"),
    [
        ({}, ["calls"]),
        ({"student.purpose": "eval"}, []),
        ({"project": "support"}, ["calls", "drawn"]),
        ({"project": "support", "student.purpose": "eval"}, ["drawn"]),
    ],
)
def test_all_are_counted_and_few_are_asked(facts: dict[str, Fact], asked: list[str]) -> None:
    """A call counts in each counter of its scope; its rules say which numbers it needs."""
    found = counted(facts={**FACTS, **facts})
    assert names(found) == (["calls", "drawn", "prompts"], asked)
    assert found.is_asked is bool(asked)
    assert (found.step.at, found.step.requests, found.asked.requests) == (NOW, 1, 1)


def test_a_prompt_is_known_by_a_keyed_digest() -> None:
    """The same body has the same digest, another body or installation another one, and none is the body's own."""
    first = counted(b"ask").step.prompt
    assert first is not None
    assert len(first) == 16
    assert counted(b"ask").step.prompt == first
    assert counted(b"ask ").step.prompt != first
    assert Counting(bundle(), bytes(32)).digest(b"ask") != first
    assert hmac.digest(SECRET, b"ask", "sha256")[:16] != first


def test_no_prompt_is_digested_without_need() -> None:
    """Where no counter counts prompts the body is not even read."""
    plain = HOUSE.replace("distinct_prompts", "requests")
    other = bundle_of({"organisation/house.yaml": plain}, organisation="Example Org")
    found = Counting(other, SECRET).of(FACTS, NOW, b"ask")
    assert found is not None
    assert found.step.prompt is None


def test_the_end_of_a_call_counts_tokens_only() -> None:
    """What an ended call adds goes to counters of tokens, at the time it ended."""
    later = NOW.replace(hour=6)
    step = counted().ended(later, Used(tokens_in=3, tokens_out=4))
    assert step is not None
    assert [each.counter.name for each in step.groups] == ["drawn"]
    assert (step.at, step.requests, step.prompt) == (later, 0, None)
    assert (step.tokens_in, step.tokens_out) == (3, 4)
    bare = replace(counted().step, groups=())
    assert Counted(step=bare, asked=bare).ended(NOW, Used(tokens_in=1, tokens_out=1)) is None


def _decide(facts: Mapping[str, Fact]) -> Decision:
    return decide(bundle(), Gate.REQUEST, Moment(at=NOW, facts=facts))


def settling() -> Settling:
    """A call to be decided, which records itself if it passes."""

    def entries(facts: Mapping[str, Fact], decision: Decision) -> tuple[Pending, ...]:
        return (call(),) if decision.verdict == "permit" else ()

    return Settling(counted=counted(), facts=FACTS, decide=_decide, entries=entries)


def settle(ledger: Ledger, tallies: Tallies, one: Settling, step: Counted) -> bool:
    """Settle a call as the log does: head locked, and counted where it passes."""
    with ledger.log.exclusive(), ledger.database.write() as connection:
        opened = tallies.open(connection)
        passes = bool(one(opened))
        if passes:
            opened.add(step.step)
        opened.write()
    return passes


def test_a_settled_call_knows_its_number(ledger: Ledger) -> None:
    """Facts and decision are those of the transaction, and only numbers asked for are among the facts."""
    one = settling()
    assert (one.facts, one.decision) == (FACTS, None)
    assert settle(ledger, Tallies(), one, counted())
    assert one.facts == {**FACTS, "counter.calls": 1}
    assert getattr(one.decision, "verdict", None) == "permit"
    assert settle(ledger, Tallies(), one, counted())  # run again, it starts from what it was given
    assert one.facts == {**FACTS, "counter.calls": 2}


def test_a_call_is_taken_back_until_it_passes(ledger: Ledger) -> None:
    """A client that leaves before the decision leaves nothing; after it, an end is owed."""
    early, late = settling(), settling()
    assert early.withdraw()
    assert not settle(ledger, Tallies(), early, counted())
    assert settle(ledger, Tallies(), late, counted())
    assert late.facts["counter.calls"] == 1
    assert not late.withdraw()
    assert settle(ledger, Tallies(), late, counted())


def test_a_call_that_does_not_pass_owes_no_end(ledger: Ledger) -> None:
    """A call that was refused or held can be taken back: nothing of it is under way."""
    tallies = Tallies()
    for _ in range(5):
        assert settle(ledger, tallies, settling(), counted())
    refused = settling()
    assert not settle(ledger, tallies, refused, counted())
    assert refused.withdraw()


def test_the_last_call_below_a_limit_passes_once(ledger: Ledger) -> None:
    """However many writers decide at once, exactly as many calls pass as the rule lets."""
    passed: list[bool] = []

    def work() -> None:
        tallies = Tallies()
        passed.extend(settle(ledger, tallies, settling(), counted()) for _ in range(4))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sum(passed), len(passed)) == (5, 16)


ASKED = Request(
    wire_format="openai.chat",
    operation="chat",
    model_asked="acme-1",
    is_streamed=False,
    messages=(
        Message(role="user", text="Grüße", name="me"),
        Message(role="assistant", text="", tool_calls=(ToolCall(id="1", name=None, arguments="{}"),)),
    ),
)  # fmt: skip
ANSWERED = Answer(
    status=200,
    choices=(
        Choice(index=0, text="Hallo", reasoning="so", refusal="no"),
        Choice(index=1, tool_calls=(ToolCall(id="2", name="f", arguments="{}"),)),
    ),
)


def used(usage: Usage | None, *, status: int = 200, request: Request = ASKED) -> tuple[int, int]:
    """Tokens in and out of an exchange with this usage."""
    answer = replace(ANSWERED, usage=usage, status=status)
    found = used_in(Exchange(request=request, answer=answer))
    return found.tokens_in, found.tokens_out


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (Usage(input=10, output=4, total=14, cache_read=8), (10, 4)),
        (Usage(input=10, output=4, cache_read=8, cache_write=2), (20, 4)),
        (Usage(input=10, output=4), (10, 4)),
        (Usage(input=10, output=4, total=30), (10, 20)),
        (Usage(input=10, total=30), (10, 20)),
        (Usage(input=10, output=4, total=3), (10, 4)),
        (Usage(input=0, output=0), (0, 0)),
        (Usage(input=-5, output=-5), (0, 0)),
        (Usage(output=4), (11, 4)),
        (Usage(input=10), (10, 12)),
        (None, (11, 12)),
    ],
)
def test_tokens_are_those_stated_else_bytes(usage: Usage | None, expected: tuple[int, int]) -> None:
    """What the provider states counts; what it does not state counts by the bytes of the text."""
    assert used(usage) == expected


def test_tools_count_as_text() -> None:
    """The definitions of tools are part of what was asked."""
    assert used(None, request=replace(ASKED, tools=[{"a": "ü"}]))[0] == 11 + len('[{"a": "ü"}]') + 1


def test_what_was_turned_away_used_nothing() -> None:
    """An error answer without usage counts no tokens; one that states usage counts it."""
    assert used(None, status=429) == (0, 0)
    assert used(Usage(input=3, output=0), status=500) == (3, 0)
    assert used(None, status=0) == (11, 12)
