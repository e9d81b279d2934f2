"""One `policy` file as a linked value: its sources, its scope and its rules."""

import hashlib
from collections.abc import Iterable
from datetime import timedelta

from policies.conditions import Reader
from policies.diagnostics import Findings, Span, nearest, quoted
from policies.facts import CATALOGUE, COUNTER_PREFIX, known_at
from policies.meaning import canonical
from policies.model import (
    Cite,
    Condition,
    Counter,
    Duty,
    Effect,
    Gate,
    Layer,
    Policy,
    Rule,
    Source,
    Window,
)
from policies.nodes import Fields, Items, Leaf, Node
from policies.shapes import GATE_WORDS, PolicyShape, RuleShape, SourceShape, WindowShape, read_shape

__all__ = ["check_window", "gates_of", "leaves", "read_policy", "window_of"]

_SCOPE_FACTS = ("route", "router", "model.id")
_WIRE_NAMES = ("model.asked", "model.served")
_EFFECTS = tuple(effect.value for effect in Effect)
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1)}
_LONGEST = timedelta(days=366)
"""The longest time a counter looks back: its tallies are kept as long."""


def read_policy(root: Fields, organisation: str, findings: Findings) -> Policy | None:
    """The policy of a file and its rules; None, and findings, where it cannot be read."""
    shape = read_shape(PolicyShape, root, findings)
    if shape is None:
        return None
    return _PolicyReader(shape, root, findings).read(organisation)


class _PolicyReader:
    """Builds one policy: `shape` holds its values, `root` their places."""

    def __init__(self, shape: PolicyShape, root: Fields, findings: Findings) -> None:
        self._shape = shape
        self._root = root
        self._findings = findings
        self._facts = Reader(findings=findings, counters=frozenset(shape.counters))
        self._layers = frozenset(Layer(word) for word in shape.layer)
        self._scope = self._read_scope()
        self._sources = self._read_sources()

    def read(self, organisation: str) -> Policy:
        shape, root = self._shape, self._root
        self._check_party(organisation)
        return Policy(
            id=shape.policy,
            layers=self._layers,
            party=shape.party,
            owner=shape.owner,
            reviewed=shape.reviewed,
            scope=self._scope,
            sources=self._sources,
            rules=self._read_rules(),
            counters=self._read_counters(),
            as_of=shape.as_of,
            where=root.keys["policy"].place,
        )

    def _check_party(self, organisation: str) -> None:
        if Layer.ORGANISATION not in self._layers:
            return
        if self._layers != {Layer.ORGANISATION}:
            self._findings.error(
                "bad-layer",
                "the layer `organisation` stands alone",
                self._root.keys["layer"],
                "put the organisation's own rules into a file of their own",
            )
        elif self._shape.party != organisation:
            self._findings.error(
                "wrong-party",
                f"{quoted(self._shape.party)} does not speak for the layer `organisation`",
                self._root.keys["party"],
                f"write {quoted(organisation)}, the organisation of this installation",
            )

    def _read_counters(self) -> dict[str, Counter]:
        counters = self._root.values.get("counters")
        if not isinstance(counters, Fields):
            return {}
        return {name: self._read_counter(name, counters) for name in self._shape.counters}

    def _read_counter(self, name: str, counters: Fields) -> Counter:
        shape, node = self._shape.counters[name], counters.values[name]
        assert isinstance(node, Fields)  # noqa: S101 - its shape was checked
        for leaf in leaves(node.values["per"]):
            self._check_per(leaf)
        return Counter(
            name=name,
            policy=self._shape.policy,
            count=shape.count,
            per=tuple(shape.per),
            within=self._within(shape.within, node.values["within"].span),
            scope=self._scope,
            where=counters.keys[name].place,
        )

    def _within(self, written: str, span: Span) -> timedelta:
        within = int(written[:-1]) * _UNITS[written[-1]]
        if within > _LONGEST:
            self._findings.error(
                "bad-value",
                f"{quoted(written)} is longer than a counter looks back",
                span,
                f"write at most `{_LONGEST.days}d`",
            )
        return within

    def _check_per(self, leaf: Leaf) -> None:
        # A counter counts per facts of the catalogue, never per counter.
        if not Reader(findings=self._findings).name(leaf.raw, leaf.span):
            return
        spec = CATALOGUE[leaf.raw]
        if not known_at(spec, Gate.REQUEST):
            self._findings.error(
                "too-early",
                f"`{spec.name}` is not known at the request gate, where counters are read",
                leaf.span,
                "count per facts of the request",
            )

    def _read_scope(self) -> Condition:
        node = self._root.values.get("scope")
        scope = self._facts.condition(node, key="scope")
        is_own = self._layers == {Layer.ORGANISATION}
        for test in {test for tests in scope.alternatives for test in tests}:
            name = test.fact
            # What a counter counts cannot depend on how far it has counted.
            is_barred = name in _WIRE_NAMES or name.startswith(COUNTER_PREFIX)
            if is_barred or not (is_own or name in _SCOPE_FACTS):
                assert isinstance(node, Fields)  # noqa: S101 - it has tests
                self._findings.error(
                    "bad-scope",
                    f"a scope cannot test `{name}`",
                    node.keys.get(name, node.span),
                    "a scope stands on `route`, `router` or `model.id`; test the rest under `when`",
                )
        return scope

    def _read_sources(self) -> dict[str, Source]:
        node = self._root.values.get("sources")
        if not isinstance(node, Fields):
            return {}
        found = {}
        for name, shape in self._shape.sources.items():
            inner = node.values[name]
            assert isinstance(inner, Fields)  # noqa: S101 - its shape was checked
            check_window(shape.in_force, inner, self._findings, needs_start=True)
            found[name] = _source(name, shape, node.keys[name])
        return found

    def _read_rules(self) -> tuple[Rule, ...]:
        nodes = self._root.values["rules"]
        assert isinstance(nodes, Items)  # noqa: S101 - its shape was checked
        found: dict[str, Rule] = {}
        for shape, node in zip(self._shape.rules, nodes.items, strict=True):
            assert isinstance(node, Fields)  # noqa: S101 - its shape was checked
            if shape.id in found:
                self._findings.error(
                    "duplicate-id",
                    f"the rule {quoted(shape.id)} is given twice; "
                    f"the first is on line {found[shape.id].where.line}",
                    node.values["id"].span,
                    "give each rule an id of its own",
                )
            rule = self._read_rule(shape, node)
            if rule is not None:
                found.setdefault(shape.id, rule)
        return tuple(found.values())

    def _read_rule(self, shape: RuleShape, node: Fields) -> Rule | None:
        effects = [word for word in _EFFECTS if word in node.values]
        if len(effects) != 1:
            self._findings.error(
                "effect",
                "a rule has exactly one of: `permit`, `review`, `forbid`",
                node.keys[effects[1]] if effects else node.span,
                "write one rule for each effect",
            )
            return None
        effect = Effect(effects[0])
        gates = gates_of(_words(node.values[effect.value]))
        when = self._facts.condition(node.values.get("when"), sorted(gates))
        cites = self._read_cites(node)
        self._check_sources(effect, cites, node)
        check_window(shape.in_force, node.values.get("in_force"), self._findings)
        return Rule(
            id=f"{self._shape.policy}/{shape.id}",
            policy=self._shape.policy,
            party=self._shape.party,
            layers=self._layers,
            effect=effect,
            gates=gates,
            when=self._facts.join(self._scope, when, node.values["id"].span),
            scope=self._scope,
            because=shape.because,
            cites=cites,
            sources=tuple(self._sources[name] for name in dict.fromkeys(c.source for c in cites)),
            fix=shape.fix,
            duties=self._read_duties(effect, node),
            is_shadow=shape.mode == "shadow",
            as_of=self._shape.as_of,
            in_force=window_of(shape.in_force),
            where=node.values["id"].span.place,
        )

    def _read_cites(self, node: Fields) -> tuple[Cite, ...]:
        found = []
        for leaf in leaves(node.values.get("cite")):
            name, _, clause = leaf.raw.strip().partition(" ")
            source = self._sources.get(name)
            if source is None:
                self._findings.error(
                    "unknown-source",
                    f"{quoted(name)} is not one of this file's sources",
                    leaf.span,
                    nearest(name, self._sources) or "describe it under `sources`",
                )
            elif not clause.strip():
                self._findings.error(
                    "no-clause",
                    f"no clause of {quoted(name)} is cited",
                    leaf.span,
                    "write the clause after the source, as in `terms 3.3(e)`",
                )
            else:
                found.append(Cite(source=name, clause=clause.strip(), digest=source.digest))
        return tuple(found)

    def _check_sources(self, effect: Effect, cites: tuple[Cite, ...], node: Fields) -> None:
        read = [self._sources[cite.source].confidence == "read-primary" for cite in cites]
        if effect is Effect.PERMIT and read and not any(read):
            self._findings.error(
                "unread-source",
                "a permit rests on no source that was read first-hand",
                node.keys["cite"],
                "read the text itself, or let the rule review instead",
            )

    def _read_duties(self, effect: Effect, node: Fields) -> tuple[Duty, ...]:
        duties = node.values.get("duties")
        if not isinstance(duties, Fields):
            return ()
        if effect is not Effect.PERMIT:
            self._findings.error(
                "bad-duty",
                f"a rule that says `{effect}` carries no duties",
                node.keys["duties"],
                "duties come with a permit",
            )
        found = []
        for kind, value in duties.values.items():
            written = leaves(value)
            if not written or any(leaf.value in (None, "", False) for leaf in written):
                self._findings.error(
                    "bad-value",
                    f"the duty `{kind}` says nothing",
                    duties.keys[kind],
                    "write text, a list of texts, or `true`",
                )
            found += [Duty(kind=kind, value=leaf.raw) for leaf in written]
        return tuple(found)


def leaves(node: Node | None) -> list[Leaf]:
    """The scalars of a value that may stand alone or in a list."""
    nodes = node.items if isinstance(node, Items) else (node,)
    return [each for each in nodes if isinstance(each, Leaf)]


def _words(node: Node) -> list[str]:
    return [leaf.raw for leaf in leaves(node)]


def gates_of(words: Iterable[str]) -> frozenset[Gate]:
    """The gates that words such as `training` stand for."""
    return frozenset(Gate(gate) for word in words for gate in GATE_WORDS[word])


def window_of(shape: WindowShape) -> Window:
    """The window that `in_force` says."""
    return Window(start=shape.start, until=shape.until)


def check_window(
    shape: WindowShape, node: Node | None, findings: Findings, *, needs_start: bool = False
) -> None:
    """Note a window that ends before it starts, or one without a start that needs one."""
    if node is None:
        return
    if isinstance(node, Fields) and isinstance(node.values.get("in_force"), Fields):
        node = node.values["in_force"]
    if needs_start and shape.start is None:
        findings.error("missing-key", "`from` is missing", node.span, "say when it starts to hold")
    if shape.start is not None and shape.until is not None and shape.until <= shape.start:
        findings.error(
            "bad-window",
            "the end is not after the start",
            node.span,
            "`until` is the first day it no longer holds",
        )


def _source(name: str, shape: SourceShape, span: Span) -> Source:
    record = canonical(shape.model_dump(mode="json", by_alias=True, exclude_none=True))
    return Source(
        id=name,
        record=record,
        digest=hashlib.sha256(record.encode()).hexdigest(),
        title=shape.title,
        url=shape.url,
        confidence=shape.confidence,
        review_by=shape.review_by,
        in_force=window_of(shape.in_force),
        where=span.place,
    )
