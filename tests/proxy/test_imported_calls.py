"""The entries of one imported line: what is said, and what stays unknown."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.bundle import bundle_of, load_bundle
from policies.model import Fact
from proxy.detect import NOTHING_SEEN, Sighting
from proxy.import_lines import ImportLine, read_lines
from proxy.imported_calls import Maker, call_id
from proxy.ledger.entry import CallEntry, ExchangeEntry, ImportEntry, exchange_of
from tests.proxy.importing import chats
from tests.proxy.workshop import NOW, STUDENT

BATCH = "01a20d6d-5bcb-7bfa-8234-0fa00370ae56"
BUNDLE = bundle_of(
    {
        **load_bundle(None, organisation="Example Org").documents,
        "students/gardener.yaml": STUDENT.format(name="gardener", purpose="eval", competes=""),
        "organisation/x.yaml": """\
inbond: 1
policy: x
layer: organisation
party: Example Org
owner: legal@example.org
reviewed: 2026-11-24
rules:
  - id: no-shed
    forbid: request
    when: {project: shed}
    because: Nothing is made in the shed.
  - id: masked
    permit: training
    when: {project: garden}
    because: What is learned names nobody.
    duties: {redact: pii}
""",
    },
    organisation="Example Org",
)
ENTRY = ImportEntry(
    id=BATCH,
    at="2026-11-24T12:00:00.000Z",
    actor="user:1",
    action="admit",
    batch=BATCH,
    source="the-source-entry",
    name="wiki",
    origin="open",
    licence="CC0-1.0",
    project="field",
    student="gardener",
    evidence=["00" * 32],
    digest="11" * 32,
    lines=1,
    facts={"route": "imported", "model.id": "no-model"},
    reason="open data",
    nonce="00" * 16,
)
LOG: dict[str, Any] = {
    "origin": "teacher",
    "facts": {"route": "openai-api", "model.asked": "gpt-5.1", "model.id": "gpt-5.1"},
    "answered_at": "2026-10-01T00:00:00.000Z",
}


@pytest.fixture
def line(tmp_path: Path) -> ImportLine:
    """One chat."""
    return next(read_lines(chats(tmp_path)))


def made(
    line: ImportLine, seen: Sighting = NOTHING_SEEN, **said: object
) -> tuple[CallEntry, ExchangeEntry]:
    """The entries of a line whose import says something else."""
    maker = Maker(bundle=BUNDLE, entry=ENTRY.model_copy(update=said), organisation=ORG, at=NOW)
    first, second = maker.make(7, line, asked=seen, said=seen).pending
    assert isinstance(first.entry, CallEntry)
    assert isinstance(second.entry, ExchangeEntry)
    return first.entry, second.entry


ORG: dict[str, Fact] = {"org.country": "DE"}


def test_an_example_without_a_model_says_so(line: ImportLine) -> None:
    """Nothing moderated it or cut it short; its student, source and licence are stamped."""
    call, end = made(line)
    assert (call.id, end.id) == (call_id(BATCH, 7), exchange_of(call_id(BATCH, 7)))
    assert (call.imported, call.sources, call.key) == (
        BATCH,
        ["the-source-entry"],
        f"import:{BATCH}",
    )
    assert (call.facts["source.name"], call.facts["org.country"]) == ("wiki", "DE")
    assert call.facts["student.purpose"] == "eval"
    assert end.facts == {
        "model.id": "no-model",
        "model.substituted": False,
        "response.finish": "imported",
        "response.moderated": False,
        "response.third_party": False,
    }
    assert end.decision is not None
    assert (end.decision.verdict, end.decision.by) == ("permit", ["imported/waived"])


def test_of_a_log_nobody_knows_what_touched_the_answer(line: ImportLine) -> None:
    """The terms of the day of the answer count; what the log does not say stays unknown."""
    call, end = made(line, **LOG)
    assert call.at == "2026-10-01T00:00:00.000Z"
    assert end.facts == {
        "model.id": "gpt-5.1",
        "model.served": "gpt-5.1",
        "model.substituted": False,
    }
    assert end.decision is not None
    assert (end.decision.exchange_at, end.decision.today_at) == (
        call.at,
        "2026-11-24T12:00:00.000Z",
    )


@pytest.mark.parametrize("said", [{}, LOG])
def test_what_a_filter_ended_is_moderated(tmp_path: Path, said: dict[str, Any]) -> None:
    """Whoever is said to have written it: the line itself says that a filter came in."""
    line = next(read_lines(chats(tmp_path, 1, finish_reason="content_filter")))
    _, end = made(line, **said)
    assert end.facts["response.moderated"] is True


def test_what_may_not_be_asked_is_not_kept(line: ImportLine) -> None:
    """Where the request gate forbids, the line is on record as refused, without its text."""
    maker = Maker(
        bundle=BUNDLE, entry=ENTRY.model_copy(update={"project": "shed"}), organisation={}, at=NOW
    )
    found = maker.make(1, line, asked=NOTHING_SEEN, said=NOTHING_SEEN)
    first, second = found.pending
    assert found.verdict == "refused"
    assert [body.blob for body in first.bodies] == [None]
    assert isinstance(second.entry, ExchangeEntry)
    assert (second.entry.outcome, second.entry.answer, second.bodies) == ("refused", None, ())


def test_of_an_answer_that_is_masked_no_other_copy_is_kept(line: ImportLine) -> None:
    """The line itself holds the answer in clear: it is sealed, and not stored."""
    maker = Maker(
        bundle=BUNDLE, entry=ENTRY.model_copy(update={"project": "garden"}), organisation={}, at=NOW
    )
    looked = Sighting(kinds=frozenset({"pii"}))
    first, second = maker.make(1, line, asked=looked, said=looked).pending
    assert [body.blob is None for body in (*first.bodies, *second.bodies)] == [True, False]


def test_a_duty_to_redact_that_cannot_be_met_keeps_nothing(line: ImportLine) -> None:
    """Without a detector the answer is sealed and not kept, and never learned from."""
    _, end = made(line, project="garden")
    assert (end.is_whole, end.problem, end.decision) == (False, "not-redacted", None)
    looked = Sighting(kinds=frozenset({"pii"}))
    call, end = made(line, looked, project="garden")
    assert (end.is_whole, end.redacted) == (True, ["pii"])
    assert (call.facts["request.pii"], end.facts["response.pii"]) == (False, False)


@given(places=st.lists(st.integers(1, 10**6), min_size=2, max_size=20, unique=True))
def test_each_place_has_one_id(places: list[int]) -> None:
    """Ids differ from place to place, are the same when asked again, and are pairs with their ends."""
    ids = [call_id(BATCH, place) for place in places]
    assert len({*ids, *map(exchange_of, ids)}) == 2 * len(ids)
    assert ids == [call_id(BATCH, place) for place in places]
    assert all(UUID(id_).version == 7 for id_ in ids)
    assert call_id(BATCH[:-12] + "0fa00370ae57", 1) != call_id(BATCH, 1)
