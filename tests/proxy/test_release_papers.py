"""The texts of a release say what its duties ask for, and nothing else is written."""

from datetime import UTC, datetime
from pathlib import Path

from policies.bundle import bundle_of
from policies.decision import Moment
from policies.engine import decide
from policies.model import Gate
from proxy.enforce import record_of
from proxy.ledger.entry import RunEntry
from proxy.release_duties import Offer, licence_paper, settle
from proxy.release_gate import Prospect
from proxy.release_obstacles import Made, Owed
from proxy.release_papers import LICENCE_FILE, release_texts
from tests.proxy.ledger.sample import AT, NONCE

BUNDLE = bundle_of(
    {
        "students/gardener.yaml": "inbond: 1\nstudent: gardener\nowner: a@example.org\npurpose: eval\n"
    },
    organisation="Us",
)
RUN = RunEntry(
    id="r",
    at=AT,
    actor="user:1",
    run="run-1",
    student="gardener",
    datasets=[],
    record="aa" * 32,
    weights={"model.safetensors": "bb" * 32},
    base="b",
    steps=1,
    nonce=NONCE,
)


def texts(
    *duties: str, name: str | None = "Gardener", licence: str | None = None
) -> dict[str, str]:
    """The files that these duties make."""
    moment = Moment(at=datetime(2026, 11, 24, tzinfo=UTC), facts={})
    made = Made(
        entry=RUN, folder=Path(), base_origin="b", base_licence=None, base_files={}, duties=()
    )
    prospect = Prospect(
        student=BUNDLE.students["gardener"],
        runs=(made,),
        datasets=(),
        bases=("acme-7b",),
        record=record_of(decide(BUNDLE, Gate.RELEASE, moment), BUNDLE),
        owed=tuple(Owed(duty=duty, sources=("acme/licence",)) for duty in duties),
    )
    papers = {licence_paper("LicenseRef-A"): b"text of A", "notices/a.txt": b" (c) Acme \n"}
    offer = Offer(name=name, licence=licence, papers=papers)
    settled = settle(prospect.owed, offer)
    return {path: data.decode() for path, data in release_texts(prospect, settled, offer).items()}


def test_nothing_asked_is_nothing_written() -> None:
    """Without duties and without a licence there is no file."""
    assert texts() == {}
    assert texts("name_prefix: G", "ai_disclosure: told") == {}


def test_a_notice_has_each_line_once() -> None:
    """What is to be shown, named and retained stands in NOTICE, whatever brings it."""
    found = texts(
        "display: Built with Acme",
        "attribution: Built with Acme",
        "notice_file: Acme is licensed.",
        "notice_file: notices/a.txt",
    )
    assert found == {"NOTICE": "Gardener\n\nBuilt with Acme\n\nAcme is licensed.\n\n(c) Acme\n"}


def test_limits_name_where_they_come_from() -> None:
    """Limits of use are passed on with the source that they stand in."""
    found = texts("use_limits: no war", "aup_flowdown: https://acme.example/use", name=None)
    text = found["USE-RESTRICTIONS.md"]
    assert text.startswith("# Use restrictions of gardener\n")
    assert "- no war (from acme/licence)\n" in text
    assert "- https://acme.example/use (from acme/licence)\n" in text


def test_changed_files_are_marked() -> None:
    """It says from what the student began, by which run, and which files are new."""
    text = texts("modified_files_notice: true")["CHANGES.md"]
    assert "began as acme-7b" in text
    assert "run run-1" in text
    assert "- model.safetensors\n" in text


def test_licences_come_whole() -> None:
    """A copy that is owed, and the text of the student's own licence, are the bytes supplied."""
    found = texts("licence_copy: LicenseRef-A", licence="LicenseRef-A")
    assert found == {"licences/LicenseRef-A.txt": "text of A", LICENCE_FILE: "text of A"}
    assert texts(licence="LicenseRef-B") == {}
