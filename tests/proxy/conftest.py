"""What holds for the tests of the proxy."""

from collections.abc import Iterator
from functools import lru_cache

import pytest

import policies.bundle
import proxy.inforce
from policies.bundle import Bundle, bundle_of

_MOST_BUNDLES = 16


@pytest.fixture(scope="package", autouse=True)
def bundles_are_made_once() -> Iterator[None]:
    """The same documents make the same bundle, which is immutable: making it again would cost the most.

    The tests of the policies themselves, and every process that is started, make theirs anew.
    """

    @lru_cache(_MOST_BUNDLES)
    def made(
        documents: tuple[tuple[str, str], ...],
        organisation: str,
        approvals: frozenset[str],
        revoked: frozenset[str],
    ) -> Bundle:
        return bundle_of(
            dict(documents), organisation=organisation, approvals=approvals, revoked=revoked
        )

    def kept(
        documents: dict[str, str],
        *,
        organisation: str,
        approvals: frozenset[str] = frozenset(),
        revoked: frozenset[str] = frozenset(),
    ) -> Bundle:
        return made(tuple(sorted(documents.items())), organisation, approvals, revoked)

    with pytest.MonkeyPatch.context() as patch:
        for user in (policies.bundle, proxy.inforce):
            patch.setattr(user, "bundle_of", kept)
        yield
