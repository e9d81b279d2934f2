"""Keys and shapes of each kind of file: every mistake once, at its place, in our own words."""

import pytest
from hypothesis import given

from policies.bundle import Bundle
from policies.diagnostics import Findings, PolicyError
from policies.shapes import (
    DUTIES,
    GATE_WORDS,
    GrantShape,
    PolicyShape,
    StudentShape,
    SuiteShape,
    read_shape,
)
from policies.source import parse
from tests.policies.acme import DOCUMENTS, GRANT, HOST, HOUSE, STUDENT
from tests.policies.damaged import damaged_trees, emit, load, nests, outside, tree_of
from tests.policies.strategies import UNTIMED

SUITE = DOCUMENTS["library/hosts/acme-api.test.yaml"]
SHAPES: dict[str, type[PolicyShape | GrantShape | StudentShape | SuiteShape]] = {
    HOST: PolicyShape,
    HOUSE: PolicyShape,
    GRANT: GrantShape,
    STUDENT: StudentShape,
    SUITE: SuiteShape,
}


def said(text: str, old: str, new: str) -> list[tuple[str, str, str]]:
    """Code, message and help of each finding after one replacement."""
    assert old in text
    findings = Findings()
    root = parse("a.yaml", text.replace(old, new, 1), findings)
    assert root is not None
    if read_shape(SHAPES[text], root, findings) is not None:
        return []
    with pytest.raises(PolicyError) as caught:
        findings.stop()
    return [(each.code, each.message, each.help) for each in caught.value.diagnostics]


@pytest.mark.parametrize("text", list(SHAPES))
def test_sound_files_fit(text: str) -> None:
    """Each kind of file has its shape."""
    assert said(text, "inbond: 1", "inbond: 1") == []


@pytest.mark.parametrize(
    ("text", "old", "new", "expected"),
    [
        (HOST, "inbond: 1", "inbond: 2", ("bad-value", "`2` is not a value of `inbond`", "use one of: 1")),
        (
            HOST,
            "policy: acme-api",
            "policy: Acme API",
            ("bad-value", "`Acme API` is not a value of `policy`", "use lower-case letters, digits, `.`, `_` and `-`"),
        ),
        (HOST, "reviewed: 2026-11-24", "reviewed: soon", ("wrong-type", "`reviewed` takes a date", "")),
        (HOST, "party: Acme", "party: 7", ("wrong-type", "`party` takes text", "put it in quotes")),
        (HOST, "party: Acme", "party: [Acme]", ("wrong-type", "`party` takes text", "")),
        (HOST, "party: Acme", "party: ''", ("bad-value", "`party` is empty", "write a value, or leave the key out")),
        (HOST, "[host, model]", "[]", ("bad-value", "`layer` is empty", "write a value, or leave the key out")),
        (HOST, "[host, model]", "[host, modle]", ("bad-value", "`modle` is not a value of `layer`", "did you mean `model`?")),
        (HOST, "permit: training", "permit: trainng", ("bad-value", "`trainng` is not a value of `permit`", "did you mean `training`?")),
        (HOST, "https://acme", "acme", ("bad-value", "`acme.example/terms` is not a value of `url`", "write an address that starts with `https://`")),
        (HOST, "  terms:\n", "  Terms:\n", ("unknown-key", "`Terms` is not a key of `sources`", "use lower-case letters, digits, `.`, `_` and `-`")),
        (HOST, "display:", "dispaly:", ("unknown-key", "`dispaly` is not a key of `duties`", "did you mean `display`?")),
        (HOST, "display:", "zzz:", ("unknown-key", "`zzz` is not a key of `duties`", f"use one of: {', '.join(DUTIES)}")),
        (HOST, "{from: 2026-01-01}", "2026-01-01", ("wrong-type", "`in_force` takes a mapping", "")),
        (HOST, "{from: 2026-01-01}", "{form: 2026-01-01}", ("unknown-key", "`form` is not a key here", "did you mean `from`?")),
        (HOST, "because: The", "reason: The", ("unknown-key", "`reason` is not a key here", "")),
        (HOUSE, "24h", "1 day", ("bad-value", "`1 day` is not a value of `within`", "write a length of time such as `24h` or `30d`")),
        (HOUSE, "count: requests", "count: calls", ("bad-value", "`calls` is not a value of `count`", "use one of: requests, tokens_in, tokens_out, distinct_prompts")),
        (GRANT, "acme-api/no", "no", ("bad-value", "`no-competing-models` is not a value of `lifts`", "write a full rule id: `policy/rule`")),
        (GRANT, "in_force: {from: 2026-03-01, until: 2027-03-01}\n", "", ("missing-key", "`in_force` is missing", "add it")),
        (GRANT, "{title:", "{sha256: 77ab, title:", ("bad-value", "`77ab` is not a value of `sha256`", "write a sha256 as 64 lower-case hex digits")),
        (STUDENT, "purpose: distil-narrow\n", "", ("missing-key", "`purpose` is missing", "add it")),
        (STUDENT, "purpose: ", "purpse: ", ("unknown-key", "`purpse` is not a key here", "did you mean `purpose`?")),
        (SUITE, "expect: permit", "expect: yes", ("bad-value", "`yes` is not a value of `expect`", "use one of: permit, review, forbid")),
        (SUITE, "cases:\n", "cases: []\nother:\n", ("bad-value", "`cases` is empty", "write a value, or leave the key out")),
    ],
)  # fmt: skip
def test_a_mistake_is_found_once(
    text: str, old: str, new: str, expected: tuple[str, str, str]
) -> None:
    """Each mistake has its code, names what was written, and says what would be right."""
    code, message, hint = expected
    found = [each for each in said(text, old, new) if each[1] == message]
    assert [each[0] for each in found] == [code]
    assert hint in found[0][2]


def test_a_misspelt_key_is_not_missing_as_well() -> None:
    """One typing mistake gives one finding."""
    assert len(said(STUDENT, "purpose: ", "purpse: ")) == 1


def test_training_stands_for_two_gates() -> None:
    """`training` is the response gate and the dataset gate."""
    assert GATE_WORDS["training"] == ("response", "dataset")


SOUND = {path: text.encode() for path, text in DOCUMENTS.items()}
FACTS = {"when", "scope", "given"}


@pytest.mark.parametrize("path", sorted(DOCUMENTS))
@pytest.mark.parametrize("name", ["Unheard Of", "", "Null", "<", "%"])
def test_an_unknown_key_is_never_ignored(path: str, name: str) -> None:
    """A key that the language does not have is found in whichever mapping it stands."""
    tree = tree_of(DOCUMENTS[path])
    for above, mapping in nests(tree):
        if not isinstance(mapping, dict):
            continue
        mapping[name] = '"x"'
        documents = {**SOUND, path: emit(tree).encode()}
        found = load(documents)
        assert not isinstance(found, Bundle), above
        codes = {each.code for each in found}
        # Among facts a key is a fact or a test on one.
        is_among_facts = bool(FACTS & {*above}) and above[-1:] != ("at",)
        expected = {"unknown-fact", "bad-test", "bad-value"} if is_among_facts else {"unknown-key"}
        assert codes & expected, (above, codes)
        assert [each for each in found if outside(each, documents)] == []
        del mapping[name]


@UNTIMED
@given(damaged=damaged_trees())
def test_whatever_stands_in_a_file_gives_a_bundle_or_findings(damaged: tuple[str, bytes]) -> None:
    """Any value under any key gives a bundle or findings inside the files, and nothing else."""
    path, data = damaged
    documents = {**SOUND, path: data}
    found = load(documents)
    if not isinstance(found, Bundle):
        assert [each for each in found if outside(each, documents)] == []


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        (HOST, "inbond: 1", "inbond: true"),
        (HOST, "    permit: training", "    permit:"),
        (HOST, "    permit: training", "    permit: []"),
        (HOST, "    permit: training", "    permit: [training, ~]"),
        (HOST, "    read: 2026-11-24", "    read:"),
        (HOST, "    review_by: 2027-02-22", "    review_by: ~"),
        (HOST, "    fix: ", "    mode:\n    fix: "),
        (HOST, "{display: Built with Acme}", "{display: }"),
        (HOST, "{display: Built with Acme}", "{display: [Built, [with, Acme]]}"),
        (HOST, "{display: Built with Acme}", "{display: {Built: with Acme}}"),
        (GRANT, "until: 2027-03-01", "until: ~"),
        (GRANT, 'document: {title: "Letter of 2026-02-20"}', "document:"),
        (SUITE, "lifted: []", "lifted:"),
        (SUITE, "by: acme-api/not-competing", "by: ~"),
    ],
)
def test_a_key_with_nothing_behind_it_is_no_absent_key(text: str, old: str, new: str) -> None:
    """A key that is written says something: nothing, an empty list or a nest is refused."""
    assert {each[0] for each in said(text, old, new)} == {"bad-value"}
