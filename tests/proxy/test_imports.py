"""Imports: on record with the same trail as answers, on evidence alone, each line once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import override

import pytest
import time_machine

from proxy.cli.openledger import open_ledger
from proxy.detect import Detectors, Sighting
from proxy.errors import LedgerError
from proxy.exchange import Answer
from proxy.imports import Importer, Offer, origin_of, teacher_named
from proxy.inforce import put_in_force, workspace_bundle
from proxy.ledger.entry import CallEntry, ExchangeEntry, ImportEntry, SourceEntry
from proxy.ledger.verify import verify
from proxy.registry import registry_of
from student.intake import open_dataset
from tests.proxy.importing import bring, bring_log, brought, chats, paper
from tests.proxy.workshop import NOW, Asked, Workshop


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Workshop]:
    """A workspace on the day of the tests."""
    with time_machine.travel(NOW, tick=True):
        yield Workshop.at(tmp_path / "work")


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A workspace in which nothing was ever imported, for all that is refused."""
    with time_machine.travel(NOW, tick=True):
        yield Workshop.at(tmp_path_factory.mktemp("refusals") / "work")


@pytest.fixture(scope="module")
def wiki(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A workspace with three chats of the source `wiki`, and a dataset of them."""
    folder = tmp_path_factory.mktemp("wiki")
    with time_machine.travel(NOW, tick=True):
        made = Workshop.at(folder / "work")
        brought(bring(made, chats(folder)))
        built = made.record("dataset", "build", "--student", "gardener", "--source", "wiki")
        made.calls = [str(built["path"])]
        yield made


def test_every_line_gets_the_trail_of_an_answer(wiki: Workshop) -> None:
    """Source, import, then a call and an exchange a line: sealed, decided on, on evidence."""
    entries = wiki.entries()
    source = next(each for each in entries if isinstance(each, SourceEntry))
    admitted = next(each for each in entries if isinstance(each, ImportEntry))
    calls = [each for each in entries if isinstance(each, CallEntry) and each.imported]
    calls = [each for each in calls if each.imported == admitted.batch]
    ends = {each.call: each for each in entries if isinstance(each, ExchangeEntry)}
    assert (admitted.name, admitted.source, admitted.lines) == ("wiki", source.id, len(calls))
    assert len(admitted.evidence) == 1
    assert {tuple(call.sources) for call in calls} == {(source.id,)}
    assert {call.facts["source.licence"] for call in calls} == {"CC-BY-4.0"}
    assert {decided(ends[call.id]) for call in calls} == {"permit"}
    assert wiki.inbond("ledger", "verify").exit_code == 0


def decided(end: ExchangeEntry) -> str | None:
    """The verdict of the response gate."""
    return None if end.decision is None else end.decision.verdict


def test_a_dataset_of_imports_is_proven_and_learned_from(wiki: Workshop) -> None:
    """Rows say their source and licence, carry its duties, and the trainer takes them as any other."""
    path = Path(wiki.calls[0])
    report = verify(path, wiki.key)
    assert report.findings == []
    assert any("3 imported examples" in claim for claim in report.claimed)
    admitted = open_dataset(path, wiki.key, student="gardener", now=NOW)
    first = admitted.examples[0]
    assert (first.provider, first.licence, first.model) == ("wiki", "CC-BY-4.0", "no-model")
    assert first.answer.text.startswith("Answer")
    # Who made the data only people know: a release waits for their paper.
    assert first.duties[0].startswith("notice_file: retain the names of the makers")


def test_public_summaries_count_imports_as_what_they_are(wiki: Workshop) -> None:
    """Question 12 tells data of others from answers of models, with its licence."""
    lines = wiki.inbond("audit", "ask", "12", "--json").stdout.splitlines()
    (row,) = [row for row in map(json.loads, lines) if row["provider"] == "wiki"]
    assert row["kind of data"] == "imported: openly licensed data"
    assert (row["licence"], row["examples"]) == ("CC-BY-4.0", 3)


def test_a_file_is_imported_once(wiki: Workshop, tmp_path: Path) -> None:
    """The same file as the same source is refused, with the import it was."""
    again = bring(wiki, chats(tmp_path))
    assert again.exit_code == 1
    assert json.loads(again.stderr.splitlines()[-1])["code"] == "imported-before"


def test_a_licence_that_nobody_wrote_down_teaches_nothing(wiki: Workshop, tmp_path: Path) -> None:
    """The lines go on record, forbidden, and no dataset is made of them."""
    file = chats(tmp_path, 2, name="scraped.jsonl")
    said = brought(bring(wiki, file, "--source", "scraped", licence="LicenseRef-scraped"))
    assert (said["verdicts"], said["silent"]) == ({"forbid": 2}, ["host", "model"])
    result = wiki.inbond("dataset", "build", "--student", "gardener", "--source", "scraped")
    assert (result.exit_code, "2 not-admitted" in result.stderr) == (1, True)


def test_a_source_keeps_its_licence(wiki: Workshop, tmp_path: Path) -> None:
    """Data under another licence, or of a source that may not be learned from, needs another name."""
    other = bring(wiki, chats(tmp_path, name="b.jsonl"), licence="CC0-1.0")
    assert "on record under `CC-BY-4.0`" in other.stderr
    owing = bring(wiki, chats(tmp_path, name="b.jsonl"), "--duty", "attribution=Us")
    assert "on record without the duty `attribution: Us`" in owing.stderr
    wiki.record(
        "source", "add", "mail", "--licence", "CC-BY-4.0", "--may-not-train", "--reason", "private"
    )
    gone = bring(wiki, chats(tmp_path, name="c.jsonl"), "--source", "mail")
    assert "may not be learned from" in gone.stderr


def test_a_project_says_whom_it_teaches(wiki: Workshop, tmp_path: Path) -> None:
    """Without `--student` the key of the project does; without either nothing is imported."""
    words = (
        "import", chats(tmp_path, 1, name="shed.jsonl"), "--source", "shed", "--project", "shed",
        "--licence", "CC0-1.0", "--evidence", paper(tmp_path), "--reason", "open data",
    )  # fmt: skip
    assert "no key of project `shed` stamps a student" in wiki.inbond(*words).stderr
    wiki.record("key", "create", "--project", "shed", "--student", "gardener")
    said = wiki.record(*words)
    assert wiki.record("import", "show", said["import"])["student"] == "gardener"


def test_a_teachers_log_waits_for_a_person(
    here: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What somebody declares of a teacher's answers is learned only once a person vouches for it.

    A verifier refutes it before, even of a build that let it pass.
    """
    said = brought(bring_log(here, chats(tmp_path, finish_reason="stop")))
    assert said["verdicts"] == {"permit": 3}
    assert "3 not-confirmed" in here.inbond("dataset", "build", "--student", "gardener").stderr
    with monkeypatch.context() as lying:
        lying.setattr("proxy.lineage.import_problem", lambda *_: "")
        wrong = here.record("dataset", "build", "--student", "gardener")
    report = verify(Path(str(wrong["path"])), here.key)
    assert len(report.findings) == 3
    assert all("(not-confirmed)" in finding.message for finding in report.findings)
    here.record("import", "confirm", said["import"], "--reason", "compared with our own copy")
    path = Path(str(here.record("dataset", "build", "--student", "gardener")["path"]))
    (example, *_) = open_dataset(path, here.key, student="gardener", now=NOW).examples
    assert example.model == "smollm2-135m-instruct"
    assert example.provider.endswith(", as source `old-log` declares")
    call = next(entry for entry in here.entries() if isinstance(entry, CallEntry))
    assert call.at == "2026-11-20T00:00:00.000Z"
    assert "response.moderated" not in call.facts


def test_without_evidence_nothing_is_on_record(untouched: Workshop, tmp_path: Path) -> None:
    """An import that rests on no paper is refused (promises P5 and P9)."""
    result = untouched.inbond(
        "import", chats(tmp_path), "--source", "wiki", "--licence", "CC0-1.0",
        "--project", "garden", "--student", "gardener", "--reason", "found it",
    )  # fmt: skip
    assert result.exit_code == 1
    assert "an import without evidence is never permitted" in result.stderr
    assert "--evidence FILE" in result.stderr
    assert not [
        entry for entry in untouched.entries() if isinstance(entry, ImportEntry | CallEntry)
    ]


def test_what_was_withdrawn_is_in_no_later_dataset(here: Workshop, tmp_path: Path) -> None:
    """A withdrawal keeps all lines out, and what was made from them; datasets of them are worth nothing."""
    said = brought(bring(here, chats(tmp_path)))
    parent = next(entry.id for entry in here.entries() if isinstance(entry, ExchangeEntry))
    here.ask(Asked(headers=(("x-inbond-parent", parent),)))
    built = here.record("dataset", "build", "--student", "gardener")
    here.record("import", "withdraw", said["import"], "--reason", "its author objected")
    refused = here.inbond("dataset", "build", "--student", "gardener")
    assert "3 import-withdrawn, 1 contributor-import-withdrawn" in refused.stderr
    status = here.inbond("dataset", "status", built["dataset"], "--json")
    assert status.exit_code == 1
    affected = json.loads(status.stdout)["affected"]
    assert set(affected.values()) == {"import-withdrawn", "contributor-import-withdrawn"}


def test_one_line_can_be_erased(here: Workshop, tmp_path: Path) -> None:
    """A person's text in an import is erased as in an answer; every proof keeps working."""
    brought(bring(here, chats(tmp_path)))
    needle = tmp_path / "needle.txt"
    needle.write_text("Answer 1.")
    here.record("erase", "--matching", needle, "--reason", "asked to", "--yes")
    built = here.record("dataset", "build", "--student", "gardener")
    assert (built["rows"], built["left_out"]) == (2, {"erased": 1})
    assert here.inbond("ledger", "verify").exit_code == 0


class _Breaking(Detectors):
    """Fails at the third line, as a machine may."""

    seen = 0

    @override
    async def in_answer(self, answer: Answer) -> Sighting:
        self.seen += 1
        if self.seen > 2:
            raise ConnectionError
        return await super().in_answer(answer)


def test_an_import_that_was_cut_off_is_completed(
    here: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run records what is left, under the same import; nothing stands twice."""
    file = chats(tmp_path, 5)
    monkeypatch.setattr("proxy.imports._PAGE", 2)
    with open_ledger(here.settings) as ledger:
        bundle = workspace_bundle(here.settings, ledger.database)
        put_in_force(ledger.log, bundle, "user:1")
        made = Importer(
            log=ledger.log,
            bundle=bundle,
            detectors=_Breaking({}, timeout_s=1.0),
            organisation={},
            actor="user:1",
            at=NOW,
        )
        offer = Offer(
            file=file,
            source="wiki",
            origin="open",
            licence="CC-BY-4.0",
            evidence=[paper(tmp_path)],
            project="garden",
            student="gardener",
            reason="open data",
        )
        with pytest.raises(ConnectionError):
            made.bring(offer)
    (admitted,) = [entry for entry in here.entries() if isinstance(entry, ImportEntry)]
    assert here.record("import", "show", admitted.batch)["recorded"] == 2
    teacher = ("--origin", "teacher", "--teacher", "house:smollm2", "--answered", "2026-11-20")
    assert "begun with another teacher or day" in bring(here, file, *teacher).stderr
    said = brought(bring(here, file))
    assert (said["import"], said["recorded"]) == (admitted.batch, 3)
    calls = [entry for entry in here.entries() if isinstance(entry, CallEntry)]
    assert len(calls) == len({call.id for call in calls}) == 5


class _Writing(Detectors):
    """Looks while somebody writes to the file."""

    path: Path

    @override
    async def in_answer(self, answer: Answer) -> Sighting:
        self.path.write_text(self.path.read_text().replace("Question", "Another question"))
        return await super().in_answer(answer)


def test_a_file_that_changes_meanwhile_is_taken_back(here: Workshop, tmp_path: Path) -> None:
    """What is on record is not of the file that the entry names: nothing of it may be learned."""
    detectors = _Writing({}, timeout_s=1.0)
    detectors.path = chats(tmp_path)
    with open_ledger(here.settings) as ledger:
        bundle = workspace_bundle(here.settings, ledger.database)
        put_in_force(ledger.log, bundle, "user:1")
        made = Importer(
            log=ledger.log,
            bundle=bundle,
            detectors=detectors,
            organisation={},
            actor="user:1",
            at=NOW,
        )
        offer = Offer(
            file=detectors.path,
            source="wiki",
            origin="open",
            licence="CC-BY-4.0",
            evidence=[paper(tmp_path)],
            project="garden",
            student="gardener",
            reason="open data",
        )
        with pytest.raises(LedgerError, match="changed while it was read"):
            made.bring(offer)
    refused = here.inbond("dataset", "build", "--student", "gardener")
    assert "3 import-withdrawn" in refused.stderr


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--student", "stranger"), "no student `stranger` is declared"),
        (("--licence", "see page"), "`see page` is no licence"),
        (("--reason", " "), "the reason is empty"),
        (("--origin", "teacher"), "who answered is not said"),
        (("--duty", "display"), "says nothing"),
        (("--origin", "own", "--teacher", "house:smollm2"), "belong together"),
        (("--teacher", "house:smollm2", "--answered", "2030-01-01"), "still to come"),
    ],
)
def test_what_cannot_be_said_is_refused(
    untouched: Workshop, tmp_path: Path, more: tuple[str, ...], message: str
) -> None:
    """A wrong word is an error with a fix, and no line goes on record."""
    result = bring(untouched, chats(tmp_path, 1), *more)
    assert result.exit_code == 1
    assert message in result.stderr
    assert not [
        entry for entry in untouched.entries() if isinstance(entry, ImportEntry | CallEntry)
    ]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("gpt-5.1", "names no contract"),
        ("openai:gpt-5.1", "names no contract"),
        ("house:none-such", "no model that the registry knows"),
        ("openrouter:openai/gpt-5.1", "has others answer"),
    ],
)
def test_a_teacher_is_one_of_the_registry(untouched: Workshop, word: str, message: str) -> None:
    """Who answered is named by contract and model, and a router's log does not say it."""
    with pytest.raises(LedgerError, match=message):
        teacher_named(registry_of(untouched.settings), word, NOW)


def test_an_origin_is_one_of_four() -> None:
    """Another word is refused."""
    assert origin_of("own") == "own"
    with pytest.raises(LedgerError, match="`found` is no origin"):
        origin_of("found")


def test_evidence_has_a_bound(untouched: Workshop, tmp_path: Path) -> None:
    """An empty paper is none."""
    file = chats(tmp_path, 1)
    empty = tmp_path / "empty.txt"
    empty.touch()
    result = bring(untouched, file, "--evidence", empty)
    assert "the evidence is empty" in result.stderr
