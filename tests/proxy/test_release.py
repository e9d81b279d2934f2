"""A release is decided, written, signed and put on record, all of it or nothing."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation import make_schemabased_validator

from proxy.cli.openledger import Ledger, notary_of, open_ledger
from proxy.clock import utc_now
from proxy.errors import BundleError, LedgerError
from proxy.inforce import put_in_force, workspace_bundle
from proxy.ledger.entry import ReleaseEntry, RunEntry
from proxy.ledger.release import verify_release
from proxy.ledger.verify import verify
from proxy.release import Outlook, Releaser
from proxy.release_duties import Offer, licence_paper
from proxy.release_files import digests_in
from proxy.release_obstacles import Made
from tests.proxy.grown import LLAMA, grow, releases
from tests.proxy.workshop import NOW, Workshop

LICENCE = "LicenseRef-scancode-llama-3.1-license-2024"
OFFER = Offer(
    name="Llama-Gardener-1",
    licence=LICENCE,
    papers={licence_paper(LICENCE): b"the terms\n"},
)
LOOK = """
  - id: somebody-looks
    review: release
    because: A release needs a second pair of eyes.
"""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Workshop]:
    """A workspace with a run that owes duties, a day later; a rule asks for a person at its release."""
    made = grow(tmp_path / "work", LLAMA, release="open-weights")
    rules = made.directory / "policies/organisation/house-rules.yaml"
    head, mark, tail = rules.read_text().partition("\n# Switch on")
    rules.write_text(f"{head}{LOOK}{mark}{tail}")
    with time_machine.travel(NOW + timedelta(days=1), tick=True):
        yield made


def releaser(here: Workshop, ledger: Ledger, actor: str = "user:2") -> Releaser:
    """Who decides here today."""
    bundle = workspace_bundle(here.settings, ledger.database)
    put_in_force(ledger.log, bundle, "user:1")
    return Releaser(
        notary=notary_of(ledger),
        bundle=bundle,
        datasets=here.settings.datasets_directory,
        declared={},
        at=utc_now(),
        actor=actor,
    )


def run_of(here: Workshop) -> tuple[Made, ...]:
    """The run on record."""
    (entry,) = (each for each in here.entries() if isinstance(each, RunEntry))
    folder = here.directory / "students/run-1"
    made = Made(
        entry=entry, folder=folder, base_origin="b", base_licence=None, base_files={}, duties=()
    )
    return (made,)


def look(here: Workshop, who: Releaser, offer: Offer = OFFER) -> Outlook:
    """How the release stands."""
    return who.look(run_of(here), offer)


def codes(outlook: Outlook) -> list[str]:
    """What stands against it."""
    return [each.code for each in outlook.against()]


def assert_bill_holds(bom: str) -> None:
    """The bill of materials is CycloneDX's, and has the student's name and licence."""
    validator = make_schemabased_validator(OutputFormat.JSON, SchemaVersion.V1_6)
    assert validator.validate_str(bom) is None
    named = [each for each in json.loads(bom)["components"] if each["name"] == "Llama-Gardener-1"]
    assert named[0]["licenses"][0]["license"]["name"] == LICENCE


def assert_audit_shows(here: Workshop, entry: ReleaseEntry) -> None:
    """An audit holds the release and verifies; questions and lineage know of it."""
    audit = here.directory.parent / "audit"
    here.record("audit", "export", audit, "--student", "gardener")
    assert verify(audit, here.key).exit_code == 0
    assert entry.release in (audit / "entries.jsonl").read_text()
    asked = here.inbond("audit", "ask", "weights", "--json").stdout
    assert f"{entry.at} by user:2" in asked
    traced = here.inbond("audit", "trace", "gardener").stdout
    assert "→ release Llama-Gardener-1 on 2026-11-25: 2" in traced
    assert "→ student gardener: 2" in traced


def test_from_a_review_to_a_folder_that_strangers_check(here: Workshop) -> None:
    """Held, approved by another, released: folder, entry, audit and bill of materials agree."""
    out = here.directory / "out"
    with open_ledger(here.settings) as ledger:
        who = releaser(here, ledger)
        assert codes(look(here, who)) == ["needs-approval"]
        with pytest.raises(LedgerError, match="a person's word: `house-rules/somebody-looks`"):
            who.release(look(here, who), out)
        approval = releaser(here, ledger, "user:3").approve(look(here, who), " seen ")
        outlook = look(here, who)
        assert codes(outlook) == []
        released = who.release(outlook, out)
    entry = released.entry
    assert releases(here) == [approval, entry]
    assert (approval.reason, approval.clears) == ("seen", ["house-rules/somebody-looks"])
    assert (approval.is_self_approved, entry.is_self_approved) == (False, False)
    assert (entry.approval, entry.clears) == (approval.id, approval.clears)
    met = dict(zip(entry.decision.duties, entry.met_by, strict=True))
    files = digests_in(out)
    assert met["name_prefix: Llama"] == "name"
    assert met["display: Built with Llama"] == f"README.md sha256:{files['README.md']}"
    paper = licence_paper(LICENCE)
    assert met[f"licence_copy: {LICENCE}"] == f"{paper} sha256:{files[paper]}"
    notice, signature = ((out / name).read_bytes() for name in ("release.json", "model.sig"))
    assert verify_release(notice, signature, files, here.key).exit_code == 0
    assert_bill_holds((out / "bom/cyclonedx.json").read_text())
    assert_audit_shows(here, entry)


def test_an_approval_of_one_s_own_is_said(here: Workshop) -> None:
    """Who approves what he trained, or releases what he approved, may: the ledger says so."""
    (made,) = run_of(here)
    with open_ledger(here.settings) as ledger:
        who = releaser(here, ledger, made.entry.actor)
        approval = who.approve(look(here, who), "mine")
        released = who.release(look(here, who), here.directory / "out")
    assert (approval.is_self_approved, released.entry.is_self_approved) == (True, True)


def test_an_approval_is_of_what_was_looked_at(here: Workshop) -> None:
    """Another licence, name or declaration asks for a person's word again."""
    with open_ledger(here.settings) as ledger:
        who = releaser(here, ledger)
        who.approve(look(here, who), "seen")
        assert codes(look(here, who)) == []
        assert "needs-approval" in codes(look(here, who, replace(OFFER, name="Llama-Other")))
        assert "needs-approval" in codes(look(here, who, replace(OFFER, licence="LicenseRef-Ours")))
        student = here.directory / "policies/students/gardener.yaml"
        student.write_text(student.read_text().replace("monthly_users: 12", "monthly_users: 13"))
        assert codes(look(here, releaser(here, ledger))) == ["needs-approval"]


def test_an_approval_is_of_what_waits_and_no_more(here: Workshop) -> None:
    """A reason is needed; open duties are nothing that a person lets pass; nor is what is fine."""
    with open_ledger(here.settings) as ledger:
        who = releaser(here, ledger)
        with pytest.raises(LedgerError, match="the reason is empty"):
            who.approve(look(here, who), " ")
        bare = look(here, who, Offer(name=None, licence=LICENCE))
        with pytest.raises(LedgerError, match=r"would not be enough: .*name_prefix: Llama"):
            who.approve(bare, "seen")
        who.approve(look(here, who), "seen")
        with pytest.raises(LedgerError, match="nothing in this release waits"):
            who.approve(look(here, who), "seen")


def test_what_stands_against_it_is_listed(here: Workshop) -> None:
    """Each duty that is not met has a line with what to do, and so has a licence that is wanting."""
    with open_ledger(here.settings) as ledger:
        who = releaser(here, ledger)
        bare = look(here, who, Offer(name="Other", licence=None))
        assert codes(bare) == ["duty-open", "duty-open", "no-licence", "needs-approval"]
        assert all(each.fix for each in bare.against())
        textless = look(here, who, Offer(name="Llama-1", licence="LicenseRef-Ours"))
        assert codes(textless) == ["duty-open", "licence-text", "needs-approval"]
        student = textless.prospect.student
        unsaid = {name: fact for name, fact in student.facts.items() if name != "student.release"}
        textless.prospect.student = replace(student, facts=unsaid)
        assert "release-unknown" in codes(textless)


def test_a_word_said_meanwhile_stops_it(here: Workshop) -> None:
    """Whatever was decided after the look makes it void, and nothing is left on disk."""
    with open_ledger(here.settings) as ledger:
        who = releaser(here, ledger)
        outlook = look(here, who)
        who.approve(outlook, "seen")
        outlook = look(here, who)
        here.record("recall", "--exchange", here.calls[0], "--reason", "wrong", "--yes")
        with pytest.raises(LedgerError, match="on record while this was decided"):
            who.release(outlook, here.directory / "out")
    assert not (here.directory / "out").exists()
    assert len(releases(here)) == 1


def test_other_weights_or_rows_release_nothing(here: Workshop) -> None:
    """A file that the run did not make, or a dataset that is not the one sealed, ends it."""
    weights = here.directory / "students/run-1/model/model.safetensors"
    before = weights.read_bytes()
    with open_ledger(here.settings) as ledger:
        who = releaser(here, ledger)
        who.approve(look(here, who), "seen")
        outlook = look(here, who)
        weights.write_bytes(before + b" ")
        with pytest.raises(BundleError, match="not the file that the run made"):
            who.release(outlook, here.directory / "out")
        weights.write_bytes(before)
        (here.directory / "taken").mkdir()
        with pytest.raises(BundleError, match="something at this path"):
            who.release(outlook, here.directory / "taken")
        (bundle,) = here.settings.datasets_directory.iterdir()
        shutil.rmtree(bundle)
        # The ledger knows what it held: only the card then lists no teacher.
        released = who.release(outlook, here.directory / "out")
    assert len(releases(here)) == 2
    assert "| not recorded | | | |" in (released.path / "README.md").read_text()
