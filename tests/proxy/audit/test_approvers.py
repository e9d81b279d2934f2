"""On whose word an example rests."""

from dataclasses import replace

from policies.bundle import bundle_of
from proxy.audit.approvers import Approvers
from proxy.ledger.entry import Entry
from proxy.ledger.example import ExampleRow
from tests.proxy.store.ledgers import DIGEST, grant_entry, judgement, later

STUDENT = """\
inbond: 1
student: s1
owner: ml@example.org
purpose: eval
task: generate
competes_with: []
release: internal
"""
BUNDLE = bundle_of({"students/s1.yaml": STUDENT}, organisation="Example Org")
ROW = ExampleRow(
    example="e#0", exchange="e", call="c", choice=0, seq=1, project="p", student="s1",
    provider="acme", route="acme-api", model="acme-1", licence="MIT", finish="stop", messages="[]",
    tools=None, completion="{}", logprobs=None, sampling="{}", bundle=BUNDLE.digest, exchange_at="", decided_at="",
    answer_seal="",
)  # fmt: skip


def approvers(*entries: Entry) -> Approvers:
    """The approvers of a log of these entries."""
    return Approvers(entries, {BUNDLE.digest: BUNDLE}.__getitem__)


def test_nobody_is_named_where_nobody_said_anything() -> None:
    """An example that rests on terms alone has no approver."""
    assert approvers(later("other", "clear").entry).of(ROW) == ()


def test_grants_students_and_clearances_name_their_people() -> None:
    """Each paper and each word on the exchange gives `WHAT: ACTOR`."""
    declaration = BUNDLE.students["s1"].digest
    found = approvers(
        grant_entry("propose", DIGEST, actor="user:a").entry,
        grant_entry("approve", DIGEST, actor="user:b").entry,
        grant_entry("approve", declaration, actor="user:c").entry,
        judgement("e").entry,
        later("e", "clear").entry,
        later("e", "reject").entry,
    ).of(replace(ROW, grants=(DIGEST,)))
    assert found == (
        "grant letter: user:b",
        "grant letter: user:c",
        "judgement: user:one",
        "clearance: user:one",
    )


def test_a_student_that_is_declared_no_more_has_no_approver() -> None:
    """A row of a student that its bundle lacks names nobody."""
    assert approvers().of(replace(ROW, student="gone")) == ()
