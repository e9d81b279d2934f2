"""The public names of the package."""

import policies


def test_public_names_are_sorted_few_and_there() -> None:
    """`__all__` is sorted, has at most twelve names, and each of them exists."""
    assert policies.__all__ == sorted(policies.__all__)
    assert len(policies.__all__) <= 12
    assert all(hasattr(policies, name) for name in policies.__all__)
