"""How a clause moves: what is seen from day to day, and when that counts as a change.

Pages flap: a layout experiment, a region, a half-loaded page. So a changed clause is only suspected
until the same new words were there for seven days; then it is confirmed, and waits for a person who
reads it. No state changes a verdict: it says which rules to read again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

__all__ = ["LASTING", "Drift", "Sighting", "State", "follow"]

LASTING = timedelta(days=7)
"""How long the same new words must stand before they count."""


class State(StrEnum):
    """What is known of a clause since it was last read."""

    CURRENT = "current"
    SUSPECTED = "suspected"
    CONFIRMED = "confirmed"
    REVIEWED = "reviewed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A clause as a snapshot shows it, or a person's word that these words were read.

    `until` is how long they are known to have stood: a page fetched once shows an instant, a version
    in an archive the time to its successor. A clause that is gone has an empty digest.
    """

    at: datetime
    until: datetime
    digest: str
    is_review: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Where a clause stands. `since` is when this state began, `flaps` counts changes taken back."""

    state: State
    since: datetime
    accepted: str
    """The digest of the words that rules rest on: those first seen, or last reviewed."""
    seen: str
    """The digest of the words seen last."""
    flaps: int = 0


def follow(sightings: Iterable[Sighting]) -> Drift | None:
    """Where a clause stands after all that was seen of it; None where it was never seen."""
    drift: Drift | None = None
    for each in sorted(sightings, key=lambda one: (one.at, one.is_review)):
        drift = _after(drift, each)
    return drift


def _after(before: Drift | None, each: Sighting) -> Drift:
    if before is None:
        state = State.REVIEWED if each.is_review else State.CURRENT
        return Drift(state=state, since=each.at, accepted=each.digest, seen=each.digest)
    if each.is_review:
        state, accepted, since = State.REVIEWED, each.digest, each.at
        if before.seen != each.digest:  # what was read is not what stands there by now
            state, since = State.SUSPECTED, before.since
        return _moved(before, state, since, accepted=accepted)
    if each.digest == before.accepted:
        return _back(before, each)
    is_new = each.digest != before.seen or before.state in {State.CURRENT, State.REVIEWED}
    since = each.at if is_new else before.since
    if before.state is State.CONFIRMED and not is_new:
        return before
    if each.until - since >= LASTING:
        return _moved(before, State.CONFIRMED, since + LASTING, seen=each.digest)
    if before.state is State.CONFIRMED:  # it moved on: that something changed stays confirmed
        return _moved(before, State.CONFIRMED, before.since, seen=each.digest)
    return _moved(before, State.SUSPECTED, since, seen=each.digest)


def _back(before: Drift, each: Sighting) -> Drift:
    if before.state in {State.CURRENT, State.REVIEWED}:
        return before
    return Drift(
        state=State.CURRENT,
        since=each.at,
        accepted=before.accepted,
        seen=each.digest,
        flaps=before.flaps + 1,
    )


def _moved(
    before: Drift,
    state: State,
    since: datetime,
    *,
    seen: str | None = None,
    accepted: str | None = None,
) -> Drift:
    return Drift(
        state=state,
        since=since,
        accepted=before.accepted if accepted is None else accepted,
        seen=before.seen if seen is None else seen,
        flaps=before.flaps,
    )
