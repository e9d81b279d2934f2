"""How findings read, for each code one bad file with the exact text expected."""

from datetime import UTC, datetime
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

GOLDEN = Path(__file__).parent / "golden"
ON = datetime(2026, 11, 24, tzinfo=UTC)
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
