"""Every code has its words and its examples, and each example does what its page says."""

import ast
import re
from pathlib import Path

import pytest

from policies.bundle import load_bundle
from policies.codes import CODES
from policies.diagnostics import PolicyError
from tests.policies.examples import ORGANISATION, examples, findings_of

ROOT = Path(__file__).parents[2]
SOURCES = [*(ROOT / "policies").glob("*.py"), *(ROOT / "proxy" / "cli").glob("policy*.py")]
NOTING = {"error", "warning", "_refuse", "_add"}
SLUG = re.compile(r"[a-z]+(-[a-z0-9]+)*")
FILES = {"drifted", "outside", "silent", "unreadable"}
TEXTS = sorted(examples().keys() - FILES)
ALSO = {"too-many": {"missing-key"}}
"""What an example brings along of necessity."""


def noted(path: Path) -> set[str]:
    """The codes that a module notes as they stand."""
    calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return {
        call.args[0].value
        for call in calls
        if getattr(call.func, "attr", "") in NOTING and call.args
        if isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)
        if SLUG.fullmatch(call.args[0].value)
    }


def spoken(path: Path) -> set[str]:
    """All short texts of a module."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return {
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_every_code_in_use_is_described() -> None:
    """Each code that a module notes is in the registry."""
    assert set().union(*map(noted, SOURCES)) - CODES.keys() == set()


def test_every_code_described_is_in_use() -> None:
    """The registry holds no code that nothing notes any more."""
    texts = set().union(*(spoken(path) for path in SOURCES if path.name != "codes.py"))
    assert CODES.keys() - texts == set()


def test_codes_are_sorted_slugs_in_sentences() -> None:
    """A code is a slug, a title is half a sentence, and what it means is whole ones."""
    for slug, code in CODES.items():
        assert SLUG.fullmatch(slug)
        assert slug == code.slug
        assert not code.title.endswith(".")
        assert code.sentences
        assert all(each.endswith(".") for each in code.sentences), slug


def test_every_code_has_an_example() -> None:
    """Each code has its pair of examples, and no other has one."""
    assert examples().keys() == CODES.keys()
    assert list(examples()) == sorted(examples())


@pytest.mark.parametrize("code", TEXTS)
def test_what_to_avoid_gets_its_code(code: str) -> None:
    """What a page says to avoid gives its code and no other, as grave as the registry says."""
    found = findings_of(examples()[code].bad(), is_approved=code != "not-approved")
    assert {each.code for each in found} - ALSO.get(code, set()) == {code}
    assert {each.severity for each in found if each.code == code} == {CODES[code].severity}


@pytest.mark.parametrize("code", TEXTS)
def test_what_to_prefer_gets_none(code: str) -> None:
    """What a page says to prefer gives no finding."""
    example = examples()[code]
    documents = example.bad() if example.prefer.startswith("$ ") else example.good()
    assert [str(each) for each in findings_of(documents)] == []


def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    """A link out of the policies' folder is refused, and a copy in its place is not."""
    rules = examples()["no-duties"].good()["organisation/house-rules.yaml"]
    elsewhere = tmp_path / "elsewhere.yaml"
    elsewhere.write_text(rules)
    path = tmp_path / "workspace" / "policies" / "organisation" / "house-rules.yaml"
    path.parent.mkdir(parents=True)
    path.symlink_to(elsewhere)
    assert read_codes(tmp_path / "workspace") == {"outside"}
    path.unlink()
    path.write_text(rules)
    assert read_codes(tmp_path / "workspace") == set()


def test_what_is_no_file_is_unreadable(tmp_path: Path) -> None:
    """A folder with the name of a policy file stops the bundle until it is gone."""
    path = tmp_path / "policies" / "organisation" / "house-rules.yaml"
    path.mkdir(parents=True)
    assert read_codes(tmp_path) == {"unreadable"}
    path.rmdir()
    assert read_codes(tmp_path) == set()


def read_codes(workspace: Path) -> set[str]:
    """The codes of the errors in a workspace without a library."""
    try:
        load_bundle(workspace, organisation=ORGANISATION, library=workspace / "nothing")
    except PolicyError as error:
        return {each.code for each in error.diagnostics}
    return set()
