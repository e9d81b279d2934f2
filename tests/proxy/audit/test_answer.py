"""Answers are tables whose cells lead to their rows."""

from proxy.audit.answer import Answer, Ref, counted, document, mention, said, short, total
from proxy.audit.evidence import Mention, Tally, Word


def test_records_are_plain() -> None:
    """What a cell leads to is left out for programs."""
    answer = Answer(says="Yes.", columns=("a", "b"), rows=((Ref("x", "#y"), (Ref("z", "#"), "w")),))
    assert answer.records() == [{"a": "x", "b": ["z", "w"]}]


def test_references_lead_into_the_bundle() -> None:
    """A document leads to its file, an exchange to its line on the page."""
    assert document("grants", "a" * 64).href == f"grants/{'a' * 64}.yaml"
    assert document("terms", "a" * 64, "title") == Ref("title", f"terms/{'a' * 64}.json")
    assert mention(Mention("x", "2026", 7)) == Ref("x", "#entry-7")
    assert short("a" * 64) == "a" * 12


def test_numbers_have_their_noun() -> None:
    """One exchange, two exchanges; a gate that was not asked is a dash."""
    assert (counted(1, "exchange"), counted(2000, "exchange")) == ("1 exchange", "2,000 exchanges")
    assert (said(None), said(Word(verdict="permit", bundle=""))) == ("–", "permit")
    nobody = Mention("", "", 0)
    assert total([Tally(nobody, nobody, 2), Tally(nobody, nobody, 3)]) == 5
