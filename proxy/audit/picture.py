"""A trace as a picture: columns from left to right as an answer passes, in SVG without script."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

from proxy.audit.trace import Edge, Kind, Node, Trace

__all__ = ["picture", "standalone"]

_COLUMNS: tuple[tuple[str, frozenset[Kind]], ...] = (
    ("Terms and grants", frozenset({Kind.TERMS, Kind.GRANT})),
    ("Contracts", frozenset({Kind.CONTRACT})),
    ("Models", frozenset({Kind.MODEL})),
    ("Datasets", frozenset({Kind.DATASET})),
    ("Runs", frozenset({Kind.RUN})),
    ("Releases", frozenset({Kind.RELEASE})),
    ("Students", frozenset({Kind.STUDENT})),
)
_MOST = 24
"""Nodes of a column that are drawn; the others are counted."""

_WIDTH, _GAP, _HEIGHT, _STEP, _TOP = 168, 44, 34, 46, 44
_LETTERS = 27
"""That fit in a box."""


@dataclass(frozen=True, slots=True)
class _Box:
    x: int
    y: int


def picture(found: Trace) -> str:
    """The SVG of a trace; its classes are styled by the page it stands in.

    Names stand in it escaped, whole in a `title` where they are cut.
    """
    columns = _columns(found)
    boxes = _places(columns)
    tallest = max((len(nodes) for _, nodes, _ in columns), default=0)
    width = len(columns) * (_WIDTH + _GAP) - _GAP + 2
    height = _TOP + max(tallest, 1) * _STEP + 26
    most = max(found.edges.values(), default=1)
    label = escape(_label(found))
    parts = [
        f'<svg class="lineage" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">'
    ]
    parts += [_line(edge, count, boxes, most) for edge, count in found.edges.items()]
    for index, (title, nodes, left_out) in enumerate(columns):
        x = index * (_WIDTH + _GAP) + 1
        parts.append(f'<text class="column" x="{x}" y="20">{escape(title)}</text>')
        parts += [_box(found, node, boxes[node]) for node in nodes]
        if left_out:
            y = _TOP + len(nodes) * _STEP + 12
            parts.append(f'<text class="more" x="{x}" y="{y}">and {left_out:,} more</text>')
    return "\n".join([*(part for part in parts if part), "</svg>"])


def standalone(found: Trace) -> str:
    """The picture as a file of its own, with the style that it has on a page."""
    style = files("proxy.audit").joinpath("sheet.css").read_text(encoding="utf-8")
    inner = picture(found)
    head, _, rest = inner.partition(">")
    return f'{head} xmlns="http://www.w3.org/2000/svg"><style>{style}</style>{rest}\n'


def _columns(found: Trace) -> list[tuple[str, list[Node], int]]:
    """Each column that has something: its title, the nodes drawn, and how many are not."""
    columns = []
    for title, kinds in _COLUMNS:
        nodes = [node for node in found.nodes if node.kind in kinds]
        if nodes:
            busiest = sorted(nodes, key=lambda node: -_traffic(found, node))[:_MOST]
            drawn = [node for node in nodes if node in busiest]
            columns.append((title, drawn, len(nodes) - len(drawn)))
    return columns


def _traffic(found: Trace, node: Node) -> int:
    return sum(count for edge, count in found.edges.items() if node in (edge.start, edge.end))


def _places(columns: Sequence[tuple[str, list[Node], int]]) -> dict[Node, _Box]:
    """Where each box stands; short columns stand in the middle of the tallest."""
    tallest = max((len(nodes) for _, nodes, _ in columns), default=0)
    places: dict[Node, _Box] = {}
    for index, (_, nodes, _) in enumerate(columns):
        top = _TOP + (tallest - len(nodes)) * _STEP // 2
        for row, node in enumerate(nodes):
            places[node] = _Box(index * (_WIDTH + _GAP) + 1, top + row * _STEP)
    return places


def _line(edge: Edge, count: int, boxes: Mapping[Node, _Box], most: int) -> str:
    if edge.start not in boxes or edge.end not in boxes:
        return ""
    start, end = boxes[edge.start], boxes[edge.end]
    x1, y1 = start.x + _WIDTH, start.y + _HEIGHT // 2
    x2, y2 = end.x, end.y + _HEIGHT // 2
    bend = (x2 - x1) // 2
    kind = "way" if count else "way unlearned"
    # Four widths say how much went that way; the title says it exactly.
    weight = min(4, 1 + 4 * count // (most + 1))
    says = f"{count:,} examples" if count else "no example"
    return (
        f'<path class="{kind} w{weight}" d="M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}">'
        f"<title>{says}</title></path>"
    )


def _box(found: Trace, node: Node, box: _Box) -> str:
    name = found.names[node]
    shown = name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"
    mark = " here" if node == found.of else ""
    exchanges = found.exchanges.get(node)
    below = "" if exchanges is None else f"{exchanges:,} exchanges"
    learned = sum(count for _, count in found.into(node)) if node.kind is Kind.DATASET else 0
    below = f"{learned:,} examples" if learned else below
    y = box.y + (14 if below else 21)
    lines = [
        f'<g class="box {node.kind}{mark}"><title>{escape(node.kind)}: {escape(name)}</title>',
        f'<rect x="{box.x}" y="{box.y}" width="{_WIDTH}" height="{_HEIGHT}" rx="2"/>',
        f'<text x="{box.x + 9}" y="{y}">{escape(shown)}</text>',
    ]
    if below:
        lines.append(f'<text class="count" x="{box.x + 9}" y="{box.y + 27}">{below}</text>')
    return "".join([*lines, "</g>"])


def _label(found: Trace) -> str:
    whole = "terms, contracts, models, datasets, runs and students"
    return f"Lineage of {found.names[found.of]}" if found.of else f"Lineage: {whole}"
