"""What the policies say at a gate: the verdict and everything it rests on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, assert_never

from policies.model import Cite, Duty, Effect, Fact, Gate, Layer, Place

__all__ = ["Action", "Decision", "Hit", "Missing", "Moment", "Ruling"]


class Action(StrEnum):
    """What follows from a verdict at a gate (style §2)."""

    FORWARD = "forward"
    REFUSE = "refuse"
    ADMIT = "admit"
    HOLD_BACK = "hold back"
    EXCLUDE = "exclude"
    RELEASE = "release"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """An instant and the facts as they were known then; an absent fact is unknown."""

    at: datetime
    facts: Mapping[str, Fact]


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A fact whose value could change the verdict, and who can supply it."""

    fact: str
    supplied_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One rule that matched, surely or possibly."""

    rule: str
    effect: Effect
    is_sure: bool
    is_shadow: bool
    lifted_by: str | None
    because: str
    fix: str
    cites: tuple[Cite, ...]
    where: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What the policies say of one combination of matching rules, whatever facts made them match.

    Traffic repeats itself, so the engine gives one ruling to many decisions.
    """

    verdict: Effect
    by: tuple[str, ...]
    """Sorted ids of the rules that set the verdict."""
    silent: tuple[Layer, ...]
    hits: tuple[Hit, ...]
    grants: tuple[str, ...]
    """Sorted ids of the grants that lifted a matching rule or spoke for a layer."""
    duties: tuple[Duty, ...]
    """The union over the permits that count; empty unless the verdict is permit."""

    def __hash__(self) -> int:
        # What tells most rulings apart: hashing every hit would cost more than deciding.
        return hash((self.verdict, self.by, self.silent))


class Decision(NamedTuple):
    """One decision; immutable, the same for the same bundle, facts and instants."""

    gate: Gate
    bundle: str
    """sha256 (hex) of the policy bundle."""
    meaning: str
    """sha256 (hex) of the compiled rules: edits of comments do not change it."""
    exchange_at: datetime
    today_at: datetime
    ruling: Ruling
    missing: tuple[Missing, ...] = ()

    @property
    def verdict(self) -> Effect:
        """What the policies say."""
        return self.ruling.verdict

    @property
    def by(self) -> tuple[str, ...]:
        """Sorted ids of the rules that set the verdict."""
        return self.ruling.by

    @property
    def silent(self) -> tuple[Layer, ...]:
        """The layers for which nothing that can match speaks."""
        return self.ruling.silent

    @property
    def hits(self) -> tuple[Hit, ...]:
        """Every rule that matched on a clock, by id."""
        return self.ruling.hits

    @property
    def grants(self) -> tuple[str, ...]:
        """Sorted ids of the grants that lifted a matching rule or spoke for a layer."""
        return self.ruling.grants

    @property
    def duties(self) -> tuple[Duty, ...]:
        """The union over the permits that count; empty unless the verdict is permit."""
        return self.ruling.duties

    @property
    def action(self) -> Action:
        """What follows at this gate."""
        permits = self.verdict is Effect.PERMIT
        match self.gate:
            case Gate.REQUEST:
                return Action.FORWARD if permits else Action.REFUSE
            case Gate.RESPONSE | Gate.DATASET:
                if permits:
                    return Action.ADMIT
                return Action.HOLD_BACK if self.verdict is Effect.REVIEW else Action.EXCLUDE
            case Gate.RELEASE:
                return Action.RELEASE if permits else Action.REFUSE
            case _:
                assert_never(self.gate)
