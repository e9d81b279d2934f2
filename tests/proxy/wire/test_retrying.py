"""Claims on tries after the first, and on the wait that a provider asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.exchange import Json, RequestHead, ResponseHead, TeacherError
from proxy.wire.retrying import retries_of, retry_delay_s, with_retry_after

NO = TeacherError(message="no")


def _asked(*headers: tuple[str, str]) -> RequestHead:
    return RequestHead(method="POST", path="/v1/chat/completions", headers=headers)


@pytest.mark.parametrize(
    ("name", "said", "retries"),
    [
        ("x-stainless-retry-count", "0", 0),
        ("x-stainless-retry-count", "2", 2),
        ("x-stainless-retry-count", "-1", None),
        ("x-stainless-retry-count", "1" * 9, None),
        ("x-stainless-retry-count", "\u0662", None),
        ("amz-sdk-request", "attempt=1", 0),
        ("amz-sdk-request", "attempt=2; max=3", 1),
        ("amz-sdk-request", "attempt=0", 0),
        ("amz-sdk-request", "attempt=2x", None),
        ("amz-sdk-request", "ttl=1; attempt=2", None),
        ("user-agent", "2", None),
    ],
)
def test_a_try_is_the_one_its_sdk_says(name: str, said: str, retries: int | None) -> None:
    """OpenAI's SDKs and their kin count the tries before, Amazon's name this one."""
    assert retries_of(_asked((name, said))) == retries


@given(
    said=st.text(max_size=12), name=st.sampled_from(["x-stainless-retry-count", "amz-sdk-request"])
)
def test_any_header_is_a_count_or_unknown(said: str, name: str) -> None:
    """Whatever stands in the header, it is a small count or nothing."""
    found = retries_of(_asked((name, said)))
    assert found is None or 0 <= found < 1_000_000


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ((("retry-after", "8"),), 8.0),
        ((("retry-after", " 1.5 "),), 1.5),
        ((("retry-after", "1"), ("retry-after-ms", "250")), 0.25),
        ((("retry-after", "1"), ("retry-after-ms", "0")), 1.0),
        ((("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"),), None),
        ((("retry-after", "-1"),), None),
        ((), None),
    ],
)
def test_the_head_says_how_long_to_wait(
    headers: tuple[tuple[str, str], ...], wait: float | None
) -> None:
    """Milliseconds before seconds; a date or nonsense says nothing."""
    found = with_retry_after(NO, ResponseHead(status=429, headers=headers))
    assert found == TeacherError(message="no", retry_after_s=wait)


@pytest.mark.parametrize(
    ("fault", "wait"),
    [
        ({"details": [{"@type": "x"}, {"@type": "RetryInfo", "retryDelay": "8.5s"}]}, 8.5),
        ({"details": [{"retryDelay": "soon"}]}, None),
        ({"details": ["x", {"retryDelay": 8}]}, None),
        ({"details": "x"}, None),
        ({}, None),
    ],
)
def test_google_says_it_in_the_body(fault: dict[str, Json], wait: float | None) -> None:
    """The wait stands among the details of its errors; what the head says counts more."""
    assert retry_delay_s(fault) == wait


def test_what_the_body_says_stays_where_the_head_is_silent() -> None:
    """A head without a wait takes none away."""
    said = TeacherError(message="no", retry_after_s=8.5)
    assert with_retry_after(said, ResponseHead(status=429)) == said
