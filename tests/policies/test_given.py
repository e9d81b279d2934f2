"""Facts that somebody wrote down: read as test cases are, and told where they are wrong."""

from datetime import UTC, datetime

import pytest

from policies.diagnostics import PolicyError
from policies.given import Given, read_given

JULY = datetime(2026, 7, 1, tzinfo=UTC)
NOVEMBER = datetime(2026, 11, 24, tzinfo=UTC)


def read(text: str) -> Given:
    """The facts of a text; `per-day` is a counter."""
    return read_given("facts.yaml", text.encode(), ["per-day"])


def test_facts_read_as_in_a_test_case() -> None:
    """Facts of each type, a counter, and two instants."""
    given = read(
        "route: acme-api\nstudent.competes_with: [Acme]\ncounter.per-day: 50_001\n"
        "request.pii: true\nat: {exchange: 2026-07-01, today: 2026-11-24}\n"
    )
    assert given.facts == {
        "route": "acme-api",
        "student.competes_with": frozenset({"Acme"}),
        "counter.per-day": 50_001,
        "request.pii": True,
    }
    assert (given.exchange, given.today) == (JULY, NOVEMBER)


def test_json_reads_as_well() -> None:
    """JSON has dates in quotes only."""
    given = read('{"route": "acme-api", "at": "2026-07-01"}')
    assert (given.facts, given.exchange, given.today) == ({"route": "acme-api"}, JULY, JULY)
    later = read('{"at": {"today": "2026-11-24T02:00:00+02:00"}}')
    assert (later.exchange, later.today) == (None, NOVEMBER)


def test_no_instant_need_be_named() -> None:
    """Without `at` the caller's clock counts."""
    given = read("route: acme-api\n")
    assert (given.exchange, given.today) == (None, None)


@pytest.mark.parametrize(
    ("text", "code", "place", "message"),
    [
        ("rout: a\n", "unknown-fact", "1:1", "`rout` is not a fact"),
        ("counter.per-month: 1\n", "unknown-fact", "1:1", "`counter.per-month` is not a fact"),
        ("route: a\nrequest.pii: maybe\n", "bad-value", "2:14", "`request.pii` takes"),
        ("at: soon\n", "bad-value", "1:5", "`at` takes dates"),
        ("at: [2026-07-01]\n", "bad-value", "1:5", "`at` takes dates"),
        ("at: {then: 2026-07-01}\n", "unknown-key", "1:6", "`then` is not a key of `at`"),
        ("- route\n", "kind", "1:1", "facts are a mapping"),
        ("", "kind", "1:1", "facts are a mapping"),
        ("route: a\nroute: b\n", "duplicate-key", "2:1", "`route` is given twice"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    text: str, code: str, place: str, message: str
) -> None:
    """Each fault has its code, line and column, and none passes in silence."""
    with pytest.raises(PolicyError) as caught:
        read(text)
    finding = caught.value.diagnostics[0]
    assert (finding.code, str(finding.place)) == (code, f"facts.yaml:{place}")
    assert finding.message.startswith(message)
    assert "inbond: 1" not in finding.help


def test_bytes_that_are_no_text_are_told() -> None:
    """A file in another encoding is refused with the byte."""
    with pytest.raises(PolicyError, match="not UTF-8"):
        read_given("facts.yaml", b"route: \xff\n")
