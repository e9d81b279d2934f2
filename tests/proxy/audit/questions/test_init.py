"""The fifteen questions are numbered, named and answered."""

import pytest

from proxy.audit.questions import QUESTIONS, question
from proxy.errors import ProxyError
from tests.proxy.audit.conftest import Told


def test_there_are_fifteen_by_number_and_name(told: Told) -> None:
    """Each has a number, a name of its own and rows that fit its columns."""
    assert [each.number for each in QUESTIONS] == list(range(1, 16))
    assert len({each.name for each in QUESTIONS}) == 15
    for each in QUESTIONS:
        answer = each.answer(told.evidence)
        assert answer.says.endswith(".")
        assert all(len(row) == len(answer.columns) for row in answer.rows)


def test_a_number_and_a_name_ask_the_same() -> None:
    """`7` and `refused` are one question."""
    assert question("7") is question("refused")


def test_a_misspelt_name_is_offered_the_nearest() -> None:
    """An unknown question says which there are."""
    with pytest.raises(ProxyError, match="no question `grant`") as caught:
        question("grant")
    assert caught.value.help == "did you mean `grants`?"
