"""Tests, values and places of rules as words: how explanations and differences read."""

from collections.abc import Iterable, Mapping, Sequence

from policies.model import Fact, Op, Test

__all__ = ["listed", "test_text", "value_text"]

_OPS: Mapping[Op, str] = {
    "above": "above",
    "at_least": "at least",
    "below": "below",
    "at_most": "at most",
}


def test_text(test: Test) -> str:
    """What a test asks of its fact: `is a or b`, `has x`, `is not above 7`."""
    wanted = listed([value_text(value) for value in test.values], "or")
    if test.op in ("has", "lacks"):
        is_has = (test.op == "has") is not test.negated
        return f"has {wanted}" if is_has else f"lacks {listed(map(value_text, test.values), 'and')}"
    words = [
        "is",
        *(["not"] if test.negated else []),
        *([_OPS[test.op]] if test.op != "is" else []),
    ]
    return f"{' '.join(words)} {wanted}"


def value_text(value: Fact | None) -> str:
    """A value of a fact; unknown where there is none."""
    match value:
        case None:
            return "unknown"
        case bool():
            return "true" if value else "false"
        case int():
            return f"{value:,}".replace(",", "_")
        case str():
            return value
        case _:
            return f"[{', '.join(sorted(value))}]"


def listed(words: Iterable[str], last: str) -> str:
    """`a`, `a or b`, `a, b or c`."""
    shown: Sequence[str] = list(words)
    return (
        f" {last} ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)
    )
