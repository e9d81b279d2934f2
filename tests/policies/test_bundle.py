"""Documents into one bundle: links, approvals, overrides, digests, directories."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.bundle import LANGUAGE, Bundle, bundle_of, load_bundle
from policies.diagnostics import PolicyError
from policies.model import Effect, Gate, Layer, Window
from policies.testing import run_suites
from tests.policies.acme import (
    DOCUMENTS,
    GRANT,
    HOST,
    HOUSE,
    ORGANISATION,
    STUDENT,
    approved,
    digest,
)

HOST_PATH = "library/hosts/acme-api.yaml"
OVERRIDE = HOST.replace("Choose another teacher", "Ask first")


def refused(documents: dict[str, str]) -> list[str]:
    """The codes of what is wrong with documents."""
    with pytest.raises(PolicyError) as caught:
        approved(documents)
    return [each.code for each in caught.value.diagnostics]


def codes(bundle: Bundle) -> list[str]:
    """The codes of a bundle's warnings."""
    return [each.code for each in bundle.warnings]


def test_documents_make_a_bundle() -> None:
    """Rules are sorted by full id and carry scope, sources, duties and places."""
    bundle = approved(DOCUMENTS)
    assert [rule.id for rule in bundle.rules] == [
        "acme-api/no-competing-models",
        "acme-api/not-competing",
        "house-rules/mass-querying",
        "house-rules/substituted-model",
    ]
    forbid, permit, _, shadow = bundle.rules
    assert forbid.gates == {Gate.REQUEST, Gate.RESPONSE, Gate.DATASET}
    assert [len(tests) for tests in forbid.when.alternatives] == [3, 3]
    assert forbid.scope == bundle.policies[0].scope
    assert permit.effect is Effect.PERMIT
    assert permit.layers == frozenset({Layer.HOST, Layer.MODEL})
    assert [(duty.kind, duty.value) for duty in permit.duties] == [("display", "Built with Acme")]
    assert str(permit.where) == f"{HOST_PATH}:18:9"
    assert (permit.cites[0].source, permit.cites[0].clause) == ("terms", "4.2")
    assert permit.sources == (bundle.sources[permit.cites[0].digest],)
    assert shadow.is_shadow
    assert bundle.language == LANGUAGE
    assert bundle.warnings == ()
    assert not run_suites(bundle).failures


def test_a_source_is_known_by_its_record() -> None:
    """A source's digest is the sha256 of its record, canonical JSON of its fields."""
    (source,) = approved(DOCUMENTS).sources.values()
    assert hashlib.sha256(source.record.encode()).hexdigest() == source.digest
    assert json.loads(source.record)["in_force"] == {"from": "2026-01-01T00:00:00Z"}
    assert source.in_force == Window(start=datetime(2026, 1, 1, tzinfo=UTC))


def test_anyone_can_recompute_the_digest() -> None:
    """The digest is over language, organisation, documents by sha256, approvals and revocations."""
    bundle = bundle_of(
        DOCUMENTS,
        organisation=ORGANISATION,
        approvals=frozenset({"b", "a"}),
        revoked=frozenset("c"),
    )
    said = {
        "approvals": ["a", "b"],
        "documents": {path: digest(text) for path, text in bundle.documents.items()},
        "language": 1,
        "organisation": ORGANISATION,
        "revoked": ["c"],
    }
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    assert bundle.digest == hashlib.sha256(text.encode()).hexdigest()


def test_comments_and_layout_do_not_change_the_meaning() -> None:
    """A comment, a blank line or another file name changes the digest and not the meaning."""
    before = approved(DOCUMENTS)
    others = {path: f"# a comment\n\n{text}" for path, text in DOCUMENTS.items()}
    others["organisation/other.yaml"] = others.pop("organisation/house-rules.yaml")
    after = approved(others)
    assert before.digest != after.digest
    assert before.meaning == after.meaning


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        (HOST_PATH, "lacks: Acme", "lacks: [Acme, Other]"),
        (
            HOST_PATH,
            "confidence: read-primary\n    read: 2026",
            "confidence: read-primary\n    read: 2025",
        ),
        ("grants/acme-letter.yaml", "2027-03-01", "2027-03-02"),
        ("organisation/house-rules.yaml", "    mode: shadow\n", ""),
        ("organisation/house-rules.yaml", "within: 24h", "within: 25h"),
        ("organisation/house-rules.yaml", "per: [route, account.id]", "per: [route]"),
        ("organisation/house-rules.yaml", "count: requests", "count: tokens_in"),
    ],
)
def test_what_a_rule_says_changes_the_meaning(path: str, old: str, new: str) -> None:
    """A test, a source, a date or a mode is meaning."""
    changed = {**DOCUMENTS, path: DOCUMENTS[path].replace(old, new)}
    assert changed != DOCUMENTS
    assert approved(changed).meaning != approved(DOCUMENTS).meaning


def test_a_counter_that_counts_other_calls_means_something_else() -> None:
    """Of two bundles whose rules say the same, one whose counters have a scope means something else."""
    path = "organisation/house-rules.yaml"
    open_text = HOUSE[: HOUSE.index("rules:")] + "rules: []\n"
    scoped = open_text.replace("rules:", "scope: {project: p}\nrules:")
    plain, other = (approved({path: text}) for text in (open_text, scoped))
    assert plain.rules == other.rules == ()
    assert plain.meaning != other.meaning


def test_the_counters_of_all_policies_stand_together() -> None:
    """Counters are sorted by name, and each knows the policy whose rules may test it."""
    second = HOUSE.replace("house-rules", "more").replace("per-day", "an-hour")
    bundle = approved({**DOCUMENTS, "organisation/more.yaml": second})
    assert [(each.name, each.policy) for each in bundle.counters] == [
        ("an-hour", "more"),
        ("per-day", "house-rules"),
    ]
    assert bundle_of({HOST_PATH: HOST}, organisation=ORGANISATION).counters == ()


def test_a_counter_has_one_owner() -> None:
    """Two files cannot declare one counter: `counter.NAME` is one fact of a call."""
    second = HOUSE.replace("house-rules", "more")
    with pytest.raises(PolicyError) as caught:
        approved({**DOCUMENTS, "organisation/more.yaml": second})
    (only,) = caught.value.diagnostics
    assert (only.code, str(only.place)) == ("duplicate-id", "organisation/more.yaml:8:3")
    assert only.message == (
        "the counter `per-day` is given twice; the first is `organisation/house-rules.yaml`"
    )


def test_an_override_may_keep_the_counters_of_the_file_it_replaces() -> None:
    """Only the policies in force count: a library file that is replaced declares nothing."""
    counted = HOST.replace("rules:\n", "counters:\n  day: {count: requests, per: route, "
                           "within: 24h}\nrules:\n", 1)  # fmt: skip
    other = counted.replace("24h", "12h")
    bundle = approved({HOST_PATH: counted, "hosts/acme-api.yaml": other})
    assert bundle.overrides == ("hosts/acme-api.yaml",)
    assert [counter.within.total_seconds() for counter in bundle.counters] == [12 * 3600]


def test_approval_of_a_grant_is_meaning() -> None:
    """A grant that is approved, or revoked, is another grant."""
    letter = digest(GRANT)
    plain = bundle_of(DOCUMENTS, organisation=ORGANISATION)
    gone = bundle_of(
        DOCUMENTS,
        organisation=ORGANISATION,
        approvals=frozenset({letter}),
        revoked=frozenset({letter}),
    )
    (grant,) = approved(DOCUMENTS).grants
    assert (grant.is_approved, grant.is_revoked) == (True, False)
    assert (plain.grants[0].is_approved, plain.grants[0].is_revoked) == (False, False)
    assert (gone.grants[0].is_approved, gone.grants[0].is_revoked) == (True, True)
    assert len({plain.meaning, gone.meaning, approved(DOCUMENTS).meaning}) == 3
    assert grant.layers == frozenset({Layer.HOST, Layer.MODEL})
    assert grant.permits == frozenset({Gate.RESPONSE, Gate.DATASET})


def test_what_a_student_competes_with_waits_for_approval() -> None:
    """Until the file is approved the judgement is no fact; what was declared is kept."""
    plain = bundle_of(DOCUMENTS, organisation=ORGANISATION).students["support-router"]
    assert "student.competes_with" not in plain.facts
    assert plain.declared_competes_with == frozenset({"Acme"})
    student = approved(DOCUMENTS).students["support-router"]
    assert student.facts["student.competes_with"] == frozenset({"Acme"})
    assert student.facts["student.monthly_users"] == 12_000
    gone = bundle_of(
        DOCUMENTS,
        organisation=ORGANISATION,
        approvals=frozenset({digest(STUDENT)}),
        revoked=frozenset({digest(STUDENT)}),
    )
    assert "student.competes_with" not in gone.students["support-router"].facts


def test_a_student_may_leave_the_judgement_out() -> None:
    """A student that declares nothing has nothing to approve."""
    text = STUDENT.replace("competes_with: [Acme]\n", "")
    student = bundle_of({"students/s.yaml": text}, organisation=ORGANISATION).students[
        "support-router"
    ]
    assert student.declared_competes_with is None


def test_an_override_takes_effect_when_approved() -> None:
    """Until then the library's file holds, and a warning says so."""
    documents = {**DOCUMENTS, "hosts/acme-api.yaml": OVERRIDE}
    held = bundle_of(documents, organisation=ORGANISATION)
    assert held.overrides == ()
    assert "not-approved" in codes(held)
    assert all("Ask first" not in rule.fix for rule in held.rules)
    taken = approved(documents)
    assert taken.overrides == ("hosts/acme-api.yaml",)
    assert any("Ask first" in rule.fix for rule in taken.rules)


def test_a_host_of_the_workspace_needs_no_approval() -> None:
    """A file with an id of its own overrides nothing."""
    other = HOST.replace("acme-api", "other-api")
    bundle = bundle_of({"hosts/other.yaml": other, HOST_PATH: HOST}, organisation=ORGANISATION)
    assert [policy.id for policy in bundle.policies] == ["acme-api", "other-api"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("library/hosts/again.yaml", HOST),
        ("organisation/again.yaml", HOUSE),
        ("organisation/again.yaml", HOUSE.replace("house-rules", "acme-api")),
        ("grants/again.yaml", GRANT),
        ("students/again.yaml", STUDENT),
        ("tests/again.yaml", DOCUMENTS["library/hosts/acme-api.test.yaml"]),
    ],
)
def test_an_id_is_given_once(path: str, text: str) -> None:
    """Two files of one kind and id are an error, unless one overrides the library."""
    assert refused({**DOCUMENTS, path: text}) == ["duplicate-id"]


@pytest.mark.parametrize(
    "path",
    ["x.yaml", "hosts/x.yml", "../hosts/x.yaml", "hosts/a/x.yaml", "other/x.yaml", "hosts/é.yaml"],
)
def test_paths_are_plain(path: str) -> None:
    """A document stands in a known folder under a plain name."""
    assert refused({path: HOST}) == ["bad-path"]


def test_each_folder_has_its_kind() -> None:
    """A grant among students is an error."""
    assert refused({"students/x.yaml": GRANT}) == ["kind"]


def test_each_folder_has_its_layer() -> None:
    """A policy in `routers` that does not speak for the router is an error."""
    assert refused({"routers/x.yaml": HOST}) == ["bad-layer"]


def test_errors_of_all_files_come_together() -> None:
    """One run reports what is wrong in every file."""
    broken = {path: text.replace("inbond: 1", "inbond: 2") for path, text in DOCUMENTS.items()}
    assert (
        refused(
            {
                HOST_PATH: broken[HOST_PATH],
                "organisation/house-rules.yaml": broken["organisation/house-rules.yaml"],
            }
        )
        == ["bad-value"] * 2
    )


@given(
    path=st.sampled_from(sorted(DOCUMENTS)),
    cut=st.integers(0, 600),
    size=st.integers(0, 40),
    other=st.text(st.sampled_from("ab:-[]{},*& \n'\"#1"), max_size=8),
)
def test_any_damage_gives_a_bundle_or_an_error(path: str, cut: int, size: int, other: str) -> None:
    """However a file is cut and patched, there is a bundle or a PolicyError with places inside."""
    text = DOCUMENTS[path]
    damaged = {**DOCUMENTS, path: text[:cut] + other + text[cut + size :]}
    try:
        found = approved(damaged).warnings
    except PolicyError as error:
        found = error.diagnostics
    for each in found:
        lines = damaged[each.place.file].split("\n")
        assert 1 <= each.place.line <= len(lines)
        assert 1 <= each.place.column <= len(lines[each.place.line - 1]) + 1


def workspace(tmp_path: Path) -> Path:
    """A workspace with all documents but those of the library."""
    for path, text in DOCUMENTS.items():
        place = tmp_path / "policies" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return tmp_path


def load(tmp_path: Path) -> Bundle:
    """The bundle of the workspace, with the library that stands in it."""
    return load_bundle(
        tmp_path, organisation=ORGANISATION, library=tmp_path / "policies" / "library"
    )


def test_directories_give_the_same_bundle_as_their_documents(tmp_path: Path) -> None:
    """Loading reads exactly the files; a past bundle can be made again from its documents."""
    bundle = load(workspace(tmp_path))
    assert dict(bundle.documents) == dict(DOCUMENTS)
    again = bundle_of(bundle.documents, organisation=ORGANISATION)
    assert (again.digest, again.meaning) == (bundle.digest, bundle.meaning)


def test_without_a_workspace_the_library_stands_alone() -> None:
    """The shipped library loads by itself, without a warning."""
    bundle = load_bundle(None, organisation=ORGANISATION)
    assert bundle.rules
    assert bundle.warnings == ()
    assert all(path.startswith("library/") for path in bundle.documents)


def test_links_do_not_lead_out(tmp_path: Path) -> None:
    """A link to a file elsewhere is refused."""
    outside = tmp_path / "outside.yaml"
    outside.write_text(STUDENT.replace("support-router", "other"))
    home = workspace(tmp_path / "home")
    (home / "policies" / "students" / "link.yaml").symlink_to(outside)
    with pytest.raises(PolicyError, match=r"error\[outside\]"):
        load(home)


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """A folder with a file's name, and bytes that are no text, are errors and not skipped."""
    home = workspace(tmp_path)
    (home / "policies" / "students" / "folder.yaml").mkdir()
    (home / "policies" / "students" / "bytes.yaml").write_bytes(b"\xff")
    with pytest.raises(PolicyError) as caught:
        load(home)
    assert [each.code for each in caught.value.diagnostics] == ["encoding", "unreadable"]
