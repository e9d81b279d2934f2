"""The duty to redact: met by the client at the request gate, by the stored copy at the response gate."""

import json
from datetime import UTC, datetime

import pytest

from policies.decision import Decision, Hit, Ruling
from policies.model import Condition, Duty, Effect, Gate, Layer, Place, Rule
from proxy.detect import NOTHING_SEEN, Sighting
from proxy.masking import Span
from proxy.redact import is_masked, redacted_reading, redaction_of, unmet

HERE = Place(file="p.yaml", line=1, column=1)
AT = datetime(2026, 11, 24, tzinfo=UTC)
REDACT, DISPLAY = Duty(kind="redact", value="pii"), Duty(kind="display", value="x")
CLEAN = Sighting(kinds=frozenset({"pii"}), paths={"pii": ()})
HELD = Sighting(
    kinds=frozenset({"pii"}),
    paths={"pii": ("$.messages[0].content", "$.messages[2].content")},
    spans={"ann@x.org": (Span(0, 9, "pii"),)},
)


def _rule(name: str, effect: Effect, *duties: Duty) -> Rule:
    return Rule(
        id=name,
        policy="p",
        party="Acme",
        layers=frozenset({Layer.ORGANISATION}),
        effect=effect,
        gates=frozenset({Gate.RESPONSE}),
        when=Condition(),
        because="it says so",
        duties=duties,
        where=HERE,
    )


PERMIT = _rule("p/permit", Effect.PERMIT, REDACT, DISPLAY)
REVIEW = _rule("p/review", Effect.REVIEW)


def _decision(
    verdict: Effect, *rules: Rule, duties: tuple[Duty, ...] = (), is_shadow: bool = False
) -> Decision:
    hits = tuple(
        Hit(
            rule=rule.id,
            effect=rule.effect,
            is_sure=True,
            is_shadow=is_shadow,
            lifted_by=None,
            because="",
            fix="",
            cites=(),
            where=HERE,
        )
        for rule in rules
    )
    ruling = Ruling(verdict=verdict, by=(), silent=(), hits=hits, grants=(), duties=duties)
    return Decision(Gate.RESPONSE, "b", "m", AT, AT, ruling)


@pytest.mark.parametrize(
    ("duties", "seen", "words"),
    [
        ((), HELD, ""),
        ((DISPLAY,), NOTHING_SEEN, ""),
        ((REDACT,), CLEAN, ""),
        ((REDACT,), NOTHING_SEEN, "no detector could look for it"),
        ((Duty(kind="redact", value="names"),), HELD, "no detector could look for it"),
        ((REDACT,), HELD, "mask `pii` at `$.messages[0].content`, `$.messages[2].content`"),
    ],
)
def test_what_a_request_lacks(duties: tuple[Duty, ...], seen: Sighting, words: str) -> None:
    """A body meets the duty, or the paths to mask are named; what nobody looked for is not met."""
    why = unmet(_decision(Effect.PERMIT, duties=duties), seen)
    assert (words in why) if words else why == ""


def test_many_paths_are_counted() -> None:
    """A message stays short, however much there is to mask."""
    paths = tuple(f"$.messages[{n}].content" for n in range(25))
    seen = Sighting(kinds=frozenset({"pii"}), paths={"pii": paths})
    why = unmet(_decision(Effect.PERMIT, duties=(REDACT,)), seen)
    assert "and 15 more" in why
    assert len(why) < 500


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        (None, set()),
        (_decision(Effect.PERMIT, PERMIT, duties=(REDACT, DISPLAY)), {"pii"}),
        (_decision(Effect.PERMIT, PERMIT), set()),
        (_decision(Effect.REVIEW, PERMIT, REVIEW), {"pii"}),
        (_decision(Effect.REVIEW, PERMIT, REVIEW, is_shadow=True), set()),
        (_decision(Effect.REVIEW, REVIEW), set()),
        (_decision(Effect.FORBID, PERMIT), set()),
    ],
)
def test_what_is_masked_in_the_stored_copy(decision: Decision | None, expected: set[str]) -> None:
    """What the permits that count ask for, and those that will once a person has cleared it."""
    assert redaction_of(decision, (PERMIT, REVIEW)) == expected


READING = json.dumps(
    {
        "v": 1,
        "request": {"messages": [{"text": "ann@x.org"}]},
        "answer": {
            "choices": [
                {
                    "text": "ann@x.org",
                    "logprobs": [{"token": "ann"}],
                    "tool_calls": [{"arguments": "ann@x.org"}],
                }
            ]
        },
    }
).encode()


def test_the_answer_is_masked_and_the_request_is_not() -> None:
    """Every text of the answer reads as its kind, and its tokens go; what was asked stays."""
    kept = redacted_reading(READING, frozenset({"pii"}), HELD)
    assert kept is not None
    doc = json.loads(kept)
    assert doc["request"] == {"messages": [{"text": "ann@x.org"}]}
    (choice,) = doc["answer"]["choices"]
    assert choice == {"text": "[pii]", "logprobs": None, "tool_calls": [{"arguments": "[pii]"}]}


@pytest.mark.parametrize(
    ("wanted", "seen"),
    [
        (frozenset({"pii"}), NOTHING_SEEN),
        (frozenset({"names"}), HELD),
        (frozenset({"pii", "secret"}), HELD),
    ],
)
def test_what_was_not_looked_for_cannot_be_masked(wanted: frozenset[str], seen: Sighting) -> None:
    """There is no copy to keep then."""
    assert redacted_reading(READING, wanted, seen) is None


@pytest.mark.parametrize(
    ("duties", "redacted", "asked", "expected"),
    [
        ([], [], {}, True),
        (["display: redact: pii"], [], {}, True),
        (["redact: pii"], ["pii"], {"request.pii": False}, True),
        (["redact: personal-data"], ["pii"], {"request.pii": False}, True),
        (["redact: pii"], [], {"request.pii": False}, False),
        (["redact: pii"], ["pii"], {}, False),
        (["redact: pii"], ["pii"], {"request.pii": True}, False),
        (["redact: pii", "redact: secret"], ["pii"], {"request.pii": False}, False),
        (["redact: names"], ["names"], {"request.pii": False}, False),
    ],
)
def test_an_example_meets_its_duties_if_answer_and_prompt_do(
    *, duties: list[str], redacted: list[str], asked: dict[str, bool], expected: bool
) -> None:
    """An answer is masked in its stored copy; a prompt never is, so that it must be known as clean."""
    assert is_masked(duties, redacted, asked) is expected
