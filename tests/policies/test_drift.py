"""Drift: a change is suspected at once, confirmed when it lasts, and settled by a person alone."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.drift import LASTING, Drift, Sighting, State, follow

START = datetime(2026, 1, 1, tzinfo=UTC)


def day(number: float) -> datetime:
    """Days after the first sighting."""
    return START + timedelta(days=number)


def seen(at: float, digest: str, *, until: float | None = None) -> Sighting:
    """Words seen on a day, or from one day to another."""
    return Sighting(at=day(at), until=day(at if until is None else until), digest=digest)


def read(at: float, digest: str) -> Sighting:
    """A person read these words on a day."""
    return Sighting(at=day(at), until=day(at), digest=digest, is_review=True)


def followed(*sightings: Sighting) -> Drift:
    """Where it stands after these."""
    drift = follow(sightings)
    assert drift is not None
    return drift


@pytest.mark.parametrize(
    ("sightings", "state"),
    [
        ([seen(0, "a")], State.CURRENT),
        ([seen(0, "a"), seen(90, "a")], State.CURRENT),
        ([seen(0, "a"), seen(1, "b")], State.SUSPECTED),
        ([seen(0, "a"), seen(1, "b"), seen(7.9, "b")], State.SUSPECTED),
        ([seen(0, "a"), seen(1, "b"), seen(8, "b")], State.CONFIRMED),
        ([seen(0, "a"), seen(1, "b", until=8)], State.CONFIRMED),
        ([seen(0, "a"), seen(1, "b", until=7.9)], State.SUSPECTED),
        ([seen(0, "a"), seen(1, "b"), seen(2, "a")], State.CURRENT),
        ([seen(0, "a"), seen(1, "b"), seen(5, "c"), seen(9, "c")], State.SUSPECTED),
        ([seen(0, "a"), seen(1, "b", until=9), seen(10, "c")], State.CONFIRMED),
        ([seen(0, "a"), seen(1, "b", until=9), seen(10, "a")], State.CURRENT),
        ([seen(0, "a"), seen(1, "b", until=9), read(10, "b")], State.REVIEWED),
        ([seen(0, "a"), seen(1, "b", until=9), read(10, "b"), seen(50, "b")], State.REVIEWED),
        ([seen(0, "a"), seen(1, "b", until=9), read(10, "b"), seen(50, "a")], State.SUSPECTED),
        ([seen(0, "a"), seen(1, ""), seen(9, "")], State.CONFIRMED),
        ([read(0, "a"), seen(1, "a")], State.REVIEWED),
    ],
)
def test_the_state_after_what_was_seen(sightings: list[Sighting], state: State) -> None:
    """Every way from state to state; a clause that is gone is a change like any other."""
    assert followed(*sightings).state is state


def test_flaps_are_counted_and_change_nothing() -> None:
    """A page that goes back and forth is current each time it is back."""
    drift = followed(*(seen(n, "ab"[n % 2]) for n in range(21)))
    assert (drift.state, drift.flaps, drift.accepted) == (State.CURRENT, 10, "a")


def test_a_review_of_other_words_settles_nothing() -> None:
    """What changed again while it was read waits to be read again."""
    drift = followed(seen(0, "a"), seen(1, "b", until=9), seen(10, "c"), read(11, "b"))
    assert (drift.state, drift.accepted, drift.seen) == (State.SUSPECTED, "b", "c")


def test_since_names_the_day_of_the_state() -> None:
    """A suspicion begins with the first sighting, a confirmation seven days later."""
    assert followed(seen(0, "a"), seen(3, "b"), seen(5, "b")).since == day(3)
    assert followed(seen(0, "a"), seen(3, "b"), seen(30, "b")).since == day(3) + LASTING


def test_nothing_seen() -> None:
    """No sighting, no state."""
    assert follow([]) is None


@given(st.lists(st.tuples(st.integers(0, 60), st.sampled_from("abc"))), st.randoms())
def test_the_order_of_import_does_not_matter(days: list[tuple[int, str]], random: object) -> None:
    """Snapshots imported later for earlier days give the same state; one text a day."""
    sightings = [seen(at, digest) for at, digest in dict(days).items()]
    shuffled = list(sightings)
    random.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis gives a random.Random
    assert follow(shuffled) == follow(sightings)


@given(st.lists(st.tuples(st.integers(0, 300), st.sampled_from("ab")), min_size=1))
def test_only_words_that_lasted_are_confirmed(days: list[tuple[int, str]]) -> None:
    """Confirmed means: some change stood at both ends of at least seven days without a way back."""
    sightings = [seen(at, digest) for at, digest in sorted(dict(days).items())]
    drift = followed(*sightings)
    runs: list[list[Sighting]] = []
    for one in sightings:
        if runs and runs[-1][-1].digest == one.digest:
            runs[-1].append(one)
        else:
            runs.append([one])
    last = runs[-1]
    lasted = last[-1].at - last[0].at >= LASTING and last[0].digest != sightings[0].digest
    assert (drift.state is State.CONFIRMED) is lasted
