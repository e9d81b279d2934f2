"""Who operates a contract is what the packaged registry says."""

import pytest

from proxy.audit.operators import operators, routes_of
from proxy.errors import ProxyError


def test_a_provider_has_its_contracts() -> None:
    """A provider's name gives all its contracts, a contract's name itself."""
    provider = operators()["openai-api"]
    assert "openai-api" in routes_of(provider)
    assert routes_of("self-hosted") == {"self-hosted"}


def test_an_unknown_provider_is_offered_the_nearest() -> None:
    """A misspelt provider would otherwise give an empty audit."""
    with pytest.raises(ProxyError, match="no provider `openai-ap`") as caught:
        routes_of("openai-ap")
    assert "openai-api" in caught.value.help
