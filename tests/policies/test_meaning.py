"""The digest of what policies mean, and the canonical form under it."""

import hashlib

import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from policies.meaning import canonical, meaning_of, sha256_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(max_codepoint=127), max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(value=JSON)
def test_canonical_agrees_with_rfc8785(value: object) -> None:
    """The canonical text is that of RFC 8785 where keys are ASCII and numbers are small integers."""
    assert canonical(value).encode() == rfc8785.dumps(value)  # type: ignore[arg-type] # JSON by construction


def test_digests_are_of_the_canonical_text() -> None:
    """A digest is the sha256 of the canonical text, also where there is nothing."""
    assert sha256_of({"b": 1, "a": None}) == hashlib.sha256(b'{"a":null,"b":1}').hexdigest()
    assert meaning_of([], []) == sha256_of({"grants": [], "rules": []})
