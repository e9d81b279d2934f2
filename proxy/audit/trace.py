"""Lineage both ways: from terms and grants over contract and model to datasets, runs and students.

A trace is of one of these, or of all: what lies on a path through it, with how many exchanges or
examples went that way.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from policies.diagnostics import nearest
from proxy.audit.answer import counted, short, sources_of
from proxy.audit.evidence import Evidence, Learned, Tally
from proxy.errors import ProxyError
from proxy.ledger.leaf import Leaf

__all__ = ["Edge", "Kind", "Node", "Trace", "trace", "trace_text"]


class Kind(StrEnum):
    """What a node is, in the order in which an answer passes."""

    TERMS = "terms"
    GRANT = "grant"
    CONTRACT = "contract"
    MODEL = "model"
    DATASET = "dataset"
    RUN = "run"
    RELEASE = "release"
    STUDENT = "student"


_PRODUCTS = frozenset({Kind.DATASET, Kind.RUN, Kind.STUDENT, Kind.RELEASE, Kind.GRANT})
"""What examples went into, each by itself."""


@dataclass(frozen=True, slots=True)
class Node:
    """One thing on the way. Its id is unique within its kind."""

    kind: Kind
    id: str


@dataclass(frozen=True, slots=True)
class Edge:
    """Something that went from one to the other."""

    start: Node
    end: Node


@dataclass(slots=True, kw_only=True)
class Trace:
    """What was found. Edges count examples, or exchanges where none was learned from."""

    of: Node | None
    names: dict[Node, str] = field(default_factory=dict)
    """What people call each node."""
    edges: dict[Edge, int] = field(default_factory=dict)
    exchanges: dict[Node, int] = field(default_factory=dict)
    """How many exchanges each contract and model answered, learned from or not."""

    @property
    def nodes(self) -> list[Node]:
        """All of them, in the order in which an answer passes."""
        order = list(Kind)
        return sorted(self.names, key=lambda node: (order.index(node.kind), self.names[node]))

    def into(self, node: Node) -> Iterator[tuple[Node, int]]:
        """Where what reached a node came from."""
        return ((edge.start, count) for edge, count in self.edges.items() if edge.end == node)

    def out_of(self, node: Node) -> Iterator[tuple[Node, int]]:
        """Where what a node gave went."""
        return ((edge.end, count) for edge, count in self.edges.items() if edge.start == node)


def trace(evidence: Evidence, word: str | None = None) -> Trace:
    """The lineage through what `word` names, or all of it.

    Raises:
        ProxyError: nothing has that name, or several do.
    """
    everything = _everything(evidence)
    if word is None:
        return everything
    start = _named(everything, word)
    found = Trace(of=start)
    reached = {
        start,
        *_reach(everything, start, is_up=True),
        *_reach(everything, start, is_up=False),
    }
    through = [key for key in evidence.examples if start in _nodes_of(evidence, key)]
    if start.kind in _PRODUCTS and through:
        # Several students may have one model in common: only what went through here counts.
        for key in through:
            _walk(evidence, found, key, evidence.examples[key])
        reached &= found.names.keys()
    else:
        found.edges = dict(everything.edges)
    found.names = {node: name for node, name in everything.names.items() if node in reached}
    found.edges = {
        edge: count
        for edge, count in found.edges.items()
        if edge.start in found.names and edge.end in found.names
    }
    found.exchanges = {node: n for node, n in everything.exchanges.items() if node in reached}
    return found


def trace_text(found: Trace) -> str:
    """A trace as lines: what led to it above, what came of it below."""
    lines: list[str] = []
    for kind in Kind:
        nodes = [node for node in found.nodes if node.kind is kind]
        if nodes:
            lines.append(f"{kind}:" if kind is not Kind.TERMS else "terms:")
        for node in nodes:
            mark = "» " if node == found.of else "  "
            lines.append(f"{mark}{found.names[node]}{_amount(found, node)}")
            lines += [
                f"      → {end.kind} {found.names[end]}: {count:,}"
                for end, count in sorted(found.out_of(node), key=lambda pair: pair[0].id)
            ]
    return "\n".join(lines) + "\n"


def _amount(found: Trace, node: Node) -> str:
    count = found.exchanges.get(node)
    return "" if count is None else f" ({counted(count, 'exchange')})"


def _everything(evidence: Evidence) -> Trace:
    found = Trace(of=None)
    for alike, tally in evidence.exchanges.items():
        contract = Node(Kind.CONTRACT, alike.route)
        _name(found, contract, _contract_name(alike.route, alike.provider))
        found.exchanges[contract] = found.exchanges.get(contract, 0) + tally.count
        if alike.model:
            model = Node(Kind.MODEL, alike.model)
            _name(found, model, alike.model)
            found.exchanges[model] = found.exchanges.get(model, 0) + tally.count
            found.edges.setdefault(Edge(contract, model), 0)
        words = [word for word in (alike.request, alike.response) if word is not None]
        for kind, digests in (
            (Kind.TERMS, {digest for word in words for digest in word.terms}),
            (Kind.GRANT, {digest for word in words for digest in word.grants}),
        ):
            for digest in digests:
                node = Node(kind, digest)
                _name(found, node, _paper_name(evidence, node))
                found.edges.setdefault(Edge(node, contract), 0)
    for key, tally in evidence.examples.items():
        _walk(evidence, found, key, tally)
    return found


def _walk(evidence: Evidence, found: Trace, key: Learned, tally: Tally) -> None:
    """Count examples along their way."""
    contract, model = Node(Kind.CONTRACT, key.route), Node(Kind.MODEL, key.model)
    dataset, student = Node(Kind.DATASET, key.dataset), Node(Kind.STUDENT, key.student)
    _name(found, contract, _contract_name(key.route, key.provider))
    _name(found, model, key.model)
    _name(found, dataset, key.dataset)
    _name(found, student, key.student)
    runs = list(_runs_of(evidence, key.dataset))
    ways = [(contract, model), (model, dataset)]
    for paper in _papers_of(key):
        _name(found, paper, _paper_name(evidence, paper))
        ways.append((paper, contract))
    for run in runs:
        _name(found, run, run.id)
        releases = list(_releases_of(evidence, run.id))
        ways += [(dataset, run), *(((run, student),) if not releases else ())]
        for leaf in releases:
            release, freed = Node(Kind.RELEASE, leaf.id), Node(Kind.STUDENT, leaf.text("student"))
            _name(found, release, _release_name(leaf))
            _name(found, freed, freed.id)
            ways += [(run, release), (release, freed)]
    if not runs:
        ways.append((dataset, student))
    for start, end in ways:
        edge = Edge(start, end)
        found.edges[edge] = found.edges.get(edge, 0) + tally.count


def _nodes_of(evidence: Evidence, key: Learned) -> set[Node]:
    """All that examples passed on their way."""
    return {
        Node(Kind.CONTRACT, key.route),
        Node(Kind.MODEL, key.model),
        Node(Kind.DATASET, key.dataset),
        Node(Kind.STUDENT, key.student),
        *_papers_of(key),
        *(runs := list(_runs_of(evidence, key.dataset))),
        *(
            node
            for run in runs
            for leaf in _releases_of(evidence, run.id)
            for node in (Node(Kind.RELEASE, leaf.id), Node(Kind.STUDENT, leaf.text("student")))
        ),
    }


def _papers_of(key: Learned) -> Iterator[Node]:
    yield from (Node(Kind.TERMS, digest) for digest in key.terms)
    yield from (Node(Kind.GRANT, digest) for digest in key.grants)


def _runs_of(evidence: Evidence, dataset: str) -> Iterator[Node]:
    """The runs that learned from a dataset: they name its root."""
    roots = {
        leaf.text("root") for leaf in evidence.of("dataset") if leaf.text("dataset") == dataset
    }
    for run in evidence.of("run"):
        if roots.intersection(run.texts("datasets")):
            yield Node(Kind.RUN, run.text("run"))


def _releases_of(evidence: Evidence, run: str) -> Iterator[Leaf]:
    """The releases of a run's weights, or of weights that began with them."""
    for leaf in evidence.of("release"):
        is_of_run = run in (leaf.text("run"), *leaf.texts("ancestors"))
        if leaf.text("action") == "release" and is_of_run:
            yield leaf


def _release_name(leaf: Leaf) -> str:
    return f"{leaf.fields.get('name') or leaf.text('student')} on {leaf.text('at')[:10]}"


def _reach(found: Trace, start: Node, *, is_up: bool) -> set[Node]:
    """All that led to a node, or all that came of it."""
    seen: set[Node] = set()
    waiting = [start]
    while waiting:
        node = waiting.pop()
        for other, _ in found.into(node) if is_up else found.out_of(node):
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    return seen


def _named(found: Trace, word: str) -> Node:
    kind, colon, rest = word.partition(":")
    name = rest if colon and kind in set(Kind) else word
    hits = [
        node
        for node in found.names
        if (name in (node.id, found.names[node]) or _is_digest(node, name))
        and (name == word or node.kind == kind)
    ]
    hits += _contracts_of(found, name) if not hits else []
    if len(hits) == 1:
        return hits[0]
    if hits:
        raise ProxyError(
            f"`{word}` names several: {', '.join(f'{node.kind}:{node.id}' for node in hits)}",
            help="give one of these",
            code="not-one",
        )
    names = {*found.names.values(), *(node.id for node in found.names)}
    raise ProxyError(
        f"nothing here is called `{word}`",
        help=nearest(word, names)
        or "give an exchange, a dataset, a student, a provider, a run or the name of terms",
        code="no-lineage",
    )


def _contracts_of(found: Trace, provider: str) -> list[Node]:
    return [
        node
        for node, name in found.names.items()
        if node.kind is Kind.CONTRACT and name == _contract_name(node.id, provider)
    ]


def _is_digest(node: Node, word: str) -> bool:
    return len(word) >= 8 and node.kind in (Kind.TERMS, Kind.GRANT) and node.id.startswith(word)


def _name(found: Trace, node: Node, name: str) -> None:
    found.names[node] = name or "not recorded"


def _contract_name(route: str, provider: str) -> str:
    return route if provider in (route, "") else f"{route} ({provider})"


def _paper_name(evidence: Evidence, node: Node) -> str:
    if node.kind is Kind.TERMS:
        return f"{sources_of(evidence).get(node.id, 'terms')} {short(node.id)}"
    names: Mapping[str, str] = {
        leaf.text("digest"): leaf.text("name") for leaf in evidence.of("grant")
    }
    return names.get(node.id, short(node.id))
