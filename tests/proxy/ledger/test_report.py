"""Reports keep apart what is proven, claimed, not covered and found."""

import pytest

from proxy.errors import ProofError
from proxy.ledger.report import Finding, Report, render


def report(*, refuted: int = 0, doubted: int = 0) -> Report:
    """A report with so many findings."""
    made = Report()
    for number in range(refuted):
        made.refute("row", f"row {number}", "it is false")
    for number in range(doubted):
        made.doubt("newer", f"file {number}", "it cannot be told")
    return made


@pytest.mark.parametrize(
    ("refuted", "doubted", "exit_code"), [(0, 0, 0), (1, 0, 1), (0, 1, 2), (1, 1, 1)]
)
def test_the_exit_code_is_the_worst_that_is_known(
    refuted: int, doubted: int, exit_code: int
) -> None:
    """Something false gives 1, whatever else cannot be told; else something untold gives 2."""
    assert report(refuted=refuted, doubted=doubted).exit_code == exit_code


def test_an_error_becomes_a_finding() -> None:
    """An error's code, message and help are kept; its own place comes before the one given."""
    made = Report()
    made.note(ProofError("it does not fit", help="ask", where="there"), where="here")
    made.note(ProofError("it does not fit"), where="here", is_false=False)
    assert made.findings == [
        Finding(code="proof", where="there", message="it does not fit", help="ask"),
        Finding(code="proof", where="here", message="it does not fit", is_false=False),
    ]


def test_a_report_reads_in_four_parts() -> None:
    """The text has the four parts in order, and says `none` where a part is empty."""
    made = report(refuted=1)
    made.proven.append("the first")
    made.note(ProofError("it does not fit", help="ask"), where="here")
    assert render(made) == (
        "proven:\n"
        "  the first\n"
        "\n"
        "claimed by the recorder:\n"
        "  none\n"
        "\n"
        "not covered:\n"
        "  none\n"
        "\n"
        "findings:\n"
        "  row: it is false (row 0)\n"
        "  proof: it does not fit (here)\n"
        "    help: ask\n"
    )
