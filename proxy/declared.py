"""What the organisation declares of itself and of its accounts: facts that no wire states. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from policies.model import Fact
from proxy.settings import Settings

__all__ = ["Declared", "declared_in"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """Declared facts; what is not declared is left out, and so unknown."""

    organisation: Mapping[str, Fact] = field(default_factory=lambda: MappingProxyType({}))
    tiers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """By the id of the account."""

    def of(self, account_id: str | None) -> dict[str, Fact]:
        """The facts declared of a call of this account."""
        tier = None if account_id is None else self.tiers.get(account_id)
        return (
            {**self.organisation} if tier is None else {**self.organisation, "account.tier": tier}
        )


def declared_in(settings: Settings) -> Declared:
    """What the settings declare."""
    said: dict[str, Fact | None] = {
        "org.country": settings.org.country,
        "org.revenue_usd": settings.org.revenue_usd,
    }
    return Declared(
        organisation={name: fact for name, fact in said.items() if fact is not None},
        tiers={name: account.tier for name, account in settings.accounts.items()},
    )
