"""Time, ids and nonces: stamps round-trip, ids are UUIDv7, nothing repeats."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from proxy.clock import new_id, new_nonce, parse_time, stamp, utc_now

INSTANTS = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2200, 1, 1)).map(  # noqa: DTZ001 - made aware below
    lambda at: at.replace(tzinfo=UTC, microsecond=at.microsecond // 1000 * 1000)
)


@given(at=INSTANTS, hours=st.integers(-12, 12))
def test_a_stamp_names_its_instant(at: datetime, hours: int) -> None:
    """A stamp in any zone is read back as the same instant, to the millisecond."""
    text = stamp(at.astimezone(timezone(timedelta(hours=hours))))
    assert parse_time(text) == at
    assert text.endswith("Z")


@given(first=INSTANTS, second=INSTANTS)
def test_stamps_sort_as_instants_do(first: datetime, second: datetime) -> None:
    """Stamps compared as text are in the order of time."""
    assert (stamp(first) < stamp(second)) is (first < second)


def test_a_text_that_is_no_time_is_refused() -> None:
    """What is no ISO 8601 time has no instant."""
    with pytest.raises(ValueError, match="Invalid isoformat"):
        parse_time("yesterday")


@time_machine.travel(datetime(2026, 11, 24, 5, tzinfo=UTC), tick=False)
def test_the_clock_is_the_systems() -> None:
    """The present instant and the time in an id are the system's, in UTC."""
    assert stamp(utc_now()) == "2026-11-24T05:00:00.000Z"
    made = UUID(new_id())
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == int(utc_now().timestamp() * 1000)


def test_nothing_repeats() -> None:
    """A thousand ids and nonces are all different; a nonce has 128 bits."""
    assert len({new_id() for _ in range(1000)}) == 1000
    assert len({new_nonce() for _ in range(1000)}) == 1000
    assert len(bytes.fromhex(new_nonce())) == 16
