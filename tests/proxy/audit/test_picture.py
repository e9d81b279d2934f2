"""The picture draws every node once, escapes every name and runs nothing."""

from xml.dom.minidom import parseString

from proxy.audit.picture import picture, standalone
from proxy.audit.trace import Kind, Node, Trace, trace
from tests.proxy.audit.conftest import Told


def test_each_node_is_a_box_and_each_way_a_line(told: Told) -> None:
    """Boxes and lines are as many as nodes and edges."""
    found = trace(told.evidence)
    svg = parseString(standalone(found))  # noqa: S318 - what we wrote ourselves
    assert len(svg.getElementsByTagName("g")) == len(found.nodes)
    assert len(svg.getElementsByTagName("path")) == len(found.edges)


def test_names_are_escaped() -> None:
    """What somebody called a project cannot become markup."""
    node = Node(Kind.STUDENT, "x")
    text = picture(Trace(of=node, names={node: '"><script>alert(1)</script>'}))
    assert "<script" not in text
    assert "&lt;script" in text


def test_a_crowded_column_is_cut_and_says_so() -> None:
    """Of a hundred models the busiest are drawn, and the others counted."""
    nodes = {Node(Kind.MODEL, str(n)): f"model {n}" for n in range(100)}
    assert "and 76 more" in picture(Trace(of=None, names=nodes))
