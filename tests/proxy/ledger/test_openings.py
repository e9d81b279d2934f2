"""Openings are read where they lie, and their texts are known by digest."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.errors import BundleError
from proxy.ledger import pieces
from proxy.ledger.bundle import OPENINGS, Opening, opening_line, read_bundle
from proxy.ledger.canonical import Json
from proxy.ledger.crew import Crew
from proxy.ledger.example import texts_of
from proxy.ledger.openings import Openings, read_openings, scan_openings, texts_digest
from proxy.ledger.report import Report
from tests.proxy.ledger.sample import dataset_case

CASE = dataset_case()
SEALS = {opening.seal: opening for opening in CASE.contents.openings}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A dataset that was written."""
    return CASE.write(tmp_path / "bundle")


def settled(path: Path, seals: list[str]) -> tuple[Openings, Report]:
    """The openings of a bundle whose entries name these seals, with what was said of them."""
    report = Report()
    with read_bundle(path) as bundle, Crew() as crew:
        found = scan_openings(bundle, crew, has_texts=True)
        found.see(seals)
        found.settle(report)
    return found, report


@pytest.mark.parametrize("part_bytes", [1, 1 << 20])
def test_each_is_found_again(path: Path, part_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Salt and body of a seal are read from their place, whatever the part they lie in."""
    monkeypatch.setattr(pieces, "_PART_BYTES", part_bytes)
    found, report = settled(path, list(SEALS))
    assert report.findings == []
    assert set(found) == set(SEALS)
    for name, opening in SEALS.items():
        assert found.get(name) == opening
    assert found.get("other") is None


def test_texts_are_known_by_their_digest(path: Path) -> None:
    """A choice has exactly the texts of the reading: one sign more is another digest."""
    found, _ = settled(path, list(SEALS))
    name = CASE.contents.rows[0].answer_seal
    for choice in (0, 1):
        texts = texts_of(SEALS[name].body, choice)
        assert found.has_texts(name, choice, texts_digest(texts))
        for changed in (replace(texts, messages="[]"), replace(texts, logprobs="x", tools="y")):
            assert not found.has_texts(name, choice, texts_digest(changed))
    assert not found.has_texts(name, 7, texts_digest(texts))


def test_texts_that_run_into_each_other_differ() -> None:
    """Where one text ends and the next begins is part of the digest, and so is that there is none."""
    texts = texts_of(SEALS[CASE.contents.rows[0].answer_seal].body, 0)
    forms = [
        replace(texts, messages="ab", completion="c"),
        replace(texts, messages="a", completion="bc"),
        replace(texts, tools=""),
        replace(texts, tools=None),
    ]
    assert len({texts_digest(form) for form in forms}) == len(forms)


def test_what_no_entry_names_is_not_good(path: Path) -> None:
    """An opening of a seal that stands nowhere is a finding, and opens nothing."""
    first, *rest = SEALS
    found, report = settled(path, rest)
    assert [finding.code for finding in report.findings] == ["opening"]
    assert (first in found, len(found)) == (False, len(rest))


@pytest.mark.parametrize("damage", ["no JSON\n", "twice"])
def test_a_damaged_file_is_refused(path: Path, damage: str) -> None:
    """A line that is no opening, or one that stands twice, is named with its place."""
    lines = (path / OPENINGS).read_text().splitlines(keepends=True)
    lines.append(lines[0] if damage == "twice" else damage)
    (path / OPENINGS).write_text("".join(lines))
    with pytest.raises(BundleError) as caught:
        settled(path, list(SEALS))
    assert caught.value.where == f"{OPENINGS}:{len(lines)}"


def test_many_choices_are_left_for_their_examples(path: Path) -> None:
    """A reading with very many choices is not read once for each of them."""
    choice: dict[str, Json] = {"text": "", "reasoning": "", "tool_calls": [], "logprobs": None}
    document = {
        "request": {"messages": [], "tools": None},
        "answer": {"choices": [choice | {"index": at} for at in range(17)]},
    }
    body = json.dumps(document).encode()
    (path / OPENINGS).write_bytes(opening_line(Opening(salt=bytes(32), body=body)))
    (part,) = pieces.parts_of(path / OPENINGS, OPENINGS)
    (scanned,) = read_openings(True, part).openings
    assert scanned.place is not None
    assert scanned.place.digests == {}
