"""A place becomes its line again."""

import pytest

from policies.diagnostics import Severity
from policies.excerpts import Excerpts
from policies.model import Place

TEXT = 'inbond: 1\r\n  - id:   "quoted"  # why\nlast: end'


@pytest.mark.parametrize(
    ("line", "column", "word"), [(1, 1, "inbond:"), (2, 11, '"quoted"'), (3, 7, "end")]
)
def test_a_place_is_shown_with_its_word(line: int, column: int, word: str) -> None:
    """The span covers the word that stands there, on a line without its end."""
    finding = Excerpts({"a.yaml": TEXT}).warning(
        "code", Place(file="a.yaml", line=line, column=column), "what", "do"
    )
    span = finding.span
    assert span.text[span.column - 1 : span.column - 1 + span.width] == word
    assert not span.text.endswith("\r")
    assert (finding.severity, finding.code, finding.message, finding.help) == (
        Severity.WARNING,
        "code",
        "what",
        "do",
    )


def test_a_byte_order_mark_moves_nothing() -> None:
    """Positions count as the reader counted them: without the mark."""
    finding = Excerpts({"a.yaml": "\ufeff" + TEXT}).error(
        "code", Place(file="a.yaml", line=1, column=1), "what", "do"
    )
    assert (finding.span.text, finding.severity) == ("inbond: 1", Severity.ERROR)
