"""One `grant`, `student` or `test` file as a linked value.

They are read after all policies, against what they link to.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from policies.conditions import Reader
from policies.diagnostics import Findings, nearest, quoted
from policies.facts import CATALOGUE
from policies.model import (
    Case,
    Effect,
    Fact,
    Gate,
    Grant,
    Layer,
    Rule,
    Student,
    Suite,
)
from policies.nodes import Fields, Items, Leaf, Node
from policies.rules import check_window, gates_of, leaves, window_of
from policies.shapes import (
    GrantShape,
    StudentShape,
    SuiteShape,
    read_shape,
)

__all__ = ["Links", "read_grant", "read_student", "read_suite"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """What grants, students and suites refer to."""

    organisation: str
    rules: Mapping[str, Rule] = field(default_factory=dict)
    parties: Mapping[str, frozenset[Layer]] = field(default_factory=dict)
    """The layers each party speaks for."""
    counters: frozenset[str] = frozenset()
    approvals: frozenset[str] = frozenset()
    revoked: frozenset[str] = frozenset()

    def approves(self, digest: str) -> bool:
        """Whether a file of this sha256 is approved and not revoked."""
        return digest in self.approvals and digest not in self.revoked


def read_grant(root: Fields, digest: str, links: Links, findings: Findings) -> Grant | None:
    """The grant of a file of this sha256; None, and findings, where it cannot be read."""
    shape = read_shape(GrantShape, root, findings)
    if shape is None:
        return None
    for leaf in leaves(root.values.get("lifts")):
        _check_lift(shape.party, leaf, links, findings)
    layers = links.parties.get(shape.party, frozenset())
    _check_permits(shape, root, layers, findings)
    check_window(shape.in_force, root.values["in_force"], findings, needs_start=True)
    if shape.party == links.organisation and shape.in_force.until is None:
        findings.error(
            "no-end",
            f"a grant by {quoted(shape.party)} itself has no end",
            root.keys["in_force"],
            "add `until`: an exception of our own always ends",
        )
    reader = Reader(findings=findings, counters=links.counters)
    return Grant(
        id=shape.grant,
        digest=digest,
        party=shape.party,
        lifts=frozenset(shape.lifts),
        permits=gates_of(shape.permits),
        layers=layers,
        scope=reader.condition(root.values.get("scope"), key="scope"),
        in_force=window_of(shape.in_force),
        as_of=shape.as_of,
        owner=shape.owner,
        because=shape.because,
        is_approved=digest in links.approvals,
        is_revoked=digest in links.revoked,
        where=root.keys["grant"].place,
    )


def _check_lift(party: str, leaf: Leaf, links: Links, findings: Findings) -> None:
    rule = links.rules.get(leaf.raw)
    if rule is None:
        _unknown_rule(leaf, links, findings)
    elif rule.party != party:
        findings.error(
            "wrong-party",
            f"{quoted(party)} cannot lift a rule that {quoted(rule.party)} imposes ({quoted(rule.id)})",
            leaf.span,
            f"a grant from {quoted(rule.party)} is needed",
        )


def _check_permits(
    shape: GrantShape, root: Fields, layers: frozenset[Layer], findings: Findings
) -> None:
    if not shape.lifts and not shape.permits:
        findings.error(
            "empty-grant",
            f"the grant {quoted(shape.grant)} lifts and permits nothing",
            root.keys["grant"],
            "name the rules under `lifts`, or the gates under `permits`",
        )
    if shape.permits and not layers - {Layer.ORGANISATION}:
        findings.error(
            "wrong-party",
            f"{quoted(shape.party)} speaks for no host, router or model, so it can permit nothing",
            root.keys["permits"],
            "name the party of the policy whose silence this grant ends",
        )


def read_student(root: Fields, digest: str, links: Links, findings: Findings) -> Student | None:
    """The student that a file of this sha256 declares; None, and findings, where it cannot be read."""
    shape = read_shape(StudentShape, root, findings)
    if shape is None:
        return None
    reader = Reader(findings=findings)
    facts: dict[str, Fact] = {}
    for key, node in root.values.items():
        spec = CATALOGUE.get(f"student.{key}")
        value = None if spec is None else reader.value(spec, node)
        if spec is not None and value is not None:
            facts[spec.name] = value
    declared = facts.get("student.competes_with")
    competes = declared if isinstance(declared, frozenset) else None
    if competes is not None:
        _check_parties(root, links, findings)
        if not links.approves(digest):
            del facts["student.competes_with"]
            findings.warning(
                "not-approved",
                f"what {quoted(shape.student)} competes with is not approved, so it counts as unknown",
                root.keys["competes_with"],
                "have somebody else approve this file: `inbond policy approve`",
            )
    return Student(
        id=shape.student,
        digest=digest,
        owner=shape.owner,
        facts=facts,
        declared_competes_with=competes,
        where=root.keys["student"].place,
    )


def _check_parties(root: Fields, links: Links, findings: Findings) -> None:
    for leaf in leaves(root.values["competes_with"]):
        if leaf.raw not in links.parties:
            same = [party for party in links.parties if party.casefold() == leaf.raw.casefold()]
            hint = f"did you mean {quoted(same[0])}?" if same else nearest(leaf.raw, links.parties)
            findings.warning(
                "unknown-party",
                f"{quoted(leaf.raw)} is the party of no policy",
                leaf.span,
                hint or "write it as policies write their `party`",
            )


def read_suite(root: Fields, links: Links, findings: Findings) -> Suite | None:
    """The test cases of a file; None, and findings, where it cannot be read."""
    shape = read_shape(SuiteShape, root, findings)
    if shape is None:
        return None
    nodes = root.values["cases"]
    assert isinstance(nodes, Items)  # noqa: S101 - its shape was checked
    given = _Given(links, findings)
    shared = given.read(root.values.get("given"))
    cases = []
    for case, node in zip(shape.cases, nodes.items, strict=True):
        assert isinstance(node, Fields)  # noqa: S101 - its shape was checked
        own = given.read(node.values.get("given"))
        exchange = own.exchange or shared.exchange
        today = own.today or shared.today
        if exchange is None or today is None:
            findings.error(
                "missing-key",
                f"the case {quoted(case.name)} says no `at`",
                node.values["name"].span,
                "add `at: {exchange: DATE, today: DATE}` under `given`",
            )
            continue
        for key in ("by", "lifted"):
            for leaf in leaves(node.values.get(key)):
                if leaf.raw not in links.rules:
                    _unknown_rule(leaf, links, findings)
        for leaf in leaves(node.values.get("missing")):
            given.reader.name(leaf.raw, leaf.span)
        cases.append(
            Case(
                name=case.name,
                gate=Gate(case.gate),
                facts={**shared.facts, **own.facts},
                exchange_at=exchange,
                today_at=today,
                expect=Effect(case.expect),
                by=_set(case.by),
                silent=None if case.silent is None else frozenset(map(Layer, case.silent)),
                missing=_set(case.missing),
                lifted=_set(case.lifted),
                duties=_set(case.duties),
                where=node.values["name"].span.place,
            )
        )
    return Suite(id=shape.test, cases=tuple(cases), where=root.keys["test"].place)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What a `given` says."""

    facts: Mapping[str, Fact] = field(default_factory=dict)
    exchange: datetime | None = None
    today: datetime | None = None


class _Given:
    """Reads `given`: facts, and the two instants under `at`."""

    def __init__(self, links: Links, findings: Findings) -> None:
        self._findings = findings
        self.reader = Reader(findings=findings, counters=links.counters)

    def read(self, node: Node | None) -> _Facts:
        if node is None:
            return _Facts()
        if not isinstance(node, Fields):
            self._findings.error(
                "wrong-type", "`given` takes a mapping", node.span, "write `fact: value` lines"
            )
            return _Facts()
        exchange, today = self._at(node.values.get("at"))
        facts = self.reader.facts(node, skip=("at",))
        return _Facts(facts=facts, exchange=exchange, today=today)

    def _at(self, node: Node | None) -> tuple[datetime | None, datetime | None]:
        """The instants of the exchange and of today; one date alone is both."""
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
        if isinstance(node, Leaf) and isinstance(node.value, datetime):
            return node.value
        self._bad_at(node)
        return None

    def _bad_at(self, node: Node) -> None:
        self._findings.error(
            "bad-value", "`at` takes dates", node.span, "write `at: {exchange: DATE, today: DATE}`"
        )


def _unknown_rule(leaf: Leaf, links: Links, findings: Findings) -> None:
    findings.error(
        "unknown-rule",
        f"{quoted(leaf.raw)} is not a rule",
        leaf.span,
        nearest(leaf.raw, links.rules) or "write a full rule id: `policy/rule`",
    )


def _set(words: Iterable[str] | None) -> frozenset[str] | None:
    return None if words is None else frozenset(words)
