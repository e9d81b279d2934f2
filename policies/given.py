"""Facts that somebody wrote down to ask about: what a file of `fact: value` lines says.

It reads as `given` of a test case does: facts of the catalogue, and under `at` one date for both
clocks or `{exchange: DATE, today: DATE}`. JSON reads as well: its dates stand in quotes.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from policies.conditions import Reader
from policies.diagnostics import Findings, PolicyError, Span, nearest, quoted
from policies.model import Fact
from policies.nodes import Fields, Leaf, Node
from policies.source import decode, parse

__all__ = ["Given", "read_given"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The facts of a file, and its instants where it names any."""

    facts: Mapping[str, Fact]
    exchange: datetime | None
    today: datetime | None


def read_given(name: str, data: bytes, counters: Collection[str] = ()) -> Given:
    """The facts and instants of a file's bytes; `counters` are the names that may be given.

    Raises:
        PolicyError: it carries every error found, each with its place.
    """
    findings = Findings()
    text = decode(name, data, findings)
    root = None if text is None else _mapping(name, text, findings)
    findings.stop()
    assert root is not None  # noqa: S101 - or there was a finding
    instants = _Instants(findings)
    exchange, today = instants.read(root.values.get("at"))
    facts = Reader(findings=findings, counters=counters).facts(root, skip=("at",))
    findings.stop()
    return Given(facts=facts, exchange=exchange, today=today)


def _mapping(name: str, text: str, findings: Findings) -> Fields | None:
    found = Findings()
    root = parse(name, text, found)
    try:
        found.stop()
    except PolicyError as error:
        for each in error.diagnostics:
            # What is said of a policy file that is none does not fit here.
            is_none = each.code == "kind"
            message = "facts are a mapping" if is_none else each.message
            fix = "write `fact: value` lines" if is_none else each.help
            findings.error(each.code, message, each.span, fix)
    return root


class _Instants:
    """Reads `at`."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    def read(self, node: Node | None) -> tuple[datetime | None, datetime | None]:
        """The instants of the exchange and of today; one date alone is both."""
        if node is None:
            return None, None
        if not isinstance(node, Fields):
            both = self._instant(node)
            return both, both
        for name in node.values.keys() - {"exchange", "today"}:
            self._findings.error(
                "unknown-key",
                f"{quoted(name)} is not a key of `at`",
                node.keys[name],
                nearest(name, ("exchange", "today")) or "write `at: {exchange: DATE, today: DATE}`",
            )
        return self._instant(node.values.get("exchange")), self._instant(node.values.get("today"))

    def _instant(self, node: Node | None) -> datetime | None:
        if node is None:
            return None
        value = node.value if isinstance(node, Leaf) else None
        if isinstance(value, str):
            value = _quoted(value)
        if isinstance(value, datetime):
            return value
        self._bad(node.span)
        return None

    def _bad(self, span: Span) -> None:
        self._findings.error(
            "bad-value",
            "`at` takes dates",
            span,
            "write `at: DATE`, or `at: {exchange: DATE, today: DATE}`",
        )


def _quoted(text: str) -> datetime | None:
    """The instant of a date in quotes, midnight UTC where it names no time."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
