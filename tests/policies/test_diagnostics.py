"""How findings read, for each code one bad file with the exact text expected."""

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from policies.bundle import bundle_of
from policies.diagnostics import (
    Diagnostic,
    Findings,
    PolicyError,
    Severity,
    Span,
    nearest,
    quoted,
    render,
)
from policies.lint import lint
from tests.policies.acme import DOCUMENTS, ORGANISATION, digest
from tests.policies.damaged import load
from tests.policies.edits import EDITS
from tests.policies.examples import examples, findings_of

GOLDEN = Path(__file__).parent / "golden"
ON = datetime(2026, 11, 24, tzinfo=UTC)
SOURCES = sorted((Path(__file__).parents[2] / "policies").glob("*.py"))
MESSAGE = re.compile(r"^\w+\[([\w-]+)\]: (.*)$", re.MULTILINE)
NOTING = {"error", "warning", "_refuse"}
ELSEWHERE = {
    "bad-path": "tests/policies/test_bundle.py",
    "idle-case": "tests/policies/test_lint.py",
    "outside": "tests/policies/test_bundle.py",
    "survivor": "tests/policies/test_checking.py",
    "test-failed": "tests/policies/test_checking.py",
    "unreadable": "tests/policies/test_bundle.py",
    "untested": "tests/policies/test_lint.py",
}
"""Codes whose messages come from files or tests, and where those are tested."""
CODES = sorted(path.stem for path in GOLDEN.glob("*.yaml"))


def said(code: str) -> str:
    """All that is said about the documents when one of them is the golden file."""
    text = (GOLDEN / f"{code}.yaml").read_text()
    path = text.partition("\n")[0].removeprefix("# path: ")
    documents = {**DOCUMENTS, path: text}
    approvals = {digest(each) for each in documents.values()}
    if code == "not-approved":
        approvals.discard(digest(text))
    try:
        bundle = bundle_of(documents, organisation=ORGANISATION, approvals=frozenset(approvals))
    except PolicyError as error:
        return str(error)
    return "\n".join(render(each) for each in (*bundle.warnings, *lint(bundle, on=ON)))


@pytest.mark.parametrize("code", CODES)
def test_a_bad_file_gets_the_exact_text(code: str) -> None:
    """Each code has one bad file, and what is said about it is fixed to the letter."""
    expected = (GOLDEN / f"{code}.txt").read_text()
    assert said(code) == expected
    assert f"[{code}]" in expected


def test_every_golden_text_has_its_file() -> None:
    """No expected text is left over from a file that went away."""
    assert sorted(path.stem for path in GOLDEN.glob("*.txt")) == CODES


@cache
def said_of_edits() -> tuple[tuple[str, tuple[Diagnostic, ...]], ...]:
    """Each edit, and what is said about the documents after it."""
    found = []
    for path, edits in EDITS.items():
        for old, new in edits:
            assert DOCUMENTS[path].count(old) >= 1, (path, old)
            text = DOCUMENTS[path].replace(old, new, 1)
            edit = f"{path}: {old!r} -> {new!r:.80}"
            found.append((edit, findings_of({**DOCUMENTS, path: text})))
    override = {**DOCUMENTS, "hosts/acme-api.yaml": DOCUMENTS["library/hosts/acme-api.yaml"]}
    found.append(("nothing is approved", findings_of(override, is_approved=False)))
    return tuple(found)


def test_every_message_is_fixed_to_the_letter() -> None:
    """What is said about each of a hundred edits is what `messages.golden` says."""
    said = "".join(
        f"# {edit}\n" + "".join(map(render, found)) + "\n" for edit, found in said_of_edits()
    )
    assert said == (GOLDEN / "messages.golden").read_text(encoding="utf-8")


def test_every_finding_says_what_to_do() -> None:
    """A message without help leaves the reader alone with it."""
    said = (each for _, found in said_of_edits() for each in found)
    assert [each.message for each in said if not each.help] == []


def test_every_edit_is_wrong_in_some_way() -> None:
    """No edit passes unnoticed."""
    assert [edit for edit, found in said_of_edits() if not found] == []


def messages_in(path: Path) -> Iterator[tuple[str, re.Pattern[str]]]:
    """The messages that a module writes where it notes a finding: code, and the message's form."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or getattr(node.func, "attr", "") not in NOTING:
            continue
        # An excerpt is asked for a place first, then comes the message.
        is_excerpt = ast.unparse(node.func).startswith("excerpts.")
        code, form = node.args[0], node.args[2 if is_excerpt else 1]
        if isinstance(code, ast.Constant) and isinstance(form, ast.JoinedStr | ast.Constant):
            parts = form.values if isinstance(form, ast.JoinedStr) else [form]
            text = (re.escape(str(p.value)) if isinstance(p, ast.Constant) else ".*" for p in parts)
            yield str(code.value), re.compile("".join(text))


def refused(data: bytes) -> tuple[Diagnostic, ...]:
    """What is said about a student's file of these bytes."""
    found = load({"students/a.yaml": data})
    assert isinstance(found, tuple)
    return found


@cache
def fixed_messages() -> frozenset[tuple[str, str]]:
    """Code and text of every message that is fixed somewhere."""
    seen = [each for _, found in said_of_edits() for each in found]
    for example in examples().values():
        if example.frame != "files":
            seen += findings_of(example.bad(), is_approved=example.code != "not-approved")
    seen += [each for data in (b"\xff", b"#" * 2_000_000) for each in refused(data)]
    golden = (file.read_text(encoding="utf-8") for file in GOLDEN.glob("*.txt"))
    lines = (each for text in golden for each in MESSAGE.finditer(text))
    return frozenset((each.code, each.message) for each in seen) | {(m[1], m[2]) for m in lines}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_message_is_left_unfixed(path: Path) -> None:
    """Each message that a module can write occurs in a golden text or on a diagnostic's page."""
    missing = [
        (code, form.pattern)
        for code, form in messages_in(path)
        if not any(code == each and form.fullmatch(text) for each, text in fixed_messages())
        if code not in ELSEWHERE
    ]
    assert missing == []


def finding(line: int = 8, text: str = "    sauce: D.4(a)", help: str = "") -> Diagnostic:  # noqa: A002 - as in the source
    """A finding about the word `sauce`."""
    return Diagnostic(
        code="unknown-key",
        severity=Severity.ERROR,
        message="unknown key `sauce`",
        span=Span("a.yaml", line, 5, 5, text),
        help=help,
    )


def test_layout_is_that_of_the_style() -> None:
    """A finding shows message, place, the line itself, carets under the word, and the help."""
    assert render(finding(help="did you mean `cite`?")) == (
        "error[unknown-key]: unknown key `sauce`\n"
        " --> a.yaml:8:5\n"
        "  |\n"
        "8 |     sauce: D.4(a)\n"
        "  |     ^^^^^\n"
        "  = help: did you mean `cite`?\n"
    )


def test_the_gutter_is_as_wide_as_the_number() -> None:
    """A line number of several digits moves the bars with it, and no help is no line."""
    assert render(finding(line=120)).splitlines()[1:4] == [
        "   --> a.yaml:120:5",
        "    |",
        "120 |     sauce: D.4(a)",
    ]


def test_long_lines_are_cut_around_the_word() -> None:
    """A line of a megabyte shows what stands around the finding and no more."""
    text = "x" * 500 + "sauce" + "y" * 1_000_000
    shown = render(
        Diagnostic(
            code="c", severity=Severity.WARNING, message="m", span=Span("a", 1, 501, 5, text)
        )
    ).splitlines()
    assert len(shown[3]) < 140
    start = shown[4].index("^")
    assert shown[3][start : start + 5] == "sauce"


def test_unprintable_text_cannot_steer_a_terminal() -> None:
    """Control characters of a file reach neither an excerpt nor a message."""
    assert "\x1b" not in render(finding(text="\x1b[2J    sauce"))
    assert quoted("a\x1b\tb`c\n") == "`a� b'c `"


def test_quotes_are_bounded() -> None:
    """What the user wrote is shortened where it is long."""
    assert quoted("x" * 81) == f"`{'x' * 80}…`"


def test_the_nearest_name_is_offered() -> None:
    """A near name is offered, and none where none is near."""
    assert nearest("becuase", ["because", "fix"]) == "did you mean `because`?"
    assert nearest("zzz", ["because", "fix"]) == ""


def test_findings_stop_at_errors_only() -> None:
    """Warnings are kept; errors are raised together, in the order of the files."""
    findings = Findings()
    findings.warning("w", "careful", Span("b", 1, 1, 1, ""))
    findings.warning("w", "careful", Span("a", 1, 1, 1, ""))
    findings.stop()
    findings.extend([finding(line=9)])
    findings.error("first", "m", Span("a.yaml", 1, 1, 1, ""), "do this")
    assert findings.count == 4
    assert [each.place.file for each in findings.warnings] == ["a", "b"]
    with pytest.raises(PolicyError) as caught:
        findings.stop()
    assert [each.place.line for each in caught.value.diagnostics] == [1, 9]
    assert caught.value.help == "do this"
    assert str(caught.value).count("error[") == 2
    assert PolicyError(()).help == ""


def test_findings_are_one_json_object() -> None:
    """Programs get code, severity, message, place, width and help."""
    assert finding(help="h").as_json() == {
        "code": "unknown-key",
        "severity": "error",
        "message": "unknown key `sauce`",
        "file": "a.yaml",
        "line": 8,
        "column": 5,
        "width": 5,
        "help": "h",
    }
