"""Facts, records and messages: nothing is known that the wire did not state."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.bundle import bundle_of
from policies.decision import Decision, Moment
from policies.engine import decide
from policies.facts import spec_of
from policies.model import Effect, Fact, Gate
from proxy.enforce import (
    answer_facts,
    body_facts,
    facts_at_response,
    facts_of_leaf,
    head_facts,
    leaf_facts,
    may_train,
    plain_name,
    record_of,
    refusal_message,
    usage_of,
)
from proxy.exchange import Answer, Choice, Exchange, Json, Request, TeacherError, Usage
from proxy.ledger.canonical import canonical
from proxy.providers import Entry
from tests.policies.acme import DOCUMENTS as LETTER_DOCUMENTS
from tests.policies.acme import ORGANISATION, digest
from tests.proxy.calls import NOW, TEACHER, bundle

TEXT = st.none() | st.text(max_size=20) | st.just("acme-1") | st.just("x" * 201)
NUMBER = st.none() | st.integers(-(2**60), 2**60)
CHOICES = st.lists(
    st.builds(
        Choice,
        index=st.integers(0, 3),
        finish_reason=TEXT,
        is_models_own=st.booleans(),
        has_citations=st.booleans(),
        is_verbatim=st.none() | st.booleans(),
        server_tools=st.sampled_from([(), ("code_interpreter_call",), ("web_search_call",)]),
    ),
    max_size=3,
).map(tuple)
USAGES = st.none() | st.builds(
    Usage, **dict.fromkeys(("input", "output", "total", "cache_read", "reasoning"), NUMBER)
)
REQUESTS = st.builds(
    Request,
    wire_format=st.just("openai.chat"),
    operation=st.just("chat"),
    model_asked=TEXT,
    is_streamed=st.booleans(),
    max_tokens=NUMBER,
    has_system=st.booleans(),
    has_images=st.booleans(),
    wants_logprobs=st.booleans(),
)
ANSWERS = st.builds(
    Answer,
    status=st.integers(0, 599),
    model_served=TEXT,
    served_by=TEXT | st.just("Acme"),
    choices=CHOICES,
    usage=USAGES,
    error=st.none() | st.just(TeacherError(type="x")),
    is_complete=st.booleans(),
    problem=st.none() | st.just("cut-frame"),
)
EXCHANGES = st.builds(Exchange, request=REQUESTS, answer=ANSWERS)

ASKED = Request(
    wire_format="openai.chat", operation="chat", model_asked="acme-1", is_streamed=False
)
WHOLE = Answer(
    status=200, model_served="acme-1", choices=(Choice(index=0, text="Hi"),), is_complete=True
)


ROUTER = replace(TEACHER, route="gate", router="gate", upstreams={"Acme": "acme-api"})


def _answer_facts(answer: Answer, asked: str | None = "acme-1") -> dict[str, Fact]:
    exchange = Exchange(request=replace(ASKED, model_asked=asked), answer=answer)
    return answer_facts(TEACHER, exchange)


@given(entry=st.sampled_from([TEACHER, ROUTER]), exchange=EXCHANGES)
def test_every_fact_is_of_the_catalogue_and_fits_a_leaf(entry: Entry, exchange: Exchange) -> None:
    """Whatever the wire says, each fact is one of the catalogue, of its type, and canonical."""
    facts = body_facts(entry, exchange.request) | answer_facts(entry, exchange)
    for name, value in facts.items():
        spec = spec_of(name)
        assert spec is not None
        assert spec.accepts(value)
    usage = usage_of(exchange.answer)
    leaf = {"facts": leaf_facts(facts), "usage": usage and usage.model_dump()}
    assert len(canonical(leaf)) < 4_000


@given(request=REQUESTS, answer=ANSWERS)
def test_an_answer_corrects_the_model_and_nothing_else(request: Request, answer: Answer) -> None:
    """The model asked for never stands for the one that answered; all else that was known stays."""
    before = body_facts(TEACHER, request)
    said = answer_facts(TEACHER, Exchange(request=request, answer=answer))
    after = facts_at_response(before, said)
    assert after.get("model.id") == said.get("model.id")
    assert before.items() - after.items() <= {("model.id", before.get("model.id"))}
    assert said.items() <= after.items()


@given(exchange=EXCHANGES)
def test_what_a_broken_answer_lacks_is_unknown(exchange: Exchange) -> None:
    """Of an answer not read to its end nobody says that it was left alone or stands by itself."""
    facts = _answer_facts(replace(exchange.answer, is_complete=False))
    assert facts.get("response.moderated") is not False
    assert facts.get("response.third_party") is not False
    assert facts.get("response.verbatim") is not False


@given(exchange=EXCHANGES)
def test_no_wire_states_what_detectors_find(exchange: Exchange) -> None:
    """Language, personal data and secrets stay unknown: nobody looked."""
    unstated = {"response.language", "response.pii", "response.secret"}
    assert not unstated & answer_facts(TEACHER, exchange).keys()


@given(answer=ANSWERS, problem=st.none() | st.just("hook-failed"))
def test_only_a_whole_good_answer_is_judged(answer: Answer, problem: str | None) -> None:
    """An answer with a problem, an error, a bad status, no choice or no end never trains (P5)."""
    is_good = answer.error is None and 200 <= answer.status < 300 and answer.choices != ()
    is_sound = problem is None and answer.problem is None and answer.is_complete
    assert may_train(answer, problem) is (is_good and is_sound)


@given(facts=st.dictionaries(st.sampled_from("ab"), st.frozensets(st.text("xy")) | st.text()))
def test_facts_come_back_from_a_leaf(facts: dict[str, Fact]) -> None:
    """Sets are lists in a leaf, sorted, and sets again when they are read."""
    assert facts_of_leaf(leaf_facts(facts)) == facts


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o-2024-08-06"),
        ("DIR@main", "DIR@main"),
        ("x" * 200, "x" * 200),
        ("x" * 201, None),
        ("two words", None),
        ("naïve", None),
        ("a\n", None),
        ("\ud800", None),
        ("", None),
        (None, None),
    ],
)
def test_a_leaf_holds_names_not_text(text: str | None, name: str | None) -> None:
    """Only a short word of visible ASCII is kept as a name."""
    assert plain_name(text) == name


def test_the_head_gives_who_where_and_for_what() -> None:
    """Contract, operation, project, account and the stamped student are known from the head."""
    student = bundle().students["router"]
    facts = head_facts(TEACHER, "chat", project="support", account_id="main", student=student)
    assert facts == {
        "route": "acme-api",
        "operation": "chat",
        "project": "support",
        "account.id": "main",
        "student.purpose": "classifier",
        "student.task": "classify",
        "student.release": "internal",
    }


def test_nobody_is_stamped_where_nobody_is_declared() -> None:
    """Without a declared student or an account those facts are unknown."""
    facts = head_facts(TEACHER, "chat", project="support", account_id=None, student=None)
    assert facts.keys() == {"route", "operation", "project"}


def test_a_router_is_known_from_the_head() -> None:
    """Whoever hands calls on is the fact `router`; its own contract is the route for a while."""
    facts = head_facts(ROUTER, "chat", project="support", account_id=None, student=None)
    assert (facts["route"], facts["router"]) == ("gate", "gate")


@pytest.mark.parametrize(
    ("served_by", "route"),
    [("Acme", "acme-api"), ("acme", "gate"), ("Other", "gate"), (None, "gate")],
)
def test_the_answer_names_the_contract_behind_a_router(served_by: str | None, route: str) -> None:
    """The route is the upstream's where the registry knows its name, else still the router's own."""
    asked = head_facts(ROUTER, "chat", project="support", account_id=None, student=None)
    exchange = Exchange(request=ASKED, answer=replace(WHOLE, served_by=served_by))
    facts = facts_at_response(asked, answer_facts(ROUTER, exchange))
    assert (facts["route"], facts["router"]) == (route, "gate")


def test_no_answer_moves_a_contract_that_is_no_routers() -> None:
    """Where the registry knows no router, what an answer says of its server changes no route."""
    entry = replace(ROUTER, router=None)
    exchange = Exchange(request=ASKED, answer=replace(WHOLE, served_by="Acme"))
    assert "route" not in answer_facts(entry, exchange)


def test_a_body_gives_what_was_asked() -> None:
    """A request states its model and what it wants; the registry adds the canonical id."""
    assert body_facts(TEACHER, replace(ASKED, max_tokens=9, tools=[{}])) == {
        "request.system": False,
        "request.tools": True,
        "request.images": False,
        "request.logprobs": False,
        "request.max_tokens": 9,
        "model.asked": "acme-1",
        "model.id": "acme-1",
    }


def test_a_model_nobody_registered_has_no_id() -> None:
    """A name that the registry does not know is a name, and no model."""
    facts = body_facts(TEACHER, replace(ASKED, model_asked="acme-9"))
    assert facts["model.asked"] == "acme-9"
    assert "model.id" not in facts


@pytest.mark.parametrize(
    ("asked", "served", "expected"),
    [
        ("acme-1", "acme-1", {"model.id": "acme-1", "model.substituted": False}),
        ("acme-1", "acme-1-2026-01-01", {"model.id": "acme-1", "model.substituted": False}),
        ("acme-1", "acme-2", {"model.id": "acme-2", "model.substituted": True}),
        ("acme-1", "odd", {}),
        ("odd", "odd", {"model.substituted": False}),
        (None, "acme-1", {"model.id": "acme-1"}),
    ],
)
def test_who_served_is_read_from_the_answer(
    asked: str | None, served: str, expected: dict[str, Fact]
) -> None:
    """The id is of the name that answered; whether it was swapped, only where both are known."""
    entry = replace(TEACHER, models={"acme-1": "acme-1", "acme-2": "acme-2"})
    exchange = Exchange(
        request=replace(ASKED, model_asked=asked), answer=replace(WHOLE, model_served=served)
    )
    facts = answer_facts(entry, exchange)
    models = {name: value for name, value in facts.items() if name.startswith("model.")}
    assert models == {"model.served": served} | expected


def test_an_answer_that_names_no_model_is_of_nobody() -> None:
    """Where the answer does not say who served, the model is unknown."""
    facts = _answer_facts(replace(WHOLE, model_served=None))
    assert not [name for name in facts if name.startswith("model.")]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("acme-1", {"model.id": "acme-1", "model.substituted": False}), ("odd", {}), (None, {})],
)
def test_a_contract_may_say_that_the_asked_model_serves(
    asked: str | None, expected: dict[str, Fact]
) -> None:
    """Where the registry says so, the asked model stands for the one the answer does not name."""
    exchange = Exchange(
        request=replace(ASKED, model_asked=asked), answer=replace(WHOLE, model_served=None)
    )
    facts = answer_facts(replace(TEACHER, serves_as_asked=True), exchange)
    assert {k: v for k, v in facts.items() if k.startswith("model.")} == expected


@pytest.mark.parametrize(
    ("reasons", "finish"),
    [
        (("stop", "stop"), "stop"),
        (("stop", "length"), None),
        (("stop", None), None),
        ((None,), None),
    ],
)
def test_a_finish_is_that_of_every_choice(
    reasons: tuple[str | None, ...], finish: str | None
) -> None:
    """The reason to end is known only where all choices share it."""
    choices = tuple(Choice(index=i, finish_reason=r) for i, r in enumerate(reasons))
    assert _answer_facts(replace(WHOLE, choices=choices)).get("response.finish") == finish


def test_marks_of_one_choice_are_marks_of_the_answer() -> None:
    """One filtered or grounded choice among several makes the answer so; tokens are as counted."""
    choices = (Choice(index=0), Choice(index=1, is_models_own=False, has_citations=True))
    facts = _answer_facts(replace(WHOLE, choices=choices, usage=Usage(output=7)))
    assert facts["response.moderated"] is True
    assert facts["response.third_party"] is True
    assert facts["response.tokens"] == 7


@pytest.mark.parametrize(
    ("stated", "fact"),
    [
        ((False, False), False),
        ((True, None), True),
        ((False, None), None),
        ((None,), None),
        ((), None),
    ],
)
def test_quotes_are_known_where_the_provider_looked(
    stated: tuple[bool | None, ...],
    fact: bool | None,  # noqa: FBT001 - a case of the table
) -> None:
    """One quote is enough; that there is none must be stated of every choice."""
    choices = tuple(Choice(index=at, is_verbatim=one) for at, one in enumerate(stated))
    facts = _answer_facts(replace(WHOLE, choices=choices))
    assert facts.get("response.verbatim") is fact


@pytest.mark.parametrize(
    ("tool", "is_grounded"),
    [
        ("web_search_tool_result", True),
        ("mcp_call", True),
        ("nova_grounding_result", True),
        ("code_interpreter_call", False),
        ("image_generation_call", False),
    ],
)
def test_tools_that_bring_texts_ground_an_answer(tool: str, is_grounded: bool) -> None:  # noqa: FBT001 - a case of the table
    """What a search or a server brought in is another's text, cited or not."""
    choices = (Choice(index=0, server_tools=(tool,)),)
    facts = _answer_facts(replace(WHOLE, choices=choices))
    assert facts["response.third_party"] is is_grounded


def test_a_count_that_was_not_stated_is_not_zero() -> None:
    """Absent counts stay absent, and what is no count is absent too."""
    assert usage_of(WHOLE) is None
    usage = usage_of(replace(WHOLE, usage=Usage(input=3, output=-1, total=2**53)))
    assert usage is not None
    assert (usage.input, usage.output, usage.total, usage.reasoning) == (3, None, None, None)


def _decided(facts: Mapping[str, Fact], gate: Gate = Gate.REQUEST) -> Decision:
    return decide(bundle(), gate, Moment(at=NOW, facts={"route": "acme-api", **facts}))


GENERAL: Mapping[str, Fact] = {"student.purpose": "distil-general"}


def test_a_record_names_rules_clauses_terms_and_duties() -> None:
    """A permit on record names what it rests on and what comes with it."""
    facts: dict[str, Fact] = {
        "student.purpose": "eval",
        "model.id": "acme-1",
        "response.moderated": False,
    }
    decision = _decided(facts, Gate.RESPONSE)
    record = record_of(decision, bundle())
    (source,) = bundle().sources
    assert (record.gate, record.verdict, record.by) == (
        "response",
        "permit",
        ["acme-api/outputs-are-yours"],
    )
    assert record.clauses == ["acme-api/outputs-are-yours terms 2.1"]
    assert record.terms == [source]
    assert record.duties == ["display: Built with Acme"]
    assert (record.bundle, record.meaning) == (bundle().digest, bundle().meaning)
    assert record.exchange_at == record.today_at == "2026-11-24T05:00:00.000Z"
    assert (record.lifted, record.grants, record.missing, record.silent) == ([], [], [], [])


def test_each_record_is_its_own() -> None:
    """Decisions of one ruling differ in their instants, and no record changes what another says."""
    facts: dict[str, Fact] = {
        "student.purpose": "eval",
        "model.id": "acme-1",
        "response.moderated": False,
    }
    first = _decided(facts, Gate.RESPONSE)
    record = record_of(first, bundle())
    record.by.clear()
    record.terms.clear()
    later = NOW + timedelta(seconds=1)
    again = record_of(first._replace(today_at=later), bundle())
    assert (again.exchange_at, again.today_at) == (
        "2026-11-24T05:00:00.000Z",
        "2026-11-24T05:00:01.000Z",
    )
    assert (again.by, bool(again.terms)) == (list(first.by), True)


def test_a_record_names_what_is_silent_and_missing() -> None:
    """What nobody said and what nobody knew is on record."""
    record = record_of(_decided({"route": "elsewhere"}, Gate.RESPONSE), bundle())
    assert (record.verdict, record.silent) == ("forbid", ["host", "model"])
    record = record_of(
        _decided({"student.purpose": "eval", "request.images": True, "request.tools": False}),
        bundle(),
    )
    assert (record.verdict, record.missing) == ("review", ["request.pii"])


def test_a_record_names_grants_by_their_files() -> None:
    """A grant that lifted a rule is on record by the digest of its file."""
    documents = dict(LETTER_DOCUMENTS)
    letter = documents["grants/acme-letter.yaml"]
    approvals = frozenset(digest(text) for text in documents.values())
    granted = bundle_of(documents, organisation=ORGANISATION, approvals=approvals)
    facts: dict[str, Fact] = {
        "route": "acme-api",
        "project": "support",
        **granted.students["support-router"].facts,
    }
    at = datetime(2026, 11, 24, tzinfo=UTC)
    decision = decide(granted, Gate.DATASET, Moment(at=at, facts=facts))
    record = record_of(decision, granted)
    assert record.grants == [digest(letter)]
    assert record.lifted == ["acme-api/no-competing-models"]


def test_a_refusal_says_what_where_and_what_to_do() -> None:
    """A refused client reads purpose, rule, clause, reason, the way out and the exchange."""
    message = refusal_message(_decided(GENERAL), GENERAL, "x1")
    assert message == (
        "inbond refused this call for purpose `distil-general`: "
        "rule `acme-api/no-general-students` (terms 4.2): Output may not train general models; "
        "Choose another teacher or ask Acme for a grant; exchange x1"
    )


def test_a_held_call_says_what_is_missing_and_who_knows() -> None:
    """A held client reads which facts are missing, who can supply them, and how it goes on."""
    facts: dict[str, Fact] = {"request.images": True, "request.tools": False}
    decision = _decided({"student.purpose": "eval", **facts})
    assert refusal_message(decision, facts, "x1") == (
        "inbond holds this call until a person has looked at it: "
        "not known: `request.pii` (a detector, or a person's judgement); "
        "rule `house/no-personal-pictures`: Pictures of people stay here; "
        "see `inbond review list`; once `x1` is cleared the same call passes; exchange x1"
    )


def test_a_call_held_by_a_rule_alone_misses_nothing() -> None:
    """Where no fact is missing, the message names the rule alone, on one line, without a fix."""
    decision = _decided({"student.purpose": "eval", "request.tools": True, "request.images": False})
    assert decision.verdict is Effect.REVIEW
    message = refusal_message(decision, {}, "x1")
    assert "not known" not in message
    assert "rule `house/tools-need-a-look`: Tools reach systems of ours; see" in message


@pytest.mark.parametrize(
    ("asked", "logprobs", "fact"),
    [(True, [{"token": "a"}], True), (True, None, False), (False, None, None)],
)
def test_logprobs_that_did_not_come_are_a_fact(
    asked: bool,  # noqa: FBT001 - a parameter of the test
    logprobs: Json,
    fact: Fact | None,
) -> None:
    """Log-probabilities asked for came or did not; where nobody asked, nothing is said."""
    exchange = Exchange(
        request=replace(ASKED, wants_logprobs=asked),
        answer=replace(WHOLE, choices=(Choice(index=0, logprobs=logprobs),)),
    )
    assert answer_facts(TEACHER, exchange).get("response.logprobs") is fact
