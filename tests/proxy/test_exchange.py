"""Exchanges are values: frozen, and headers are found by their lower-case name."""

from dataclasses import FrozenInstanceError

import pytest

from proxy.exchange import Outcome, RequestHead, ResponseHead
from proxy.ledger.entry import ExchangeEntry


@pytest.mark.parametrize(
    "head",
    [
        RequestHead(method="GET", path="/", headers=(("a", "1"), ("a", "2"))),
        ResponseHead(status=200, headers=(("a", "1"), ("a", "2"))),
    ],
)
def test_the_first_value_of_a_header_is_given(head: RequestHead | ResponseHead) -> None:
    """A header given twice has its first value; one that is absent has none."""
    assert head.header("a") == "1"
    assert head.header("b") is None


def test_values_cannot_change() -> None:
    """What was read stays as it was read."""
    head = ResponseHead(status=200)
    with pytest.raises(FrozenInstanceError):
        head.status = 500  # type: ignore[misc] # the point


def test_the_ledger_knows_every_outcome() -> None:
    """Each way a call can end has its word in an `exchange` entry, and no other word is there."""
    words = ExchangeEntry.model_fields["outcome"].annotation
    assert set(words.__args__) == {outcome.value for outcome in Outcome}  # type: ignore[union-attr] # a Literal
