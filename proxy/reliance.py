"""What the ledger says about policies: who answered that nobody speaks for, and what rests on a grant.

Both are for people who write policies, and change no verdict.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from policies.bundle import Bundle
from policies.decision import Moment
from policies.engine import decide
from policies.model import Fact, Gate, Grant, Layer
from proxy.enforce import facts_at_response, facts_of_leaf
from proxy.store.session import Database
from proxy.store.sightings import Sighting, admitted_leaves, sightings

__all__ = ["Unspoken", "resting", "unspoken"]

_NAMES = {Layer.HOST: "route", Layer.ROUTER: "router", Layer.MODEL: "model.id"}
"""The fact that names the one a layer speaks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unspoken:
    """A host, router or model whose answers are on record and that no policy speaks for."""

    layer: Layer
    name: str
    exchanges: int
    """How many answers of it were read to their end."""


def unspoken(database: Database, bundle: Bundle, at: datetime) -> tuple[Unspoken, ...]:
    """The silence map: whom on record no policy in force at an instant speaks for, by layer and name.

    Only who answered counts here, whatever else a rule asks: silence is where no rule could match.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with database.read() as connection:
        seen = sightings(connection)
    found: dict[tuple[Layer, str], int] = {}
    for sighting in seen:
        facts = _who(sighting)
        for layer in decide(bundle, Gate.DATASET, Moment(at=at, facts=facts)).silent:
            name = facts.get(_NAMES[layer])
            if isinstance(name, str):
                found[layer, name] = found.get((layer, name), 0) + sighting.exchanges
    return tuple(
        Unspoken(layer=layer, name=name, exchanges=count)
        for (layer, name), count in sorted(found.items())
    )


def _who(sighting: Sighting) -> dict[str, Fact]:
    """The contract, router and model of an exchange, as far as they are known."""
    asked, answered = (json.loads(leaf)["facts"] for leaf in (sighting.call, sighting.end))
    facts = facts_at_response(facts_of_leaf(asked), facts_of_leaf(answered))
    return {name: facts[name] for name in _NAMES.values() if name in facts}


def resting(database: Database, grants: Iterable[Grant]) -> dict[str, int]:
    """How many admitted examples rest on each of these grants, by the grant's id.

    Every leaf is looked through, so this is for a grant or two that somebody has to renew.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    sought = {grant.id: grant.digest.encode() for grant in grants}
    counts = dict.fromkeys(sought, 0)
    if not sought:
        return counts
    with database.read() as connection:
        for leaf in admitted_leaves(connection):
            for name, digest in sought.items():
                counts[name] += digest in leaf
    return counts
