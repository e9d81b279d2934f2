"""Who operates each contract that a call may name."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from policies.diagnostics import nearest
from proxy.errors import ProxyError
from proxy.providers import packaged_entries

__all__ = ["operators", "routes_of"]


@cache
def operators() -> Mapping[str, str]:
    """The provider of each contract of the packaged registry; one's own teachers are `self-hosted`."""
    document = files("proxy").joinpath("providers.yaml").read_text(encoding="utf-8")
    return MappingProxyType({entry.route: entry.provider for entry in packaged_entries(document)})


def routes_of(provider: str) -> frozenset[str]:
    """The contracts of a provider; a contract's own name gives itself.

    Raises:
        ProxyError: there is no such provider.
    """
    known = {**operators(), "self-hosted": "self-hosted", "unlisted": "unlisted"}
    found = {route for route, name in known.items() if provider in (route, name)}
    if not found:
        raise ProxyError(
            f"there is no provider `{provider}`",
            help=nearest(provider, {*known, *known.values()}) or "see docs/reference/teachers.md",
            code="no-provider",
        )
    return frozenset(found)
