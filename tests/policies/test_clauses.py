"""Clauses: found by the labels that citations use, and compared by their words alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.clauses import Text

AGREEMENT = """\
# Services agreement
This is read by machines.

**3\\. Restrictions**

3.3 Customer will not: (a) resell; (b) share keys (see 3.1(a)); (c) build “rival” models; and (d) scrape.

#### 17\\. Definitions
"Permitted Exception" means (a) to [classify](https://example.org) or (b) to tune.
"""
LICENCE = """\
1. Grant
  a. Rights
  b. Redistribution
    i. Keep the name
    ii. Keep the notice
    v. Improve no other model
  c. More
2. Users
"""


@pytest.mark.parametrize(
    ("text", "locator", "words"),
    [
        (AGREEMENT, "3.3(c)", 'build "rival" models; and'),
        (AGREEMENT, "3.3 (c)", 'build "rival" models; and'),
        (AGREEMENT, "Section 3.3(d)", "scrape."),
        (AGREEMENT, "17 (Permitted Exception (a))", None),
        (AGREEMENT, "17(a)", "to classify or"),
        (AGREEMENT, "Permitted Exception", '"Permitted Exception" means'),
        (LICENCE, "1.b.v", "Improve no other model"),
        (LICENCE, "1.b", "Redistribution Keep the name Keep the notice Improve no other model"),
        (LICENCE, "2", "Users"),
    ],
)
def test_a_citation_finds_its_clause(text: str, locator: str, words: str | None) -> None:
    """By number and letters, however they are written; a clause holds the clauses inside it."""
    found = Text(text).clause(locator)
    assert found is not None
    assert words is None or found.words == words


def test_the_nearest_enclosing_clause_is_meant_where_a_label_is_not_there() -> None:
    """A citation finer than the text's labels is followed by what is around it."""
    found = Text(AGREEMENT).clause("3.3(z)")
    assert found is not None
    assert found.label == ("3", "3")


@pytest.mark.parametrize("locator", ["50.5", "", "Output ownership", "§"])
def test_a_clause_that_is_not_there(locator: str) -> None:
    """No guess is made: whoever asks follows the whole text instead."""
    assert Text(AGREEMENT).clause(locator) is None


def test_a_reference_is_no_list() -> None:
    """One letter in brackets points somewhere; only letters in order from (a) cut a sentence."""
    assert Text("1. As in (a) above, and (c).").clauses == {("1",): "As in (a) above, and (c)."}


@pytest.mark.parametrize(
    "other",
    [
        AGREEMENT.replace("“rival”", '"rival"'),
        AGREEMENT.replace("**3\\. Restrictions**", "### 3. Restrictions"),
        AGREEMENT.replace("https://example.org", "https://example.org/moved"),
        AGREEMENT.replace(" models", "   models"),
        AGREEMENT.replace("\n", "\r\n"),
    ],
)
def test_layout_is_no_change(other: str) -> None:
    """Markup, links, quotation marks and white space change no digest."""
    ours, theirs = Text(AGREEMENT), Text(other)
    assert ours.words == theirs.words
    for locator in ("3.3(c)", "17(a)"):
        assert ours.clause(locator) == theirs.clause(locator)


def test_a_word_is_a_change() -> None:
    """One word more is another digest, of that clause and of those around it alone."""
    before = Text(AGREEMENT)
    after = Text(AGREEMENT.replace("rival", "similar or rival"))
    changed = {
        locator
        for locator in ("3", "3.3(a)", "3.3(c)", "17")
        if before.clause(locator) != after.clause(locator)
    }
    assert changed == {"3", "3.3(c)"}


@given(st.text(max_size=400), st.text(max_size=20))
def test_any_text_has_clauses(content: str, locator: str) -> None:
    """No text breaks it, and the clauses of a text hold all of its words in order."""
    text = Text(content)
    text.clause(locator)
    assert sorted(" ".join(text.clauses.values()).split()) == sorted(text.words.split())
