"""Which answers that were held go out: rules of the response gate alone speak of the answer itself."""

from collections.abc import Iterable

import pytest

from policies.model import Condition, Effect, Gate, Layer, Place, Rule
from proxy.delivery import is_unjudged, is_unreadable, withholding
from proxy.ledger.entry import DecisionRecord
from tests.proxy.store.ledgers import Verdict, decision


def _rule(name: str, gates: Iterable[Gate]) -> Rule:
    return Rule(
        id=name,
        policy="p",
        party="Acme",
        layers=frozenset({Layer.ORGANISATION}),
        effect=Effect.FORBID,
        gates=frozenset(gates),
        when=Condition(),
        because="it says so",
        where=Place(file="p.yaml", line=1, column=1),
    )


TRAINING = _rule("p/training", [Gate.RESPONSE, Gate.DATASET])
ANSWER = _rule("p/answer", [Gate.RESPONSE])
BOTH = _rule("p/both", [Gate.REQUEST, Gate.RESPONSE])


def _record(verdict: Verdict, *by: str) -> DecisionRecord:
    return decision(verdict, "response").model_copy(update={"by": list(by)})


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (None, ()),
        (_record("permit", "p/answer"), ()),
        (_record("forbid"), ()),
        (_record("forbid", "p/training"), ()),
        (_record("forbid", "p/training", "p/answer"), (ANSWER,)),
        (_record("review", "p/answer", "p/both"), (ANSWER, BOTH)),
        (_record("forbid", "p/unknown"), ()),
    ],
)
def test_who_withholds(record: DecisionRecord | None, expected: tuple[Rule, ...]) -> None:
    """A rule about training keeps nothing from a client; one about the answer does, if it decided."""
    assert withholding(record, (TRAINING, ANSWER, BOTH)) == expected


def test_words_that_nobody_decided_on() -> None:
    """They go out only where no rule speaks of the answer itself."""
    assert is_unjudged(None, (TRAINING, ANSWER), has_words=True)
    assert not is_unjudged(None, (TRAINING,), has_words=True)
    assert not is_unjudged(None, (ANSWER,), has_words=False)
    assert not is_unjudged(_record("permit"), (ANSWER,), has_words=True)


@pytest.mark.parametrize(
    ("status", "problem", "expected"),
    [
        (200, "not-utf-8", True),
        (200, None, False),
        (500, "not-utf-8", False),
        (None, "x", False),
    ],
)
def test_what_no_rule_could_see(status: int | None, problem: str | None, *, expected: bool) -> None:
    """A good answer that cannot be read is kept; a provider's error is not."""
    assert is_unreadable(status, problem) is expected
