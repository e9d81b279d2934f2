"""What is said about each key is said once, in short, for every key there is."""

import pytest

from policies.conditions import Reader
from policies.diagnostics import Findings
from policies.facts import CATALOGUE
from policies.keys import DUTY_MEANINGS, GATE_MEANINGS, KEYS, OPERATORS, SHARED
from policies.shapes import DUTIES, GATE_WORDS, SHAPES
from policies.source import parse


@pytest.mark.parametrize("kind", sorted(KEYS))
def test_every_key_has_its_meaning(kind: str) -> None:
    """Each key that the loader takes is explained, and no other."""
    fields = SHAPES[kind].model_fields
    assert set(KEYS[kind]) == {field.alias or name for name, field in fields.items()}


def test_every_mapping_is_explained() -> None:
    """Each kind of mapping has its table of keys, in the order of the shapes."""
    assert list(KEYS) == list(SHAPES)


def test_words_for_gates_and_duties_are_those_of_the_loader() -> None:
    """Gates and duties have a meaning each."""
    assert set(GATE_MEANINGS) == set(GATE_WORDS)
    assert set(DUTY_MEANINGS) == set(DUTIES)


@pytest.mark.parametrize("word", sorted(OPERATORS))
def test_every_test_is_one(word: str) -> None:
    """Each test that is explained can be written for a number or for a set."""
    numbers, sets = (
        f"when: {{response.tokens: {{{word}: 5}}}}",
        f"when: {{student.competes_with: {{{word}: Acme}}}}",
    )
    outcomes = []
    for text in (numbers, sets):
        findings = Findings()
        root = parse("a.yaml", text, findings)
        assert root is not None
        Reader(findings=findings).condition(root.values["when"])
        outcomes.append(findings.count)
    assert 0 in outcomes


def test_meanings_are_half_sentences() -> None:
    """A meaning follows its key and a colon, so it ends without a full stop."""
    tables = [*KEYS.values(), SHARED, OPERATORS, GATE_MEANINGS, DUTY_MEANINGS]
    said = [text for table in tables for text in table.values()]
    assert [text for text in said if not text or text.endswith(".")] == []


def test_student_keys_name_their_facts() -> None:
    """Each key of a student that declares a fact says which."""
    for key, text in KEYS["student"].items():
        assert (f"`student.{key}`" in text) is (f"student.{key}" in CATALOGUE)
