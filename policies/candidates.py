"""The values of a fact that rules tell apart: one of each class, for counterfactuals and witnesses.

Facts are independent and a rule only ever tests one fact at a time, so trying a value of each class
tries all there is. A pattern has one `*` at an end, so a start and an end make a text of its class.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, pairwise, product

from policies.facts import FactSpec, FactType
from policies.model import Effect, Fact, Test
from policies.wording import listed, value_text

__all__ = ["candidates", "nearest_sets", "says"]

_MANY = 6
"""Up to this many tested members of a set, every combination is tried; above, the nearest ones."""
_MAX_TEXTS = 500
_NO_TEXT = "\N{REPLACEMENT CHARACTER}"
"""A text that no rule names: the catalogue's values and ids of the wire are plain words."""
_MAX_NUMBER = 2**53 - 1


def candidates(spec: FactSpec, tests: Iterable[Test], current: Fact | None) -> list[Fact]:
    """Values of a fact such that every class its tests tell apart has one, the nearest first.

    `current` is the value to start from, or None where the fact is unknown; of sets with more than
    six tested members the ones one step away, and the emptied one, are given.
    """
    tests = list(tests)
    if not tests:
        return []
    match spec.type:
        case FactType.CHOICE:
            return list(spec.values)
        case FactType.BOOL:
            return [False, True]
        case FactType.NUMBER:
            return list(_numbers(tests))
        case FactType.SET:
            start = current if isinstance(current, frozenset) else frozenset[str]()
            return list(_sets(tests, start))
        case _:
            return list(dict.fromkeys(_texts(tests)))


def _numbers(tests: Iterable[Test]) -> Iterator[int]:
    """The limits and a number on either side of each, ascending."""
    limits = {limit for test in tests for limit in test.values if type(limit) is int}
    near = {limit + step for limit in limits for step in (-1, 0, 1)}
    yield from sorted(number for number in near if abs(number) <= _MAX_NUMBER)


def _sets(tests: Iterable[Test], start: frozenset[str]) -> Iterator[frozenset[str]]:
    """Sets that differ from `start` in members that tests name, by how many."""
    members = sorted({str(member) for test in tests for member in test.values})
    if len(members) <= _MANY:
        flips = [each for n in range(len(members) + 1) for each in combinations(members, n)]
    else:
        held = [member for member in members if member in start]
        flips = [(), *((member,) for member in members), tuple(held)]
        flips += combinations(held, 2)
    for flip in flips:
        yield start ^ frozenset(flip)


def _texts(tests: Sequence[Test]) -> Iterator[str]:
    """Each word that a test names, a text of each combination of a start and an end, and another."""
    patterns = [str(pattern) for test in tests for pattern in test.values]
    starts = {""} | {each[:-1] for each in patterns if each.endswith("*") and each != "*"}
    ends = {""} | {each[1:] for each in patterns if each.startswith("*") and each != "*"}
    yield from (each for each in patterns if "*" not in each)
    made = product(sorted(starts), sorted(ends))
    for (start, end), _ in zip(made, range(_MAX_TEXTS), strict=False):
        yield start + end or _NO_TEXT
    for (start, end), _ in zip(
        product(sorted(starts), sorted(ends)), range(_MAX_TEXTS), strict=False
    ):
        yield start + _NO_TEXT + end


def nearest_sets(
    found: Mapping[Effect, Sequence[Fact | None]], current: Fact | None
) -> dict[Effect, list[Fact | None]]:
    """Of sets that give verdicts, those that change no more members than they need to."""
    start = current if isinstance(current, frozenset) else frozenset[str]()
    kept: dict[Effect, list[Fact | None]] = {}
    for verdict, values in found.items():
        flips = [value ^ start for value in values if isinstance(value, frozenset)]
        least = [flip for flip in flips if not any(other < flip for other in flips)]
        kept[verdict] = [start ^ flip for flip in least]
    return kept


def says(
    spec: FactSpec, tests: Sequence[Test], values: Sequence[Fact | None], current: Fact | None
) -> str:
    """What holds of a fact that has one of these values, given that `candidates` named them."""
    match spec.type:
        case FactType.NUMBER:
            return _say_numbers([v for v in values if type(v) is int], list(_numbers(tests)))
        case FactType.SET:
            start = current if isinstance(current, frozenset) else None
            sets = [value for value in values if isinstance(value, frozenset)]
            return listed([_say_set(each, start, tests) for each in sets], "or")
        case FactType.TEXT:
            patterns = frozenset(str(pattern) for test in tests for pattern in test.values)
            words = dict.fromkeys(_say_text(value, patterns) for value in values)
        case _:
            words = dict.fromkeys(f"`{value_text(value)}`" for value in values)
    is_, rest = [word for word in words if word[0] == "`"], [w for w in words if w[0] != "`"]
    return listed([*([f"is {listed(is_, 'or')}"] if is_ else []), *rest], "or")


def _say_numbers(values: Sequence[int], tried: Sequence[int]) -> str:
    """Stretches of numbers: neighbours among those tried belong together."""
    chosen = set(values)
    edges = [None, *tried, None]
    starts = [b for a, b in pairwise(edges) if b in chosen and a not in chosen]
    ends = [a for a, b in pairwise(edges) if a in chosen and b not in chosen]
    return listed(
        [
            _say_stretch(None if low == tried[0] else low, None if high == tried[-1] else high)
            for low, high in zip(starts, ends, strict=True)
        ],
        "or",
    )


def _say_stretch(low: int | None, high: int | None) -> str:
    if low is None:
        return "is any number" if high is None else f"is at most {value_text(high)}"
    if high is None:
        return f"is at least {value_text(low)}"
    if low == high:
        return f"is {value_text(low)}"
    return f"is between {value_text(low)} and {value_text(high)}"


def _say_set(value: frozenset[str], start: frozenset[str] | None, tests: Sequence[Test]) -> str:
    """What a set has, and lacks, that rules test; of a known one only what is changed."""
    members = {str(member) for test in tests for member in test.values}
    told = members if start is None else value ^ start
    has, lacks = sorted(told & value), sorted(told - value)
    words = [f"has {listed([f'`{m}`' for m in has], 'and')}"] if has else []
    words += [f"lacks {listed([f'`{m}`' for m in lacks], 'and')}"] if lacks else []
    return listed(words, "and")


def _say_text(value: Fact | None, patterns: frozenset[str]) -> str:
    if value is None:
        return "is absent"
    if value in patterns:
        return f"`{value}`"
    matching = [f"`{each}`" for each in _shapes(str(value)) if each in patterns]
    return f"matches {listed(matching, 'and')}" if matching else "is none that these rules name"


def _shapes(text: str) -> list[str]:
    """Every pattern that a text matches, but itself: a few more than it has characters."""
    ends = [f"*{text[at:]}" for at in range(len(text))]
    starts = [f"{text[:at]}*" for at in range(1, len(text) + 1)]
    return ["*", *ends, *starts]
