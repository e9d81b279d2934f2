"""Values of a file remember where they stand, to the character."""

import pytest

from policies.diagnostics import Span
from policies.nodes import TO_THE_END, Fields, Items, Keys, Leaf, Page, packed

PAGE = Page("x.yaml", ["inbond: 1", "policy: acme", ""])


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (packed(1, 8, 12), Span("x.yaml", 2, 9, 4, "policy: acme")),
        (packed(1, 8, TO_THE_END), Span("x.yaml", 2, 9, 4, "policy: acme")),
        (packed(0, 3, 3), Span("x.yaml", 1, 4, 1, "inbond: 1")),
        (packed(0, 50, 60), Span("x.yaml", 1, 10, 1, "inbond: 1")),
        (packed(7, 2, 3), Span("x.yaml", 3, 1, 1, "")),
    ],
)
def test_a_place_is_a_stretch_of_its_line(at: int, expected: Span) -> None:
    """It ends with its line at the latest, is never empty, and never lies behind the text."""
    assert PAGE.span(at) == expected


def test_every_node_says_where_it_stands() -> None:
    """A scalar, a list and a mapping start where they were packed."""
    at = packed(1, 0, 6)
    leaf = Leaf("acme", "acme", PAGE, packed(1, 8, 12))
    assert leaf.span.column == 9
    assert Items([leaf], PAGE, at).span == Fields({}, Keys(PAGE, {}), PAGE, at).span


def test_keys_say_where_each_key_stands() -> None:
    """They are a mapping of names to places, in the order of the file."""
    keys = Keys(PAGE, {"inbond": packed(0, 0, 6), "policy": packed(1, 0, 6)})
    assert list(keys) == ["inbond", "policy"]
    assert len(keys) == 2
    assert (keys["policy"].line, keys["policy"].width) == (2, 6)
    with pytest.raises(KeyError):
        keys["party"]
