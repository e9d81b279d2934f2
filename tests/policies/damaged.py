"""Sound policy files made unsound: by the byte, and by the node. For properties of the loader."""

import json
from collections.abc import Iterator
from functools import cache

from hypothesis import strategies as st

from policies.bundle import LIBRARY, Bundle, bundle_of
from policies.diagnostics import Diagnostic, Findings, PolicyError
from policies.facts import CATALOGUE
from policies.keys import DUTY_MEANINGS, KEYS, OPERATORS, SHARED
from policies.nodes import Fields, Items, Leaf, Node
from policies.source import decode, parse, split_lines
from tests.policies.acme import DOCUMENTS, ORGANISATION

__all__ = ["damaged_bytes", "damaged_trees", "emit", "load", "nests", "outside", "tree_of"]

type Tree = str | list[Tree] | dict[str, Tree]

_KEYS = sorted({key for keys in KEYS.values() for key in keys})
_WORDS = [
    *(*_KEYS, *CATALOGUE, *OPERATORS, *SHARED, *DUTY_MEANINGS),
    *("counter.per-day", "counter.none", "training", "request", "permit", "acme-api", "Acme"),
    *("terms 4.2", "Unheard Of", "", "*", "a*b", "a/b"),
]
_PLAIN = ["", "~", "true", "no", "7", "-1", "1_000", "2026-11-24", "2026-13-01", "1.5", "[]", "{}"]
_SCRAPS = [
    *(
        b"\x00",
        b"\xff",
        b"\xfe\xff",
        b"\xef\xbb\xbf",
        b"\r\n",
        b"\r",
        b"\t",
        b"\n---\n",
        b"\n...\n",
    ),
    *(b"&a ", b"*a", b"!t ", b"!!int ", b"<<: ", b"%YAML 1.1\n---\n", b"'", b'"', b"{", b"}", b"["),
    *(b"]", b": ", b"- ", b"? ", b"| ", b"> ", b"#", b",", b"\x85", "\u2028".encode(), b"\x1b[2J"),
    *("ä".encode("latin-1"), "ä".encode(), "\U0001f600".encode(), b"[" * 40, b"9" * 30),
]


def load(documents: dict[str, bytes]) -> Bundle | tuple[Diagnostic, ...]:
    """What the loader makes of files: a bundle, or what is wrong with them."""
    findings = Findings()
    try:
        texts = {path: decode(path, data, findings) for path, data in documents.items()}
        findings.stop()
        known = {path: text for path, text in texts.items() if text is not None}
        return bundle_of(known, organisation=ORGANISATION)
    except PolicyError as error:
        return error.diagnostics


def outside(found: Diagnostic, documents: dict[str, bytes]) -> bool:
    """Whether a finding points at a place that is not in the files."""
    span = found.span
    if found.code == "too-large":
        return (span.line, span.column) != (1, 1)
    text = documents[span.file].decode(errors="replace").removeprefix("\ufeff")
    lines = split_lines(text)
    is_inside = 1 <= span.line <= len(lines) and 1 <= span.column <= len(lines[span.line - 1]) + 1
    return not is_inside or span.width < 1


@cache
def _originals() -> dict[str, bytes]:
    shipped = sorted(LIBRARY.rglob("*.yaml"))[:8]
    own = {path: text.encode() for path, text in DOCUMENTS.items()}
    return {f"library/{path.parent.name}/{path.name}": path.read_bytes() for path in shipped} | own


@st.composite
def damaged_bytes(draw: st.DrawFn) -> tuple[str, bytes]:
    """A path and its file with a few bytes cut, doubled or put in, or as another encoding."""
    path = draw(st.sampled_from(sorted(_originals())))
    data = _originals()[path]
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 60)))
        scrap = draw(
            st.one_of(st.sampled_from(_SCRAPS), st.binary(max_size=4), st.just(data[start:end]))
        )
        is_put_in = draw(st.booleans())
        data = data[:start] + scrap + data[start if is_put_in else end :]
    coding = draw(st.sampled_from(["utf-8"] * 12 + ["utf-16", "utf-16-le", "utf-8-sig", "latin-1"]))
    if coding == "utf-8":
        return path, data
    return path, data.decode(errors="ignore").encode(coding, errors="replace")


def tree_of(text: str) -> Tree:
    """The tree of a sound text; a leaf is its own YAML."""
    root = parse("a.yaml", text, Findings())
    assert root is not None
    return _tree(root)


def _tree(node: Node) -> Tree:
    match node:
        case Leaf():
            return json.dumps(node.value) if isinstance(node.value, str) else node.raw
        case Items():
            return [_tree(item) for item in node.items]
        case Fields():
            return {name: _tree(value) for name, value in node.values.items()}


def emit(tree: Tree) -> str:
    """A tree as YAML in flow style."""
    match tree:
        case str():
            return tree
        case list():
            return f"[{', '.join(map(emit, tree))}]"
        case dict():
            inner = ", ".join(f"{json.dumps(name)}: {emit(value)}" for name, value in tree.items())
            return f"{{{inner}}}"


def nests(tree: Tree, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Tree]]:
    """Every list and mapping of a tree, with the keys above it."""
    match tree:
        case list():
            yield above, tree
            for item in tree:
                yield from nests(item, above)
        case dict():
            yield above, tree
            for name, value in tree.items():
                yield from nests(value, (*above, name))
        case _:
            pass


def _values() -> st.SearchStrategy[Tree]:
    leaves: st.SearchStrategy[Tree] = st.sampled_from([*map(json.dumps, _WORDS), *_PLAIN])
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(_WORDS), inner, max_size=3)
        ),
        max_leaves=6,
    )


@st.composite
def damaged_trees(draw: st.DrawFn) -> tuple[str, bytes]:
    """A path and its file with a few nodes replaced, put in or taken out."""
    path = draw(st.sampled_from(sorted(DOCUMENTS)))
    tree = tree_of(DOCUMENTS[path])
    for _ in range(draw(st.integers(1, 4))):
        _, place = draw(st.sampled_from([each for each in nests(tree) if each[1]] or [((), tree)]))
        if isinstance(place, list):
            at = draw(st.integers(0, len(place)))
            place[at : draw(st.integers(at, len(place)))] = draw(st.lists(_values(), max_size=2))
        elif isinstance(place, dict):
            name = draw(st.sampled_from([*place, *_WORDS]))
            if name in place and draw(st.booleans()):
                del place[name]
            else:
                place[name] = draw(_values())
    return path, emit(tree).encode()
