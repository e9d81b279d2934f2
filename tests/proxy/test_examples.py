"""From one exchange to the rows a student learns, or to the reason why there are none."""

import json
from typing import Any

import pytest

from proxy.errors import BundleError
from proxy.examples import examples_of
from proxy.ledger.entry import CallEntry, DecisionRecord, ExchangeEntry
from proxy.providers import Entry
from proxy.route import Registry
from proxy.store.records import Candidate, StoredEntry
from tests.proxy.calls import TEACHER
from tests.proxy.store.ledgers import DIGEST, call, exchange

RECORD = DecisionRecord(
    gate="dataset", verdict="permit", bundle=DIGEST, meaning=DIGEST,
    exchange_at="2026-11-20T00:00:00.000Z", today_at="2026-11-24T00:00:00.000Z",
    by=["acme-api/outputs"], clauses=["acme-api/outputs terms 2.1"], terms=["cd" * 32],
    grants=["ef" * 32], duties=["display: Built with Acme"],
)  # fmt: skip


def candidate(model: str = "acme-1") -> Candidate:
    """A complete exchange with the registered teacher."""
    asked = call().entry
    assert isinstance(asked, CallEntry)
    answered = exchange(asked.id).entry
    assert isinstance(answered, ExchangeEntry)
    answered = answered.model_copy(update={"facts": {"model.id": model}})
    return Candidate(StoredEntry(4, b"", asked), StoredEntry(5, b"", answered), (), ())


def choice(index: int = 0, **more: Any) -> dict[str, Any]:
    """A usable choice, but for what a test changes."""
    usable: dict[str, Any] = {"text": "Hello", "reasoning": "", "tool_calls": [], "logprobs": None,
              "refusal": None, "is_models_own": True, "finish_reason": "stop"}  # fmt: skip
    return {"index": index, **usable, **more}


def reading(*choices: dict[str, Any], **request: Any) -> bytes:
    """The reading of an exchange."""
    asked = {"is_whole": True, "messages": [{"role": "user", "has_other_parts": False}],
             "tools": None}  # fmt: skip
    return json.dumps({"request": asked | request, "answer": {"choices": choices}}).encode()


def made(
    *choices: dict[str, Any], teacher: Entry = TEACHER, **request: Any
) -> tuple[str, list[int]]:
    """The reason, and the index of each row."""
    found = examples_of(
        candidate(), reading(*choices, **request), RECORD, student="s", registry=Registry([teacher])
    )
    return found.reason, [row.choice for row in found.rows]


def test_a_row_repeats_what_the_decision_rests_on() -> None:
    """Clauses, terms, grants, duties, rules, bundle and both instants are the decision's."""
    found = examples_of(
        candidate(), reading(choice()), RECORD, student="s", registry=Registry([TEACHER])
    )
    (row,) = found.rows
    assert (row.clauses, row.terms, row.grants, row.duties, row.by) == (
        ("acme-api/outputs terms 2.1",),
        ("cd" * 32,),
        ("ef" * 32,),
        ("display: Built with Acme",),
        ("acme-api/outputs",),
    )
    assert (row.bundle, row.exchange_at, row.decided_at) == (
        DIGEST,
        "2026-11-20T00:00:00.000Z",
        "2026-11-24T00:00:00.000Z",
    )
    assert (row.provider, row.licence, row.seq) == ("acme", "LicenseRef-terms-acme", 5)


def test_every_usable_choice_gives_a_row() -> None:
    """A tool call alone is usable; a refusal, a guardrail's words and nothing are not."""
    tool = {"id": "1", "name": "f", "arguments": "{}"}
    assert made(
        choice(0),
        choice(1, text="", tool_calls=[tool]),
        choice(2, refusal="no"),
        choice(3, is_models_own=False),
        choice(4, text=""),
        choice(5, finish_reason=None),
    ) == ("", [0, 1, 5])


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        ([choice(refusal="")], "refusal"),
        ([choice(is_models_own=False), choice(1, is_models_own=False)], "not-models-own"),
        ([choice(text="")], "no-content"),
        ([choice(text=""), choice(1, refusal="no")], "no-usable-choice"),
        ([], "no-usable-choice"),
    ],
)
def test_without_a_usable_choice_there_is_a_reason(
    choices: list[dict[str, Any]], reason: str
) -> None:
    """The reason is the choices' own where they agree."""
    assert made(*choices) == (reason, [])


def test_a_prompt_that_is_not_wholly_text_teaches_nothing() -> None:
    """A prompt known in part, or with parts beside the text, gives no row."""
    assert made(choice(), is_whole=False) == ("prompt-in-part", [])
    assert made(choice(), messages=[{"has_other_parts": True}]) == ("prompt-not-text", [])


def test_a_self_hosted_teacher_is_found_by_its_model() -> None:
    """Of several teachers under one route the licence is that of the model that answered."""

    def weights(name: str, licence: str) -> Entry:
        return Entry(
            id=name, route="acme-api", provider="self-hosted", hosts=(f"{name}.example",), port=443,
            prefix=name, paths=("/*",), formats=("openai.chat",), auth="bearer", family="openai",
            scheme="https", models={name: name}, licence=licence,
        )  # fmt: skip

    registry = Registry([weights("acme-0", "MIT"), weights("acme-1", "Apache-2.0")])
    for model, licences in (("acme-1", ["Apache-2.0"]), ("acme-2", [])):
        found = examples_of(
            candidate(model), reading(choice()), RECORD, student="s", registry=registry
        )
        assert [row.licence for row in found.rows] == licences
        assert found.reason == ("" if licences else "teacher-unknown")


def test_a_reading_that_lacks_a_text_is_an_error() -> None:
    """What cannot be read is no row."""
    broken = choice()
    del broken["reasoning"]
    with pytest.raises(BundleError, match="the sealed reading has no choice 0"):
        made(broken)
