"""The release gate speaks of every row, every ancestor and every base, by today's policies."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine

import proxy.release_gate
from policies.model import Fact
from proxy.cli.openledger import open_ledger
from proxy.clock import new_id, new_nonce, stamp, utc_now
from proxy.errors import LedgerError
from proxy.inforce import put_in_force, workspace_bundle
from proxy.ledger.entry import JudgementEntry, RunEntry
from proxy.release_gate import Occasion, Prospect, decide_release
from proxy.release_obstacles import Made
from proxy.store.log import Pending
from tests.proxy.grown import LLAMA, SMALL, add_run, declare, grow
from tests.proxy.workshop import NOW, Workshop

REVENUE = """
  - id: revenue-is-known
    forbid: release
    when: {org.revenue_usd: {above: 20_000_000}}
    because: A large company needs a licence of its own.
    fix: Ask for one.
"""
LANGUAGE = """
  - id: no-german
    forbid: release
    when: {response.language: de, route: self-hosted}
    because: Nobody here reads it.
"""
LOOK = """
  - id: somebody-looks
    review: release
    because: A release needs a second pair of eyes.
"""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Workshop]:
    """A workspace with a run on record, a day later."""
    made = grow(tmp_path / "work")
    with time_machine.travel(NOW + timedelta(days=1), tick=True):
        yield made


def add_rule(here: Workshop, rule: str) -> None:
    """Add a house rule."""
    rules = here.directory / "policies/organisation/house-rules.yaml"
    head, mark, tail = rules.read_text().partition("\n# Switch on")
    rules.write_text(f"{head}{rule}{mark}{tail}")


def made_of(here: Workshop, *names: str) -> tuple[Made, ...]:
    """Runs on record as a release takes them."""
    known = {entry.run: entry for entry in here.entries() if isinstance(entry, RunEntry)}
    return tuple(
        Made(
            entry=known[name],
            folder=here.directory / "students" / name,
            base_origin="acme-7b",
            base_licence="apache-2.0",
            base_files={},
            duties=(),
        )
        for name in names
    )


def look(
    here: Workshop,
    runs: tuple[Made, ...] = (),
    *,
    declared: Mapping[str, Fact] | None = None,
    cleared: frozenset[str] = frozenset(),
) -> Prospect:
    """What the gate says today."""
    with open_ledger(here.settings) as ledger:
        bundle = workspace_bundle(here.settings, ledger.database)
        put_in_force(ledger.log, bundle, "user:1")
        occasion = Occasion(at=utc_now(), declared=declared or {}, cleared=cleared)
        folder = here.settings.datasets_directory
        chain = runs or made_of(here, "run-1")
        with ledger.database.read() as connection:
            return decide_release(connection, bundle, chain, folder, occasion)


def codes(found: Prospect) -> list[str]:
    """What stands against it."""
    return [each.code for each in found.obstacles]


def test_nothing_stands_against_what_all_permit(here: Workshop) -> None:
    """Rows, run and base are permitted: the record says so, with what it rests on."""
    found = look(here)
    assert (found.obstacles, found.reviews, found.owed) == ([], (), ())
    assert (found.record.gate, found.record.verdict) == ("release", "permit")
    assert (found.examples, found.bases) == (2, ("smollm2-135m-instruct",))
    assert any("smollm2/" in clause for clause in found.record.clauses)
    assert found.record.terms


def test_duties_are_of_rows_bases_and_earlier_builds(tmp_path: Path) -> None:
    """The union is over every permit; each duty names the permits that bring it and what they cite."""
    with time_machine.travel(NOW, tick=True):
        made = grow(tmp_path / "work", LLAMA, release="open-weights")
        (run,) = made_of(made, "run-1")
        licence = "licenseref-SCANCODE-llama-3.1-license-2024"
        run = replace(run, duties=("display: Built long ago",), base_licence=licence)
        found = look(made, (run,))
    owed = {each.duty: each for each in found.owed}
    assert codes(found) == []
    assert owed["name_prefix: Llama"].rules == ("llama-3.1/named-student",)
    assert owed["name_prefix: Llama"].sources == ("llama-3.1/licence",)
    assert owed["display: Built long ago"].rules == ()
    assert {each.kind for each in found.owed} == {
        "aup_flowdown",
        "display",
        "licence_copy",
        "name_prefix",
        "notice_file",
    }
    assert found.record.duties == sorted(owed)


def test_a_row_that_today_refuses_stands_against_it(here: Workshop) -> None:
    """The dataset gate is asked again, with today's policies: the rule is named."""
    add_rule(here, "\n  - id: no-garden\n    forbid: training\n    when: {project: garden}\n"
                   "    because: The garden teaches nobody.\n")  # fmt: skip
    found = look(here)
    assert codes(found) == ["rows-refused"]
    assert "2 excluded (by `house-rules/no-garden`)" in found.obstacles[0].what
    assert found.record.verdict == "forbid"


def test_a_withdrawn_dataset_stands_against_it(here: Workshop) -> None:
    """An exchange recalled by name withdraws the dataset, and the student stays."""
    here.record("recall", "--exchange", here.calls[0], "--reason", "wrong prompt", "--yes")
    found = look(here)
    assert codes(found) == ["dataset-withdrawn"]
    assert "wrong prompt" in found.obstacles[0].what


def test_a_dataset_of_another_ledger_stands_against_it(here: Workshop) -> None:
    """What this ledger did not seal it cannot decide on."""
    (run,) = made_of(here, "run-1")
    other = run.entry.model_copy(update={"datasets": ["ff" * 32]})
    assert codes(look(here, (replace(run, entry=other),))) == ["other-ledger"]


def test_an_unknown_fact_is_never_permission(here: Workshop) -> None:
    """A rule on the organisation's revenue: unknown holds the release, too much forbids it."""
    add_rule(here, REVENUE)
    found = look(here)
    assert codes(found) == ["held"]
    assert "`org.revenue_usd`" in found.obstacles[0].what
    assert "`inbond.yaml`" in found.obstacles[0].fix
    assert (found.record.verdict, found.reviews) == ("review", ())


def test_what_a_person_supplied_is_known(here: Workshop) -> None:
    """A judgement on record fills the gap that a rule of the release gate asks about."""
    add_rule(here, LANGUAGE)
    assert "`response.language`" in look(here).obstacles[0].what
    said = [
        Pending(
            JudgementEntry(
                id=new_id(),
                at=stamp(utc_now()),
                actor="user:3",
                exchange=call,
                facts={"response.language": "en"},
                reason="read it",
                nonce=new_nonce(),
            )
        )
        for call in here.calls
    ]
    with open_ledger(here.settings) as ledger:
        ledger.log.append(said)
    assert look(here).obstacles == []


def test_scale_today_forbids(here: Workshop) -> None:
    """What the organisation declares today counts, whatever was stamped on the calls."""
    add_rule(here, REVENUE)
    large: dict[str, Fact] = {"org.revenue_usd": 30_000_000}
    found = look(here, declared=large)
    assert (codes(found), found.record.verdict) == (["forbidden"], "forbid")
    assert found.obstacles[0].fix == "Ask for one"


def test_the_organisation_s_review_can_be_let_pass(here: Workshop) -> None:
    """A review of the organisation's own waits for a person, and for nothing else."""
    add_rule(here, LOOK)
    found = look(here)
    assert (found.obstacles, found.reviews) == ([], ("house-rules/somebody-looks",))
    assert found.record.verdict == "review"
    after = look(here, cleared=frozenset(found.reviews))
    assert (after.obstacles, after.reviews, after.record.verdict) == ([], (), "permit")
    assert after.record.lifted == ["house-rules/somebody-looks"]


@pytest.mark.parametrize(
    ("declaration", "code", "word"),
    [
        ("name: x\n", "base-unknown", "acme-7b"),
        (SMALL.replace("smollm2-135m-instruct", "nobody-7b"), "base-silent", "nobody-7b"),
        (SMALL.replace("Apache-2.0", "MIT"), "base-licence", "`MIT`"),
        (
            SMALL.replace("smollm2-135m-instruct", "qwen2.5-3b-instruct") + "monthly_users: 1\n",
            "base-refused",
            "student.commercial",
        ),
    ],
)
def test_a_base_counts_as_a_teacher(here: Workshop, declaration: str, code: str, word: str) -> None:
    """Nobody declares it, nobody speaks for it, it states another licence, or its licence says no."""
    path = declare(here, declaration)
    if code == "base-refused":
        path.write_text(path.read_text().replace("commercial: false\n", ""))
    found = look(here)
    assert code in codes(found)
    assert any(word in each.what for each in found.obstacles)
    assert found.record.verdict != "permit"


def test_ancestors_bring_their_bases(here: Workshop) -> None:
    """Of a run that began with another run's weights, the first one's base must be known."""
    add_run(here, "run-2")
    assert codes(look(here, made_of(here, "run-2", "run-1"))) == []
    here.declare("elder")
    add_run(here, "run-0", student="elder")
    found = look(here, made_of(here, "run-1", "run-0"))
    assert codes(found) == ["base-unknown"]
    assert "`elder`" in found.obstacles[0].what


def test_what_an_ancestor_may_learn_is_not_what_its_heir_may(here: Workshop) -> None:
    """Rows that an ancestor's purpose permits are asked about for the student that goes to others."""
    add_rule(here, "\n  - id: narrow-only\n    forbid: training\n"
                   "    when: {student.purpose: distil-general}\n"
                   "    because: The garden teaches narrow students alone.\n")  # fmt: skip
    path = here.declare("heir", purpose="distil-general")
    path.write_text(path.read_text() + SMALL)
    (elder,) = made_of(here, "run-1")
    of_heir = {"run": "run-2", "student": "heir", "datasets": []}
    heir = replace(elder, entry=elder.entry.model_copy(update=of_heir))
    assert codes(look(here, (elder,))) == []
    found = look(here, (heir, elder))
    assert codes(found) == ["rows-refused"]
    assert "2 excluded (by `house-rules/narrow-only`)" in found.obstacles[0].what
    assert found.record.verdict == "forbid"


def test_a_student_that_is_gone_is_an_error(here: Workshop) -> None:
    """Without its declaration nothing can be decided."""
    (here.directory / "policies/students/gardener.yaml").unlink()
    with pytest.raises(LedgerError, match="no student `gardener` is declared"):
        look(here)


def test_a_row_on_which_nothing_decides_stands_against_it(
    here: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member of the dataset that is no whole exchange is never passed over."""
    members: Callable[..., frozenset[str]] = lambda *_: frozenset({*here.calls, "elsewhere"})  # noqa: E731
    monkeypatch.setattr(proxy.release_gate, "members_of", members)
    found = look(here)
    assert codes(found) == ["rows-unread"]
    assert "`elsewhere`" in found.obstacles[0].what
