"""Tests and values as words."""

import pytest

from policies import wording
from policies.model import Fact, Test
from policies.wording import listed, value_text
from tests.policies.strategies import HERE


def text_of(op: str, *values: str | int | bool, negated: bool = False) -> str:
    """A test on some fact, in words."""
    return wording.test_text(
        Test(fact="x", op=op, values=values, negated=negated, where=HERE)  # type: ignore[arg-type] # any operator
    )


@pytest.mark.parametrize(
    ("op", "values", "plain", "negated"),
    [
        ("is", ("a", "b", "c"), "is a, b or c", "is not a, b or c"),
        ("is", (True,), "is true", "is not true"),
        ("has", ("a", "b"), "has a or b", "lacks a and b"),
        ("lacks", ("a", "b"), "lacks a and b", "has a or b"),
        ("above", (50_000,), "is above 50_000", "is not above 50_000"),
        ("at_most", (7,), "is at most 7", "is not at most 7"),
    ],
)
def test_a_test_reads_as_it_is_written(
    op: str, values: tuple[str | int | bool, ...], plain: str, negated: str
) -> None:
    """Each operator has its words; a turned-round test on a set reads as the other one."""
    assert text_of(op, *values) == plain
    assert text_of(op, *values, negated=True) == negated


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "unknown"),
        (True, "true"),
        (False, "false"),
        (700_000_000, "700_000_000"),
        ("eval", "eval"),
        (frozenset({"b", "a"}), "[a, b]"),
        (frozenset[str](), "[]"),
    ],
)
def test_a_value_reads_as_it_is_written(value: Fact | None, text: str) -> None:
    """Values read as a policy file writes them."""
    assert value_text(value) == text


def test_lists_end_in_a_word() -> None:
    """None, one, two and three words."""
    assert [listed("abc"[:n], "or") for n in range(4)] == ["", "a", "a or b", "a, b or c"]
